"""The terminal: text from strangers' mail made safe to show, progress bars, complaints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


def printable(text: str) -> str:
    """Return text without anything that a terminal would obey or that would hide or reorder what is read.

    Control and format characters (escape sequences, bidirectional marks, line breaks) show as escapes.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if character in "\t\n\r\u00a0" or character.isspace():
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def complain(text: str) -> None:
    """Write one line to standard error."""
    print(f"mailveil: {printable(text)}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Write one line that is no complaint to standard error, which leaves standard output to results."""
    print(printable(text), file=sys.stderr, flush=True)


def count(number: int, noun: str) -> str:
    """Return a number with what is counted: ``1 message``, ``2,000 messages``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def console() -> Console:
    """Return the console for results: as wide as the terminal, or wide enough for a file or pipe."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else 140
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False, width=wide)


class Progress(Protocol):
    """Something that is told how far the work has come."""

    def advance(self, size_bytes: int) -> None:
        """Take note that one more message of this size is done."""
        ...


class _Silence:
    def advance(self, size_bytes: int) -> None:
        del size_bytes


@contextmanager
def progress(total_bytes: int | None) -> Iterator[Progress]:
    """Show a progress bar on standard error while the block runs, if that is a terminal."""
    if not sys.stderr.isatty():
        yield _Silence()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    counted = TextColumn("{task.fields[messages]} messages")
    columns = (counted, BarColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total_bytes, messages=0)

        class Shown:
            messages = 0

            def advance(self, size_bytes: int) -> None:
                self.messages += 1
                bar.update(task, advance=size_bytes, messages=self.messages)

        yield Shown()
