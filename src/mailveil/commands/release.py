"""``mailveil release``: list originals that are kept, and bring one back."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mailveil.adapters.newfiles import write_file
from mailveil.adapters.originals import OriginalStore, load_key
from mailveil.commands.inroom import in_room
from mailveil.commands.terminal import complain, console, printable
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.auditing import audit
from mailveil.control.originals import MAX_REASON
from mailveil.control.room import ControlRoom


def open_originals(settings: Settings) -> OriginalStore:
    """Return the store of originals. Raises OriginalError."""
    return OriginalStore(
        settings.directory / "originals",
        load_key(settings.originals_key_file),
        settings.policy.originals_days,
        settings.policy.originals_max_bytes,
    )


def list_originals(settings: Settings) -> int:
    """Print what is kept. Raises OriginalError."""
    from rich.table import Table

    kept = open_originals(settings).list()
    if not kept:
        print(f"No originals are kept in {settings.directory / 'originals'}.")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Name", "Kept", "Bytes", "From", "Subject", "Why"):
        table.add_column(name, no_wrap=name in ("Name", "Kept", "Bytes"))
    for each in kept:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.kept_at))
        facts = each.facts
        row = (each.identifier, at, f"{each.stored_bytes:,}", facts.sender, facts.subject)
        table.add_row(*(printable(cell) for cell in (*row, each.problem or facts.reason)))
    console().print(table)
    return 0


@dataclass(frozen=True, slots=True)
class Release:
    """Which original is wanted, where it goes, and what the audit trail is told."""

    name: str
    output: str
    reason: str
    organisation: str
    is_unrecorded: bool = False


def release_original(settings: Settings, wanted: Release) -> int:
    """Write an original to a new file or standard output, once that is on record. Raises OriginalError."""
    if wanted.output != "-" and Path(wanted.output).exists():
        complain(f"{wanted.output}: exists already")
        return 2
    raw = open_originals(settings).release(wanted.name)
    reason = " ".join(wanted.reason.split())
    if not wanted.is_unrecorded and (not reason or len(reason) > MAX_REASON):
        complain(f"a reason is needed, of at most {MAX_REASON} characters; give --reason")
        return 2
    if not wanted.is_unrecorded:
        failed = in_room(
            settings, lambda room, actor: _record(room, actor, wanted.name, reason), wanted.organisation
        )
        if failed:
            complain("nothing is released without a record; with --unrecorded, the database is not asked")
            return failed
    if wanted.output == "-":
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return 0
    try:
        write_file(Path(wanted.output), raw, None)
    except OSError as error:
        complain(f"{wanted.output}: {error.strerror}")
        return 2
    return 0


async def _record(room: ControlRoom, actor: Actor, name: str, reason: str) -> int:
    await audit(room, actor, "original.release", name, reason=reason)
    return 0
