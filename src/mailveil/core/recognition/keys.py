"""Keys: under what a known actor is filed, and where to look for the actor of a message: they share one if they match.

Digests have no key of their own: they stand for Message-IDs, which are made of chance, and for addresses of free mail
of whoever wrote to us, never of whoever was written to. They let messages be compared, and cannot be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from mailveil.core.recognition.lookalike import look_alike_keys, looks_like
from mailveil.core.recognition.shared import is_shared_domain, is_shared_host
from mailveil.core.recognition.types import KnownActor, MessageTraits

MAX_VALUES: Final = 200  # of one kind of an actor
_DIGEST_BYTES: Final = 8


def thread_digest(message_id: str) -> str:
    """Return a short digest of a Message-ID, with or without its brackets; ``""`` of none."""
    written = message_id.strip().strip("<>").strip()
    return _digest("thread", written) if written else ""


def mailbox_digest(address: str) -> str:
    """Return a short digest of an address at a provider of free mail; ``""`` of none.

    Details and dots that such providers do not tell apart do not count.
    """
    name, _, domain = address.strip().lower().rpartition("@")
    name = name.partition("+")[0]
    if domain in ("gmail.com", "googlemail.com"):
        name, domain = name.replace(".", ""), "gmail.com"
    return _digest("mailbox", f"{name}@{domain}") if name else ""


def actor_keys(actor: KnownActor, own_domains: Iterable[str] = ()) -> frozenset[str]:
    """Return the keys of an actor; ``own_domains`` are the organisation's, one of which the actor may imitate.

    Domains that serve everybody, and the organisation's own, are left out.
    """
    own = frozenset(own_domains)
    keys = {f"host {each}" for each in _some(actor.tracker_hosts) if not is_shared_host(each)}
    keys.update(f"thread {each}" for each in _some(actor.threads))
    keys.update(f"mailbox {each}" for each in _some(actor.mailboxes))
    for domain in (*_some(actor.sender_domains), *_some(actor.reply_domains)):
        if not is_shared_domain(domain) and domain not in own:
            keys.add(f"domain {domain}")
            keys.update(f"look {each}" for each in look_alike_keys(domain))
    for imitated in imitated_by(actor, own):
        keys.update(f"look {each}" for each in look_alike_keys(imitated))
    for domain in _some(actor.tracker_domains):
        if not is_shared_domain(domain) and domain not in own:
            keys.add(f"domain {domain}")
    return frozenset(keys)


def imitated_by(actor: KnownActor, own_domains: Iterable[str]) -> frozenset[str]:
    """Return which of the organisation's domains an actor's sender domains look like."""
    own = frozenset(own_domains)
    strange = _some(actor.sender_domains - own)
    return frozenset(each for domain in strange for each in resembled_by(domain, own))


@lru_cache(maxsize=32_768)
def resembled_by(domain: str, own_domains: frozenset[str]) -> tuple[str, ...]:
    """Return which of the organisation's domains another one looks like."""
    filed = _by_look(own_domains)
    # Only those that share a key with it can look like it: not each of an actor's with each of ours.
    possible = {each for look in look_alike_keys(domain) for each in filed.get(look, ())}
    return tuple(sorted(each for each in possible if looks_like(domain, each)))


@lru_cache(maxsize=64)
def _by_look(domains: frozenset[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for domain in sorted(domains):
        for each in look_alike_keys(domain):
            found[each] = (*found.get(each, ()), domain)
    return found


def message_keys(traits: MessageTraits) -> frozenset[str]:
    """Return the keys under which the actor of a message may be filed."""
    keys = {f"thread {each}" for each in traits.threads}
    if traits.mailbox:
        keys.add(f"mailbox {traits.mailbox}")
    for domain in (traits.author_domain, traits.sender_domain, traits.reply_domain):
        if not is_shared_domain(domain):
            keys.add(f"domain {domain}")
            keys.update(f"look {each}" for each in look_alike_keys(domain))
    keys.update(f"domain {each}" for each in _some(traits.domains) if not is_shared_domain(each))
    keys.update(f"host {each}" for each in _some(traits.hosts) if not is_shared_host(each))
    return frozenset(keys)


def _some(values: Iterable[str]) -> list[str]:
    return sorted(each for each in values if each)[:MAX_VALUES]


def _digest(purpose: str, text: str) -> str:
    told = f"{purpose}\n{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=_DIGEST_BYTES).hexdigest()
