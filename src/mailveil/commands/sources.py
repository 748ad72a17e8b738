"""Sources: the messages behind the paths of a command line."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailveil.adapters.mailboxes import (
    Kind,
    Stored,
    Unreadable,
    find_files,
    kind_of,
    lines_of,
    read_mbox,
    read_message,
    too_large,
    without_from_line,
)

STANDARD_INPUT = "-"
NO_MAIL = {
    Kind.OTHER: "no mail",
    Kind.CACHE: "made anew by the mail server",
    Kind.UNFINISHED: "unfinished delivery",
    Kind.SPECIAL: "no regular file",
    Kind.FOREIGN: "mail in a format that mailveil does not read",
}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file among messages that holds none."""

    path: str
    reason: str


Source = Stored | Unreadable | Skipped


def read_sources(paths: Sequence[str], max_bytes: int) -> Iterator[Source]:
    """Yield every message behind paths (files, mbox, Maildir, folders, ``-`` for standard input)."""
    for name in paths:
        if name == STANDARD_INPUT:
            yield from read_standard_input(max_bytes)
            continue
        path = Path(name)
        if not path.is_dir():
            yield from _read_named(path, max_bytes)
            continue
        for found in find_files(path):
            if isinstance(found, Unreadable):
                yield found
            elif found.kind is not Kind.FOLDER:
                yield from read_file(found.path, found.kind, max_bytes)


def _read_named(path: Path, max_bytes: int) -> Iterator[Stored | Unreadable]:
    """Read a file that somebody asked for by name: that it holds no mail is a mistake then."""
    try:
        kind = kind_of(path)
    except OSError as error:
        yield Unreadable(str(path), error.strerror or "cannot be read")
        return
    for each in read_file(path, kind, max_bytes):
        yield Unreadable(each.path, each.reason) if isinstance(each, Skipped) else each


def read_file(path: Path, kind: Kind, max_bytes: int) -> Iterator[Source]:
    """Yield the messages of a file of known kind."""
    if kind is Kind.MESSAGE:
        yield read_message(path, max_bytes)
    elif kind is Kind.MBOX:
        try:
            with path.open("rb") as file:
                yield from read_mbox(lines_of(file), str(path), max_bytes)
        except OSError as error:
            yield Unreadable(str(path), error.strerror or "cannot be read")
    elif kind is Kind.FOREIGN:
        yield Unreadable(str(path), NO_MAIL[kind])
    else:
        yield Skipped(str(path), NO_MAIL[kind])


def read_standard_input(max_bytes: int) -> Iterator[Stored | Unreadable]:
    """Yield the messages on standard input: those of an mbox if it begins like one, else a single one."""
    file = sys.stdin.buffer
    try:
        first = file.readline(max_bytes + 1)
        if first.startswith(b"From "):
            yield from read_mbox(itertools.chain((first,), lines_of(file)), STANDARD_INPUT, max_bytes)
        elif first:
            yield read_one_message(max_bytes, first)
        else:  # the command before us in the pipe has failed, most likely
            yield Unreadable(STANDARD_INPUT, "empty")
    except OSError as error:
        yield Unreadable(STANDARD_INPUT, error.strerror or "cannot be read")


def read_one_message(max_bytes: int, beginning: bytes = b"") -> Stored | Unreadable:
    """Read standard input as one message, whatever it looks like. Raises OSError."""
    raw = beginning + sys.stdin.buffer.read(max_bytes + 1)
    if len(raw) > max_bytes:
        return Unreadable(STANDARD_INPUT, too_large(max_bytes))
    return without_from_line(STANDARD_INPUT, raw)


def total_bytes(paths: Sequence[str]) -> int | None:
    """Return how much there is to read, for a progress bar; ``None`` where nobody can tell."""
    total = 0
    for name in paths:
        if name == STANDARD_INPUT:
            return None
        if not os.path.isdir(name):  # noqa: PTH112 - as fast as can be
            total += _size(name)
        for folder, _, files in os.walk(name):
            total += sum(_size(os.path.join(folder, each)) for each in files)  # noqa: PTH118 - as fast as can be
    return total


def _size(name: str) -> int:
    try:
        return os.lstat(name).st_size
    except OSError:
        return 0
