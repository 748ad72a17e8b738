"""Setup: a TAXII server of others with objects of the real stix2, our own TAXII server, and a MISP feed by PyMISP.

Test: indicators are read page by page and only once, credentials go nowhere else, and whatever a server says is either
understood or told in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import stix2

from mailveil.adapters.feeds.reading import OutgoingFeedReader
from mailveil.control.feedstores import FeedError, FeedReading
from mailveil.control.sharingrecords import Feed, FeedKind
from published_room import PublishedRoom
from sharing_room import Destinations, Received, destinations_at_work
from taxii_origin import COLLECTION, TaxiiOrigin, indicator, taxii_origin

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
READER = OutgoingFeedReader(LOOPBACK)


def added(*numbers: int) -> list[tuple[str, dict[str, Any]]]:
    identity = json.loads(stix2.Identity(name="CERT", identity_class="organization").serialize())
    objects = [(f"2026-02-{number:02d}T00:00:00.000000Z", indicator(number)) for number in numbers]
    return [("2026-01-01T00:00:00.000000Z", identity), *objects]


def feed(address: str, **options: Any) -> Feed:
    chosen = {"username": "reader", "plain_http": True, **options}
    return Feed("f1", "default", "Others", FeedKind.TAXII, address, options=chosen, secret="secret")


def values(reading: FeedReading) -> list[str]:
    return [each.value for source in reading.sources for each in source.indicators]


def read(
    wanted: str = "", *, path: str = "", position: str = "", origin: dict[str, Any] | None = None
) -> Any:
    """Read once; return the reading, and the origin."""

    async def steps() -> tuple[FeedReading, TaxiiOrigin]:
        async with taxii_origin(**(origin or {"objects": added(*range(1, 9))})) as others:
            address = f"http://127.0.0.1:{others.port}{path or '/taxii2/'}"
            asked = replace(feed(address, collection=wanted), position=position)
            return await READER.read(asked), others

    return asyncio.run(steps())


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/taxii2/", "Spies"),
        ("/taxii2/", COLLECTION),
        ("/api1/", "Spies"),
        ("/api1", "Spies"),
        ("/api1/collections/", COLLECTION),
        (f"/api1/collections/{COLLECTION}/", ""),
        (f"/api1/collections/{COLLECTION}/objects/", ""),
    ],
)
def test_a_collection_is_read_to_its_end_from_wherever_one_begins(path: str, wanted: str) -> None:
    reading, others = read(wanted, path=path)
    assert values(reading) == [f"spy{number}.example" for number in range(1, 9)]
    assert (reading.is_complete, reading.position) == (True, "2026-02-08T00:00:00.000000Z")
    assert sum("/objects/" in each for each in others.asked) == 3
    assert reading.present is None


def test_the_next_reading_goes_on_where_this_one_ended() -> None:
    reading, _ = read("Spies", position="2026-02-06T00:00:00.000000Z")
    assert values(reading) == ["spy7.example", "spy8.example"]
    nothing, _ = read("Spies", position="2026-02-08T00:00:00.000000Z")
    assert values(nothing) == []
    assert nothing.position == "2026-02-08T00:00:00.000000Z"
    paged, _ = read(
        "Spies", position="2026-02-01T00:00:00.000000Z", origin={"objects": added(*range(1, 12)), "page": 2}
    )
    assert values(paged) == [f"spy{number}.example" for number in range(2, 12)]


def test_pages_without_a_name_are_found_by_the_date() -> None:
    reading, _ = read("Spies", origin={"objects": added(*range(1, 9)), "tells_next": False})
    assert values(reading) == [f"spy{number}.example" for number in range(1, 9)]


def test_the_later_word_counts() -> None:
    first = indicator(1)
    revoked = json.loads(stix2.parse(first).revoke().serialize())
    objects = [("2026-02-01T00:00:00.000000Z", first), ("2026-02-02T00:00:00.000000Z", revoked)]
    reading, _ = read("Spies", origin={"objects": objects})
    assert [(each.identifier, each.indicators) for each in reading.sources] == [(first["id"], ())]


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({}, "say which collection is meant"),
        ({"fault": 401}, "wants a user name and password"),
        ({"fault": 403}, "not for us"),
        ({"fault": 404}, "nothing at this address"),
        ({"fault": 500}, "answers 500"),
        ({"fault": 302}, "sends us elsewhere"),
        ({"fault": 200, "body": b"<html>"}, "no JSON"),
        ({"fault": 200, "body": b"[" * 100_000}, "no JSON"),
        ({"fault": 200, "body": b"[]"}, "no TAXII 2.1 server"),
        ({"fault": 200, "body": b'{"api_roots": 7}'}, "no TAXII 2.1 server"),
        ({"root": "http://127.0.0.2/api1/"}, "sends us to another one"),
    ],
)
def test_what_is_wrong_is_told_in_words(origin: dict[str, Any], words: str) -> None:
    with pytest.raises(FeedError, match=words) as error:
        read("", origin=origin)
    assert "secret" not in str(error.value)


def test_pages_without_end_end() -> None:
    body = json.dumps({"more": True, "objects": [indicator(1)]}).encode()
    with pytest.raises(FeedError, match="more, but not where"):
        read(path=f"/api1/collections/{COLLECTION}/", origin={"fault": 200, "body": body})
    told = json.dumps({"more": True, "next": "x", "objects": [indicator(1)]}).encode()
    with pytest.raises(FeedError, match="round in circles"):
        read(path=f"/api1/collections/{COLLECTION}/", origin={"fault": 200, "body": told})


def taxii_pages(answer: Any) -> FeedReading | FeedError:
    """Read a collection of which every page is what ``answer`` makes of its number; count them in ``answer.pages``."""
    pages: list[str] = []

    def page(received: Received) -> tuple[int, dict[str, str], bytes]:
        pages.append(received.path)
        record, headers = answer(len(pages))
        return 200, headers, record if isinstance(record, bytes) else json.dumps(record).encode()

    async def steps() -> FeedReading | FeedError:
        async with destinations_at_work(answer=page) as at_work:
            address = f"http://127.0.0.1:{at_work.port}/api1/collections/{COLLECTION}/"
            try:
                return await READER.read(feed(address))
            except FeedError as error:
                return error

    found = asyncio.run(steps())
    assert len(pages) <= 60
    return found


def test_pages_that_always_name_another_are_left_alone_for_a_while() -> None:
    """Else a server without end would be asked without end: what is not complete is read on at once."""

    def endless(number: int) -> Any:
        return {"more": True, "next": f"page{number}", "objects": [indicator(number)]}, {}

    found = taxii_pages(endless)
    assert isinstance(found, FeedError)
    assert "does not say from where to go on" in str(found)

    def dated(number: int) -> Any:
        return endless(number)[0], {"X-TAXII-Date-Added-Last": f"2026-02-01T00:00:{number:02d}.000000Z"}

    reading = taxii_pages(dated)
    assert isinstance(reading, FeedReading)
    assert (reading.is_complete, len(reading.sources), reading.position[17:19]) == (False, 60, "60")


def test_one_reading_brings_no_more_than_a_feed_may_have() -> None:
    def crowded(number: int) -> Any:
        objects = []
        for each in range(100):
            names = ", ".join(f"'s{number}x{each}x{one}.example'" for one in range(499))
            objects.append(
                {**indicator(number * 1_000 + each), "pattern": f"[domain-name:value IN ({names})]"}
            )
        return {"more": True, "next": f"{number}", "objects": objects}, {
            "X-TAXII-Date-Added-Last": f"2026-02-01T00:00:{number:02d}.000000Z"
        }

    reading = taxii_pages(crowded)
    assert isinstance(reading, FeedReading)
    assert not reading.is_complete
    assert 60_000 <= len(values(reading)) < 61_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"objects": ' + b"[" * 500_000,
        b'{"objects": [' + b'{"type": {"type": ' * 50_000 + b"1" + b"}}" * 50_000 + b"]}",
        b'{"objects": [' + b"9" * 100_000 + b"]}",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        b"\xff\xfe\x00",
        b'"' + b"x" * 17_000_000 + b'"',
    ],
)
def test_bombs_are_told_of_in_words(body: bytes) -> None:
    found = taxii_pages(lambda _: (body, {}))
    assert isinstance(found, FeedError)
    assert "no JSON" in str(found) or "larger than" in str(found)


@pytest.mark.parametrize(
    "strange",
    [
        7, None, [], "indicator", {"type": "indicator"}, {"type": ["indicator"], "id": {}},
        {**indicator(1), "id": "indicator--\x00"}, {**indicator(1), "id": ["x"]}, {**indicator(1), "pattern": {}},
        {**indicator(1), "pattern_type": []}, {**indicator(1), "pattern": "[" * 20_000},
        {**indicator(1), "pattern": "[domain-name:value = '" + "a." * 9_000 + "example']"},
    ],
)  # fmt: skip
def test_strange_objects_keep_no_other_away(strange: Any) -> None:
    reading = taxii_pages(lambda _: ({"objects": [strange, indicator(2)]}, {}))
    assert isinstance(reading, FeedReading)
    assert values(reading) == ["spy2.example"]
    assert all(each.identifier.isprintable() for each in reading.sources)


def test_what_a_server_says_of_itself_is_no_line_of_a_log() -> None:
    titles = {"collections": [{"id": "a", "title": "x\n2026 forged\x1b[2J"}, {"id": "b", "title": ["y"]}]}

    async def steps() -> str:
        async with destinations_at_work(answer=lambda _: (200, {}, json.dumps(titles).encode())) as at_work:
            with pytest.raises(FeedError) as error:
                await READER.read(feed(f"http://127.0.0.1:{at_work.port}/api1/collections/"))
            return str(error.value)

    assert asyncio.run(steps()).isprintable()


def test_only_public_servers_are_asked() -> None:
    inside = feed("http://127.0.0.1:1/taxii2/")
    assert "no public address" in asyncio.run(OutgoingFeedReader().objection(inside))
    assert asyncio.run(READER.objection(inside)) == ""
    with pytest.raises(FeedError, match="no public address"):
        asyncio.run(OutgoingFeedReader().read(inside))


def test_our_own_server_is_read_as_that_of_others(published_room: PublishedRoom) -> None:
    async def steps() -> FeedReading:
        async with published_room.listening() as address:
            token = replace(
                feed(f"{address}/taxii2/", username="anybody"), secret=published_room.tokens["acme"]
            )
            with pytest.raises(FeedError, match="say which collection is meant") as error:
                await READER.read(token)
            name = str(error.value).partition("there are: ")[2].split(" ")[0]
            return await READER.read(replace(token, options={**token.options, "collection": name}))

    reading = asyncio.run(steps())
    assert {"deals-evil.example", "px-evil.example"} & set(values(reading))
    assert reading.is_complete


# --- MISP ---------------------------------------------------------------------------------------------------


def misp_event(number: int, *domains: str) -> Any:
    from pymisp import MISPEvent, MISPOrganisation

    made = MISPEvent()
    made.uuid = f"00000000-0000-4000-8000-{number:012d}"
    made.info, made.Orgc = f"Event {number}", MISPOrganisation()
    made.Orgc.name, made.Orgc.uuid = "CERT", "55f6ea5e-2c60-40e5-964f-47a8950d210f"
    for each in domains:
        made.add_attribute("domain", each, to_ids=True)
    made.timestamp = 1_700_000_000 + number
    return made


class MispFeed:
    """The files of a feed, as PyMISP writes them, with entity tags."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}

    def put(self, event: Any) -> None:
        self.events[event.uuid] = event

    def __call__(self, received: Received) -> tuple[int, dict[str, str], bytes]:
        name = received.path.rpartition("/")[2].removesuffix(".json")
        if name == "manifest":
            manifest: dict[str, Any] = {}
            for event in self.events.values():
                manifest.update(event.to_feed(with_meta=True)["Event"]["_manifest"])
            body = json.dumps(manifest).encode()
            tag = f'"{hash(body)}"'
            if received.headers.get("if-none-match") == tag:
                return 304, {"ETag": tag}, b""
            return 200, {"ETag": tag}, body
        if name in self.events:
            return 200, {}, json.dumps(self.events[name].to_feed()).encode()
        return 404, {}, b""


@contextlib.asynccontextmanager
async def misp_feed() -> AsyncIterator[tuple[MispFeed, Destinations, Feed]]:
    files = MispFeed()
    async with destinations_at_work(answer=files) as at_work:
        address = f"http://127.0.0.1:{at_work.port}/feed/"
        yield files, at_work, Feed("f1", "default", "MISP", FeedKind.MISP, address, secret="t0ken")


def test_a_feed_of_misp_is_read_event_by_event_and_only_what_changed() -> None:
    async def steps() -> None:
        async with misp_feed() as (files, at_work, feed):
            files.put(misp_event(1, "spy1.example"))
            files.put(misp_event(2, "spy2.example", "spy3.example"))
            first = await READER.read(feed)
            assert values(first) == ["spy1.example", "spy2.example", "spy3.example"]
            assert first.is_complete
            assert at_work.received[0].headers["authorization"] == "Bearer t0ken"

            at_work.received.clear()
            again = await READER.read(replace(feed, position=first.position))
            assert (again.sources, again.position, again.present) == ((), first.position, None)
            assert [each.path for each in at_work.received] == ["/feed/manifest.json"]

            changed = misp_event(1, "spy4.example")
            changed.timestamp = 1_700_000_100
            files.put(changed)
            del files.events[misp_event(2).uuid]
            third = await READER.read(replace(feed, position=first.position))
            assert values(third) == ["spy4.example"]
            assert third.present == {changed.uuid}, "the other one was withdrawn"

    asyncio.run(steps())


def test_an_event_that_is_published_behind_others_is_read() -> None:
    async def steps() -> None:
        async with misp_feed() as (files, at_work, feed):
            files.put(misp_event(5, "spy5.example"))
            first = await READER.read(feed)
            # It was last changed long before the other one, and waited for somebody to publish it.
            files.put(misp_event(2, "spy2.example"))
            second = await READER.read(replace(feed, position=first.position))
            assert values(second) == ["spy2.example"]
            at_work.received.clear()
            files.put(misp_event(6, "spy6.example"))
            third = await READER.read(replace(feed, position=second.position))
            assert values(third) == ["spy6.example"]
            assert len(at_work.received) == 2
            odd = await READER.read(replace(feed, position='{"read": "%%", "etag": "x"}'))
            assert len(values(odd)) == 3

    asyncio.run(steps())


def test_an_event_that_is_missing_keeps_no_other_away() -> None:
    async def steps() -> None:
        async with misp_feed() as (files, at_work, feed):
            files.put(misp_event(1, "spy1.example"))
            files.put(misp_event(2, "spy2.example"))
            whole = files.__call__

            def broken(received: Received) -> Any:
                return (404, {}, b"") if received.path.endswith("01.json") else whole(received)

            at_work.answer = broken
            reading = await READER.read(feed)
            assert values(reading) == ["spy2.example"]
            assert reading.sources[0].skipped == {"no-event": 1}

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {}, b"[]"), "manifest"),
        ((200, {}, b"x"), "no JSON"),
        ((401, {}, b""), "user name"),
        ((503, {}, b""), "503"),
    ],
)
def test_a_manifest_that_is_none_is_told(answer: tuple[int, dict[str, str], bytes], words: str) -> None:
    async def steps() -> None:
        async with destinations_at_work(answer=lambda _: answer) as at_work:
            address = f"http://127.0.0.1:{at_work.port}/"
            with pytest.raises(FeedError, match=words):
                await READER.read(Feed("f", "default", "M", FeedKind.MISP, address))

    asyncio.run(steps())


def test_names_in_a_manifest_are_no_paths() -> None:
    asked: list[str] = []

    def answer(received: Received) -> tuple[int, dict[str, str], bytes]:
        asked.append(received.path)
        return 200, {}, b'{"../../secret": {"timestamp": 1}, "x": 1, "http://other.example/": {}}'

    async def steps() -> None:
        async with destinations_at_work(answer=answer) as at_work:
            reading = await READER.read(
                Feed("f", "default", "M", FeedKind.MISP, f"http://127.0.0.1:{at_work.port}/manifest.json")
            )
            assert (reading.sources, reading.is_complete) == ((), True)

    asyncio.run(steps())
    assert asked == ["/manifest.json"]
