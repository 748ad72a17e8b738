"""Setup: a next hop that offers STARTTLS with certificates good and bad, or cheats while it is started.

Test: "may" encrypts with whatever there is and goes on without where TLS fails, "must" hands a message to nobody who
cannot prove to be the next hop, and what is said in plain text before TLS counts for nothing after it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from mailveil.adapters.conversation import tls_context
from mailveil.adapters.nexthop import NextHopError, NextHopSettings, SmtpNextHop
from mailveil.core.policy import Envelope
from mailveil.ports import HopTls, MailProtocol, Reply
from smtp_room import ScriptedServer
from tls_room import Authority

MESSAGE = b"Subject: hello\r\n\r\n" + b"A line of text.\r\n" * 20_000
UNPROVEN = "451 4.7.5"


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def deliver(hop: SmtpNextHop) -> Reply:
    transaction, reply = await hop.begin(Envelope(sender="a@example.com"), len(MESSAGE))
    if transaction is None:
        return reply
    reply = await transaction.recipient("b@example.org")
    if reply.is_positive:
        reply = await transaction.deliver(MESSAGE)
    transaction.close()
    return reply


def hop_to(server: ScriptedServer, tls: HopTls, authority: Authority, **more: object) -> SmtpNextHop:
    spoken = MailProtocol.LMTP if server.lmtp else MailProtocol.SMTP
    settings = {"tls": tls, "ca_file": str(authority.file), "protocol": spoken, "timeout_s": 20.0, **more}
    return SmtpNextHop(NextHopSettings("localhost", server.port, "gate.example", **settings))


@pytest.fixture(autouse=True)
def _localhost_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, *a, **k: real("127.0.0.1" if host == "localhost" else host, port),
    )


@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
@pytest.mark.parametrize("tls", [HopTls.MAY, HopTls.MUST])
def test_a_message_goes_on_encrypted(tmp_path: Path, tls: HopTls, lmtp: bool) -> None:
    authority = Authority(tmp_path)

    async def check() -> None:
        async with ScriptedServer(tls=authority.server("localhost"), lmtp=lmtp).running() as server:
            hop = hop_to(server, tls, authority)
            for _ in range(2):
                assert (await deliver(hop)).code == 250
            assert server.wires[0] == MESSAGE
            assert server.connections == 1, "an encrypted connection is used again too"
            hello = "LHLO gate.example" if lmtp else "EHLO gate.example"
            assert server.commands[:4] == [hello, "STARTTLS", hello, server.commands[3]]
            verified = "verified" if tls is HopTls.MUST else "not verified"
            assert f"(TLSv1.3, certificate {verified})" in (await hop.check()).text
            await hop.close()

    run(check())


@pytest.mark.parametrize(
    ("names", "days", "is_ours"),
    [(["localhost"], 90, False), (["other.example"], 90, True), (["localhost"], -1, True)],
    ids=["unknown authority", "another name", "expired"],
)
def test_must_hands_nothing_to_whom_it_cannot_verify(tmp_path: Path, names, days: int, is_ours: bool) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")

    async def check() -> None:
        context = (ours if is_ours else theirs).server(*names, days=days)
        async with ScriptedServer(tls=context).running() as server:
            hop = hop_to(server, HopTls.MUST, ours)
            assert str(await deliver(hop)).startswith(UNPROVEN)
            assert not any(line.startswith("MAIL") for line in server.commands)
            assert (await hop.check()).code == 451
            hop = hop_to(server, HopTls.MAY, ours)
            assert (await deliver(hop)).code == 250
            assert server.commands.count("STARTTLS") == 3
            await hop.close()

    run(check())


def test_must_hands_nothing_to_whom_offers_no_tls_and_may_goes_on_in_plain_text(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def check() -> None:
        async with ScriptedServer().running() as server:
            assert str(await deliver(hop_to(server, HopTls.MUST, authority))).startswith("451 4.7.4")
            assert not any(line.startswith("MAIL") for line in server.commands)
            hop = hop_to(server, HopTls.MAY, authority)
            assert (await deliver(hop)).code == 250
            await hop.close()

    run(check())


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "554 no", None, "220 go\r\n250 injected", "220 go"])
def test_tls_that_fails_ends_must_and_not_may(tmp_path: Path, answer: str | None) -> None:
    """With "220 go" alone the server goes on in plain text: it has no TLS, though it said so."""
    authority = Authority(tmp_path)

    async def check() -> None:
        extensions = ("SIZE", "STARTTLS")
        async with ScriptedServer({"STARTTLS": answer}, extensions).running() as server:
            hop = hop_to(server, HopTls.MUST, authority, timeout_s=2.0, connect_timeout_s=2.0)
            assert (await deliver(hop)).code == 451
            assert not any(line.startswith("MAIL") for line in server.commands)
            if answer is not None:
                hop = hop_to(server, HopTls.MAY, authority, timeout_s=2.0, connect_timeout_s=2.0)
                assert (await deliver(hop)).code == 250
                await hop.close()

    run(check())


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "rubbish").write_text("no PEM\n")
    for name in ("missing", "rubbish"):
        settings = NextHopSettings("h", 25, "g", tls=HopTls.MUST, ca_file=str(tmp_path / name))
        with pytest.raises(NextHopError, match=f"next_hop_ca_file = .*{name}"):
            SmtpNextHop(settings).prepare()


def test_must_verifies_with_the_systems_authorities_by_default() -> None:
    context = tls_context(NextHopSettings("h", 25, "g", tls=HopTls.MUST))
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert tls_context(NextHopSettings("h", 25, "g")) is None
    assert tls_context(NextHopSettings("", 0, "g", tls=HopTls.MAY, path="/x")) is None
