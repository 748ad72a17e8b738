"""What comes next: whoever probed people here is known again when it writes without any tracker, in the whole product.

Setup: the real ``mailveil serve`` with an SMTP door and a Maildir, and weeks of ordinary mail on record.
Test: a probe becomes an activity within seconds; a letter about a payment from the same actor, without a tracker, gets
a banner, and an alert that names the probe; once an analyst dismisses the activity, letters come as they were sent.
"""

from __future__ import annotations

import asyncio
import smtplib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from intelligence_room import DAY, OURS, finance, quiet_weeks, settings
from mailveil.adapters.maildir import Maildir
from mailveil.app.controlling import opened_room
from mailveil.control.access import command_line_actor
from mailveil.control.activities import decide_activity
from mailveil.control.activityrecords import ActivityFile, ActivityQuery
from mailveil.control.records import Cut, Organisation
from mailveil.core.intelligence.types import Alert, AlertKind, AnalystVerdict
from mailveil_room import Mailveil, mailveil_room
from postfix_room import free_port
from smtp_room import without_trace

SPY = "quietharbourledger.example"
MET = "This sender was seen spying on readers here"
WEEKS = 5
PATIENCE_S = 90.0
Answer = TypeVar("Answer")


def probe(number: int) -> bytes:
    return (
        f"From: Mara <mara@{SPY}>\r\nTo: <{finance(number)}>\r\nMessage-ID: <probe.{number}@{SPY}>\r\n"
        "Subject: A question\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        f'<p>Are you still in charge of this?</p><img src="https://px.{SPY}/o/8a7b{number}f.gif?u=c{number}2d" '
        'width="1" height="1">\r\n'
    ).encode()


def payment(number: int) -> bytes:
    return (
        f"From: The Chair <chair@{SPY}>\r\nTo: <{finance(1)}>\r\nMessage-ID: <pay.{number}@{SPY}>\r\n"
        "Subject: Urgent  payment\r\nContent-Type: text/plain\r\n\r\nPlease pay this at once,  quietly.\r\n"
    ).encode()


@dataclass
class Here:
    """The product at work, and what stands in its database."""

    room: Mailveil

    def send(self, raw: bytes, recipient: str) -> bytes:
        """Send a message and return it as it was delivered."""
        maildir = Maildir(self.room.settings.local_maildir)
        before = {each.name for each in maildir.newest(100)}
        with smtplib.SMTP("127.0.0.1", self.room.port) as client:
            client.sendmail(f"bounce@{SPY}", [recipient], raw)
        (name,) = {each.name for each in maildir.newest(100)} - before
        path = maildir.find(name)
        assert path is not None
        return without_trace(path.read_bytes())

    def ask(self, question: Callable[[Any], Awaitable[Answer]]) -> Answer:
        async def steps() -> Answer:
            async with opened_room(self.room.settings) as room:
                return await question(room)

        return asyncio.run(steps())

    def until(self, question: Callable[[], Answer], what: str) -> Answer:
        end = time.monotonic() + PATIENCE_S
        while not (found := question()):
            assert time.monotonic() < end, f"{what}\n{self.room.log()[-4000:]}"
            time.sleep(0.3)
        return found

    def activities(self) -> list[ActivityFile]:
        query = ActivityQuery(time.time(), least_score=0.5)
        return list(self.ask(lambda room: room.activities.activities("default", query, Cut())).items)

    def alerts(self, kind: AlertKind) -> list[Alert]:
        found = self.ask(lambda room: room.activities.alerts("default", Cut())).items
        return [each for each in found if each.kind is kind]


async def inhabit(room: Any) -> None:
    await room.organisations.put(Organisation("default", "Here", (OURS,), "en", time.time()))
    for each in settings().people.values():
        await room.activities.mark("default", each, "anna", time.time())
    past = time.time() // DAY * DAY - (7 * WEEKS + 1) * DAY
    await room.observations.add(list(quiet_weeks(WEEKS, past)))


def test_what_comes_next_is_told_of_with_the_probe_before_it() -> None:
    metrics = free_port()
    table = {"metrics": {"listen": f"127.0.0.1:{metrics}"}}
    with mailveil_room(table, doors=(metrics,), started=False) as room:
        here = Here(room)
        here.ask(inhabit)
        room.start()
        here.until(
            lambda: here.ask(lambda room: room.studies.waiting("default", 10)) == 0, "weeks are not studied"
        )
        assert here.send(payment(0), finance(1)) == payment(0), "nobody was met before"
        for number in range(4):
            assert f"px.{SPY}".encode() not in here.send(probe(number), finance(number))
        (found,) = here.until(here.activities, "no activity")
        assert found.activity.actor == SPY
        first = found.activity.first_at

        def is_told() -> bytes:
            sent = here.send(payment(1), finance(1))
            return sent if MET in " ".join(sent.decode().split()) else b""

        told = here.until(is_told, "no banner")
        assert b"Please pay this at once,  quietly.\r\n" in told
        (alert,) = here.until(lambda: here.alerts(AlertKind.FOLLOW_UP), "no alert")
        assert (alert.activity, alert.earlier) == (found.activity.identifier, first)
        assert "probed people here before" in alert.words

        text = httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
        assert 'mailveil_recognised_total{known_by="sender-domain"} ' in text

        dismiss = command_line_actor("default", "anna")
        here.ask(
            lambda room: decide_activity(room, dismiss, found.activity.identifier, AnalystVerdict.BENIGN)
        )
        here.until(lambda: here.send(payment(2), finance(1)) == payment(2), "the banner goes on")
