"""Edits on a part's header and body: a field's value, inert text, a signature removed."""

from __future__ import annotations

import binascii
import re
from urllib.parse import quote

from mailveil.core.message.edits import newline_of
from mailveil.core.message.types import Edit, Part
from mailveil.core.rewrite.replacement import Replacement

_PRINTED_WIDTH = 72
_SNIFFED_BYTES = 512  # as far into a body as any known client looks for HTML before it believes text/plain
_IDENTITY = frozenset(("7bit", "8bit", "binary"))
# Charsets in which the ASCII notice is itself and no byte sequence means markup that ASCII does not.
_ASCII_CHARSET = re.compile(
    r"(?:us-ascii|utf-8|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|big5|euc-(?:kr|jp))"
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$&+,.;=@^_`{}~()\[\]-]+")
# What a program opens by its name and then fetches what it refers to.
_ACTIVE_NAME = re.compile(
    r"\.(?:html?|shtml?|xht|xhtml|mht|mhtml|hta|svgz?|xml|xslt?|eml|msg|css|ics|ifb|vcs|vcf|rtf|p7[ms]|asc|gpg|pgp"
    r"|url|lnk|webloc|website)[. ]*\Z",
    re.IGNORECASE,
)
_ACTIVE_TYPE = re.compile(r"text/.*|image/svg.*|.*[/+]xml|message/.*|multipart/.*")
_SIGNATURES = frozenset(
    ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
)


def set_field(part: Part, name: str, value: bytes, newline: bytes) -> list[Edit]:
    """Give a header field a value: every field of that name gets it; where there is none, one is added.

    ``name`` is written as it shall be spelt. Returns edits on ``part.source.data``.
    """
    edits = [Edit(*field.value_span, b" " + value) for field in part.fields if field.name == name.lower()]
    if edits:
        return edits
    text = name.encode("ascii") + b": " + value + newline
    for field in part.fields:
        if field.name == "content-type" and field.span.end > field.value_span.end:
            return [Edit(field.span.end, field.span.end, text)]
    at = part.fields[0].span.start if part.fields else part.header_span.start
    if part.header_span.start == part.header_span.end:
        text += newline  # not even an empty line stands there
    return [Edit(at, at, text)]


def inert_part_edits(part: Part, notice: str) -> list[Replacement]:
    """Turn a part that could not be examined into something that no client renders or fetches from.

    Text, multiparts and enclosed messages become one ``text/plain`` body that begins with ``notice`` (ASCII),
    long enough that no client sniffs HTML behind it; the body itself stays readable in its transfer encoding.
    Anything else, and every attachment, keeps its bytes as ``application/octet-stream``. Names that a program
    would open as a document get ``.txt`` appended. A part that is inert already stays as it is.
    """
    newline = newline_of(part.source.data, part.header_span.start, part.header_span.end)
    main = part.media_type.partition("/")[0]
    if main not in ("multipart", "message") and (part.disposition == "attachment" or main != "text"):
        edits = _stored_edits(part, newline)
    else:
        edits = _readable_edits(part, notice, newline)
    return [Replacement(part.source, edit.start, edit.end, edit.replacement) for edit in edits]


def _stored_edits(part: Part, newline: bytes) -> list[Edit]:
    """Keep the bytes, as a file without a type that would make a client render them."""
    name = _inert_name(part)
    return [
        *set_field(
            part, "Content-Type", b"application/octet-stream" + _parameter("name", name, newline), newline
        ),
        *set_field(
            part, "Content-Disposition", b"attachment" + _parameter("filename", name, newline), newline
        ),
    ]


def _inert_name(part: Part) -> str:
    """Return the part's file name so that no program opens it as a document that fetches."""
    name = "".join(character for character in part.filename if character.isprintable())[-100:].strip()
    active = _ACTIVE_TYPE.fullmatch(part.media_type) is not None
    if not name:
        return "attachment.txt" if active else ""
    if name.lower().endswith(".txt") or not (active or _ACTIVE_NAME.search(name)):
        return name
    return name + ".txt"


def _parameter(parameter: str, value: str, newline: bytes) -> bytes:
    """Write a parameter (RFC 2045, RFC 2231) on a folded line of its own, or nothing for no value."""
    if not value:
        return b""
    if _PLAIN_NAME.fullmatch(value):
        return b";" + newline + f' {parameter}="{value}"'.encode("ascii")
    escaped = quote(value.encode("utf-8", "replace"), safe="")
    return b";" + newline + f" {parameter}*=UTF-8''{escaped}".encode("ascii")


def _readable_edits(part: Part, notice: str, newline: bytes) -> list[Edit]:
    """Show the body as plain text, whatever it was."""
    data = part.source.data
    charset = part.parameters.get("charset", "").lower()
    if not _ASCII_CHARSET.fullmatch(charset):
        charset = "us-ascii"
    content_type = b"text/plain; charset=" + charset.encode("ascii")
    lead = _notice(notice, newline)
    if not part.fields and part.header_span.end - part.header_span.start > 2:
        # The header could not be read: what a client makes of it is unknown, so it becomes text as well.
        at = part.header_span.start
        return [Edit(at, at, b"Content-Type: " + content_type + newline + newline + lead)]
    if not part.fields and part.header_span.start == part.header_span.end and part.examined:
        # Preamble or epilogue, which has no header and gets none: there a field would be text.
        at = part.body_span.start
        return [] if data.startswith(lead, at) else [Edit(at, at, lead)]
    edits = set_field(part, "Content-Type", content_type, newline)
    if _ACTIVE_NAME.search(part.filename):
        shown = b"inline" + _parameter("filename", _inert_name(part), newline)
        edits += set_field(part, "Content-Disposition", shown, newline)
    declared = part.transfer_encodings[0] if part.transfer_encodings else "7bit"
    whole = part.children or part.media_type.startswith(("multipart/", "message/"))
    # Most clients decode nothing of a multipart or message, but a text/plain body they would decode.
    known = declared in _IDENTITY or (not whole and declared in ("base64", "quoted-printable"))
    coding = declared if known else "8bit"
    if coding != declared or len(part.transfer_encodings) > 1:
        edits += set_field(part, "Content-Transfer-Encoding", coding.encode("ascii"), newline)
    if coding == "base64":
        lead += b" " * (-len(lead) % 3)  # whole quanta, so that the body stays in step
        encoded = binascii.b2a_base64(lead, newline=False)
        lead = b"".join([encoded[at : at + 76] + newline for at in range(0, len(encoded), 76)])
    if not data.startswith(lead, part.body_span.start):
        edits.append(Edit(part.body_span.start, part.body_span.start, lead))
    return [edit for edit in edits if data[edit.start : edit.end] != edit.replacement]


def _notice(notice: str, newline: bytes) -> bytes:
    """Write the notice and a rule long enough to outlast sniffing; only characters that no coding changes."""
    plain = "".join(
        character if " " <= character <= "~" and character not in "=<>" else " " for character in notice
    )
    lines: list[str] = []
    line = ""
    for word in plain.split():
        for at in range(0, len(word), _PRINTED_WIDTH):
            piece = word[at : at + _PRINTED_WIDTH]
            if line and len(line) + 1 + len(piece) > _PRINTED_WIDTH:
                lines.append(line)
                line = piece
            else:
                line = f"{line} {piece}" if line else piece
    lines.append(line)
    size = sum(len(line) + 1 for line in lines)
    lines.extend(["~" * _PRINTED_WIDTH] * max(1, -(-(_SNIFFED_BYTES - size) // (_PRINTED_WIDTH + 1))))
    return newline.join([line.encode("ascii") for line in lines]) + newline + newline


def unsign_edits(part: Part) -> list[Replacement]:
    """Turn a ``multipart/signed`` part into ``multipart/mixed`` without its signature (RFC 1847).

    The boundary stays; the other parameters go. A child counts as the signature by its type only, so that
    nothing else that a sender put there is lost. Returns replacements on ``part.source``.
    """
    newline = newline_of(part.source.data, part.header_span.start, part.header_span.end)
    quoted = part.boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    edits = set_field(part, "Content-Type", b'multipart/mixed; boundary="' + quoted + b'"', newline)
    children = part.children
    for index, child in enumerate(children):
        if child.media_type not in _SIGNATURES or len(children) == 1:
            continue
        if index:
            # From the line break of its delimiter on, so that the next delimiter keeps its own.
            edits.append(Edit(children[index - 1].span.end, child.span.end, b""))
        else:
            edits.append(Edit(child.span.start, children[1].span.start, b""))
    return [Replacement(part.source, edit.start, edit.end, edit.replacement) for edit in edits]
