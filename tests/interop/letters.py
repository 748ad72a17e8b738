"""The letters that every arrangement has to carry: what real mail looks like, and what it had better not."""

from __future__ import annotations

import base64
import re

from corpus_cases import CORPUS

PIXEL = b'<img src="http://tracker.example/open/7f3a91?u=reader" width="1" height="1" alt="">'
HEAD = (
    b"X-First: keeps the fields below from being taken for trace fields\r\n"
    b"Received: from elsewhere.example by mx.sender.example; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    b"From: Sender <news@sender.example>\r\nTo: reader@example.org\r\nSubject: A letter\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:01 +0000\r\nMessage-ID: <letter@sender.example>\r\n"
)
MIME = b"MIME-Version: 1.0\r\n"
FROM_CORPUS = (
    "001-img-src-pixel",
    "096-css-url",
    "181-charset-utf-16le-no-mark",
    "194-transfer-quoted-printable",
    "197-transfer-base64",
    "206-mime-alternative",
    "208-mime-rfc822",
    "212-mime-boundary-quoted-specials",
    "217-mime-after-the-end-boundary",
    "224-mime-field-space-before-colon",
    "226-mime-attachment-html",
    "241-mime-preamble-html",
    "242-mime-header-only",
    "249-field-disposition-notification-to",
    "250-field-disposition-notification-folded",
    "254-field-receipt-in-mixed-case",
    "260-calendar-attach",
    "277-signed-without-references",
    "279-signed-with-a-pixel",
    "284-many-references",
)


def html(body: bytes, extra: bytes = b"") -> bytes:
    """Return an HTML letter."""
    return HEAD + MIME + b"Content-Type: text/html; charset=utf-8\r\n" + extra + b"\r\n" + body + b"\r\n"


def _multipart(*parts: bytes) -> bytes:
    inside = b"".join(b"--=_b\r\n" + part + b"\r\n" for part in parts)
    return (
        HEAD
        + MIME
        + b'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\npreamble\r\n'
        + inside
        + b"--=_b--\r\nend\r\n"
    )


def _attachment(size: int) -> bytes:
    blob = base64.encodebytes(bytes(range(256)) * (size // 256)).replace(b"\n", b"\r\n")
    head = b"Content-Type: application/octet-stream; name=blob\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + blob


PLAIN: dict[str, bytes] = {
    "plain": HEAD + b"\r\nHello,\r\n\r\nnothing to see here.\r\n",
    "trailing-space": HEAD
    + b"Subject: two  spaces \r\nX-Tab:\t\ttabs\t\r\nX-None:none\r\nX-Empty:\r\n\r\na  \r\n\t\r\n  \r\n",
    "folded": HEAD
    + b"X-Folded: one\r\n\ttwo\r\n   three\r\nX-Late:\r\n on the second line\r\nX-Blank: a\r\n \t\r\n b\r\n\r\nx\r\n",
    "odd-names": HEAD + b"x-LOWER: a\r\nX-lower: b\r\nX-Lower: c\r\n1: digit\r\nX!$%: allowed\r\n\r\nx\r\n",
    "eight-bit": HEAD + b"Subject: \xc3\xa4 in a field\r\n\r\n\xc3\xa4\xff\xfe\x80 8 bit\r\n",
    "dots": HEAD + b"\r\n.\r\n..\r\n...\r\n.a\r\n. .\r\n",
    "empty-body": HEAD + b"\r\n",
    "no-last-line-end": HEAD + b"\r\nno line end",
    "only-blank-lines": HEAD + b"\r\n\r\n\r\n\r\n",
    "long-line": HEAD + b"\r\n" + b"z" * 990 + b"\r\nend\r\n",
    "very-long-line": HEAD + b"\r\n" + b"word " * 1000 + b"\r\nend\r\n",
    "many-fields": HEAD + b"".join(b"X-Field-%d: %d\r\n" % (n, n) for n in range(300)) + b"\r\nx\r\n",
    "local-html": html(b'<p style="color:red">no <img src="cid:x"> remote'),
    "attachment": _multipart(b"Content-Type: text/plain\r\n\r\ntext", _attachment(5_000_000)),
    "signed-field": b"DKIM-Signature: v=1; a=rsa-sha256; d=sender.example; s=s; h=from;\r\n\tbh=x=; b=y=\r\n"
    + HEAD
    + b"\r\nsigned, and to stay as it is\r\n",
}

TRACKED: dict[str, bytes] = {
    "pixel": html(b"<p>Hello</p>" + PIXEL),
    "alternative": _multipart(
        b"Content-Type: text/plain\r\n\r\ntext",
        b"Content-Type: text/html\r\n\r\n" + PIXEL + b"\r\n.\r\n..x",
    ),
    "attachment-and-pixel": _multipart(b"Content-Type: text/html\r\n\r\n" + PIXEL, _attachment(1_000_000)),
    "eight-bit-pixel": html(b"\xc3\xa4\xf6 " + PIXEL, b"Content-Transfer-Encoding: 8bit\r\n"),
    "base64-pixel": html(
        base64.encodebytes(b"<p>Hello</p>" * 200 + PIXEL).replace(b"\n", b"\r\n").rstrip(),
        b"Content-Transfer-Encoding: base64\r\n",
    ),
    "receipt": HEAD
    + b"Disposition-Notification-To:\r\n spy@sender.example\r\nX-Between: 1\r\n"
    + b"Return-Receipt-To: spy@sender.example\r\nX-Confirm-Reading-To:spy@sender.example\r\n\r\nx\r\n",
    "receipt-and-pixel": b"Disposition-Notification-To: spy@sender.example\r\n" + html(PIXEL),
    "receipts-alike": HEAD
    + b"Disposition-Notification-To: a@sender.example\r\nX-1: 1\r\n"
    + b"disposition-notification-to: b@sender.example\r\nX-2: 2\r\n"
    + b"Disposition-Notification-To: c@sender.example\r\n\r\nx\r\n",
}


def _from_corpus() -> dict[str, bytes]:
    found = {}
    for name in FROM_CORPUS:
        raw = (CORPUS / name / "message.eml").read_bytes()
        # Postfix breaks long lines on delivery: after us, in a milter, where its breaks then stand elsewhere.
        found[name] = re.sub(rb"(?<!\r)\n", b"\r\n", raw).replace(b"><img", b">\r\n<img")
    return found


def letters() -> dict[str, bytes]:
    """Return all letters by name, with CRLF at the ends of lines as they go over the wire."""
    return {**PLAIN, **TRACKED, **_from_corpus()}


TRACE = re.compile(rb"(?:Return-Path|Delivered-To|Received):[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE)


def without_trace(raw: bytes) -> bytes:
    """Return a delivered message without the trace fields that servers put on top of it."""
    at = 0
    while found := TRACE.match(raw, at):
        at = found.end()
    return raw[at:]
