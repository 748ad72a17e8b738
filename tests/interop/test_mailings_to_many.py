"""Setup: the real ``mailveil serve`` with three organisations: one is protected, one has its mail left as it was sent,
one tries mailveil out and has everything reported only. Behind it a server that notes what it is sent.

Test: one mailing to 50 people of all three, by SMTP, LMTP and the milter protocol. Everybody gets it once and as the
own organisation's rules have it (by the milter: as the strictest have it), what is only reported leaves byte by byte as
it came and is shown as what would have been done, and no organisation's records tell of another's people.
"""

from __future__ import annotations

import asyncio
import json
import struct
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from endpoints.milter import mail_server
from endpoints.milter.mail_server import StoredMessage, packets_in
from http_room import ask
from mailveil.app.controlling import opened_room
from mailveil.config import Settings
from mailveil.control.access import command_line_actor
from mailveil.control.organisations import make_organisation
from mailveil.control.policies import change_policy
from mailveil.control.tokens import make_token
from mailveil.core.policy.document import document_of
from mailveil_room import Mailveil, mailveil_room
from postfix_room import free_port
from smtp_room import Client, without_trace

PATIENCE_S = 120.0
TRACKER = b"t.tracker.example"
PROTECTED, KEPT, TRIED = "example.org", "kept.example", "tried.example"
DOMAINS = {"default": PROTECTED, "kept": KEPT, "tried": TRIED}
POLICIES = {
    "default": 'level = "normal"\n',
    "kept": '[[rules]]\nid = "all"\nwhen = { recipients = ["@kept.example"] }\n'
    'then = { action = "keep", banner = "none" }\n',
    "tried": '[[rules]]\nid = "trial"\nwhen = { recipients = ["@tried.example"] }\nthen = { monitor = true }\n',
}
PEOPLE = tuple(f"reader{number}@{tuple(DOMAINS.values())[number % 3]}" for number in range(50))


def mailing(way: str) -> bytes:
    return (
        f"From: News <news@shop.example>\r\nTo: readers@lists.example\r\nSubject: Sale\r\nMIME-Version: 1.0\r\n"
        f"Message-ID: <{way}@shop.example>\r\nContent-Type: text/html\r\n\r\n"
        f'<p>Sale</p><img width=1 height=1 src="https://t.tracker.example/o.gif?u=8f3a2c1d">\r\n'
    ).encode()


def people_of(domain: str) -> list[str]:
    return sorted(each for each in PEOPLE if each.endswith("@" + domain))


class Hop:
    """A server that takes everything, and notes for whom each message is as soon as it has it."""

    def __init__(self) -> None:
        self.port = 0
        self.delivered: list[tuple[list[str], bytes]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks: set[asyncio.Task[None]] = set()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(self.talk(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        try:
            writer.write(b"220 next.example ESMTP\r\n")
            while line := (await reader.readline()).decode():
                answer = "250 2.0.0 fine"
                match line[:4].upper():
                    case "MAIL" | "RSET":
                        recipients = []
                    case "RCPT":
                        recipients.append(line.partition("<")[2].partition(">")[0])
                    case "DATA":
                        writer.write(b"354 go on\r\n")
                        wire = await reader.readuntil(b"\r\n.\r\n")
                        self.delivered.append((recipients, wire[:-3]))
                    case "QUIT":
                        answer = "221 2.0.0 bye"
                writer.write(f"{answer}\r\n".encode())
        finally:
            writer.close()


class Room:
    """mailveil with its organisations, and the server behind it."""

    def __init__(self, mailveil: Mailveil, hop: Hop, lmtp: int, milter: int, console: int) -> None:
        self.mailveil, self.hop = mailveil, hop
        self.lmtp, self.milter, self.console = lmtp, milter, console
        self.tokens: dict[str, str] = {}

    @property
    def settings(self) -> Settings:
        return self.mailveil.settings

    async def until(self, condition: Any, what: str) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while not await condition():
            assert asyncio.get_running_loop().time() < end, f"{what}\n{self.mailveil.log()}"
            await asyncio.sleep(0.05)

    async def told(self, organisation: str, path: str) -> Any:
        """Return what the API answers somebody of an organisation."""
        fields = {"Authorization": f"Bearer {self.tokens[organisation]}"}
        answer = await ask(self.console, f"/api/v1{path}", Host="localhost", **fields)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def recorded(self, organisation: str, way: str) -> dict[str, Any]:
        """Return the one message of a way in, as the API tells an organisation of it."""
        found: list[dict[str, Any]] = []

        async def is_there() -> bool:
            items = (await self.told(organisation, "/messages"))["items"]
            messages = [await self.told(organisation, f"/messages/{each['id']}") for each in items]
            found[:] = [each for each in messages if each["message_id"] == f"<{way}@shop.example>"]
            return bool(found)

        await self.until(is_there, f"{way} is not on record of {organisation}")
        (only,) = found
        return only

    def delivered(self) -> dict[str, list[bytes]]:
        """Return what each person was sent since this was last asked."""
        given: dict[str, list[bytes]] = {}
        for recipients, wire in self.hop.delivered:
            for each in recipients:
                given.setdefault(each, []).append(wire)
        self.hop.delivered.clear()
        return given


@asynccontextmanager
async def three_organisations() -> AsyncIterator[Room]:
    hop, lmtp, milter, console = Hop(), free_port(), free_port(), free_port()
    async with hop.running():
        table = {
            "gateway": {"next_hop": f"smtp://127.0.0.1:{hop.port}", "lmtp_listen": f"127.0.0.1:{lmtp}"},
            "milter": {"listen": f"127.0.0.1:{milter}"},
            "console": {"listen": f"127.0.0.1:{console}"},
            "copies": {"mode": "none"},
            "workers": {"processes": 1},
        }
        with mailveil_room(table, doors=(lmtp, milter, console), started=False) as mailveil:
            room = Room(mailveil, hop, lmtp, milter, console)
            await prepare(room)
            await asyncio.to_thread(mailveil.start)
            yield room
            await asyncio.to_thread(mailveil.stop)


async def prepare(room: Room) -> None:
    """Make the organisations, with their policies and a token for each."""
    async with opened_room(room.settings) as control:
        for organisation, domain in DOMAINS.items():
            actor = command_line_actor(organisation, "test")
            if organisation != "default":
                await make_organisation(control, actor, organisation, organisation, domains=(domain,))
            policy = document_of(tomllib.loads(POLICIES[organisation]))
            await change_policy(control, actor, policy, based_on=0)
            made = await make_token(control, actor, "test", ("messages:read",), 1)
            room.tokens[organisation] = made.secret


@asynccontextmanager
async def greeted(port: int, hello: str) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        assert (await client.reply()).startswith("220")
        assert (await client.say(f"{hello} mx.example")).startswith("250")
        yield client
    finally:
        client.close()


async def offered(client: Client, people: list[str]) -> list[str]:
    """Begin a message for these people; return who shall be asked for again."""
    assert (await client.say("MAIL FROM:<news@shop.example>")).startswith("250")
    later = []
    for each in people:
        reply = await client.say(f"RCPT TO:<{each}>")
        assert reply.startswith(("250", "452 4.5.3")), reply
        if reply.startswith("452"):
            later.append(each)
    assert len(later) < len(people), "somebody is taken, or this never ends"
    return later


async def by_smtp(room: Room) -> None:
    raw, left = mailing("smtp"), list(PEOPLE)
    async with greeted(room.mailveil.port, "EHLO") as client:
        left = await offered(client, left)
        for again in left:  # a client that does not wait for its next message
            assert (await client.say(f"RCPT TO:<{again}>")).startswith("452 4.5.3")
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(raw + b".")).startswith("250")
        left = await offered(client, left)
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(raw + b".")).startswith("250")
        await client.say("QUIT")
    async with greeted(room.mailveil.port, "EHLO") as client:  # later, on a connection of its own
        assert await offered(client, left) == []
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(raw + b".")).startswith("250")
        await client.say("QUIT")


async def by_lmtp(room: Room) -> None:
    async with greeted(room.lmtp, "LHLO") as client:
        assert await offered(client, list(PEOPLE)) == []
        assert (await client.say("DATA")).startswith("354")
        replies = [await client.say(mailing("lmtp") + b".")]
        replies += [await client.reply() for _ in PEOPLE[1:]]
        assert Counter(each[:3] for each in replies) == {"250": 50}
        assert (await client.say("QUIT")).startswith("221"), "there is one answer for each and no more"


async def by_milter(room: Room, way: str, *people: str) -> bytes:
    """Have a message filtered as a mail server does; return what it passes on."""
    stored = StoredMessage(mailing(way))
    reader, writer = await asyncio.open_connection("127.0.0.1", room.milter)
    writer.write(mail_server.negotiation() + mail_server.connect() + mail_server.helo())
    writer.write(mail_server.envelope("news@shop.example", *people) + mail_server.content(mailing(way)))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not stored.is_answered:
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                data = struct.pack("!I", length) + await reader.readexactly(length)
                ((letter, payload),) = packets_in(data)
                if letter != "O":
                    stored.apply(mail_server.packet(letter, payload))
    finally:
        writer.close()
    assert not stored.refusal
    return stored.delivered


async def check_each_has_its_own(room: Room, way: str) -> None:
    given: dict[str, list[bytes]] = {}

    async def all_there() -> bool:
        for name, wires in room.delivered().items():
            given.setdefault(name, []).extend(wires)
        return len(given) >= len(PEOPLE)

    await room.until(all_there, "somebody has no mail")
    assert {each: len(given.get(each, [])) for each in PEOPLE} == dict.fromkeys(PEOPLE, 1)
    for each in PEOPLE:
        (wire,) = given[each]
        if each.endswith(PROTECTED):
            assert TRACKER not in wire
        else:
            assert without_trace(wire) == mailing(way), "byte by byte as it came"


async def check_records(room: Room, way: str, *, strictest: bool) -> None:
    for organisation, domain in DOMAINS.items():
        found = await room.recorded(organisation, way)
        assert sorted(found["recipients"]) == people_of(domain)
        others = [each for each in DOMAINS.values() if each != domain]
        assert not [each for each in others if each in json.dumps(found)], (
            "others' people are nobody's business"
        )
        assert found["delivered"]
        assert found["monitored"] == (organisation == "tried" and not strictest)
        assert found["changed"] == (organisation == "default" or strictest)
        references = (await room.told(organisation, f"/messages/{found['id']}/references"))["items"]
        actions = {each["host"]: each["action"] for each in references}
        is_kept = organisation == "kept" and not strictest
        assert (actions["t.tracker.example"] == "keep") == is_kept, "of a trial: what would have been done"


def test_one_mailing_to_people_of_three_organisations() -> None:
    async def work() -> None:
        async with three_organisations() as room:
            await by_smtp(room)
            await check_each_has_its_own(room, "smtp")
            await check_records(room, "smtp", strictest=False)
            await by_lmtp(room)
            await check_each_has_its_own(room, "lmtp")
            await check_records(room, "lmtp", strictest=False)
            assert TRACKER not in await by_milter(room, "milter", *PEOPLE)
            await check_records(room, "milter", strictest=True)
            alone = await by_milter(room, "trial", *people_of(TRIED))
            assert alone == mailing("trial"), "whom all rules are a trial for has it as it came"
            found = await room.recorded("tried", "trial")
            assert (found["monitored"], found["changed"], found["total_trackers"]) == (True, False, 1)

    asyncio.run(work())
