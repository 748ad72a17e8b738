"""Attributes of a message's origin for the next hop: what XFORWARD and XCLIENT say about our client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailveil.core.policy import Envelope

# https://www.postfix.org/XFORWARD_README.html: a command takes up no more than 512 bytes with its CRLF.
MAX_COMMAND_BYTES = 510
UNKNOWN = "[UNAVAILABLE]"
VALUE_BYTES = 255


def offered_attributes(extensions: Mapping[str, str], extension: str) -> list[str]:
    """Return the names of the attributes that a server offers to take, none where it does not."""
    return extensions.get(extension, "").upper().split()


def xforward_commands(envelope: Envelope, offered: Sequence[str]) -> list[str]:
    """Return the commands that tell a message's origin for the server's logs; none where nothing is offered.

    What is not known is said to be unknown: the server may still have the origin of the message before. An IPv6
    address goes by itself, since a server without IPv6 refuses the whole command that it stands in.
    """
    values = {**_values(envelope), "IDENT": envelope.queue_id}
    values["SOURCE"] = "LOCAL" if envelope.local_origin else "REMOTE"
    commands: list[str] = []
    words = _words(values, offered)
    alone = [word for word in words if word.startswith("ADDR=IPV6:")]
    for word in [*alone, *(word for word in words if word not in alone)]:
        if commands and commands[-1].partition(" ")[2] not in alone and _fits(commands[-1], word):
            commands[-1] += f" {word}"
        else:
            commands.append(f"XFORWARD {word}")
    return commands


def xclient_command(envelope: Envelope, offered: Sequence[str], *, address: bool = True) -> str:
    """Return the command by which a server takes our client for its own; without ``address`` for a stranger.

    https://www.postfix.org/XCLIENT_README.html
    """
    values = {**_values(envelope), "LOGIN": envelope.login}
    if not address:
        values["ADDR"] = ""
    return " ".join(["XCLIENT", *_words(values, offered)])


def _fits(command: str, word: str) -> bool:
    return len(command) + 1 + len(word) <= MAX_COMMAND_BYTES


def _values(envelope: Envelope) -> dict[str, str]:
    address = envelope.client_address
    return {
        "NAME": envelope.client_name,
        "ADDR": f"IPV6:{address}" if ":" in address else address,
        "PORT": envelope.client_port,
        "PROTO": envelope.client_protocol,
        "HELO": envelope.helo,
    }


def _words(values: Mapping[str, str], offered: Sequence[str]) -> list[str]:
    return [
        f"{name}={_encode_xtext(value) if value else UNKNOWN}"
        for name, value in values.items()
        if name in offered
    ]


def _encode_xtext(value: str) -> str:
    """Encode as xtext (RFC 3461 section 4)."""
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}"
        for byte in value.encode("utf-8", "surrogateescape")[:VALUE_BYTES]
    )
