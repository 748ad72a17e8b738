"""Shown: a weekly report as a page and a PDF show it, with its charts worked out and its values in words.

Texts from outside are here as they came; whoever draws them makes them harmless in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mailveil.control.activityrecords import SenderBuilt
from mailveil.control.records import Figures, FiguresAt
from mailveil.control.weeklyreport import ActivityLine, AlertLine, OperatorMet, WeeklyReport
from mailveil.control.weeklywords import beside, score_words, share_words, tracked_and_risky
from mailveil.control.weeks import DAY_S, WEEK_S, Week, week_at
from mailveil.core.intelligence.types import ActivityState, AlertKind, AnalystVerdict, Technique, Tooling
from mailveil.endpoints.web.console.charts import Measure, Series, TimeChart, measures, time_chart
from mailveil.endpoints.web.console.wording import CATEGORY_WORDS, KIND_NAMES, number, plural

STATE_WORDS = {
    ActivityState.ACTIVE: "active",
    ActivityState.QUIET: "quiet",
    ActivityState.CLOSED: "closed",
}
VERDICT_WORDS = {
    AnalystVerdict.OPEN: "",
    AnalystVerdict.CONFIRMED: "confirmed by an analyst",
    AnalystVerdict.BENIGN: "dismissed by an analyst",
}
ALERT_WORDS = {
    AlertKind.RECONNAISSANCE: "reconnaissance",
    AlertKind.ESCALATION: "clearly worse",
    AlertKind.FOLLOW_UP: "follow-up",
}
TECHNIQUE_WORDS = {
    Technique.PHISHING_FOR_INFORMATION: "phishing for information",
    Technique.SPEARPHISHING_LINK: "web beacons",
    Technique.VICTIM_IDENTITY: "identities",
    Technique.VICTIM_NETWORK: "IP addresses",
    Technique.VICTIM_HOST: "devices",
}
ABOUT = (
    "They were counted from this organisation’s own mail as it passed, by hours in UTC. Contacts prevented are those "
    "that opening every message once would have made; nobody knows, and nothing here says, what was opened."
)
MOST_ACTIVITIES = 40  # in full; each takes a part of a page, and files for programs have all
TOOLING_WORDS = {Tooling.BOUGHT: "bought", Tooling.BUILT: "built by the sender", Tooling.UNKNOWN: "not known"}


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure at the top."""

    name: str
    value: float
    detail: str
    is_alarm: bool = False


@dataclass(frozen=True, slots=True)
class WeekRow:
    """One week of the twelve in figures."""

    name: str
    messages: int
    remote: str
    tracked: str
    risky: str
    prevented: int
    is_this: bool


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """An operator, and what it does."""

    name: str
    owner: str
    does: str
    messages: int
    references: int


@dataclass(frozen=True, slots=True)
class BuiltRow:
    """A sender with tracking of its own."""

    sender_domain: str
    words: str


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An activity in words. ``marks`` are what is special about it, ``people`` those it was aimed at."""

    line: ActivityLine
    score: str
    state: str
    marks: tuple[str, ...]
    since: str
    last: str
    probes: str
    wanted: str
    tooling: str
    techniques: str
    domains: tuple[str, ...]
    reasons: tuple[str, ...]
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert in words."""

    line: AlertLine
    at: str
    kind: str
    earlier: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything that is shown of a report. ``more`` says how many activities are not, and where they are."""

    report: WeeklyReport
    title: str
    subtitle: str
    made: str
    about: str
    stats: tuple[Stat, ...]
    days: TimeChart
    weeks: TimeChart
    rows: tuple[WeekRow, ...]
    kinds: tuple[Measure, ...]
    operators: tuple[OperatorRow, ...] | None
    built: tuple[BuiltRow, ...] | None
    activities: tuple[ActivityRow, ...] | None
    more: str
    alerts: tuple[AlertRow, ...]
    functions: tuple[Measure, ...]


def shown(report: WeeklyReport) -> Shown:
    """Return what is shown of a report."""
    open_end = "" if report.is_complete else ", not over yet"
    watching, operators = report.watching, report.operators
    return Shown(
        report=report,
        title=f"Week {report.week}{open_end}",
        subtitle=f"{report.week.title} (UTC)",
        made=moment(report.made_at),
        about=ABOUT,
        stats=_stats(report),
        days=_chart("Mail of the week, by day", report.days, DAY_S),
        weeks=_weeks_chart(report.weeks),
        rows=tuple(_week_row(each, report.week) for each in reversed(report.weeks)),
        kinds=measures([(KIND_NAMES.get(each.value, each.value), each.messages) for each in report.kinds]),
        operators=None if operators is None else tuple(map(_operator_row, operators)),
        built=None if report.built is None else tuple(map(_built_row, report.built)),
        activities=None
        if watching is None
        else tuple(map(_activity_row, watching.activities[:MOST_ACTIVITIES])),
        more="" if watching is None else _more_words(len(watching.activities) - MOST_ACTIVITIES),
        alerts=() if watching is None else tuple(_alert_row(each) for each in watching.alerts),
        functions=()
        if watching is None
        else measures([(name or "no function told", count) for name, count in watching.functions]),
    )


def moment(at: float) -> str:
    """Return a time to read, in UTC."""
    local = datetime.fromtimestamp(at, UTC)
    return f"{local.day} {local:%b %Y, %H:%M} UTC"


def day(at: float) -> str:
    """Return a day to read, in UTC."""
    local = datetime.fromtimestamp(at, UTC)
    return f"{local.day} {local:%b %Y}"


def share(figures: Figures) -> tuple[str, str, str]:
    """Return the share with remote content, of those that with trackers, and of those that of risk."""
    return (
        share_words(figures.with_remote, figures.messages),
        share_words(figures.with_trackers, figures.with_remote),
        share_words(tracked_and_risky(figures), figures.with_trackers),
    )


def _stats(report: WeeklyReport) -> tuple[Stat, ...]:
    total, before = report.total, report.before
    remote, tracked, risky = share(total)
    span = "the week before"
    return (
        Stat("Messages", total.messages, beside(total.messages, before.messages, span)),
        Stat("With remote content", total.with_remote, f"{remote} of all mail"),
        Stat("With trackers", total.with_trackers, f"{tracked} of mail with remote content", is_alarm=True),
        Stat("Of risk", tracked_and_risky(total), f"{risky} of mail with trackers"),
        Stat("Contacts prevented", total.prevented, beside(total.prevented, before.prevented, span)),
    )


def _chart(title: str, steps: Sequence[FiguresAt], step_s: int) -> TimeChart:
    rows = [each.figures for each in steps]
    parts = (
        Series("with trackers", tuple(each.with_trackers for each in rows), "alarm"),
        Series(
            "with other remote content",
            tuple(max(0, each.with_remote - each.with_trackers) for each in rows),
            "accent",
        ),
        Series("nothing remote", tuple(max(0, each.messages - each.with_remote) for each in rows), "quiet"),
    )
    return time_chart(title, [each.at for each in steps], parts, step_s, UTC)


def _weeks_chart(steps: Sequence[FiguresAt]) -> TimeChart:
    """Return the chart of twelve weeks, which are called by their numbers."""
    made = _chart("Mail of twelve weeks", steps, WEEK_S)
    names = [str(week_at(each.at)) for each in steps]
    words = [f"{name}: {each.words.partition(': ')[2]}" for name, each in zip(names, made.bars, strict=True)]
    return replace(
        made,
        summary=made.summary.partition(" in all.")[0] + (" in all." if not made.is_empty else ""),
        bars=tuple(replace(each, words=said) for each, said in zip(made.bars, words, strict=True)),
        rows=tuple(replace(each, at=name) for each, name in zip(made.rows, names, strict=True)),
    )


def _week_row(step: FiguresAt, this: Week) -> WeekRow:
    week, figures = week_at(step.at), step.figures
    remote, tracked, risky = share(figures)
    return WeekRow(str(week), figures.messages, remote, tracked, risky, figures.prevented, week == this)


def _operator_row(met: OperatorMet) -> OperatorRow:
    owner = met.owner if met.owner != met.name else ""
    does = CATEGORY_WORDS.get(met.category, met.category) or "not in the catalogue"
    return OperatorRow(met.name, owner, does, met.messages, met.references)


def _built_row(built: SenderBuilt) -> BuiltRow:
    words = f"{plural(built.messages, 'message')} in {plural(built.campaigns, 'campaign')} since {day(built.first_at)}"
    return BuiltRow(built.sender_domain, words)


def _activity_row(line: ActivityLine) -> ActivityRow:
    """Return an activity in words."""
    marks = [
        *(("new",) if line.is_new else ()),
        *(("ended this week",) if line.is_ended else ()),
        *((VERDICT_WORDS[line.verdict],) if VERDICT_WORDS[line.verdict] else ()),
    ]
    operator = f": {line.operator}" if line.operator else ""
    return ActivityRow(
        line=line,
        score=score_words(line.score),
        state=STATE_WORDS[line.state],
        marks=tuple(marks),
        since=day(line.first_at),
        last=day(line.last_at),
        probes=_probes_words(line),
        wanted=", ".join(KIND_NAMES.get(each, each) for each in line.kinds),
        tooling=f"{TOOLING_WORDS[line.tooling]}{operator}",
        techniques=", ".join(f"{each} {TECHNIQUE_WORDS[each]}" for each in line.techniques),
        domains=line.domains,
        reasons=tuple(each.words for each in line.reasons if each.weight > 0),
        people=tuple(_target(each.person, each.function, each.probes) for each in line.targets),
    )


def _more_words(left: int) -> str:
    if left <= 0:
        return ""
    return (
        f"Beyond those with the highest scores there {'is' if left == 1 else 'are'} "
        f"{plural(left, 'more activity', 'more activities')}: in this report as CSV (its table of activities) and as "
        "JSON, and in the console under Watching."
    )


def _probes_words(line: ActivityLine) -> str:
    people = plural(line.total_people, "person", "people")
    if not line.week_probes:
        return f"none; {plural(line.total_probes, 'probe')} of {people} in all"
    week = f"{plural(line.week_probes, 'probe')} of {plural(line.week_people, 'person', 'people')}"
    return f"{week}; in all {number(line.total_probes)} of {people}"


def _target(person: str, function: str, probes: int) -> str:
    return f"{person}{f', {function}' if function else ''} ({plural(probes, 'probe')})"


def _alert_row(line: AlertLine) -> AlertRow:
    earlier = f"first seen {day(line.earlier)}" if line.earlier else ""
    return AlertRow(line, moment(line.at), ALERT_WORDS[line.kind], earlier)
