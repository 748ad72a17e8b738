"""``mailveil scan``: report every remote reference of stored mail and contact nobody."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from mailveil.adapters.mailboxes import Stored
from mailveil.adapters.originals import OriginalError
from mailveil.adapters.workerprocess import Failure, Job
from mailveil.adapters.workers import WorkerPool
from mailveil.commands.copies import copies_key
from mailveil.commands.listed import usable_lists
from mailveil.commands.report import ScanReport, host_of
from mailveil.commands.sources import Skipped, read_sources, total_bytes
from mailveil.commands.terminal import complain, console, progress
from mailveil.config import Settings, engine_settings
from mailveil.core.protection import CopyMode
from mailveil.core.verdicts.behaviour import revise
from mailveil.core.verdicts.evidence import FetchEvidence, FetchOutcome, Hop, NameAnswer, NameRecord
from mailveil.core.verdicts.record import verdict_record
from mailveil.core.verdicts.types import Risk, Verdict

if TYPE_CHECKING:
    from mailveil.adapters.canonicalnames import CanonicalNames

RISKS = tuple(Risk)
UNKNOWN_TTL_S = 86_400


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What the command line asked for. ``fail_on`` holds ``tracker``, ``remote`` and levels of risk."""

    paths: tuple[str, ...]
    as_json: bool = False
    fail_on: frozenset[str] = frozenset()
    online: bool = False
    jobs: int = 0
    show_all: bool = False


def scan(request: ScanRequest, settings: Settings) -> int:
    """Scan and print; return 0, 1 where ``fail_on`` matched, or 2 where something could not be read."""
    report = ScanReport(keep_records=not request.as_json)
    began = time.monotonic()
    total = total_bytes(request.paths) if sys.stderr.isatty() else None
    names = _open_names() if request.online else None
    try:
        key = copies_key(settings, create=False)
    except OriginalError as error:
        complain(str(error))
        return 2
    engine = engine_settings(settings, key, mode=CopyMode.NONE, lists=usable_lists(settings))
    matched = False
    with (
        progress(total) as bar,
        WorkerPool(
            engine,
            processes=request.jobs or settings.processes,
            max_bytes=settings.workers.max_bytes,
            timeout_s=settings.workers.timeout_s,
        ) as pool,
    ):
        for job, result in pool.map(_jobs(request, settings, report)):
            bar.advance(len(job.raw))
            if isinstance(result, Failure):
                complain(f"{job.path}: could not be examined: {result}")
                report.failed += 1
                continue
            record = dict(result.record)
            if names is not None:
                record = look_up(record, [verdict for verdict, _token in result.judged], names)
            matched = matched or matches(record, request.fail_on)
            report.add(record)
            if request.as_json:
                print(json.dumps(record))
    if names is not None:
        names.close()
    if not request.as_json:
        report.print(console(), time.monotonic() - began, show_all=request.show_all)
    return 2 if report.failed else 1 if matched else 0


def _jobs(request: ScanRequest, settings: Settings, report: ScanReport) -> Iterator[Job[None]]:
    for each in read_sources(request.paths, settings.gateway.max_message_bytes):
        if isinstance(each, Stored):
            yield Job(each.raw, None, each.path, deliver=False)
        elif isinstance(each, Skipped):
            report.skipped.append(each)
        else:
            complain(f"{each.path}: {each.reason}")
            report.failed += 1


def matches(record: dict[str, Any], fail_on: frozenset[str]) -> bool:
    """Tell whether a message is one that ``--fail-on`` names."""
    references = record["references"]
    if "remote" in fail_on and references:
        return True
    if "tracker" in fail_on and any(each["verdict"] == "tracker" for each in references):
        return True
    return f"risk={record['risk']}" in fail_on


def _open_names() -> CanonicalNames:
    from mailveil.adapters.canonicalnames import CanonicalNames

    return CanonicalNames()


def look_up(record: dict[str, Any], verdicts: Sequence[Verdict], names: CanonicalNames) -> dict[str, Any]:
    """Return a message's record with the names that its hosts lead to, and what those say of its references."""
    hosts = {host for each in record["references"] if (host := host_of(each["url"]))}
    chains = names.look_up(hosts)
    references = []
    for each, verdict in zip_longest(record["references"], verdicts):
        host = host_of(each["url"])
        chain = tuple(chains.get(host, ()))
        told = {**each, "canonical_names": list(chain)}
        if verdict is not None and chain:
            told |= _revised(verdict, NameAnswer(host, _records(host, chain)))
        references.append(told)
    risk = max(
        (record["risk"], *(each["risk"] for each in references)), key=lambda each: RISKS.index(Risk(each))
    )
    return {**record, "risk": risk, "references": references}


def _records(host: str, chain: tuple[str, ...]) -> tuple[NameRecord, ...]:
    # How long the answer may be kept was the resolver's business, and says nothing here.
    return tuple(
        NameRecord(name, "CNAME", UNKNOWN_TTL_S, alias)
        for name, alias in zip((host, *chain), chain, strict=False)
    )


def _revised(verdict: Verdict, answer: NameAnswer) -> dict[str, Any]:
    """Return what changes in a reference's record once it is known where its host name leads."""
    hop = Hop(f"http://{answer.name}/", 0, name=answer)
    told = verdict_record(revise(verdict, FetchEvidence(FetchOutcome.UNREACHABLE, hops=(hop,))))
    operator = told["operator"]
    return {
        "verdict": told["verdict"],
        "kind": told["kinds"][0] if told["kinds"] else None,
        "score": round(told["score"], 3),
        "kinds": told["kinds"],
        "risk": told["risk"],
        "signals": told["signals"],
        "reasons": [
            {"signal": signal, "weight": weight, "words": words} for signal, weight, words in told["reasons"]
        ],
        "operator": operator,
    }
