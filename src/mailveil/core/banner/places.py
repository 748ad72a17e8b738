"""Places: where in a message its readers begin to read, which is where a banner stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mailveil.core.message.charset import read_texts
from mailveil.core.message.charset_names import EBCDIC, SHIFTED, WIDE, codec_of
from mailveil.core.message.text import Text
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits, Message, Part
from mailveil.core.references.html_tokens import CLEAN_TAG, element_name, read_tag

# Under these, nothing is text that somebody wrote for the reader, or none of it may change.
_CLOSED: Final = frozenset({"multipart/signed", "multipart/encrypted"})
# What a report has for programs (RFC 6522 section 3): without any, the label is a disguise that spam is seen in.
_TOLD_TO_PROGRAMS: Final = frozenset({
    "message/delivery-status", "message/disposition-notification", "message/feedback-report",
    "message/tracking-status", "message/global-delivery-status", "message/global-disposition-notification",
})  # fmt: skip
_ARMOUR: Final = ("-----BEGIN PGP", "-----BEGIN PKCS7", "-----BEGIN CMS")
_BYTE_ORDER_MARKS: Final = ("\ufeff", "\xef\xbb\xbf")
# Elements of the head; what stands in the raw ones is no markup.
_HEAD: Final = frozenset({"html", "head", "meta", "link", "base", "basefont", "bgsound"})
_RAW: Final = frozenset({"title", "style", "script", "noscript", "template", "xml", "noframes"})
_SPACE: Final = re.compile(r"[ \t\r\n\f\0]*+")
_COMMENT_END: Final = re.compile(r"--!?>")
# What ends the part of a document that Outlook passes over, right behind <body>.
_REVEALED_END: Final = re.compile(r"[ \t\r\n\f]*+(?:<!--)?<!\[endif\](?:--)?>", re.IGNORECASE)


class Form(StrEnum):
    """What a body is written in."""

    HTML = "html"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The beginning of what readers see of one body. ``at`` counts the characters of ``text`` before it.

    ``codec`` is what its characters are written in.
    """

    part: Part
    form: Form
    text: Text
    at: int
    codec: str


def find_places(message: Message, limits: Limits = Limits()) -> list[Place]:  # noqa: B008 - frozen
    """Return where the banner stands: the beginning of the body that readers see, in each of its alternatives.

    None in signed, encrypted or report mail, in what has a calendar as an alternative, in attachments, in
    enclosed messages, and in bodies that clients might take for something else than they are declared.
    Total; linear in the length of the bodies.
    """
    found = []
    for part in _displayed(message.root):
        place = _place(part, limits)
        if place is not None:
            found.append(place)
    return found


def _displayed(root: Part) -> list[Part]:
    """Return the leaves that clients show first, one for each alternative that they choose from."""
    stack = [root]
    while stack:
        part = stack.pop()
        if not part.children:
            if _is_text(part):
                return [part]
            continue
        types = {part.media_type, *part.declared_types}
        if not _CLOSED.isdisjoint(types) or not all(each.startswith("multipart/") for each in types):
            return []  # what comes behind is not what is shown first
        if part.media_type == "multipart/report" and _is_report(part):
            return []
        if part.media_type == "multipart/alternative":
            leaves = [leaf for child in part.children for leaf in _leaves_of(child)]
            if any("calendar" in leaf.media_type for leaf in _first_leaves(part)):
                return []
            if leaves:
                return leaves
        elif part.media_type == "multipart/related":
            stack.append(_start_of(part))
        else:
            stack.extend(reversed(part.children))
    return []


def _is_report(part: Part) -> bool:
    return any(child.media_type in _TOLD_TO_PROGRAMS for child in part.children)


def _leaves_of(alternative: Part) -> list[Part]:
    if alternative.media_type == "multipart/alternative":
        return [leaf for child in alternative.children if not child.children for leaf in _displayed(child)]
    return _displayed(alternative)


def _first_leaves(part: Part) -> Iterator[Part]:
    """Yield the leaves of the alternatives, also of those within one."""
    for child in part.children:
        if child.media_type.startswith("multipart/"):
            yield from (each for each in child.children if not each.children)
        else:
            yield child


def _start_of(related: Part) -> Part:
    """Return the root of a multipart/related (RFC 2387 section 3.2)."""
    start = related.parameters.get("start", "").strip().strip("<>")
    if start:
        for child in related.children:
            if child.content_id == start:
                return child
    return related.children[0]


def _is_text(part: Part) -> bool:
    return (
        part.media_type in ("text/html", "text/plain")
        and part.disposition in ("", "inline")
        and not part.filename
        and part.examined
        and not set(part.declared_types) - {part.media_type}
    )


def _place(part: Part, limits: Limits) -> Place | None:
    sources, _defects = decode_body(part, limits)
    if not sources:
        return None
    texts, _charset_defects = read_texts(sources[0], part)
    text, codec = texts[0], texts[0].charset or "utf-8"
    labelled = codec_of(part.parameters.get("charset", ""))
    other = labelled in WIDE or labelled in SHIFTED or labelled in EBCDIC
    if labelled in EBCDIC or (len(texts) > 1 and texts[1].encoding in EBCDIC):
        return None  # clients do not agree on what ends a line there
    if len(texts) > 1 and texts[1].encoding in WIDE and (other or texts[1].text[:1] == "\ufeff"):
        text, codec = texts[1], texts[1].encoding
    elif labelled in SHIFTED:
        codec = labelled
    if not text.text.strip() or any(mark in text.text for mark in _ARMOUR):
        return None
    form = Form.HTML if part.media_type == "text/html" else Form.PLAIN
    at: int | None = next((len(mark) for mark in _BYTE_ORDER_MARKS if text.text.startswith(mark)), 0)
    if form is Form.HTML:
        at = find_beginning(text.text, at or 0)
    return None if at is None else Place(part, form, text, at, codec)


def find_beginning(html: str, at: int = 0) -> int | None:
    """Return where what is shown of a document begins: behind its ``<body>``, or where no tag says so, before it.

    ``None`` where nothing can stand there: in a document of frames, or one that is over before it begins. Linear.
    """
    while True:
        space = _SPACE.match(html, at)
        at = space.end() if space else at
        if html.startswith("<!--", at):
            end = _COMMENT_END.search(html, at + 4)
            at = len(html) if end is None else end.end()
        elif html.startswith(("<!", "<?", "</"), at):
            closing = html.find(">", at)
            at = len(html) if closing < 0 else closing + 1
        elif html.startswith("<", at) and html[at + 1 : at + 2].isalpha():
            clean = CLEAN_TAG.match(html, at)
            end_of_tag = clean.end() if clean else read_tag(html, at).end
            name = clean[1].lower() if clean else element_name(html, at)
            if name == "body":
                return _behind_conditions(html, end_of_tag)
            if name == "frameset":
                return None
            if name not in _HEAD and name not in _RAW:
                return at
            at = _end_of_raw(html, name, end_of_tag) if name in _RAW else end_of_tag
        else:
            return at if at < len(html) else None


def _behind_conditions(html: str, at: int) -> int:
    while (found := _REVEALED_END.match(html, at)) is not None:
        at = found.end()
    return at


def _end_of_raw(html: str, name: str, at: int) -> int:
    if html.startswith("/>", at - 2):
        return at  # as XHTML writes an empty one; what a standard parser takes for its content is shown by others
    closing = re.compile(rf"</{name}[^>]*+>", re.IGNORECASE).search(html, at)
    return len(html) if closing is None else closing.end()
