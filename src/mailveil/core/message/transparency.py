"""Dot transparency of SMTP's DATA (RFC 5321 section 4.5.2), and lone dots that smuggle a message."""

from __future__ import annotations

from collections.abc import Iterator

END_OF_DATA = b"\r\n.\r\n"
LONE_DOTS = (b"\n.\r", b"\n.\n", b"\r.\r", b"\r.\n")
PIECE_BYTES = 1 << 16


def stuff_dots(raw: bytes) -> bytes:
    """Return a message as it goes over the wire, end of data included; its own bytes stay as they are.

    Only a line that begins after CRLF begins a line: nothing else may be treated as one. A message that does
    not end with CRLF gets the one that the end of data needs.
    """
    wire = raw.replace(b"\r\n.", b"\r\n..")
    if raw.startswith(b"."):
        wire = b"." + wire
    return wire + end_of_data(raw)


def stuffed_pieces(raw: bytes, size: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield what ``stuff_dots`` returns in pieces of about ``size`` bytes, except for ``end_of_data``."""
    for at in range(0, len(raw), size):
        piece = raw[at : at + size].replace(b"\r\n.", b"\r\n..")
        if piece.startswith(b".") and (at == 0 or raw[max(0, at - 2) : at] == b"\r\n"):
            piece = b"." + piece
        elif piece.startswith(b"\n.") and raw[at - 1 : at] == b"\r":
            piece = b"\n." + piece[1:]
        yield piece


def end_of_data(raw: bytes) -> bytes:
    """Return what ends a message on the wire: a CRLF where it does not end with one, and the final dot."""
    return b".\r\n" if raw.endswith(b"\r\n") or not raw else END_OF_DATA


def unstuff_dots(wire: bytes) -> bytes:
    """Return the message that was sent as ``wire``, which excludes the line with the final dot."""
    raw = wire.replace(b"\r\n.", b"\r\n")
    return raw[1:] if raw.startswith(b".") else raw


def find_lone_dot(wire: bytes) -> int:
    """Return where a dot stands alone between line breaks of any kind, or -1.

    On the wire of an honest client there is none before the end of data: ``LF . LF`` and its kin mean nothing
    to us but end the data for a less strict server further on, and what follows would be its next commands.
    Some servers drop NULs first, so they count for nothing, in the place that is returned neither.
    """
    if b"\x00" in wire:
        wire = wire.translate(None, b"\x00")
    if wire[:2] in (b".\r", b".\n"):
        return 0
    found = [at + 1 for pattern in LONE_DOTS if (at := wire.find(pattern)) >= 0]
    return min(found, default=-1)


def would_smuggle(raw: bytes) -> bool:
    """Tell whether a message as it would go over the wire has a lone dot before its end."""
    end = raw[-2:] + b"\r\n"  # a dot may come to stand alone by the line break that follows it on the wire
    if b"\x00" not in raw and not any(pattern in raw or pattern in end for pattern in LONE_DOTS):
        return False
    return find_lone_dot(stuff_dots(raw)[:-3]) >= 0
