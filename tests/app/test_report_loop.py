"""Mail to the mailbox for reports is taken note of on its way; all other mail is no business of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from banner_letters import letter
from control_room import ControlRoomForTests
from mailveil.app import reporting as loop_module
from mailveil.app.reporting import MAX_WAITING, ReportLoop, is_proven
from mailveil.control.feedback import Reporting, ReportLimits
from mailveil.control.records import Cut, Feedback
from mailveil.core.authentication import Authentication
from mailveil.core.banner import report_code
from mailveil.core.observation import observation_identifier
from mailveil.core.policy import Envelope
from mailveil.ports import UnavailableError

KEY = b"a key that only these tests know"
MAILBOX = "spy-report@example.org"
MESSAGE = observation_identifier(1_800_000_000.0, "message", "default")
CODE = report_code(MESSAGE, "default", KEY)
REPORT = letter(b"Hm.\r\n", "text/plain").replace(b"Subject: Offer", b"Subject: mailveil " + CODE.encode())
TO_MAILBOX = Envelope(sender="ann@example.org", recipients=("bob@example.org", "Spy-Report@Example.org"))


async def _queue(control_room: ControlRoomForTests) -> tuple[Feedback, ...]:
    return (await control_room.room.feedback.reports("default", Cut())).items


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _settled(control_room: ControlRoomForTests, count: int) -> tuple[Feedback, ...]:
    async with asyncio.timeout(60):
        while len(found := await _queue(control_room)) < count:
            await asyncio.sleep(0.01)
    return found


def test_a_report_is_in_the_queue_soon_after_it_passed(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        loop = ReportLoop(control_room.room, Reporting(KEY), MAILBOX)
        task = asyncio.create_task(loop.run())
        loop.note(replace(TO_MAILBOX, recipients=("bob@example.org",)), REPORT, "0", "default")
        loop.note(TO_MAILBOX, b"no report at all", "1", "default")
        loop.note(TO_MAILBOX, REPORT, "2", "default")
        [found] = await _settled(control_room, 1)
        assert (found.message, found.channel, found.text) == (MESSAGE, "mail", "Hm.")
        await _ended(task)

    asyncio.run(inside())


def test_a_database_that_is_away_for_a_while_loses_none(
    control_room: ControlRoomForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def inside() -> None:
        calls = []

        class Away:
            async def report(self, feedback: Feedback) -> None:
                calls.append(feedback)
                if len(calls) < 3:
                    raise UnavailableError("away")
                await control_room.room.feedback.report(feedback)

        monkeypatch.setattr(loop_module, "RETRY_S", (0.0, 0.0, 0.0))
        reporting = Reporting(KEY, ReportLimits(per_message=1))
        loop = ReportLoop(replace(control_room.room, feedback=Away()), reporting, MAILBOX)  # type: ignore[arg-type]
        task = asyncio.create_task(loop.run())
        loop.note(TO_MAILBOX, REPORT, "1", "default")
        await _settled(control_room, 1)
        assert len(calls) == 3
        await _ended(task)

    asyncio.run(inside())


def test_so_many_at_once_cost_no_more_than_memory_for_some(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        loop = ReportLoop(
            control_room.room, Reporting(KEY, ReportLimits(per_message=1000, per_minute=1000)), MAILBOX
        )
        for number in range(MAX_WAITING + 50):
            loop.note(TO_MAILBOX, REPORT, str(number), "default")
        task = asyncio.create_task(loop.run())
        async with asyncio.timeout(120):
            while len((await control_room.room.feedback.reports("default", Cut(200))).items) < MAX_WAITING:
                await asyncio.sleep(0.01)
        await _ended(task)
        assert len((await control_room.room.feedback.reports("default", Cut(200))).items) == MAX_WAITING

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("envelope", "proven"),
    [
        (Envelope(authenticated=True), True),
        (Envelope(local_origin=True), True),
        (Envelope(sender="ann@example.org"), False),
        (Envelope(authentication=Authentication()), False),
    ],
)
def test_who_only_says_to_be_one_of_us_is_not_believed(envelope: Envelope, proven: bool) -> None:
    assert is_proven(envelope, "example.org") is proven
