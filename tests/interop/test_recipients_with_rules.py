"""Setup: a real Postfix that hands mail to the real ``mailveil serve``, by SMTP, LMTP and the milter protocol, and a
policy by which Eve's mail is left as it was sent and Ann's is not.

Test: a message to both reaches each as the policy has it for them, once; by the milter, where they cannot be told
apart, the stricter holds for both.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import arrangements
import pytest

from mailveil.app.recipes import postfix_milter_recipe
from mailveil_room import Mailveil, mailveil_room
from postfix_room import Postfix, free_port, missing_for_postfix, postfix_room
from sender_room import Sender
from smtp_room import ScriptedServer

pytestmark = pytest.mark.skipif(bool(missing_for_postfix()), reason=f"needs {missing_for_postfix()}")
POLICY = """
level = "normal"
[[rules]]
id = "eve"
when = { recipients = ["eve@example.org"] }
then = { action = "keep", banner = "none" }
"""
MESSAGE = (
    b"From: News <news@shop.example>\r\nTo: readers@example.org\r\nSubject: Sale\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html\r\n\r\n"
    b'<p>Sale</p><img width=1 height=1 src="https://t.tracker.example/o.gif?u=8f3a2c1d">\r\n'
)
TRACKER = b"t.tracker.example"


class Sink(ScriptedServer):
    """A server that notes for whom each message is, whatever is said on its other connections meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[tuple[tuple[str, ...], bytes]] = []

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = ScriptedServer()
        own._say = self._say  # type: ignore[method-assign]
        try:
            await own._talk(reader, writer)
        finally:
            self.delivered += told_by(own)


def told_by(connection: ScriptedServer) -> list[tuple[tuple[str, ...], bytes]]:
    """Return recipients and message of each transaction of a connection that has ended."""
    found, recipients, wires = [], [], iter(connection.wires)
    for line in connection.commands:
        verb = line.split(" ")[0].upper()
        if verb == "MAIL":
            recipients = []
        elif verb == "RCPT":
            recipients.append(line.partition("<")[2].partition("@")[0])
        elif verb == "DATA" and (wire := next(wires, None)) is not None:
            found.append((tuple(recipients), wire))
    return found


@dataclass
class Room:
    """Postfix, mailveil and the server behind both."""

    postfix: Postfix
    mailveil: Mailveil


def command(mailveil: Mailveil, *words: str, text: str = "") -> None:
    whole = [sys.executable, "-P", "-m", "mailveil", "--config", str(mailveil.config), *words]
    done = subprocess.run(whole, input=text, text=True, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def put_in_force(mailveil: Mailveil) -> None:
    """Write the policy into the database of a mailveil that runs, and wait until mail goes by it."""
    command(mailveil, "policy", "import", "-", text=POLICY)
    kept = mailveil.root / "state" / "policy.json"

    def is_in_force() -> bool:
        if not kept.exists():
            return False
        (own,) = json.loads(kept.read_text())["organisations"]
        return own["document"] is not None

    arrangements.until(is_in_force, mailveil.log)
    assert kept.stat().st_mode & 0o777 == 0o600, "who may read mail's rules is nobody else's business"


@contextlib.contextmanager
def room(sink: Sink, way: str) -> Iterator[Room]:
    door, lmtp = free_port(), free_port()
    settings = arrangements.with_sections(
        arrangements.SETTINGS,
        gateway={"next_hop": f"smtp://127.0.0.1:{sink.port}"},
        **({"milter": {"listen": f"127.0.0.1:{door}"}} if way == "milter" else {}),
    )
    if way == "lmtp":
        settings["gateway"]["lmtp_listen"] = f"127.0.0.1:{lmtp}"
    doors = {"milter": (door,), "lmtp": (lmtp,), "smtp": ()}[way]
    with mailveil_room(settings, doors=doors) as mailveil:
        to = {"smtp": f"smtp:[127.0.0.1]:{mailveil.port}", "lmtp": f"lmtp:inet:127.0.0.1:{lmtp}"}
        transport = to.get(way, f"smtp:[127.0.0.1]:{sink.port}")
        with postfix_room(transport=transport) as postfix:
            if way == "milter":
                postfix.paste(postfix_milter_recipe(mailveil.settings))
            put_in_force(mailveil)
            yield Room(postfix, mailveil)


def carried(way: str) -> tuple[dict[str, list[bytes]], str]:
    """Send one message to Ann, Eve and Alf; return what each has, and Postfix's log."""

    def send(sink: Sink) -> str:
        with room(sink, way) as here:
            with Sender(here.postfix.port) as sender:
                to = tuple(f"{name}@example.org" for name in ("ann", "eve", "alf"))
                assert sender.send("news@shop.example", to, MESSAGE)[-1].startswith("250")

            def is_done() -> bool:
                if here.postfix.queued() == 0:
                    return True
                here.postfix.flush()
                return False

            arrangements.until(is_done, lambda: here.postfix.log() + here.mailveil.log())
            return here.postfix.log()

    async def work() -> tuple[Sink, str]:
        sink = Sink()
        async with sink.running():
            return sink, await asyncio.to_thread(send, sink)

    sink, log = asyncio.run(work())
    found: dict[str, list[bytes]] = {}
    for recipients, wire in sink.delivered:
        for each in recipients:
            found.setdefault(each, []).append(wire)
    return found, log


@pytest.mark.parametrize("way", ["smtp", "lmtp"])
def test_each_recipient_of_one_message_gets_it_as_the_policy_has_it(way: str) -> None:
    delivered, log = carried(way)
    assert {name: len(each) for name, each in delivered.items()} == {"ann": 1, "alf": 1, "eve": 1}, log
    assert TRACKER in delivered["eve"][0]
    assert TRACKER not in delivered["ann"][0]
    assert delivered["ann"] == delivered["alf"], "who has the same rules has the same message"
    assert "bounced" not in log
    assert ("452 4.5.3" in log) == (way == "smtp"), "by LMTP nothing has to be sent again"


def test_by_the_milter_the_stricter_rule_holds_for_all() -> None:
    delivered, _log = carried("milter")
    assert {name: len(each) for name, each in delivered.items()} == {"ann": 1, "alf": 1, "eve": 1}
    assert not any(TRACKER in each for wires in delivered.values() for each in wires)
