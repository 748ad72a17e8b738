"""Setup: the packets of a mail server, cut up in every way, and packets of nobody.

Test: the same events come out however the bytes were cut, and no bytes do more than end the conversation.
"""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.milter import mail_server
from mailveil.endpoints.milter import wire
from mailveil.endpoints.milter.wire import Action, PacketReader, Step

TRANSCRIPT = b"".join([
    mail_server.negotiation(),
    mail_server.macros("C", j="mx.example.org", client_addr="2001:db8::1"),
    mail_server.connect(address="IPv6:2001:db8::1"),
    mail_server.helo(),
    mail_server.macros("M", i="4711", auth_authen="me"),
    mail_server.path("M", "a@example.com", "SIZE=5", "SMTPUTF8"),
    mail_server.path("R", "\u00e4@example.org"),
    mail_server.packet("T"),
    mail_server.packet("U", b"HULLO\0"),
    mail_server.content(b"A: 1\r\nB:\t2\r\n 3\r\n\r\nbody\r\n", chunk_bytes=3),
    mail_server.packet("A"), mail_server.packet("K"), mail_server.packet("Q"),
])  # fmt: skip
EVENTS = [
    wire.Negotiation(6, Action(0x1FF), Step(0x1FFFFF)),
    wire.Macros(b"C", {"j": "mx.example.org", "client_addr": "2001:db8::1"}),
    wire.Connect("client.example", "6", 4711, "IPv6:2001:db8::1"),
    wire.Helo("client.example"),
    wire.Macros(b"M", {"i": "4711", "auth_authen": "me"}),
    wire.Mail("a@example.com", ("SIZE=5", "SMTPUTF8")),
    wire.Recipient("\u00e4@example.org", ()),
    wire.Data(),
    wire.UnknownCommand(b"HULLO"),
    wire.Field(b"A", b" 1"),
    wire.Field(b"B", b"\t2\n 3"),
    wire.EndOfHeader(),
    wire.Body(b"bod"),
    wire.Body(b"y\r\n"),
    wire.EndOfMessage(b""),
    wire.Abort(),
    wire.NextClient(),
    wire.Quit(),
]


def read(pieces) -> list[wire.Event]:
    reader = PacketReader()
    return [event for piece in pieces for event in reader.receive(piece)]


def same(found: list[wire.Event], expected: list[wire.Event]) -> bool:
    return [(type(each), each) for each in found] == [(type(each), each) for each in expected]


def test_whole_and_byte_by_byte() -> None:
    assert same(read([TRANSCRIPT]), EVENTS)
    assert same(read(mail_server.cut(TRANSCRIPT, [1])), EVENTS)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_cut_anywhere(sizes: list[int]) -> None:
    assert same(read(mail_server.cut(TRANSCRIPT, sizes)), EVENTS)


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_any_bytes_are_read_alike_however_cut(data: bytes, sizes: list[int]) -> None:
    assert same(read([data]), read(mail_server.cut(data, sizes)))


@given(st.sampled_from("OCHMRTLNBEDAQKU"), st.binary(max_size=60))
def test_any_payload_is_an_event(letter: str, payload: bytes) -> None:
    (event,) = read([mail_server.packet(letter, payload)])
    assert isinstance(event, tuple)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        struct.pack("!I", wire.MAX_PACKET_BYTES + 1),
        b"EHLO mx.example.org\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        mail_server.packet("?"),
        mail_server.packet("O", b"\0\0\0\6"),
        mail_server.packet("C", b"name"),
        mail_server.packet("C", b"name\0004\1"),
        mail_server.packet("C", b"name\0004\1\2no end"),
        mail_server.packet("L", b"name\0no end"),
        mail_server.packet("L", b"\0no name\0"),
        mail_server.packet("L", b"name\0two\0values\0"),
        mail_server.packet("M", b""),
        mail_server.packet("R", b"<no end>"),
        mail_server.packet("D", b""),
        mail_server.packet("D", b"Mname\0"),
        mail_server.packet("D", b"Mname"),
        mail_server.packet("H", b"no end"),
    ],
)
def test_what_is_no_milter_protocol_ends_it(data: bytes) -> None:
    for pieces in ([data + TRANSCRIPT], mail_server.cut(data + TRANSCRIPT, [1])):
        (event,) = read(pieces)
        assert type(event) is wire.Malformed


def test_a_packet_cut_short_is_no_event_and_holds_no_more_than_it_has() -> None:
    whole = mail_server.packet("B", b"x" * 60_000)
    for end in (0, 1, 3, 4, 5, 30_000, len(whole) - 1):
        assert read([whole[:end]]) == []
    reader = PacketReader()
    tracemalloc.start()
    assert reader.receive(struct.pack("!I", wire.MAX_PACKET_BYTES) + b"B") == []
    assert tracemalloc.get_traced_memory()[0] < 100_000, "memory is for what has come, not what was announced"
    tracemalloc.stop()


def test_commands_are_packets() -> None:
    assert mail_server.packets_in(wire.CONTINUE) == [("c", b"")]
    assert mail_server.packets_in(wire.PROGRESS) == [("p", b"")]
    assert mail_server.packets_in(wire.encode_field_change(b"A", 2, b"")) == [("m", b"\0\0\0\2A\0\0")]
    assert mail_server.packets_in(wire.encode_field_insertion(1, b"A", b" b")) == [("i", b"\0\0\0\1A\0 b\0")]
    assert mail_server.packets_in(wire.encode_field_addition(b"A", b" b")) == [("h", b"A\0 b\0")]
    with pytest.raises(ValueError, match="NUL"):
        wire.encode_field_addition(b"A", b"\0")


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 131_070, 200_000])
def test_a_body_goes_in_chunks_that_every_mail_server_takes(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    packets = mail_server.packets_in(b"".join(wire.encode_body(b"header" + body[:size], 6)))
    assert {letter for letter, _ in packets} == {"b"}
    assert b"".join(payload for _, payload in packets) == body[:size]
    assert all(len(payload) <= 65_535 for _, payload in packets)


def test_a_reply_is_one_line_without_formats() -> None:
    data = wire.encode_reply_code(451, "4.3.0", "a%sb\r\n250 c\0\u00e4" + "x" * 1000)
    ((letter, payload),) = mail_server.packets_in(data)
    assert letter == "y"
    assert payload.startswith(b"451 4.3.0 a sb  250 c")
    assert payload.count(b"\0") == 1
    assert payload.endswith(b"\0")
    assert b"%" not in payload
    assert len(payload) < 450
