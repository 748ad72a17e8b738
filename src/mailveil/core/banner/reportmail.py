"""Reports by mail: what a reader who writes to the mailbox for reports tells, and about which message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mailveil.core.banner.language import languages
from mailveil.core.banner.marks import RULE
from mailveil.core.banner.reportcode import MAX_CODES, find_report_codes
from mailveil.core.message.charset_names import codec_of, decode_lossily
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.parse import parse_entity, parse_message
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits, Message, Part

MAX_RAW_BYTES: Final = 2 * 1024 * 1024
MAX_TEXT_BYTES: Final = 256 * 1024
MAX_PARTS: Final = 40
MAX_COMMENT: Final = 1_000
_QUOTATION: Final = re.compile(r"[ \t]*(?:>|-{3,}|_{3,}|\* ?From:|From:|Von:|De\s?:|差出人)")


class ReportedAs(StrEnum):
    """What a report says of a message. Values are those of ``control.records.FeedbackKind``."""

    FALSE_ALARM = "false-alarm"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class ReportMail:
    """What was written: codes that could name the message, in the order of where they stood, and in the reader's words.

    ``message_id`` is that of a message that came with it, ``""`` without one; ``comment`` what stands above all that
    is quoted.
    """

    kind: ReportedAs
    codes: tuple[str, ...]
    comment: str = ""
    message_id: str = ""


def parse_report_mail(raw: bytes) -> ReportMail:
    """Read a report. Total: anything gives one; only the first 2 MiB are looked at, in linear time.

    The kind goes by words of any of our languages in the subject, then in the comment. Without any it is a false alarm
    where a code is named (so there was a notice to complain of), else something that was missed.
    """
    limits = Limits(max_parts=MAX_PARTS, max_nesting=10, max_part_bytes=MAX_RAW_BYTES)
    message = parse_message(raw[:MAX_RAW_BYTES], limits)
    subject = decode_header_text(message.root.field("subject")[:2_000])
    codes = dict.fromkeys(find_report_codes(subject))
    comment: str | None = None
    message_id = ""
    for part, enclosed in _leaves(message, limits):
        if enclosed is not None and not message_id:
            message_id = _identifier(enclosed.field("message-id"))
        text = _text(part, limits)
        codes.update(dict.fromkeys(find_report_codes(text)))
        if comment is None and enclosed is None and part.media_type == "text/plain":
            comment = _comment(text)
    kind = _kind(subject) or _kind(comment or "")
    if kind is None:
        kind = ReportedAs.FALSE_ALARM if codes else ReportedAs.MISSED
    return ReportMail(kind, tuple(codes)[:MAX_CODES], comment or "", message_id)


def _leaves(message: Message, limits: Limits) -> Iterator[tuple[Part, Part | None]]:
    """Yield the leaves of a message, each with the root of the enclosed message that it is of, if any; bounded."""
    waiting: list[tuple[Part, Part | None]] = [(message.root, None)]
    left = MAX_PARTS
    while waiting and left:
        part, enclosed = waiting.pop()
        left -= 1
        if part.media_type.startswith("message/"):
            waiting.extend((root, root) for root in _enclosed(part, limits))
        elif part.children:
            waiting.extend((child, enclosed) for child in reversed(part.children))
        else:
            yield part, enclosed


def _enclosed(part: Part, limits: Limits) -> Sequence[Part]:
    """Return the root of an enclosed message, which some clients send encoded though nobody may."""
    if part.children:
        return part.children[:1]
    sources, _defects = decode_body(part, limits)
    return [parse_entity(sources[0], part.section, limits).root] if sources else []


def _text(part: Part, limits: Limits) -> str:
    if not part.media_type.startswith("text/"):
        return ""
    sources, _defects = decode_body(part, limits)
    data = sources[0].data[:MAX_TEXT_BYTES] if sources else b""
    return decode_lossily(data, codec_of(part.parameters.get("charset", "")) or "utf-8")


def _comment(text: str) -> str:
    """Return what stands above the first line that quotes something."""
    lines: list[str] = []
    for line in text[: 4 * MAX_COMMENT].splitlines():
        if _QUOTATION.match(line) or RULE in line:
            break
        lines.append(line.strip())
    return "\n".join(lines).strip()[:MAX_COMMENT]


def _kind(text: str) -> ReportedAs | None:
    lowered = text.lower()
    for kind, name in ((ReportedAs.FALSE_ALARM, "false_alarm"), (ReportedAs.MISSED, "missed")):
        if any(word in lowered for language in languages().values() for word in language.mail[name]):
            return kind
    return None


def _identifier(value: str) -> str:
    """Return a Message-ID that can be shown: one word of ASCII."""
    word = value.strip()[:250]
    return word if word.isascii() and word.isprintable() and " " not in word else ""
