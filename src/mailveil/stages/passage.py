"""Passages: what is put on record of a message that passed. Hosts and domains, no persons."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from mailveil.core.policy import Envelope, direction_of
from mailveil.core.verdicts.addresses import registrable_domain
from mailveil.ports import Passage, Protected, Reply

MAX_REPLY_CHARACTERS = 300


def begin_passage(at: float, envelope: Envelope, size_bytes: int, identifier: str) -> Passage:
    """Return what is known of a message when it comes in."""
    return Passage(
        at=at,
        identifier=identifier,
        sender_domain=_registered(envelope.sender.rpartition("@")[2].lower()),
        size_bytes=size_bytes,
        direction=str(direction_of(envelope)),
        reply="",
    )


def end_passage(
    passage: Passage, now: float, protected: Protected, reply: Reply, envelope: Envelope, *, changed: bool
) -> Passage:
    """Return it with what was found in the message and what became of it."""
    return replace(
        passage,
        reply=_without_persons(str(reply)[:MAX_REPLY_CHARACTERS], envelope),
        found=tuple(replace(found, url=_origin_of(found.url), token="") for found in protected.found),
        defects=protected.defects,
        changed=changed,
        examined=protected.examined,
        seconds=max(0.0, now - passage.at),
    )


def _without_persons(text: str, envelope: Envelope) -> str:
    """Return a reply without the words that name somebody: many servers repeat the recipient in theirs."""
    names = {address.rpartition("@")[0].lower() for address in (*envelope.recipients, envelope.sender)}
    names |= {
        re.split(r"[+=]", name, maxsplit=1)[0] for name in names
    }  # mailboxes of addresses with a detail
    return " ".join(
        word
        for word in text.split()
        if "@" not in word and not names.intersection(re.split(r"[^\w.+=-]+", word.lower().strip(".,;:")))
    )


def _registered(domain: str) -> str:
    """Return what a domain belongs to: below that its owner may have made one for each recipient."""
    return registrable_domain(domain) or domain


def _origin_of(url: str) -> str:
    """Return scheme and registrable domain alone: the rest of a URL, its host included, often tells who reads."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "malformed"
    if not host:
        return f"{parts.scheme}:"
    domain = _registered(host)
    return f"{parts.scheme}://{'' if domain == host else '*.'}{domain}"
