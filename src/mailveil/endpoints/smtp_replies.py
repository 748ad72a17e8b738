"""Replies of the SMTP door, and how any reply goes over the wire."""

from __future__ import annotations

from mailveil.ports import Reply

BUSY = Reply(451, "4.3.2", "Too many messages at once, try again later")
FULL = Reply(421, "4.3.2", "Too many connections, try again later")
OUT_OF_SEQUENCE = Reply(503, "5.5.1", "Bad sequence of commands")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
SYNTAX = Reply(501, "5.5.4", "Syntax error in parameters")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not recognised")
RELAY_DENIED = Reply(550, "5.7.1", "Relaying denied")
TOO_LARGE = Reply(552, "5.3.4", "Message exceeds the maximum size")
UNRECOGNISED = Reply(500, "5.5.1", "Command not recognised")
TOO_MANY = Reply(452, "4.5.3", "Too many recipients, send the message again for the rest")
OTHER_RULES = Reply(452, "4.5.3", "Other rules hold for this recipient, send the message again for it")
NO_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
NO_ROOM = Reply(452, "4.3.1", "No room for a message of this size now, try again later")
SMUGGLING = Reply(554, "5.6.0", "Lone dot between bare line breaks refused (SMTP smuggling)")
LOOP = Reply(554, "5.4.6", "Too many hops, mail loop")
SILENT = Reply(421, "4.4.2", "Nothing was said for too long")
GOODBYE = Reply(221, "2.0.0", "Bye")
OK = Reply(250, "2.0.0", "OK")


def encode_reply(reply: Reply) -> bytes:
    """Return a reply as it goes over the wire, without its last CRLF (RFC 5321 section 4.2.1)."""
    prefix = f"{reply.status} " if reply.status else ""
    text = reply.text.replace("\r\n", "\n").replace("\r", "\n")
    lines = ["".join(c for c in line if c.isprintable() or c == " " or "\udc80" <= c <= "\udcff")
             for line in text.split("\n")]  # fmt: skip
    encoded = [
        f"{reply.code}{' ' if number == len(lines) else '-'}{prefix}{line}".rstrip() or str(reply.code)
        for number, line in enumerate(lines, 1)
    ]
    return "\r\n".join(encoded).encode("utf-8", "surrogateescape")
