"""Feedback: what readers report, by link or by mail, and what an analyst decides about it.

A reader shows by the code of a message that the message was theirs (``core.banner.reportcode``); nobody signs in, and
nobody is told who reported. That a page was opened is recorded nowhere.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import Cut, Feedback, FeedbackKind, FeedbackState, Page
from mailveil.control.room import ControlRoom
from mailveil.core.banner import ReportMail, verify_report_code

MAX_TEXT = 2_000
MAX_NOTE = 2_000
DAY_S = 86_400.0
MINUTE_S = 60.0
MAX_REMEMBERED = 10_000


class TooManyError(Exception):
    """So many reports have come that no more are taken for now."""


@dataclass(slots=True)
class ReportLimits:
    """How many reports are taken: of one message in a day, and of all in a minute. Kept in memory alone."""

    per_message: int = 5
    per_minute: int = 60
    _messages: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _minute: tuple[float, int] = (0.0, 0)

    def take(self, message: str, now: float) -> None:
        """Count one. Raises ``TooManyError``."""
        since, count = self._minute
        if not 0 <= now - since < MINUTE_S:
            since, count = now, 0
        first, reports = self._messages.get(message, (now, 0))
        if not 0 <= now - first < DAY_S:
            first, reports = now, 0
        if count >= self.per_minute or (message and reports >= self.per_message):
            raise TooManyError
        self._minute = (since, count + 1)
        if message:
            self._messages[message] = (first, reports + 1)
            self._messages.move_to_end(message)
            while len(self._messages) > MAX_REMEMBERED:
                self._messages.popitem(last=False)

    def give_back(self, message: str) -> None:
        """Count one less: it came to nothing."""
        since, count = self._minute
        self._minute = (since, max(0, count - 1))
        if message in self._messages:
            first, reports = self._messages[message]
            self._messages[message] = (first, max(0, reports - 1))


@dataclass(frozen=True, slots=True)
class Reporting:
    """What reports are taken with: ``key`` made the codes."""

    key: bytes = field(repr=False)
    limits: ReportLimits = field(default_factory=ReportLimits)


@dataclass(frozen=True, slots=True)
class Reported:
    """The message that a code names, and the language of the organisation whose message it is."""

    organisation: str
    message: str
    language: str


async def reported_by(room: ControlRoom, reporting: Reporting, code: str) -> Reported:
    """Return what message a code names. Raises ``MissingError`` where we did not make it.

    Nothing is recorded, and the message itself is not looked at.
    """
    for organisation in await room.organisations.organisations():
        message = verify_report_code(code, organisation.identifier, reporting.key)
        if message is not None:
            return Reported(organisation.identifier, message, organisation.language)
    raise MissingError


async def report_by_link(
    room: ControlRoom, reporting: Reporting, code: str, kind: FeedbackKind, text: str
) -> Feedback:
    """Take a report from the page. Raises ``MissingError``, ``InvalidError`` or ``TooManyError``."""
    reported = await reported_by(room, reporting, code)
    if len(text) > MAX_TEXT:
        raise InvalidError(f"a report has at most {MAX_TEXT} characters", "text")
    now = room.clock.now()
    feedback = Feedback(
        identifier=new_identifier(now),
        organisation=reported.organisation,
        at=now,
        kind=kind,
        message=reported.message,
        text=printable(text),
        channel="link",
    )
    await _keep(room, reporting, feedback)
    return feedback


async def report_by_mail(
    room: ControlRoom, reporting: Reporting, organisation: str, mail: ReportMail, *, proven: bool
) -> Feedback | None:
    """Take a report that came by mail for an organisation, ``None`` where it is nobody's whom we know.

    A code that we made shows that the writer has had the message; without one, only ``proven`` senders are taken at
    their word: those who authenticated, or whose domain is the organisation's by authentication. Raises
    ``TooManyError``.
    """
    message = ""
    for code in mail.codes:
        try:
            reported = await reported_by(room, reporting, code)
        except MissingError:
            continue
        organisation, message = reported.organisation, reported.message
        break
    if not message and not proven:
        return None
    now = room.clock.now()
    named = f"Message-ID: {mail.message_id}\n" if mail.message_id and not message else ""
    feedback = Feedback(
        identifier=new_identifier(now),
        organisation=organisation,
        at=now,
        kind=FeedbackKind(str(mail.kind)),
        message=message,
        text=printable(named + mail.comment)[:MAX_TEXT],
        channel="mail",
    )
    await _keep(room, reporting, feedback)
    return feedback


async def _keep(room: ControlRoom, reporting: Reporting, feedback: Feedback) -> None:
    """Write a report down, if there have not been too many; one that cannot be written does not count."""
    reporting.limits.take(feedback.message, feedback.at)
    try:
        await room.feedback.report(feedback)
    except BaseException:
        reporting.limits.give_back(feedback.message)
        raise


async def report_by_analyst(
    room: ControlRoom, actor: Actor, message: str, kind: FeedbackKind, text: str = ""
) -> Feedback:
    """Put what somebody found while looking at a message into the queue. Raises ``MissingError``, ``InvalidError``."""
    actor.require(Permission.FEEDBACK_WRITE)
    actor.require(Permission.MESSAGES_READ)
    if len(text) > MAX_TEXT:
        raise InvalidError(f"a report has at most {MAX_TEXT} characters", "text")
    if await room.observations.message(actor.organisation, message) is None:
        raise MissingError
    now = room.clock.now()
    feedback = Feedback(
        identifier=new_identifier(now),
        organisation=actor.organisation,
        at=now,
        kind=kind,
        message=message,
        text=printable(text),
        channel="console",
    )
    await room.feedback.report(feedback)
    await audit(room, actor, "feedback.report", feedback.identifier, message=message, kind=str(kind))
    return feedback


async def list_reports(
    room: ControlRoom, actor: Actor, cut: Cut, *, state: FeedbackState | None = None
) -> Page[Feedback]:
    """Return the analyst's queue: reports of the actor's organisation, newest first; ``None``: of every state."""
    actor.require(Permission.FEEDBACK_READ)
    return await room.feedback.reports(actor.organisation, cut, state=state)


async def read_report(room: ControlRoom, actor: Actor, identifier: str) -> Feedback:
    """Return one report. Raises ``MissingError``."""
    actor.require(Permission.FEEDBACK_READ)
    found = await room.feedback.report_of(actor.organisation, identifier)
    if found is None:
        raise MissingError
    return found


async def decide_report(
    room: ControlRoom, actor: Actor, identifier: str, state: FeedbackState, note: str = ""
) -> Feedback:
    """Confirm or reject a report, or open it again, with a note; written into the audit trail.

    Raises ``MissingError`` or ``InvalidError``.
    """
    actor.require(Permission.FEEDBACK_WRITE)
    if len(note) > MAX_NOTE:
        raise InvalidError(f"a note has at most {MAX_NOTE} characters", "note")
    found = await room.feedback.report_of(actor.organisation, identifier)
    if found is None:
        raise MissingError
    is_open = state is FeedbackState.OPEN
    decided = replace(
        found,
        state=state,
        note=printable(note),
        closed_by="" if is_open else actor.name,
        closed_at=0.0 if is_open else room.clock.now(),
    )
    await room.feedback.report(decided)
    await audit(room, actor, "feedback.decide", identifier, state=str(state), before=str(found.state))
    return decided


def printable(text: str) -> str:
    """Return a reader's text without controls and characters that reorder what is shown; line breaks stay."""
    lines = (
        "".join(letter if letter.isprintable() else " " for letter in line) for line in text.splitlines()
    )
    return "\n".join(line.rstrip() for line in lines).strip()
