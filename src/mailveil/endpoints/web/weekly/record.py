"""Record: a weekly report as one JSON object, the same from the command line and the API."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from mailveil.control.activityrecords import SenderBuilt
from mailveil.control.records import Figures
from mailveil.control.weeklyreport import ActivityLine, AlertLine, WeeklyReport
from mailveil.control.weeklywords import tracked_and_risky


def record_of(report: WeeklyReport) -> dict[str, Any]:
    """Return a report as a JSON object; times are RFC 3339 in UTC. What was not for the reader is null."""
    watching = report.watching
    return {
        "organisation": report.organisation,
        "organisation_name": report.organisation_name,
        "week": str(report.week),
        "since": moment(report.week.since),
        "until": moment(report.until),
        "is_complete": report.is_complete,
        "made_at": moment(report.made_at),
        "with_people": report.with_people,
        "said": list(report.said),
        "missing": list(report.missing),
        "figures": asdict(report.total),
        "shares": shares(report.total),
        "figures_before": asdict(report.before),
        "shares_before": shares(report.before),
        "days": [{"at": moment(each.at), "figures": asdict(each.figures)} for each in report.days],
        "weeks": [
            {"at": moment(each.at), "figures": asdict(each.figures), "shares": shares(each.figures)}
            for each in report.weeks
        ],
        "kinds": [{"kind": each.value, "messages": each.messages} for each in report.kinds],
        "operators": None if report.operators is None else [asdict(each) for each in report.operators],
        "built_by_senders": None if report.built is None else [_built(each) for each in report.built],
        "watching": None
        if watching is None
        else {
            "new": watching.new,
            "ended": watching.ended,
            "active": watching.active,
            "weaker": watching.weaker,
            "confirmed": watching.confirmed,
            "dismissed": watching.dismissed,
            "is_whole": watching.is_whole,
            "activities": [_activity(each) for each in watching.activities],
            "alerts": [_alert(each) for each in watching.alerts],
            "functions": [{"function": name, "people": count} for name, count in watching.functions],
        },
    }


def encoded(report: WeeklyReport) -> bytes:
    """Return a report as JSON text."""
    # Half of a surrogate pair, which a record can hold, is nothing that UTF-8 has bytes for.
    return (json.dumps(record_of(report), ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def shares(figures: Figures) -> dict[str, float | None]:
    """Return shares between 0 and 1: of all mail, of mail with remote content, of mail with trackers; null of none."""
    return {
        "with_remote": _share(figures.with_remote, figures.messages),
        "with_trackers": _share(figures.with_trackers, figures.with_remote),
        "risky": _share(tracked_and_risky(figures), figures.with_trackers),
    }


def moment(at: float) -> str:
    """Return a time as RFC 3339 has it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _activity(line: ActivityLine) -> dict[str, Any]:
    reasons = [asdict(each) for each in line.reasons]
    times = {"first_at": moment(line.first_at), "last_at": moment(line.last_at)}
    targets = [
        {**asdict(each), "first_at": moment(each.first_at), "last_at": moment(each.last_at)}
        for each in line.targets
    ]
    return {**asdict(line), **times, "reasons": reasons, "targets": targets, "score": round(line.score, 4)}


def _built(met: SenderBuilt) -> dict[str, Any]:
    record = {**asdict(met), "first_at": moment(met.first_at)}
    del record["is_personal"]
    return record


def _alert(line: AlertLine) -> dict[str, Any]:
    return {**asdict(line), "at": moment(line.at), "earlier": moment(line.earlier) if line.earlier else None}
