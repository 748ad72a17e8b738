"""The console: shows what passed, contacts nobody, and answers under no foreign name."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence

import pytest

from http_room import Answer, ask, http_room
from mailveil.core.observation import ObservedReference
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.types import Finding, Kind, Reason, Verdict
from mailveil.endpoints.web.console.facts import ConsoleFacts, Listening
from mailveil.endpoints.web.guard import host_name
from mailveil.endpoints.web.preview import read_preview
from mailveil.endpoints.web.status import StatusPage, in_bytes, preview_policy
from mailveil.ports import CopyFacts, CopyState, MailboxEntry, Passage, UnavailableError

FACTS = ConsoleFacts(
    version="9.9",
    listening=(Listening("gateway", "127.0.0.1:2525", "takes mail"),),
    next_hop="maildir:/somewhere",
    copies_url="http://copies.example:8081",
    copies_mode="hosted",
    fetching=True,
    try_command="mailveil try",
    postfix_recipe="postconf -e <x>",
    directory="/state",
    host_names=frozenset({"localhost", "127.0.0.1", "::1"}),
)
PIXEL = b"GIF89a pixel"
MESSAGE = (
    b"From: =?utf-8?Q?J=C3=BCrgen?= <j@example.com>\r\nTo: <script>alert(1)</script>@example.org\r\n"
    b"Subject: <b>bold</b> & more\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/related; boundary="x"\r\n\r\n--x\r\n'
    b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<p>Gr=FC=DFe</p><img src=3D'cid:logo@x'><img src=3D'http://copies.example:8081/c/t'>\r\n--x\r\n"
    b"Content-Type: image/gif\r\nContent-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.b64encode(PIXEL)
    + b"\r\n--x--\r\n"
)
EVIL = "\"><script>alert('x')</script>"
FOUND = ObservedReference(
    "https://t.example", "", "", "", "img-src", "tracker", "copy", kind="pixel", score=0.9
)
PASSAGES = [
    Passage(1000.0, "id-1", EVIL, 123_456, "inbound", f"250 {EVIL}", (FOUND, FOUND), (), True, 0.012),
    Passage(900.0, "id-2", "", 10, "local", "451 4.4.1 down"),
    Passage(800.0, "id-3", "", 10, "inbound", "250 OK", (), ("original kept as x-1",), True, examined=False),
]


class FakeJournal:
    def note(self, passage: Passage) -> None:
        raise AssertionError("the page only reads")

    async def latest(self, limit: int = 50) -> Sequence[Passage]:
        return PASSAGES

    async def totals(self) -> dict[str, int]:
        return {"messages": 1234567, "changed": 1, "references": 2, "trackers": 2}


class FakeStore:
    async def counts(self) -> dict[str, int]:
        return {
            "stored": 5,
            "released": 1,
            "attempted": 0,
            "placeholder": 0,
            "reserved": 0,
            "bytes": 1_500_000,
        }

    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        facts = CopyFacts(as_of_delivery=True, width=600, height=200, frames=30)
        states = {
            "a": CopyState("stored", "image", "image/gif", 4321, facts),
            "b": CopyState("pending", "image"),
        }
        states["c"] = CopyState(
            "stored", "audio", "audio/wav", 99, CopyFacts(is_silent=True, duration_s=60.0)
        )
        return [states.get(token[0], CopyState("unknown")) for token in tokens]


class DeadStore:
    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        raise UnavailableError

    async def counts(self) -> dict[str, int]:
        raise UnavailableError


class FakeMemory:
    async def verdicts(self, keys: Sequence[str]) -> dict[str, Verdict]:
        reasons = (Reason(Signal.DRIP_FED, 3.0, "the content comes a few bytes at a time"),)
        verdict = Verdict(Finding.TRACKER, 0.98, (Kind.DWELL,), reasons=reasons)
        return {key: verdict for key in keys if key == "ab" * 16}


class DeadMemory:
    async def verdicts(self, keys: Sequence[str]) -> dict[str, Verdict]:
        raise UnavailableError


class FakeMailbox:
    async def entries(self, limit: int = 50) -> Sequence[MailboxEntry]:
        return [MailboxEntry("1.M2:2,S", 990.0, len(MESSAGE), MESSAGE[:300])]

    async def read(self, name: str) -> bytes | None:
        return MESSAGE if name == "1.M2:2,S" else None


def page(**changes: object) -> StatusPage:
    parts = {
        "facts": FACTS,
        "journal": FakeJournal(),
        "store": FakeStore(),
        "mailbox": FakeMailbox(),
    } | changes
    return StatusPage(
        parts["facts"],
        parts["journal"],
        parts["store"],
        parts["mailbox"],
        now=lambda: 1075.0,
        memory=parts.get("memory"),
    )


def get(*targets: str, **options: object) -> list[Answer]:
    fields = options.pop("fields", {})

    async def inside() -> list[Answer]:
        async with http_room(page(**options).application()) as port:
            return [await ask(port, target, **fields) for target in targets]

    return asyncio.run(asyncio.wait_for(inside(), 20))


def test_the_copies_in_a_message_are_told_and_what_is_as_of_delivery_is_marked(monkeypatch) -> None:
    urls = [f"http://copies.example:8081/c/{letter * 40}" for letter in "abcza"]
    body = (
        "".join(f"<img src={url}>" for url in urls) + "<img src=http://elsewhere.example/c/" + "b" * 40 + ">"
    )
    raw = b"Content-Type: text/html\r\n\r\n" + body.encode()

    async def read(self: FakeMailbox, name: str) -> bytes:
        return raw

    monkeypatch.setattr(FakeMailbox, "read", read)
    (answer,) = get("/message/x")
    text = answer.body.decode()
    assert text.count("as of delivery</span>") == 1
    assert "600 × 200 pixels, 30 frames" in text
    assert "placeholder, copy to come" in text
    assert "60.0 s, silent" in text
    assert text.count("<tr><td>") == 4
    (answer,) = get("/message/x", store=DeadStore())
    assert answer.status == 200
    assert "Safe copies in it" not in answer.body.decode()


def test_the_overview_tells_what_passed() -> None:
    (answer,) = get("/")
    text = answer.body.decode()
    assert answer.status == 200
    for expected in (
        "1,234,567",
        "2 trackers",
        "1 min ago",
        "123 kB",
        "127.0.0.1:2525",
        "mailveil try",
        "1.5 MB",
        "no sender (bounce)",
        "local, untouched",
        "try again later",
        "https://t.example",
        "not examined",
        "original kept as x-1",
    ):
        assert expected in text, expected
    assert "nothing remote" not in text, "nobody knows that of what was not examined"
    assert "<script" not in text, "whatever a sender writes stays text"
    assert "postconf -e &lt;x&gt;" in text


class OldJournal(FakeJournal):
    async def latest(self, limit: int = 50) -> Sequence[Passage]:
        found = ObservedReference(
            "https://t.example", "", "", "", "img-src", "content", "copy", kind="", score=0.2, key="ab" * 16
        )
        other = ObservedReference(
            "https://u.example", "", "", "", "img-src", "content", "copy", kind="", score=0.2, key="cd" * 16
        )
        return [Passage(1000.0, "id-1", "x.example", 100, "inbound", "250 OK", (found, other))]


def test_verdicts_are_shown_as_they_stand_now() -> None:
    (answer,) = get("/", journal=OldJournal(), memory=FakeMemory())
    text = answer.body.decode()
    assert "1 tracker" in text
    assert "98% sure it tracks; tells dwell; the content comes a few bytes at a time" in text
    assert "80% sure it does not track" in text
    for memory in (DeadMemory(), None):
        (answer,) = get("/", journal=OldJournal(), memory=memory)
        assert "2 remote" in answer.body.decode(), "as they stood at delivery"


def test_an_empty_page_tells_what_to_do_next() -> None:
    (answer,) = get("/", journal=None, mailbox=None, store=DeadStore())
    text = answer.body.decode()
    assert "No message has passed yet" in text
    assert "mail flows" in text


def test_pages_load_nothing_from_elsewhere_and_run_nothing() -> None:
    for answer in get("/", "/message/1.M2%3A2%2CS"):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        text = answer.body.decode()
        assert "<script" not in text
        assert " style=" not in text
        loaded = re.findall(r"""(?:src|<link[^>]*href)=["']([^"']*)""", text)
        assert loaded
        assert all(url.startswith("/") and not url.startswith("//") for url in loaded)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_message_is_shown_in_a_frame_that_can_do_nothing() -> None:
    shown, body, source = get(*(f"/message/1.M2:2,S{rest}" for rest in ("", "/body", "/source")))
    text = shown.body.decode()
    assert "Jürgen" in text
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in text
    assert 'sandbox=""' in text
    assert body.headers["content-type"] == "text/html; charset=iso-8859-1"
    assert "Gr\xfc\xdfe".encode("latin-1") in body.body
    assert b"cid:" not in body.body
    assert b"data:image/gif;base64," + base64.b64encode(PIXEL) in body.body
    policy = body.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "img-src http://copies.example:8081 data:;" in policy
    assert "default-src 'none'" in policy
    assert source.headers["content-type"] == "text/plain; charset=utf-8"
    assert source.body == MESSAGE


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "127.0.0.2"]
)
def test_no_foreign_name_is_answered(host: str) -> None:
    for answer in get("/", "/message/1.M2:2,S/body", "/healthz", fields={"Host": host}):
        assert answer.status in (400, 421), host
        assert b"Harbour" not in answer.body


def test_our_own_names_are_answered_with_any_port() -> None:
    for host in ("localhost:8080", "LOCALHOST", "127.0.0.1:9", "[::1]:8080", "localhost."):
        (answer,) = get("/healthz", fields={"Host": host})
        assert answer.status == 200, host
        assert answer.body == b'{"status":"ok","version":"9.9"}'


def test_nothing_else_is_there_and_nothing_can_be_changed() -> None:
    targets = (
        "/nothing",
        "/message/none",
        "/message/none/body",
        "/message/..%2f..%2fetc%2fpasswd/source",
        "/docs",
    )
    assert [answer.status for answer in get(*targets)] == [404] * len(targets)

    async def inside() -> None:
        async with http_room(page().application()) as port:
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                assert (await ask(port, "/", method)).status == 405

    asyncio.run(inside())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"\xff\xfe\x00",
        b"Subject: x",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n--a",
        b'Content-Type: text/html; charset="x\r\nSet-Cookie: a"\r\n\r\n<p>',
    ],
)
def test_any_bytes_have_a_preview(raw: bytes) -> None:
    preview = read_preview(raw)
    assert re.fullmatch(r"[A-Za-z0-9_.:-]+", preview.charset)


def test_embedded_pictures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailveil.endpoints.web.preview.MAX_EMBEDDED_BYTES", 5)
    assert b"cid:logo@x" in read_preview(MESSAGE).document


def test_a_policy_never_holds_more_than_an_origin() -> None:
    assert "img-src http://c.example data:;" in preview_policy("http://c.example")
    assert "img-src  data:;" in preview_policy("javascript:alert(1)")


def test_small_things() -> None:
    assert [in_bytes(n) for n in (0, 999, 1000, 12_345, 10**6, 10**13)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "12 kB",
        "1.0 MB",
        "10 TB",
    ]
    assert host_name("[::1]:80") == "::1"
