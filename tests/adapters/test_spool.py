"""Observations are on disk as soon as they can be, whatever happens to the process, and never in the way of mail.

Setup: spools in a folder of their own; a process that is killed in the middle of writing; files with torn and
senseless lines; a disk without room and a quota that is used up.
Test: what was written is read again by the next process, each record once; what makes no sense is told as such; what
cannot be kept is counted, and nothing ever waits or raises.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from mailveil.adapters import spool as module
from mailveil.adapters.spool import UNKNOWN_END, ObservationSpool, Taken
from mailveil.core.observation import Observation, ObservedReference, observation_identifier

PLENTY = 1 << 30
REFERENCE = ObservedReference(
    "https://t.example/1", "https://t.example/*", "t.example", "t.example", "img-src", "tracker", "copy"
)


def observation(number: int, **fields: object) -> Observation:
    at = 1_000.0 + number
    return Observation(
        observation_identifier(at, f"id-{number}", "default"),
        "default",
        at,
        f"id-{number}",
        references=(REFERENCE,),
        **fields,
    )  # type: ignore[arg-type]


def taken(spool: ObservationSpool, path: Path) -> Taken:
    found = spool.take(path)
    assert found is not None
    return found


def kept(directory: Path) -> list[Observation | None]:
    """Return what the next process finds."""
    spool = ObservationSpool(directory, PLENTY)
    found: list[Observation | None] = []
    for path in spool.segments():
        segment = taken(spool, path)
        found += [each.observation for each in segment.records]
        spool.finish(path)
        segment.let_go()
    spool.close()
    return found


def test_what_is_noted_is_found_again_in_order(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path / "observations", PLENTY)
    noted = [observation(number) for number in range(300)]
    for each in noted:
        spool.note(each)
    spool.close()
    assert (tmp_path / "observations").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "observations").iterdir())
    assert kept(tmp_path / "observations") == noted
    assert list((tmp_path / "observations").iterdir()) == []


WRITER = """
import sys, time
from pathlib import Path
from mailveil.adapters.spool import ObservationSpool
from mailveil.core.observation import Observation
spool = ObservationSpool(Path(sys.argv[1]), 1 << 30)
for number in range(1_000_000):
    spool.note(Observation(f"{number:032x}", "default", float(number), str(number)))
    if number % 100 == 0:
        time.sleep(0.001)
        print(number, flush=True)
"""


def test_a_process_that_is_killed_leaves_what_it_has_written(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 3_000:
            assert writer.poll() is None
        assert ObservationSpool(tmp_path, PLENTY).segments() == [], "a process that lives keeps its segment"
        writer.kill()
        writer.wait()
    found = kept(tmp_path)
    whole = [each for each in found if each is not None]
    assert len(whole) >= 100
    assert len(found) - len(whole) <= 1, "the last line may be torn, no other"
    assert [each.at for each in whole] == [float(number) for number in range(len(whole))]


def test_a_message_that_was_being_delivered_is_on_record_after_a_crash(tmp_path: Path) -> None:
    source = (
        WRITER.partition("for number")[0]
        + """
begun = [Observation(f"{number:032x}", "default", float(number), str(number), delivered=False) for number in range(4)]
for each in begun:
    spool.begin(each)
spool.note(begun[0])
while spool._waiting.qsize():
    time.sleep(0.01)
spool.seal()
spool.note(begun[1])
spool.note(Observation("f" * 32, "default", 9.0, "9"))
while not any(b"f" * 32 in path.read_bytes() for path in Path(sys.argv[1]).iterdir()):
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(3600)
"""
    )
    with subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.kill()
        writer.wait()
    found = {int(each.at): each for each in kept(tmp_path) if each is not None}
    assert sorted(found) == [0, 1, 2, 3, 9]
    assert found[1].reply == found[0].reply == ""
    assert found[2].reply == found[3].reply == UNKNOWN_END


def test_what_was_begun_is_no_record_of_its_own(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path, PLENTY)
    spool.begin(observation(1, delivered=False))
    spool.begin(observation(2, delivered=False))
    spool.note(observation(1))
    spool.close()
    assert kept(tmp_path) == [observation(1)]


def test_torn_and_senseless_lines_are_told_from_the_rest(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path, PLENTY)
    for number in range(3):
        spool.note(observation(number))
    spool.close()
    (path,) = spool.segments()
    first, second, third = path.read_bytes().splitlines()
    other = second[:40] + b"X" + second[41:]
    path.write_bytes(b"\n".join((first, b"\xff\x00 garbage", other, b"deadbeef {}", third[:-20])))
    found = kept(tmp_path)
    assert found == [observation(0), None, None, None, None]


def test_a_segment_is_read_by_one_process_at_a_time(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path, PLENTY)
    spool.note(observation(1))
    spool.close()
    (path,) = spool.segments()
    first = taken(spool, path)
    assert spool.take(path) is None
    first.let_go()
    taken(spool, path).let_go()
    spool.finish(path)
    assert spool.take(path) is None


def test_a_used_up_quota_drops_the_newest_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailveil")
    spool = ObservationSpool(tmp_path, 100_000)
    for number in range(1_000):
        spool.note(observation(number, subject="private words"))
        while spool._waiting.qsize() > 100:
            time.sleep(0.001)
    spool.close()
    found = kept(tmp_path)
    assert found[0] == observation(0, subject="private words")
    assert 0 < len(found) < 1_000
    assert spool.dropped == 1_000 - len(found)
    assert caplog.text.count("spool_max_bytes is used up") == 1, "at most one warning a minute"
    assert "private" not in caplog.text


def test_a_folder_that_cannot_be_written_is_in_nobodys_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailveil")
    (tmp_path / "file").write_text("no folder")
    spool = ObservationSpool(tmp_path / "file" / "observations", PLENTY)
    started = time.perf_counter()
    for number in range(20_000):
        spool.note(observation(number))
    assert time.perf_counter() - started < 5, "nothing waits for a disk"
    spool.close()
    assert spool.dropped == 20_000
    assert spool.segments() == []
    assert caplog.text.count("missing on record") == 1


def test_a_disk_without_room_costs_records_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailveil")
    spool = ObservationSpool(tmp_path, PLENTY)
    write, state = os.write, {"full": True}

    def no_room(descriptor: int, data: bytes) -> int:
        if state["full"]:
            write(descriptor, bytes(data[:10]))
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(module.os, "write", no_room)
    spool.note(observation(1))
    while not spool.dropped:
        time.sleep(0.001)
    state["full"] = False
    spool.note(observation(2))
    spool.close()
    assert [each for each in kept(tmp_path) if each is not None] == [observation(2)]
    assert "No space left" in caplog.text


def test_what_is_set_aside_takes_a_tenth_of_the_room_at_most(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path, 200_000)
    for number in range(100):
        spool.note(observation(number))
    spool.close()
    for path in spool.segments():
        segment = taken(spool, path)
        for _ in range(10):
            spool.refuse(path, segment.records[:10])
        segment.let_go()
        assert 0 < path.with_suffix(".refused").stat().st_size <= 20_000
    assert spool.dropped > 0


def test_a_record_counts_however_large_a_stranger_makes_it(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path, PLENTY)
    wide = replace(REFERENCE, url="\N{PILE OF POO}" * 2_000, template="\N{PILE OF POO}" * 2_000)
    large = replace(observation(1), references=(wide,) * 200)
    for each in (observation(0), large, observation(2)):
        spool.note(each)
    spool.close()
    assert kept(tmp_path) == [observation(0), large, observation(2)]


def test_what_is_being_delivered_crowds_out_nothing_that_has_been(tmp_path: Path) -> None:
    spool = ObservationSpool(tmp_path, PLENTY)
    for number in range(24):
        spool.begin(observation(number, subject="x" * 700_000))
    for number in range(100, 105):
        spool.note(observation(number))
    spool.close()
    found = [each for each in kept(tmp_path) if each is not None and each.subject == ""]
    assert found == [observation(number) for number in range(100, 105)]


@pytest.mark.parametrize(
    "record",
    [
        '{"a":' * 60_000 + "1" + "}" * 60_000,
        '{"identifier":{"x":1},"organisation":"default","at":1,"log_identifier":"x"}',
        '{"identifier":["x"],"organisation":"default","at":1,"log_identifier":"x"}',
        '{"identifier":"x","organisation":7,"at":1,"log_identifier":"x"}',
        '{"identifier":"x","organisation":"default","at":"1","log_identifier":"x"}',
        '{"identifier":"x","organisation":"default","at":1,"log_identifier":"x","references":[[1]]}',
        "[" * 100,
        "7",
        "1" * 9_999,
    ],
)
def test_a_line_of_somebody_else_is_told_from_the_rest(tmp_path: Path, record: str) -> None:
    raw = b"=" + record.encode()
    good = ObservationSpool(tmp_path, PLENTY)
    good.note(observation(1))
    good.close()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(raw), raw))
    assert kept(tmp_path) == [observation(1), None]


def test_what_was_set_aside_goes_when_its_days_are_over(tmp_path: Path) -> None:
    old, young = tmp_path / "1.refused", tmp_path / "2.refused"
    for path, days in ((old, 8), (young, 6)):
        path.write_bytes(b"somebody")
        os.utime(path, (0, time.time() - days * 86_400))
    for days, left in ((0, [old, young]), (7, [young])):
        spool = ObservationSpool(tmp_path, PLENTY, refused_days=days)
        assert spool.segments() == []
        spool.close()
        assert sorted(tmp_path.iterdir()) == left
