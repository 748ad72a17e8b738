"""Recording: takes observations from the spool to the database, in order, each at least once; mail does not wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailveil.adapters.spool import ObservationSpool, Spooled
from mailveil.core.observation import Observation
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.records")
# What comes within so long goes to the database together: one by one would take it as long as twenty at once.
TOGETHER_S = 0.2
BATCH = 100
IDLE_S = 10.0  # how often what other processes left behind is looked for
RETRY_S = (0.5, 30.0)  # the first pause and the longest, while the database is away
# So often is a segment refused as a whole before its records are tried one by one.
PATIENCE = 5
FINISH_S = 5.0
MAX_REST_S = 0.5


class Sink(Protocol):
    """What writes observations down (control.stores.ObservationStore)."""

    async def add(self, observations: Sequence[Observation]) -> int:
        """Write observations down; what is there already is left as it is. Raises ``UnavailableError``."""
        ...


@dataclass(slots=True)
class _Progress:
    """How far a segment has been written down: the identifiers of its records, and those that are to be set aside."""

    done: set[str] = field(default_factory=set)
    bad: list[Spooled] = field(default_factory=list)

    def left(self, records: Sequence[Spooled]) -> list[Spooled]:
        return [each for each in records if each.observation is not None and _name(each) not in self.done]

    def set_aside(self, record: Spooled) -> None:
        self.done.add(_name(record))
        self.bad.append(record)


class RecordLoop:
    """Drains the spool. What the database cannot take though it answers is set aside: nothing waits behind it."""

    def __init__(self, spool: ObservationSpool, sink: Sink) -> None:
        self._spool = spool
        self._sink = sink
        self._news = asyncio.Event()
        self._is_stopping = False
        self._failures = 0
        self._progress: dict[Path, _Progress] = {}  # of segments that are not finished yet
        self._suspects: set[str] = set()
        self._known: Spooled | None = None  # what the database took last, and would take again
        self._task: asyncio.Task[None] | None = None
        self.problem = ""  # why nothing can be written now, "" where it can

    def start(self) -> None:
        """Begin, with what was left behind before."""
        loop = asyncio.get_running_loop()

        def told() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._news.set)

        self._spool.tell(told)
        self._task = loop.create_task(self._run())

    async def finish(self) -> None:
        """Write down what there is if that can be done soon, and stop; the rest waits in its files."""
        self._is_stopping = True
        self._news.set()
        try:
            async with asyncio.timeout(FINISH_S):
                if self._task is not None:
                    await self._task
                await self.drain()
        except (TimeoutError, UnavailableError) as error:
            log.warning(
                "observations wait in %s for the next start: %s", self._spool.directory, error or "no time"
            )

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self.drain()
            except UnavailableError as error:
                self._failures += 1
                if str(error) != self.problem:
                    self.problem = str(error)
                    log.warning(
                        "observations wait in %s: %s; mail is not affected", self._spool.directory, error
                    )
            except Exception:  # whatever it is, records wait and mail does not
                log.exception("observations wait in %s", self._spool.directory)
                self._failures += 1
            else:
                if self.problem:
                    log.warning("observations are written again")
                self.problem, self._failures = "", 0
            await self._wait()

    async def drain(self) -> None:
        """Write down all that is in the spool. Raises ``UnavailableError`` where some of it has to wait."""
        await asyncio.to_thread(self._spool.seal)
        segments = await asyncio.to_thread(self._spool.segments)
        for number, path in enumerate(segments):
            taken = await asyncio.to_thread(self._spool.take, path)
            if taken is None:
                continue
            try:
                progress = self._progress.setdefault(path, _Progress())
                await self._write(taken.records, progress, segments[number + 1 :])
                bad = [*progress.bad, *(each for each in taken.records if each.observation is None)]
                if bad:
                    await asyncio.to_thread(self._spool.refuse, path, bad)
                await asyncio.to_thread(self._spool.finish, path)
                del self._progress[path]
                self._suspects.clear()
            finally:
                taken.let_go()

    async def _write(
        self, records: Sequence[Spooled], progress: _Progress, following: Sequence[Path]
    ) -> None:
        """Write a segment down. Raises ``UnavailableError`` where some of it has to wait."""
        left = progress.left(records)
        try:
            for start in range(0, len(left), BATCH):
                await self._add(left[start : start + BATCH], progress)
        except UnavailableError:
            # Time and again the same: either nothing can be written, or something in here cannot.
            if self._failures < PATIENCE:
                raise
            await self._try_each(progress.left(records), progress, following)

    async def _add(self, batch: Sequence[Spooled], progress: _Progress) -> None:
        """Write a batch down, what nobody can make use of aside. Raises ``UnavailableError``."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await self._sink.add([each.observation for each in batch if each.observation is not None])
        except UnavailableError:
            raise
        except Exception as error:
            if len(batch) == 1:
                log.error("observation %s is refused: %s", _name(batch[0]), type(error).__name__)
                progress.set_aside(batch[0])
                return
            for each in batch:
                await self._add([each], progress)
            return
        progress.done.update(map(_name, batch))
        self._known = batch[-1]
        # A backlog is written while mail goes on: it has the processor for as long as we had.
        await asyncio.sleep(0 if self._is_stopping else min(MAX_REST_S, loop.time() - started))

    async def _try_each(
        self, left: Sequence[Spooled], progress: _Progress, following: Sequence[Path]
    ) -> None:
        """Write records down one by one, and set aside what cannot be, twice, while others can.

        Raises ``UnavailableError`` where nothing can be written at all, or what could not shall be tried once more.
        """
        last: UnavailableError | None = None
        for number, each in enumerate(left):
            try:
                await self._add([each], progress)
            except UnavailableError as error:
                if not await self._does_answer(left[number + 1 :], progress, following):
                    raise
                if _name(each) not in self._suspects:
                    self._suspects.add(_name(each))
                    last = error
                    continue
                log.error("observation %s cannot be written, though others can: %s", _name(each), error)
                progress.set_aside(each)
        if last is not None:
            raise last

    async def _does_answer(
        self, others: Sequence[Spooled], progress: _Progress, following: Sequence[Path]
    ) -> bool:
        """Tell whether anything can be written: what has been before, or what comes next."""
        if self._known is not None:
            return await self._can_add(self._known, _Progress())
        for each in others[:PATIENCE]:
            if await self._can_add(each, progress):
                return True
        for path in following[:1]:
            taken = await asyncio.to_thread(self._spool.take, path)
            if taken is None:
                continue
            ahead = self._progress.setdefault(path, _Progress())
            try:
                for each in ahead.left(taken.records)[:PATIENCE]:
                    if await self._can_add(each, ahead):
                        return True
            finally:
                taken.let_go()
        return False

    async def _can_add(self, record: Spooled, progress: _Progress) -> bool:
        try:
            await self._add([record], progress)
        except UnavailableError:
            return False
        return True

    async def _wait(self) -> None:
        if self._failures:
            await self._pause(min(RETRY_S[1], RETRY_S[0] * 2 ** min(self._failures - 1, 10)))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await self._news.wait()
        self._news.clear()
        await self._pause(TOGETHER_S)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or less where it is time to stop."""
        end = asyncio.get_running_loop().time() + seconds
        while not self._is_stopping and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.2))


def _name(record: Spooled) -> str:
    return record.observation.identifier if record.observation is not None else ""
