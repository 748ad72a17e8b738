"""The sandbox: has hostile pictures, sheets and sounds made safe by a child process that can be lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import sys
from dataclasses import asdict
from typing import Any

from mailveil.adapters.frames import LENGTHS, encode_frame, parse_header, parse_lengths
from mailveil.core.references.types import Media
from mailveil.core.safecopy import MEDIA_TYPES, CopyLimits, Nested, Refusal, SafeCopy, is_nestable

log = logging.getLogger("mailveil.sandbox")
START_TIMEOUT_S = 30.0
MAX_CONTENTS = 100
# What the child may keep of our environment: how Python finds its modules, and nothing that is anybody's.
ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH")


class Sandbox:
    """One child process, started when first needed and again after each loss. One content at a time.

    After ``MAX_CONTENTS`` it is replaced: should one content have taken it over unnoticed, few others suffer.
    """

    def __init__(
        self, limits: CopyLimits | None = None, *, max_bytes: int = 1 << 30, timeout_s: float = 20.0
    ) -> None:
        """``limits`` bound a copy, ``max_bytes`` the child's address space, ``timeout_s`` one content."""
        self.limits = limits or CopyLimits()
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._served = 0

    async def sanitise(self, body: bytes, media: Media, url: str = "") -> SafeCopy | str:
        """Return a safe copy, or in a word why there is none. Total: a lost child is a reason as well.

        ``url`` is where the content came from, for what a style sheet refers to.
        """
        async with self._lock:
            try:
                if self._served >= MAX_CONTENTS:
                    await self.close()
                self._served += 1
                fresh = self._child is None or self._child.returncode is not None
                child = await self._start() if fresh else self._child
                assert child is not None
                async with asyncio.timeout(self.timeout_s + (START_TIMEOUT_S if fresh else 0)):
                    return await self._ask(child, body, media, url)
            except Exception as error:  # whatever somebody who has taken the child over made it say
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
            if child.stdin is not None:
                child.stdin.close()
            await child.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        command = [
            sys.executable,
            "-P",
            "-m",
            "mailveil.adapters.sandboxed",
            str(os.getpid()),
            str(self.max_bytes),
            str(int(self.timeout_s) + 1),
        ]
        self._served = 0
        self._child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
            env={
                "LANG": "C.UTF-8",
                "OPENBLAS_NUM_THREADS": "1",  # the library of numbers would start one for each core
                **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            },
            start_new_session=True,
        )
        return self._child

    async def _ask(
        self, child: asyncio.subprocess.Process, body: bytes, media: Media, url: str
    ) -> SafeCopy | str:
        assert child.stdin is not None
        assert child.stdout is not None
        request = {"media": str(media), "limits": asdict(self.limits), "url": url}
        child.stdin.write(encode_frame(request, body))
        await child.stdin.drain()
        most = 4 * self.limits.max_bytes + (1 << 20)
        lengths = parse_lengths(await child.stdout.readexactly(LENGTHS.size), most)
        header = parse_header(await child.stdout.readexactly(lengths[0]))
        answer = await child.stdout.readexactly(lengths[1])
        if "refusal" in header:
            return str(Refusal(header["refusal"]))
        return _safe_copy(header, answer, media, self.limits)


def _safe_copy(header: dict[str, Any], body: bytes, media: Media, limits: CopyLimits) -> SafeCopy:
    """Take the child at its word only where that can be right: a picture may have taken it over.

    What a style sheet refers to is fetched like anything else, by a fetcher that checks every address; here
    it counts that there is not more of it than agreed, and only of what may have a copy.
    """
    if header["media_type"] not in MEDIA_TYPES[media] or not body:
        raise ValueError("no copy of this kind")
    nested = tuple(Nested(str(url), Media(kind)) for url, kind in header["nested"])
    imports = sum(each.media is Media.STYLESHEET for each in nested)
    if (
        (nested and media is not Media.STYLESHEET)
        or len(nested) > limits.max_nested
        or imports > limits.max_imports
        or not all(is_nestable(each) for each in nested)
    ):
        raise ValueError("no references of a style sheet")
    is_silent, duration_s = header["is_silent"], float(header["duration_s"])
    if not math.isfinite(duration_s) or len(body) > 2 * limits.max_bytes:
        raise ValueError("no copy of this kind")
    return SafeCopy(
        header["media_type"],
        body,
        width=int(header["width"]),
        height=int(header["height"]),
        frames=int(header["frames"]),
        duration_s=duration_s,
        is_silent=None if is_silent is None else bool(is_silent),
        replaced=bool(header["replaced"]),
        nested=nested,
    )
