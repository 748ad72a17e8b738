"""Mail clients in small: how a webmail client, and one like Outlook, turn a message into what a browser shows.

Deliberately built on the standard library's parser and not on ours, so that it is a second opinion.
"""

from __future__ import annotations

import base64
import email
import email.policy
import re
from dataclasses import dataclass, field

DOCUMENT_TYPES = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml")


@dataclass(frozen=True)
class Document:
    """Something of a message that a browser would be asked to show."""

    body: bytes
    media_type: str
    related: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def job(self, name: str, **options: object) -> dict[str, object]:
        """Return the job for the sealed room."""
        return {
            "name": name,
            "body": base64.b64encode(self.body).decode(),
            "media_type": self.media_type,
            "related": {
                key: (media_type, base64.b64encode(data).decode())
                for key, (media_type, data) in self.related.items()
            },
            **options,
        }


def documents(raw: bytes) -> list[Document]:
    """Return every document of a message that some client shows in an HTML view."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    related: dict[str, tuple[str, bytes]] = {}
    found: list[tuple[bytes, str]] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            continue
        media_type = part.get_content_type()
        identifier = str(part.get("Content-ID") or "").strip().strip("<>")
        if identifier:
            related[identifier] = (media_type, data)
        if media_type in DOCUMENT_TYPES or _sniffed(data, media_type):
            charset = part.get_content_charset() or "utf-8"
            shown = "text/html" if media_type == "text/plain" else media_type
            found.append((data, f"{shown}; charset={charset}"))
    return [Document(data, media_type, related) for data, media_type in found]


def _sniffed(data: bytes, media_type: str) -> bool:
    return media_type == "text/plain" and data.lstrip()[:14].lower().startswith(
        (b"<!doctype html", b"<html", b"<body")
    )


def as_outlook_reads(document: Document) -> Document:
    """Return the document with every conditional comment true and VML drawn, the way Word's renderer sees it."""
    text = document.body.decode("latin-1")
    text = re.sub(r"<!--\[if[^\]>]*\]>(?:<!-->|-->)?", "", text)
    text = re.sub(r"<!(?:--)?<?!?\[(?:if[^\]>]*|endif)\](?:--)?>", "", text)
    text = re.sub(
        r"<(v:(?:imagedata|fill|image|background|rect))\b", r"<img data-vml=\1", text, flags=re.IGNORECASE
    )
    return Document(text.encode("latin-1"), document.media_type, document.related)
