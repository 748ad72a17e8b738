"""``mailveil release``: list originals that are kept, and bring one back."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mailveil.adapters.newfiles import write_file
from mailveil.adapters.originals import OriginalStore, load_key
from mailveil.commands.terminal import complain, console, printable
from mailveil.config import Settings


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


def release_original(settings: Settings, name: str, output: str) -> int:
    """Write an original to a new file or standard output. Raises OriginalError."""
    raw = open_originals(settings).release(name)
    if output == "-":
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return 0
    if Path(output).exists():
        complain(f"{output}: exists already")
        return 2
    try:
        write_file(Path(output), raw, None)
    except OSError as error:
        complain(f"{output}: {error.strerror}")
        return 2
    return 0
