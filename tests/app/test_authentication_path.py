"""The whole path of a signed message: through doors, engine and seal to the mailbox, and onto the record.

Setup: `mailveil serve` in this process, with a stub of the DNS; messages signed by dkimpy with a tracker in
them, forged fields, broken chains, and a sealer that fails.
Test: what arrives is silent, sealed so that dkimpy accepts it, free of what claims to be ours; unchanged mail
is byte-identical; the record says who proved what; `check` says what an administrator has to publish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_serving import environment

from mailveil.adapters.maildir import Maildir
from mailveil.app import Outcome, Role, StartError, check, serve
from mailveil.app.controlling import opened_room
from mailveil.config import Settings, SettingsError, load
from mailveil.control.records import Cut, MessageQuery
from mailveil.core.authentication import authentication_of
from signing_room import MESSAGE, StubDns, arc_signed, authenticated, dkimpy_arc, pem, record, rsa_key, signed
from smtp_room import Client, without_trace

NAME = "s1._domainkey.example.org"
OURS = "arc._domainkey.gate.example"
KEY = record(rsa_key())
QUIET = MESSAGE.replace(b"https://tracker.example.com/p.gif", b"cid:1")


@dataclass
class Product:
    settings: Settings

    async def send(self, message: bytes) -> bytes:
        """Send a message and return it as it arrived, without our trace field."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.settings.gateway.listen.port))
        try:
            await client.reply()
            await client.say("EHLO client.example")
            assert (await client.send(message)).startswith("250")
        finally:
            client.close()
        mailbox = Maildir(self.settings.local_maildir)
        path = mailbox.find(mailbox.newest(1)[0].name)
        assert path is not None
        return without_trace(path.read_bytes()).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    async def said_of_the_latest(self) -> tuple[str, ...]:
        async with opened_room(self.settings) as room:
            while not (page := await room.observations.messages("default", MessageQuery(), Cut(1))).items:
                await asyncio.sleep(0.1)  # the whole test has an end
            found = await room.observations.message("default", page.items[0].identifier)
        assert found is not None
        sealing = tuple(found.authentication.get("sealing", ()))
        return (*authentication_of(found.authentication).summary(), *sealing)


@contextlib.asynccontextmanager
async def product(directory: Path, **more: str) -> AsyncIterator[Product]:
    key_file = directory / "arc.pem"
    if not key_file.exists():
        key_file.write_bytes(pem(rsa_key()))
        key_file.chmod(0o600)
    sealing = {
        "MAILVEIL_AUTHENTICATION__ARC_DOMAIN": "gate.example",
        "MAILVEIL_AUTHENTICATION__ARC_SELECTOR": "arc",
        "MAILVEIL_AUTHENTICATION__ARC_KEY_FILE": str(key_file),
        "MAILVEIL_AUTHENTICATION__TIMEOUT_S": "60",
    }
    settings = load(None, environment(directory, **{**sealing, **more}))
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        serve(
            settings,
            frozenset({Role.GATEWAY}),
            say=lambda _line: None,
            started=lambda _ports: started.set(),
            stop=stop,
        )
    )
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        await task
    try:
        yield Product(settings)
    finally:
        stop.set()
        await task


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> StubDns:
    found = StubDns({NAME: (KEY,), "arc._domainkey.list.example": (KEY,), OURS: (KEY,)})
    monkeypatch.setattr("mailveil.app.building.DnsTxtLookup", lambda: found)
    return found


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 240))


def test_a_changed_message_arrives_sealed_as_what_it_was(tmp_path: Path, dns: StubDns) -> None:
    async def work() -> None:
        async with product(tmp_path) as mailveil:
            got = await mailveil.send(signed())
            assert b"tracker.example.com" not in got
            assert dkimpy_arc(got, KEY) == (b"pass", "success")
            assert got.startswith(b"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=gate.example; s=arc;")
            assert b"ARC-Authentication-Results: i=1; mailveil.gate.example;" in got
            assert b"dkim=pass" in got
            assert dns.asked == [NAME]
            assert await mailveil.said_of_the_latest() == (
                "DKIM pass by example.org, as the author",
                "sealed",
            )

    run(work())


def test_a_chain_goes_on(tmp_path: Path, dns: StubDns) -> None:
    async def work() -> None:
        async with product(tmp_path) as mailveil:
            sent = arc_signed(b"Authentication-Results: list.example; dkim=pass\r\n" + signed())
            got = await mailveil.send(sent)
            assert dkimpy_arc(got, KEY) == (b"pass", "success")
            assert got.startswith(b"ARC-Seal: i=2; cv=pass;")
            assert authenticated(got, (KEY,)).arc.instance == 2
            got = await mailveil.send(sent.replace(b"Hello", b"Hallo"))
            assert got.startswith(b"ARC-Seal: i=2; cv=fail;")

    run(work())


def test_unchanged_mail_is_not_sealed(tmp_path: Path, dns: StubDns) -> None:
    async def work() -> None:
        async with product(tmp_path) as mailveil:
            sent = signed(QUIET)
            assert await mailveil.send(sent) == sent
            assert await mailveil.said_of_the_latest() == ("DKIM pass by example.org, as the author",)

    run(work())


def test_mail_without_signatures_asks_nobody(tmp_path: Path, dns: StubDns) -> None:
    async def work() -> None:
        async with product(tmp_path) as mailveil:
            got = await mailveil.send(MESSAGE)
            assert dkimpy_arc(got, KEY) == (b"pass", "success")
            assert dns.asked == []

    run(work())


def test_what_claims_to_be_ours_does_not_arrive(tmp_path: Path, dns: StubDns) -> None:
    async def work() -> None:
        async with product(tmp_path) as mailveil:
            forged = b"Authentication-Results: mailveil.gate.example;\r\n dmarc=pass\r\nx-MAILVEIL-verdict : clean\r\n"
            got = await mailveil.send(forged + signed(QUIET))
            assert got.endswith(signed(QUIET)[-len(QUIET) :])
            assert b"verdict" not in got
            assert b"Authentication-Results: mailveil" not in got.replace(b"ARC-Auth", b"")

    run(work())


def test_a_dns_out_of_order_delays_but_loses_nothing(tmp_path: Path, dns: StubDns) -> None:
    async def work() -> None:
        dns.failing = frozenset({NAME, "arc._domainkey.list.example"})
        async with product(tmp_path) as mailveil:
            got = await mailveil.send(signed())
            assert dkimpy_arc(got, KEY) == (b"pass", "success")
            assert b"dkim=temperror" in got
            sent = arc_signed(b"Authentication-Results: list.example; dkim=pass\r\n" + MESSAGE)
            got = await mailveil.send(sent)
            assert not got.startswith(b"ARC-Seal: i=2")
            assert b"tracker.example.com" not in got

    run(work())


def test_a_sealer_that_fails_loses_no_mail(
    tmp_path: Path, dns: StubDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> bytes:
        raise RuntimeError("a bug of ours, naming reader@example.net")

    async def work() -> None:
        async with product(tmp_path) as mailveil:
            monkeypatch.setattr("mailveil.adapters.sealer.seal_fields", broken)
            got = await mailveil.send(MESSAGE)
            assert b"tracker.example.com" not in got
            assert b"ARC-Seal" not in got
            assert await mailveil.said_of_the_latest() == ("not sealed: our own failure",)

    run(work())


def test_the_engine_is_told_who_sent_the_message(tmp_path: Path, dns: StubDns) -> None:
    """The value crosses to the worker processes and back as it is."""
    from mailveil.adapters.worker import answer
    from mailveil.adapters.workerprocess import Job
    from mailveil.core.policy import Envelope
    from mailveil.core.protection import EngineSettings

    found = authenticated(signed(), (KEY,))
    assert found.author_domain
    import json
    from dataclasses import asdict

    job = Job(signed(), None, envelope=Envelope(recipients=("a@b.example",), authentication=found))
    header = {
        "path": "",
        "copies": [],
        "deliver": True,
        "in_full": True,
        "labelled": False,
        "policy": None,
        "envelope": json.loads(json.dumps(asdict(job.envelope))),
    }
    result, _ = answer(header, job.raw, EngineSettings())
    assert result["ok"], result


def test_keys_that_cannot_be_used_stop_the_start_and_name_the_setting(tmp_path: Path) -> None:
    async def work(reason: str) -> None:
        with pytest.raises(StartError, match=reason):
            async with product(tmp_path):
                pass

    (tmp_path / "arc.pem").write_bytes(b"junk")
    (tmp_path / "arc.pem").chmod(0o600)
    run(work(r"\[authentication\] arc_key_file = .*no private key"))
    (tmp_path / "arc.pem").write_bytes(pem(rsa_key()))
    (tmp_path / "arc.pem").chmod(0o644)
    run(work(r"\[authentication\] arc_key_file = .*chmod"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "ARC_DOMAIN",
            "example.org",
            r"\[authentication\] arc_selector = \"\": must be set, since arc_domain is",
        ),
        ("ARC_KEY_FILE", "/x", r"\[authentication\] arc_domain = \"\": must be set, since arc_key_file is"),
        ("AUTHSERV_ID", "a b", "authserv_id.*is no domain name"),
        ("TRUSTED_AUTHSERV_ID", "mx;", "trusted_authserv_id.*is no domain name"),
        ("TRUSTED_HOPS", "a b", "trusted_hops.*is no domain name"),
        ("TIMEOUT_S", "0", "timeout_s.*must be from"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(None, {f"MAILVEIL_AUTHENTICATION__{name}": value})


def checked(settings: Settings, lookup: StubDns) -> dict[str, tuple[Outcome, str]]:
    results = asyncio.run(check(settings, lookup))
    return {each.name: (each.outcome, each.text) for each in results}


def sealing(tmp_path: Path, **more: str) -> Settings:
    key_file = tmp_path / "arc.pem"
    key_file.write_bytes(pem(rsa_key()))
    key_file.chmod(0o600)
    names = {"ARC_DOMAIN": "gate.example", "ARC_SELECTOR": "arc", "ARC_KEY_FILE": str(key_file)}
    chosen = {f"MAILVEIL_AUTHENTICATION__{name}": value for name, value in names.items()}
    return load(None, environment(tmp_path, **chosen, **more))


def test_check_compares_the_key_with_the_dns(tmp_path: Path) -> None:
    settings = sealing(tmp_path)
    assert checked(settings, StubDns({OURS: (KEY,)}))["sealing"][0] is Outcome.GOOD
    outcome, text = checked(settings, StubDns())["sealing"]
    assert outcome is Outcome.BAD
    assert f'publish: {OURS} TXT "v=DKIM1; k=rsa; p=' in text
    outcome, text = checked(settings, StubDns({OURS: (record(rsa_key(number=1)),)}))["sealing"]
    assert (outcome, "another key" in text) == (Outcome.BAD, True)
    outcome, text = checked(settings, StubDns(failing=frozenset({OURS})))["sealing"]
    assert (outcome, "publish" in text) == (Outcome.NOTICE, True)
    settings.arc_key_file.unlink()
    outcome, text = checked(settings, StubDns())["sealing"]
    assert (outcome, "arc-key" in text) == (Outcome.BAD, True)


def test_check_warns_where_changed_mail_may_be_judged_again(tmp_path: Path) -> None:
    def outcome(hop: str) -> Outcome:
        settings = load(None, environment(tmp_path, MAILVEIL_GATEWAY__NEXT_HOP=hop))
        from mailveil.app.checking import _unsealed

        return _unsealed(settings).outcome

    assert outcome("smtp://192.0.2.1:25") is Outcome.NOTICE
    assert outcome("smtp://127.0.0.1:10026") is Outcome.GOOD
    assert outcome("") is Outcome.GOOD


def test_check_says_who_is_believed(tmp_path: Path) -> None:
    settings = load(
        None,
        environment(
            tmp_path,
            MAILVEIL_AUTHENTICATION__TRUSTED_AUTHSERV_ID="mx.example",
            MAILVEIL_AUTHENTICATION__TRUST_MISSING_ID="true",
        ),
    )
    outcome, text = checked(settings, StubDns())["authentication"]
    assert outcome is Outcome.GOOD
    assert "believed of mx.example and whoever writes no name" in text
