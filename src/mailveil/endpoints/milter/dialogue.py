"""Milter dialogue: one connection of a mail server as a state machine, bytes in, turns and bytes out; no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from ipaddress import ip_address

from mailveil.core.policy import Envelope
from mailveil.endpoints.milter import wire
from mailveil.endpoints.milter.fieldchanges import (
    AppendField,
    ChangeField,
    FieldChange,
    InsertField,
    find_changes,
    split_message,
)
from mailveil.endpoints.milter.wire import Action, Step
from mailveil.ports import Reply

TOO_LARGE = Reply(552, "5.3.4", "Message exceeds the maximum size")
ACTIONS = Action.ADD_FIELDS | Action.CHANGE_BODY | Action.CHANGE_FIELDS
STEPS = (
    Step.NO_UNKNOWN | Step.NO_END_OF_HEADER | Step.LEADING_SPACE
    | Step.UNANSWERED_CONNECT | Step.UNANSWERED_HELO | Step.UNANSWERED_MAIL | Step.UNANSWERED_RECIPIENT
    | Step.UNANSWERED_DATA | Step.UNANSWERED_UNKNOWN | Step.UNANSWERED_FIELD
    | Step.UNANSWERED_END_OF_HEADER | Step.UNANSWERED_BODY
)  # fmt: skip
# All that is asked about; without this request a mail server sends what its administrator configured. Postfix
# knows its queue identifier by DATA, and would repeat what is asked for the end before every single field.
MACROS: Mapping[int, tuple[str, ...]] = dict.fromkeys(wire.STAGES, ()) | {
    wire.CONNECT_MACROS: ("{client_addr}",),
    wire.MAIL_MACROS: ("i", "{auth_type}", "{auth_authen}"),
    wire.DATA_MACROS: ("i",),
}
ANSWERED: Mapping[type, Step] = {
    wire.Connect: Step.UNANSWERED_CONNECT,
    wire.Helo: Step.UNANSWERED_HELO,
    wire.Mail: Step.UNANSWERED_MAIL,
    wire.Recipient: Step.UNANSWERED_RECIPIENT,
    wire.Data: Step.UNANSWERED_DATA,
    wire.Field: Step.UNANSWERED_FIELD,
    wire.EndOfHeader: Step.UNANSWERED_END_OF_HEADER,
    wire.Body: Step.UNANSWERED_BODY,
    wire.UnknownCommand: Step.UNANSWERED_UNKNOWN,
}
CONTENT = frozenset({wire.Field, wire.EndOfHeader, wire.Body, wire.EndOfMessage})


class NotOfferedError(Exception):
    """The mail server does not let filters do what this message needs."""


class Turn(Enum):
    """What the dialogue asks of whoever drives it."""

    CONTENT = auto()  # a message is about to come: ``begin`` it when there is room
    OVER = auto()  # that message came to nothing, or has been refused
    END = auto()  # hang up


@dataclass(frozen=True, slots=True)
class Message:
    """A complete message, rebuilt with CRLF as the mail server has it. ``answer`` it or ``refuse`` it."""

    envelope: Envelope
    raw: bytes
    identifier: str


class _State(Enum):
    UNMET = auto()  # nothing negotiated yet
    ENVELOPE = auto()
    CONTENT = auto()
    ANSWERING = auto()
    ENDED = auto()


class Dialogue:
    """Feed it with ``receive``, then take turns with ``advance`` until None; send what ``take_output`` returns.

    ``refusal`` is the answer to whatever a client does, where the connection is one too many.
    """

    def __init__(self, max_message_bytes: int, refusal: Reply | None = None) -> None:
        self.actions = Action(0)
        self.steps = Step(0)
        self._awaited: frozenset[type] = frozenset()  # events that the mail server waits for an answer to
        self._has_leading_space = False
        self.defect = ""  # why the dialogue ended, if not by the mail server's leave
        self._max_message_bytes = max_message_bytes
        self._refuse_all = refusal
        self._reader = wire.PacketReader()
        self._events: deque[wire.Event] = deque()
        self._output: list[bytes] = []
        self._state = _State.UNMET
        self._client = wire.Connect("", "U", 0, "")
        self._helo = ""
        self._macros: dict[bytes, Mapping[str, str]] = {}
        self._of_mail: Mapping[str, str] = {}
        self._refusal: Reply | None = None
        self._forget()

    # --- what the driver does ----------------------------------------------------------------------------

    @property
    def is_under_way(self) -> bool:
        """Tell whether a message is coming in or waits for its answer."""
        return self._state in (_State.CONTENT, _State.ANSWERING) or bool(self._recipients)

    @property
    def is_answering(self) -> bool:
        """Tell whether a message waits for its answer."""
        return self._state is _State.ANSWERING

    def receive(self, data: bytes) -> None:
        """Take what the mail server sent."""
        self._events += self._reader.receive(data)

    def take_output(self) -> bytes:
        """Return what is to be sent, once."""
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def begin(self, refusal: Reply | None = None) -> None:
        """Let the message come in, or let it pass by and be refused at its end."""
        self._state = _State.CONTENT
        self._refusal = refusal

    @property
    def held_bytes(self) -> int:
        """How much of a message is held."""
        return len(self._received) or len(self._raw)

    def let_go(self, reply: Reply) -> None:
        """Keep nothing of the message that is coming in, and refuse it at its end."""
        self._refusal = self._refusal or reply
        self._received = bytearray()

    def answer(self, raw: bytes) -> None:
        """Take the message, as ``raw``: send exactly what differs from what the mail server has.

        Raises ``NotOfferedError`` and ``InexpressibleError``; then nothing is sent, and ``refuse`` is due.
        """
        before = self._raw
        pieces: list[bytes] = []
        if raw is not before and raw != before:
            pieces = self._modifications(before, raw)
        self._finish([*pieces, wire.CONTINUE])

    def refuse(self, reply: Reply) -> None:
        """Refuse the message with a reply of 4yz or 5yz."""
        self._finish([wire.encode_reply_code(reply.code, reply.status, reply.text)])

    def advance(self) -> Turn | Message | None:
        """Return the next turn; None where more has to be received, or a message answered, first."""
        while self._events and self._state not in (_State.ANSWERING, _State.ENDED):
            event = self._events[0]
            kind = type(event)
            if self._state is _State.UNMET:
                self._meet(self._events.popleft())
                continue
            if self._refuse_all is not None:
                self._turn_away(self._events.popleft(), self._refuse_all)
                continue
            if kind in CONTENT and self._state is _State.ENVELOPE:
                return Turn.CONTENT
            self._events.popleft()
            if kind is wire.Field or kind is wire.Body:
                self._take(event)
            elif kind is wire.EndOfMessage:
                return self._complete(event)
            else:
                turn = self._hear(event)
                if turn is not None:
                    return turn
            if kind in self._awaited:
                self._output.append(wire.CONTINUE)
        if self._state is _State.ENDED:
            return Turn.END
        return None

    # --- the conversation --------------------------------------------------------------------------------

    def _meet(self, event: wire.Event) -> None:
        if type(event) is not wire.Negotiation:
            self._end(event.reason if type(event) is wire.Malformed else "no negotiation")
            return
        self._state = _State.ENVELOPE
        self.actions = event.actions & (ACTIONS | Action.REQUEST_MACROS)
        if self._refuse_all is None:
            self.steps = event.steps & STEPS
        self._awaited = frozenset(kind for kind, step in ANSWERED.items() if step not in self.steps)
        self._has_leading_space = Step.LEADING_SPACE in self.steps
        self._output.append(
            wire.encode_negotiation(
                min(event.version, wire.VERSION),
                self.actions,
                self.steps,
                MACROS if Action.REQUEST_MACROS in self.actions else None,
            )
        )

    def _turn_away(self, event: wire.Event, reply: Reply) -> None:
        if type(event) in ANSWERED or type(event) is wire.EndOfMessage:
            self._output.append(wire.encode_reply_code(reply.code, reply.status, reply.text))
        elif type(event) is wire.Quit or type(event) is wire.Malformed:
            self._end("")

    def _hear(self, event: wire.Event) -> Turn | None:
        match event:
            case wire.Macros():
                self._macros[event.command] = event.values
            case wire.Connect():
                over = self._state is _State.CONTENT
                of_connection = self._macros.get(b"C", {})
                self._forget_client()
                self._client, self._macros = event, {b"C": of_connection}
                return Turn.OVER if over else None
            case wire.Helo():
                self._helo = event.name
                # Whoever greets begins anew: what was said to be true of a transaction no longer is.
                self._macros.pop(b"M", None)
            case wire.Mail():
                of_mail = self._macros.pop(b"M", {})
                over = self._state is _State.CONTENT
                self._forget()
                self._mail, self._of_mail = event, of_mail
                self._state = _State.ENVELOPE
                return Turn.OVER if over else None
            case wire.Recipient():
                self._recipients.append(event.path)
            case wire.Abort() | wire.NextClient():
                over = self._state is _State.CONTENT
                if isinstance(event, wire.NextClient):
                    self._forget_client()
                else:
                    self._forget()
                    self._state = _State.ENVELOPE
                return Turn.OVER if over else None
            case wire.Quit():
                self._end("")
            case wire.Malformed():
                self._end(event.reason)
            case wire.Negotiation():
                self._end("a second negotiation")
        return None

    def _end(self, defect: str) -> None:
        self.defect = defect
        self._state = _State.ENDED
        self._events.clear()
        self._forget()

    def _forget_client(self) -> None:
        """Forget the client and its transaction."""
        self._forget()
        self._client, self._helo = wire.Connect("", "U", 0, ""), ""
        self._macros.clear()
        self._state = _State.ENVELOPE

    def _forget(self) -> None:
        """Forget the transaction."""
        self._mail = wire.Mail("", ())
        self._of_mail = {}
        self._recipients: list[str] = []
        self._refusal = None
        self._received = bytearray()
        self._in_body = False
        self._raw = b""
        self._macros = {command: each for command, each in self._macros.items() if command in (b"C", b"H")}

    def _finish(self, pieces: list[bytes]) -> None:
        self._output += pieces
        self._forget()
        self._state = _State.ENVELOPE

    # --- content -----------------------------------------------------------------------------------------

    def _take(self, event: wire.Event) -> None:
        if self._refusal is not None:
            return
        if type(event) is wire.Field:
            if self._in_body:
                self._refusal = Reply(451, "4.3.0", "Cannot process the message now, try again later")
                return
            value = event.value
            if b"\n" in value:
                value = value.replace(b"\n", b"\r\n")
            # Without that step the mail server left out one space, if there was any.
            stripped = not self._has_leading_space and value[:1] not in (b"\t", b"\r", b"")
            self._received += b"%b:%b%b\r\n" % (event.name, b" " if stripped else b"", value)
        elif type(event) is wire.Body:
            if not self._in_body:
                self._in_body = True
                self._received += b"\r\n"
            self._received += event.chunk
        if len(self._received) > self._max_message_bytes:
            self._refusal = TOO_LARGE
            self._received = bytearray()

    def _complete(self, event: wire.Event) -> Turn | Message:
        assert type(event) is wire.EndOfMessage
        self._take(wire.Body(event.chunk))
        if self._refusal is not None:
            self.refuse(self._refusal)
            return Turn.OVER
        self._raw = bytes(self._received)
        self._received = bytearray()
        self._state = _State.ANSWERING
        return Message(self._envelope(), self._raw, self._identifier())

    def _envelope(self) -> Envelope:
        options = {option.upper() for option in self._mail.options}
        address = _address(self._client.address) or _address(
            self._macros.get(b"C", {}).get("client_addr", "")
        )
        return Envelope(
            sender=self._mail.path,
            recipients=tuple(self._recipients),
            client_address=address,
            helo=self._helo,
            authenticated=bool(self._of_mail.get("auth_type") or self._of_mail.get("auth_authen")),
            local_origin=_is_local(self._client),
            smtputf8="SMTPUTF8" in options,
            body_8bit="BODY=8BITMIME" in options,
        )

    def _identifier(self) -> str:
        """Return the mail server's queue identifier, ``""`` where it gave none of the usual form."""
        for of_command in (*self._macros.values(), self._of_mail):
            identifier = of_command.get("i", "")
            if identifier.isascii() and identifier.isalnum() and len(identifier) <= 32:
                return identifier
        return ""

    # --- the answer --------------------------------------------------------------------------------------

    def _modifications(self, before: bytes, after: bytes) -> list[bytes]:
        old_fields, old_start = split_message(before)
        if after.startswith(before[:old_start]):
            changes: list[FieldChange] = []
            new_start = old_start
        else:
            new_fields, new_start = split_message(after)
            changes = find_changes(old_fields, new_fields)
        body_stays = memoryview(before)[old_start:] == memoryview(after)[new_start:]
        needed = Action(0)
        if not body_stays:
            needed |= Action.CHANGE_BODY
        for change in changes:
            is_new = isinstance(change, InsertField | AppendField)
            needed |= Action.ADD_FIELDS if is_new else Action.CHANGE_FIELDS
        if needed & ~self.actions:
            raise NotOfferedError("the mail server lets no filter change messages")
        pieces = [self._encode(change) for change in changes]
        return pieces if body_stays else pieces + wire.encode_body(after, new_start)

    def _encode(self, change: FieldChange) -> bytes:
        match change:
            case ChangeField(name, occurrence, value):
                return wire.encode_field_change(name, occurrence, self._sent(value))
            case InsertField(position, name, value):
                # Above the first field that we were shown stands the mail server's own trace field, which it
                # does not show to filters but counts when they insert.
                return wire.encode_field_insertion(position + 1, name, self._sent(value))
            case AppendField(name, value):
                return wire.encode_field_addition(name, self._sent(value))
        return wire.encode_field_change(change.name, change.occurrence, b"")

    def _sent(self, value: bytes) -> bytes:
        value = value.replace(b"\r\n", b"\n")
        if self._has_leading_space:
            return value
        return value.removeprefix(b" ")  # the mail server puts it there again


@lru_cache(maxsize=1024)
def _address(text: str) -> str:
    try:
        return str(ip_address(text[5:] if text[:5].upper() == "IPV6:" else text))
    except ValueError:
        return ""


def _is_local(client: wire.Connect) -> bool:
    """Tell whether a message was made on the mail server itself.

    For mail that came by the ``sendmail`` command Postfix makes up a client: localhost at a loopback address,
    with no port, which no connection has. Whoever connects from this machine by SMTP is not told from a
    forwarder of outside mail, and what cannot be proven to be local is from outside.
    """
    if client.host != "localhost" or client.port != 0 or client.family not in ("4", "6"):
        return False
    address = _address(client.address)
    return bool(address) and ip_address(address).is_loopback
