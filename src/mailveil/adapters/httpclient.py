"""The HTTP client: processes of its own that speak to hostile origins, can be lost, and have no network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi

from mailveil.adapters.frames import LENGTHS, FrameError, encode_frame, parse_header, parse_lengths

log = logging.getLogger("mailveil.fetcher")
START_TIMEOUT_S = 60.0
GRACE_S = 10.0
MAX_REQUESTS = 400
FRAME_HEADER_BYTES = 4 << 20  # what is kept of an answer's header, each byte as an escape of JSON
MAX_AT_ONCE = 32
# What the children may keep of our environment: how Python finds its modules, and nothing that is anybody's.
ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH")


class LostError(Exception):
    """The process was lost over a request: what the origin saw of it is not known."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. ``permit`` is shown to the guard; ``fields`` are the header fields after Host, in order."""

    url: str
    permit: str
    fields: tuple[str, ...]
    codings: str
    profile: str
    timeout_s: float
    connect_s: float
    max_bytes: int
    max_header_bytes: int = 256 * 1024
    max_ratio: int = 200
    min_bytes_per_s: int = 200
    rate_over_s: int = 4
    answer_s: float = 10.0
    verify: bool = True
    part_bytes: int = 0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came of a request.

    ``code`` is libcurl's (0: all went well), ``cut`` why we ended it (``large``, ``bomb``, ``room``, ``fields``,
    ``drip``, ``stalled``) or ``""``. ``status`` is 0 where no answer came. ``certificate`` is the SHA-256 of
    the one that the origin showed, ``""`` without TLS.
    """

    status: int
    code: int
    cut: str
    http: str
    fields: tuple[tuple[str, str], ...]
    seconds: float
    encoded_bytes: int
    size_bytes: int
    profile: tuple[tuple[float, int], ...]
    body: bytes
    certificate: str = ""


class HttpClient:
    """As many processes as are needed, each with few requests at once, so that a lost one loses few of them.

    Each is replaced after a number of requests: should one have been taken over unnoticed, few others suffer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 2 << 30,
        max_at_once: int = MAX_AT_ONCE,
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        """``folder`` is the guard's, ``max_bytes`` bounds the address space of a process."""
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_at_once = max_at_once
        self.max_requests = max_requests
        self.processes: list[ClientProcess] = []
        self.is_apart: bool | None = None
        self._starting = asyncio.Lock()

    async def request(self, asked: HttpRequest) -> HttpAnswer:
        """Make one request. Raises LostError where the process is lost over it, OSError where none starts."""
        process = await self._process()
        try:
            async with asyncio.timeout(asked.timeout_s + GRACE_S):
                return await process.request(asked)
        except TimeoutError:
            process.kill()  # it does not even keep the time any more
            raise LostError from None
        finally:
            process.at_once -= 1
            if process.served >= self.max_requests and not process.at_once:
                with contextlib.suppress(ValueError):
                    self.processes.remove(process)
                await process.close()

    async def close(self) -> None:
        """End all processes."""
        processes, self.processes = self.processes, []
        for process in processes:
            await process.close()

    async def _process(self) -> ClientProcess:
        async with self._starting:
            self.processes = [each for each in self.processes if not each.is_lost]
            for process in self.processes:
                if process.at_once < self.max_at_once and process.served < self.max_requests:
                    break
            else:
                authorities = self.folder / "ca.pem"
                if not authorities.exists():
                    await asyncio.to_thread(shutil.copyfile, certifi.where(), authorities)
                process = await ClientProcess.start(self.folder, self.max_bytes)
                if self.is_apart is None and not process.is_apart:
                    log.warning(
                        "this kernel allows no namespaces: the HTTP client is confined by limits alone"
                    )
                self.is_apart = process.is_apart
                self.processes.append(process)
            process.at_once += 1
            process.served += 1
            return process


class ClientProcess:
    """One process and the requests that it has in flight."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.at_once = 0
        self.served = 0
        self.is_apart = False
        self.is_lost = False
        self._numbers = itertools.count(1)
        self._most_bytes = 0
        self._waiting: dict[int, asyncio.Future[HttpAnswer]] = {}
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, folder: Path, max_bytes: int) -> ClientProcess:
        """Start a process and wait until it is ready; raise OSError where that fails."""
        command = [sys.executable, "-P", "-m", "mailveil.adapters.httpchild"]
        child = await asyncio.create_subprocess_exec(
            *command,
            str(os.getpid()),
            str(max_bytes),
            str(folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
            env={
                "LANG": "C.UTF-8",
                **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            },
            start_new_session=True,
        )
        process = cls(child)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                header, _body = await process._read(1 << 20)
            process.is_apart = header["apart"] is True
        except (OSError, EOFError, TimeoutError, FrameError, KeyError) as error:
            process.kill()
            await child.wait()
            raise OSError("the HTTP client does not start") from error
        except BaseException:
            process.kill()
            raise
        process._listening = asyncio.create_task(process._listen())
        return process

    async def request(self, asked: HttpRequest) -> HttpAnswer:
        """Make one request; raise LostError where the process is lost before it answers."""
        number = next(self._numbers)
        future: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._most_bytes = max(self._most_bytes, asked.max_bytes + FRAME_HEADER_BYTES)
        header = {"id": number, **{name: getattr(asked, name) for name in HttpRequest.__slots__}}
        try:
            if self.is_lost:
                raise LostError
            await self._write(header)
            answer = await future
            if len(answer.body) > asked.max_bytes:
                self.kill()  # ours would have cut it off
                raise LostError
            return answer
        except OSError as error:
            raise LostError from error
        except asyncio.CancelledError:
            if self.child.stdin is not None and not self.is_lost:
                self.child.stdin.write(encode_frame({"cancel": number}))
            raise
        finally:
            self._waiting.pop(number, None)

    def kill(self) -> None:
        """End the process at once; whatever waits for it learns that it is lost."""
        self.is_lost = True
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()

    async def close(self) -> None:
        """End the process and wait for it."""
        self.kill()
        if self.child.stdin is not None:
            self.child.stdin.close()
        await self.child.wait()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            while True:
                header, body = await self._read(self._most_bytes)
                future = self._waiting.get(header["id"])
                if future is not None and not future.done():
                    future.set_result(_answer(header, body))
        except Exception as error:  # whatever somebody who has taken it over made it say
            if not self.is_lost:
                log.warning("the HTTP client was lost (%s); a new one takes its place", type(error).__name__)
            self.kill()
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(LostError())

    async def _read(self, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        assert self.child.stdout is not None
        lengths = parse_lengths(await self.child.stdout.readexactly(LENGTHS.size), max_bytes)
        header = parse_header(await self.child.stdout.readexactly(lengths[0]))
        return header, await self.child.stdout.readexactly(lengths[1])

    async def _write(self, header: dict[str, Any]) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(encode_frame(header))
        await self.child.stdin.drain()


def _answer(header: dict[str, Any], body: bytes) -> HttpAnswer:
    """Take the child at its word only where that can be right: an origin may have taken it over."""
    return HttpAnswer(
        status=min(max(int(header["status"]), 0), 999),
        code=int(header["code"]),
        cut=str(header["cut"])[:20],
        http=str(header["http"])[:5],
        fields=tuple((str(name), str(value)) for name, value in header["fields"]),
        seconds=float(header["seconds"]),
        encoded_bytes=int(header["encoded_bytes"]),
        size_bytes=int(header["size_bytes"]),
        profile=tuple((float(at), int(size)) for at, size in header["profile"])[:40],
        body=body,
        certificate=digest if re.fullmatch(r"[0-9a-f]{64}", digest := str(header["certificate"])) else "",
    )
