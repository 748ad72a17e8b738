"""JSON lines in a file that may be moved away, cut off or stand in the way."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mailveil.adapters.publishing import jsonlines
from mailveil.adapters.publishing.jsonlines import JsonLinesPublisher
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.sharing.plain import encode_plain
from mailveil.core.sharing.types import EventKind, SharedEvent, TrafficLight
from mailveil.ports import DeliveryError
from sharing_room import maker
from stix_values import ACTIVITY

EVENT = SharedEvent("e1", 1, 1.0, EventKind.ACTIVITY_OPENED, "Acme", TrafficLight.AMBER, activity=ACTIVITY)


def events(*numbers: int) -> list[SharedEvent]:
    return [replace(EVENT, number=each, identifier=f"e{each}") for each in numbers]


def numbers(path: Path) -> list[int]:
    return [json.loads(each)["number"] for each in path.read_text("ascii").splitlines()]


def test_each_event_is_a_line_in_the_folder_of_its_organisation(tmp_path: Path) -> None:
    async def steps() -> None:
        made = maker(tmp_path)
        for organisation in ("acme", "other"):
            destination = Destination("d", organisation, "File", DestinationKind.JSON_LINES, "events.jsonl")
            assert await made.objection(destination) == ""
            publisher = made.publisher(destination)
            await publisher.publish(events(1, 2))
            await publisher.publish(events(3))
            await publisher.close()
        path = tmp_path / "shared" / "acme" / "events.jsonl"
        assert numbers(path) == [1, 2, 3]
        assert path.stat().st_mode & 0o777 == 0o640
        assert path.parent.stat().st_mode & 0o007 == 0
        assert numbers(tmp_path / "shared" / "other" / "events.jsonl") == [1, 2, 3]

    asyncio.run(steps())


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    async def steps() -> None:
        path = tmp_path / "events.jsonl"
        publisher = JsonLinesPublisher(path, encode_plain)
        await publisher.publish(events(1))
        path.rename(tmp_path / "events.jsonl.1")
        await publisher.publish(events(2))
        path.unlink()
        await publisher.publish(events(3))
        await publisher.close()
        assert numbers(tmp_path / "events.jsonl.1") == [1]
        assert numbers(path) == [3]

    asyncio.run(steps())


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Have writes beyond a size fail, as those on a full disk do."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    async def steps() -> None:
        path = tmp_path / "events.jsonl"
        publisher = JsonLinesPublisher(path, encode_plain)
        await publisher.publish(events(1))
        with (
            files_no_larger_than(path.stat().st_size + 100),
            pytest.raises(DeliveryError, match=r"events\.jsonl cannot be written: File too large") as caught,
        ):
            await publisher.publish(events(2))
        assert caught.value.is_outage
        await publisher.publish(events(2))
        await publisher.close()
        first, cut, second = path.read_text("ascii").splitlines()
        assert [json.loads(each)["number"] for each in (first, second)] == [1, 2]
        assert len(cut) == 100

    asyncio.run(steps())


def test_nothing_is_written_through_links_into_pipes_or_folders(tmp_path: Path) -> None:
    async def steps() -> None:
        victim = tmp_path / "victim"
        victim.write_text("kept")
        link, pipe, folder = tmp_path / "link", tmp_path / "pipe", tmp_path / "folder"
        link.symlink_to(victim)
        os.mkfifo(pipe)
        folder.mkdir()
        for path in (link, pipe, folder, victim / "below"):
            publisher = JsonLinesPublisher(path, encode_plain)
            with pytest.raises(DeliveryError):
                await publisher.publish(events(1))
            await publisher.close()
        assert victim.read_text() == "kept"

    asyncio.run(steps())


def test_a_disk_that_hangs_holds_up_nobody_and_is_not_written_to_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    writes: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        writes.append(descriptor)
        answers.wait(60)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(jsonlines, "WRITE_S", 0.05)
    monkeypatch.setattr(jsonlines, "CLOSE_S", 0.05)

    async def steps() -> None:
        hanging = [JsonLinesPublisher(tmp_path / f"{each}.jsonl", encode_plain) for each in range(40)]
        try:
            for _ in range(3):
                for each in hanging:
                    with pytest.raises(DeliveryError, match="does not answer"):
                        await each.publish(events(1))
            assert len(writes) == len(hanging)
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(sum, (1, 2)) == 3
            await hanging[0].close()
        finally:
            answers.set()
        monkeypatch.setattr(jsonlines, "WRITE_S", 30.0)
        for each in hanging[1:]:
            await asyncio.to_thread(each._thread.submit(int).result)
            await each.publish(events(2))
            await each.close()
        assert numbers(tmp_path / "1.jsonl") == [1, 2]

    asyncio.run(steps())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_tried_belongs_to_whoever_writes_on(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    path = tmp_path / "shared" / "acme" / "events.jsonl"

    async def steps() -> None:
        publisher = JsonLinesPublisher(path, encode_plain)
        await publisher.publish(events(1))
        await publisher.close()

    asyncio.run(steps())
    assert {(each.stat().st_uid, each.stat().st_gid) for each in (path, *path.parents[:2])} == {
        (12345, 12346)
    }
