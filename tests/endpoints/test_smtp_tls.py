"""Setup: a door with a certificate of an authority of our own, and clients that encrypt or cheat.

Test: STARTTLS (RFC 3207) encrypts and forgets what was said before it, commands slipped in along with it count for
nothing, and renewed certificate files are taken up while the door is open.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path

import pytest
from test_smtp import LOOPBACK, MESSAGE, run

from mailveil.core.policy import Envelope
from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpDoor
from mailveil.endpoints.smtp_certificate import Certificate, CertificateError
from mailveil.ports import Reply
from smtp_room import Client, smtp_room, without_trace
from tls_room import Authority


async def start_tls(client: Client, authority: Authority) -> None:
    assert (await client.say("STARTTLS")).startswith("220 2.0.0")
    await client.start_tls(authority.client(), "gate.example")


@pytest.mark.parametrize("kind", [SmtpDoor, LmtpDoor], ids=["smtp", "lmtp"])
def test_mail_comes_in_encrypted(tmp_path: Path, kind: type[SmtpDoor]) -> None:
    authority = Authority(tmp_path)
    hello, protocol = ("LHLO", b"LMTPS") if kind is LmtpDoor else ("EHLO", b"ESMTPS")
    big = MESSAGE + b"0123456789abcdef\r\n" * 200_000

    async def check() -> None:
        certificate = Certificate(*authority.issue("gate.example"))
        async with smtp_room(certificate=certificate, kind=kind) as room, room.client() as client:
            assert "STARTTLS" in await client.say(f"{hello} x")
            await start_tls(client, authority)
            assert (await client.say("MAIL FROM:<a@example.com>")).startswith("503"), "greet again"
            assert "STARTTLS" not in await client.say(f"{hello} x")
            assert (await client.say("STARTTLS")).startswith("503")
            for message in (MESSAGE, big, MESSAGE):
                assert (await client.send(message)).startswith("250 2.0.0 queued")
                assert without_trace(room.hop.wires[-1]) == message
            assert b" with " + protocol + b" id " in room.hop.wires[0]
            assert (await client.say("QUIT")).startswith("221")
            assert await client.reply() == "closed"

    run(check())


def test_what_was_said_before_is_forgotten(tmp_path: Path) -> None:
    authority, seen = Authority(tmp_path), []

    async def look(envelope: Envelope, raw, transaction, identifier) -> Reply:
        seen.append(envelope)
        return await transaction.deliver(raw)

    async def check() -> None:
        settings = {"certificate": Certificate(*authority.issue("gate.example")), "trusted_peers": LOOPBACK}
        async with smtp_room(accept=look, **settings) as room, room.client() as client:
            assert (await client.say("XCLIENT ADDR=192.0.2.7 LOGIN=anna")).startswith("220")
            await client.say("EHLO forged.example")
            assert (await client.say("XFORWARD SOURCE=LOCAL")).startswith("250")
            await client.say("MAIL FROM:<a@example.com>")
            assert (await client.say("STARTTLS")).startswith("503"), "not within a transaction"
            await client.say("RSET")
            await start_tls(client, authority)
            await client.say("EHLO real.example")
            assert (await client.send(MESSAGE)).startswith("250")
            found = seen[0]
            assert (found.helo, found.client_address) == ("real.example", "127.0.0.1")
            assert not found.authenticated
            assert not found.local_origin

    run(check())


@pytest.mark.parametrize(
    "slipped_in", [b"EHLO x\r\n", b"MAIL FROM:<x@example.com>\r\nRCPT TO:<y@example.org>\r\nDATA\r\n", b"N"]
)
def test_commands_slipped_in_with_starttls_count_for_nothing(tmp_path: Path, slipped_in: bytes) -> None:
    authority = Authority(tmp_path)

    async def check() -> None:
        certificate = Certificate(*authority.issue("gate.example"))
        async with smtp_room(certificate=certificate) as room, room.client() as client:
            reply = await client.say(b"STARTTLS\r\n" + slipped_in.removesuffix(b"\r\n"))
            assert reply.startswith("554 5.5.1")
            assert await client.reply() == "closed"
            assert room.hop.commands in ([], ["EHLO gate.example"])
            async with room.client() as other:
                assert (await other.send(MESSAGE)).startswith("250"), "the door is none the worse"

    run(check())


def test_commands_slipped_in_later_break_the_handshake(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def check() -> None:
        certificate = Certificate(*authority.issue("gate.example"))
        async with smtp_room(certificate=certificate) as room, room.client() as client:
            assert (await client.say("STARTTLS")).startswith("220")
            client.writer.write(b"EHLO x\r\nMAIL FROM:<x@example.com>\r\n")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await client.start_tls(authority.client(), "gate.example")
            async with asyncio.timeout(30):
                while room.door.sessions:
                    await asyncio.sleep(0.01)
            assert not any(command.startswith("MAIL") for command in room.hop.commands)

    run(check())


def test_a_handshake_that_never_comes_does_not_keep_the_session(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def check() -> None:
        certificate = Certificate(*authority.issue("gate.example"))
        async with smtp_room(certificate=certificate, timeout_s=0.5) as room, room.client() as client:
            assert (await client.say("STARTTLS")).startswith("220")
            assert len(room.door.sessions) == 1
            async with asyncio.timeout(30):
                while room.door.sessions:
                    await asyncio.sleep(0.02)

    run(check())


def test_without_a_certificate_there_is_no_tls() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            assert "STARTTLS" not in await client.say("EHLO x")
            assert (await client.say("STARTTLS")).startswith("502")

    run(check())


def test_renewed_files_are_taken_up(tmp_path: Path) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    certificate_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"

    def renew(source: tuple[Path, Path], *targets: Path) -> None:
        for path, target in zip(source, (certificate_file, key_file), strict=True):
            if target in (targets or (certificate_file, key_file)):
                shutil.copy(path, tmp_path / "next")
                (tmp_path / "next").replace(target)

    async def trusted_by(room, authority: Authority) -> bool:
        async with room.client() as client:
            await client.say("STARTTLS")
            try:
                await client.start_tls(authority.client(), "gate.example")
            except ssl.SSLCertVerificationError:
                return False
            return (await client.say("EHLO x")).startswith("250")

    async def check() -> None:
        renew(old.issue("gate.example"))
        async with smtp_room(certificate=Certificate(certificate_file, key_file)) as room:
            assert await trusted_by(room, old)
            renewed = new.issue("gate.example")
            renew(renewed, certificate_file)  # the key is still the old one: not a pair
            assert await trusted_by(room, old), "what does not fit is not taken"
            renew(renewed, key_file)
            assert await trusted_by(room, new), "without a restart"
            assert not await trusted_by(room, old)
            certificate_file.unlink()
            assert await trusted_by(room, new), "what was read stays in force"
            room.door.certificate.reload()
            assert await trusted_by(room, new)

    run(check())


def test_files_that_cannot_be_read_are_named_at_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gate.example")
    _, other = authority.issue("gate.example")
    _, locked = authority.issue("gate.example", password=b"secret")
    (tmp_path / "rubbish").write_text("no PEM\n")
    for files, expected in (
        (
            (tmp_path / "missing", key),
            r"missing: No such file or directory; tls_certificate and tls_key have to",
        ),
        ((certificate, tmp_path / "gone"), r"gone: No such file"),
        ((certificate, other), r"do not make a pair of PEM files without a password \(key values mismatch\)"),
        ((tmp_path / "rubbish", key), r"do not make a pair"),
        ((certificate, locked), r"tls_key = .*: is protected by a password"),
        ((tmp_path, key), r"Is a directory"),
    ):
        with pytest.raises(CertificateError, match=expected):
            Certificate(*files).context()
    if os.geteuid() != 0:
        key.chmod(0)
        with pytest.raises(CertificateError, match="Permission denied"):
            Certificate(certificate, key).context()
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + other.read_bytes())
    with pytest.raises(CertificateError, match="do not make a pair"):
        Certificate(both, both).context()
