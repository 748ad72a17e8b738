"""Tables: the figures of a week by day, and its activities, as CSV (RFC 4180) without formulas for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from mailveil.control.weeklyreport import ActivityLine, WeeklyReport

FIGURES: Final = (
    "messages",
    "with_remote",
    "with_trackers",
    "risky",
    "changed",
    "references",
    "trackers",
    "prevented",
    "unexamined",
    "bytes",
)
ACTIVITY: Final = (
    "activity",
    "actor",
    "score",
    "risk",
    "state",
    "verdict",
    "first_at",
    "last_at",
    "is_new",
    "is_ended",
    "week_probes",
    "week_people",
    "total_probes",
    "total_people",
    "kinds",
    "techniques",
    "tooling",
    "operator",
    "domains",
)
# East Asian spreadsheets take the wide forms for the same.
_CALCULATES: Final = frozenset("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")
MARK: Final = "'"  # before what a spreadsheet would calculate; it shows the rest as text


def days_table(report: WeeklyReport) -> bytes:
    """Return the figures of each day, and no sum: who adds them up has it."""
    rows = [[_day(each.at), *(getattr(each.figures, name) for name in FIGURES)] for each in report.days]
    return _written(("day", *FIGURES), rows)


def activities_table(report: WeeklyReport) -> bytes:
    """Return the activities; people and their functions come last, in reports that have them."""
    lines = report.watching.activities if report.watching is not None else ()
    names = (*ACTIVITY, "people", "functions") if report.with_people else ACTIVITY
    return _written(names, [_activity(each, with_people=report.with_people) for each in lines])


def _activity(line: ActivityLine, *, with_people: bool) -> list[object]:
    values: list[object] = [
        line.identifier,
        line.actor,
        f"{line.score:.3f}",
        line.risk,
        line.state,
        line.verdict,
        _moment(line.first_at),
        _moment(line.last_at),
        str(line.is_new).lower(),
        str(line.is_ended).lower(),
        line.week_probes,
        line.week_people,
        line.total_probes,
        line.total_people,
        " ".join(line.kinds),
        " ".join(line.techniques),
        line.tooling,
        line.operator,
        " ".join(line.domains),
    ]
    if with_people:
        values += [
            " ".join(each.person for each in line.targets),
            ", ".join(dict.fromkeys(each.function for each in line.targets if each.function)),
        ]
    return values


def _written(names: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table with its head; lines end with CR LF, and what stands before it says that it is UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([harmless(each) for each in row] for row in rows)
    return out.getvalue().encode("utf-8-sig", "replace")


def harmless(value: object) -> object:
    """Return a value that is a number, or a text that no spreadsheet calculates and no reader of lines is misled by."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = str(value).replace("\0", "\ufffd")
    calculates = text[:1] in _CALCULATES or text.lstrip()[:1] in _CALCULATES
    return f"{MARK}{text}" if text and calculates else text


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
