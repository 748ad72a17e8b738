"""Setup: a mail server's transcripts, replayed whole, byte by byte and in random pieces.

Test: the message comes out as the mail server has it, and our answers make exactly what we want of it.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.milter import mail_server
from endpoints.milter.mail_server import StoredMessage, packets_in
from mailveil.endpoints.milter.dialogue import Dialogue, Message, NotOfferedError, Turn
from mailveil.endpoints.milter.fieldchanges import InexpressibleError
from mailveil.ports import Reply

RAW = (
    b"Received: from a\r\n\tby b\r\nFrom:  two spaces\r\nX:none\r\nY:\ttab\r\nE:\r\nS: \r\nSubject: =?x?\xe4\r\n"
    b"  folded\r\n \r\n\tmore \r\nreceived: from c\r\n\r\n\xe4 body\0\r\n..\r\n\r\n"
)
LIMIT = 1 << 20


def replay(
    data: bytes, sizes=(), *, dialogue: Dialogue | None = None, answer=None
) -> tuple[list[object], bytes]:
    """Feed a dialogue and let ``answer`` answer each message; return the turns and what was sent."""
    dialogue = dialogue or Dialogue(LIMIT)
    turns: list[object] = []
    sent = b""
    for piece in mail_server.cut(data, sizes):
        dialogue.receive(piece)
        while (turn := dialogue.advance()) is not None:
            turns.append(turn)
            if turn is Turn.CONTENT:
                dialogue.begin()
            elif isinstance(turn, Message):
                (answer or (lambda each, message: each.answer(message.raw)))(dialogue, turn)
            elif turn is Turn.END:
                return turns, sent + dialogue.take_output()
        sent += dialogue.take_output()
    return turns, sent


def session(*messages: bytes, steps: int = mail_server.ALL_STEPS, chunk_bytes: int = 20) -> bytes:
    leading = bool(steps & 0x100000)
    return b"".join([
        mail_server.negotiation(steps=steps),
        mail_server.macros("C", j="mx.example.org"),
        mail_server.connect(),
        mail_server.helo(),
        *(mail_server.envelope() + mail_server.macros("E", i="4aBcD")
          + mail_server.content(each, chunk_bytes, leading_space=leading) for each in messages),
        mail_server.packet("Q"),
    ])  # fmt: skip


@pytest.mark.parametrize("sizes", [(), (1,), (7, 1, 30)])
def test_a_message_is_rebuilt_and_passes_without_any_modification(sizes) -> None:
    turns, sent = replay(session(RAW, b"A: b\r\n\r\n", b"\r\nbody\r\n"), sizes)
    messages = [turn for turn in turns if isinstance(turn, Message)]
    assert [each.raw for each in messages] == [RAW, b"A: b\r\n\r\n", b"\r\nbody\r\n"]
    assert turns[-1] is Turn.END
    letters = [letter for letter, _ in packets_in(sent)]
    assert letters == ["O", "c", "c", "c"], "one answer for each message and nothing else"
    (message, *_) = messages
    assert message.identifier == "4aBcD"
    envelope = message.envelope
    assert (envelope.sender, envelope.recipients) == ("a@example.com", ("reader@example.org",))
    assert (envelope.client_address, envelope.helo) == ("192.0.2.1", "client.example")
    assert envelope.body_8bit
    assert not any((envelope.smtputf8, envelope.authenticated, envelope.local_origin))


@given(st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_cut_anywhere_it_is_the_same_conversation(sizes: list[int]) -> None:
    assert replay(session(RAW), sizes) == replay(session(RAW))


def test_every_reply_that_can_be_skipped_is_and_macros_are_asked_for() -> None:
    _, sent = replay(mail_server.negotiation())
    ((letter, payload),) = packets_in(sent)
    assert (letter, payload[:4]) == ("O", b"\0\0\0\6")
    actions, steps = int.from_bytes(payload[4:8]), int.from_bytes(payload[8:12])
    assert actions == 0x01 | 0x02 | 0x10 | 0x100
    assert steps & mail_server.UNANSWERED == mail_server.UNANSWERED
    assert steps & 0x100000, "leading space"
    assert not steps & 0x3F, "connection, greeting, envelope, header and body are wanted"
    assert b"{auth_type} {auth_authen}" in payload


@pytest.mark.parametrize(
    ("version", "steps", "replies"),
    [(6, 0x1FFFFF, 1), (6, 0x1FFFFF & ~mail_server.UNANSWERED, 12), (3, 0x1FF, 9), (2, 0x7F, 11)],
)
def test_old_mail_servers_get_every_reply_they_wait_for(version: int, steps: int, replies: int) -> None:
    raw = b"A: 1\r\nB: 2\r\n\r\n0123456789"
    data = b"".join([
        mail_server.negotiation(version, 0x3F, steps), mail_server.connect(), mail_server.helo(),
        mail_server.envelope(),
        *([mail_server.packet("T")] if version > 3 else []),
        mail_server.content(raw, 4, leading_space=bool(steps & 0x100000)),
    ])  # fmt: skip
    turns, sent = replay(data)
    (message,) = [turn for turn in turns if isinstance(turn, Message)]
    assert message.raw == raw
    ((first, offer), *rest) = packets_in(sent)
    assert (first, len(offer)) == ("O", 12), "no request for macros where none was offered"
    assert int.from_bytes(offer[:4]) == version
    assert int.from_bytes(offer[8:12]) & ~steps == 0, "nothing that was not offered"
    assert {letter for letter, _ in rest} == {"c"}
    # connect, helo, mail, recipient, data, two fields, end of header, three of body, end of message
    assert len(rest) == replies


def test_without_leading_space_a_field_is_rebuilt_as_well_as_can_be() -> None:
    turns, _ = replay(session(b"A: 1\r\nB:\t2\r\nC:\r\n 3\r\nD:  4\r\nE:\r\n\r\n", steps=0xFFFFF))
    assert turns[1].raw == b"A: 1\r\nB:\t2\r\nC:\r\n 3\r\nD:  4\r\nE:\r\n\r\n"


CHANGED = (
    b"ARC-Seal: new\r\n on top\r\nReceived: from a\r\n\tby b\r\nFrom:  two spaces\r\nX:changed\r\nY:\ttab\r\n"
    b"S: \r\nInside: new\r\nSubject: =?x?\xe4\r\n  folded\r\n \r\n\tmore else\r\nreceived: from d\r\nLast: new\r\n"
    b"\r\nanother body\0\r\n"
)


@pytest.mark.parametrize("steps", [0x1FFFFF, 0xFFFFF])
def test_a_changed_message_becomes_exactly_what_was_wanted(steps: int) -> None:
    stored = StoredMessage(RAW, leading_space=bool(steps & 0x100000))
    _, sent = replay(session(RAW, steps=steps)[:-5], answer=lambda each, message: each.answer(CHANGED))
    first = packets_in(sent)[0]
    stored.apply(sent[5 + len(first[1]) :])
    assert stored.is_answered
    expected = CHANGED if stored.leading_space else CHANGED.replace(b"X:changed", b"X: changed")
    assert stored.delivered == expected


def test_a_changed_body_leaves_fields_alone_and_changed_fields_the_body() -> None:
    for wanted, letters in (
        (RAW.replace(b" body", b"other"), "bc"),
        (RAW.replace(b"X:none\r\n", b""), "mc"),
        (RAW + b"x" * 200_000, "bbbbc"),
        (RAW.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "bc"),
    ):
        _, sent = replay(session(RAW)[:-5], answer=lambda each, message, wanted=wanted: each.answer(wanted))
        assert "".join(letter for letter, _ in packets_in(sent)[1:]) == letters


LINES = st.lists(
    st.sampled_from([b"A: 1", b"a:2", b"B:\t3\r\n 4", b"Received: x", b"C:", b"C: ", b"Long: " + b"y" * 300]),
    max_size=8,
)
MESSAGES = st.builds(
    lambda lines, body: b"".join(each + b"\r\n" for each in lines) + b"\r\n" + body,
    LINES,
    st.binary(max_size=50),
)


@given(MESSAGES, MESSAGES, st.lists(st.integers(1, 60), max_size=4))
def test_any_message_becomes_any_other(before: bytes, after: bytes, sizes: list[int]) -> None:
    stored = StoredMessage(before)
    data = session(before)
    turns, sent = replay(data, sizes, answer=lambda each, message: each.answer(after))
    assert turns[1].raw == before
    stored.apply(sent[4 + int.from_bytes(sent[:4]) :])
    assert stored.is_answered
    assert stored.delivered == after


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_a_message_beyond_the_limit_is_refused_and_not_kept(size: int) -> None:
    raw = b"A: 1\r\n\r\n"
    raw += b"x" * (size - len(raw))
    dialogue = Dialogue(LIMIT)
    turns, sent = replay(session(raw, b"B: 2\r\n\r\n", chunk_bytes=60_000), dialogue=dialogue)
    messages = [turn.raw for turn in turns if isinstance(turn, Message)]
    answers = packets_in(sent)[1:]
    if size <= LIMIT:
        assert messages == [raw, b"B: 2\r\n\r\n"]
    else:
        assert messages == [b"B: 2\r\n\r\n"], "and the next one passes"
        assert answers[0] == ("y", b"552 5.3.4 Message exceeds the maximum size\0")
        assert Turn.OVER in turns


def test_a_message_that_there_is_no_room_for_is_refused_at_its_end() -> None:
    dialogue = Dialogue(LIMIT)
    dialogue.receive(session(RAW))
    assert dialogue.advance() is Turn.CONTENT
    assert dialogue.advance() is Turn.CONTENT, "nothing happens before it may begin"
    dialogue.begin(Reply(451, "4.3.2", "Busy"))
    assert dialogue.advance() is Turn.OVER
    assert packets_in(dialogue.take_output())[-1] == ("y", b"451 4.3.2 Busy\0")


def test_a_connection_too_many_is_answered() -> None:
    dialogue = Dialogue(LIMIT, Reply(421, "4.3.2", "Full"))
    turns, sent = replay(session(RAW), dialogue=dialogue)
    packets = packets_in(sent)
    assert packets[0][0] == "O"
    assert int.from_bytes(packets[0][1][8:12]) == 0, "every reply is waited for"
    assert packets[1] == ("y", b"421 4.3.2 Full\0")
    assert turns == [Turn.END]


def test_abort_forgets_the_message_and_its_macros() -> None:
    start = mail_server.negotiation() + mail_server.connect() + mail_server.helo()
    first = (
        mail_server.macros("M", i="111", auth_type="PLAIN", auth_authen="me")
        + mail_server.path("M", "me@example.org") + mail_server.path("R", "x@example.com")
    )  # fmt: skip
    part = mail_server.fields(b"Old: 1") + mail_server.packet("B", b"old")
    then = (
        mail_server.path("M", "you@example.com")
        + mail_server.path("R", "r@example.org")
        + mail_server.content(RAW)
    )
    abort, next_client = mail_server.packet("A"), mail_server.packet("K")
    for between, is_over in (
        (abort, False),
        (part + abort, True),
        (b"", False),
        (part, True),
        (next_client, False),
    ):
        turns, _ = replay(start + first + between + then)
        message = turns[-1]
        assert isinstance(message, Message)
        assert message.raw == RAW
        assert message.envelope.recipients == ("r@example.org",)
        assert not message.envelope.authenticated
        assert message.identifier == ""
        assert (Turn.OVER in turns) == is_over


def test_who_a_client_proved_to_be_is_nothing_to_the_next_one() -> None:
    start = (
        mail_server.negotiation()
        + mail_server.connect("localhost", "127.0.0.1", 0)
        + mail_server.helo("ours")
    )
    proven = mail_server.macros("M", i="111", auth_type="PLAIN", auth_authen="me")
    then = mail_server.path("M", "you@example.com") + mail_server.content(RAW)
    begun = proven + mail_server.path("M", "me@example.org") + mail_server.fields(b"Old: 1")
    for before in (proven, begun):
        turns, _ = replay(start + before + mail_server.connect(address="192.0.2.7") + then)
        message = turns[-1]
        assert isinstance(message, Message)
        assert (message.raw, message.identifier) == (RAW, "")
        assert (message.envelope.client_address, message.envelope.helo) == ("192.0.2.7", "")
        assert not message.envelope.authenticated
        assert not message.envelope.local_origin
    turns, _ = replay(start + proven + mail_server.helo("another") + then)
    assert not turns[-1].envelope.authenticated


@pytest.mark.parametrize(
    ("macros", "client", "authenticated", "local"),
    [
        ({"auth_type": "PLAIN", "auth_authen": "me"}, mail_server.connect(), True, False),
        ({"auth_authen": "me"}, mail_server.connect(), True, False),
        ({"auth_authen": ""}, mail_server.connect(), False, False),
        ({}, mail_server.connect("localhost", "127.0.0.1", 0), False, True),
        ({}, mail_server.connect("localhost", "IPv6:::1", 0), False, True),
        ({}, mail_server.connect("localhost", "127.0.0.1", 33000), False, False),
        ({}, mail_server.connect("localhost", "192.0.2.1", 0), False, False),
        ({}, mail_server.connect("client.example", "127.0.0.1", 0), False, False),
        ({}, mail_server.packet("C", b"localhost\0U"), False, False),
        ({}, b"", False, False),
    ],
)  # fmt: skip
def test_who_is_one_of_ours(macros, client: bytes, authenticated: bool, local: bool) -> None:
    data = mail_server.negotiation() + client + mail_server.macros("M", **macros)
    data += mail_server.path("M", "a@example.com") + mail_server.content(RAW)
    message = replay(data)[0][-1]
    assert isinstance(message, Message)
    assert (message.envelope.authenticated, message.envelope.local_origin) == (authenticated, local)


def test_only_what_was_offered_is_done() -> None:
    def refused(actions: int, wanted: bytes) -> bool:
        data = mail_server.negotiation(actions=actions) + mail_server.envelope() + mail_server.content(RAW)
        found = []

        def answer(dialogue: Dialogue, message: Message) -> None:
            try:
                dialogue.answer(wanted)
            except NotOfferedError:
                found.append(True)
                dialogue.refuse(Reply(451, "4.3.5", "x"))

        _, sent = replay(data, answer=answer)
        assert packets_in(sent)[-1][0] == ("y" if found else "c")
        return bool(found)

    assert not refused(0, RAW)
    assert refused(0, RAW + b"x")
    assert refused(0x11, RAW + b"x")
    assert not refused(0x02, RAW + b"x")
    assert refused(0x02, RAW.replace(b"X:none", b"X:some"))
    assert refused(0x12, b"New: x\r\n" + RAW)
    assert not refused(0x13, b"New: x\r\n" + RAW)


def test_what_cannot_be_expressed_sends_nothing() -> None:
    dialogue = Dialogue(LIMIT)

    def answer(each: Dialogue, message: Message) -> None:
        each.take_output()
        with pytest.raises(InexpressibleError):
            each.answer(b"no field\r\n" + RAW + b"x")
        assert each.take_output() == b""
        each.refuse(Reply(451, "4.3.0", "x"))

    _, sent = replay(session(RAW), dialogue=dialogue, answer=answer)
    assert packets_in(sent) == [("y", b"451 4.3.0 x\0")]


@pytest.mark.parametrize(
    ("data", "defect"),
    [
        (mail_server.connect(), "no negotiation"),
        (b"GET / HTTP/1.1\r\n\r\n", "packet of"),
        (mail_server.negotiation() * 2, "second negotiation"),
        (mail_server.negotiation() + mail_server.fields(b"A: 1") + b"\0\0\0\1?", "packet b'?'"),
    ],
)
def test_another_language_ends_it(data: bytes, defect: str) -> None:
    dialogue = Dialogue(LIMIT)
    turns, _ = replay(data + session(RAW), dialogue=dialogue)
    assert turns[-1] is Turn.END
    assert defect in dialogue.defect


PACKETS = st.lists(
    st.one_of(
        st.builds(mail_server.packet, st.sampled_from("OCHMRTLNBEDAQKU"), st.binary(max_size=20)),
        st.sampled_from(
            [
                mail_server.negotiation(),
                mail_server.envelope(),
                mail_server.content(RAW),
                mail_server.packet("A"),
                mail_server.fields(b"A: \nB"),
                mail_server.packet("B", b"x"),
                mail_server.packet("E"),
                b"\0\0",
            ]
        ),
    ),
    max_size=12,
)


@given(PACKETS, st.booleans())
def test_any_packets_in_any_order_are_survived(packets: list[bytes], change: bool) -> None:
    def answer(dialogue: Dialogue, message: Message) -> None:
        try:
            dialogue.answer(message.raw + b"x" if change else message.raw)
        except (InexpressibleError, NotOfferedError):
            dialogue.refuse(Reply(451, "4.3.0", "x"))

    _, sent = replay(mail_server.negotiation() + b"".join(packets), answer=answer)
    packets_in(sent)
