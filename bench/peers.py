"""The peers that the engine is measured against, doing the same job with other people's libraries."""

from __future__ import annotations

import email
import email.policy

from bs4 import BeautifulSoup
from selectolax.lexbor import LexborHTMLParser

ATTRIBUTES = ("src", "background", "poster", "lowsrc", "dynsrc", "data")
REPLACEMENT = "https://copies.example/c/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def replace_with_email_and_soup(raw: bytes) -> bytes:
    """Parse with ``email``, replace URLs with BeautifulSoup, serialise: the way that most filters are written."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    for part in message.walk():
        if part.get_content_type() != "text/html":
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        charset = part.get_content_charset() or "utf-8"
        try:
            soup = BeautifulSoup(payload.decode(charset, "replace"), "html.parser")
        except LookupError:
            soup = BeautifulSoup(payload.decode("utf-8", "replace"), "html.parser")
        changed = False
        for element in soup.find_all(True):
            for attribute in ATTRIBUTES:
                value = element.get(attribute)
                if isinstance(value, str) and value.strip().lower().startswith(("http:", "https:", "//")):
                    element[attribute] = REPLACEMENT
                    changed = True
        if changed:
            del part["Content-Transfer-Encoding"]
            part.set_payload(str(soup), "utf-8")
    return message.as_bytes()


def html_bodies(mail: list[bytes]) -> list[bytes]:
    """Return the decoded HTML bodies of messages, by the standard library's parser."""
    found = []
    for raw in mail:
        for part in email.message_from_bytes(raw).walk():
            if part.get_content_type() == "text/html":
                payload = part.get_payload(decode=True)
                if isinstance(payload, bytes):
                    found.append(payload)
    return found


def bare_parse(page: bytes) -> LexborHTMLParser:
    """Parse with lexbor and do nothing with the tree."""
    return LexborHTMLParser(page)
