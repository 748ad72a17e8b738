"""Verdicts that commands show once more is known than the message.

Setup: records of messages with hosts that lead elsewhere in the DNS, as ``scan --online`` looks them up; a copy store
and the judge's memory after a message and its fetch.
Test: who is behind an alias is named and counts, an alias of nobody known changes nothing; ``mailveil fetches``
shows the verdict as it stands with what the fetch showed, and names no address where people read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from mailveil.app.building import build_memory, build_store
from mailveil.commands.fetches import list_fetches
from mailveil.commands.scan import look_up
from mailveil.config import load
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings, inspect
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import BodyFacts, FetchEvidence, FetchOutcome, Hop
from mailveil.core.verdicts.types import Finding, Verdict
from mailveil.ports import Judged, SeenMessage, WantedCopy

URL = "https://t.shop.example/o/0f3a9c07d51e8b42.gif?who=anna@example.org"
RAW = (
    b"From: news@shop.example\r\nContent-Type: text/html\r\n\r\n<p>Dear reader, these are the news.</p>"
    b'<img src="https://links.shop.example/open?u=0f3a9c07d51e8b42" width=1 height=1>'
    b'<img src="https://cdn.shop.example/logo.png" width=90 height=40 alt=Logo>'
)


class Names:
    def look_up(self, hosts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        known = {
            "links.shop.example": ("u7.wl.shop.mailgun.org",),
            "cdn.shop.example": ("d1.some-cdn.example", "edge.some-cdn.example"),
        }
        return {host: known.get(host, ()) for host in hosts}


def test_who_is_behind_an_alias_is_named() -> None:
    plan = inspect(RAW, EngineSettings(), Envelope("news@shop.example", ("anna@example.org",)))
    before = plan.record("a.eml")
    verdicts = [each.verdict for each in plan.decisions]
    after = look_up(before, verdicts, Names())  # type: ignore[arg-type]
    pixel, logo = after["references"]
    assert "ALIAS_OF_OPERATOR" in pixel["signals"]
    assert pixel["operator"]["name"] == "Mailgun"
    assert pixel["score"] > before["references"][0]["score"] - 0.001
    assert pixel["canonical_names"] == ["u7.wl.shop.mailgun.org"]
    assert logo == {
        **before["references"][1],
        "canonical_names": ["d1.some-cdn.example", "edge.some-cdn.example"],
    }
    assert set(pixel) == {*before["references"][0], "canonical_names"}
    assert after["risk"] == before["risk"]


def test_verdicts_beyond_those_told_in_full_stay() -> None:
    plan = inspect(RAW, EngineSettings(), Envelope("news@shop.example", ("anna@example.org",)))
    after = look_up(plan.record("a.eml"), [], Names())  # type: ignore[arg-type]
    assert [each["verdict"] for each in after["references"]] == [
        each["verdict"] for each in plan.record("a.eml")["references"]
    ]


def test_fetches_show_the_verdict_as_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path)})
    store, memory = build_store(settings), build_memory(settings)
    assert memory is not None
    content = Verdict(Finding.CONTENT, 0.1, log_odds=-2.2)
    seen = SeenMessage("<1>", "shop.example", "News", ("anna@example.org",), (Judged(URL, content, "token"),))
    hops = (Hop(URL, 200, (("cache-control", "no-store"),), address="192.0.2.1"),)
    evidence = FetchEvidence(FetchOutcome.DRIP_FED, hops=hops, body=BodyFacts(size_bytes=70))

    async def pass_by() -> None:
        await memory.meet(seen)
        wanted = [WantedCopy("token", URL, Media.IMAGE)]
        await store.reserve(wanted)
        await store.release(wanted, immediately=True)
        job = await store.claim()
        assert job is not None
        await store.testify(job, evidence)
        await store.settle(job)
        await memory.learn(URL, evidence)

    asyncio.run(pass_by())
    store.close()
    memory.close()
    assert list_fetches(settings, 10, as_json=False) == 0
    told = capsys.readouterr().out
    assert "tracker (dwell, open)" in told
    assert "the content comes a few bytes at a time" in told
    assert "anna" not in told
    assert "0f3a9c07d51e8b42" not in told
    assert list_fetches(settings, 10, as_json=True) == 0
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert verdict["kinds"] == ["dwell", "open"]
    assert "DRIP_FED" in verdict["signals"]
