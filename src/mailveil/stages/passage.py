"""Passages: what is put on record of a message that passed. Hosts and domains, no persons."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from mailveil.core.policy import Envelope, direction_of
from mailveil.ports import Passage, Protected, Reply


def begin_passage(at: float, envelope: Envelope, size_bytes: int, identifier: str) -> Passage:
    """Return what is known of a message when it comes in."""
    return Passage(
        at=at,
        identifier=identifier,
        sender_domain=envelope.sender.rpartition("@")[2].lower(),
        size_bytes=size_bytes,
        direction=str(direction_of(envelope)),
        reply="",
    )


def end_passage(
    passage: Passage, now: float, protected: Protected, reply: Reply, *, changed: bool
) -> Passage:
    """Return it with what was found in the message and what became of it."""
    return replace(
        passage,
        # Some servers repeat the recipient in their reply; the journal knows no persons.
        reply=" ".join(word for word in str(reply)[:300].split() if "@" not in word),
        found=tuple(replace(found, url=_origin_of(found.url)) for found in protected.found),
        defects=protected.defects,
        changed=changed,
        examined=protected.examined,
        seconds=max(0.0, now - passage.at),
    )


def _origin_of(url: str) -> str:
    """Return scheme and host alone: the rest of a URL often tells who the reader is."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "malformed"
    return f"{parts.scheme}://{host}" if host else f"{parts.scheme}:"
