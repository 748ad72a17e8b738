"""The HTTP client's processes: what an origin could do with one that it has taken over, or killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailveil.adapters.egress import EgressGuard
from mailveil.adapters.fetcher import FetchOutcome
from mailveil.adapters.frames import LENGTHS, encode_frame
from mailveil.adapters.httpclient import ClientProcess, HttpRequest, LostError
from mailveil.core.references.types import Media
from origin_room import GIF, LOOPBACK, Names, answer, fetching

URL = "http://news.example.com/x"


async def silence(_path: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def until(condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def test_a_process_killed_over_a_request_loses_it_for_good_and_no_other() -> None:
    async def work() -> None:
        async with fetching(silence) as (fetcher, origin, _names):
            hanging = asyncio.create_task(fetcher.fetch(URL, Media.IMAGE))
            await until(lambda: origin.requests)
            (process,) = fetcher.client.processes
            os.kill(process.child.pid, signal.SIGKILL)
            fetched = await hanging
            assert fetched.outcome is FetchOutcome.LOST
            assert not fetched.sent_nothing, "so it is never asked again"
            assert fetched.hops[0].sent_bytes > 0
            assert len(origin.requests) == 1
            origin.handler = answer(GIF)
            assert (await fetcher.fetch("http://news.example.com/next", Media.IMAGE)).body == GIF
            assert len(origin.requests) == 2

    asyncio.run(work())


def test_a_process_killed_before_it_connects_has_sent_nothing() -> None:
    async def work() -> None:
        async with fetching(silence) as (fetcher, origin, names):
            looked_up = asyncio.Event()

            async def never(name, timeout_s, dial=None, exit_name=""):  # type: ignore[no-untyped-def]
                looked_up.set()
                await asyncio.sleep(3600)

            names.look_up = never  # type: ignore[method-assign]
            hanging = asyncio.create_task(fetcher.fetch(URL, Media.IMAGE))
            async with asyncio.timeout(30):
                await looked_up.wait()
            os.kill(fetcher.client.processes[0].child.pid, signal.SIGKILL)
            fetched = await hanging
            assert fetched.outcome is FetchOutcome.UNREACHABLE
            assert fetched.sent_nothing
            assert origin.requests == []

    asyncio.run(work())


def test_a_process_is_replaced_after_so_many_requests() -> None:
    async def work() -> None:
        async with fetching(answer(GIF)) as (fetcher, _origin, _names):
            fetcher.client.max_requests = 2
            seen = set()
            for number in range(5):
                await fetcher.fetch(f"{URL}{number}", Media.IMAGE)
                seen |= {each.child.pid for each in fetcher.client.processes}
            assert len(seen) >= 2
            assert len(fetcher.client.processes) <= 1

    asyncio.run(work())


def test_many_requests_share_few_processes_and_one_that_hangs_delays_no_other() -> None:
    async def handle(path: str, writer: asyncio.StreamWriter) -> None:
        await (silence if path.startswith("/slow") else answer(GIF))(path, writer)

    async def work() -> None:
        async with fetching(handle, timeout_s=60, answer_s=60) as (fetcher, origin, _names):
            fetcher.guard.limits = type(fetcher.guard.limits)(max_per_address=100, total_timeout_s=60)
            slow = [
                asyncio.create_task(fetcher.fetch(f"http://news.example.com/slow{number}", Media.IMAGE))
                for number in range(40)
            ]
            await until(lambda: len(origin.requests) == 40)
            assert len(fetcher.client.processes) == 2, "32 requests in each"
            assert (await fetcher.fetch("http://news.example.com/fast", Media.IMAGE)).body == GIF
            assert not any(task.done() for task in slow)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(work())


def socks_request(token: bytes, host: bytes, port: int) -> bytes:
    place = b"\x05\x01\x00\x03" + bytes((len(host),)) + host + port.to_bytes(2, "big")
    return b"\x05\x01\x02\x01" + bytes((len(token),)) + token + b"\x01-" + place


@pytest.mark.parametrize(
    ("host", "port", "times"),
    [
        (b"elsewhere.example.com", 80, 1),
        (b"news.example.com", 443, 1),
        (b"127.0.0.1", 80, 1),
        (b"news.example.com", 80, 2),
    ],
)
def test_a_permit_is_for_one_connection_to_one_place(host: bytes, port: int, times: int) -> None:
    async def work() -> None:
        book = {"news.example.com": ["127.0.0.1"], "elsewhere.example.com": ["127.0.0.1"]}
        async with fetching(silence, book) as (fetcher, origin, _names):
            guard: EgressGuard = fetcher.guard
            permit = guard.permit(guard.embark("news.example.com"), "news.example.com", 80)
            for number in range(times):
                reader, writer = await asyncio.open_unix_connection(str(guard.path))
                writer.write(socks_request(permit.token.encode(), host, port))
                await reader.readexactly(4)  # method, and that the permit was taken note of
                code = (await reader.readexactly(10))[1]
                assert code == (0 if number + 1 < times else 2)
                writer.transport.abort()
            assert origin.requests == []

    asyncio.run(work())


@pytest.mark.parametrize(
    "opening", [b"", b"\x04\x01", b"\x05\x01\x00", b"\x05\x01\x02\x01\x03abc", b"\xff" * 5000]
)
def test_the_guard_takes_no_nonsense(opening: bytes) -> None:
    async def work() -> None:
        async with EgressGuard(Names({}), extra_allowed=[(LOOPBACK, 80)]) as guard:
            reader, writer = await asyncio.open_unix_connection(str(guard.path))
            writer.write(opening)
            with contextlib.suppress(OSError):
                writer.write_eof()
            with contextlib.suppress(OSError):
                assert b"\x05\x00\x00" not in await reader.read(100)
            writer.transport.abort()

    asyncio.run(work())


CONFINED = """
import encodings.idna, os, socket, sys
from mailveil.adapters.confinement import bound, leave_files, leave_network
apart = leave_network() and leave_files(sys.argv[1])
if not apart:
    print("not-allowed")
    sys.exit()
bound(1 << 30)
print(sorted(os.listdir("/")))
for family, place in ((socket.AF_INET, ("127.0.0.1", int(sys.argv[2]))), (socket.AF_INET, ("8.8.8.8", 53))):
    try:
        socket.create_connection(place, 2)
        print("reached")
    except OSError:
        print("nobody")
try:
    open("/etc/passwd")
except OSError:
    print("no-file")
way = socket.socket(socket.AF_UNIX)
way.connect("/s")
print("guard")
"""


def test_a_process_taken_over_has_no_network_no_files_and_one_way_out(tmp_path: Path) -> None:
    async def work() -> None:
        async with fetching(answer(GIF)) as (fetcher, origin, _names):
            await fetcher.fetch(URL, Media.IMAGE)  # puts the authorities beside the socket
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CONFINED, str(fetcher.guard.path.parent), str(origin.port),
                stdout=subprocess.PIPE,
            )  # fmt: skip
            said = (await child.communicate())[0].decode().split("\n")
            if said[0] == "not-allowed":
                pytest.skip("this kernel allows no namespaces")
            assert said[:-1] == ["['ca.pem', 's']", "nobody", "nobody", "no-file", "guard"]
            assert fetcher.client.is_apart is True
            assert len(origin.requests) == 1

    asyncio.run(work())


FAKE = "import sys, time; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1])); sys.stdout.flush(); time.sleep(600)"
FAIR = {
    "id": 1, "status": 200, "code": 0, "cut": "", "http": "2", "fields": [], "seconds": 0.1, "encoded_bytes": 1,
    "size_bytes": 1, "profile": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "frame",
    [
        LENGTHS.pack(1 << 29, 0),
        LENGTHS.pack(2, 64 << 20) + b"{}",
        encode_frame({**FAIR, "status": float("inf")}),
        encode_frame({**FAIR, "id": [1]}),
        encode_frame({**FAIR, "fields": 7}),
        encode_frame(FAIR, b"x" * 1025),
    ],
)
def test_a_process_that_answers_nonsense_is_lost_at_once(frame: bytes) -> None:
    """Nor may it have us hold more than an answer can be."""

    async def work() -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FAKE, frame.hex(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process = ClientProcess(child)
        asking = asyncio.create_task(
            process.request(HttpRequest(URL, "permit", (), "identity", "chrome", 60.0, 60.0, max_bytes=1024))
        )
        await asyncio.sleep(0)
        process._listening = asyncio.create_task(process._listen())
        async with asyncio.timeout(60):
            with pytest.raises(LostError):
                await asking
            assert process.is_lost
            await process.close()

    asyncio.run(work())
