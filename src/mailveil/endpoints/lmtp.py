"""LMTP door (RFC 2033): takes mail in as the SMTP door does, and answers for each recipient by itself."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from mailveil.endpoints.smtp import SmtpDoor
from mailveil.endpoints.smtp_connection import Command
from mailveil.endpoints.smtp_replies import OTHER_RULES, OUT_OF_SEQUENCE
from mailveil.endpoints.smtp_session import SmtpSession
from mailveil.ports import MailProtocol, Reply, Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PARTS = 20  # of one message, for recipients with different rules
HELLO_IS_LHLO = frozenset({"HELO", "EHLO"})


class LmtpSession(SmtpSession):
    """One client's LMTP session.

    A message for recipients with different rules goes on in several transactions, one for each set of rules: since
    every recipient gets a reply of its own, nobody has to send it again.
    """

    protocol = MailProtocol.LMTP

    def __init__(self, door: SmtpDoor) -> None:
        super().__init__(door)
        self._parts: dict[str, Transaction] = {}  # by profile

    @property
    def ident(self) -> str:
        """What the greeting says that is spoken here."""
        return "LMTP"

    def commands(self, known: dict[str, Command]) -> dict[str, Command]:
        """Return the commands: LHLO takes the place of HELO and EHLO, which are refused (section 4.1)."""
        return {name: method for name, method in known.items() if name not in HELLO_IS_LHLO}

    async def smtp_LHLO(self, hostname: str | None) -> None:  # noqa: N802
        """Greet, as EHLO does."""
        await self.smtp_EHLO(hostname)

    @property
    def max_recipients(self) -> int:
        """How many recipients a message may have: each gets its own reply, whatever the next hop speaks."""
        return self.door.settings.max_recipients

    @property
    def no_recipients(self) -> Reply:
        """What DATA is answered with where no recipient was accepted (section 4.2)."""
        return OUT_OF_SEQUENCE

    async def transaction_for(self, profile: str) -> Transaction | Reply:
        """Return the transaction for recipients of a profile, a new one where there is none yet."""
        assert self.transaction is not None
        if not self._parts:
            self._parts[profile] = self.transaction
        if profile not in self._parts:
            if len(self._parts) >= MAX_PARTS:
                return OTHER_RULES
            size, options = self.announced
            another, reply = await self.door.next_hop.begin(self.sender, size, options)
            if another is None:
                return reply
            self._parts[profile] = another
        return self._parts[profile]

    async def _pass_on(self, message: bytes) -> Reply:
        by_profile: defaultdict[str, list[str]] = defaultdict(list)
        for recipient, profile in zip(self.recipients, self.profiles, strict=True):
            by_profile[profile].append(recipient)
        parts = [(self._parts[profile], tuple(own)) for profile, own in by_profile.items()]
        replies = [(await self.pass_to(transaction, own, message), own) for transaction, own in parts]
        return replies[0][0] if len(replies) == 1 else _joined(replies)

    def _end_transaction(self) -> None:
        """Forget the mail transaction with all its parts."""
        for part in self._parts.values():
            part.close()
        self._parts = {}
        super()._end_transaction()

    async def answer_message(self, reply: Reply, recipients: tuple[str, ...]) -> None:
        """Say what became of a message, once for each recipient, in the order in which they were accepted."""
        own: defaultdict[str, deque[Reply]] = defaultdict(deque)
        for recipient, each in reply.recipients:
            own[recipient].append(each)
        for recipient in recipients:
            await self.answer(own[recipient].popleft() if own[recipient] else reply)


def _joined(replies: Sequence[tuple[Reply, tuple[str, ...]]]) -> Reply:
    """Return the replies to the parts of a message as one, positive if one of them is."""
    each: list[tuple[str, Reply]] = []
    for reply, recipients in replies:
        each += reply.recipients or [(recipient, reply) for recipient in recipients]
    best = next((reply for reply, _ in replies if reply.is_positive), replies[0][0])
    return Reply(best.code, best.status, best.text, tuple(each))


class LmtpDoor(SmtpDoor):
    """The listening side for LMTP."""

    session = LmtpSession
