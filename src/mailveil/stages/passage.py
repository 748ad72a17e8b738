"""Passages: what is put on record of a message that passed. Hosts and domains, no persons."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from mailveil.core.observation import Passed
from mailveil.core.policy import Envelope, direction_of
from mailveil.core.verdicts.addresses import registrable_domain
from mailveil.ports import Passage

MAX_REPLY_CHARACTERS = 300


def passage_of(passed: Passed) -> Passage:
    """Return what the status page is told of a message."""
    envelope = passed.envelope
    proven = envelope.authentication
    reply = f"{passed.fared.code} {passed.fared.text}"[:MAX_REPLY_CHARACTERS]
    return Passage(
        at=passed.at,
        identifier=passed.identifier,
        sender_domain=_registered(envelope.sender.rpartition("@")[2].lower()),
        size_bytes=passed.size_bytes,
        direction=str(direction_of(envelope)),
        reply=_without_persons(reply, envelope),
        found=tuple(replace(found, url=_origin_of(found.url), token="") for found in passed.found),
        defects=passed.defects,
        changed=passed.changed,
        examined=passed.examined,
        seconds=passed.seconds,
        authentication=(*(proven.summary() if proven is not None else ()), *passed.sealing),
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
