"""The role egress as it is served, and what `mailveil check` and `mailveil fetches` say of exits and fetches.

Setup: two sets of settings, one of the machine that is the exit and one of the gateway that uses it, on loopback.
Test: the exit is there only when asked for; check shakes hands with it and contacts nobody; fetches are listed by
host for people, and with everything as JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.test_fetching_once import serving
from mailveil.adapters import exitserver
from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.adapters.exits import Exit, ExitScheme, UnreachableError
from mailveil.app import Outcome, Role, StartError, check, serve
from mailveil.app.building import build_store
from mailveil.app.roles import ALL_ROLES
from mailveil.commands.fetches import list_fetches
from mailveil.config import Settings, load
from mailveil.config.values import Endpoint
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import BodyFacts, FetchEvidence, FetchOutcome, Hop
from mailveil.ports import WantedCopy
from origin_room import LOOPBACK


def settings_of(folder: Path, **more: str) -> Settings:
    return load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(folder), **more})


@asynccontextmanager
async def exit_running(folder: Path, **more: str) -> AsyncIterator[tuple[Endpoint, list[str]]]:
    settings = settings_of(folder, MAILVEIL_EGRESS__LISTEN="127.0.0.1:0", **more)
    said: list[str] = []
    ports: dict[Role, Endpoint] = {}
    stop, started = asyncio.Event(), asyncio.Event()

    def note(found: dict[Role, Endpoint]) -> None:
        ports.update(found)
        started.set()

    task = asyncio.create_task(serve(settings, {Role.EGRESS}, say=said.append, started=note, stop=stop))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if task.done():
            await task
        yield ports[Role.EGRESS], said
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


def test_it_is_no_part_of_what_is_served_by_default() -> None:
    assert Role.EGRESS not in ALL_ROLES


def test_check_shakes_hands_with_the_exit_and_contacts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        password = tmp_path / "password"
        password.write_text("s3cret\n")
        mine = {"MAILVEIL_EGRESS__USER": "me", "MAILVEIL_EGRESS__PASSWORD_FILE": str(password)}
        async with (
            serving() as (resolver, resolver_port),
            exit_running(tmp_path / "exit", **mine) as (listen, said),
        ):
            monkeypatch.setattr(exitserver, "system_resolver", lambda: (LOOPBACK, resolver_port))
            assert any(f"socks5://{listen}" in line for line in said)
            assert any("clear text" in line for line in said)
            assert "s3cret" not in "".join(said)

            async def outcome(exits: str) -> tuple[Outcome, str]:
                results = await check(settings_of(tmp_path / "gateway", MAILVEIL_FETCH__EXITS=exits))
                (found,) = [each for each in results if each.name == "exit"]
                assert "s3cret" not in found.text
                return found.outcome, found.text

            assert (await outcome(f"socks5://me:s3cret@{listen}"))[0] is Outcome.GOOD
            assert (await outcome(f"socks5://me:wrongs3cret@{listen}"))[0] is Outcome.BAD
            assert (await outcome(f"socks5://{listen}"))[0] is Outcome.BAD
            assert (await outcome("http://127.0.0.1:9"))[0] is Outcome.BAD
            assert resolver.requests == [], "connecting is enough to know"
            way_out = Exit(ExitScheme.SOCKS5, listen.host, listen.port, "me", "s3cret")
            with pytest.raises(UnreachableError):
                await way_out.connect(LOOPBACK, resolver_port, 5.0)

    asyncio.run(work())


def test_without_exits_check_says_whose_address_is_seen(tmp_path: Path) -> None:
    results = asyncio.run(check(settings_of(tmp_path)))
    (fetching,) = [each for each in results if each.name == "fetching"]
    assert "fetches come from this machine's own address" in fetching.text
    assert not [each for each in results if each.name == "exit"]


@pytest.mark.parametrize(
    "more",
    [
        {"MAILVEIL_EGRESS__LISTEN": "0.0.0.0:0"},
        {"MAILVEIL_EGRESS__CERTIFICATE_FILE": "/nowhere.pem", "MAILVEIL_EGRESS__LISTEN": "127.0.0.1:0"},
        {"MAILVEIL_EGRESS__USER": "me", "MAILVEIL_EGRESS__PASSWORD_FILE": "/nowhere"},
    ],
)
def test_what_would_let_everybody_out_does_not_start(tmp_path: Path, more: dict[str, str]) -> None:
    async def work() -> None:
        with pytest.raises(StartError, match=r"\[egress\]"):
            await serve(settings_of(tmp_path, **more), {Role.EGRESS}, say=lambda _line: None)

    asyncio.run(work())


def test_fetches_are_listed_by_host_and_in_full_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(tmp_path)
    assert list_fetches(settings, 10, as_json=False) == 0
    assert "no fetch is on record" in capsys.readouterr().out
    store = build_store(settings)
    url = "https://t.example/open?who=anna@example.org"
    evidence = FetchEvidence(
        FetchOutcome.HTTP_ERROR, "404",
        (Hop(url, 302), Hop("https://anna-123.v.example/x\x1b[31m", 404)), BodyFacts(size_bytes=7), "", 1.5,
    )  # fmt: skip

    async def record(store: SqliteCopyStore) -> None:
        wanted = [WantedCopy("token", url, Media.IMAGE)]
        await store.reserve(wanted)
        await store.release(wanted, immediately=True)
        job = await store.claim()
        assert job is not None
        await store.testify(job, evidence)
        await store.settle(job)

    asyncio.run(record(store))
    store.close()
    assert list_fetches(settings, 10, as_json=False) == 0
    line = capsys.readouterr().out
    for shown in ("http-error", "t.example > v.example", "2 requests", "7 bytes", "1.50 s"):
        assert shown in line
    assert "anna" not in line, "a name of the DNS may be one reader's own"
    assert "\x1b" not in line
    assert list_fetches(settings, 10, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["url"] == url
    assert told["outcome"] == "http-error"
    assert [hop["status"] for hop in told["hops"]] == [302, 404]
