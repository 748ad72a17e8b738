"""Preview: a stored message as a reader would see it, prepared so that looking at it contacts nobody."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from mailveil.core.message.header import decode_header_text
from mailveil.core.message.parse import parse_message
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits, Part

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_EMBEDDED_BYTES = 8 * 1024 * 1024
CHARSET = re.compile(r"[A-Za-z0-9_.:-]{1,40}\Z")
EMBEDDABLE = re.compile(r"(?:image|audio|video|font)/[a-z0-9.+-]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class Preview:
    """What the console shows of a message; ``document`` is in ``charset``, as markup or plain text."""

    sender: str
    to: str
    subject: str
    date: str
    document: bytes
    charset: str
    is_html: bool
    attachments: tuple[str, ...]


def read_preview(raw: bytes, limits: Limits | None = None) -> Preview:
    """Return the preview of a message. Total; what cannot be shown is empty."""
    limits = limits or Limits()
    root = parse_message(raw, limits).root
    leaves = _leaves(root)
    shown = next((part for part in leaves if _is_body(part, "text/html")), None)
    shown = shown or next((part for part in leaves if _is_body(part, "text/plain")), None)
    document, charset = b"", "utf-8"
    if shown is not None:
        document = _content(shown, limits)[:MAX_BODY_BYTES]
        declared = shown.parameters.get("charset", "")
        charset = declared if CHARSET.match(declared) else "utf-8"
        if shown.media_type == "text/html":
            document = _embed(document, leaves, limits)
    return Preview(
        sender=decode_header_text(root.field("from")),
        to=decode_header_text(root.field("to")),
        subject=decode_header_text(root.field("subject")),
        date=root.field("date"),
        document=document,
        charset=charset,
        is_html=shown is not None and shown.media_type == "text/html",
        attachments=tuple(
            part.filename or part.media_type for part in leaves if part is not shown and not _is_inline(part)
        ),
    )


def read_header(header: bytes) -> tuple[str, str]:
    """Return sender and subject for a list of messages, from the first bytes of one."""
    root = parse_message(header).root
    return decode_header_text(root.field("from")), decode_header_text(root.field("subject"))


def _leaves(root: Part) -> list[Part]:
    found: list[Part] = []
    stack = [root]
    while stack:
        part = stack.pop()
        if not part.children:
            found.append(part)
        stack.extend(reversed(part.children))
    return found


def _is_body(part: Part, media_type: str) -> bool:
    return part.media_type == media_type and part.disposition != "attachment"


def _is_inline(part: Part) -> bool:
    return bool(part.content_id) or (part.media_type.startswith("text/") and part.disposition != "attachment")


def _content(part: Part, limits: Limits) -> bytes:
    sources, _ = decode_body(part, limits)
    return sources[0].data if sources else b""


def _embed(document: bytes, leaves: list[Part], limits: Limits) -> bytes:
    """Write the parts that ``cid:`` points to into the document: a sandboxed frame could not ask for them."""
    budget = MAX_EMBEDDED_BYTES
    for part in leaves:
        name = b"cid:" + part.content_id.encode("utf-8", "replace")
        if not part.content_id or name not in document or not EMBEDDABLE.match(part.media_type):
            continue
        content = _content(part, limits)
        budget -= len(content) * document.count(name)
        if budget < 0:
            break
        url = b"data:" + part.media_type.encode() + b";base64," + base64.b64encode(content)
        document = document.replace(name, url)
    return document
