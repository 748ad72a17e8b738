"""Header block: the lines of an entity's header by name and place, as far as replacing some of them needs."""

from __future__ import annotations

from typing import NamedTuple


class FieldLine(NamedTuple):
    """One header field with its continuation lines; ``name`` is lower-case, ``b""`` without a colon."""

    name: bytes
    start: int
    end: int


class HeaderBlock(NamedTuple):
    """A header. ``fields_end`` is where the empty line begins, ``body_start`` where the body does."""

    fields: tuple[FieldLine, ...]
    fields_end: int
    body_start: int
    newline: bytes


def read_header_block(data: bytes, start: int, end: int) -> HeaderBlock:
    """Return the header of the entity in ``data[start:end]`` (RFC 5322 section 2.2). Total and linear.

    A first line without a colon is taken for the beginning of a body without a header.
    """
    fields: list[FieldLine] = []
    at = start
    newline = b""
    while at < end:
        line_end = data.find(b"\n", at, end)
        stop = end if line_end < 0 else line_end + 1
        line = data[at:stop].rstrip(b"\r\n")
        if not newline and line_end >= 0:
            newline = b"\r\n" if data[line_end - 1 : line_end] == b"\r" and line_end > at else b"\n"
        if not line:
            return HeaderBlock(tuple(fields), at, stop, newline)
        name, colon, _value = line.partition(b":")
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] = fields[-1]._replace(end=stop)
        elif colon:
            fields.append(FieldLine(name.strip().lower(), at, stop))
        elif not fields:
            return HeaderBlock((), start, start, newline or b"\r\n")
        else:
            fields.append(FieldLine(b"", at, stop))
        at = stop
    return HeaderBlock(tuple(fields), end, end, newline or b"\r\n")
