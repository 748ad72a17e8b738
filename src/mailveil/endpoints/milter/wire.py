"""Milter wire: packets of the mail filter protocol, versions 2 to 6, as events in and bytes out; no I/O.

A packet is a length of four bytes, one letter and a payload. The protocol's only specification is Sendmail's
``libmilter/mfdef.h``; Postfix speaks the same.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntFlag
from typing import NamedTuple

VERSION = 6
CHUNK_BYTES = 65_535
MAX_PACKET_BYTES = 1 << 20  # Postfix sends fields of up to its header_size_limit (102,400), bodies in 65,535
MAX_TEXT_CHARACTERS = 400
CONNECT_MACROS, MAIL_MACROS, DATA_MACROS = 0, 2, 4  # stages of a request for macros
STAGES = range(7)

_LENGTH = struct.Struct("!I")
_NEGOTIATION = struct.Struct("!III")
_PORT = struct.Struct("!H")


class Action(IntFlag):
    """What a filter may do to a message."""

    ADD_FIELDS = 0x01
    CHANGE_BODY = 0x02
    CHANGE_FIELDS = 0x10
    REQUEST_MACROS = 0x100


class Step(IntFlag):
    """What a mail server need not send (NO_…), need not wait for (UNANSWERED_…), or does otherwise."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RECIPIENT = 0x08
    NO_BODY = 0x10
    NO_FIELDS = 0x20
    NO_END_OF_HEADER = 0x40
    UNANSWERED_FIELD = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    UNANSWERED_CONNECT = 0x1000
    UNANSWERED_HELO = 0x2000
    UNANSWERED_MAIL = 0x4000
    UNANSWERED_RECIPIENT = 0x8000
    UNANSWERED_DATA = 0x10000
    UNANSWERED_UNKNOWN = 0x20000
    UNANSWERED_END_OF_HEADER = 0x40000
    UNANSWERED_BODY = 0x80000
    LEADING_SPACE = 0x100000  # values come and go with the white space after the colon


# --- events ----------------------------------------------------------------------------------------------


class Negotiation(NamedTuple):
    """The mail server's offer: protocol version, actions and steps that it knows."""

    version: int
    actions: Action
    steps: Step


class Macros(NamedTuple):
    """Macros of the command whose letter is ``command``, names without braces."""

    command: bytes
    values: Mapping[str, str]


class Connect(NamedTuple):
    """A client connected. ``family`` is ``4``, ``6``, ``L`` (Unix socket) or ``U`` (unknown)."""

    host: str
    family: str
    port: int
    address: str


class Helo(NamedTuple):
    """The client greeted."""

    name: str


class Mail(NamedTuple):
    """A transaction begins: reverse-path without angle brackets, and its parameters."""

    path: str
    options: tuple[str, ...]


class Recipient(NamedTuple):
    """One recipient: forward-path without angle brackets, and its parameters."""

    path: str
    options: tuple[str, ...]


class Data(NamedTuple):
    """The client said DATA."""


class Field(NamedTuple):
    """One header field; lines of the value are separated by LF."""

    name: bytes
    value: bytes


class EndOfHeader(NamedTuple):
    """All fields have come."""


class Body(NamedTuple):
    """Some of the body, with CRLF."""

    chunk: bytes


class EndOfMessage(NamedTuple):
    """The message is complete; ``chunk`` is the rest of the body."""

    chunk: bytes


class Abort(NamedTuple):
    """The transaction is off; the connection goes on."""


class Quit(NamedTuple):
    """The mail server hangs up."""


class NextClient(NamedTuple):
    """The client is gone; the mail server uses the connection for another one."""


class UnknownCommand(NamedTuple):
    """The client said something that is no SMTP command."""

    line: bytes


class Malformed(NamedTuple):
    """What came is not this protocol; nothing after it can be understood."""

    reason: str


Event = (
    Negotiation | Macros | Connect | Helo | Mail | Recipient | Data | Field | EndOfHeader | Body
    | EndOfMessage | Abort | Quit | NextClient | UnknownCommand | Malformed
)  # fmt: skip


class PacketReader:
    """Turns bytes into events, however they are cut up. Total: what cannot be read is a last ``Malformed``.

    Holds no more than one packet of ``max_packet_bytes`` besides what it was last given.
    """

    def __init__(self, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._held = bytearray()
        self._needed = 4  # bytes without which nothing can be said about what is held
        self._ended = False

    def receive(self, data: bytes) -> list[Event]:
        """Return the events that ``data`` completes."""
        if self._ended:
            return []
        if self._held:
            self._held += data
            if len(self._held) < self._needed:
                return []
            data = bytes(self._held)
            self._held = bytearray()
        events: list[Event] = []
        at, end = 0, len(data)
        self._needed = 4
        while end - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            if not 0 < length <= self._max_packet_bytes:
                events.append(self._malformed(f"packet of {length} bytes"))
                return events
            if end - at - 4 < length:
                self._needed = 4 + length
                break
            event = read_packet(data[at + 4 : at + 5], data[at + 5 : at + 4 + length])
            events.append(event)
            if type(event) is Malformed:
                self._ended = True
                return events
            at += 4 + length
        if at < end:
            self._held += memoryview(data)[at:]
        return events

    def _malformed(self, reason: str) -> Malformed:
        self._ended = True
        return Malformed(reason)


def read_packet(letter: bytes, payload: bytes) -> Event:
    """Return what one packet says. Total."""
    match letter:
        case b"L":
            name, first, rest = payload.partition(b"\0")
            if not first or not name or rest.find(b"\0") != len(rest) - 1:
                return Malformed("field without name or end")
            return Field(name, rest[:-1])
        case b"B":
            return Body(payload)
        case b"E":
            return EndOfMessage(payload)
        case b"D":
            return _read_macros(payload)
        case b"M" | b"R":
            words = _texts(payload)
            if not words:
                return Malformed("path without end")
            kind = Mail if letter == b"M" else Recipient
            return kind(_without_brackets(words[0]), tuple(words[1:]))
        case b"O":
            return _read_negotiation(payload)
        case b"C":
            return _read_connect(payload)
        case b"H":
            words = _texts(payload)
            return Helo(words[0]) if words else Malformed("greeting without end")
        case b"U":
            return UnknownCommand(payload.rstrip(b"\0"))
    return _WITHOUT_PAYLOAD.get(letter, Malformed(f"packet {letter!r}"))


_WITHOUT_PAYLOAD: Mapping[bytes, Event] = {
    b"T": Data(), b"N": EndOfHeader(), b"A": Abort(), b"Q": Quit(), b"K": NextClient(),
}  # fmt: skip


def _read_negotiation(payload: bytes) -> Event:
    if len(payload) < _NEGOTIATION.size:
        return Malformed("negotiation cut short")
    version, actions, steps = _NEGOTIATION.unpack_from(payload)
    return Negotiation(version, Action(actions), Step(steps))


def _read_macros(payload: bytes) -> Event:
    words = _texts(payload[1:])
    if not payload or len(words) % 2 or (not words and len(payload) > 1):
        return Malformed("macros without value or end")
    names = (name[1:-1] if name[:1] == "{" and name[-1:] == "}" else name for name in words[::2])
    return Macros(payload[:1], dict(zip(names, words[1::2], strict=True)))


def _read_connect(payload: bytes) -> Event:
    host, ended, rest = payload.partition(b"\0")
    family = rest[:1].decode("latin-1")
    if not ended or not family:
        return Malformed("client without name or family")
    if family == "U":
        return Connect(_text(host), family, 0, "")
    address, ended, _ = rest[1 + _PORT.size :].partition(b"\0")
    if not ended:
        return Malformed("client without address")
    (port,) = _PORT.unpack_from(rest, 1)
    return Connect(_text(host), family, port, _text(address))


def _texts(payload: bytes) -> list[str]:
    """Return the texts of a payload, each ended by NUL; none where the last is not."""
    return [_text(each) for each in payload[:-1].split(b"\0")] if payload.endswith(b"\0") else []


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _without_brackets(path: str) -> str:
    return path[1:-1] if path[:1] == "<" and path[-1:] == ">" else path


# --- commands --------------------------------------------------------------------------------------------


def encode_packet(letter: bytes, payload: bytes = b"") -> bytes:
    """Return one packet."""
    return _LENGTH.pack(1 + len(payload)) + letter + payload


CONTINUE = encode_packet(b"c")
PROGRESS = encode_packet(b"p")


def encode_negotiation(
    version: int, actions: Action, steps: Step, macros: Mapping[int, Sequence[str]] | None = None
) -> bytes:
    """Return what we take of the mail server's offer; ``macros`` are the names wanted at each stage."""
    payload = _NEGOTIATION.pack(version, actions, steps)
    for stage, names in (macros or {}).items():
        payload += _LENGTH.pack(stage) + " ".join(names).encode() + b"\0"
    return encode_packet(b"O", payload)


def encode_reply_code(code: int, status: str, text: str) -> bytes:
    """Return a refusal in one SMTP reply line (4yz or 5yz)."""
    # Mail servers take % for the beginning of a format.
    words = "".join(c if " " <= c <= "~" and c != "%" else " " for c in text)[:MAX_TEXT_CHARACTERS]
    line = " ".join(part for part in (str(code), status, words.strip() or "Refused") if part)
    return encode_packet(b"y", line.encode() + b"\0")


def encode_field_change(name: bytes, occurrence: int, value: bytes) -> bytes:
    """Return a change of the n-th field (from 1) of a name; an empty value deletes it."""
    return encode_packet(b"m", _LENGTH.pack(occurrence) + _terminated(name, value))


def encode_field_insertion(position: int, name: bytes, value: bytes) -> bytes:
    """Return an insertion of a field; 0 is above everything, the mail server's own trace field included."""
    return encode_packet(b"i", _LENGTH.pack(position) + _terminated(name, value))


def encode_field_addition(name: bytes, value: bytes) -> bytes:
    """Return an addition of a field below all others."""
    return encode_packet(b"h", _terminated(name, value))


def encode_body(raw: bytes, start: int = 0) -> list[bytes]:
    """Return what replaces the body by ``raw[start:]``, in packets of as much as every mail server takes."""
    view = memoryview(raw)
    if start >= len(raw):
        return [encode_packet(b"b")]
    pieces: list[bytes] = []
    for at in range(start, len(raw), CHUNK_BYTES):
        chunk = view[at : at + CHUNK_BYTES]
        pieces += (_LENGTH.pack(1 + len(chunk)) + b"b", bytes(chunk))
    return pieces


def _terminated(name: bytes, value: bytes) -> bytes:
    if b"\0" in name or b"\0" in value:
        raise ValueError("a field with NUL cannot be sent")
    return name + b"\0" + value + b"\0"
