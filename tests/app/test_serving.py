"""The whole product on loopback: what a newcomer starts, and what an administrator does to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import quopri
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from console_door import administrator
from http_room import ask
from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.maildir import Maildir
from mailveil.app import Outcome, Role, StartError, check, send_trial, serve, trial_message
from mailveil.app.roles import ALL_ROLES
from mailveil.config import Settings, load
from smtp_room import Client, ScriptedServer, without_trace

QUIET_MESSAGE = (
    b"From: a@example.com\r\nTo: b@example.org\r\nSubject: nothing remote\r\n"
    b"Content-Type: text/html\r\n\r\n<p>Hello  <b>there</b>\r\n..\r\n<img src='cid:x'>\r\n"
)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Return the settings of a product of its own as environment variables."""
    gateway, copies, console = free_ports(3)
    return {
        "MAILVEIL_GATEWAY__LISTEN": f"127.0.0.1:{gateway}",
        "MAILVEIL_GATEWAY__HOSTNAME": "gate.example",
        "MAILVEIL_MILTER__LISTEN": "127.0.0.1:0",
        "MAILVEIL_COPIES__LISTEN": f"127.0.0.1:{copies}",
        "MAILVEIL_CONSOLE__LISTEN": f"127.0.0.1:{console}",
        "MAILVEIL_STORAGE__DIRECTORY": str(directory),
        "MAILVEIL_WORKERS__PROCESSES": "1",
        "MAILVEIL_FETCH__ENABLED": "false",
        **more,
    }


@dataclass
class Product:
    settings: Settings
    said: list[str]
    stop: asyncio.Event

    @property
    def maildir(self) -> Maildir:
        return Maildir(self.settings.local_maildir)

    def delivered(self) -> list[bytes]:
        names = [entry.name for entry in reversed(self.maildir.newest(100))]
        return [path.read_bytes() for name in names if (path := self.maildir.find(name))]

    async def send(self, message: bytes) -> str:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.settings.gateway.listen.port))
        try:
            await client.reply()
            await client.say("EHLO client.example")
            return await client.send(message)
        finally:
            client.close()


@contextlib.asynccontextmanager
async def product(directory: Path, roles=ALL_ROLES, **more: str) -> AsyncIterator[Product]:
    settings = load(environment=environment(directory, **more))
    said: list[str] = []
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        serve(settings, roles, say=said.append, started=lambda ports: started.set(), stop=stop)
    )
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield Product(settings, said, stop)
    finally:
        stop.set()
        await asyncio.wait_for(task, 40)


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_a_tracked_message_becomes_silent_and_is_shown(tmp_path: Path) -> None:
    async def work() -> None:
        async with product(tmp_path) as running:
            settings = running.settings
            reply = await send_trial(settings.gateway.listen)
            assert reply.code == 250
            (raw,) = running.delivered()
            text = quopri.decodestring(raw)
            for host in (b"tracker.example", b"cdn.", b"fonts.", b"img.", b"dns.newsletter", b"t.newsletter",
                         b"adnetwork.example", b"receipts@"):  # fmt: skip
                assert host not in text, host
            assert b"https://click.newsletter.example/l/" in text, "links stay"
            addresses = re.findall(rb"http://127\.0\.0\.1:%d(/c/[\w-]+)" % settings.copies.listen.port, text)
            assert addresses
            for address in addresses:
                answer = await ask(settings.copies.listen.port, address.decode())
                assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
            name = running.maildir.newest(1)[0].name
            shown = ("/mailbox", f"/mailbox/{name}", f"/mailbox/{name}/body", f"/mailbox/{name}/source")
            console = settings.console.listen.port
            for route in ("/", "/messages", *shown):
                answer = await ask(console, route)
                assert (answer.status, answer.body) == (303, b""), "nobody sees anything before signing in"
            async with administrator(settings) as browser:
                page = (await browser.get("/mailbox")).text
                assert "Your August picks are here" in page
                body = await browser.get(f"/mailbox/{name}/body")
                assert b"Your August picks" in body.content
                assert f"http://{settings.copies.listen}" in body.headers["content-security-policy"]
            for route in ("/", "/healthz", "/sign-in", "/assets/console.css", "/api/v1/messages", *shown):
                assert (await ask(settings.copies.listen.port, route)).status == 404, (
                    "two listeners, two worlds"
                )

    run(work())


def test_what_was_started_is_said(tmp_path: Path) -> None:
    async def work() -> None:
        async with product(tmp_path) as running:
            said = "\n".join(running.said)
            for area in ("gateway", "copies", "console"):
                assert str(getattr(running.settings, area).listen) in said
            assert "try --server 127.0.0.1:" in said
            assert " recipes" in said
            assert "maildir:" in said

    run(work())


def test_a_message_with_nothing_to_replace_passes_byte_for_byte(tmp_path: Path) -> None:
    async def work() -> None:
        async with product(tmp_path, frozenset({Role.GATEWAY})) as running:
            assert (await running.send(QUIET_MESSAGE.replace(b"\r\n.", b"\r\n.."))).startswith("250")
            assert without_trace(running.delivered()[0]) == QUIET_MESSAGE

    run(work())


def test_swaks_delivers(tmp_path: Path, requires: Callable[[str], str]) -> None:
    swaks = requires("swaks")

    async def work() -> None:
        async with product(tmp_path) as running:
            pixel = '<p>Hi</p><img src="https://open.tracker.example/o.gif" width="1" height="1">'
            command = [swaks, "--server", str(running.settings.gateway.listen), "--from", "a@example.com",
                       "--to", "b@example.org,c@example.org", "--header", "Content-Type: text/html",
                       "--body", pixel]  # fmt: skip
            done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            out, _ = await done.communicate()
            assert done.returncode == 0, out.decode()
            (raw,) = running.delivered()
            assert b"tracker.example" not in raw
            assert b"/c/" in raw

    run(work())


def test_mail_goes_on_to_a_next_hop_and_its_reply_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        sink = ScriptedServer({"RCPT": lambda line: "550 5.1.1 unknown" if "nobody" in line else "250 fine"})
        async with (
            sink.running(),
            product(tmp_path, MAILVEIL_GATEWAY__NEXT_HOP=f"smtp://127.0.0.1:{sink.port}") as running,
        ):
            assert (
                await running.send(QUIET_MESSAGE.replace(b"\r\n.", b"\r\n..")) == "250 2.0.0 queued as 4711"
            )
            assert without_trace(sink.wires[0].replace(b"\r\n..", b"\r\n.")) == QUIET_MESSAGE

            def refused() -> None:
                client = smtplib.SMTP("127.0.0.1", running.settings.gateway.listen.port, timeout=10)
                with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
                    client.sendmail("a@example.com", ["nobody@example.org"], QUIET_MESSAGE)
                assert caught.value.recipients == {"nobody@example.org": (550, b"5.1.1 unknown")}
                client.quit()

            await asyncio.to_thread(refused)
            assert not running.settings.local_maildir.exists()

    run(work())


def test_a_dead_copy_store_delays_no_mail(tmp_path: Path) -> None:
    (tmp_path / "copies").write_text("not a directory")

    async def work() -> None:
        async with product(tmp_path) as running:
            started = time.monotonic()
            assert (await send_trial(running.settings.gateway.listen)).code == 250
            assert time.monotonic() - started < 10
            (raw,) = running.delivered()
            assert b"tracker.example" not in raw
            address = re.search(rb"(/c/[\w-]+)", quopri.decodestring(raw))
            answer = await ask(running.settings.copies.listen.port, address[1].decode())
            assert answer.status == 200, "a placeholder, not an error"
            assert (await ask(running.settings.console.listen.port, "/sign-in")).status == 200

    run(work())


def test_reserved_copies_are_due_once_the_message_is_away(tmp_path: Path) -> None:
    async def work() -> None:
        roles = frozenset({Role.GATEWAY})
        async with product(tmp_path, roles, MAILVEIL_FETCH__ENABLED="true") as running:
            await send_trial(running.settings.gateway.listen)
        store = SqliteCopyStore(StoreSettings(tmp_path / "copies"))
        counts = await store.counts()
        store.close()
        assert counts["released"] > 0
        assert counts["reserved"] == 0

    run(work())


@pytest.mark.parametrize("role", ["gateway", "copies", "console"])
def test_a_busy_port_names_its_setting(tmp_path: Path, role: str) -> None:
    async def work() -> None:
        with contextlib.closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(StartError) as caught:
                async with product(tmp_path, **{f"MAILVEIL_{role.upper()}__LISTEN": f"127.0.0.1:{port}"}):
                    pass
            for expected in (
                f"[{role}] listen",
                str(port),
                "another program",
                f"MAILVEIL_{role.upper()}__LISTEN",
            ):
                assert expected in str(caught.value)

    run(work())


def test_an_open_relay_does_not_start(tmp_path: Path) -> None:
    async def work() -> None:
        port = free_ports(1)[0]
        with pytest.raises(StartError, match="recipient_domains"):
            async with product(tmp_path, MAILVEIL_GATEWAY__LISTEN=f"0.0.0.0:{port}"):
                pass

    run(work())


def test_storage_that_cannot_be_used_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def work() -> None:
        with pytest.raises(StartError, match="storage"):
            async with product(tmp_path / "file" / "x"):
                pass

    run(work())


def test_check_tells_what_answers_and_what_does_not(tmp_path: Path) -> None:
    async def work() -> None:
        async with product(tmp_path) as running:
            results = {each.name: each for each in await check(running.settings) if each.name != "copies"}
            assert results["gateway"].outcome is Outcome.GOOD
            assert "220 gate.example" in results["gateway"].text
            assert results["console"].outcome is Outcome.GOOD
            assert results["next hop"].outcome is Outcome.NOTICE
            assert results["storage"].outcome is Outcome.GOOD
        results = {each.name: each for each in await check(running.settings)}
        assert "nothing runs there" in results["gateway"].text
        down = load(environment=environment(tmp_path, MAILVEIL_GATEWAY__NEXT_HOP="smtp://127.0.0.1:1"))
        results = {each.name: each for each in await check(down)}
        assert results["next hop"].outcome is Outcome.BAD
        assert "4.4.1" in results["next hop"].text
        other = ScriptedServer({"GREETING": "220 other.example Other"})
        async with other.running():
            taken = load(
                environment=environment(tmp_path, MAILVEIL_GATEWAY__LISTEN=f"127.0.0.1:{other.port}")
            )
            results = {each.name: each for each in await check(taken)}
            assert results["gateway"].outcome is Outcome.BAD
            assert "other.example" in results["gateway"].text

    run(work())


# --- a process of its own --------------------------------------------------------------------------


@contextlib.contextmanager
def process(directory: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], Settings]]:
    variables = environment(directory, **more)
    running = subprocess.Popen(
        [sys.executable, "-m", "mailveil", "serve"],
        env={**{k: v for k, v in os.environ.items() if not k.startswith("MAILVEIL_")}, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    settings = load(environment=variables)
    try:
        deadline = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", settings.gateway.listen.port), 1),
            ):
                break
            if running.poll() is not None or time.monotonic() > deadline:
                running.kill()
                raise AssertionError(running.communicate()[1])
            time.sleep(0.05)
        yield running, settings
    finally:
        running.kill()
        running.communicate()


def delivered(settings: Settings) -> list[Path]:
    return sorted((settings.local_maildir / "new").glob("*")) if settings.local_maildir.exists() else []


def test_kill_9_in_the_middle_of_data_loses_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    with process(tmp_path) as (running, settings):
        client = smtplib.SMTP("127.0.0.1", settings.gateway.listen.port, timeout=20)
        client.ehlo()
        client.mail("a@example.com")
        client.rcpt("b@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send(QUIET_MESSAGE)
        time.sleep(0.2)
        running.kill()
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            client.docmd(".")
        client.close()
        assert delivered(settings) == []
    with process(tmp_path) as (running, settings):  # the sender tries again
        client = smtplib.SMTP("127.0.0.1", settings.gateway.listen.port, timeout=20)
        client.sendmail("a@example.com", ["b@example.org"], QUIET_MESSAGE)
        client.quit()
        assert len(delivered(settings)) == 1


def test_every_message_acknowledged_before_kill_9_is_there(tmp_path: Path) -> None:
    with process(tmp_path) as (running, settings):
        client = smtplib.SMTP("127.0.0.1", settings.gateway.listen.port, timeout=20)
        for number in range(5):
            client.sendmail("a@example.com", ["b@example.org"], b"X-Number: %d\r\n" % number + QUIET_MESSAGE)
        running.kill()
        running.wait()
        client.close()
        numbers = [re.search(rb"X-Number: (\d)", path.read_bytes())[1] for path in delivered(settings)]
        assert sorted(numbers) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path, MAILVEIL_LOG__FORMAT="json") as (running, settings):
        client = smtplib.SMTP("127.0.0.1", settings.gateway.listen.port, timeout=20)
        client.sendmail("secret-sender@example.com", ["secret-reader@example.org"], QUIET_MESSAGE)
        started = time.monotonic()
        running.send_signal(number)
        out, err = running.communicate(timeout=30)
        assert running.returncode == 0, err
        assert time.monotonic() - started < 15
        client.close()
        assert "Traceback" not in err
        events = [json.loads(line) for line in err.splitlines()]
        assert any(event["event"].startswith("message ") for event in events)
        assert "secret" not in err, "no address, nothing of a message"
        assert "nothing remote" not in err
        assert f"127.0.0.1:{settings.console.listen.port}" in out


def test_the_trial_message_is_an_ordinary_message() -> None:
    raw = trial_message("0123", "Mon, 1 Jan 2024 00:00:00 +0000")
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    hosts = set(re.findall(rb"https?://([\w.-]+)", quopri.decodestring(raw)))
    assert hosts
    assert all(host.endswith(b".example") for host in hosts), "reserved names lead nowhere"
