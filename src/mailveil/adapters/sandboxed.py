"""The inside of the sandbox: decodes what origins answered, in a process that may read and write nothing.

``python -P -m mailveil.adapters.sandboxed PARENT MAX_BYTES`` answers each frame on standard input with one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

from mailveil.adapters.frames import LENGTHS, encode_frame, parse_header, parse_lengths
from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, SafeCopy, sanitise

SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)
MAX_REQUEST_BYTES = 1 << 30


def main() -> None:
    """Answer until the parent closes our standard input."""
    parent, max_bytes = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    # Decoders load their tables now: later no file can be opened any more, whatever a picture talks one into.
    sanitise(b"GIF89a", Media.IMAGE)
    for kind, limit in (
        (resource.RLIMIT_AS, max_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    while (request := _read(requests)) is not None:
        header, body = request
        limits = CopyLimits(**header["limits"])
        try:
            result = sanitise(body, Media(header["media"]), limits)
        except MemoryError:
            return  # what is left of this process is not worth trusting
        if isinstance(result, SafeCopy):
            answers.write(encode_frame({"media_type": result.media_type}, result.body))
        else:
            answers.write(encode_frame({"refusal": str(result)}))
        answers.flush()


def _read(requests: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    opening = requests.read(LENGTHS.size)
    if len(opening) < LENGTHS.size:
        return None
    header_bytes, body_bytes = parse_lengths(opening, MAX_REQUEST_BYTES)
    return parse_header(requests.read(header_bytes)), requests.read(body_bytes)


if __name__ == "__main__":
    main()
