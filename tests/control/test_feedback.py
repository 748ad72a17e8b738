"""What readers report becomes the analyst's queue, of their own organisation alone."""

from __future__ import annotations

import asyncio

import pytest

from control_room import ControlRoomForTests, actor
from mailveil.control.access import ForbiddenError
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feedback import (
    Reporting,
    ReportLimits,
    TooManyError,
    decide_report,
    list_reports,
    read_report,
    report_by_link,
    report_by_mail,
    reported_by,
)
from mailveil.control.records import Cut, FeedbackKind, FeedbackState
from mailveil.core.banner import ReportedAs, ReportMail, report_code
from mailveil.core.observation import observation_identifier

KEY = b"a key that only these tests know"


def _reporting(**limits: int) -> Reporting:
    return Reporting(KEY, ReportLimits(**limits))


def _message(organisation: str = "default", number: int = 1) -> str:
    return observation_identifier(1_800_000_000.0, f"message-{number}", organisation)


def _code(organisation: str = "default", number: int = 1) -> str:
    return report_code(_message(organisation, number), organisation, KEY)


def test_a_report_reaches_the_queue_of_the_organisation_whose_message_it_is(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme", language="fr")
        assert (await reported_by(room, _reporting(), _code("acme"))).language == "fr"
        made = await report_by_link(
            room, _reporting(), _code("acme"), FeedbackKind.MISSED, "a\x00b\u202e\n c "
        )
        assert (made.organisation, made.message, made.channel) == ("acme", _message("acme"), "link")
        assert made.text == "a b\n c"
        assert (await list_reports(room, actor(), Cut())).items == ()
        queue = await list_reports(room, actor("analyst", "acme"), Cut(), state=FeedbackState.OPEN)
        assert queue.items == (made,)
        with pytest.raises(MissingError):
            await read_report(room, actor(), made.identifier)

    asyncio.run(inside())


@pytest.mark.parametrize("code", ["", "a" * 40, "x", report_code(_message(), "nobody", KEY)])
def test_nobody_reports_about_a_message_that_was_never_theirs(
    control_room: ControlRoomForTests, code: str
) -> None:
    with pytest.raises(MissingError):
        asyncio.run(report_by_link(control_room.room, _reporting(), code, FeedbackKind.OTHER, ""))


def test_a_decision_is_noted_and_audited_and_can_be_taken_back(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room, analyst = control_room.room, actor("analyst", name="ann")
        made = await report_by_link(room, _reporting(), _code(), FeedbackKind.FALSE_ALARM, "")
        decided = await decide_report(room, analyst, made.identifier, FeedbackState.CONFIRMED, "ours")
        assert (decided.state, decided.closed_by, decided.note) == (FeedbackState.CONFIRMED, "ann", "ours")
        assert decided.closed_at == control_room.clock.now()
        assert await read_report(room, analyst, made.identifier) == decided
        again = await decide_report(room, analyst, made.identifier, FeedbackState.OPEN)
        assert (again.closed_by, again.closed_at) == ("", 0.0)
        trail = await control_room.audit_trail(action="feedback.decide")
        assert {(entry.details["before"], entry.details["state"]) for entry in trail} == {
            ("open", "confirmed"),
            ("confirmed", "open"),
        }
        assert trail[0].subject == made.identifier

    asyncio.run(inside())


def test_rights_and_bounds(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        made = await report_by_link(room, _reporting(), _code(), FeedbackKind.OTHER, "")
        with pytest.raises(ForbiddenError):
            await list_reports(room, actor("viewer"), Cut())
        with pytest.raises(ForbiddenError):
            await decide_report(room, actor("viewer"), made.identifier, FeedbackState.REJECTED)
        with pytest.raises(InvalidError):
            await decide_report(room, actor(), made.identifier, FeedbackState.REJECTED, "n" * 3000)
        with pytest.raises(InvalidError):
            await report_by_link(room, _reporting(), _code(), FeedbackKind.OTHER, "t" * 3000)
        with pytest.raises(MissingError):
            await decide_report(room, actor(), "0" * 32, FeedbackState.REJECTED)

    asyncio.run(inside())


def test_reports_are_limited_for_a_message_and_in_all(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room, reporting = control_room.room, _reporting(per_message=2, per_minute=3)

        async def report(number: int) -> None:
            await report_by_link(room, reporting, _code(number=number), FeedbackKind.OTHER, "")

        await report(1)
        await report(1)
        with pytest.raises(TooManyError):
            await report(1)
        await report(2)
        with pytest.raises(TooManyError):
            await report(3)
        control_room.clock.advance(61)
        await report(3)
        with pytest.raises(TooManyError):
            await report(1)
        control_room.clock.advance(86_400)
        await report(1)

    asyncio.run(inside())


def test_mail_is_taken_for_a_report_where_a_code_or_its_sender_vouches_for_it(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room, reporting = control_room.room, _reporting()
        await control_room.organisation("acme")
        coded = ReportMail(ReportedAs.FALSE_ALARM, ("b" * 40, _code("acme")), "ours")
        made = await report_by_mail(room, reporting, "default", coded, proven=False)
        assert made is not None
        assert (made.organisation, made.message, made.channel) == ("acme", _message("acme"), "mail")
        bare = ReportMail(ReportedAs.MISSED, (), "odd", "<1@x>")
        assert await report_by_mail(room, reporting, "default", bare, proven=False) is None
        told = await report_by_mail(room, reporting, "default", bare, proven=True)
        assert told is not None
        assert (told.organisation, told.message, told.text) == ("default", "", "Message-ID: <1@x>\nodd")

    asyncio.run(inside())
