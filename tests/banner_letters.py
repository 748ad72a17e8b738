"""Letters with one tracker, in many shapes, for tests of the banner."""

from __future__ import annotations

import base64
import quopri

from mailveil.core.policy import BannerSettings, Envelope, MessagePolicy
from mailveil.core.protection import EngineSettings, Outcome, protect

KEY = b"a key that only these tests know"
SETTINGS = EngineSettings(banner_key=KEY)
READER = Envelope(recipients=("reader@example.org",))
TRACKER = '<img src="https://t.shop.example/open?who=reader@example.org" width="1" height="1">'
CODE = "abcdefghijklmnopqrstuvwxyz234567abcdefgh"
LINK = "https://console.example.org/report"


def told(language: str = "en", least_risk: str = "low", **more: str) -> MessagePolicy:
    """Return a policy that has readers told."""
    values = {
        "organisation": "Example",
        "report_mailbox": "spy-report@example.org",
        "report_link": LINK,
        "report_code": CODE,
    }
    return MessagePolicy("default", BannerSettings(least_risk, language, **{**values, **more}))


def protected(raw: bytes, policy: MessagePolicy | None = None) -> Outcome:
    """Protect a message for a reader who is told."""
    return protect(raw, SETTINGS, READER, told() if policy is None else policy)


def letter(
    body: bytes, content_type: str = "text/html; charset=utf-8", coding: str = "8bit", more: str = ""
) -> bytes:
    """Return a message of one part; the body is written in the coding."""
    if coding == "base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    elif coding == "quoted-printable":
        body = quopri.encodestring(body)
    header = (
        "From: Shop <news@shop.example>\r\nTo: reader@example.org\r\nSubject: Offer\r\n"
        "Message-ID: <offer@shop.example>\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        f"{more}Content-Type: {content_type}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
    )
    return header.encode() + body


def page(before: str = "<html><body>", after: str = "</body></html>") -> bytes:
    """Return an HTML document with a tracker."""
    return f"{before}<p>Hello</p>{TRACKER}{after}\r\n".encode()


def several(subtype: str, *parts: tuple[str, bytes], more: str = "") -> bytes:
    """Return a multipart message; each part is its Content-Type (and further fields) and its body."""
    body = b"".join(
        b"--limit\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + content + b"\r\n"
        for kind, content in parts
    )
    return letter(body + b"--limit--\r\n", f'multipart/{subtype}; boundary="limit"{more}')
