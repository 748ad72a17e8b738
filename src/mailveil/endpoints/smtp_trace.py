"""Trace fields: the one that we put on top of a message, and the others by which loops are told."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate

from mailveil.ports import MailProtocol, Reply, Transaction

FIELD_NAME_BYTES = 998


def protocol_name(protocol: MailProtocol, *, extended: bool, encrypted: bool, utf8: bool) -> str:
    """Return what a trace field says was spoken (RFC 3848, with SMTPUTF8 RFC 6531 section 4.3)."""
    if not extended:
        return "SMTP"
    letter = "S" if encrypted else ""
    if utf8:
        return f"UTF8{protocol.upper()}{letter}"
    return ("LMTP" if protocol is MailProtocol.LMTP else "ESMTP") + letter


def received_field(*, helo: str, address: str, hostname: str, protocol: str, identifier: str) -> bytes:
    """Return the trace field that every relay prepends (RFC 5321 section 4.4, protocols RFC 3848, 6531)."""
    literal = f"IPv6:{address}" if ":" in address else address
    name = "".join(c for c in helo if c.isascii() and (c.isalnum() or c in "-._:[]"))[:255]
    return (
        f"Received: from {name or 'unknown'} ([{literal or 'unknown'}])\r\n"
        f"\tby {hostname} (mailveil) with {protocol} id {identifier};\r\n"
        f"\t{formatdate().replace('-0000', '+0000')}\r\n"
    ).encode("ascii", "replace")


def count_hops(raw: bytes) -> int:
    """Return how many ``Received`` fields a message's header has (RFC 5321 section 6.3)."""
    ends = [at for at in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if at >= 0]
    header = b"\n" + raw[: min(ends, default=len(raw))].lower()
    return header.count(b"\nreceived:") + header.count(b"\rreceived:")


def begins_with_field(raw: bytes) -> bool:
    """Tell whether a message begins with a well-formed header field (RFC 5322 section 2.2)."""
    name = raw[:FIELD_NAME_BYTES].partition(b":")[0]
    return len(name) < min(len(raw), FIELD_NAME_BYTES) and name != b"" and all(33 <= c <= 126 for c in name)


class Traced:
    """A transaction that puts our trace field on top of what is delivered."""

    def __init__(self, transaction: Transaction, trace: bytes) -> None:
        self.transaction = transaction
        self.trace = trace

    async def recipient(self, address: str, options: Sequence[str] = ()) -> Reply:
        """Offer one recipient."""
        return await self.transaction.recipient(address, options)

    async def deliver(self, raw: bytes) -> Reply:
        """Hand over the message with its trace field."""
        return await self.transaction.deliver(self.trace + raw)

    def close(self) -> None:
        """End the transaction."""
        self.transaction.close()
