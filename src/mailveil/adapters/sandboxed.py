"""The inside of the sandbox: decodes what origins answered, in a process that may read and write nothing.

``python -P -m mailveil.adapters.sandboxed PARENT MAX_BYTES TIMEOUT_S`` answers each frame on standard input
with one on standard output.
"""

from __future__ import annotations

import codecs
import contextlib
import encodings
import logging
import os
import pkgutil
import sys
from typing import Any, BinaryIO

from PIL import AvifImagePlugin

from mailveil.adapters.confinement import bound, bound_time, die_with, leave_network
from mailveil.adapters.frames import LENGTHS, encode_frame, parse_header, parse_lengths
from mailveil.adapters.specimens import specimens
from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, SafeCopy, sanitise
from mailveil.core.safecopy.fonts import load_tables

MAX_REQUEST_BYTES = 1 << 30


def main() -> None:
    """Answer until the parent closes our standard input."""
    parent, max_bytes, timeout_s = (int(argument) for argument in sys.argv[1:4])
    leave_network()
    die_with(parent)  # after the namespace, whose change of credentials would undo it
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    logging.disable()  # decoders complain about hostile bytes, in words that may be the bytes' own
    load_decoders()
    bound(max_bytes, no_files=True)
    while (request := _read(requests)) is not None:
        header, body = request
        bound_time(timeout_s)
        try:
            limits = CopyLimits(**header["limits"])
            result = sanitise(body, Media(header["media"]), limits, url=header["url"])
        except MemoryError:
            os._exit(1)  # what is left of this process is not worth trusting
        if isinstance(result, SafeCopy):
            answers.write(encode_frame(_told_of(result), result.body))
        else:
            answers.write(encode_frame({"refusal": str(result)}))
        answers.flush()


def _told_of(copy: SafeCopy) -> dict[str, Any]:
    """Return what stands beside the bytes of a copy in an answer."""
    return {
        "media_type": copy.media_type,
        "width": copy.width,
        "height": copy.height,
        "frames": copy.frames,
        "duration_s": copy.duration_s,
        "is_silent": copy.is_silent,
        "replaced": copy.replaced,
        "nested": [[each.url, str(each.media)] for each in copy.nested],
    }


def load_decoders() -> None:
    """Use every decoder and grammar once: later no file can be opened any more, and nothing loaded."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # threads count as processes, of which no more may be started
    load_tables()
    for codec in pkgutil.iter_modules(encodings.__path__):
        with contextlib.suppress(LookupError, ImportError):  # some are for another system only
            codecs.lookup(codec.name)
    for body, media in specimens():
        sanitise(body, media)


def _read(requests: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    opening = requests.read(LENGTHS.size)
    if len(opening) < LENGTHS.size:
        return None
    header_bytes, body_bytes = parse_lengths(opening, MAX_REQUEST_BYTES)
    return parse_header(requests.read(header_bytes)), requests.read(body_bytes)


if __name__ == "__main__":
    main()
