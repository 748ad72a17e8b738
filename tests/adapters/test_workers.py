"""Workers: every message gets its answer or a reason, whatever becomes of the process that parses it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailveil.adapters.frames import LENGTHS, FrameError, encode_frame, parse_header, parse_lengths
from mailveil.adapters.workerprocess import Answer, Failure, FailureReason, Job
from mailveil.adapters.workers import WorkerError, WorkerPool
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings

PIXEL = b"http://tracker.example/open?id=1"
HTML = b'From: a@b.example\nContent-Type: text/html\n\n<img src="%s" width=1 height=1>\n'
FAULTY = (sys.executable, str(Path(__file__).with_name("faulty_worker.py")))


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(EngineSettings(), processes=2) as pool:
        yield pool


@pytest.fixture(scope="module")
def faulty() -> Iterator[WorkerPool]:
    with WorkerPool(EngineSettings(), processes=1, timeout_s=1, command=FAULTY) as pool:
        yield pool


def answer_of(pool: WorkerPool, raw: bytes) -> Answer | Failure:
    return pool.submit(Job(raw, None, "a.eml")).result(timeout=60)


def is_gone(identifier: int) -> bool:
    try:
        return Path(f"/proc/{identifier}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_message_is_protected_in_another_process(pool: WorkerPool) -> None:
    result = answer_of(pool, HTML % PIXEL)
    assert isinstance(result, Answer)
    assert result.changed
    assert PIXEL not in result.raw
    assert result.record["path"] == "a.eml"
    assert [each["url"] for each in result.record["references"]] == [PIXEL.decode()]
    assert os.getpid() not in pool.identifiers
    assert pool.identifiers


def test_nothing_to_do_gives_the_very_same_object(pool: WorkerPool) -> None:
    raw = b"Subject: nothing remote\n\nplain\n"
    result = answer_of(pool, raw)
    assert isinstance(result, Answer)
    assert result.raw is raw
    assert not result.changed


def test_report_alone_carries_no_message(pool: WorkerPool) -> None:
    raw = HTML % PIXEL
    result = pool.submit(Job(raw, None, deliver=False)).result()
    assert isinstance(result, Answer)
    assert not result.changed
    assert result.raw is raw
    assert len(result.record["references"]) == 1


def test_map_keeps_order_and_tags(pool: WorkerPool) -> None:
    # A large one among many small ones would otherwise be overtaken.
    jobs = [Job(HTML % PIXEL + b"x" * (700_000 if n == 3 else n), n) for n in range(400)]
    done = list(pool.map(iter(jobs)))
    assert [job.tag for job, _ in done] == list(range(400))
    assert all(isinstance(result, Answer) and result.record["bytes"] == len(job.raw) for job, result in done)


def test_map_reads_no_further_ahead_than_it_must(pool: WorkerPool) -> None:
    taken = 0

    def jobs() -> Iterator[Job[None]]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield Job(b"Subject: large\n\n" + b"x" * 1_000_000, None, deliver=False)

    results = pool.map(jobs())
    next(results)
    assert taken < 100
    results.close()


def test_protect_for_the_gateway(pool: WorkerPool) -> None:
    done = asyncio.run(pool.protect(HTML % PIXEL, Envelope(recipients=("reader@example.org",))))
    assert PIXEL not in done.raw
    assert [each.vector for each in done.found] == ["img-src"]


def test_examine_reports_as_scan_does_and_cleans_only_where_asked(pool: WorkerPool) -> None:
    raw = HTML % PIXEL
    reported = asyncio.run(pool.examine(raw))
    cleaned = asyncio.run(pool.examine(raw, clean=True))
    assert [each["url"] for each in reported.record["references"]] == [PIXEL.decode()]
    assert reported.record == cleaned.record
    assert reported.raw == b""
    assert cleaned.changed
    assert PIXEL not in cleaned.raw


def test_envelope_reaches_the_policy(pool: WorkerPool) -> None:
    raw = HTML % PIXEL
    assert asyncio.run(pool.protect(raw, Envelope(authenticated=True))).raw is raw


def test_many_at_once_from_an_event_loop(pool: WorkerPool) -> None:
    async def work() -> list[bytes]:
        every = [pool.protect(HTML % PIXEL + b"%d" % n, Envelope()) for n in range(100)]
        return [done.raw for done in await asyncio.gather(*every)]

    assert [raw.rsplit(b"\n", 1)[1] for raw in asyncio.run(work())] == [b"%d" % n for n in range(100)]


def test_crash_costs_one_message(faulty: WorkerPool) -> None:
    raws = [HTML % PIXEL] * 5 + [b"Subject: CRASH\n\n"] + [HTML % PIXEL] * 5
    results = [result for _, result in faulty.map(Job(raw, None) for raw in raws)]
    failures = [result for result in results if isinstance(result, Failure)]
    assert failures == [Failure(FailureReason.CRASHED, "signal SIGSEGV")]
    assert results[5] is failures[0]


def test_crash_is_tried_once_more(faulty: WorkerPool, tmp_path: Path) -> None:
    marker = tmp_path / "crashed"
    result = answer_of(faulty, b"Subject: ONCE %s\n\n" % os.fsencode(marker))
    assert marker.exists()
    assert isinstance(result, Answer)


def test_worker_killed_from_outside_is_replaced(faulty: WorkerPool) -> None:
    assert isinstance(answer_of(faulty, HTML % PIXEL), Answer)
    (before,) = faulty.identifiers
    os.kill(before, signal.SIGKILL)
    assert isinstance(answer_of(faulty, HTML % PIXEL), Answer)
    (after,) = faulty.identifiers
    assert after != before
    assert is_gone(before)


@pytest.mark.parametrize("word", [b"SLEEP", b"SPIN"])
def test_endless_work_is_ended(faulty: WorkerPool, word: bytes) -> None:
    began = time.monotonic()
    assert answer_of(faulty, b"Subject: %s\n\n" % word) == Failure(FailureReason.TIMED_OUT)
    assert time.monotonic() - began < 10
    assert isinstance(answer_of(faulty, HTML % PIXEL), Answer)


def test_memory_is_bounded(faulty: WorkerPool) -> None:
    assert answer_of(faulty, b"Subject: GREEDY\n\n") == Failure(FailureReason.OUT_OF_MEMORY)
    assert isinstance(answer_of(faulty, HTML % PIXEL), Answer)


def test_bug_in_the_engine_costs_no_process_and_tells_nothing_of_the_message(faulty: WorkerPool) -> None:
    assert isinstance(answer_of(faulty, HTML % PIXEL), Answer)
    before = faulty.identifiers
    result = answer_of(faulty, b"Subject: BUG secret\n\n")
    assert isinstance(result, Failure)
    assert result.reason is FailureReason.ENGINE_ERROR
    assert result.detail.startswith("ValueError in protect, ")
    assert "secret" not in str(result)
    assert faulty.identifiers == before


def test_chatter_on_standard_output_is_no_answer(faulty: WorkerPool) -> None:
    assert isinstance(answer_of(faulty, b"Subject: CHATTER\n\n"), Answer)


def test_senseless_answer_is_a_crash(faulty: WorkerPool) -> None:
    assert answer_of(faulty, b"Subject: LIE\n\n") == Failure(
        FailureReason.CRASHED, "an answer that makes no sense"
    )


def test_gateway_gets_an_exception_with_the_reason(faulty: WorkerPool) -> None:
    with pytest.raises(WorkerError, match="crashed: signal SIGSEGV") as caught:
        asyncio.run(faulty.protect(b"Subject: CRASH\n\n", Envelope()))
    assert caught.value.failure.reason is FailureReason.CRASHED


def test_cancelled_message_keeps_nobody_waiting(faulty: WorkerPool) -> None:
    async def work() -> bytes:
        waiting = asyncio.ensure_future(faulty.protect(b"Subject: SLEEP\n\n", Envelope()))
        await asyncio.sleep(0.1)
        waiting.cancel()
        return (await faulty.protect(b"Subject: next\n\n", Envelope())).raw

    assert asyncio.run(work()) == b"Subject: next\n\n"


def test_close_finishes_what_is_queued_and_ends_the_processes() -> None:
    pool = WorkerPool(EngineSettings(), processes=2)
    futures = [pool.submit(Job(HTML % PIXEL, None)) for _ in range(50)]
    futures[0].result()
    identifiers = pool.identifiers
    pool.close()
    assert all(isinstance(future.result(timeout=0), Answer) for future in futures)
    assert identifiers
    assert all(is_gone(each) for each in identifiers)
    assert answer_of(pool, HTML % PIXEL) == Failure(FailureReason.CLOSED)
    pool.close()


def test_close_at_once_waits_for_nothing() -> None:
    pool = WorkerPool(EngineSettings(), processes=1, timeout_s=60, command=FAULTY)
    futures = [pool.submit(Job(b"Subject: SLEEP\n\n", None)) for _ in range(3)]
    while not pool.identifiers:
        time.sleep(0.01)
    began = time.monotonic()
    pool.close(at_once=True)
    assert time.monotonic() - began < 5
    assert all(isinstance(future.result(timeout=0), Failure) for future in futures)


def test_workers_die_with_their_parent() -> None:
    script = (
        "import time; from mailveil.core.protection import EngineSettings;"
        "from mailveil.adapters.workers import WorkerPool; from mailveil.adapters.workerprocess import Job;"
        f"pool = WorkerPool(EngineSettings(), command={FAULTY!r});"
        "pool.submit(Job(b'Subject: a\\n\\n', None)).result();"
        "pool.submit(Job(b'Subject: SLEEP\\n\\n', None));"
        "print(*pool.identifiers, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        worker = int(parent.stdout.readline())
        assert not is_gone(worker)
        parent.kill()
    deadline = time.monotonic() + 5
    while not is_gone(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_gone(worker)


def test_worker_that_cannot_start_is_a_reason() -> None:
    with WorkerPool(EngineSettings(), command=("/nonexistent/python",)) as pool:
        result = answer_of(pool, HTML % PIXEL)
    assert result == Failure(
        FailureReason.NOT_STARTED, "worker cannot be started or reached: No such file or directory"
    )


def test_frames_are_bounded_and_hold_json_objects() -> None:
    frame = encode_frame({"a": "\udcff€"}, b"body")
    lengths = parse_lengths(frame[: LENGTHS.size], 1000)
    assert lengths == (len(frame) - LENGTHS.size - 4, 4)
    assert parse_header(frame[LENGTHS.size : -4]) == {"a": "\udcff€"}
    with pytest.raises(FrameError, match="more than can be right"):
        parse_lengths(LENGTHS.pack(10, 1 << 60), 1000)
    for wrong in (b"[]", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(FrameError):
            parse_header(wrong)
