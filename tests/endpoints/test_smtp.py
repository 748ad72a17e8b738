"""The SMTP door: bytes stay what they are, replies come from the next hop, strangers get nowhere."""

from __future__ import annotations

import asyncio
import re
from ipaddress import ip_network

import pytest

from mailveil.core.message.transparency import stuff_dots
from mailveil.endpoints.smtp import OpenRelayError, SmtpSettings, check_not_open
from mailveil.endpoints.smtp_replies import encode_reply
from mailveil.endpoints.smtp_trace import count_hops
from mailveil.ports import Reply
from smtp_room import smtp_room, without_trace

LOOPBACK = (ip_network("127.0.0.0/8"),)
MESSAGE = b"From: a@example.com\r\nSubject: hello\r\n\r\nLine\r\n"


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        b"",
        b".leading dot\r\n..two\r\n\r\n.\x00.\r\n",
        b"Subject: x\r\n\r\n" + bytes(b for b in range(256) if b not in b"\r\n") + b"\r\n",
        b"Subject: bare\r\n\r\none\ntwo\rthree\n\n\r\r\r\n",
        b"Subject: long\r\n\r\n" + b"x" * 300_000 + b"\r\n",
        b"Subject: spaces  \r\n \t \r\n\r\n  trailing  \t\r\n\r\n\r\n",
        b"no header at all\r\n",
        b"\r\n\r\n",
    ],
    ids=[
        "plain",
        "empty",
        "dots",
        "every-byte",
        "bare-breaks",
        "long-line",
        "spaces",
        "no-header",
        "empty-lines",
    ],
)
def test_bytes_pass_unchanged(message: bytes) -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            reply = await client.send(stuff_dots(message)[:-3])
            assert reply == "250 2.0.0 queued as 4711"
            wire = room.hop.wires[0]
            received = wire.replace(b"\r\n.", b"\r\n")
            assert without_trace(received) == message

    run(check())


def test_a_message_may_arrive_in_pieces_of_any_size() -> None:
    message = b"Subject: x\r\n\r\n.\r\r\n\r\n..\r\nend\r\n"
    wire = stuff_dots(message)

    async def check() -> None:
        async with smtp_room() as room:
            for size in (1, 2, 3, 5, 7):
                async with room.client() as client:
                    await client.say("MAIL FROM:<a@example.com>")
                    await client.say("RCPT TO:<b@example.org>")
                    await client.say("DATA")
                    for start in range(0, len(wire), size):
                        client.writer.write(wire[start : start + size])
                        await client.writer.drain()
                        await asyncio.sleep(0)
                    assert (await client.reply()).startswith("250")
            for wire_out in room.hop.wires:
                assert without_trace(wire_out.replace(b"\r\n.", b"\r\n")) == message

    run(check())


def test_pipelined_commands_after_the_message_are_answered_in_order() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            one = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
            client.writer.write(one + MESSAGE + b".\r\n" + one + MESSAGE + b".\r\nNOOP\r\nQUIT\r\n")
            replies = [(await client.reply())[:3] for _ in range(10)]
            assert replies == ["250", "250", "354", "250", "250", "250", "354", "250", "250", "221"]
            assert len(room.hop.wires) == 2

    run(check())


@pytest.mark.parametrize("around", [(b"\n", b"\n"), (b"\n", b"\r\n"), (b"\r\n", b"\n"), (b"\r", b"\r"),
                                    (b"\r\n", b"\r"), (b"\r", b"\r\n"), (b"\r", b"\n")])  # fmt: skip
def test_smuggling_is_refused(around: tuple[bytes, bytes]) -> None:
    before, after = around
    hidden = b"MAIL FROM:<x@example.com>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"

    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            reply = await client.send(b"Subject: x\r\n\r\ntext" + before + b"." + after + hidden)
            assert reply.startswith("554 5.6.0")
            assert room.hop.wires == []
            assert (await client.send(MESSAGE)).startswith("250"), "the session goes on"

    run(check())


def test_a_bare_line_break_ends_no_command() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            reply = await client.say(b"MAIL FROM:<a@example.com>\rRCPT TO:<b@example.org>")
            assert reply.startswith("501")

    run(check())


@pytest.mark.parametrize(
    ("message", "is_traced_before"),
    [
        (MESSAGE, False),
        (b"Subject: x\r\n\r\n", False),
        (b"", True),
        (b"\r\nno header\r\n", True),
        (b"From a@example.com Mon 12:00\r\nSubject: x\r\n\r\n", True),
        (b" Continued: x\r\n\r\n", True),
        (b"<html>: x\r\n", False),
        (b"no colon at all\r\n", True),
        (b"x" * 5000 + b": y\r\n", True),
    ],
)
def test_the_engine_sees_a_retried_message_as_it_was(message: bytes, is_traced_before: bool) -> None:
    seen = []

    async def look(envelope, raw, transaction, identifier) -> Reply:
        seen.append(raw)
        return await transaction.deliver(raw)

    async def check() -> None:
        async with smtp_room(accept=look) as room, room.client() as client:
            assert (await client.send(stuff_dots(message)[:-3])).startswith("250")
            assert (without_trace(seen[0]) if is_traced_before else seen[0]) == message
            assert without_trace(room.hop.wires[0].replace(b"\r\n.", b"\r\n")) == message

    run(check())


def test_the_trace_field_names_peer_and_identifier() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            await client.send(MESSAGE)
            field = room.hop.wires[0].partition(b"From:")[0].decode()
            assert re.fullmatch(
                r"Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n"
                r"\tby gate\.example \(mailveil\) with ESMTP id [0-9a-f]{12};\r\n"
                r"\t\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n",
                field,
            )

    run(check())


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"MAIL": "550 5.1.8 no such sender"}, "550 5.1.8 no such sender"),
        ({"RCPT": "450 4.2.0 greylisted"}, "450 4.2.0 greylisted"),
        ({"RCPT": "550-5.1.1 no such user\r\n550 5.1.1 here"}, "550-5.1.1 no such user\n550 5.1.1 here"),
        ({"DATA": "452 4.3.1 disk full"}, "452 4.3.1 disk full"),
        ({"END": "554 5.7.1 spam"}, "554 5.7.1 spam"),
        ({"END": "451 4.7.1 later"}, "451 4.7.1 later"),
        ({"END": "250 Ok without status"}, "250 Ok without status"),
        ({"END": "421 4.3.2 going down"}, "451 4.3.2 going down"),
        ({"END": None}, "451 4.4.2"),
        ({"END": "what"}, "451 4.4.2"),
        ({"DATA": None}, "451 4.4.2"),
        ({"RCPT": None}, "451 4.4.2"),
        ({"MAIL": None}, "451 4.4.2"),
        ({"DATA": "250 taken without asking"}, "451 4.4.2"),
        ({"GREETING": "554 go away"}, "451 4.4.1"),
        ({"GREETING": None}, "451 4.4.1"),
        ({"EHLO": "500 what", "HELO": "550 no"}, "451 4.4.1"),
    ],
)
def test_the_next_hops_reply_reaches_the_client(script: dict[str, str | None], expected: str) -> None:
    async def check() -> None:
        async with smtp_room(script=script) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith(expected)
            positive = expected.startswith("250")
            assert len(room.hop.wires) == int(positive)
            await client.say("RSET")
            assert (await client.say("NOOP")).startswith("250"), "our own session goes on"

    run(check())


def test_a_next_hop_that_is_down_is_451_4_4_1() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            await room.door.next_hop.close()
            object.__setattr__(room.door.next_hop.settings, "port", 1)
            assert (await client.send(MESSAGE)).startswith("451 4.4.1")

    run(check())


def test_a_next_hop_that_stalls_is_given_up() -> None:
    async def check() -> None:
        settings = {"timeout_s": 0.2, "final_timeout_s": 0.2}
        for stage, code in (
            ("GREETING", "451 4.4.1"),
            ("MAIL", "451 4.4.2"),
            ("DATA", "451 4.4.2"),
            ("END", "451"),
        ):
            # Half a reply, and then nothing any more.
            script = {stage: lambda line: "250-and then"}
            async with smtp_room(hop_settings=settings, script=script) as room, room.client() as client:
                assert (await client.send(MESSAGE)).startswith(code), stage

    run(check())


def test_each_recipient_gets_its_own_answer() -> None:
    def judge(line: str) -> str:
        return "550 5.1.1 unknown" if "nobody" in line else "250 2.1.5 ok"

    async def check() -> None:
        async with smtp_room(script={"RCPT": judge}) as room, room.client() as client:
            await client.say("MAIL FROM:<a@example.com>")
            assert (await client.say("RCPT TO:<nobody@example.org>")).startswith("550 5.1.1")
            assert (await client.say("DATA")).startswith("554"), "nobody to deliver to"
            assert (await client.say("RCPT TO:<some@example.org>")).startswith("250")
            assert (await client.say("DATA")).startswith("354")
            client.writer.write(MESSAGE + b".\r\n")
            assert (await client.reply()).startswith("250")

    run(check())


def test_a_next_hop_that_hangs_up_between_is_reached_again() -> None:
    calls = iter([None])

    def hang_up_once(line: str) -> str | None:
        return next(calls, "354 go on")

    async def check() -> None:
        async with smtp_room(script={"DATA": hang_up_once}) as room, room.client() as client:
            assert (await client.send(MESSAGE, "a@example.org", "b@example.org")).startswith("250")
            assert room.hop.connections == 2
            assert [c for c in room.hop.commands if c.startswith("RCPT")] == [
                "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>"] * 2  # fmt: skip

    run(check())


def test_connections_are_used_again() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            for _ in range(3):
                assert (await client.send(MESSAGE)).startswith("250")
            assert room.hop.connections == 1
            assert len(room.hop.wires) == 3

    run(check())


def test_addresses_and_parameters_pass_as_they_were_written() -> None:
    async def check() -> None:
        async with smtp_room(extensions=("SIZE", "8BITMIME", "SMTPUTF8", "DSN")) as room:
            async with room.client() as client:  # what it offers is known from the first connection on
                await client.send(MESSAGE)
            async with room.client() as client:
                del room.hop.commands[:]
                await client.say("MAIL FROM:<> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=abc")
                await client.say('RCPT TO:<"a b>\\""@example.org> NOTIFY=NEVER')
                await client.say("DATA")
                client.writer.write(MESSAGE + b".\r\n")
                assert (await client.reply()).startswith("250")
                assert room.hop.commands == [
                    "MAIL FROM:<> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=abc",
                    'RCPT TO:<"a b>\\""@example.org> NOTIFY=NEVER',
                    "DATA",
                ]
                await client.say("MAIL FROM:<jürgen@example.com> SMTPUTF8")
                assert room.hop.commands[-1] == "MAIL FROM:<jürgen@example.com> SMTPUTF8"

    run(check())


def test_only_what_the_next_hop_offers_is_offered() -> None:
    async def check() -> None:
        async with smtp_room(extensions=("SIZE",)) as room, room.client(greet=False) as client:
            await client.reply()
            first = await client.say("EHLO x")
            assert not {"8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"} & set(re.split("\n250.", first))
            assert (await client.send(MESSAGE, options=" BODY=8BITMIME")).startswith("555 5.5.4")
            assert (await client.send(MESSAGE)).startswith("250")
            assert room.hop.connections == 1, "what was learnt cost no connection of its own"


def test_what_an_upgraded_next_hop_no_longer_offers_is_put_off() -> None:
    async def check() -> None:
        async with smtp_room(hop_settings={"max_idle_s": 0.0}) as room, room.client() as client:
            room.hop.extensions = ("SIZE",)
            assert (await client.send(MESSAGE, options=" BODY=8BITMIME")).startswith("451 4.6.3")
        async with smtp_room(hop_settings={"max_idle_s": 0.0}) as room, room.client() as client:
            room.hop.extensions = ("SIZE",)
            assert (await client.send(MESSAGE, options=" SMTPUTF8")).startswith("451 4.6.7"), (
                "nothing bounces"
            )

    run(check())


def test_the_smaller_size_of_both_is_offered() -> None:
    async def check() -> None:
        for extensions, expected in (
            (("SIZE 5000",), "SIZE 5000"),
            (("SIZE 9999999999999",), "SIZE 70000"),
            (("SIZE 0",), "SIZE 70000"),
            (("SIZE",), "SIZE 70000"),
            (("SIZE nonsense",), "SIZE 70000"),
            ((), "SIZE 70000"),
        ):
            limits = {"extensions": extensions, "max_message_bytes": 70_000}
            async with smtp_room(**limits) as room, room.client() as client:
                assert expected in re.split("\n?250.", await client.say("EHLO x")), extensions

    run(check())

    run(check())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL", "501"),
        ("MAIL FROM:", "501"),
        ("MAIL FROM:<a@example.com", "501"),
        ("MAIL FROM:<a@example.com>x", "501"),
        ("MAIL FROM:<a b@example.com>", "501"),
        ("MAIL FROM:<a\x00@example.com>", "501"),
        ("MAIL FROM:<a@example.com> FUN=1", "555"),
        ("MAIL FROM:<a@example.com> SIZE=99999999999", "552"),
        ("MAIL FROM:<ä@example.com>", "553"),
        (b"MAIL FROM:<\xff@example.com>", "501"),
        ("RCPT TO:<a@example.org>", "503"),
        ("DATA", "503"),
        ("VRFY root", "252"),
        ("EXPN staff", "502"),
        ("AUTH PLAIN AAAA", "502"),
        ("STARTTLS", "502"),
        ("XCLIENT ADDR=1.2.3.4", "550"),
        ("XFORWARD SOURCE=LOCAL", "550"),
        ("NONSENSE", "500"),
        ("x" * 10_000, "500"),
    ],
)
def test_what_is_malformed_or_not_offered_is_refused(line: str | bytes, code: str) -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            assert (await client.say(line)).startswith(code)
            assert (await client.send(MESSAGE)).startswith("250"), "and the session goes on"

    run(check())


def test_too_large_messages_are_refused_and_the_session_goes_on() -> None:
    async def check() -> None:
        async with smtp_room(max_message_bytes=1000) as room, room.client() as client:
            assert "SIZE 1000" in await client.say("EHLO x")
            assert (await client.send(b"x" * 5_000_000 + b"\r\n")).startswith("552 5.3.4")
            assert (await client.send(b"x" * 998 + b"\r\n")).startswith("250")
            assert (await client.send(b"x" * 999 + b"\r\n")).startswith("552 5.3.4")

    run(check())


def test_loops_end() -> None:
    async def check() -> None:
        async with smtp_room(max_hops=5) as room, room.client() as client:
            assert (await client.send(b"Received: x\r\n" * 4 + MESSAGE)).startswith("250")
            assert (await client.send(b"rEceived: x\r\n" * 5 + MESSAGE)).startswith("554 5.4.6")
            assert (await client.send(MESSAGE + b"Received: x\r\n" * 9)).startswith("250"), (
                "the body does not count"
            )

    run(check())


def test_hops_are_counted_in_the_header_alone() -> None:
    assert count_hops(b"Received: a\nX: Received:\nReceived: b\n\nReceived: c\n") == 2


def test_strangers_send_to_our_domains_only() -> None:
    async def check() -> None:
        async with smtp_room(recipient_domains=frozenset({"example.org"})) as room, room.client() as client:
            await client.say("MAIL FROM:<a@example.com>")
            for recipient in (
                "x@elsewhere.example",
                "x%elsewhere.example@example.org",
                "x@elsewhere@example.org",
                "elsewhere.example!x@example.org",
                "@example.org:x@elsewhere.example",
                "nodomain",
                "x@sub.example.org",
            ):
                assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("550 5.7.1"), recipient
            for recipient in ("x@EXAMPLE.org", "x@example.org.", "postmaster"):
                assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("250"), recipient
        both = {"recipient_domains": frozenset({"example.org"}), "clients": LOOPBACK}
        async with smtp_room(**both) as room, room.client() as client:
            await client.say("MAIL FROM:<a@example.com>")
            assert (await client.say("RCPT TO:<x@elsewhere.example>")).startswith("250")

    run(check())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "mail.example.org"])
def test_an_open_relay_does_not_start(host: str) -> None:
    with pytest.raises(OpenRelayError, match="recipient_domains"):
        check_not_open(host, SmtpSettings("gate.example"))
    with pytest.raises(OpenRelayError):  # nobody could send anything, and that is not what was meant either
        check_not_open(host, SmtpSettings("gate.example", clients=LOOPBACK))
    check_not_open(host, SmtpSettings("gate.example", clients=(ip_network("10.0.0.0/8"),)))
    check_not_open(host, SmtpSettings("gate.example", recipient_domains=frozenset({"example.org"})))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "[::1]"])
def test_loopback_needs_no_list(host: str) -> None:
    check_not_open(host, SmtpSettings("gate.example"))


def test_connections_beyond_the_limit_are_told_421() -> None:
    async def check() -> None:
        async with smtp_room(max_connections=1) as room:
            async with room.client(), room.client(greet=False) as second:
                assert (await second.reply()).startswith("421 4.3.2")
                assert await second.reply() == "closed"
            await asyncio.sleep(0.05)
            async with room.client() as client:
                assert (await client.send(MESSAGE)).startswith("250")

    run(check())


def test_messages_beyond_the_limit_are_told_to_wait() -> None:
    gate = asyncio.Event()

    async def slow(envelope, raw, transaction, identifier) -> Reply:
        await gate.wait()
        return await transaction.deliver(raw)

    async def check() -> None:
        limits = {"max_transactions": 1, "busy_timeout_s": 0.1}
        async with smtp_room(accept=slow, **limits) as room, room.client() as first, room.client() as second:
            sending = asyncio.create_task(first.send(MESSAGE))
            await asyncio.sleep(0.1)
            assert (await second.send(MESSAGE)).startswith("451 4.3.2")
            gate.set()
            assert (await sending).startswith("250")

    run(check())


def test_whatever_breaks_inside_the_sender_keeps_the_message() -> None:
    async def broken(envelope, raw, transaction, identifier) -> Reply:
        raise RuntimeError("secret detail")

    async def check() -> None:
        async with smtp_room(accept=broken) as room, room.client() as client:
            reply = await client.send(MESSAGE)
            assert reply.startswith("451 4.3.0")
            assert "secret" not in reply
            assert room.hop.wires == []

    run(check())


def test_silent_clients_are_hung_up_on() -> None:
    async def check() -> None:
        async with smtp_room(timeout_s=0.2) as room, room.client() as client:
            assert (await client.reply()).startswith("421 4.4.2")
            assert await client.reply() == "closed"

    run(check())


def test_a_client_that_vanishes_in_data_leaves_nothing_behind() -> None:
    async def check() -> None:
        async with smtp_room() as room:
            async with room.client() as client:
                await client.say("MAIL FROM:<a@example.com>")
                await client.say("RCPT TO:<b@example.org>")
                await client.say("DATA")
                client.writer.write(MESSAGE)
                await client.writer.drain()
            await asyncio.sleep(0.1)
            assert room.hop.wires == []
            assert room.door.sessions == set()
            assert room.door.intake.slots._value == room.door.settings.max_transactions

    run(check())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_client_that_closes_its_half_after_quit_has_its_replies_all_the_same(at_once: bool) -> None:
    going_on = asyncio.Event()

    async def slow(envelope, raw, transaction, identifier) -> Reply:
        await going_on.wait()
        return await transaction.deliver(raw)

    async def check() -> None:
        async with smtp_room(accept=slow) as room, room.client() as client:
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.org>")
            await client.say("DATA")
            client.writer.write(MESSAGE + b".\r\nQUIT\r\n")
            if not at_once:  # the gateway is at work already when the half is closed
                async with asyncio.timeout(30):
                    while not any(session.receiving for session in room.door.sessions):
                        await asyncio.sleep(0.01)
            client.writer.write_eof()
            going_on.set()
            assert (await client.reply()).startswith("250 2.0.0")
            assert (await client.reply()).startswith("221 2.0.0")
            assert await client.reply() == "closed"
            assert len(room.hop.wires) == 1

    run(check())


def test_a_client_that_hangs_up_without_a_word_has_nothing_delivered() -> None:
    """RFC 5321 section 4.1.1.10: what is closed prematurely is not carried out; the client keeps its message."""
    going_on = asyncio.Event()

    async def slow(envelope, raw, transaction, identifier) -> Reply:
        await going_on.wait()
        return await transaction.deliver(raw)

    async def check() -> None:
        async with smtp_room(accept=slow) as room, room.client() as client:
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.org>")
            await client.say("DATA")
            client.writer.write(MESSAGE + b".\r\n")
            client.writer.write_eof()
            assert await client.reply() == "closed"
            going_on.set()
            async with asyncio.timeout(30):
                while room.door.sessions:
                    await asyncio.sleep(0.01)
            assert room.hop.wires == []

    run(check())


def test_a_client_that_only_looks_in_is_gone_at_once() -> None:
    async def check() -> None:
        async with smtp_room() as room:
            for _ in range(50):
                _, writer = await asyncio.open_connection("127.0.0.1", room.door.port)
                writer.close()
            async with asyncio.timeout(10):
                while room.door.sessions:
                    await asyncio.sleep(0.01)

    run(check())


def test_nothing_after_quit_is_carried_out() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            assert (await client.say("QUIT\r\nMAIL FROM:<a@example.com>")).startswith("221 2.0.0")
            assert await client.reply() == "closed"
            assert not any(line.startswith("MAIL") for line in room.hop.commands)

    run(check())


def test_no_log_names_a_recipient(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        script = {"END": lambda line: "250 2.0.0 <reader@example.org> saved"}
        async with smtp_room(script=script) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith("250 2.0.0 <reader@example.org>")
            await client.say("RCPT TO:<reader@example.org>")
            await client.say("NONSENSE reader@example.org")

    caplog.set_level("DEBUG", logger="mailveil")
    run(check())
    assert "250 2.0.0" in caplog.text
    assert "reader@example.org" not in caplog.text


def test_trusted_peers_tell_who_was_authenticated_or_local() -> None:
    seen = []

    async def look(envelope, raw, transaction, identifier) -> Reply:
        seen.append(envelope)
        return await transaction.deliver(raw)

    async def check() -> None:
        extensions = ("XFORWARD NAME ADDR HELO SOURCE",)
        trusted = {"accept": look, "trusted_peers": LOOPBACK, "extensions": extensions}
        async with smtp_room(**trusted) as room, room.client() as client:
            assert "XFORWARD NAME ADDR" in await client.say("EHLO x")
            assert (await client.say("XFORWARD NAME=mx ADDR=192.0.2.7 HELO=mx+2Eexample")).startswith("250")
            assert (await client.say("XFORWARD SOURCE=LOCAL IDENT=[UNAVAILABLE]")).startswith("250")
            await client.send(MESSAGE)
            assert (seen[-1].client_address, seen[-1].helo) == ("192.0.2.7", "mx.example")
            assert not seen[-1].local_origin, "a remote address disproves it"
            assert not seen[-1].authenticated
            assert "XFORWARD NAME=mx ADDR=192.0.2.7 HELO=mx.example SOURCE=REMOTE" in room.hop.commands
            await client.send(MESSAGE)
            assert (seen[-1].client_address, seen[-1].helo) == ("127.0.0.1", "x"), "it holds for one message"
            for claim in ("ADDR=127.0.0.1 SOURCE=LOCAL", "ADDR=[UNAVAILABLE] SOURCE=LOCAL"):
                await client.say(f"XFORWARD {claim}")
                await client.send(MESSAGE)
                assert seen[-1].local_origin
            await client.send(MESSAGE)
            assert not seen[-1].local_origin
            assert (await client.say("XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=anna")).startswith("220")
            assert (await client.say("MAIL FROM:<x@example.com>")).startswith("503"), "begun anew"
            await client.say("EHLO y")
            await client.send(MESSAGE)
            assert seen[-1].authenticated
            assert seen[-1].client_address == "2001:db8::1"
            for nonsense in ("ADDR", "ADDR=1.2.3", "FUN=1", "ADDR=+ZZ", "HELO=a+0Ab", ""):
                assert (await client.say(f"XFORWARD {nonsense}")).startswith("501"), nonsense

    run(check())


def test_stopping_lets_a_message_under_way_finish() -> None:
    started = asyncio.Event()

    async def slow(envelope, raw, transaction, identifier) -> Reply:
        started.set()
        await asyncio.sleep(0.3)
        return await transaction.deliver(raw)

    async def check() -> None:
        async with smtp_room(accept=slow) as room, room.client() as idle, room.client() as busy:
            sending = asyncio.create_task(busy.send(MESSAGE))
            await started.wait()
            port = room.door.port
            stopping = asyncio.create_task(room.door.stop(5))
            assert (await idle.reply()).startswith("421 4.3.2")
            assert (await sending).startswith("250")
            await stopping
            assert len(room.hop.wires) == 1
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(check())


def test_stopping_does_not_wait_for_ever() -> None:
    async def endless(envelope, raw, transaction, identifier) -> Reply:
        await asyncio.sleep(60)
        return Reply(250)

    async def check() -> None:
        async with smtp_room(accept=endless) as room, room.client() as client:
            sending = asyncio.create_task(client.send(MESSAGE))
            await asyncio.sleep(0.1)
            await room.door.stop(0.1)
            assert not (await sending).startswith("2")

    run(check())


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(250, "2.0.0", "OK"), b"250 2.0.0 OK"),
        (Reply(250), b"250"),
        (Reply(550, "5.1.1", "one\ntwo"), b"550-5.1.1 one\r\n550 5.1.1 two"),
        (Reply(550, "5.1.1", "a\r250 injected\x00"), b"550-5.1.1 a\r\n550 5.1.1 250 injected"),
    ],
)
def test_replies_stay_one_reply(reply: Reply, wire: bytes) -> None:
    assert encode_reply(reply) == wire
