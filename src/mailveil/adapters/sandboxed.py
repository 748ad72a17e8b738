"""The inside of the sandbox: decodes what origins answered, in a process that may read and write nothing.

``python -P -m mailveil.adapters.sandboxed PARENT MAX_BYTES TIMEOUT_S`` answers each frame on standard input
with one on standard output.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, BinaryIO

from PIL import AvifImagePlugin, Image

from mailveil.adapters.confinement import bound, bound_time, die_with, leave_network
from mailveil.adapters.frames import LENGTHS, encode_frame, parse_header, parse_lengths
from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, SafeCopy, sanitise

MAX_REQUEST_BYTES = 1 << 30
FORMATS = ("PNG", "GIF", "JPEG", "WEBP", "BMP", "ICO", "TIFF", "AVIF")


def main() -> None:
    """Answer until the parent closes our standard input."""
    parent, max_bytes, timeout_s = (int(argument) for argument in sys.argv[1:4])
    leave_network()
    die_with(parent)  # after the namespace, whose change of credentials would undo it
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    load_decoders()
    bound(max_bytes, no_files=True)
    while (request := _read(requests)) is not None:
        header, body = request
        bound_time(timeout_s)
        try:
            result = sanitise(body, Media(header["media"]), CopyLimits(**header["limits"]))
        except MemoryError:
            os._exit(1)  # what is left of this process is not worth trusting
        if isinstance(result, SafeCopy):
            found = {"media_type": result.media_type, "width": result.width, "height": result.height}
            answers.write(encode_frame(found, result.body))
        else:
            answers.write(encode_frame({"refusal": str(result)}))
        answers.flush()


def load_decoders() -> None:
    """Use every decoder and grammar once: later no file can be opened any more, and nothing loaded."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # threads count as processes, of which no more may be started
    Image.init()
    for name in FORMATS:
        if name not in Image.SAVE or name not in Image.OPEN:
            continue  # this Pillow was built without it
        for moving in (False, True) if name in ("GIF", "PNG", "WEBP") else (False,):
            written = io.BytesIO()
            picture = Image.new("RGB", (8, 8), "red")
            frames = {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]} if moving else {}
            picture.save(written, name, **frames)
            sanitise(written.getvalue(), Media.IMAGE)
    sanitise(b'<svg><image href="https://a.example/"/></svg>', Media.IMAGE)
    sanitise(b"p { background: url(https://a.example/) }", Media.STYLESHEET)


def _read(requests: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    opening = requests.read(LENGTHS.size)
    if len(opening) < LENGTHS.size:
        return None
    header_bytes, body_bytes = parse_lengths(opening, MAX_REQUEST_BYTES)
    return parse_header(requests.read(header_bytes)), requests.read(body_bytes)


if __name__ == "__main__":
    main()
