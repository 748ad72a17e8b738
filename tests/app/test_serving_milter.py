"""Setup: the whole product on loopback, and a mail server's packets at its milter.

Test: both ways in are announced, checked and work over the real engine, and a socket in use is not taken over.
"""

from __future__ import annotations

import asyncio
import quopri
import struct
from pathlib import Path

import pytest

from app.test_serving import environment, free_ports, product, run
from endpoints.milter import mail_server
from endpoints.milter.mail_server import StoredMessage, packets_in
from mailveil.app import CheckResult, Outcome, StartError, check, trial_message
from mailveil.app.recipes import mail_server_recipes
from mailveil.config import Settings, load


async def filtered(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes, *, local: bool
) -> bytes:
    """Have a message filtered as a mail server does; return it as it goes on."""
    stored = StoredMessage(raw)
    client = mail_server.connect("localhost", "127.0.0.1", 0) if local else mail_server.connect()
    writer.write(mail_server.negotiation() + client + mail_server.helo())
    writer.write(mail_server.envelope(identifier="4Test") + mail_server.content(raw))
    try:
        async with asyncio.timeout(60):
            while not stored.is_answered:
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                ((letter, payload),) = packets_in(
                    struct.pack("!I", length) + await reader.readexactly(length)
                )
                if letter != "O":
                    stored.apply(mail_server.packet(letter, payload))
    finally:
        writer.close()
    assert not stored.refusal
    return stored.delivered


async def milter_results(settings: Settings) -> list[CheckResult]:
    return [each for each in await check(settings) if each.name == "milter"]


def test_the_milter_protects_by_both_ways_in(tmp_path: Path) -> None:
    raw = trial_message("<x@example.com>", "Tue, 1 Jul 2025 10:00:00 +0000")

    async def work() -> None:
        port = free_ports(1)[0]
        async with product(tmp_path, MAILVEIL_MILTER__LISTEN=f"127.0.0.1:{port}") as running:
            path = running.settings.milter_socket
            assert path == tmp_path / "milter.sock"
            said = "\n".join(running.said)
            assert f"milter://127.0.0.1:{port}" in said
            assert str(path) in said
            assert " recipes" in said
            recipes = mail_server_recipes(running.settings)
            assert recipes.index("smtpd_milters=") < recipes.index("content_filter=")
            assert "INPUT_MAIL_FILTER(`mailveil'" in recipes
            for connecting in (
                asyncio.open_connection("127.0.0.1", port),
                asyncio.open_unix_connection(str(path)),
            ):
                silent = await filtered(*await connecting, raw, local=False)
                assert silent != raw
                assert b"tracker.example" not in quopri.decodestring(silent)
            assert await filtered(*await asyncio.open_unix_connection(str(path)), raw, local=True) == raw
            assert [each.outcome for each in await milter_results(running.settings)] == [Outcome.GOOD] * 2
        assert not path.exists()
        results = await milter_results(running.settings)
        assert [each.outcome for each in results] == [Outcome.NOTICE] * 2
        assert "is free" in results[0].text

    run(work())


def test_a_socket_in_use_is_not_taken_over(tmp_path: Path) -> None:
    async def work() -> None:
        async with product(tmp_path / "one") as running:
            taken = str(running.settings.milter_socket)
            with pytest.raises(
                StartError, match=r"\[milter\] socket = .* another process answers there already"
            ):
                async with product(tmp_path / "two", MAILVEIL_MILTER__SOCKET=taken):
                    pass
            assert (await milter_results(running.settings))[-1].outcome is Outcome.GOOD, "it lives on"

    run(work())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"MAILVEIL_MILTER__LISTEN": "0.0.0.0:0"}, r"\[milter\] listening on 0.0.0.0 needs 'clients'"),
        ({"MAILVEIL_MILTER__SOCKET": "/nonexistent/milter.sock"}, r"\[milter\] socket = .* No such file"),
        ({"MAILVEIL_MILTER__SOCKET_GROUP": "no-such-group"}, "there is no group"),
    ],
)
def test_what_cannot_be_listened_on_names_its_setting(tmp_path: Path, settings, expected: str) -> None:
    async def work() -> None:
        with pytest.raises(StartError, match=expected):
            async with product(tmp_path, **settings):
                pass

    run(work())


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async def work() -> None:
        off = {"MAILVEIL_MILTER__LISTEN": "", "MAILVEIL_MILTER__SOCKET": ""}
        async with product(tmp_path, **off) as running:
            said = "\n".join(running.said)
            assert "milter://" not in said
            recipes = mail_server_recipes(running.settings)
            assert "smtpd_milters" not in recipes
            assert "content_filter=" in recipes
            assert await milter_results(running.settings) == []

    run(work())


def test_check_tells_strangers_and_other_programs(tmp_path: Path) -> None:
    async def work() -> None:
        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 other.example ESMTP\r\n")
            await writer.drain()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(other, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        taken = load(environment=environment(tmp_path, MAILVEIL_MILTER__LISTEN=f"127.0.0.1:{port}"))
        result = (await milter_results(taken))[0]
        assert (result.outcome, "taken by something else" in result.text) == (Outcome.BAD, True)
        server.close()
        open_to_all = load(environment=environment(tmp_path, MAILVEIL_MILTER__LISTEN="0.0.0.0:0"))
        result = (await milter_results(open_to_all))[0]
        assert (result.outcome, "[milter] clients" in result.text) == (Outcome.BAD, True)

    run(work())


def test_when_it_ends_every_door_closes_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        port = free_ports(1)[0]
        async with product(tmp_path, MAILVEIL_MILTER__LISTEN=f"127.0.0.1:{port}") as running:
            smtp = running.settings.gateway.listen.port
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(mail_server.negotiation() + mail_server.connect() + mail_server.envelope())
            writer.write(mail_server.fields(b"Subject: not yet complete"))
            await asyncio.sleep(0.5)
            running.stop.set()
            async with asyncio.timeout(15):
                while True:
                    try:
                        _, probe = await asyncio.open_connection("127.0.0.1", smtp)
                    except ConnectionRefusedError:
                        break
                    probe.close()
                    await asyncio.sleep(0.05)
            writer.close()

    run(work())
