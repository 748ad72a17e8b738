"""One worker process as its parent sees it: jobs go in, answers come out, and every wait has an end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from mailveil.adapters.frames import LENGTHS, FrameError, encode_frame, parse_header, parse_lengths
from mailveil.core.policy import Envelope, MessagePolicy
from mailveil.core.references.types import Media
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.core.verdicts.record import parse_verdict
from mailveil.core.verdicts.types import Verdict
from mailveil.ports import WantedCopy

PIPE_BYTES = 1024 * 1024
START_TIMEOUT_S = 60
# -P: the current directory may hold modules that a stranger put there.
WORKER_COMMAND = (sys.executable, "-P", "-m", "mailveil.adapters.worker")
# Reports of a message may be larger than the message, but not without end.
MAX_ANSWER_BYTES = 256 * 1024 * 1024

Tag = TypeVar("Tag")


class FailureReason(StrEnum):
    """Why a message has no answer."""

    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    OUT_OF_MEMORY = "out-of-memory"
    ENGINE_ERROR = "engine-error"
    NOT_STARTED = "not-started"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that could not be examined, as a value. ``detail`` never quotes the message."""

    reason: FailureReason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker made of a message: the message to deliver and what ``scan --json`` reports of it."""

    raw: bytes
    changed: bool
    record: Mapping[str, Any]
    wanted: tuple[WantedCopy, ...]
    keep_original: bool
    unsigned: tuple[str, ...]
    inert_parts: tuple[str, ...]
    reasons: tuple[str, ...] = ()  # why the original is to be kept, in words
    judged: tuple[tuple[Verdict, str], ...] = ()  # of each reference, with the token of its copy
    monitored: bool = False  # policy wanted a report only
    banner: bool = False  # readers find a notice in it


@dataclass(frozen=True, slots=True)
class Job(Generic[Tag]):
    """A message to examine; ``tag`` is the caller's own.

    Without ``deliver`` only the report is wanted, without ``in_full`` only a summary of that; with ``labelled`` the
    message has pictures that say what stood there.
    """

    raw: bytes
    tag: Tag
    path: str = ""
    envelope: Envelope | None = None
    deliver: bool = True
    in_full: bool = True
    copies: Mapping[str, EmbeddedCopy] = field(default_factory=dict)
    policy: MessagePolicy | None = None
    labelled: bool = False


class LostError(Exception):
    """The worker process is of no more use."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class WorkerProcess:
    """One worker process, as its thread sees it. Every wait has an end."""

    def __init__(self, command: Sequence[str], max_bytes: int, timeout_s: float) -> None:
        bounds = (str(os.getpid()), str(max_bytes), str(int(timeout_s) + 1))
        self._process = subprocess.Popen(
            [*command, *bounds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        for pipe in (self._requests, self._answers):
            os.set_blocking(pipe, False)
            with contextlib.suppress(OSError):  # only makes it faster
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._received = bytearray()

    @property
    def identifier(self) -> int:
        """The number by which the system knows it."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def greet(self, settings: bytes) -> None:
        """Hand over the settings and wait until the engine is loaded."""
        deadline = time.monotonic() + START_TIMEOUT_S
        self._write(encode_frame({}, settings), deadline)
        self._read_frame(MAX_ANSWER_BYTES, deadline)

    def send(self, jobs: Sequence[Job[Any]], timeout_s: float) -> None:
        """Send a batch; the worker reads all of it before it answers, so neither waits for the other."""
        frames = [encode_frame({"jobs": len(jobs)})]
        for job in jobs:
            copies = [
                [token, copy.content_id, copy.media_type, len(copy.data)]
                for token, copy in job.copies.items()
            ]
            header = {
                "path": job.path,
                "envelope": None if job.envelope is None else asdict(job.envelope),
                "deliver": job.deliver,
                "in_full": job.in_full,
                "labelled": job.labelled,
                "copies": copies,
                "policy": None if job.policy is None else job.policy.record(),
            }
            frames.append(
                encode_frame(header, b"".join((job.raw, *(copy.data for copy in job.copies.values()))))
            )
        self._write(b"".join(frames), time.monotonic() + timeout_s)

    def receive(self, job: Job[Any], timeout_s: float) -> Answer | Failure:
        """Wait for the answer to the job that is next in order; raise LostError if it does not come."""
        header, body = self._read_frame(MAX_ANSWER_BYTES + 4 * len(job.raw), time.monotonic() + timeout_s)
        try:
            return _read_answer(header, body, job)
        except (KeyError, TypeError, ValueError) as error:
            raise LostError(Failure(FailureReason.CRASHED, "an answer that makes no sense")) from error

    def kill(self) -> None:
        """End it now; whoever waits for it finds out."""
        self._process.kill()

    def end(self) -> None:
        """End it and let go of everything."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._requests, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._requests, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._lost() from None

    def _read_frame(self, max_bytes: int, deadline: float) -> tuple[dict[str, Any], bytes]:
        try:
            header_bytes, body_bytes = parse_lengths(self._read(LENGTHS.size, deadline), max_bytes)
            return parse_header(self._read(header_bytes, deadline)), self._read(body_bytes, deadline)
        except FrameError as error:
            raise LostError(Failure(FailureReason.CRASHED, str(error))) from error

    def _read(self, count: int, deadline: float) -> bytes:
        received = self._received
        while len(received) < count:
            self._wait(self._answers, select.POLLIN, deadline)
            try:
                piece = os.read(self._answers, PIPE_BYTES)
            except BlockingIOError:
                continue
            if not piece:
                raise self._lost()
            received += piece
        taken = bytes(received[:count])
        del received[:count]
        return taken

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise LostError(Failure(FailureReason.TIMED_OUT))

    def _lost(self) -> LostError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        if code == -signal.SIGXCPU:
            return LostError(Failure(FailureReason.TIMED_OUT))
        died = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        return LostError(Failure(FailureReason.CRASHED, died))


def _read_answer(header: Mapping[str, Any], body: bytes, job: Job[Any]) -> Answer | Failure:
    if not header["ok"]:
        return Failure(FailureReason(header["reason"]), str(header["detail"]))
    changed = bool(header["changed"])
    return Answer(
        raw=body if changed else job.raw,
        changed=changed,
        record=header["record"],
        wanted=tuple(
            WantedCopy(
                token, url, Media(media), may_fetch, width, height, header["links"] if may_fetch else ""
            )
            for token, url, media, may_fetch, width, height in header["wanted"]
        ),
        keep_original=bool(header["keep_original"]),
        unsigned=tuple(header["unsigned"]),
        inert_parts=tuple(header["inert_parts"]),
        reasons=tuple(str(reason) for reason in header["reasons"]),
        judged=_judged(header["judged"]),
        monitored=bool(header["monitored"]),
        banner=bool(header["banner"]),
    )


def _judged(told: Mapping[str, Any]) -> tuple[tuple[Verdict, str], ...]:
    verdicts = [parse_verdict(each) for each in told["verdicts"]]
    return tuple(
        (verdicts[number], str(token)) for number, token in zip(told["numbers"], told["tokens"], strict=True)
    )
