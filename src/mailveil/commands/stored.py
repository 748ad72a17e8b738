"""Stored copies: what there is of them, and having them deleted."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import click

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.adapters.originals import OriginalError
from mailveil.app.building import build_addresses, build_store
from mailveil.commands.terminal import complain
from mailveil.config import Settings
from mailveil.ports import UnavailableError

UNUSABLE = 2
NOT_DONE = 1
DAY_S = 86_400.0
SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is to be deleted: ``what`` are addresses, tokens and content hashes, ``older_than`` days, or a ``host``."""

    what: tuple[str, ...] = ()
    older_than: int | None = None
    host: str = ""
    assume_yes: bool = False


def show_copies(settings: Settings, *, as_json: bool) -> int:
    """Print what copies there are; return the exit code."""
    store = build_store(settings)
    try:
        found = asyncio.run(store.inventory())
    except UnavailableError as error:
        complain(str(error))
        return UNUSABLE
    finally:
        store.close()
    found = {
        **found,
        "max_bytes": settings.copies.max_store_bytes,
        "retention_days": settings.copies.retention_days,
    }
    if as_json:
        click.echo(json.dumps(found))
        return 0
    oldest = found["oldest"]
    since = datetime.fromtimestamp(oldest).astimezone().isoformat(" ", "minutes") if oldest else "none"
    days = f"for {settings.copies.retention_days} days" if settings.copies.retention_days else "for ever"
    waiting = sum(int(found[state] or 0) for state in ("reserved", "released", "attempted"))
    click.echo(f"addresses     {found['addresses']:>15,}  in mail, kept {days}; oldest {since}")
    click.echo(f"contents      {found['contents']:>15,}  stored once each")
    click.echo(f"bytes         {found['bytes']:>15,}  of at most {settings.copies.max_store_bytes:,}")
    click.echo(f"stored        {found['stored']:>15,}  fetches with a safe copy")
    click.echo(f"placeholders  {found['placeholder']:>15,}  fetches without")
    click.echo(f"waiting       {waiting:>15,}  fetches not made yet")
    return 0


def delete_copies(settings: Settings, deletion: Deletion) -> int:
    """Delete copies, after asking where there is somebody to ask; return the exit code."""
    try:
        tokens, hashes = _sorted(settings, deletion.what)
    except (ValueError, OriginalError) as error:
        complain(str(error))
        return UNUSABLE
    if deletion.host and not HOST.fullmatch(deletion.host):
        complain(f"not a host name: {deletion.host!r}")
        return UNUSABLE
    if not (tokens or hashes or deletion.host or deletion.older_than is not None):
        complain("name what to delete: addresses, content hashes, --older-than or --host")
        return UNUSABLE
    if not _is_agreed(deletion):
        complain("nothing was deleted")
        return NOT_DONE
    store = build_store(settings)
    try:
        return asyncio.run(_delete(store, tokens, hashes, deletion))
    except UnavailableError as error:
        complain(str(error))
        return UNUSABLE
    finally:
        store.close()


async def _delete(store: SqliteCopyStore, tokens: list[str], hashes: list[str], deletion: Deletion) -> int:
    code = 0

    async def each(values: list[str], delete: Callable[[str], Awaitable[int]], what: str) -> int:
        gone = 0
        for value in values:
            count = await delete(value)
            if not count:
                complain(f"{what} is not in the store: {value[:8]}…")
            gone += bool(count)
        return len(values) - gone

    missing = await each(tokens, store.delete_token, "a copy of this address")
    missing += await each(hashes, store.delete_content, "this content")
    if tokens or hashes:
        click.echo(f"{len(tokens) + len(hashes) - missing:,} deleted")
        code = NOT_DONE if missing else 0
    if deletion.older_than is not None:
        gone = await store.delete_older(time.time() - deletion.older_than * DAY_S)
        click.echo(f"{gone:,} addresses older than {deletion.older_than:,} days deleted")
    if deletion.host:
        gone = await store.delete_urls(await store.fetched_from(deletion.host))
        click.echo(f"{gone:,} copies fetched from {deletion.host} deleted, as far back as evidence is kept")
    return code


def _sorted(settings: Settings, what: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return tokens and content hashes; raise ``ValueError`` for what is neither."""
    hashes = [each for each in what if SHA256.fullmatch(each)]
    rest = [each for each in what if not SHA256.fullmatch(each)]
    addresses = build_addresses(settings) if rest else None
    tokens: list[str] = []
    for each in rest:
        token = urlsplit(each).path.rpartition("/")[2] if "/" in each else each
        if addresses is None or not addresses.is_token(token):
            raise ValueError(
                "neither an address of one of our copies nor a content hash (SHA-256): " + each[:12] + "…"
            )
        tokens.append(token)
    return tokens, hashes


def _is_agreed(deletion: Deletion) -> bool:
    if deletion.assume_yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        complain("say --yes where nobody can be asked")
        return False
    print(
        "Mail that shows these copies will show placeholders for ever. Delete them? [y/N] ",
        end="",
        file=sys.stderr,
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
