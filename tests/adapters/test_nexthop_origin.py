"""Setup: a door that a trusted peer tells by XFORWARD or XCLIENT whom a message is from, and a next hop behind it.

Test: the next hop is told the same, attribute by attribute, so that its logs stay true; and with XCLIENT a connection
that has spoken for one client never speaks for another.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from pathlib import Path

import pytest

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.adapters.origin_attributes import MAX_COMMAND_BYTES, xclient_command, xforward_commands
from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp_commands import XCLIENT_ATTRIBUTES, XFORWARD_ATTRIBUTES, parse_attributes
from mailveil.ports import MailProtocol
from smtp_room import ScriptedServer, smtp_room

LOOPBACK_PEERS = {"trusted_peers": (ip_network("127.0.0.0/8"),)}
MESSAGE = b"Subject: hello\r\n\r\nx\r\n"
XFORWARD = "XFORWARD " + " ".join(XFORWARD_ATTRIBUTES)
XCLIENT = "XCLIENT " + " ".join(XCLIENT_ATTRIBUTES)


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


@pytest.mark.parametrize("pipelining", [(), ("PIPELINING",)], ids=["lockstep", "pipelining"])
def test_xforward_goes_on_with_every_attribute(pipelining: tuple[str, ...]) -> None:
    told = (
        "NAME=mx.example ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=mx+2Bx.example IDENT=4F9D195432C "
        "SOURCE=REMOTE"
    )

    async def check() -> None:
        async with (
            smtp_room(extensions=(XFORWARD, *pipelining), **LOOPBACK_PEERS) as room,
            room.client() as client,
        ):
            assert (await client.say(f"XFORWARD {told}")).startswith("250")
            assert (await client.send(MESSAGE)).startswith("250")
            assert f"XFORWARD {told}" in room.hop.commands
            port = client.writer.get_extra_info("sockname")[1]
            assert (await client.send(MESSAGE)).startswith("250")
            assert room.hop.commands.count(f"XFORWARD {told}") == 1, "it holds for one message"
            own = (
                f"NAME=[UNAVAILABLE] ADDR=127.0.0.1 PORT={port} PROTO=ESMTP HELO=client.example "
                "IDENT=[UNAVAILABLE] SOURCE=REMOTE"
            )
            assert f"XFORWARD {own}" in room.hop.commands, (
                "what the next hop knew of the one before is overwritten"
            )
            assert (await client.say("XFORWARD ADDR=192.0.2.1")).startswith("250")
            assert (await client.send(MESSAGE)).startswith("250")
            assert room.hop.commands[-4] == (
                "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE] "
                "HELO=client.example IDENT=[UNAVAILABLE] SOURCE=REMOTE"
            )
            assert room.hop.connections == 1

    run(check())


def test_only_what_is_offered_is_told_and_a_refusal_stops_no_mail() -> None:
    async def check() -> None:
        script = {"XFORWARD": "550 5.7.0 not you"}
        async with (
            smtp_room(extensions=("XFORWARD ADDR FUTURE",), script=script) as room,
            room.client() as client,
        ):
            assert (await client.send(MESSAGE)).startswith("250")
            assert "XFORWARD ADDR=127.0.0.1" in room.hop.commands
        async with smtp_room(extensions=()) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith("250")
            assert not any(line.startswith("XFORWARD") for line in room.hop.commands)

    run(check())


def test_commands_keep_to_512_bytes() -> None:
    envelope = Envelope(
        client_address="2001:db8::1", helo="ü" * 500, client_name="n" * 5000, queue_id="=+" * 300
    )
    commands = xforward_commands(envelope, XFORWARD_ATTRIBUTES)
    assert len(commands) > 1
    told: dict[str, str] = {}
    for command in commands:
        assert command.startswith("XFORWARD ")
        assert len(command) <= MAX_COMMAND_BYTES or command.count("=") == 1
        told.update(parse_attributes(command.removeprefix("XFORWARD "), XFORWARD_ATTRIBUTES) or {})
    assert set(told) == set(XFORWARD_ATTRIBUTES)
    assert told["ADDR"] == "2001:db8::1"
    assert told["PORT"] == ""


def test_a_server_without_ipv6_is_told_all_but_the_address() -> None:
    """As Postfix with inet_protocols = ipv4 answers; the mail of a client with such an address goes on all the same."""

    def refuse(line: str) -> str:
        return (
            "501 5.5.4 Bad ADDR syntax"
            if "ADDR=IPV6" in line
            else "220 ok"
            if "XCLIENT" in line
            else "250 ok"
        )

    async def check() -> None:
        for xclient in (False, True):
            settings = {
                "script": {"XFORWARD": refuse, "XCLIENT": refuse},
                "extensions": (XFORWARD, XCLIENT),
                "hop_settings": {"xclient": xclient},
                **LOOPBACK_PEERS,
            }
            async with smtp_room(**settings) as room, room.client() as client:
                await client.say("XFORWARD NAME=mx ADDR=IPV6:2001:db8::7 HELO=mx")
                assert (await client.send(MESSAGE)).startswith("250")
                told = [line for line in room.hop.commands if line[:8] in ("XFORWARD", "XCLIENT ")]
                assert len(told) == 2
                assert "ADDR=IPV6:2001:db8::7" in told[0]
                if xclient:
                    assert told[1].startswith("XCLIENT NAME=mx ADDR=[UNAVAILABLE]"), "a stranger, never us"
                else:
                    assert told[1].startswith("XFORWARD NAME=mx PORT="), "its logs are true but for that"
            settings["script"]["XCLIENT"] = "501 5.5.4 Bad NAME syntax"
        async with smtp_room(**settings) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith("451 4.3.5"), (
                "what it cannot read is no reason to bounce"
            )

    run(check())


def test_xclient_is_what_the_next_hop_offers() -> None:
    envelope = Envelope(client_address="192.0.2.7", helo="mx.example", login="anna b", client_port="25")
    assert xclient_command(envelope, ["ADDR", "PORT", "TTL"]) == "XCLIENT ADDR=192.0.2.7 PORT=25"
    assert xclient_command(envelope, ["LOGIN", "NAME"]) == "XCLIENT NAME=[UNAVAILABLE] LOGIN=anna+20b"


def test_a_connection_that_spoke_for_one_client_never_speaks_for_another() -> None:
    async def check() -> None:
        settings = {"extensions": (XCLIENT, XFORWARD), "hop_settings": {"xclient": True}, **LOOPBACK_PEERS}
        async with smtp_room(**settings) as room, room.client() as client:
            for address in ("192.0.2.7", "192.0.2.8"):
                await client.say(f"XFORWARD NAME=mx ADDR={address} PORT=99 PROTO=SMTP HELO=mx.example")
                assert (await client.send(MESSAGE)).startswith("250")
            told = [line for line in room.hop.commands if line.startswith("XCLIENT")]
            assert told == [
                f"XCLIENT NAME=mx ADDR={address} PORT=99 PROTO=SMTP HELO=mx.example LOGIN=[UNAVAILABLE]"
                for address in ("192.0.2.7", "192.0.2.8")
            ]
            at = room.hop.commands.index(told[0])
            assert room.hop.commands[at + 1] == "EHLO mx.example", "the session begins anew, as the client's"
            assert not any(line.startswith("XFORWARD") for line in room.hop.commands)
            assert room.hop.connections == 2

    run(check())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("554 5.7.1 client host rejected", "554 5.7.1 client host rejected"), ("421 4.3.2 no", "451 4.3.2 no"),
     (None, "451 4.4.2"), ("250 what", "451 4.4.2")],
)  # fmt: skip
def test_who_is_not_let_in_as_the_client_is_not_let_in_as_us(answer: str | None, expected: str) -> None:
    async def check() -> None:
        settings = {
            "extensions": (XCLIENT,),
            "hop_settings": {"xclient": True},
            "script": {"XCLIENT": answer},
        }
        async with smtp_room(**settings) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith(expected)
            assert not any(line.startswith("MAIL") for line in room.hop.commands)

    run(check())


def test_xclient_is_left_out_unless_it_is_asked_for() -> None:
    async def check() -> None:
        async with smtp_room(extensions=(XCLIENT,)) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith("250")
            assert not any(line.startswith("XCLIENT") for line in room.hop.commands)

    run(check())


def test_a_next_hop_on_a_unix_socket(tmp_path: Path) -> None:
    async def check() -> None:
        path = str(tmp_path / "lmtp")
        async with ScriptedServer(path=path, lmtp=True).running() as server:
            hop = SmtpNextHop(NextHopSettings("", 0, "gate.example", protocol=MailProtocol.LMTP, path=path))
            assert hop.name == f"lmtp+unix:{path}"
            async with smtp_room(next_hop=hop) as room, room.client() as client:
                for _ in range(2):
                    assert (await client.send(MESSAGE)).startswith("250")
            assert len(server.commands) > 5
            assert server.connections == 1
            assert (await hop.check()).code == 250
        assert (await hop.check()).code == 451

    run(check())


def test_a_transaction_taken_back_leaves_the_connection_for_the_next() -> None:
    """Address probes (MAIL, RCPT, RSET or QUIT) are ordinary; none of them costs a connection."""

    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            for _ in range(3):
                await client.say("MAIL FROM:<a@example.com>")
                await client.say("RCPT TO:<b@example.org>")
                await client.say("RSET")
                await asyncio.sleep(0.05)
            assert (await client.send(MESSAGE)).startswith("250")
            assert room.hop.connections == 1
            assert room.hop.commands.count("RSET") == 3

    run(check())
