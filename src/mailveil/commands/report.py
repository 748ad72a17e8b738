"""Reports: what ``scan`` found as tables for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mailveil.commands.sources import Skipped
from mailveil.commands.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ROWS = 40
TOP = 5
STYLES = {"none": "green", "low": "green", "medium": "yellow", "high": "red", "tracker": "red", "content": ""}
RISKS = ("high", "medium", "low", "none")


class ScanReport:
    """Adds up what was found in many messages."""

    def __init__(self, *, keep_records: bool) -> None:
        self.records: list[dict[str, Any]] = []
        self.skipped: list[Skipped] = []
        self.failed = 0
        self._keep_records = keep_records
        self._first: dict[str, Any] | None = None
        self._messages = 0
        self._remote = 0
        self._tracked = 0
        self._references = 0
        self._trackers = 0
        self._risks: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._operators: Counter[str] = Counter()

    def add(self, record: dict[str, Any]) -> None:
        """Take in one message."""
        references = record["references"]
        trackers = [each for each in references if each["verdict"] == "tracker"]
        self._messages += 1
        self._remote += bool(references)
        self._tracked += bool(trackers)
        self._references += len(references)
        self._trackers += len(trackers)
        self._risks[record["risk"]] += 1
        self._hosts.update({host for each in references if (host := host_of(each["url"]))})
        self._operators.update({each["operator"]["name"] for each in trackers if each["operator"]})
        if not self._keep_records:
            return
        if self._messages == 1:
            self._first = record
        if references:
            row = {name: record[name] for name in ("path", "from", "risk")}
            self.records.append({**row, "remote": len(references), "trackers": _main_tracker(trackers)})

    def print(self, console: Console, seconds: float, *, show_all: bool) -> None:
        """Print one message in detail, several as a table, and the summary."""
        if self._messages == 1 and self._first is not None:
            _print_message(console, self._first)
        elif self.records:
            self._print_messages(console, show_all=show_all)
        self._print_summary(console, seconds)

    def _print_messages(self, console: Console, *, show_all: bool) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("Risk", "Trackers", "Remote", "From", "Message"):
            table.add_column(name, justify="right" if name == "Remote" else "left", no_wrap=name != "Message")
        rows = sorted(self.records, key=lambda row: (RISKS.index(row["risk"]), -row["trackers"][0]))
        shown = rows if show_all else rows[:ROWS]
        for row in shown:
            count, what = row["trackers"]
            table.add_row(
                _styled(row["risk"], row["risk"]),
                _text(f"{count} {what}".rstrip() if count else "-", 28),
                str(row["remote"]),
                _text(row["from"], 32),
                _text(row["path"]) if show_all else _tail(row["path"], max(20, console.width - 84)),
            )
        console.print(table)
        if len(rows) > len(shown):
            console.print(f"… and {len(rows) - len(shown):,} more with remote content (--all shows them)")

    def _print_summary(self, console: Console, seconds: float) -> None:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_row("messages", _text(_count(self._messages, seconds)))
        table.add_row("with remote content", _text(f"{self._remote:,} ({self._references:,} references)"))
        table.add_row("with trackers", _text(f"{self._tracked:,} ({self._trackers:,} trackers)"))
        risks = ", ".join(f"{self._risks[risk]:,} {risk}" for risk in RISKS if self._risks[risk])
        table.add_row("risk", _text(risks or "-"))
        if self._hosts:
            table.add_row("top hosts", _text(_top(self._hosts)))
        if self._operators:
            table.add_row("top operators", _text(_top(self._operators)))
        if self.skipped:
            reasons = Counter(each.reason for each in self.skipped)
            listed = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())
            table.add_row("files skipped", _text(listed))
        if self.failed:
            table.add_row("could not be examined", _styled(f"{self.failed:,} (named above)", "high"))
        console.print(table)


def _print_message(console: Console, record: dict[str, Any]) -> None:
    from rich.table import Table

    head = Table.grid(padding=(0, 2))
    for name in ("path", "from", "subject", "message_id"):
        head.add_row(name.replace("_", "-"), _text(record[name]))
    head.add_row("risk", _styled(record["risk"], record["risk"]))
    if record["defects"]:
        head.add_row("defects", _text(", ".join(record["defects"])))
    console.print(head)
    if not record["references"]:
        console.print("No remote references.")
        console.print()
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Verdict", "Vector", "Part", "Action"):
        table.add_column(name, no_wrap=True)
    table.add_column("URL and why", overflow="fold")
    for each in record["references"]:
        verdict = f"{each['verdict']} {'+'.join(each['kinds'])} {each['score']:.0%}".replace("  ", " ")
        if each["verdict"] == "tracker":
            verdict += f", {each['risk']} risk"
        why = _text(each["url"])
        why.append("\n" + printable(_why(each)), style="dim")
        table.add_row(
            _styled(verdict, each["verdict"]),
            _text(each["vector"]),
            _text(each["part"]),
            _text(each["action"]),
            why,
        )
    console.print()
    console.print(table)
    console.print()


def _why(each: dict[str, Any]) -> str:
    """Return in words what weighed most, who runs it, and where its host leads."""
    side = 1 if each["verdict"] == "tracker" else -1
    reasons = [(reason["weight"] * side > 0, reason["words"]) for reason in each["reasons"]]
    said = "; ".join(words for speaks_for, words in reasons if speaks_for)
    against = "; ".join(words for speaks_for, words in reasons if not speaks_for)
    parts = [said] if said else []
    if against:
        parts.append(f"although {against}" if said else against)
    operator = each["operator"]
    if operator:
        owner = f" of {operator['owner']}" if operator["owner"] else ""
        parts.append(
            f"operator: {operator['name']}{owner} ({operator['confidence']:.0%} sure: {operator['evidence']})"
        )
    if each.get("canonical_names"):
        parts.append(f"leads to: {' → '.join(each['canonical_names'])}")
    return ", ".join(parts)


def _count(messages: int, seconds: float) -> str:
    return (
        f"{messages:,} in {seconds:.1f} s ({messages / seconds:,.0f} a second)"
        if seconds > 1
        else f"{messages:,}"
    )


def _top(counted: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in counted.most_common(TOP))
    return shown + (f" and {len(counted) - TOP:,} more" if len(counted) > TOP else "")


def _main_tracker(trackers: list[dict[str, Any]]) -> tuple[int, str]:
    """Return how many trackers there are and what the likeliest of them is called."""
    if not trackers:
        return 0, ""
    first = max(trackers, key=lambda each: float(each["score"]))
    return len(trackers), first["operator"]["name"] if first["operator"] else host_of(first["url"])


def host_of(url: str) -> str:
    """Return the host name in a reference's URL, or ``""``."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _text(text: str, width: int | None = None) -> Text:
    from rich.text import Text

    shown = Text(printable(text))
    if width is not None:
        shown.truncate(width, overflow="ellipsis")
    return shown


def _tail(path: str, width: int) -> Text:
    """Return the end of a path, which is where paths differ."""
    return _text(path if len(path) <= width else "…" + path[1 - width :], width)


def _styled(text: str, what: str) -> Text:
    from rich.text import Text

    return Text(printable(text), style=STYLES.get(what, ""))
