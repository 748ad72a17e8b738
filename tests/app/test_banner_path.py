"""Setup: the whole product on loopback, with a mailbox and a page for reports, and strict rules.

Test: a spy's message arrives with a banner by SMTP and by milter; a reader reports it by its link and by mail, and both
reports are in the analyst's queue, for the message that was put on record. Opening the page changes nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from app.test_serving import environment, free_ports, product, run
from app.test_serving_milter import filtered
from banner_letters import letter, page, several
from http_room import ask
from mailveil.app.controlling import opened_room
from mailveil.config import Settings, load
from mailveil.control.access import command_line_actor
from mailveil.control.policies import set_level
from mailveil.control.records import Cut, Feedback, FeedbackKind
from mailveil.core.banner.marks import OPENING
from mailveil.core.policy import Level
from smtp_room import Client

MAILBOX = "spy-report@example.org"
SPY = letter(page(), coding="quoted-printable")  # names the reader, so that the risk is high
FORM = "application/x-www-form-urlencoded"


async def make_strict(settings: Settings) -> None:
    """Have readers told of every message of medium risk and more."""
    async with opened_room(settings) as room:
        await set_level(room, command_line_actor("default", "test"), Level.STRICT)


async def queue(settings: Settings, count: int) -> Sequence[Feedback]:
    """Return the reports, once there are so many."""
    async with opened_room(settings) as room, asyncio.timeout(60):
        while len(found := (await room.feedback.reports("default", Cut())).items) < count:
            await asyncio.sleep(0.02)
        return found


async def recorded(settings: Settings, identifier: str) -> bool:
    """Tell whether the message is on record, which may take a moment."""
    async with opened_room(settings) as room, asyncio.timeout(60):
        while (found := await room.observations.message("default", identifier)) is None:
            await asyncio.sleep(0.02)
        return found.banner


async def post(port: int, target: str, form: dict[str, str]) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = urlencode(form).encode()
    writer.write(
        f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )
    raw = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    head, _, content = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), content.decode()


def test_a_reader_is_told_and_tells(tmp_path: Path) -> None:
    async def work() -> None:
        (milter,) = free_ports(1)
        settings = {
            "MAILVEIL_FEEDBACK__MAILBOX": MAILBOX,
            "MAILVEIL_FEEDBACK__PUBLIC_URL": "http://localhost:8080",
            "MAILVEIL_MILTER__LISTEN": f"127.0.0.1:{milter}",
        }
        await make_strict(load(environment=environment(tmp_path)))
        async with product(tmp_path, **settings) as running:
            console = running.settings.console.listen.port
            assert (await running.send(SPY)).startswith("250")
            (delivered,) = running.delivered()
            text = delivered.replace(b"=\r\n", b"").replace(b"=\n", b"").replace(b"=3D", b"=").decode()
            assert text.count(OPENING) == 1
            code = re.search(r"report/\?code=([a-z2-7]{40})", text)
            assert code is not None
            assert f"mailto:{MAILBOX}?subject=mailveil%20{code[1]}" in text

            connection = await asyncio.open_connection("127.0.0.1", milter)
            silent = await filtered(*connection, SPY, local=False)
            assert OPENING.encode() in silent.replace(b"=\r\n", b"").replace(b"=3D", b"=")

            shown = await ask(console, f"/report/?code={code[1]}", Accept_Language="de")
            assert shown.status == 200
            assert "Worum geht es?" in shown.body.decode()
            assert "default-src 'none'" in shown.headers["content-security-policy"]
            assert (await ask(console, "/report/?code=" + "a" * 40)).status == 404
            assert (await queue(running.settings, 0)) == ()

            status, thanks = await post(
                console, "/report/", {"code": code[1], "kind": "false-alarm", "text": "<b>It is ours</b>"}
            )
            assert (status, "Thank you" in thanks) == (200, True)
            (linked,) = await queue(running.settings, 1)
            assert (linked.kind, linked.text) == (FeedbackKind.FALSE_ALARM, "<b>It is ours</b>")
            assert await recorded(running.settings, linked.message)

            report = several("mixed", ("text/plain", b"You missed one.\r\n"), ("message/rfc822", delivered))
            client = Client(*await asyncio.open_connection("127.0.0.1", running.settings.gateway.listen.port))
            await client.reply()
            await client.say("EHLO client.example")
            assert (await client.send(report, MAILBOX)).startswith("250")
            client.close()
            by_mail, _ = await queue(running.settings, 2)
            assert (by_mail.channel, by_mail.message, by_mail.kind) == (
                "mail",
                linked.message,
                FeedbackKind.MISSED,
            )
            assert by_mail.text == "You missed one."
            assert len(running.delivered()) == 2, "the report itself is delivered as ever"

    run(work())
