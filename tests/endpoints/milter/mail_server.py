"""A mail server's side of the milter protocol: packets to send, and what our answers make of its message."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

ALL_ACTIONS = 0x1FF
ALL_STEPS = 0x1FFFFF  # as Postfix 3.7 and Sendmail 8.17 offer
UNANSWERED = 0xFF080  # every NR_… flag


def packet(letter: str, payload: bytes = b"") -> bytes:
    return struct.pack("!I", 1 + len(payload)) + letter.encode() + payload


def negotiation(version: int = 6, actions: int = ALL_ACTIONS, steps: int = ALL_STEPS) -> bytes:
    return packet("O", struct.pack("!III", version, actions, steps))


def macros(command: str, **values: str) -> bytes:
    words = [
        word for name, value in values.items() for word in (name if len(name) == 1 else f"{{{name}}}", value)
    ]
    return packet("D", command.encode() + b"".join(word.encode() + b"\0" for word in words))


def connect(host: str = "client.example", address: str = "192.0.2.1", port: int = 4711) -> bytes:
    family = b"6" if ":" in address else b"4"
    return packet("C", host.encode() + b"\0" + family + struct.pack("!H", port) + address.encode() + b"\0")


def helo(name: str = "client.example") -> bytes:
    return packet("H", name.encode() + b"\0")


def path(letter: str, address: str, *options: str) -> bytes:
    return packet(letter, b"".join(each.encode() + b"\0" for each in (f"<{address}>", *options)))


def fields(*whole: bytes, leading_space: bool = True) -> bytes:
    """Return header fields as mail servers send them, given as they stand in a message."""
    packets = []
    for each in whole:
        name, _, value = each.partition(b":")
        if not leading_space:
            value = value.removeprefix(b" ")
        packets.append(packet("L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0"))
    return b"".join(packets)


def content(raw: bytes, chunk_bytes: int = 65_535, *, leading_space: bool = True) -> bytes:
    header, _, body = (b"", b"", raw[2:]) if raw.startswith(b"\r\n") else raw.partition(b"\r\n\r\n")
    whole: list[bytes] = []
    for line in header.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            whole[-1] += b"\r\n" + line
        elif line:
            whole.append(line)
    packets = [fields(*whole, leading_space=leading_space), packet("N")]
    packets += [packet("B", body[at : at + chunk_bytes]) for at in range(0, len(body), chunk_bytes)]
    return b"".join([*packets, packet("E")])


def envelope(sender: str = "a@example.com", *recipients: str, identifier: str = "4aBcD") -> bytes:
    given = recipients or ("reader@example.org",)
    return b"".join([
        macros("M", i=identifier),
        path("M", sender, "SIZE=100", "BODY=8BITMIME"),
        *(path("R", each) for each in given),
    ])  # fmt: skip


def packets_in(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    while data:
        (length,) = struct.unpack_from("!I", data)
        assert len(data) >= 4 + length, "a packet is cut short"
        found.append((chr(data[4]), data[5 : 4 + length]))
        data = data[4 + length :]
    return found


@dataclass
class StoredMessage:
    """A message in a mail server's queue, its own trace field on top, changed as Postfix and Sendmail do it.

    Deleting and changing count the fields of a name that filters are shown; inserting counts all.
    """

    raw: bytes
    trace: bytes = b"Received: by mx.example.org"
    leading_space: bool = True
    is_answered: bool = False
    refusal: str = ""
    _body: list[bytes] | None = None
    _fields: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        header, _, body = self.raw.partition(b"\r\n\r\n")
        if self.raw.startswith(b"\r\n"):
            header, body = b"", self.raw[2:]
        self._old_body = body
        self._fields = [self.trace]
        for line in header.removesuffix(b"\r\n").split(b"\r\n") if header else []:
            if line[:1] in (b" ", b"\t"):
                self._fields[-1] += b"\r\n" + line
            else:
                self._fields.append(line)

    def apply(self, data: bytes) -> None:
        for letter, payload in packets_in(data):
            assert not self.is_answered, "nothing comes after the answer"
            self._apply(letter, payload)

    def _apply(self, letter: str, payload: bytes) -> None:
        if letter == "c":
            self.is_answered = True
        elif letter == "y":
            self.is_answered, self.refusal = True, payload.rstrip(b"\0").decode()
        elif letter == "b":
            assert len(payload) <= 65_535
            self._body = [*(self._body or []), payload]
        elif letter == "h":
            self._fields.append(self._field(payload))
        elif letter == "i":
            (position,) = struct.unpack_from("!I", payload)
            self._fields.insert(position, self._field(payload[4:]))
        elif letter == "m":
            self._change(struct.unpack_from("!I", payload)[0], payload[4:])
        else:
            assert letter == "p", letter

    def _field(self, payload: bytes) -> bytes:
        name, value, rest = payload.split(b"\0")
        assert rest == b""
        assert name
        assert b"\r\n" not in value, "lines are separated by LF"
        return name + (b":" if self.leading_space else b": ") + value.replace(b"\n", b"\r\n")

    def _change(self, occurrence: int, payload: bytes) -> None:
        name = payload.split(b"\0")[0]
        shown = [at for at in range(1, len(self._fields))
                 if self._fields[at].partition(b":")[0].lower() == name.lower()]  # fmt: skip
        at = shown[occurrence - 1]
        if payload.split(b"\0")[1] == b"":
            del self._fields[at]
        else:
            self._fields[at] = self._field(payload)

    @property
    def delivered(self) -> bytes:
        """The message as it goes on, without the mail server's own trace field."""
        assert self._fields[0] == self.trace, "nothing goes above it"
        body = self._old_body if self._body is None else b"".join(self._body)
        return b"".join(each + b"\r\n" for each in self._fields[1:]) + b"\r\n" + body


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut data into pieces of the given sizes, over and over again."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = max(1, sizes[turn % len(sizes)]) if sizes else len(data)
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces
