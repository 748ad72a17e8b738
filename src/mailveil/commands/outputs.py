"""Outputs: what may be written where, and how cleaned messages become files again."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mailveil.adapters.mailboxes import Kind, Stored, kind_of, split_readings
from mailveil.adapters.newfiles import new_file
from mailveil.adapters.workerprocess import Answer, Failure, Job
from mailveil.adapters.workers import WorkerPool
from mailveil.commands.sources import NO_MAIL


class UnusableError(Exception):
    """What was asked for cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a cleaned message goes: a file of its own, or the next place in an mbox."""

    path: Path
    like: os.stat_result
    stored: Stored
    is_mbox: bool = False


class Writer:
    """Writes mbox files entry by entry; each takes its place once its last entry is there."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def append(self, destination: Destination, entry: bytes) -> None:
        """Append to the mbox of a destination; another one before it is finished by that. Raises OSError."""
        if destination.path != self._path or self._file is None:
            self._stack.close()
            self._path = destination.path
            self._file = self._stack.enter_context(new_file(destination.path, destination.like))
        self._file.write(entry)


def mbox_entry(stored: Stored, raw: bytes) -> bytes:
    """Return an entry as it stands in an mbox; an edit must not make a line that begins another message."""
    if raw.count(b"\nFrom ") > stored.raw.count(b"\nFrom "):
        raw = raw.replace(b"\nFrom ", b"\n>From ")
    return stored.before + raw + stored.after


def both_readings(pool: WorkerPool, stored: Stored, answer: Answer) -> bytes:
    """Return a cleaned message that is silent, too, for a reader that takes its file for an mbox.

    Raises UnusableError where that cannot be had.
    """
    pieces = split_readings(Stored(stored.path, answer.raw, stored.before))
    if not pieces:
        return stored.before + answer.raw + stored.after
    done: list[bytes] = []
    for piece in pieces:
        result = pool.submit(Job(piece.raw, None, piece.path)).result()
        if isinstance(result, Failure):
            raise UnusableError(f"{piece.path}: could not be examined: {result}")
        done.append(piece.before + result.raw + piece.after)
    return b"".join(done) + stored.after


def usable_kind(source: Path) -> Kind:
    """Tell what is to be cleaned; raise UnusableError where there is no mail in it."""
    try:
        if source.is_dir():
            return Kind.FOLDER
        kind = kind_of(source)
    except OSError as error:
        raise UnusableError(f"{source}: {error.strerror}") from error
    if kind not in (Kind.MESSAGE, Kind.MBOX):
        raise UnusableError(f"{source}: {NO_MAIL[kind]}")
    return kind


def check_output(source: Path, output: Path, *, is_folder: bool, force: bool) -> None:
    """Raise UnusableError where writing ``output`` would endanger something."""
    here, there = source.resolve(), output.resolve()
    if there == here:
        raise UnusableError(f"{output}: is the input itself; it is never written over")
    if is_folder and there.is_relative_to(here):
        raise UnusableError(f"{output}: lies inside the input {source}")
    if is_folder and here.is_relative_to(there):
        raise UnusableError(f"{output}: holds the input {source}")
    if not there.parent.is_dir():
        raise UnusableError(f"{output}: there is no folder {there.parent}")
    if not there.exists():
        return
    if there.is_dir() != is_folder:
        what = "a folder" if is_folder else "a file"
        raise UnusableError(f"{output}: must be {what}, as {source} is")
    if not force and not (is_folder and not any(there.iterdir())):
        raise UnusableError(f"{output}: exists already; --force writes over it")
