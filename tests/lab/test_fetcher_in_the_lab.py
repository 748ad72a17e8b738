"""The fetcher against every origin of the lab, as the product composes it.

Setup: a network namespace in which every address is local and the lab answers on all of them, and in it the queue,
guard, exits, HTTP client, sandbox and copy store with the settings' defaults (and no delay): one message's worth of
copies, wanted of every tracker, every hostile and every honest origin at once.
Test: no hostile origin gets further than a placeholder, or to a copy that has nothing of its own; nobody inside is
contacted, though who goes there is seen; each tracker is asked once and told nothing; honest content arrives.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits
from mailveil.lab import Learns, Origin, OriginKind
from mailveil.lab.laboratory import registry

ROOM = Path(__file__).with_name("fetching_room.py")
REGISTRY = registry()
HOSTILE = REGISTRY.of_kind(OriginKind.HOSTILE)
# Their answers are pictures or sheets in earnest, besides what else they are: a copy may be made, cleansed.
CLEANSED = frozenset(
    {"script-gif", "page-png", "commented-jpeg", "archive-gif", "active-svg", "sheet-inside", "entity-bomb"}
)
# Their pictures are whole, and only what is said about them is wrong.
WHOLE = frozenset({"huge-length", "wrong-checksum-png", "truncated-png", "long-length", "two-lengths"})
# Of an animation too long, as much is shown as the limits allow.
SHORTENED = frozenset({"frame-bomb"})
NO_ANSWER_FROM_DNS = frozenset({"name-silent", "name-slow", "name-circle"})
MOST_MIB = 1536


def _missing() -> str:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "util-linux and iproute2"
    tried = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the right to create network namespaces"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if missing := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the fetcher's room needs {missing}")
        pytest.skip(f"the fetcher's room needs {missing}")
    folder = tmp_path_factory.mktemp("room")
    command = ["unshare", "-n", "-m", sys.executable, str(ROOM), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _asked(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [each for each in result["origins"][name]["contacts"] if each["kind"] == "http"]


def test_who_goes_inside_is_seen(result: dict[str, Any]) -> None:
    assert set(result["trapped"]) == set(result["inner"]), "the trap works"


def test_nobody_inside_is_contacted(result: dict[str, Any]) -> None:
    for contact in result["contacts"]:
        if contact["kind"] != "dns" and contact["path"] != "/inner":
            assert contact["destination"].startswith("11.77."), contact
    inside = {each["host"] for each in result["contacts"]} & {
        "localhost",
        "intranet",
        "metadata.google.internal",
    }
    assert not inside, "such names are not even looked up"


@pytest.mark.parametrize("origin", HOSTILE, ids=lambda each: each.name)
def test_no_hostile_origin_gets_further_than_a_placeholder(result: dict[str, Any], origin: Origin) -> None:
    ended = result["origins"][origin.name]
    copy = ended["copy"].encode("latin-1")
    assert ended["outcome"] != "never fetched"
    if origin.name in CLEANSED:
        assert not origin.marker or origin.marker not in copy
        for own in (
            b"<script",
            b"foreignObject",
            b"onload",
            b"attacker.example",
            b"127.0.0.1",
            b"169.254",
            b"PK\3\4",
            b"laugh",
        ):
            assert own not in copy
    elif origin.name in SHORTENED and copy:
        picture = Image.open(io.BytesIO(copy))
        frames = getattr(picture, "n_frames", 1)
        assert picture.width * picture.height * frames <= CopyLimits().max_pixels
    elif origin.name not in WHOLE:
        assert copy == b"", ended["outcome"]
    assert ended["pending"] is (origin.name in NO_ANSWER_FROM_DNS)
    assert ended["seconds"] < 60


@pytest.mark.parametrize("origin", HOSTILE, ids=lambda each: each.name)
def test_no_hostile_origin_is_asked_for_a_url_twice(result: dict[str, Any], origin: Origin) -> None:
    asked = Counter((each["host"], each["path"]) for each in _asked(result, origin.name))
    assert not asked or max(asked.values()) == 1
    assert sum(asked.values()) <= 6, "redirects are followed so far and no further"


def test_bad_certificates_end_before_a_request(result: dict[str, Any]) -> None:
    for flaw in ("self-signed", "wrong-name", "expired"):
        assert result["origins"][f"certificate-{flaw}"]["outcome"] == "bad-certificate"
        assert not _asked(result, f"certificate-{flaw}")
        assert any(each["kind"] == "tls" for each in result["origins"][f"certificate-{flaw}"]["contacts"])


def test_bombs_cost_neither_time_nor_memory(result: dict[str, Any]) -> None:
    assert result["own_kib"] < MOST_MIB * 1024
    assert result["children_kib"] < MOST_MIB * 1024
    for name in ("gzip-bomb", "gzip-bomb-twice", "brotli-bomb", "zstd-bomb"):
        assert result["origins"][name]["copy"] == ""


@pytest.mark.parametrize("origin", REGISTRY.of_kind(OriginKind.TRACKER), ids=lambda each: each.name)
def test_each_tracker_is_asked_once_and_told_nothing(result: dict[str, Any], origin: Origin) -> None:
    asked = _asked(result, origin.name)
    places = Counter((each["host"], each["path"]) for each in asked)
    assert set(places.values()) == {1}
    assert len(asked) == origin.contacts, "its redirects are followed, and what its sheets refer to"
    names = Counter(
        (each["host"], each["method"])
        for each in result["origins"][origin.name]["contacts"]
        if each["kind"] == "dns"
    )
    assert names
    assert all(count == 1 for (_, kind), count in names.items() if kind == "A"), "each name is looked up once"
    for each in asked:
        names_of_fields = {name.lower() for name, _ in each["fields"]}
        assert not names_of_fields & {
            "cookie",
            "referer",
            "if-none-match",
            "if-modified-since",
            "from",
            "via",
        }
        agent = dict(each["fields"])["User-Agent"]
        assert "Chrome/" in agent
        assert "mailveil" not in json.dumps(each["fields"]).lower()


def test_no_client_subnet_is_told(result: dict[str, Any]) -> None:
    questions = [each for each in result["contacts"] if each["kind"] == "dns"]
    assert questions
    assert not [each for each in questions if "ECS" in json.dumps(each["fields"])]


def test_what_never_ends_is_cut_off(result: dict[str, Any]) -> None:
    for origin in REGISTRY.of_kind(OriginKind.TRACKER):
        if Learns.DWELL in origin.learns:
            (asked,) = _asked(result, origin.name)
            assert asked["seconds"] < 60
            assert asked["sent_bytes"] < 1_000_000
            assert result["origins"][origin.name]["media_type"] in ("", "audio/wav")


def test_cookies_and_tags_are_never_given_back(result: dict[str, Any]) -> None:
    asked = [each for each in result["again"] if each["kind"] == "http"]
    assert {each["origin"] for each in asked} == {"etag", "last-modified", "cookie-sync"}
    for each in asked:
        names = {name.lower() for name, _ in each["fields"]}
        assert not names & {"cookie", "if-none-match", "if-modified-since"}
        assert each["status"] != "304"


@pytest.mark.parametrize("origin", REGISTRY.of_kind(OriginKind.HONEST), ids=lambda each: each.name)
def test_honest_content_arrives(result: dict[str, Any], origin: Origin) -> None:
    ended = result["origins"][origin.name]
    assert ended["outcome"] == "fetched", ended["detail"]
    assert ended["copy"]
    kind = ended["media_type"].partition("/")[0]
    assert kind == {Media.STYLESHEET: "text"}.get(origin.media, str(origin.media))
