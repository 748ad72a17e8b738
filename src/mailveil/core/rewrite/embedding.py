"""Safe copies inside the message itself, as parts that ``cid:`` URLs point at (RFC 2387, RFC 2392)."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailveil.core.message.types import Message, Part
from mailveil.core.rewrite.replacement import Replacement

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9._~+-]{1,120}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class EmbeddedCopy:
    """A safe copy to be carried in the message; ``content_id`` without angle brackets.

    Raises ``ValueError`` for a content id or media type that could not stand in a header as it is.
    """

    content_id: str
    media_type: str
    data: bytes

    def __post_init__(self) -> None:
        if not _CONTENT_ID.fullmatch(self.content_id):
            raise ValueError(f"not a content id: {self.content_id!r}")
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError(f"not a media type: {self.media_type!r}")


def embed_copies(message: Message, part: Part, copies: Sequence[EmbeddedCopy]) -> list[Replacement]:
    """Return replacements that put ``copies`` next to an HTML leaf ``part`` of ``message``.

    Inside a multipart/related they are appended to it; elsewhere the leaf is wrapped in one. A leaf that is
    a whole message gives its Content-* fields to a new inner part and becomes multipart/related itself. A
    copy whose content id is there already is not added again.
    """
    chain = _chain(message, part)
    present = {related.content_id for ancestor in chain for related in ancestor.children}
    wanted = {copy.content_id: copy for copy in copies if copy.content_id not in present}
    if not chain or not wanted:
        return []
    newline = message.newline
    added = list(wanted.values())
    for ancestor in reversed(chain[:-1]):
        if (
            ancestor.media_type == "multipart/related"
            and ancestor.source is part.source
            and ancestor.children
        ):
            return _append(ancestor, added, newline)
        if ancestor.media_type.startswith("message/"):
            break
    boundary = _new_boundary(message, part, added)
    if len(chain) > 1 and chain[-2].media_type.startswith("multipart/"):
        return _wrap(part, boundary, added, newline)
    return _enclose(part, boundary, added, newline)


def _chain(message: Message, part: Part) -> list[Part]:
    """Return the parts from the root to ``part``, none where the message does not hold it."""
    stack: list[tuple[Part, list[Part]]] = [(root, []) for root in message.readings]
    while stack:
        current, above = stack.pop()
        chain = [*above, current]
        if current is part:
            return chain
        stack.extend((child, chain) for child in current.children)
    return []


def _new_boundary(message: Message, part: Part, copies: Sequence[EmbeddedCopy]) -> bytes:
    """Return a boundary that stands nowhere in the message; the same for the same message.

    It begins with characters that neither quoted-printable nor base64 can contain (RFC 2045 section 6.7).
    """
    digest = hashlib.sha256(message.source.data)
    digest.update(part.section.encode("ascii", "replace"))
    for copy in copies:
        digest.update(copy.content_id.encode("ascii"))
    boundary = b"=_" + digest.hexdigest()[:32].encode("ascii")
    while boundary in message.source.data:
        digest.update(b"again")
        boundary = b"=_" + digest.hexdigest()[:32].encode("ascii")
    return boundary


def _copy_parts(boundary: bytes, copies: Sequence[EmbeddedCopy], newline: bytes) -> bytes:
    """Write the copies as parts, each with the delimiter before it, without a line break after the last."""
    lines: list[bytes] = []
    for copy in copies:
        encoded = binascii.b2a_base64(copy.data, newline=False)
        lines += [
            b"",
            b"--" + boundary,
            b"Content-Type: " + copy.media_type.encode("ascii"),
            b"Content-Transfer-Encoding: base64",
            b"Content-ID: <" + copy.content_id.encode("ascii") + b">",
            b"Content-Disposition: inline",
            b"",
        ]
        lines.extend([encoded[at : at + 76] for at in range(0, len(encoded), 76)])
    return newline.join(lines)


def _related(boundary: bytes, newline: bytes) -> bytes:
    """Write the Content-Type field of a new multipart/related."""
    return (
        b'Content-Type: multipart/related; type="text/html";'
        + newline
        + b' boundary="'
        + boundary
        + b'"'
        + newline
    )


def _append(related: Part, copies: Sequence[EmbeddedCopy], newline: bytes) -> list[Replacement]:
    """Append to a multipart/related, after its last part and before its end delimiter."""
    at = related.children[-1].span.end
    text = _copy_parts(related.boundary, copies, newline)
    for ending in (b"\r\n", b"\n"):
        if related.source.data.startswith(ending + b"--" + related.boundary, at):
            # Behind the line break, which stays with the part before: that part may grow at its end as well.
            at += len(ending)
            return [Replacement(related.source, at, at, text[len(newline) :] + newline)]
    text += newline + b"--" + related.boundary + b"--" + newline  # no end delimiter stands there
    return [Replacement(related.source, at, at, text)]


def _wrap(part: Part, boundary: bytes, copies: Sequence[EmbeddedCopy], newline: bytes) -> list[Replacement]:
    """Put a multipart/related around a part of a multipart."""
    start, end = part.header_span.start, part.body_span.end
    opening = _related(boundary, newline) + newline + b"--" + boundary + newline
    closing = _copy_parts(boundary, copies, newline) + newline + b"--" + boundary + b"--"
    return [Replacement(part.source, start, start, opening), Replacement(part.source, end, end, closing)]


def _enclose(
    part: Part, boundary: bytes, copies: Sequence[EmbeddedCopy], newline: bytes
) -> list[Replacement]:
    """Make a message with one part a multipart/related whose first part is what the message was."""
    fields = tuple(
        field.span
        for field in part.fields
        if field.name.startswith("content-") and field.name != "content-length"
    )
    if not any(field.name == "content-type" for field in part.fields):
        return []  # nothing declares it as HTML: only a client that guesses would follow a cid: URL at all
    left = _related(boundary, newline)
    if not any(field.name == "mime-version" for field in part.fields):
        left = b"MIME-Version: 1.0" + newline + left
    start, end = part.body_span
    opening = Replacement(part.source, start, start, b"--" + boundary + newline, fields, left)
    blank = Replacement(part.source, start, start, newline)
    closing = _copy_parts(boundary, copies, newline) + newline + b"--" + boundary + b"--" + newline
    return [opening, blank, Replacement(part.source, end, end, closing)]
