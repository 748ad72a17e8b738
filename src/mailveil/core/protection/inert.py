"""Inert messages: what is delivered in place of a message that nobody could examine; plain text, any bytes in.

Nothing here uses the parsers of the core: one of them has failed at this very message.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

MAX_SHOWN_BYTES: Final = 256 * 1024
_MAX_HEADER_BYTES: Final = 1 << 20
_MAX_FIELD_BYTES: Final = 16 * 1024
_MAX_LINE_BYTES: Final = 998  # RFC 5322 section 2.1.1
_MAX_TRACE_FIELDS: Final = 100
# What replying, threading and loop detection need. None of them makes a client contact anybody.
_FIELDS: Final = {
    name.lower().encode(): name.encode()
    for name in (
        "Return-Path", "Received", "Delivered-To", "Date", "From", "Sender", "Reply-To", "To", "Cc", "Subject",
        "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Precedence",
    )
}  # fmt: skip
_TRACE_FIELDS: Final = frozenset((b"received", b"delivered-to"))  # several of each are as it should be
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_ENCODED_LINE_BYTES: Final = 60  # a line of nothing but base64 this long says nothing to a reader
# Controls, and characters that reorder what is shown (Unicode TR 36), have no place in a text to trust.
_HIDDEN: Final = dict.fromkeys(
    (*range(0x20), *range(0x7F, 0xA0), 0x061C, *range(0x200B, 0x2010), *range(0x2028, 0x202F),
     *range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC)),
    "\N{REPLACEMENT CHARACTER}",
) | {0x09: " ", 0x0D: None}  # fmt: skip
_WEB_NAME: Final = re.compile(r"\bwww\.", re.IGNORECASE)
_NOTICE: Final = """\
This message is shown as plain text only.

The mail gateway could not examine it for hidden callbacks: it failed each time that it tried, so nothing
of the message is passed on as it was. The original is kept, encrypted, under the name

    {name}

Ask your mail administrator for it if you need it.

"""
_SOURCE: Final = (
    "This is how the message reads in the raw; its addresses are written so that they do nothing:\n\n"
)


def make_inert(raw: bytes, name: str) -> bytes:
    """Return a plain text message that stands for ``raw``, whose original is kept under ``name``.

    It has the header fields of ``raw`` by which people and mail servers know a message, as far as they are
    well-formed, a notice, and up to 256 kB of the body as it was sent, each line marked as quoted. It has no
    part that a client would render or fetch, whatever ``raw`` is. Total, pure and linear.
    """
    header, body = _split(raw)
    text = _NOTICE.format(name=name) + _SOURCE + _readable(body)
    fields = [*_kept_fields(header), b"MIME-Version: 1.0", b"Content-Type: text/plain; charset=utf-8",
              b"Content-Transfer-Encoding: base64"]  # fmt: skip
    # In base64 nothing of the text can be taken for a boundary, a header or an enclosed file.
    encoded = binascii.b2a_base64(text.replace("\n", "\r\n").encode("utf-8", "replace"), newline=False)
    lines = [encoded[at : at + 76] for at in range(0, len(encoded), 76)]
    return b"\r\n".join((*fields, b"", *lines, b""))


def _split(raw: bytes) -> tuple[bytes, bytes]:
    """Divide at the first empty line; without one all is body, and all is header that could be one."""
    if raw.startswith((b"\n", b"\r\n")):
        return b"", raw
    ends = [
        (at, at + len(mark))
        for mark in (b"\n\n", b"\n\r\n")
        if (at := raw.find(mark, 0, _MAX_HEADER_BYTES)) >= 0
    ]
    if not ends:
        return raw[:_MAX_HEADER_BYTES], raw
    at, start = min(ends)
    return raw[: at + 1], raw[start:]


def _kept_fields(header: bytes) -> list[bytes]:
    """Return the fields to keep, without their last line break; of each that may stand once the first."""
    kept: list[bytes] = []
    seen: dict[bytes, int] = {}
    for lines in _fields(header):
        name, _, value = lines[0].partition(b":")
        key = name.rstrip(b" \t").lower()
        count = seen.get(key, 0)
        if key not in _FIELDS or count >= (_MAX_TRACE_FIELDS if key in _TRACE_FIELDS else 1):
            continue
        whole = [_FIELDS[key] + b":" + value, *lines[1:]]
        if _is_clean(whole):
            kept.append(b"\r\n".join(whole))
            seen[key] = count + 1
    return kept


def _fields(header: bytes) -> list[list[bytes]]:
    """Divide a header into fields of one or more lines; a first line that continues nothing is one, too."""
    found: list[list[bytes]] = []
    for line in header.split(b"\n"):
        text = line.removesuffix(b"\r")
        if line[:1] in (b" ", b"\t") and found:
            found[-1].append(text)
        else:
            found.append([text])
    return found


def _is_clean(lines: list[bytes]) -> bool:
    """Tell whether a field is bounded, properly folded and printable UTF-8, so that every client reads the same."""
    if sum(map(len, lines)) > _MAX_FIELD_BYTES or any(len(line) > _MAX_LINE_BYTES for line in lines):
        return False
    if any(not line.strip(b" \t") for line in lines):
        return False
    try:
        text = b"".join(lines).decode("utf-8").replace("\t", " ")
    except UnicodeDecodeError:
        return False
    return all(character == " " or character.isprintable() for character in text)


def _readable(body: bytes) -> str:
    """Return the body as quoted lines of text without controls, live addresses and runs of encoded data."""
    shown: list[str] = []
    left_out = 0
    for line in body[:MAX_SHOWN_BYTES].split(b"\n"):
        bare = line.rstrip(b"\r \t")
        if len(bare) >= _ENCODED_LINE_BYTES and not bare.translate(None, _BASE64):
            left_out += 1
            continue
        shown += _left_out(left_out)
        left_out = 0
        shown.append("> " + _disarmed(bare.decode("utf-8", "replace").translate(_HIDDEN)))
    shown += _left_out(left_out)
    if len(body) > MAX_SHOWN_BYTES:
        shown.append(f"[The remaining {len(body) - MAX_SHOWN_BYTES} bytes are left out.]")
    return "\n".join(shown) + "\n"


def _left_out(count: int) -> list[str]:
    return [f"[{count} lines of encoded data are left out.]"] if count else []


def _disarmed(text: str) -> str:
    """Write addresses so that no client makes a link or a preview of them."""
    return _WEB_NAME.sub("www[.]", text.replace("://", "[:]//"))
