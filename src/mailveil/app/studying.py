"""Studying: what was written down of mail is studied within seconds, in the order of time, by one process at a time.

Every process with the control room takes part: whoever has an organisation's lease studies it, and where that process
ends, another goes on. A database that is away is waited for; mail is not affected.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mailveil.app.studybatch import Intelligence, Scholar, StudyBatch
from mailveil.control.activitystores import Studied, Unstudied
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError, ObservationStore
from mailveil.core.intelligence.settings import ALERT_SCORE, StudySettings
from mailveil.core.observation import Observation
from mailveil.core.recognition.shared import owned_domains
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.studying")
BATCH = 50
IDLE_S = 3.0  # how often what other processes wrote is looked for
# How often others are told of activities that go on, and of states that change with time; of what is new at once.
SWEEP_S = 300.0
LEASE_S = 60.0
SLICE_S = 5.0  # so long one organisation's backlog is studied before another has its turn
RETRY_S = (0.5, 30.0)  # the first pause and the longest, while the database is away
AWAY_AFTER = 2  # so many organisations in a row that have to wait: it is the database that is away
PATIENCE = 5  # so often is a batch refused before its subjects are tried one by one
MAX_REST_S = 0.5
FINISH_S = 5.0
MAX_COUNTED = 10_000_000
BACKLOG = 1_000  # so much waits after an upgrade, and not because mail comes
TELL_S = 300.0  # how often the log tells how far a backlog is


class Figures(Protocol):
    """Where it is counted (``adapters.instruments``)."""

    def studied(self, subjects: int, set_aside: int, activities: int, alerts: int) -> None:
        """Take note of a batch."""
        ...


@dataclass(slots=True)
class StudyProgress:
    """How studying is going in this process."""

    studied: int = 0
    set_aside: int = 0
    problem: str = ""  # why nothing can be studied now, "" where it can
    pace: float = 0.0  # subjects a second while this process was at it, of late; 0 where it was not


class StudyLoop:
    """Studies whatever waits, of every organisation."""

    def __init__(
        self,
        room: ControlRoom,
        *,
        scholar: Scholar | None = None,
        figures: Figures | None = None,
        alert_score: float = ALERT_SCORE,
    ) -> None:
        """``alert_score`` is what an activity has to reach for an alert, 0 to 1."""
        self._room = room
        self._scholar: Scholar = scholar or Intelligence()
        self._figures = figures
        self._alert_score = alert_score
        self._holder = secrets.token_hex(16)
        self._news = asyncio.Event()
        self._is_stopping = False
        self._failures = 0
        self._refused: Counter[str] = Counter()  # how often an organisation's batch was, one after the other
        self._swept: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._told_at = time.monotonic()
        self.progress = StudyProgress()

    def start(self) -> None:
        """Begin, with what was left behind before."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look at once: something was written."""
        self._news.set()

    async def finish(self) -> None:
        """End with the batch that is under way, if that takes no longer than it should."""
        self._is_stopping = True
        self._news.set()
        if self._task is None:
            return
        try:
            async with asyncio.timeout(FINISH_S):
                await self._task
        except TimeoutError:
            log.info("studying goes on with the next start")

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                begun = time.monotonic()
                if count := await self.round():
                    self._news.set()  # there may be more
                    await self._tell_how_far(count, time.monotonic() - begun)
            except UnavailableError as error:
                self._failures += 1
                if str(error) != self.progress.problem:
                    self.progress.problem = str(error)
                    log.warning("what was seen is studied later: %s; mail is not affected", error)
            except Exception:  # whatever it is, records wait and mail does not
                log.exception("what was seen is studied later")
                self._failures += 1
            else:
                if self.progress.problem:
                    log.warning("what was seen is studied again")
                self.progress.problem, self._failures = "", 0
            await self._wait()

    async def round(self) -> int:
        """Study what waits, of one organisation after the other; return how many subjects.

        A backlog is studied in slices, so that no organisation waits for another's, and what goes wrong with one of
        them costs the others nothing. Raises what did go wrong, ``UnavailableError`` where some of it has to wait.
        """
        count, problems, in_a_row = 0, [], 0
        waiting = await self._room.studies.waiting_organisations()
        for each in await self._room.organisations.organisations():
            if self._is_stopping or in_a_row == AWAY_AFTER:
                break
            try:
                count += await self._organisation(
                    each.identifier, owned_domains(each.domains), has_work=each.identifier in waiting
                )
                in_a_row = 0
            except Exception as error:
                problems.append(error)
                in_a_row += isinstance(error, UnavailableError)
        if problems:
            raise problems[0]
        return count

    async def _tell_how_far(self, count: int, seconds: float) -> None:
        """Take note of the pace, and let the log tell now and then how far a backlog is."""
        if seconds > 1.0:  # else it is what has just come, and tells nothing of a backlog
            pace, before = count / seconds, self.progress.pace
            self.progress = replace(self.progress, pace=0.8 * before + 0.2 * pace if before else pace)
        if time.monotonic() < self._told_at + TELL_S:
            return
        self._told_at = time.monotonic()
        waiting = await count_unstudied(self._room)
        if waiting >= BACKLOG:
            left = describe_span(waiting / self.progress.pace) if self.progress.pace else "some time"
            log.info("%s to be studied, which takes %s more; new mail comes after it", f"{waiting:,}", left)

    async def _organisation(self, organisation: str, domains: frozenset[str], *, has_work: bool) -> int:
        studies, now = self._room.studies, self._room.clock.now()
        # By either direction: a clock that was ahead is not waited for once it has been set.
        is_due = abs(now - self._swept.get(organisation, 0.0)) >= SWEEP_S
        if not has_work and not is_due:
            return 0
        if not await studies.lease(_lease(organisation), self._holder, now, now + LEASE_S):
            return 0
        count, begun = 0, time.monotonic()
        try:
            settings = await self._settings(organisation, domains)
            while not self._is_stopping and (done := await self._batch(organisation, settings)):
                count += done
                if time.monotonic() > begun + SLICE_S:
                    break
            if is_due and not self._is_stopping:
                await self._sweep(organisation, now)
        except (
            ConflictError
        ) as error:  # somebody else is at it, or it has changed meanwhile: the next round knows
            log.debug("%s: %s", organisation, error)
        finally:
            with contextlib.suppress(UnavailableError):  # it ends by itself
                await studies.release(_lease(organisation), self._holder)
        return count

    async def _settings(self, organisation: str, domains: frozenset[str]) -> StudySettings:
        people = await self._room.activities.marked(organisation)
        return StudySettings({each.person: each for each in people}, domains, self._alert_score)

    async def _batch(self, organisation: str, settings: StudySettings) -> int:
        """Study some of what waits; return how many subjects. Raises ``ConflictError`` or ``UnavailableError``."""
        studies = self._room.studies
        refused = self._refused[organisation]
        waiting = await studies.unstudied(organisation, BATCH if refused < PATIENCE else 1)
        if not waiting.subjects:
            return 0
        batch = StudyBatch(organisation, waiting, settings, studies, self._scholar)
        studied = await batch.studied(self._room.clock.now())
        try:
            await studies.write(organisation, studied)
        except ConflictError:
            raise
        except Exception:
            self._refused[organisation] += 1
            if refused < 2 * PATIENCE:
                raise
            return await self._try_last(organisation, waiting, studied)
        self._refused.pop(organisation, None)
        self._count(studied, batch.set_aside)
        # A backlog is studied while mail goes on: it has the processor for as long as we had.
        await asyncio.sleep(0 if self._is_stopping else min(MAX_REST_S, batch.seconds))
        return len(waiting.subjects)

    async def _try_last(self, organisation: str, waiting: Unstudied, studied: Studied) -> int:
        """Try what was refused time and again once more, when it is known that the database takes anything at all.

        Raises ``UnavailableError`` where it does not, or ``ConflictError``.
        """
        now = self._room.clock.now()
        await self._room.studies.lease(_lease(organisation), self._holder, now, now + LEASE_S)
        try:
            await self._room.studies.write(organisation, studied)
        except ConflictError:
            raise
        except Exception:
            await self._set_aside(organisation, waiting)
        else:
            self._refused.pop(organisation, None)
            self._count(studied, 0)
        return len(waiting.subjects)

    async def _set_aside(self, organisation: str, waiting: Unstudied) -> None:
        """Let go of a subject of which nothing can be written down, if the database takes anything at all."""
        subject = waiting.subjects[0]
        nothing = Studied((subject,), {}, self._room.clock.now(), waiting.generation, waiting.is_again)
        await self._room.studies.write(organisation, nothing)
        self._refused.pop(organisation, None)
        log.error("what was found of %s cannot be written down, and is left out", subject.identifier)
        self._count(nothing, 1)

    def _count(self, studied: Studied, set_aside: int) -> None:
        self.progress = replace(
            self.progress,
            studied=self.progress.studied + len(studied.subjects),
            set_aside=self.progress.set_aside + set_aside,
        )
        if self._figures is not None:
            alerts = 0 if studied.is_again else len(studied.alerts)
            self._figures.studied(len(studied.subjects), set_aside, len(studied.activities), alerts)

    async def _sweep(self, organisation: str, now: float) -> None:
        """Have others told of what stands differently as time passes."""
        while await self._room.studies.tell(organisation, now):
            await asyncio.sleep(0)
        self._swept[organisation] = now

    async def _wait(self) -> None:
        pause_s = IDLE_S
        if self._failures:
            pause_s = min(RETRY_S[1], RETRY_S[0] * 2 ** min(self._failures - 1, 10))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        self._news.clear()


def _lease(organisation: str) -> str:
    return f"studying {organisation}"


class WakingSink:
    """Writes observations down, and has them studied at once (``app.recording.Sink``)."""

    def __init__(self, observations: ObservationStore, studying: StudyLoop) -> None:
        self._observations = observations
        self._studying = studying

    async def add(self, observations: Sequence[Observation]) -> int:
        """Write observations down; what is there already is left as it is. Raises ``UnavailableError``."""
        count = await self._observations.add(observations)
        if count:
            self._studying.wake()
        return count


def describe_span(seconds: float) -> str:
    """Return about how long something takes, in words."""
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"about {minutes} minute{'' if minutes == 1 else 's'}"
    return f"about {round(minutes / 60)} hours"


async def count_unstudied(room: ControlRoom) -> int:
    """Return how much waits to be studied, of all organisations; of very many it counts no further.

    Raises ``UnavailableError``.
    """
    found = await room.organisations.organisations()
    return sum([await room.studies.waiting(each.identifier, MAX_COUNTED) for each in found])
