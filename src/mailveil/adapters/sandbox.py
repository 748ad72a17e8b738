"""The sandbox: has hostile pictures, sheets and sounds made safe by a child process that can be lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from dataclasses import asdict

from mailveil.adapters.frames import LENGTHS, FrameError, encode_frame, parse_header, parse_lengths
from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, SafeCopy

log = logging.getLogger("mailveil.sandbox")
START_TIMEOUT_S = 30.0


class Sandbox:
    """One child process, started when first needed and again after each loss. One content at a time."""

    def __init__(
        self, limits: CopyLimits | None = None, *, max_bytes: int = 1 << 30, timeout_s: float = 20.0
    ) -> None:
        """``limits`` bound a copy, ``max_bytes`` the child's address space, ``timeout_s`` one content."""
        self.limits = limits or CopyLimits()
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None

    async def sanitise(self, body: bytes, media: Media) -> SafeCopy | str:
        """Return a safe copy, or in a word why there is none. Total: a lost child is a reason as well."""
        async with self._lock:
            try:
                fresh = self._child is None or self._child.returncode is not None
                child = await self._start() if fresh else self._child
                assert child is not None
                async with asyncio.timeout(self.timeout_s + (START_TIMEOUT_S if fresh else 0)):
                    return await self._ask(child, body, media)
            except (OSError, EOFError, TimeoutError, FrameError, KeyError, TypeError) as error:
                log.warning("a %s of %d bytes broke the sandbox (%s)", media, len(body), type(error).__name__)
                await self.close()
                return "timed-out" if isinstance(error, TimeoutError) else "crashed"
            except BaseException:
                await self.close()  # the answer under way would be taken for that of the next content
                raise

    async def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        command = [
            sys.executable,
            "-P",
            "-m",
            "mailveil.adapters.sandboxed",
            str(os.getpid()),
            str(self.max_bytes),
        ]
        self._child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
        )
        return self._child

    async def _ask(self, child: asyncio.subprocess.Process, body: bytes, media: Media) -> SafeCopy | str:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(encode_frame({"media": str(media), "limits": asdict(self.limits)}, body))
        await child.stdin.drain()
        most = 4 * self.limits.max_bytes + (1 << 20)
        lengths = parse_lengths(await child.stdout.readexactly(LENGTHS.size), most)
        header = parse_header(await child.stdout.readexactly(lengths[0]))
        answer = await child.stdout.readexactly(lengths[1])
        if "refusal" in header:
            return str(header["refusal"])
        return SafeCopy(str(header["media_type"]), answer)
