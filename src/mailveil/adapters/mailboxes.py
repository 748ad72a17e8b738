"""Mailboxes on disk: messages read from files, mbox, Maildir and folders exactly as they are stored there.

What is read is what is stored. In an mbox the ``>`` that some writers put before ``From `` in a body (mboxo,
mboxrd) stays, so that spans are offsets into the stored message and a cleaned mbox keeps every byte that was
not edited; Content-Length fields are not believed (mboxcl), as most readers don't.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

SNIFFED_BYTES = 65_536
MESSAGE_SUFFIXES = frozenset({".eml", ".email", ".mht", ".mhtml"})
# Mail in formats of single programs. It must not be taken for something that is no mail.
FOREIGN_SUFFIXES = frozenset({".emlx", ".msg", ".pst", ".ost", ".dbx", ".nsf"})
# Files of a mail server beside the messages of a Maildir. Their content depends on the messages' sizes, and
# the server makes them anew, so a cleaned copy must not have them.
SERVER_CACHES = ("dovecot.index", "dovecot.list.index", "dovecot-acl-list", "maildirsize", "courierimapuiddb")
MESSAGE_FIELDS = frozenset(
    b"from to cc subject date message-id received return-path delivered-to mime-version content-type sender "
    b"reply-to x-original-to envelope-to dkim-signature arc-seal arc-authentication-results received-spf "
    b"authentication-results x-mailer user-agent list-unsubscribe list-id in-reply-to references resent-from "
    b"content-transfer-encoding x-received x-spam-status".split()
)
HAS_TIME = re.compile(rb"[0-9]:[0-9]{2}")
HAS_YEAR = re.compile(rb"(?:19|20)[0-9]{2}")
FIELD_START = re.compile(rb"[!-9;-~]++[ \t]*+:")


class Kind(StrEnum):
    """What a file holds."""

    MESSAGE = "message"
    MBOX = "mbox"
    FOREIGN = "foreign"  # mail in a format that is not read here
    OTHER = "other"  # no mail
    CACHE = "cache"  # what a mail server makes anew
    UNFINISHED = "unfinished"  # a delivery that never came to its end (Maildir's tmp)
    SPECIAL = "special"  # no regular file, or a link to a folder
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file or folder below the path that was asked for; ``relative`` is its path from there."""

    path: Path
    relative: Path
    kind: Kind


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is stored. ``before`` and ``after`` are bytes around it that are no part of it.

    ``before`` is the From_ line of an mbox entry, ``after`` the line that separates it from the next.
    """

    path: str
    raw: bytes
    before: bytes = b""
    after: bytes = b""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that should hold mail and cannot be read."""

    path: str
    reason: str


def find_files(root: Path) -> Iterator[FoundFile | Unreadable]:
    """Yield every file below a folder, folders before what they hold, in order of their names.

    Links to folders are not followed; nothing but regular files is ever opened.
    """
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Unreadable(str(folder), error.strerror or "cannot be listed")
            continue
        folders: list[Path] = []
        in_maildir = folder.name in {"cur", "new", "tmp"} and is_maildir(folder.parent)
        for entry in listed:
            path = Path(entry.path)
            relative = path.relative_to(root)
            if entry.is_dir(follow_symlinks=False):
                yield FoundFile(path, relative, Kind.FOLDER)
                folders.append(path)
                continue
            try:
                kind = _maildir_kind(entry, folder.name) if in_maildir else kind_of(path)
            except OSError as error:
                yield Unreadable(entry.path, error.strerror or "cannot be read")
            else:
                yield FoundFile(path, relative, kind)
        waiting.extend(reversed(folders))


def is_maildir(folder: Path) -> bool:
    """Tell whether a folder is a Maildir, a subfolder of a Maildir++ included."""
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


def kind_of(path: Path) -> Kind:
    """Tell what a file holds, from its name and beginning. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        return Kind.SPECIAL
    if path.name.startswith(SERVER_CACHES):
        return Kind.CACHE
    suffix = path.suffix.lower()
    if suffix in FOREIGN_SUFFIXES:
        return Kind.FOREIGN
    if suffix in MESSAGE_SUFFIXES:
        return Kind.MESSAGE
    with path.open("rb") as file:
        beginning = file.read(SNIFFED_BYTES)
    if suffix == ".mbox" and beginning.startswith(b"From "):
        return Kind.MBOX
    return sniff(beginning)


def _maildir_kind(entry: os.DirEntry[str], folder: str) -> Kind:
    if not entry.is_file():
        return Kind.SPECIAL
    if folder == "tmp":
        return Kind.UNFINISHED
    return Kind.OTHER if entry.name.startswith(".") else Kind.MESSAGE


def sniff(beginning: bytes) -> Kind:
    """Tell mail from other files by their beginning: a header with at least one field that only mail has."""
    beginning = beginning.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    is_mbox = beginning.startswith((b"From ", b">From "))
    for line in beginning.splitlines()[is_mbox:]:
        if not line:
            break
        if line[:1] in b" \t":
            continue
        if not FIELD_START.match(line):
            break
        if line[: line.index(b":")].rstrip().lower() in MESSAGE_FIELDS:
            return Kind.MBOX if is_mbox else Kind.MESSAGE
    return Kind.OTHER


def read_message(path: Path, max_bytes: int) -> Stored | Unreadable:
    """Read a file that holds one message, with or without a From_ line before it."""
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        return Unreadable(str(path), error.strerror or "cannot be read")
    if len(raw) > max_bytes:
        return Unreadable(str(path), too_large(max_bytes))
    return without_from_line(str(path), raw)


def without_from_line(path: str, raw: bytes) -> Stored:
    """Set the From_ line apart that mail comes with in pipes of an MTA and in some files."""
    if not raw.startswith(b"From "):
        return Stored(path, raw)
    end = raw.find(b"\n") + 1 or len(raw)
    return Stored(path, raw[end:], before=raw[:end])


def too_large(max_bytes: int) -> str:
    """Say that a message is too large."""
    return f"larger than {max_bytes:,} bytes (gateway.max_message_bytes)"


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, long ones in pieces, so that memory stays bounded."""
    return iter(lambda: file.readline(SNIFFED_BYTES), b"")


def read_mbox(lines: Iterable[bytes], path: str, max_bytes: int) -> Iterator[Stored | Unreadable]:
    """Yield the messages of an mbox one by one, labelled ``path#1``, ``path#2`` …

    ``lines`` are those of ``lines_of``. A message begins at a line ``From `` that a header field follows and
    that stands at the beginning, after an empty line, or elsewhere if it has a time and a year (some writers
    forget the empty line). One after an empty line that has a time and a year begins a message whatever
    follows, since most readers take it so, and a message's first line may be no field. Time is linear in the
    length, memory bounded by ``max_bytes``. ``before``, ``raw`` and ``after`` of all that is yielded make up
    the file. Raises OSError.
    """
    entry = _Entry(path, 0, max_bytes)
    candidate = b""
    after_empty = at_line_start = True
    is_certain = False
    for line in lines:
        if candidate:
            if is_certain or FIELD_START.match(line) or line.startswith(b">From "):
                if entry.number or entry.size:
                    yield entry.finish()
                entry = _Entry(path, entry.number + 1, max_bytes, candidate)
            else:
                entry.add(candidate)
            candidate = b""
            after_empty = False
        if at_line_start and line.startswith(b"From ") and (after_empty or _is_dated(line)):
            candidate = line
            is_certain = after_empty and _is_dated(line)
        else:
            entry.add(line)
        after_empty = at_line_start and line in (b"\n", b"\r\n")
        at_line_start = line.endswith(b"\n")
    if candidate:
        entry.add(candidate)
    if entry.number or entry.size:
        yield entry.finish()


def _is_dated(line: bytes) -> bool:
    return HAS_TIME.search(line) is not None and HAS_YEAR.search(line) is not None


class _Entry:
    """An mbox entry while it is read. Number 0 is what stands before the first From_ line."""

    def __init__(self, path: str, number: int, max_bytes: int, before: bytes = b"") -> None:
        self.path = path
        self.number = number
        self.size = 0
        self._before = before
        self._max_bytes = max_bytes
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Take one more line, if there is still room."""
        self.size += len(line)
        if self.size > self._max_bytes:
            self._lines.clear()
        else:
            self._lines.append(line)

    def finish(self) -> Stored | Unreadable:
        """Return the message with its separator set apart."""
        label = f"{self.path}#{max(self.number, 1)}"
        if self.size > self._max_bytes:
            return Unreadable(label, too_large(self._max_bytes))
        raw = b"".join(self._lines)
        for separator in (b"\r\n", b"\n"):
            if raw.endswith(b"\n" + separator):
                return Stored(label, raw[: -len(separator)], self._before, separator)
        return Stored(label, raw, self._before)


def split_readings(stored: Stored) -> list[Stored]:
    """Return the messages that a reader of mbox would see in a message, or none if just that one.

    A message in a file or pipe may hold lines that begin with ``From ``; who takes it for an mbox sees more
    than one message there, and both readings have to be silent.
    """
    if b"\nFrom " not in stored.raw:
        return []
    whole = (stored.before or b"From - Thu Jan  1 00:00:00 1970\n") + stored.raw
    pieces = [
        each
        for each in read_mbox(lines_of(io.BytesIO(whole)), stored.path, len(whole))
        if isinstance(each, Stored)
    ]
    if len(pieces) < 2:
        return []
    if not stored.before:
        pieces[0] = Stored(pieces[0].path, pieces[0].raw, b"", pieces[0].after)
    return pieces
