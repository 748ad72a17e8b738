"""Report: what the spy learned of both mailboxes, side by side in a terminal."""

from __future__ import annotations

from mailveil.commands.demo.findings import Download, LetterFindings, Opening, Result, clock
from mailveil.commands.terminal import console, count


def print_report(result: Result) -> None:
    """Print the result."""
    from rich import box
    from rich.table import Table

    out = console()
    table = Table(box=box.SIMPLE_HEAD, show_lines=True, pad_edge=False)
    table.add_column("What the spy learned", ratio=2)
    table.add_column("past mailveil", ratio=4)
    table.add_column("through mailveil", ratio=3)
    pairs = zip(result.unprotected.letters, result.protected.letters, strict=True)
    for left, right in pairs:
        table.add_row(f"{left.letter.title}\n“{left.letter.subject}”", _learned(left), _silence(right))
    left_side, right_side = result.unprotected, result.protected
    for name, before, after in (
        ("openings", len(left_side.openings), len(right_side.openings)),
        ("seconds watched", round(left_side.dwell_s), round(right_side.dwell_s)),
        ("addresses", len(left_side.addresses), len(right_side.addresses)),
        ("devices", len(left_side.devices), len(right_side.devices)),
        ("companies told", len(left_side.companies), len(right_side.companies)),
        ("contacts by the reader", left_side.contacts, right_side.contacts),
    ):
        table.add_row(name, str(before), str(after))
    out.print()
    out.print(table)
    out.print(how_it_was_read(result))
    out.print("The protected side is silent." if result.is_silent else "The protected side is NOT silent.")


def how_it_was_read(result: Result) -> str:
    """Say by what means the mail was opened."""
    if result.is_browser:
        return f"Both mailboxes were opened in {result.reader}, each message for {result.seconds:g} s."
    return (
        "No browser was used: a simulated mail client fetched everything that mailveil's own engine finds in the "
        f"messages, and kept each open for {result.seconds:g} s."
    )


def _learned(found: LetterFindings) -> str:
    lines = [opening_line(each) for each in found.openings]
    lines += [f"looked up: {each}" for each in found.looked_up]
    lines += [f"told: {', '.join(found.companies)}"] if found.companies else []
    return "\n".join(lines) or "nothing"


def opening_line(opening: Opening) -> str:
    """Return an opening in a line."""
    words = [f"opened {clock(opening.at)}", opening.device, f"{opening.address} ({opening.place})"]
    if opening.dwell_s:
        words.append(f"read for {opening.dwell_s:.0f} s")
    if opening.printed:
        words.append("printed")
    return ", ".join(words)


def _silence(found: LetterFindings) -> str:
    if found.contacts:
        return f"{found.contacts} CONTACTS\n" + _learned(found)
    return f"nothing\n{download_line(found.downloads)}"


def download_line(downloads: tuple[Download, ...]) -> str:
    """Return in a line what the gateway downloaded."""
    if not downloads:
        return "no download"
    cut = sum(each.cut_off for each in downloads)
    ended = f", {cut} cut off" if cut else ""
    at = clock(min(each.at for each in downloads))
    return f"one neutral download by the gateway at {at} ({count(len(downloads), 'request')}{ended})"
