"""The worker pool: messages are parsed in processes of their own; a crash costs one message one retry."""

from __future__ import annotations

import asyncio
import pickle
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import zip_longest
from types import TracebackType
from typing import Any

from mailveil.adapters.workerprocess import (
    WORKER_COMMAND,
    Answer,
    Failure,
    FailureReason,
    Job,
    LostError,
    Tag,
    WorkerProcess,
)
from mailveil.core.observation import facts_from, observed
from mailveil.core.policy import Envelope, MessagePolicy
from mailveil.core.protection import EngineSettings
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.ports import EngineError, Examination, Judged, Protected, UnavailableError

ATTEMPTS = 2
BATCH_JOBS = 32
BATCH_BYTES = 1024 * 1024
WINDOW_BYTES = 64 * 1024 * 1024
NOBODYS_FAULT = frozenset({FailureReason.CLOSED, FailureReason.NOT_STARTED})  # no message is to blame


class WorkerError(EngineError):
    """A message could not be examined; it must not be delivered now."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


@dataclass(slots=True)
class _Task:
    job: Job[Any]
    future: Future[Answer | Failure]
    attempts: int = 0


class WorkerPool:
    """Worker processes, each started when first needed, and one thread of this process for each of them.

    Implements ``ports.Engine``. ``timeout_s`` is for one message, ``max_bytes`` the memory of one process.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        processes: int = 1,
        max_bytes: int = 2 << 30,
        timeout_s: float = 60,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._command = command
        self._settings = pickle.dumps(settings)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._closed = False
        self._aborted = threading.Event()
        self._running: set[WorkerProcess] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(max(1, processes))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)

    @property
    def identifiers(self) -> frozenset[int]:
        """The process numbers of the workers that have been started."""
        return frozenset(process.identifier for process in tuple(self._running))

    def submit(self, job: Job[Any]) -> Future[Answer | Failure]:
        """Queue a message; the future gets an answer or a failure, never an exception."""
        future: Future[Answer | Failure] = Future()
        if self._closed:
            future.set_result(Failure(FailureReason.CLOSED))
        else:
            self._tasks.put(_Task(job, future))
        return future

    def map(self, jobs: Iterable[Job[Tag]]) -> Iterator[tuple[Job[Tag], Answer | Failure]]:
        """Answer jobs in their order, reading only as far ahead as keeps every worker busy."""
        waiting: deque[tuple[Job[Tag], Future[Answer | Failure]]] = deque()
        waiting_bytes = 0
        most = 4 * BATCH_JOBS * len(self._threads)
        for job in jobs:
            waiting.append((job, self.submit(job)))
            waiting_bytes += len(job.raw)
            while len(waiting) > most or waiting_bytes > WINDOW_BYTES or (waiting and waiting[0][1].done()):
                done, future = waiting.popleft()
                waiting_bytes -= len(done.raw)
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()

    async def examine(self, raw: bytes, *, clean: bool = False, labelled: bool = False) -> Examination:
        """Return the full report of a message, and with ``clean`` the message made silent, ``labelled`` if wanted.

        Raises WorkerError where it cannot be examined, UnavailableError where no message could be now.
        """
        answer = await self._answer(Job(raw, None, deliver=clean, labelled=labelled))
        return Examination(answer.record, answer.raw if clean else b"", clean and answer.changed)

    async def protect(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy] | None = None,
        policy: MessagePolicy | None = None,
    ) -> Protected:
        """Return the message without remote references, as ``policy`` has it.

        Raises WorkerError where it cannot be examined, UnavailableError where no message could be now.
        """
        job = Job(raw, None, envelope=envelope, in_full=False, copies=copies or {}, policy=policy)
        result = await self._answer(job)
        references = result.record["references"]
        judged = tuple(
            Judged(each["url"], verdict, token)
            for each, (verdict, token) in zip(references, result.judged, strict=False)
        )
        return Protected(
            raw=result.raw,
            wanted=result.wanted,
            found=tuple(
                observed(each, *(known[1:] if known else ()))
                for each, known in zip_longest(references, judged)
            ),
            facts=facts_from(result.record["facts"]),
            defects=tuple(result.record["defects"]),
            keep_original=result.keep_original,
            reasons=result.reasons,
            judged=judged,
            message_id=result.record["message_id"],
            subject=result.record["subject"],
            monitored=result.monitored,
            banner=result.banner,
        )

    async def _answer(self, job: Job[None]) -> Answer:
        result = await asyncio.wrap_future(self.submit(job))
        if isinstance(result, Failure):
            if result.reason in NOBODYS_FAULT:
                raise UnavailableError(str(result))
            raise WorkerError(result)
        return result

    def close(self, *, at_once: bool = False) -> None:
        """End all workers, once what is queued is done or ``at_once``. May be called more than once.

        What is then left gets a failure.
        """
        self._closed = True
        if at_once:
            self._aborted.set()
            for process in tuple(self._running):
                process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        while (task := self._take()) is not _NOTHING:
            if isinstance(task, _Task) and task.future.set_running_or_notify_cancel():
                task.future.set_result(Failure(FailureReason.CLOSED))

    def _take(self) -> object:
        try:
            return self._tasks.get_nowait()
        except queue.Empty:
            return _NOTHING

    def _work(self) -> None:
        # Each process is started by the thread that serves it: the kernel ends it with the thread, too.
        process: WorkerProcess | None = None
        while (batch := self._next_batch()) is not None:
            groups = deque([batch] if batch else [])
            while groups:
                group = groups.popleft()
                process, left, failure = self._run(process, group)
                if failure is None or not left:
                    continue
                # Answers come in order, so the first one without an answer is the culprit.
                culprit, *others = left
                culprit.attempts += 1
                if others:
                    groups.append(others)
                if culprit.attempts < ATTEMPTS and not self._aborted.is_set():
                    groups.append([culprit])
                else:
                    culprit.future.set_result(failure)
        if process is not None:
            self._running.discard(process)
            process.end()

    def _run(
        self, process: WorkerProcess | None, group: list[_Task]
    ) -> tuple[WorkerProcess | None, list[_Task], Failure | None]:
        """Have a group done; return the process if it lives, the tasks without an answer, and why."""
        if self._aborted.is_set():
            return process, group, Failure(FailureReason.CLOSED)
        left = deque(group)
        try:
            if process is None or not process.is_alive:
                process = self._start(process)
            process.send([task.job for task in group], self._timeout_s)
            while left:
                answer = process.receive(left[0].job, self._timeout_s)
                if isinstance(answer, Failure) and answer.reason is FailureReason.OUT_OF_MEMORY:
                    raise LostError(answer)
                left.popleft().future.set_result(answer)
        except LostError as error:
            failure = error.failure
        except OSError as error:
            failure = Failure(
                FailureReason.NOT_STARTED, f"worker cannot be started or reached: {error.strerror}"
            )
        except Exception as error:  # whatever it is, nobody may wait for ever
            failure = Failure(FailureReason.CRASHED, f"{type(error).__name__} in the pool")
        else:
            return process, [], None
        if process is not None:
            self._running.discard(process)
            process.end()
        return None, list(left), failure

    def _start(self, before: WorkerProcess | None) -> WorkerProcess:
        if before is not None:
            self._running.discard(before)
            before.end()
        process = WorkerProcess(self._command, self._max_bytes, self._timeout_s)
        self._running.add(process)
        try:
            process.greet(self._settings)
        except LostError as error:
            self._running.discard(process)
            process.end()
            raise LostError(Failure(FailureReason.NOT_STARTED, str(error))) from error
        except BaseException:
            self._running.discard(process)
            process.end()
            raise
        return process

    def _next_batch(self) -> list[_Task] | None:
        task = self._tasks.get()
        if task is None:
            return None
        batch: list[_Task] = []
        size = 0
        share = min(BATCH_JOBS, 1 + self._tasks.qsize() // len(self._threads))
        while True:
            if task.future.set_running_or_notify_cancel():
                batch.append(task)
                size += len(task.job.raw)
            following = self._take() if len(batch) < share and size < BATCH_BYTES else _NOTHING
            if following is None:
                self._tasks.put(None)  # it is time to end, but first comes what is at hand
            if not isinstance(following, _Task):
                return batch
            task = following


_NOTHING = object()
