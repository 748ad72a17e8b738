"""Dot transparency of SMTP's DATA (RFC 5321 section 4.5.2), and lone dots that smuggle a message."""

from __future__ import annotations

END_OF_DATA = b"\r\n.\r\n"
LONE_DOTS = (b"\n.\r", b"\n.\n", b"\r.\r", b"\r.\n")


def stuff_dots(raw: bytes) -> bytes:
    """Return a message as it goes over the wire, end of data included; its own bytes stay as they are.

    Only a line that begins after CRLF begins a line: nothing else may be treated as one. A message that does
    not end with CRLF gets the one that the end of data needs.
    """
    wire = raw.replace(b"\r\n.", b"\r\n..")
    if raw.startswith(b"."):
        wire = b"." + wire
    return wire + (b".\r\n" if wire.endswith(b"\r\n") or not wire else END_OF_DATA)


def unstuff_dots(wire: bytes) -> bytes:
    """Return the message that was sent as ``wire``, which excludes the line with the final dot."""
    raw = wire.replace(b"\r\n.", b"\r\n")
    return raw[1:] if raw.startswith(b".") else raw


def find_lone_dot(wire: bytes) -> int:
    """Return where a dot stands alone between line breaks of any kind, or -1.

    On the wire of an honest client there is none before the end of data: ``LF . LF`` and its kin mean nothing
    to us but end the data for a less strict server further on, and what follows would be its next commands.
    """
    if wire[:2] in (b".\r", b".\n"):
        return 0
    found = [at + 1 for pattern in LONE_DOTS if (at := wire.find(pattern)) >= 0]
    return min(found, default=-1)
