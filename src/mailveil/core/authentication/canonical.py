"""Canonicalisation (RFC 6376 section 3.4): header fields and body as a signature sees them.

Bodies are taken in pieces, so that whoever hashes a large one can stop in between. Everything is linear
whatever the bytes are.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailveil.core.message.header_block import read_header_block

PIECE_BYTES: Final = 256 * 1024
_CRLF: Final = b"\r\n"


class HeaderField(NamedTuple):
    """A header field as signatures see it: ``name`` lower-case, ``raw`` all of it without its last CRLF."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands after the colon, folding included."""
        return self.raw.partition(b":")[2]


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A message's header as signatures see it. ``body_start`` is an offset into the raw message."""

    fields: tuple[HeaderField, ...]
    body_start: int
    newline: bytes

    def named(self, name: bytes) -> list[HeaderField]:
        """Return the fields of a lower-case name, topmost first."""
        return [field for field in self.fields if field.name == name]


def read_signed_header(raw: bytes, max_header_bytes: int) -> SignedHeader | None:
    """Return the header of a message, ``None`` where it has none or it is larger than allowed."""
    end = min(len(raw), max_header_bytes)
    block = read_header_block(raw, 0, end)
    if not block.fields or (block.body_start == end and end < len(raw)):
        return None
    fields = tuple(
        HeaderField(line.name, with_crlf(_without_line_end(raw[line.start : line.end])))
        for line in block.fields
    )
    return SignedHeader(fields, block.body_start, block.newline)


def with_crlf(data: bytes) -> bytes:
    """Return text with every line break as CRLF. A CR alone is no line break."""
    return data.replace(_CRLF, b"\n").replace(b"\n", _CRLF)


def _without_line_end(data: bytes) -> bytes:
    if data.endswith(_CRLF):
        return data[:-2]
    return data.removesuffix(b"\n")


def relaxed_field(field: HeaderField) -> bytes:
    """Return a field in relaxed canonicalisation (section 3.4.2), without CRLF."""
    value = _single_spaced(field.value.replace(_CRLF, b""))
    return field.name.strip(b" \t") + b":" + value.strip(b" ")


def simple_field(field: HeaderField) -> bytes:
    """Return a field in simple canonicalisation (section 3.4.1), without CRLF."""
    return field.raw


def select(header: SignedHeader, names: Iterable[bytes]) -> Iterator[HeaderField]:
    """Yield the fields that a list of names selects (section 5.4.2): of each name from the bottom up."""
    left: dict[bytes, list[HeaderField]] = defaultdict(list)
    for field in header.fields:
        left[field.name].append(field)
    for name in names:
        fields = left.get(name)
        if fields:
            yield fields.pop()


def _single_spaced(data: bytes) -> bytes:
    """Return data with each run of spaces and tabs as one space. Passes: the logarithm of the longest run."""
    data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data


class BodyForm(NamedTuple):
    """One way in which a body is hashed: with which canonicalisation, and how many bytes of it (``l=``)."""

    relaxed: bool
    length: int | None = None


SIMPLE_BODY: Final = BodyForm(relaxed=False)


class BodyHash:
    """The SHA-256 of a body in one form, fed in pieces."""

    def __init__(self, form: BodyForm) -> None:
        self.form = form
        self.hash = hashlib.sha256()
        self.hashed = 0
        self._carry = b""  # what the next piece may continue: white space, half a line break
        self._empty_lines = 0  # line breaks at the end so far, which do not count unless something follows

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the raw body."""
        text = self._carry + piece
        carry = b""
        if text.endswith(b"\r"):
            text, carry = text[:-1], b"\r"
        if self.form.relaxed:
            text = _single_spaced(text)
            if text.endswith(b" "):
                text, carry = text[:-1], b" " + carry
            text = with_crlf(text).replace(b" \r\n", _CRLF)
        else:
            text = with_crlf(text)
        self._carry = carry
        self._add(text)

    def _add(self, text: bytes) -> None:
        end = len(text)
        while text.endswith(_CRLF, 0, end):
            end -= 2
        if end:
            self._put(_CRLF * self._empty_lines)
            self._put(text[:end])
            self._empty_lines = 0
        self._empty_lines += (len(text) - end) // 2

    def _put(self, text: bytes) -> None:
        length = self.form.length
        if length is not None:
            text = text[: max(0, length - self.hashed)]
        self.hash.update(text)
        self.hashed += len(text)

    def finish(self) -> tuple[bytes, bool]:
        """Return the hash, and whether there was as much as ``length`` says (section 3.5)."""
        rest, self._carry = self._carry, b""
        if rest and self.form.relaxed:
            rest = rest.replace(b" ", b"")
        self._add(rest)
        if self.hashed or not self.form.relaxed:
            self._put(_CRLF)
        return self.hash.digest(), self.form.length is None or self.hashed >= self.form.length


def hash_bodies(
    raw: bytes, start: int, forms: Iterable[BodyForm], may_go_on: Callable[[], bool]
) -> dict[BodyForm, tuple[bytes, bool]]:
    """Return what ``BodyHash.finish`` gives for each form of the body that begins at ``start``.

    ``may_go_on`` is asked before every piece; once it says no, forms that are not done are left out.
    """
    found: dict[BodyForm, tuple[bytes, bool]] = {}
    for form in forms:
        body = BodyHash(form)
        for at in range(start, len(raw), PIECE_BYTES):
            if not may_go_on():
                return found
            body.feed(raw[at : at + PIECE_BYTES])
        found[form] = body.finish()
    return found
