"""Setup: the whole product with an LMTP listener, a certificate and a next hop that encrypts.

Test: what the settings promise is served and checked: `mailveil check` greets the LMTP listener, warns of a
certificate about to expire, and tells whether the next hop is verified; SIGHUP takes up renewed files.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
from pathlib import Path

import pytest
from test_serving import QUIET_MESSAGE, environment, free_ports, product, run

from mailveil.app import Outcome, StartError, check
from mailveil.app.checking_doors import check_certificate, check_lmtp, check_next_hop
from mailveil.config import Settings, load
from smtp_room import Client, ScriptedServer
from tls_room import Authority


def settings_with(tmp_path: Path, **more: str) -> Settings:
    return load(
        environment=environment(
            tmp_path, **{f"MAILVEIL_GATEWAY__{name}": text for name, text in more.items()}
        )
    )


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_lmtp_is_served_and_checked(tmp_path: Path, kind: str) -> None:
    (port,) = free_ports(1)
    listen = f"unix:{tmp_path}/lmtp" if kind == "unix" else f"127.0.0.1:{port}"

    async def work() -> None:
        async with product(tmp_path, MAILVEIL_GATEWAY__LMTP_LISTEN=listen) as running:
            (result,) = await check_lmtp(running.settings)
            assert result.outcome is Outcome.GOOD, result.text
            assert "220 gate.example LMTP mailveil" in result.text
            opened = (
                asyncio.open_unix_connection(str(tmp_path / "lmtp"))
                if kind == "unix"
                else asyncio.open_connection("127.0.0.1", port)
            )
            client = Client(*await opened)
            await client.reply()
            assert (await client.say("LHLO x")).startswith("250")
            assert (await client.send(QUIET_MESSAGE, "a@example.org", "b@example.org")).startswith("250")
            assert (await client.reply()).startswith("250")
            client.close()
            await asyncio.sleep(0.1)
        (result,) = await check_lmtp(running.settings)
        assert result.outcome is Outcome.NOTICE
        assert not (tmp_path / "lmtp").exists()

    run(work())


def test_lmtp_where_something_else_listens(tmp_path: Path) -> None:
    async def work() -> None:
        async with ScriptedServer({"GREETING": "220 other.example Other"}, lmtp=True).running() as other:
            settings = settings_with(tmp_path, LMTP_LISTEN=f"127.0.0.1:{other.port}")
            (result,) = await check_lmtp(settings)
            assert result.outcome is Outcome.BAD
            assert "other.example" in result.text
            with pytest.raises(
                StartError, match=r"\[gateway\] lmtp_listen = .*another program listens there"
            ):
                async with product(tmp_path, MAILVEIL_GATEWAY__LMTP_LISTEN=f"127.0.0.1:{other.port}"):
                    pass
        with pytest.raises(StartError, match=r"lmtp_listen = .*its folder has to be there"):
            async with product(tmp_path, MAILVEIL_GATEWAY__LMTP_LISTEN=f"unix:{tmp_path}/missing/lmtp"):
                pass
        (open_relay,) = await check_lmtp(settings_with(tmp_path, LMTP_LISTEN="192.0.2.1:2424"))
        assert open_relay.outcome is Outcome.BAD
        assert "open relay" in open_relay.text
        assert await check_lmtp(settings_with(tmp_path)) == []

    run(work())


@pytest.mark.parametrize(
    ("names", "days", "outcome", "text"),
    [
        (["gate.example"], 90, Outcome.GOOD, "valid until"),
        (["*.example"], 90, Outcome.GOOD, "valid until"),
        (["gate.example"], 5, Outcome.NOTICE, "is its renewal at work?"),
        (["gate.example"], -3, Outcome.BAD, "expired on"),
        (["other.example"], 90, Outcome.NOTICE, "is not for gate.example"),
    ],
)
def test_the_certificate_is_checked(tmp_path: Path, names, days: int, outcome: Outcome, text: str) -> None:
    certificate, key = Authority(tmp_path).issue(*names, days=days)
    settings = settings_with(tmp_path, TLS_CERTIFICATE=str(certificate), TLS_KEY=str(key))
    (result,) = check_certificate(settings)
    assert result.outcome is outcome, result.text
    assert text in result.text


def test_a_certificate_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    (result,) = check_certificate(settings_with(tmp_path, TLS_CERTIFICATE=missing))
    assert result.outcome is Outcome.BAD
    assert "missing.pem" in result.text
    assert check_certificate(settings_with(tmp_path)) == []

    async def work() -> None:
        with pytest.raises(StartError, match=r"\[gateway\] .*missing.pem: No such file .* tls_certificate"):
            async with product(tmp_path, MAILVEIL_GATEWAY__TLS_CERTIFICATE=missing):
                pass

    run(work())


def test_sighup_takes_up_renewed_files(tmp_path: Path) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    both = tmp_path / "both.pem"

    def renew(files: tuple[Path, Path]) -> None:
        both.write_bytes(b"".join(path.read_bytes() for path in files))

    async def is_trusted(port: int, authority: Authority) -> bool:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        try:
            await client.reply()
            await client.say("EHLO x")
            assert (await client.say("STARTTLS")).startswith("220")
            await client.start_tls(authority.client(), "gate.example")
        except ssl.SSLCertVerificationError:
            return False
        finally:
            client.close()
        return True

    async def work() -> None:
        renew(old.issue("gate.example"))
        async with product(tmp_path, MAILVEIL_GATEWAY__TLS_CERTIFICATE=str(both)) as running:
            port = running.settings.gateway.listen.port
            assert await is_trusted(port, old)
            stamp = both.stat()
            shutil.copy(both, tmp_path / "kept.pem")
            renew(new.issue("gate.example"))
            os.utime(both, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.1)
            assert await is_trusted(port, new)
            both.write_text("rubbish\n")
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.1)
            assert await is_trusted(port, new), "and the process goes on with what it has"

    run(work())


def test_the_next_hop_is_checked_with_its_encryption(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def work() -> None:
        async with ScriptedServer(tls=authority.server("127.0.0.1"), lmtp=True).running() as hop:
            more = {"NEXT_HOP": f"lmtp://127.0.0.1:{hop.port}", "NEXT_HOP_TLS": "must"}
            result = await check_next_hop(
                settings_with(tmp_path, **more, NEXT_HOP_CA_FILE=str(authority.file))
            )
            assert result.outcome is Outcome.GOOD, result.text
            assert "certificate verified" in result.text
            result = await check_next_hop(settings_with(tmp_path, **more))
            assert result.outcome is Outcome.BAD
            assert "4.7.5" in result.text
            missing = settings_with(tmp_path, **more, NEXT_HOP_CA_FILE=str(tmp_path / "missing"))
            results = {each.name: each for each in await check(missing)}
            assert results["next hop"].outcome is Outcome.BAD
            assert "next_hop_ca_file" in results["next hop"].text
            more["NEXT_HOP_CA_FILE"] = str(tmp_path / "missing")
            names = {f"MAILVEIL_GATEWAY__{name}": text for name, text in more.items()}
            with pytest.raises(StartError, match="next_hop_ca_file"):
                async with product(tmp_path, **names):
                    pass

    run(work())
