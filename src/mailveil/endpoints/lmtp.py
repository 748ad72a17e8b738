"""LMTP door (RFC 2033): takes mail in as the SMTP door does, and answers for each recipient by itself."""

from __future__ import annotations

from collections import defaultdict, deque

from mailveil.endpoints.smtp import SmtpDoor
from mailveil.endpoints.smtp_connection import Command
from mailveil.endpoints.smtp_replies import OUT_OF_SEQUENCE
from mailveil.endpoints.smtp_session import SmtpSession
from mailveil.ports import MailProtocol, Reply

HELLO_IS_LHLO = frozenset({"HELO", "EHLO"})


class LmtpSession(SmtpSession):
    """One client's LMTP session."""

    protocol = MailProtocol.LMTP

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

    async def answer_message(self, reply: Reply, recipients: tuple[str, ...]) -> None:
        """Say what became of a message, once for each recipient, in the order in which they were accepted."""
        own: defaultdict[str, deque[Reply]] = defaultdict(deque)
        for recipient, each in reply.recipients:
            own[recipient].append(each)
        for recipient in recipients:
            await self.answer(own[recipient].popleft() if own[recipient] else reply)


class LmtpDoor(SmtpDoor):
    """The listening side for LMTP."""

    session = LmtpSession
