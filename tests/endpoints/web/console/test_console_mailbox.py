"""The local mailbox: messages shown to whoever may, in a frame that can do nothing and tells nobody."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from console_room import console_room
from control_room import ControlRoomForTests
from mailveil.app.building import build_engine, build_examiner
from mailveil.config import load
from mailveil.endpoints.web.console.mailbox import preview_policy
from mailveil.endpoints.web.preview import read_preview
from mailveil.ports import CopyFacts, CopyState, MailboxEntry, UnavailableError

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
URLS = [f"http://copies.example:8081/c/{letter * 40}" for letter in "abcza"]
WITH_COPIES = (
    b"Content-Type: text/html\r\n\r\n"
    + (
        "".join(f"<img src={url}>" for url in URLS) + "<img src=http://elsewhere.example/c/" + "b" * 40 + ">"
    ).encode()
)


class FakeMailbox:
    async def entries(self, limit: int = 50) -> Sequence[MailboxEntry]:
        return [MailboxEntry("1.M2:2,S", 990.0, len(MESSAGE), MESSAGE[:300])]

    async def read(self, name: str) -> bytes | None:
        return {"1.M2:2,S": MESSAGE, "copies": WITH_COPIES}.get(name)


class FakeStore:
    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        facts = CopyFacts(as_of_delivery=True, width=600, height=200, frames=30)
        states = {
            "a": CopyState("stored", "image", "image/gif", 4321, facts),
            "b": CopyState("pending", "image"),
            "c": CopyState("stored", "audio", "audio/wav", 99, CopyFacts(is_silent=True, duration_s=60.0)),
        }
        return [states.get(token[0], CopyState("unknown")) for token in tokens]


class DeadStore:
    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        raise UnavailableError


def get(
    control: ControlRoomForTests, *paths: str, role: str = "administrator", home: str = "*", store: Any = None
) -> list[httpx.Response]:
    """Return what somebody who is signed in is answered."""

    async def inside() -> list[httpx.Response]:
        known = replace(control, room=replace(control.room, copies=store or FakeStore()))
        async with console_room(known) as room:
            room.console.mailbox = FakeMailbox()
            await room.user("anna", role, home)
            browser = room.browser()
            await browser.sign_in("anna")
            return [await browser.get(path) for path in paths]

    return asyncio.run(asyncio.wait_for(inside(), 120))


def test_the_mailbox_lists_what_came(control_room: ControlRoomForTests) -> None:
    (answer,) = get(control_room, "/mailbox")
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in answer.text
    assert "Jürgen" in answer.text
    assert 'href="/mailbox/1.M2%3A2%2CS"' in answer.text


def test_a_message_is_shown_in_a_frame_that_can_do_nothing(control_room: ControlRoomForTests) -> None:
    shown, body, source = get(
        control_room, *(f"/mailbox/1.M2:2,S{rest}" for rest in ("", "/body", "/source"))
    )
    assert "Jürgen" in shown.text
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in shown.text
    assert "<script>alert" not in shown.text
    assert 'sandbox=""' in shown.text
    assert body.headers["content-type"] == "text/html; charset=iso-8859-1"
    assert "Gr\xfc\xdfe".encode("latin-1") in body.content
    assert b"cid:" not in body.content
    assert b"data:image/gif;base64," + base64.b64encode(PIXEL) in body.content
    policy = body.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "img-src http://copies.example:8081 data:;" in policy
    assert "default-src 'none'" in policy
    assert source.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in source.headers["content-security-policy"]
    assert source.content == MESSAGE


def test_what_policy_left_in_a_message_makes_no_browser_connect_anywhere(
    control_room: ControlRoomForTests, tmp_path: Path
) -> None:
    """Chromium connects to hosts that a frame names, whatever its Content-Security-Policy allows to load."""
    left = b"<link rel=preconnect href=https://t.example><iframe src=https://f.example/></iframe>"
    picture = b"Content-Type: text/html\r\n\r\n<img src=https://x.example/a.jpg width=300 height=200>"

    class Kept(FakeMailbox):
        async def read(self, name: str) -> bytes | None:
            return delivered + left

    delivered = b""

    async def inside() -> bytes:
        nonlocal delivered
        config = tmp_path / "mailveil.toml"
        config.write_text(
            f'[copies]\npublic_url = "http://copies.example:8081"\n[storage]\ndirectory = "{tmp_path}"\n'
        )
        settings = load(config, environment={})
        gateway, engine = build_engine(settings), build_examiner(settings)
        known = replace(control_room, room=replace(control_room.room, engine=engine, copies=FakeStore()))
        try:
            delivered = (await gateway.examine(picture, clean=True)).raw
            async with console_room(known) as room:
                room.console.mailbox = Kept()
                await room.user("anna")
                browser = room.browser()
                await browser.sign_in("anna")
                return (await browser.get("/mailbox/x/body")).content
        finally:
            await asyncio.to_thread(gateway.close)
            await asyncio.to_thread(engine.close)

    shown = asyncio.run(asyncio.wait_for(inside(), 120))
    assert b"t.example" not in shown
    assert b"f.example" not in shown
    assert b"http://copies.example:8081/c/" in shown, "safe copies are what readers see"


def test_the_copies_in_a_message_are_told_and_what_is_as_of_delivery_is_marked(
    control_room: ControlRoomForTests,
) -> None:
    (answer,) = get(control_room, "/mailbox/copies")
    assert answer.text.count("as of delivery</span>") == 1
    assert "600 × 200 pixels, 30 frames" in answer.text
    assert "placeholder, copy to come" in answer.text
    assert "60.0 s, silent" in answer.text
    assert answer.text.count("<tr><td>") == 4
    with_dead = asyncio.run(_with_dead_store(control_room))
    assert with_dead.status_code == 200
    assert "Safe copies in it" not in with_dead.text


async def _with_dead_store(control: ControlRoomForTests) -> httpx.Response:
    known = replace(control, room=replace(control.room, copies=DeadStore()))
    async with console_room(known) as room:
        room.console.mailbox = FakeMailbox()
        browser = room.browser()
        await browser.sign_in("anna")
        return await browser.get("/mailbox/copies")


@pytest.mark.parametrize(("role", "home"), [("viewer", "*"), ("administrator", "default")])
def test_mail_of_everybody_is_for_analysts_of_all_organisations(
    control_room: ControlRoomForTests, role: str, home: str
) -> None:
    paths = ("/mailbox", *(f"/mailbox/1.M2:2,S{rest}" for rest in ("", "/body", "/source")))
    for answer in get(control_room, *paths, role=role, home=home):
        assert answer.status_code == 403
        assert "bold" not in answer.text


def test_what_is_not_there(control_room: ControlRoomForTests) -> None:
    paths = ("/mailbox/none", "/mailbox/none/body", "/mailbox/..%2f..%2fetc%2fpasswd/source")
    assert [answer.status_code for answer in get(control_room, *paths)] == [404] * 3


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


def test_with_a_next_hop_the_page_says_where_mail_goes(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        async with console_room(control_room) as room:
            await room.user("anna")
            browser = room.browser()
            await browser.sign_in("anna")
            assert "none is kept here" in (await browser.get("/mailbox")).text

    asyncio.run(inside())
