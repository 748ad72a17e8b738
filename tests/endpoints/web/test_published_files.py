"""The feed for MISP and the filter list, fetched as MISP and browsers do, over a real listener."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from pymisp import MISPEvent

from mailveil.core.verdicts.lists import ListFormat, parse_list
from published_room import PublishedRoom


def get(
    room: PublishedRoom, address: str, path: str, organisation: str = "acme", **fields: str
) -> requests.Response:
    return requests.get(
        f"{address}{path}", auth=("misp", room.tokens[organisation]), headers=fields, timeout=30
    )


def test_a_feed_is_what_misp_reads(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        manifest = get(published_room, address, "/misp/feed/manifest.json")
        assert manifest.headers["Content-Type"] == "application/json"
        assert len(manifest.json()) == 2
        digests = set()
        for uuid, told in manifest.json().items():
            event = MISPEvent()
            event.load(get(published_room, address, f"/misp/feed/{uuid}.json").text)
            assert event.uuid == uuid
            assert (event.info, str(int(event.timestamp.timestamp()))) == (told["info"], told["timestamp"])  # type: ignore[union-attr]
            assert event.Orgc.name == told["Orgc"]["name"] == "Acme"
            digests |= {f"{each},{uuid}" for each in event.attributes_hashes("md5")}
        assert set(get(published_room, address, "/misp/feed/hashes.csv").text.splitlines()) == digests

    published_room.visited(visit)


def test_a_list_of_what_was_learned_is_what_mailveil_reads(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        answer = get(published_room, address, "/lists/learned.txt")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        parsed = parse_list(answer.text, ListFormat.ADBLOCK)
        assert [each.text for each in parsed.rules] == ["||t.built.example/o/*.gif?u=$image"]

    published_room.visited(visit)


@pytest.mark.parametrize("path", ["/misp/feed/manifest.json", "/misp/feed/hashes.csv", "/lists/learned.txt"])
def test_files_are_those_of_ones_own_organisation(published_room: PublishedRoom, path: str) -> None:
    def visit(address: str) -> None:
        ours, theirs = (get(published_room, address, path, each) for each in ("acme", "other"))
        assert ours.status_code == theirs.status_code == 200
        assert ours.text != theirs.text
        by_name: dict[str, Any] = {"Mailveil-Organisation": "other"}
        assert get(published_room, address, path, "acme", **by_name).status_code == 404
        assert get(published_room, address, path, "*", **by_name).text == theirs.text
        assert get(published_room, address, path, "*").status_code == 200  # of the default organisation
        assert requests.get(f"{address}{path}", timeout=30).status_code == 401

    published_room.visited(visit)


def test_what_is_no_file_is_not_there(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        for path in (
            "/misp/feed/", "/misp/feed/x.json", "/misp/feed/.json", "/misp/feed/..%2fmanifest.json",
            "/misp/feed/%00.json", "/misp/feed/manifest.json/x", "/lists/", "/lists/other.txt",
        ):  # fmt: skip
            assert get(published_room, address, path).status_code == 404, path
        post = requests.post(
            f"{address}/lists/learned.txt", auth=("x", published_room.tokens["acme"]), timeout=30
        )
        assert (post.status_code, post.headers["Allow"]) == (405, "GET, HEAD")

    published_room.visited(visit)
