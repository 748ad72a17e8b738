"""Reporting: takes readers' reports from the mail that passes to the database, off mail's way.

The mail itself goes on as ever, so that nothing is lost with what is dropped here: too many at once, or a database that
stays away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from mailveil.control.feedback import Reporting, TooManyError, report_by_mail
from mailveil.control.records import DEFAULT_ORGANISATION
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError
from mailveil.core.banner import parse_report_mail
from mailveil.core.banner.reportmail import MAX_RAW_BYTES
from mailveil.core.failure import describe_failure
from mailveil.core.policy import Direction, Envelope, direction_of
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.reports")
MAX_WAITING = 100
RETRY_S = (0.5, 2.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Waiting:
    identifier: str
    raw: bytes
    organisation: str
    proven: bool


class ReportLoop:
    """Takes note of mail to the mailbox for reports (``ports.ReportIntake``)."""

    def __init__(self, room: ControlRoom, reporting: Reporting, mailbox: str) -> None:
        self._room = room
        self._reporting = reporting
        self._mailbox = mailbox.lower()
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()

    def note(self, envelope: Envelope, raw: bytes, identifier: str, organisation: str) -> None:
        """Take a message in if it is a report."""
        if not any(recipient.lower() == self._mailbox for recipient in envelope.recipients):
            return
        if len(self._waiting) >= MAX_WAITING:
            log.warning("message %s: too many reports at once; it is in the mailbox alone", identifier)
            return
        proven = is_proven(envelope, self._mailbox.rpartition("@")[2])
        self._waiting.append(_Waiting(identifier, raw[:MAX_RAW_BYTES], organisation, proven))
        self._news.set()

    async def run(self) -> None:
        """Write reports down, one after the other, until cancelled."""
        while True:
            while self._waiting:
                await self._take(self._waiting[0])
                self._waiting.popleft()
            self._news.clear()
            await self._news.wait()

    async def _take(self, report: _Waiting) -> None:
        for pause_s in (*RETRY_S, None):
            try:
                mail = await asyncio.to_thread(parse_report_mail, report.raw)
                taken = await report_by_mail(
                    self._room,
                    self._reporting,
                    report.organisation or DEFAULT_ORGANISATION,
                    mail,
                    proven=report.proven,
                )
            except UnavailableError as error:
                if pause_s is None:
                    log.warning(
                        "message %s: the report is in the mailbox alone: %s", report.identifier, error
                    )
                    return
                await asyncio.sleep(pause_s)
            except TooManyError:
                log.warning("message %s: too many reports; it is in the mailbox alone", report.identifier)
                return
            except ConflictError as error:
                log.warning("message %s: the report is in the mailbox alone: %s", report.identifier, error)
                return
            except Exception as error:  # whatever it is, the next report has its turn
                log.error(
                    "message %s: the report cannot be read: %s", report.identifier, describe_failure(error)
                )
                return
            else:
                said = "is nobody's report" if taken is None else "reported about a message"
                log.info("message %s %s", report.identifier, said)
                return


def is_proven(envelope: Envelope, domain: str) -> bool:
    """Tell whether whoever wrote belongs to the domain of the mailbox: by log-in, machine or authentication."""
    if direction_of(envelope) is not Direction.INBOUND:
        return True
    author = "" if envelope.authentication is None else envelope.authentication.author_domain.lower()
    return bool(author) and (author == domain or author.endswith("." + domain))
