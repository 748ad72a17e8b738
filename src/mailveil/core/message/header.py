"""Header: the fields of an entity with their places, and the display text of a field (RFC 5322, RFC 2047)."""

from __future__ import annotations

import binascii
import re
from enum import Enum, auto
from typing import NamedTuple

from mailveil.core.message.charset_names import codec_of, decode_lossily
from mailveil.core.message.types import Field, Span

# Names are narrower than RFC 5322 allows, because `<img/src="https:` would be one.
_NAME = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~$%&]++")
_FIELD_START = re.compile(rb"[!#-'*+\-.0-9A-Z^-z|~$%&]++[ \t]*+:")
# Splits a header into fields. A line of nothing but white space is no continuation here: clients differ.
_NEXT_FIELD = re.compile(r"\n(?![ \t]++[^ \t\r\n])")
_EMPTY_LINE = re.compile(rb"\n(\r*+)\n")
_STRICTLY_EMPTY_LINE = re.compile(rb"\n(\r?+)\n")
_LEADING_EMPTY_LINE = re.compile(rb"\r*+\n")
_UNBROKEN = bytes(set(range(256)) - set(b"\r\n"))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FROM_LINES = ("From ", ">From ")  # of an mbox

# Fields that the parser itself looks at; the others are only listed.
MIME_FIELDS = frozenset({
    "content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-location",
    "content-base",
})  # fmt: skip

# The usual spelling of usual names: looking a name up is cheaper than checking and lower-casing it.
_USUAL_NAMES = """
    ARC-Authentication-Results ARC-Message-Signature ARC-Seal Authentication-Results
    Authentication-Results-Original Auto-Submitted Bcc BIMI-Selector CC Cc Comments Content-Description
    Content-Disposition Content-ID Content-Id Content-Language Content-Length Content-Location
    Content-Transfer-Encoding Content-Type Content-type Content-transfer-encoding DKIM-Signature Date
    Delivered-To DomainKey-Signature Envelope-To Errors-To Feedback-ID From Importance In-Reply-To Keywords
    Lines List-Archive List-Help List-ID List-Id List-Owner List-Post List-Subscribe List-Unsubscribe
    List-Unsubscribe-Post MIME-Version Message-ID Message-Id Mime-Version Organization Precedence Priority
    Received Received-SPF References Reply-To Resent-Date Resent-From Resent-Message-ID Resent-To
    Return-Path Sender Status Subject Thread-Index Thread-Topic To User-Agent X-Antivirus X-Beenthere
    X-Campaign X-Envelope-To X-EOPAttributedMessage X-EOPTenantAttributedMessage X-Feedback-ID
    X-Forefront-Antispam-Report X-Google-DKIM-Signature X-Google-Smtp-Source X-Gm-Message-State
    X-IncomingHeaderCount X-IncomingTopHeaderMarker X-Loop X-MS-Exchange-CrossTenant-AuthAs
    X-MS-Exchange-CrossTenant-AuthSource X-MS-Exchange-CrossTenant-FromEntityHeader
    X-MS-Exchange-CrossTenant-Id X-MS-Exchange-CrossTenant-Network-Message-Id
    X-MS-Exchange-CrossTenant-OriginalArrivalTime X-MS-Exchange-EOPDirect X-MS-Exchange-Organization-AuthAs
    X-MS-Exchange-Organization-AuthSource X-MS-Exchange-Organization-ExpirationInterval
    X-MS-Exchange-Organization-ExpirationIntervalReason X-MS-Exchange-Organization-ExpirationStartTime
    X-MS-Exchange-Organization-ExpirationStartTimeReason X-MS-Exchange-Organization-MessageDirectionality
    X-MS-Exchange-Organization-Network-Message-Id X-MS-Exchange-Organization-PCL
    X-MS-Exchange-Organization-SCL X-MS-Exchange-Processed-By-BccFoldering X-MS-Exchange-SenderADCheck
    X-MS-Exchange-Transport-CrossTenantHeadersStamped X-MS-Exchange-Transport-EndToEndLatency
    X-MS-Has-Attach X-MS-Office365-Filtering-Correlation-Id X-MS-Oob-TLC-OOBClassifiers
    X-MS-PublicTrafficType X-MS-TNEF-Correlator X-MS-TrafficTypeDiagnostic X-MSMail-Priority X-MTA-Origin
    X-Mailer X-Mailman-Version X-Message-Info X-Message-Delivery X-Message-Flag X-Microsoft-Antispam
    X-Microsoft-Antispam-Mailbox-Delivery X-Microsoft-Antispam-Message-Info X-MimeOLE X-Original-To
    X-Originating-IP X-Priority X-Received X-Report-Abuse X-Report-Abuse-To X-SES-Outgoing X-SG-EID X-SG-ID
    X-Sender X-Sender-IP X-Sid-PRA X-Sid-Result X-SID-PRA X-SID-Result X-Spam-Checker-Version X-Spam-Flag
    X-Spam-Level X-Spam-Score X-Spam-Status X-UIDL X-Virus-Scanned content-disposition content-id
    content-transfer-encoding content-type date dkim-signature from list-unsubscribe message-id mime-version
    received reply-to subject to x-mailer
"""
_FIELD_NAMES = {name: name.lower() for name in _USUAL_NAMES.split()}


class Header(NamedTuple):
    """A header as one kind of client reads it.

    ``end`` is where the body begins. ``mime`` are those of ``fields`` in `MIME_FIELDS`. ``disputed``: other
    clients see the header begin or end elsewhere. ``bare_cr``, ``mixed``: a CR, or an LF among CRLF, stands
    where clients may or may not take it for a line break. ``ended``: something ended the header before the
    data did. ``overlong``: it went beyond the limit, and fields from there on are not listed.
    """

    fields: tuple[Field, ...]
    mime: tuple[Field, ...]
    end: int
    disputed: bool = False
    bare_cr: bool = False
    mixed: bool = False
    ended: bool = True
    overlong: bool = False


class _Line(Enum):
    """What a header line is that is no ordinary field."""

    NOTHING = auto()  # of no meaning to any client
    BLANK = auto()  # white space: to some a continuation, to some the end of the header
    SPACED_NAME = auto()  # white space before the colon: to some a field, to some the beginning of the body
    JUNK = auto()  # to some a line to skip, to some the beginning of the body
    NO_HEADER = auto()  # junk at the top, with no field after it: likely a body without header


def parse_fields(data: bytes, start: int, end: int) -> tuple[tuple[Field, ...], Span]:
    """Return the fields of the header at the beginning of ``data[start:end]`` and the header's span.

    The span ends after the empty line that ends the header. Total and linear (RFC 5322 section 2.2).
    """
    header = parse_header(data, start, end)
    return header.fields, Span(start, header.end)


def parse_header(
    data: bytes, start: int, end: int, *, strict: bool = False, max_bytes: int = 1024 * 1024
) -> Header:
    """Return the header at the beginning of ``data[start:end]``.

    Lines that are no fields are skipped, unless ``strict``: then the first of them ends the header and
    belongs to the body, as a line of white space ends it. Where the very first line is no field and none
    follows, there is no header; with ``strict`` it is skipped, so that the two readings together cover
    clients that skip and clients that stop. Total and linear.
    """
    stop = min(end, start + max_bytes)
    top = start + 3 if data.startswith(_BYTE_ORDER_MARK, start) else start
    disputed = bare_cr = False
    leading = _LEADING_EMPTY_LINE.match(data, top, stop)
    if leading is not None:
        bare_cr = leading.end() - top > 2
        disputed = bare_cr or _FIELD_START.match(data, leading.end(), stop) is not None
        if not (disputed and strict):
            return Header((), (), leading.end(), disputed, bare_cr)
        top = leading.end()
    empty = (_STRICTLY_EMPTY_LINE if strict else _EMPTY_LINE).search(data, top, stop)
    header_end, body = empty.span() if empty else (stop, stop)
    ended = empty is not None
    fields: list[Field] = []
    mime: list[Field] = []
    add, new = fields.append, tuple.__new__
    crlf = lf = continued = 0
    after = top
    block = data[top:header_end]
    ending = _line_ending(block)
    spelt = _FIELD_NAMES.get
    for line in _NEXT_FIELD.split(block.decode("latin-1")):
        at, after = after, after + len(line) + 1
        head, colon, value = line.partition(":")
        name = spelt(head) if colon else None
        if name is None and colon and _NAME.fullmatch(head):
            name = head.lower()
        if name is None:
            kind = _line_kind(line, at == top, _FIELD_START.match(data, after, stop) is not None)
            disputed = disputed or kind is not _Line.NOTHING
            bare_cr = bare_cr or "\r" in line.replace("\r\n", "").rstrip("\r")
            if kind is _Line.NO_HEADER if not strict else kind in (_Line.JUNK, _Line.SPACED_NAME):
                body, ended = at, True
                break
            if kind is _Line.NO_HEADER:
                strict = False  # to a client that skips this line, no line that follows is the body either
            if kind is _Line.BLANK:
                if strict:
                    body, ended = min(at + (line.find("\n") + 1 or len(line) + 1), stop), True
                    break
                continued = after
            if kind is not _Line.SPACED_NAME:
                continue
            name = head.rstrip(" \t").lower()
        if continued:
            _continue(data, fields, mime, continued)
            continued = 0
        if ending is not None:
            # Nothing can be odd about the line breaks in it, so whoever looks at the value may unfold it.
            field = new(Field, (name, value, at, after, at + len(head) + 1, after - ending))
            add(field)
            if name in MIME_FIELDS:
                mime.append(field)
            continue
        value_end = after - 1
        if line[-1:] == "\r":
            value_end -= 1
            crlf += 1
        elif after <= stop:
            lf += 1
        if "\n" in value:
            value = value.replace("\r\n", "")
            if "\n" in value:
                value = value.replace("\n", "")
                lf += 1
        value = value.strip(" \t\r")
        if "\r" in value:
            bare_cr = True
        field = new(Field, (name, value, at, after, at + len(head) + 1, value_end))
        add(field)
        if name in MIME_FIELDS:
            mime.append(field)
    if ending is not None and fields:
        crlf, lf = (1, 0) if ending == 2 else (0, 1)
    if empty is not None and body == empty.end():
        disputed = disputed or len(empty[1]) > 1
        bare_cr = bare_cr or len(empty[1]) > 1
        crlf, lf = (crlf + 1, lf) if empty[1] else (crlf, lf + 1)
    if fields and fields[-1][3] > stop:
        last = fields[-1]
        fields[-1] = new(Field, (*last[:3], stop, *last[4:]))
        if mime and mime[-1] is last:
            mime[-1] = fields[-1]
    if continued:
        _continue(data, fields, mime, min(continued, stop))
    overlong = not ended and stop < end
    if overlong:
        empty = _EMPTY_LINE.search(data, max(top, stop - 2), end)
        body = empty.end() if empty else end
    return Header(tuple(fields), tuple(mime), body, disputed, bare_cr, crlf > 0 and lf > 0, ended, overlong)


def _line_ending(block: bytes) -> int | None:
    """Return how many bytes end every line of a header, None where they differ or a CR stands alone.

    ``block`` goes up to the LF of the last line.
    """
    if b"\r" not in block:
        return 1
    pairs = block.count(b"\r\n")
    alike = block.endswith(b"\r") and len(block.translate(None, _UNBROKEN)) == 2 * pairs + 1
    return 2 if alike else None


def _line_kind(line: str, first: bool, field_follows: bool) -> _Line:
    """Tell what a line is (with what continues it) that does not begin with a field name and a colon."""
    if not line.strip("\r"):
        return _Line.NOTHING
    if not line.partition("\n")[0].strip():
        return _Line.BLANK
    if line.startswith(_FROM_LINES):
        return _Line.NOTHING
    head, colon, _ = line.partition(":")
    if colon and _NAME.fullmatch(head.rstrip(" \t")):
        return _Line.SPACED_NAME
    return _Line.NO_HEADER if first and not field_follows else _Line.JUNK


def _continue(data: bytes, fields: list[Field], mime: list[Field], end: int) -> None:
    """Let the last field reach to ``end``: lines of white space, and what follows them, continue it."""
    if not fields:
        return
    last = fields[-1]
    raw = data[last.value_span.start : end]
    value_end = end - (len(raw) - len(raw.rstrip(b"\r\n")))
    value = raw.decode("latin-1").replace("\r\n", "").replace("\n", "").strip(" \t\r")
    value_span = Span(last.value_span.start, max(value_end, last.value_span.start))
    fields[-1] = Field(last.name, value, Span(last.span.start, end), value_span)
    if mime and mime[-1] is last:
        mime[-1] = fields[-1]


_ENCODED_WORD = re.compile(r"=\?([^?\s]++)\?([bBqQ])\?([^?]*+)\?=")
_QUOTED_BYTE = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]++")


def decode_header_text(value: str) -> str:
    """Return a field's value for display, encoded words (RFC 2047) as characters. Total and linear."""
    if "=?" not in value:
        return value if value.isascii() else _decode_raw(value)
    pieces: list[str] = []
    pending = b""  # bytes of adjacent words of one charset: some senders split a character between two
    pending_codec = ""
    at = 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[at : match.start()]
        codec = codec_of(match[1].partition("*")[0]) or "cp1252"
        data = _decode_word(match[2], match[3])
        if pending_codec == codec and not between.strip():
            pending += data
        else:
            if pending_codec:
                pieces.append(decode_lossily(pending, pending_codec))
            if not pending_codec or between.strip():
                pieces.append(_decode_raw(between))
            pending, pending_codec = data, codec
        at = match.end()
        if len(pending) > 65_536:
            pieces.append(decode_lossily(pending, pending_codec))
            pending = b""
    if pending_codec:
        pieces.append(decode_lossily(pending, pending_codec))
    pieces.append(_decode_raw(value[at:]))
    return "".join(pieces)


def _decode_raw(value: str) -> str:
    """Return the latin-1 text of a field as UTF-8 where it is that (RFC 6532)."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _decode_word(encoding: str, content: str) -> bytes:
    data = content.encode("latin-1", "replace")
    if encoding in "qQ":
        return _QUOTED_BYTE.sub(lambda found: bytes((int(found[1], 16),)), data.replace(b"_", b" "))
    letters = _NOT_BASE64.sub(b"", data)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
