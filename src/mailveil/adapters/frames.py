"""Frames: how a worker process and its parent speak, so that neither can make the other run code.

A frame is two lengths (big-endian, 4 and 8 octets), a JSON object of the first length, bytes of the second.
"""

from __future__ import annotations

import json
import struct
from typing import Any

LENGTHS = struct.Struct(">IQ")


class FrameError(Exception):
    """The other side does not speak as agreed."""


def encode_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return one frame."""
    encoded = json.dumps(header, separators=(",", ":")).encode("ascii")
    return b"".join((LENGTHS.pack(len(encoded), len(body)), encoded, body))


def parse_lengths(data: bytes, max_bytes: int) -> tuple[int, int]:
    """Return the lengths of header and body that open a frame; raise FrameError beyond ``max_bytes``."""
    header_bytes, body_bytes = LENGTHS.unpack(data)
    if header_bytes + body_bytes > max_bytes:
        raise FrameError(f"a frame of {header_bytes + body_bytes} octets is more than can be right")
    return header_bytes, body_bytes


def parse_header(data: bytes) -> dict[str, Any]:
    """Return the JSON object of a frame; raise FrameError if it is none."""
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FrameError("a frame without JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a frame without a JSON object")
    return header
