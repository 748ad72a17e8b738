"""Who a message is for, and what it says, stands in no log line, and in no file of ours but the database, if there.

Setup: a real ``mailveil serve`` at log level "debug" with every door, before a next hop that repeats the recipient
in each of its replies. Recipient, tokens in paths and host names of URLs, subject and body are words that occur
nowhere else.
Test: whatever becomes of the messages, none of the words is in standard error, on a page before sign-in or in any
file, the fetch queue's URLs apart. The database, and what waits for it, hold what the settings let them: by default
sender, recipients, subjects and URLs, with pseudonyms the sender alone; never a body, nor whom a server named.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_serving import environment, free_ports, run

from endpoints.milter import mail_server
from http_room import ask
from mailveil.app.logs import JsonFormatter, TextFormatter
from smtp_room import Client, ScriptedServer

WORDS = (
    b"annaplant",
    b"tok3nplant",
    b"hostplant",
    b"subjectplant",
    b"bodyplant",
    b"cousinplant",
    b"senderplant",
)
MESSAGE = (
    b"From: News <senderplant@example.com>\r\nTo: annaplant@example.org\r\nSubject: subjectplant\r\n"
    b"Content-Type: text/html\r\n\r\n<p>bodyplant</p><img src='https://hostplant.t.example/tok3nplant.gif'>\r\n"
)
RECIPIENT = "annaplant@example.org"
NAMED = "5.1.1 <annaplant@example.org>: no mailbox annaplant, try cousinplant+annaplant@example.org"


@contextlib.asynccontextmanager
async def serving(directory: Path, log: Path, **more: str) -> AsyncIterator[dict[str, str]]:
    variables = environment(directory, MAILVEIL_LOG__LEVEL="debug", **more)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAILVEIL_")}
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mailveil", "serve",
            env={**inherited, **variables}, stdout=asyncio.subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    port = int(variables["MAILVEIL_GATEWAY__LISTEN"].rpartition(":")[2])
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield variables
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def send(where: str, *, hello: str = "EHLO client.example", message: bytes = MESSAGE) -> str:
    client = Client(*await asyncio.open_connection("127.0.0.1", int(where.rpartition(":")[2])))
    try:
        await client.reply()
        await client.say(hello)
        return await client.send(message, RECIPIENT)
    finally:
        client.close()


async def misuse(where: str) -> None:
    client = Client(*await asyncio.open_connection("127.0.0.1", int(where.rpartition(":")[2])))
    await client.reply()
    for line in (
        "EHLO annaplant.example",
        "MAIL FROM:<senderplant@example.com> tok3nplant=1",
        "MAIL FROM:<senderplant@example.com>",
        "RCPT TO:<annaplant@example.org",
        "RCPT TO:<annaplant@example.org> NOTIFY=tok3nplant ORCPT=rfc822;annaplant@example.org",
        "annaplant tok3nplant",
        "VRFY annaplant",
        "XFORWARD NAME=annaplant ADDR=tok3nplant",
        "RCPT TO:<annapl\xff\x00ant@example.org>",
        "RCPT TO:<annaplant@example.org>",
        "DATA annaplant",
        "AUTH PLAIN tok3nplant",
    ):
        await client.say(line)
    client.writer.write(b"DATA\r\nSubject: subjectplant\r\n")
    await client.writer.drain()
    client.close()


async def by_milter(where: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(where.rpartition(":")[2]))
    head = mail_server.negotiation() + mail_server.connect() + mail_server.helo()
    writer.write(head + mail_server.envelope(identifier="4aBcD") + mail_server.content(MESSAGE))
    await writer.drain()
    await asyncio.sleep(1)
    writer.write(mail_server.packet("annaplant"[0], b"tok3nplant annaplant") * 2)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    writer.close()


# What the database may hold.
BY_DEFAULT = frozenset({b"annaplant", b"tok3nplant", b"hostplant", b"subjectplant", b"senderplant"})
WITH_PSEUDONYMS = frozenset({b"senderplant"})


@pytest.mark.parametrize(
    ("choices", "may_hold"),
    [
        ({}, BY_DEFAULT),
        (
            {"MAILVEIL_RECORDS__RECIPIENTS": "pseudonym", "MAILVEIL_RECORDS__SUBJECTS": "false"},
            WITH_PSEUDONYMS,
        ),
    ],
    ids=["by-default", "with-pseudonyms"],
)
def test_whatever_becomes_of_a_message(
    tmp_path: Path, choices: dict[str, str], may_hold: frozenset[bytes]
) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    lmtp, milter = free_ports(2)
    pages: list[bytes] = []
    codes: list[str] = []

    async def work() -> None:
        hop = ScriptedServer({"END": f"250 {NAMED}"})
        async with (
            hop.running(),
            serving(
                state,
                log,
                MAILVEIL_GATEWAY__NEXT_HOP=f"smtp://127.0.0.1:{hop.port}",
                MAILVEIL_GATEWAY__LMTP_LISTEN=f"127.0.0.1:{lmtp}",
                MAILVEIL_MILTER__LISTEN=f"127.0.0.1:{milter}",
                **choices,
            ) as variables,
        ):
            smtp = variables["MAILVEIL_GATEWAY__LISTEN"]
            console = int(variables["MAILVEIL_CONSOLE__LISTEN"].rpartition(":")[2])
            for answers in (
                {"END": f"250 {NAMED}"},
                {"END": f"550 {NAMED}"},
                {"END": f"421 {NAMED}"},
                {"END": None},
                {"RCPT": f"550 {NAMED}"},
                {"BODY": f"552 {NAMED}"},
                {"MAIL": f"451 {NAMED}"},
                {"GREETING": f"554 {NAMED}"},
            ):
                hop.script.clear()
                hop.script.update(answers)
                codes.append((await send(smtp))[:3])
            hop.script.clear()
            hop.script["END"] = f"250 {NAMED}"
            codes.append((await send(f":{lmtp}", hello="LHLO client.example"))[:3])
            await send(smtp, message=b"\x00" * 70_000 + MESSAGE)
            await misuse(smtp)
            await by_milter(f":{milter}")
            await asyncio.sleep(1)
            strangers = ("/", "/messages", "/sign-in", "/healthz")
            pages.extend([(await ask(console, path)).body for path in strangers])

    run(work())
    assert {"250", "550", "451"} <= set(codes)
    assert b"Sign in" in pages[2]
    told = {"what strangers see of the console": b"".join(pages), "log": log.read_bytes()}
    assert b"debug" in told["log"].lower() or b"4aBcD" in told["log"]
    told |= {
        str(path.relative_to(state)): path.read_bytes()
        for path in state.rglob("*")
        if path.is_file() and "copies" not in path.relative_to(state).parts
    }
    assert any(b"senderplant" in data for name, data in told.items() if _is_record(name))
    for name, data in told.items():
        for word in WORDS:
            if _is_record(name) and word in may_hold:
                continue
            at = data.lower().find(word)
            assert at < 0, f"{name}: {data[max(0, at - 200) : at + 100]!r}"


def _is_record(name: str) -> bool:
    return name.startswith(("mailveil.sqlite3", "observations/"))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback_tells_where_and_not_what(formatter: logging.Formatter) -> None:
    try:
        try:
            int("annaplant")
        except ValueError as inner:
            raise ExceptionGroup(
                "bodyplant", [KeyError("tok3nplant"), FileNotFoundError(2, "No file")]
            ) from inner
    except ExceptionGroup as error:
        known = (type(error), error, error.__traceback__)
        record = logging.LogRecord("mailveil", logging.ERROR, "f.py", 1, "it failed", (), known)
    line = formatter.format(record)
    assert "ExceptionGroup" in line
    assert "KeyError" in line
    assert "test_nothing_is_told.py" in line
    assert "plant" not in line
