"""Syslog: an event as a message of RFC 5424, never longer than asked for, never more than one message. Pure and total.

What does not fit loses details, last of all everything but which event it is; a message is never cut in the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mailveil import __version__
from mailveil.core.sharing.headlines import PRODUCT, headline
from mailveil.core.sharing.trimming import MAX_IDENTIFIER, fitting, name_only
from mailveil.core.sharing.types import EventKind, SharedEvent
from mailveil.core.sharing.wording import line, timestamp

BOM: Final = b"\xef\xbb\xbf"
ENTERPRISE: Final = 32473  # RFC 5612: the one for examples, since we have none of our own
LEAST_TEXT_BYTES: Final = 200
SHORT: Final = 32
MAX_SEQUENCE: Final = 2_147_483_647  # RFC 5424 section 7.3.1
_SEVERITIES: Final = ((0.9, 2), (0.7, 3), (0.4, 4), (0.0, 5))  # critical, error, warning, notice
_INFORMATIONAL: Final = 6


@dataclass(frozen=True, slots=True)
class SyslogHeader:
    """What every message of a destination begins with. ``facility`` is 0 to 23."""

    facility: int
    hostname: str
    app_name: str = PRODUCT


def encode_syslog(
    event: SharedEvent, header: SyslogHeader, encode: Callable[[SharedEvent], str], max_bytes: int
) -> bytes:
    """Return an event as a message; ``encode`` makes its text."""
    told = headline(event)
    start = _start(event, header, _severity(event, told.score), told.subject)
    if len(start) > max_bytes - LEAST_TEXT_BYTES:
        start = _short_start(event, header, _severity(event, told.score))
    room = max_bytes - len(start) - len(BOM)
    text = fitting(event, encode, room) or fitting(name_only(event), encode, room)
    if not text:
        text = f"event {line(event.identifier, SHORT)}: {event.kind}"
    raw = text.encode("utf-8", "replace")
    return start + (raw if text.isascii() else BOM + raw)


def _severity(event: SharedEvent, score: float) -> int:
    if event.kind is EventKind.TEST:
        return _INFORMATIONAL
    return next(severity for least, severity in _SEVERITIES if score >= least)


def _start(event: SharedEvent, header: SyslogHeader, severity: int, subject: str) -> bytes:
    fields = (
        f"<{header.facility * 8 + severity}>1",
        timestamp(event.at),
        _printable(header.hostname, 255),
        _printable(header.app_name, 48),
        "-",
        _printable(str(event.kind), 32),
        _structured(event, subject),
        "",
    )
    return " ".join(fields).encode("utf-8", "replace")


def _short_start(event: SharedEvent, header: SyslogHeader, severity: int) -> bytes:
    """Return a beginning for whoever takes hardly more than RFC 5424 demands of them (section 6.1: 480 bytes)."""
    fields = (
        f"<{header.facility * 8 + severity}>1",
        timestamp(event.at),
        _printable(header.hostname, 40),
        _printable(header.app_name, 48),
        "-",
        _printable(str(event.kind), 32),
        _element(
            f"{PRODUCT}@{ENTERPRISE}", {"id": line(event.identifier, SHORT), "number": str(event.number)}
        ),
        "",
    )
    return " ".join(fields).encode("utf-8", "replace")


def _structured(event: SharedEvent, subject: str) -> str:
    own = {
        "id": line(event.identifier, MAX_IDENTIFIER),
        "number": str(event.number),
        "organisation": line(event.organisation, MAX_IDENTIFIER),
        "tlp": str(event.traffic_light),
        "subject": line(subject, MAX_IDENTIFIER),
    }
    meta = {"sequenceId": str((event.number - 1) % MAX_SEQUENCE + 1)} if event.number > 0 else {}
    elements = (
        _element(f"{PRODUCT}@{ENTERPRISE}", own),
        _element("origin", {"software": PRODUCT, "swVersion": __version__}),
        _element("meta", meta) if meta else "",
    )
    return "".join(elements)


def _element(name: str, parameters: dict[str, str]) -> str:
    shown = "".join(f' {key}="{_escaped(text)}"' for key, text in parameters.items())
    return f"[{name}{shown}]"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _printable(text: str, longest: int) -> str:
    """Return a field of the header: printable ASCII without blanks, ``-`` for none."""
    return "".join(each for each in text if "!" <= each <= "~")[:longest] or "-"
