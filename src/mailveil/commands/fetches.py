"""Listing what was fetched: for people by domain alone, as JSON everything that is on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime

import click

from mailveil.adapters.resolver import registrable_domain
from mailveil.app.building import build_memory, build_store
from mailveil.app.fetching import host_of
from mailveil.commands.terminal import complain, printable
from mailveil.config import Settings
from mailveil.core.verdicts.evidence import evidence_record
from mailveil.core.verdicts.record import verdict_record
from mailveil.core.verdicts.types import Verdict
from mailveil.ports import PastFetch, UnavailableError

UNUSABLE = 2


def list_fetches(settings: Settings, limit: int, *, as_json: bool) -> int:
    """Print the latest fetches, newest first; return the exit code."""
    store, memory = build_store(settings), build_memory(settings)
    verdicts: Mapping[str, Verdict] = {}
    try:
        found = asyncio.run(store.past_fetches(limit))
        if memory is not None and found:
            verdicts = asyncio.run(memory.verdicts_on([each.url for each in found]))
    except UnavailableError as error:
        complain(str(error))
        return UNUSABLE
    finally:
        store.close()
        if memory is not None:
            memory.close()
    for each in found:
        verdict = verdicts.get(each.url)
        click.echo(_as_json(each, verdict) if as_json else _as_line(each, verdict))
    if not found and not as_json:
        click.echo("no fetch is on record")
    return 0


def _as_line(past: PastFetch, verdict: Verdict | None) -> str:
    evidence = past.evidence
    at = datetime.fromtimestamp(past.at).astimezone().isoformat(" ", "seconds")
    # The names below a domain may be one reader's own.
    urls = [hop.url for hop in evidence.hops] or [past.url]
    hosts = " > ".join(dict.fromkeys(registrable_domain(host_of(url)) for url in urls))
    size = f"{evidence.body.size_bytes:,} bytes" if evidence.body.size_bytes else "-"
    requests = f"{len(evidence.hops)} request{'' if len(evidence.hops) == 1 else 's'}"
    line = f"{at}  {evidence.outcome:18} {past.media:10} {evidence.seconds:6.2f} s  {size:>18}  {requests}  {hosts}"
    if past.is_as_of_delivery:
        line += "  as of delivery"
    return printable(line) + (f"\n    {printable(_in_words(verdict))}" if verdict else "")


def _in_words(verdict: Verdict) -> str:
    """Return the verdict as it stands now, with what weighed most; no word of it comes from a message."""
    kinds = f" ({', '.join(verdict.kinds)})" if verdict.kinds else ""
    operator = f", run by {verdict.operator.name}" if verdict.operator else ""
    reasons = "; ".join(each.words for each in verdict.reasons)
    return f"{verdict.kind_of_reference}{kinds}, {verdict.score:.0%}{operator}: {reasons}"


def _as_json(past: PastFetch, verdict: Verdict | None) -> str:
    told = {
        "at": past.at,
        "media": past.media,
        "url": past.url,
        "as_of_delivery": past.is_as_of_delivery,
        **evidence_record(past.evidence),
    }
    return json.dumps({**told, "verdict": None if verdict is None else verdict_record(verdict)})
