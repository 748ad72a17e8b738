"""The lab's origins, each asked by a plain client through an access line.

Setup: a lab on free ports, a line into it, and a client that is nothing but a socket.
Test: trackers learn what their ground truth says, hostile origins do what they are there for, honest ones show
their content; everybody's contacts are on record with names, fields, bytes and times.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from PIL import Image

from mailveil.core.references.types import Media
from mailveil.lab import Lab, Learns, Origin, OriginKind, Registry, token_of
from mailveil.lab.contacts import ContactKind
from mailveil.lab.content import BROTLI_BOMB, gzip_bomb, zstd_bomb
from mailveil.lab.hostile import INSIDE, NAMES_INSIDE
from mailveil.lab.laboratory import registry
from mailveil.lab.line import Line

READER = "reader@example.org"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0"
ADDRESS = "91.64.12.7"
REGISTRY = registry()


@dataclass
class Answered:
    """What a plain client got."""

    raw: bytes
    ended: bool

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")

    @property
    def status(self) -> int:
        return int(self.head.split(" ")[1])

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    def value(self, name: str) -> str:
        for line in self.head.split("\r\n")[1:]:
            field, _, value = line.partition(": ")
            if field.lower() == name:
                return value
        return ""


class Client:
    """Asks for one URL after the other; keeps nothing."""

    def __init__(self, lab: Lab, line: Line) -> None:
        self.lab = lab
        self.line = line

    async def get(
        self, url: str, fields: dict[str, str] | None = None, *, seconds: float = 15, most: int = 1 << 18
    ) -> Answered:
        parts = urlsplit(url)
        host = parts.hostname or ""
        reader, writer = await self.line.connect(host, 443 if parts.scheme == "https" else 80)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(self.lab.ca_file))
            await writer.start_tls(context, server_hostname=host)
        target = url[url.index(parts.netloc) + len(parts.netloc) :] or "/"
        sent = {"Host": parts.netloc, "User-Agent": AGENT, **(fields or {})}
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        raw = b""
        ended = False
        try:
            async with asyncio.timeout(seconds):
                while len(raw) < most:
                    data = await reader.read(65536)
                    if not data:
                        ended = True
                        break
                    raw += data
        except (TimeoutError, OSError):
            pass
        finally:
            writer.transport.abort()
        return Answered(raw, ended)

    async def follow(self, url: str) -> list[tuple[str, Answered]]:
        """Follow redirects as long as they lead to the lab's own names."""
        found = []
        for _ in range(6):
            answered = await self.get(url)
            found.append((url, answered))
            if not 300 <= answered.status < 304:
                break
            url = urljoin(url, answered.value("location"))
        return found


def asking(work: Callable[[Client], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with Lab(**options) as lab:  # type: ignore[arg-type]
            await work(Client(lab, await lab.line("home", ADDRESS)))

    asyncio.run(run())


# Trackers ---------------------------------------------------------------------------------------------------


def test_every_tracker_sees_when_for_whom_from_where_and_with_what() -> None:
    async def work(client: Client) -> None:
        for tracker in client.lab.trackers:
            url = client.lab.url(tracker.name, READER)
            answered = await client.get(url, seconds=1.0, most=4096)
            assert answered.raw.startswith(b"HTTP/1.1 "), tracker.name
            seen = client.lab.contacts.select(kind=ContactKind.HTTP, origin=tracker.name)[0]
            assert seen.arrival.client == ADDRESS
            assert seen.arrival.line == "home"
            assert seen.arrival.destination.startswith("11.77.")
            assert seen.user_agent == AGENT
            assert seen.method == "GET"
            assert token_of(READER) in seen.host + seen.path
            assert token_of("somebody.else@example.org") not in seen.host + seen.path
            assert READER not in url
            assert tracker.learns, "its ground truth says what it learns"

    asking(work)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("plain-pixel", (1, 1)),
        ("small-pixel", (2, 2)),
        ("false-size", (600, 1)),
        ("tracking-logo", (160, 48)),
    ],
)
def test_pictures_have_the_size_that_they_have(name: str, size: tuple[int, int]) -> None:
    async def work(client: Client) -> None:
        answered = await client.get(client.lab.url(name, READER))
        assert answered.ended
        assert Image.open(io.BytesIO(answered.body)).size == size
        assert "no-store" in answered.value("cache-control")

    asking(work)


def test_the_chain_tells_three_owners() -> None:
    async def work(client: Client) -> None:
        followed = await client.follow(client.lab.url("redirect-chain", READER))
        hosts = [urlsplit(url).hostname or "" for url, _ in followed]
        assert len({".".join(host.split(".")[-2:]) for host in hosts}) == 3
        assert all(token_of(READER) in url for url, _ in followed)
        assert [answered.status for _, answered in followed] == [302, 302, 200]
        assert len(client.lab.contacts.select(kind=ContactKind.HTTP, token=token_of(READER))) == 3

    asking(work)


def test_cookies_are_set_and_synchronised() -> None:
    async def work(client: Client) -> None:
        (first, one), (second, two) = await client.follow(client.lab.url("cookie-sync", READER))
        identifier = one.value("set-cookie").partition("uid=")[2].partition(";")[0]
        assert len(identifier) == 16
        assert f"uid={identifier}" in second
        assert two.value("set-cookie").startswith("pid=")
        again = await client.get(first, {"Cookie": f"uid={identifier}"})
        assert identifier in again.value("location"), "it knows its reader again"

    asking(work)


@pytest.mark.parametrize("name", ["endless-wav", "endless-image", "endless-jpeg"])
def test_what_never_ends_measures_how_long_it_is_taken(name: str) -> None:
    async def work(client: Client) -> None:
        answered = await client.get(client.lab.url(name, READER), seconds=2.5)
        assert not answered.ended
        await asyncio.sleep(0.5)
        (seen,) = client.lab.contacts.select(kind=ContactKind.HTTP, origin=name)
        assert seen.seconds is not None, "the end was noticed"
        assert 2.0 <= seen.seconds <= 30
        assert seen.sent_bytes >= len(answered.raw)
        if name == "endless-wav":
            assert answered.body.startswith(b"RIFF")
            assert 12_000 <= len(answered.body) <= 60_000, "as fast as it is played"
            assert set(answered.body[44:]) == {0x80}

    asking(work)


def test_a_style_sheet_refers_on() -> None:
    async def work(client: Client) -> None:
        url = client.lab.url("style-beacon", READER)
        sheet = (await client.get(url)).body.decode()
        for place in (f"/shown/{token_of(READER)}.gif", f"/printed/{token_of(READER)}.gif"):
            assert place in sheet
            assert (await client.get(urljoin(url, place))).status == 200
        assert "@media print" in sheet

    asking(work)


def test_a_look_up_alone_tells_the_tracker() -> None:
    async def work(client: Client) -> None:
        host = urlsplit(client.lab.url("name-per-recipient", READER)).hostname or ""
        assert await client.line.look_up(host)
        (seen,) = client.lab.contacts
        assert (seen.kind, seen.origin, seen.arrival.client) == (
            ContactKind.DNS,
            "name-per-recipient",
            ADDRESS,
        )
        assert token_of(READER) in seen.host
        assert Learns.LOOKUP in client.lab.origins["name-per-recipient"].learns

    asking(work)


def test_answers_depend_on_client_and_place() -> None:
    async def work(client: Client) -> None:
        by_client = client.lab.url("by-client", READER)
        computer = await client.get(by_client)
        phone = await client.get(
            by_client, {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"}
        )
        program = await client.get(by_client, {"User-Agent": "curl/8.0"})
        assert (computer.status, phone.status, program.status) == (200, 200, 204)
        assert computer.body != phone.body
        by_place = client.lab.url("by-place", READER)
        elsewhere = Client(client.lab, await client.lab.line("abroad", "203.9.8.7"))
        assert (await client.get(by_place)).body != (await elsewhere.get(by_place)).body
        assert (await client.get(by_place)).body == (await client.get(by_place)).body

    asking(work)


@pytest.mark.parametrize(
    ("name", "given", "returned"),
    [("etag", "etag", "If-None-Match"), ("last-modified", "last-modified", "If-Modified-Since")],
)
def test_a_cache_gives_its_reader_away(name: str, given: str, returned: str) -> None:
    async def work(client: Client) -> None:
        url = client.lab.url(name, READER)
        one, two = (await client.get(url)).value(given), (await client.get(url)).value(given)
        assert one
        assert two
        assert one != two, "each client gets its own"
        assert (await client.get(url, {returned: one})).status == 304
        assert (await client.get(url, {returned: "never given"})).status == 200

    asking(work)


# TLS --------------------------------------------------------------------------------------------------------


def test_https_has_a_certificate_for_each_name_and_notes_the_hello() -> None:
    async def work(client: Client) -> None:
        assert (await client.get(client.lab.url("secure-pixel", READER))).status == 200
        assert (await client.get(client.lab.url("signed-address", READER))).status == 200
        kinds = [each.kind for each in client.lab.contacts.select(host="px.engagetrack.example")]
        assert kinds == [ContactKind.DNS, ContactKind.TLS, ContactKind.HTTP]

    asking(work)


@pytest.mark.parametrize("name", ["certificate-self-signed", "certificate-wrong-name", "certificate-expired"])
def test_bad_certificates_are_bad(name: str) -> None:
    async def work(client: Client) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.get(client.lab.url(name, READER))
        await asyncio.sleep(0.1)
        assert client.lab.contacts.select(kind=ContactKind.TLS, origin=name)
        assert not client.lab.contacts.select(kind=ContactKind.HTTP, origin=name)

    asking(work)


# Hostile origins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", sorted(INSIDE))
def test_redirects_lead_where_they_say(place: str) -> None:
    async def work(client: Client) -> None:
        answered = await client.get(client.lab.url(f"redirect-{place}", READER))
        assert answered.status == 302
        assert answered.value("location") == INSIDE[place]

    asking(work)


@pytest.mark.parametrize("name", sorted(NAMES_INSIDE))
def test_names_lead_inside(name: str) -> None:
    async def work(client: Client) -> None:
        ((kind, addresses),) = NAMES_INSIDE[name].items()
        assert await client.line.look_up(f"www.{name}.inside.example", kind) == list(addresses)

    asking(work)


def test_an_inner_target_would_see_who_comes() -> None:
    """The trap works: a client that does as it is told is seen at the inner address."""

    async def work(client: Client) -> None:
        for place in ("loopback", "metadata"):
            target = (await client.get(client.lab.url(f"redirect-{place}", READER))).value("location")
            await client.get(target)
        inside = [each.arrival.destination for each in client.lab.contacts.select(kind=ContactKind.HTTP)]
        assert inside[1::2] == ["127.0.0.1", "169.254.169.254"]

    asking(work)


def test_bombs_are_bombs() -> None:
    async def work(client: Client) -> None:
        url = client.lab.url("gzip-bomb", READER)
        packed = (await client.get(url)).body
        assert packed == gzip_bomb()
        assert len(packed) < 200_000
        assert len(zlib.decompressobj(31).decompress(packed, 20_000_000)) == 20_000_000
        assert len(gzip_bomb(2)) < 2000
        assert (await client.get(client.lab.url("brotli-bomb", READER))).body == BROTLI_BOMB
        assert (await client.get(client.lab.url("zstd-bomb", READER))).body == zstd_bomb()
        picture = (await client.get(client.lab.url("pixel-bomb", READER))).body
        assert len(picture) < 1_000_000
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(picture))
        frames = (await client.get(client.lab.url("frame-bomb", READER), most=1 << 20)).body
        assert frames.count(b"\x21\xf9\x04") == 20_000

    asking(work)


@pytest.mark.parametrize("name", ["silence", "slow-head", "slow-body", "endless-head", "endless-chunks",
                                  "endless-body", "informational-flood"])  # fmt: skip
def test_what_stalls_or_floods_does_not_end(name: str) -> None:
    async def work(client: Client) -> None:
        answered = await client.get(client.lab.url(name, READER), seconds=1.5)
        assert not answered.ended
        if name in ("slow-head", "slow-body", "silence"):
            assert len(answered.raw) < 300
        else:
            assert len(answered.raw) >= 1 << 18
        if name == "informational-flood":
            assert set(answered.raw.split(b"\r\n")[::3][:100]) == {b"HTTP/1.1 103 Early Hints"}

    asking(work)


@pytest.mark.parametrize("origin", [each for each in REGISTRY.of_kind(OriginKind.HOSTILE) if each.marker],
                         ids=lambda each: each.name)  # fmt: skip
def test_ambiguous_content_holds_its_marker(origin: Origin) -> None:
    async def work(client: Client) -> None:
        answered = await client.get(client.lab.url(origin.name, READER))
        assert origin.marker in answered.body
        if origin.name in ("page-png", "commented-jpeg", "archive-gif"):
            Image.open(io.BytesIO(answered.body)).load()  # and is a whole picture all the same

    asking(work)


def test_lengths_are_wrong() -> None:
    async def work(client: Client) -> None:
        short = await client.get(client.lab.url("short-length", READER))
        assert len(short.body) < int(short.value("content-length"))
        long = await client.get(client.lab.url("long-length", READER))
        assert len(long.body) > int(long.value("content-length"))
        assert (await client.get(client.lab.url("two-lengths", READER))).head.count("Content-Length") == 2
        assert (await client.get(client.lab.url("chunked-garbage", READER))).body.startswith(b"ZZ\r\n")
        assert (await client.get(client.lab.url("no-answer", READER))).raw == b""
        assert (await client.get(client.lab.url("no-http", READER))).raw.startswith(b"220 ready")

    asking(work)


def test_redirects_without_end() -> None:
    async def work(client: Client) -> None:
        loop = await client.follow(client.lab.url("redirect-loop", READER))
        assert {url for url, _ in loop} == {client.lab.url("redirect-loop", READER)}
        endless = await client.follow(client.lab.url("redirect-endless", READER))
        assert len({url for url, _ in endless}) == 6

    asking(work)


# Honest origins ---------------------------------------------------------------------------------------------


def test_honest_origins_show_the_same_to_everybody() -> None:
    async def work(client: Client) -> None:
        for origin in client.lab.honest:
            assert client.lab.url(origin.name, READER) == client.lab.url(origin.name, "else@example.org")
            (*_, (_, answered)) = await client.follow(client.lab.url(origin.name, READER))
            assert answered.status == 200, origin.name
            assert "max-age" in answered.value("cache-control")
            if origin.media is Media.IMAGE:
                Image.open(io.BytesIO(answered.body)).load()
            assert not answered.value("set-cookie")

    asking(work)


def test_what_nobody_answers_for_is_on_record_too() -> None:
    async def work(client: Client) -> None:
        answered = await client.get("http://11.77.200.200/x")
        assert answered.status == 404
        (seen,) = client.lab.contacts.select(kind=ContactKind.HTTP)
        assert (seen.origin, seen.path, seen.status) == ("", "/x", "404")

    asking(work)


# The registry -----------------------------------------------------------------------------------------------


def test_the_registry_is_whole_and_takes_more() -> None:
    assert {each.kind for each in REGISTRY.values()} == set(OriginKind)
    for origin in REGISTRY.values():
        token = "0123456789abcdef"
        host = urlsplit(origin.url(token)).hostname or ""
        assert REGISTRY.at(host) is origin
        assert origin.url(token).replace("&", "&amp;") in origin.html(token)
        assert (token in origin.url(token)) or origin.kind is OriginKind.HONEST
    one = REGISTRY["plain-pixel"]
    with pytest.raises(ValueError, match="is taken"):
        Registry(one, one)


def test_every_tracker_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lab.md").read_text("utf-8")
    for origin in REGISTRY.of_kind(OriginKind.TRACKER):
        row = f"| `{origin.name}` | {origin.does} | {', '.join(sorted(origin.learns))} |"
        assert row in text, row
