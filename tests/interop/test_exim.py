"""Setup: a real Exim with the blocks of docs/exim.md, and the real mailveil behind it.

Test: mail from outside comes back silent; while mailveil is away it waits with Exim and then arrives once.
"""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exim_room import exim_room, missing_for_exim
from mailveil_room import mailveil_room
from postfix_room import free_port

pytestmark = pytest.mark.skipif(bool(missing_for_exim()), reason=f"needs {missing_for_exim()}")
GUIDE = Path(__file__).parents[2] / "docs" / "exim.md"
LETTER = (
    b"From: a@news.example\r\nTo: b@example.org\r\nSubject: hello\r\nContent-Type: text/html\r\n\r\n"
    b'<p>Hello</p><img src="http://spy.example/open.gif?u=83hf" width=1 height=1>\r\n'
)


def blocks_of_the_guide() -> dict[str, str]:
    return dict(re.findall(r"^```(exim-[a-z-]+)\n(.*?)^```$", GUIDE.read_text(), re.M | re.S))


def until(condition: Callable[[], bool], log: Callable[[], str]) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, log()
        time.sleep(0.1)


def send(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail("a@news.example", ["b@example.org"], LETTER)


def test_exim_sends_mail_through_mailveil_and_keeps_it_while_that_is_away() -> None:
    back = free_port()
    with (
        mailveil_room({"gateway": {"next_hop": f"smtp://127.0.0.1:{back}"}}) as mailveil,
        exim_room(blocks_of_the_guide(), mailveil.port, back) as exim,
    ):
        send(exim.port)
        until(lambda: len(exim.letters()) == 1 and exim.queued() == 0, exim.log)
        (letter,) = exim.letters()
        assert b"spy.example" not in letter
        assert b"<p>Hello</p>" in letter
        assert exim.log().count("R=mailveil T=mailveil") == 1

        mailveil.stop()
        send(exim.port)
        until(lambda: "Connection refused" in exim.log(), exim.log)
        assert len(exim.letters()) == 1
        mailveil.start()
        exim.run_queue()
        until(lambda: len(exim.letters()) == 2 and exim.queued() == 0, exim.log)
        assert b"spy.example" not in b"".join(exim.letters())
