"""``mailveil copies``: counts them and deletes them, through the command line that an administrator has.

Setup: a store in a temporary directory with three copies, their addresses made with the store's own key.
Test: the program is run as it is; what it deleted is a placeholder, and the rest is still there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from mailveil.app.building import build_addresses, build_store
from mailveil.cli import invoke
from mailveil.config import Settings, load
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import FetchEvidence, FetchOutcome, Hop
from mailveil.ports import CopyStore, WantedCopy


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MAILVEIL_STORAGE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return load(None)


@pytest.fixture
def tokens(settings: Settings) -> list[str]:
    (settings.directory).mkdir(parents=True)
    addresses = build_addresses(settings)
    hosts = ("a.shop.example", "b.shop.example", "other.example")
    tokens = [addresses.derive(b"m", f"https://{host}/x", "image") for host in hosts]
    wanted = [
        WantedCopy(token, f"https://{host}/x", Media.IMAGE) for token, host in zip(tokens, hosts, strict=True)
    ]
    store = build_store(settings)

    async def fill() -> None:
        await store.reserve(wanted)
        await store.release(wanted, immediately=True)
        while job := await store.claim():
            body = b"same" if "shop" in job.url else b"other"
            await store.put(job, body, "image/png")
            await store.testify(job, FetchEvidence(FetchOutcome.FETCHED, "", (Hop(job.url, 200),)))

    asyncio.run(fill())
    store.close()
    return tokens


def run(*arguments: str) -> int:
    return invoke(["copies", *arguments])


def bodies(settings: Settings, tokens: list[str]) -> list[bytes]:
    store = build_store(settings)

    async def read(store: CopyStore) -> list[bytes]:
        return [(await store.get(token)).body for token in tokens]

    try:
        return asyncio.run(read(store))
    finally:
        store.close()


def test_what_there_is(settings: Settings, tokens: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["addresses"], told["contents"], told["stored"], told["bytes"]) == (3, 2, 3, 9)
    assert told["oldest"] > 1e9
    assert run() == 0
    text = capsys.readouterr().out
    assert "10,737,418,240" in text
    assert not any(token in text for token in tokens)


def test_by_address_token_and_content(
    settings: Settings, tokens: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("delete", "--yes", f"https://copies.example/c/{tokens[0]}", tokens[2]) == 0
    assert bodies(settings, tokens) == [b"", b"same", b""]
    assert run("delete", "--yes", hashlib.sha256(b"same").hexdigest()) == 0
    assert bodies(settings, tokens) == [b"", b"", b""]
    assert run("delete", "--yes", tokens[0]) == 1
    said = "".join(capsys.readouterr())
    assert not any(token in said for token in tokens)


def test_by_host_and_all_below_it(settings: Settings, tokens: list[str]) -> None:
    assert run("delete", "--yes", "--host", "hop.example") == 0
    assert bodies(settings, tokens) == [b"same", b"same", b"other"]
    assert run("delete", "--yes", "--host", "shop.example") == 0
    assert bodies(settings, tokens) == [b"", b"", b"other"]


def test_by_age(settings: Settings, tokens: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("delete", "--yes", "--older-than", "1") == 0
    assert b"other" in bodies(settings, tokens)
    assert run("delete", "--yes", "--older-than", "0") == 0
    assert "3 addresses" in capsys.readouterr().out
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 0


@pytest.mark.parametrize(
    "arguments", [(), ("no-token",), ("A" * 40,), ("https://elsewhere.example/c/x",), ("--host", "-x y")]
)
def test_what_cannot_be_deleted_is_said(
    settings: Settings, tokens: list[str], arguments: tuple[str, ...]
) -> None:
    assert run("delete", "--yes", *arguments) == 2
    assert bodies(settings, tokens) == [b"same", b"same", b"other"]


def test_nobody_to_ask_is_no(settings: Settings, tokens: list[str]) -> None:
    assert run("delete", tokens[0]) == 1
    assert bodies(settings, tokens) == [b"same", b"same", b"other"]
