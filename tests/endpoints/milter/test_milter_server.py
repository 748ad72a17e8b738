"""Setup: the milter door on loopback and on a Unix socket, with mail servers that speak packets.

Test: many at once are answered in one write each, what there is no room for waits or is put off, stopping loses
nothing, and nobody connects who may not.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from endpoints.milter import mail_server
from endpoints.milter.mail_server import StoredMessage, packets_in
from mailveil.core.policy import Envelope
from mailveil.endpoints.milter import MilterDoor, MilterSettings, StrangersError, check_listener
from mailveil.endpoints.milter import server as milter_server
from mailveil.endpoints.smtp_intake import Intake
from mailveil.endpoints.unixsocket import open_socket
from mailveil.ports import Reply, Transaction

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
RAW = b"From: a@example.com\r\nSubject: x\r\n\r\nbody\r\n"


async def take(envelope: Envelope, raw: bytes, transaction: Transaction, identifier: str) -> Reply:
    return await transaction.deliver(raw)


class MailServer:
    """One connection of a mail server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def packet(self) -> tuple[str, bytes]:
        async with asyncio.timeout(30):
            (length,) = struct.unpack("!I", await self.reader.readexactly(4))
            ((letter, payload),) = packets_in(
                struct.pack("!I", length) + await self.reader.readexactly(length)
            )
        return letter, payload

    async def greet(self) -> None:
        self.writer.write(mail_server.negotiation() + mail_server.connect() + mail_server.helo())
        assert (await self.packet())[0] == "O"

    def send(self, raw: bytes, identifier: str = "4aBcD") -> None:
        self.writer.write(mail_server.envelope(identifier=identifier) + mail_server.content(raw))

    async def answer(self, raw: bytes) -> StoredMessage:
        """Return the message as it is after all modifications and the answer."""
        stored = StoredMessage(raw)
        while not stored.is_answered:
            letter, payload = await self.packet()
            stored.apply(mail_server.packet(letter, payload))
        return stored

    async def is_closed(self) -> bool:
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read(1) == b""
            return True


@contextlib.asynccontextmanager
async def door_room(accept: Callable[..., object] = take, **settings: object) -> AsyncIterator[MilterDoor]:
    door = MilterDoor(MilterSettings(**{"clients": LOOPBACK, **settings}), accept)
    await door.start("127.0.0.1", 0)
    try:
        yield door
    finally:
        await door.stop(1)


@contextlib.asynccontextmanager
async def connected(door: MilterDoor, *, greet: bool = True) -> AsyncIterator[MailServer]:
    server = MailServer(*await asyncio.open_connection("127.0.0.1", door.port))
    try:
        if greet:
            await server.greet()
        yield server
    finally:
        server.writer.close()


def names_in(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 120))


def test_one_connection_many_messages() -> None:
    seen: list[tuple[Envelope, bytes, str]] = []

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        seen.append((envelope, raw, identifier))
        return await transaction.deliver(raw.replace(b"tracked", b"silent"))

    async def work() -> None:
        async with door_room(accept) as door, connected(door) as server:
            for raw in (RAW, RAW + b"tracked" * 50_000, b"\r\n"):
                server.send(raw)
                stored = await server.answer(raw)
                assert stored.delivered == raw.replace(b"tracked", b"silent")
            server.writer.write(mail_server.packet("K") + mail_server.connect())
            server.send(RAW, "next")
            assert (await server.answer(RAW)).delivered == RAW
            server.writer.write(mail_server.packet("Q"))
            assert await server.is_closed()
            assert [each[2] for each in seen] == ["4aBcD"] * 3 + ["next"]

    run(work())


def test_many_connections_at_once_by_both_ways_in(tmp_path: Path) -> None:
    held: list[int] = []
    most = [0]

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        held.append(1)
        most[0] = max(most[0], len(held))
        await asyncio.sleep(0.01)
        held.pop()
        return await transaction.deliver(raw + b"changed\r\n")

    async def one(connection: MailServer, number: int) -> None:
        await connection.greet()
        for turn in range(5):
            raw = RAW + b"%d %d\r\n" % (number, turn) * 1000
            connection.send(raw)
            assert (await connection.answer(raw)).delivered == raw + b"changed\r\n"
        connection.writer.close()

    async def work() -> None:
        async with door_room(accept, max_messages=3) as door:
            path = tmp_path / "m.sock"
            await door.start_socket(path)
            servers = [MailServer(*await asyncio.open_connection("127.0.0.1", door.port)) for _ in range(30)]
            servers += [MailServer(*await asyncio.open_unix_connection(path)) for _ in range(30)]
            await asyncio.gather(*(one(each, number) for number, each in enumerate(servers)))
            assert most[0] == 3, "as many as there is room for, and no more"
            assert not door.waiting

    run(work())


def test_without_room_a_message_waits_and_is_then_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milter_server, "SWEEP_S", 0.05)
    go = asyncio.Event()

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        await go.wait()
        return await transaction.deliver(raw)

    async def work() -> None:
        async with (
            door_room(accept, max_messages=1, busy_timeout_s=0.5) as door,
            connected(door) as first,
            connected(door) as second,
            connected(door) as third,
        ):
            big = RAW + b"x" * 3_000_000
            first.send(RAW)
            await asyncio.sleep(0.1)
            second.send(big)
            assert (await second.answer(big)).refusal.startswith("451 4.3.2 ")
            third.send(RAW)
            await asyncio.sleep(0.1)
            go.set()
            assert (await first.answer(RAW)).delivered == RAW
            assert not (await third.answer(RAW)).refusal
            second.send(RAW)
            assert not (await second.answer(RAW)).refusal, "a connection that was put off goes on"

    run(work())


def test_bytes_are_bounded_over_all_messages() -> None:
    go = asyncio.Event()

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        await go.wait()
        return await transaction.deliver(raw)

    async def work() -> None:
        intake = Intake(8, 1_000_000)
        door = MilterDoor(MilterSettings(clients=LOOPBACK), accept, intake)
        await door.start("127.0.0.1", 0)
        async with connected(door) as first, connected(door) as second, connected(door) as third:
            large = RAW + b"x" * 700_000
            first.send(large)
            while intake.taken_bytes < len(large):
                await asyncio.sleep(0.01)
            second.send(large)
            assert (await second.answer(large)).refusal.startswith("451 4.3.2 ")
            third.send(RAW)
            go.set()
            assert (await third.answer(RAW)).delivered == RAW
            assert (await first.answer(large)).delivered == large
            second.send(large)
            assert (await second.answer(large)).delivered == large
            third.writer.write(mail_server.envelope() + mail_server.fields(b"A: " + b"x" * 500_000))
            await third.writer.drain()
            while intake.taken_bytes < 500_000:
                await asyncio.sleep(0.01)
        while door.sessions:
            await asyncio.sleep(0.01)
        assert intake.taken_bytes == 0, "whoever leaves gives its bytes back"
        await door.stop(1)

    run(work())


def test_a_mail_server_that_is_gone_gives_its_room_back() -> None:
    begun = asyncio.Event()
    answers: list[Reply] = []
    go = asyncio.Event()

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        begun.set()
        await go.wait()
        answers.append(await transaction.deliver(raw))
        return answers[-1]

    async def work() -> None:
        async with door_room(accept, max_messages=1) as door:
            async with connected(door) as server:
                server.writer.write(mail_server.envelope() + mail_server.fields(b"A: 1"))
                await server.writer.drain()
                await asyncio.sleep(0.2)
            async with connected(door) as server:
                server.send(RAW)
                await begun.wait()
            while door.sessions:
                await asyncio.sleep(0.01)
            go.set()
            while not answers:
                await asyncio.sleep(0.01)
            assert answers[0].is_transient, "who is gone has not taken the message"
            async with connected(door) as server:
                server.send(RAW)
                assert (await server.answer(RAW)).delivered == RAW

    run(work())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(451, "4.3.0", "Cannot process"), "451 4.3.0 Cannot process"),
        (Reply(554, "5.6.0", "No"), "554 5.6.0 No"),
        (Reply(250, "2.0.0", "never delivered"), "451 4.3.0 "),
        (None, "451 4.3.0 "),
    ],
)
def test_what_is_not_delivered_is_never_accepted(reply: Reply | None, expected: str) -> None:
    async def accept(envelope, raw, transaction, identifier) -> Reply:
        if reply is None:
            raise RuntimeError("a mistake of ours")
        return reply

    async def work() -> None:
        async with door_room(accept) as door, connected(door) as server:
            for _ in range(2):
                server.send(RAW)
                assert (await server.answer(RAW)).refusal.startswith(expected)

    run(work())


def test_what_comes_after_the_delivery_changes_nothing() -> None:
    async def accept(envelope, raw, transaction, identifier) -> Reply:
        assert (await transaction.deliver(raw)).is_positive
        assert not (await transaction.deliver(raw)).is_positive, "only once"
        raise RuntimeError("too late")

    async def work() -> None:
        async with door_room(accept) as door, connected(door) as server:
            for _ in range(2):
                server.send(RAW)
                assert (await server.answer(RAW)).delivered == RAW

    run(work())


def test_long_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milter_server, "SWEEP_S", 0.05)
    monkeypatch.setattr(milter_server, "PROGRESS_S", 0.2)
    go = asyncio.Event()

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        await go.wait()
        return await transaction.deliver(raw)

    async def work() -> None:
        async with door_room(accept, timeout_s=0.1) as door, connected(door) as server:
            server.send(RAW)
            assert (await server.packet())[0] == "p"
            assert (await server.packet())[0] == "p"
            go.set()
            assert (await server.answer(RAW)).is_answered

    run(work())


def test_silence_and_strange_languages_end_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milter_server, "SWEEP_S", 0.05)

    async def work() -> None:
        async with door_room(timeout_s=0.3) as door:
            async with connected(door) as server:
                assert await server.is_closed()
            for data in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"\0\0\0\0",
                mail_server.packet("Q"),
                mail_server.connect(),
            ):
                async with connected(door, greet=False) as server:
                    server.writer.write(data)
                    assert await server.is_closed()

    run(work())


def test_too_many_connections_and_strangers_are_turned_away() -> None:
    async def work() -> None:
        async with door_room(max_connections=1) as door, connected(door) as first:
            async with connected(door) as second:
                assert (await second.packet())[1].startswith(b"421 4.3.2 ")
                async with connected(door, greet=False) as third:
                    assert await third.is_closed()
            first.send(RAW)
            assert (await first.answer(RAW)).delivered == RAW
        async with (
            door_room(clients=(ip_network("192.0.2.0/24"),)) as door,
            connected(door, greet=False) as stranger,
        ):
            assert await stranger.is_closed()

    run(work())


def test_stopping_finishes_what_is_under_way() -> None:
    go = asyncio.Event()

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        await go.wait()
        return await transaction.deliver(raw)

    async def work() -> None:
        async with (
            door_room(accept) as door,
            connected(door) as idle,
            connected(door) as late,
            connected(door) as busy,
        ):
            busy.send(RAW)
            whole = mail_server.envelope() + mail_server.content(RAW)
            late.writer.write(whole[:-10])
            await late.writer.drain()
            await asyncio.sleep(0.2)
            stopping = asyncio.create_task(door.stop(30))
            assert await idle.is_closed()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", door.port)
            go.set()
            assert (await busy.answer(RAW)).delivered == RAW
            assert await busy.is_closed()
            late.writer.write(whole[-10:])
            assert (await late.answer(RAW)).delivered == RAW
            assert await late.is_closed()
            await stopping

    run(work())


def test_stopping_gives_up_in_the_end_and_the_mail_server_keeps_the_message() -> None:
    async def accept(envelope, raw, transaction, identifier) -> Reply:
        await asyncio.sleep(3600)
        return await transaction.deliver(raw)

    async def work() -> None:
        async with door_room(accept) as door, connected(door) as server:
            server.send(RAW)
            await asyncio.sleep(0.2)
            await door.stop(0.2)
            assert (await server.answer(RAW)).refusal.startswith("451 ")

    run(work())


# --- the Unix socket -------------------------------------------------------------------------------------


def test_a_socket_has_its_permissions_and_goes_with_the_door(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def work() -> None:
        async with door_room() as door:
            await door.start_socket(path, 0o620, str(os.getgid()))
            found = path.stat()
            assert stat.S_ISSOCK(found.st_mode)
            assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o620, os.getgid())
            assert names_in(tmp_path) == ["m.sock"]
            server = MailServer(*await asyncio.open_unix_connection(path))
            await server.greet()
            server.send(RAW)
            assert (await server.answer(RAW)).delivered == RAW
            server.writer.close()
        assert names_in(tmp_path) == []

    run(work())


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    with contextlib.closing(open_socket(path, 0o600, "")) as live:
        with pytest.raises(OSError, match="another process answers there") as caught:
            open_socket(path, 0o600, "")
        assert caught.value.errno == errno.EADDRINUSE
        live.accept()[0].close()

    async def work() -> None:
        async with door_room() as door:
            await door.start_socket(path)
            path.unlink()
            with contextlib.closing(open_socket(path, 0o600, "")):
                await door.stop(1)
                assert path.exists(), "another process's socket stays"

    run(work())


def test_what_is_no_socket_stays_and_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    path.write_text("precious")
    with pytest.raises(OSError, match="no socket is in the way"):
        open_socket(path, 0o600, "")
    assert path.read_text() == "precious"
    with pytest.raises(OSError, match="longer than 107 bytes"):
        open_socket(tmp_path / ("x" * 120), 0o600, "")
    with pytest.raises(OSError, match='no group "no-such-group"'):
        open_socket(tmp_path / "n.sock", 0o600, "no-such-group")
    with pytest.raises(FileNotFoundError):
        open_socket(tmp_path / "none" / "n.sock", 0o600, "")
    long = tmp_path / ("y" * (107 - len(str(tmp_path)) - 1))
    open_socket(long, 0o600, "").close()
    assert names_in(tmp_path) == ["m.sock", long.name]


@pytest.mark.parametrize(
    ("host", "clients", "is_open"),
    [
        ("127.0.0.1", (), False),
        ("::1", (), False),
        ("localhost", (), False),
        ("0.0.0.0", LOOPBACK, True),
        ("192.0.2.1", (), True),
        ("mx.example.org", LOOPBACK, True),
        ("0.0.0.0", (*LOOPBACK, ip_network("192.0.2.7")), False),
    ],
)
def test_listening_for_strangers_is_refused(host: str, clients, is_open: bool) -> None:
    if is_open:
        with pytest.raises(StrangersError, match="clients"):
            check_listener(host, clients)
    else:
        check_listener(host, clients)
