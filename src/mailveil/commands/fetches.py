"""Listing what was fetched: for people by domain alone, as JSON everything that is on record."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

import click

from mailveil.adapters.fetchqueue import PastFetch
from mailveil.adapters.resolver import registrable_domain
from mailveil.app.building import build_store
from mailveil.app.fetching import host_of
from mailveil.commands.terminal import complain, printable
from mailveil.config import Settings
from mailveil.core.verdicts.evidence import evidence_record
from mailveil.ports import UnavailableError

UNUSABLE = 2


def list_fetches(settings: Settings, limit: int, *, as_json: bool) -> int:
    """Print the latest fetches, newest first; return the exit code."""
    store = build_store(settings)
    try:
        found = asyncio.run(store.past_fetches(limit))
    except UnavailableError as error:
        complain(str(error))
        return UNUSABLE
    finally:
        store.close()
    for each in found:
        click.echo(_as_json(each) if as_json else _as_line(each))
    if not found and not as_json:
        click.echo("no fetch is on record")
    return 0


def _as_line(past: PastFetch) -> str:
    evidence = past.evidence
    at = datetime.fromtimestamp(past.at).astimezone().isoformat(" ", "seconds")
    # The names below a domain may be one reader's own.
    urls = [hop.url for hop in evidence.hops] or [past.url]
    hosts = " > ".join(dict.fromkeys(registrable_domain(host_of(url)) for url in urls))
    size = f"{evidence.body.size_bytes:,} bytes" if evidence.body.size_bytes else "-"
    requests = f"{len(evidence.hops)} request{'' if len(evidence.hops) == 1 else 's'}"
    line = f"{at}  {evidence.outcome:18} {past.media:10} {evidence.seconds:6.2f} s  {size:>18}  {requests}  {hosts}"
    return printable(line)


def _as_json(past: PastFetch) -> str:
    return json.dumps({"at": past.at, "media": past.media, "url": past.url, **evidence_record(past.evidence)})
