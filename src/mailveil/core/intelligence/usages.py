"""Usages: who uses a domain, a fingerprint or a server, so that what many share ties nobody to anybody.

Throw-away senders cost nothing, so an actor cannot make his tracker look shared by using many of them: what counts is
how many senders with a history use a thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mailveil.core.intelligence.attribution import fingerprint_of, grammar_of, server_print_of
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.memos import digest, key
from mailveil.core.intelligence.sight import Sight, Tracker, facts_at, is_nameable
from mailveil.core.intelligence.types import InfrastructureFacts, Role
from mailveil.core.recognition.shared import is_shared_domain
from mailveil.core.verdicts.addresses import registrable_domain

_MAX_USERS: Final = 16
_ESTABLISHED_USERS: Final = 2
_FEW_USERS: Final = 3
_MAX_VALUES: Final = 2  # of one kind at one host
_MAX_USAGES: Final = 24  # of one message
_STRONG_GRAMMAR: Final = 5  # words of an address from which on it is hardly built alike by chance


class Usage:
    """One thing that a message uses. ``strong``: it alone ties two messages, as long as few use it."""

    __slots__ = ("host", "key", "role", "strong", "value")

    def __init__(self, kind: str, value: str, role: Role, *, strong: bool, host: str = "") -> None:
        self.key = key(kind, value)
        self.role = role
        self.value = value
        self.strong = strong
        self.host = host


def usages_of(sight: Sight, infrastructure: Mapping[str, InfrastructureFacts]) -> list[Usage]:
    """Return what a message uses besides its sender, each once, what tells most first."""
    found: dict[str, Usage] = {}
    for each in sight.trackers:
        if is_nameable(each.domain) and not is_shared_domain(each.domain):
            usage = Usage("domain", each.domain, Role.TRACKER_DOMAIN, strong=True, host=each.host)
            found.setdefault(usage.key, usage)
    for each in sight.trackers:
        for usage in _of_tracker(each, facts_at(each.host, infrastructure), sight.sender_domain):
            found.setdefault(usage.key, usage)
            if len(found) >= _MAX_USAGES:
                break
    if is_nameable(sight.reply_domain) and sight.reply_domain != sight.sender_domain:
        reply = Usage("reply", sight.reply_domain, Role.REPLY_DOMAIN, strong=True)
        found.setdefault(reply.key, reply)
    return list(found.values())


def with_user(memo: Memo | None, sender: str, at: float, *, established: bool) -> Memo:
    """Return the memo of something that is used, after one more message of a sender."""
    return with_users(memo, [[digest(sender, size=4), int(established)]] if sender else [], at)


def with_users(memo: Memo | None, users: Sequence[Sequence[Any]], at: float) -> Memo:
    """Return the memo of something that is used, with those who turn out to use it."""
    memo = dict(memo) if memo else {"first": at, "last": at, "messages": 0, "users": [], "activity": ""}
    memo["first"], memo["last"] = min(memo["first"], at), max(memo["last"], at)
    memo["messages"] += 1
    names = {each[0] for each in users}
    users = [*(each for each in memo["users"] if each[0] not in names), *map(list, users)]
    # Those with a history first: however many throw-away senders there are, they leave room for them.
    memo["users"] = sorted(users, key=lambda each: -each[1])[:_MAX_USERS]
    return memo


def is_shared(memo: Memo | None, sender: str = "") -> bool:
    """Tell whether several senders with a history use something, ``sender`` not counted."""
    return sharing_of(memo, sender) >= 1.0


def sharing_of(memo: Memo | None, sender: str = "") -> float:
    """Return how much several use something, 0 to 1: one settled sender besides may be a coincidence, two are none.

    How many there are without a history tells nothing: an actor can have as many as it likes.
    """
    if memo is None:
        return 0.0
    own = digest(sender, size=4) if sender else ""
    settled = sum(int(each[1]) for each in memo["users"] if each[0] != own)
    if settled >= _ESTABLISHED_USERS:
        return 1.0
    return 0.6 if settled else 0.0


def is_rented(memo: Memo | None, sender: str = "") -> bool:
    """Tell whether what a host is an alias for serves others with a history, as a vendor's does whom nobody lists."""
    return sharing_of(memo, sender) > 0


def is_rare(memo: Memo) -> bool:
    """Tell whether hardly anybody uses something."""
    return len(memo["users"]) <= _FEW_USERS


def is_own_name_server(tracker: Tracker, facts: InfrastructureFacts, sender_domain: str) -> bool:
    """Tell whether a tracker's domain is served by name servers of its own, or of its sender."""
    own = {each for each in (tracker.domain, sender_domain) if is_nameable(each)}
    return any(registrable_domain(each[:253]) in own for each in facts.name_servers[:8])


def server_usages(host: str, domain: str, facts: InfrastructureFacts, sender_domain: str = "") -> list[Usage]:
    """Return what a host runs on, as far as it is known."""
    found = []
    if facts.certificate:
        found.append(Usage("certificate", facts.certificate[:128], Role.CERTIFICATE, strong=True, host=host))
    names = {registrable_domain(each[:253]) for each in facts.name_servers[:8]} - {""}
    for each in sorted(names)[:_MAX_VALUES]:
        own = each in (domain, sender_domain)
        if own or not is_shared_domain(each):
            found.append(Usage("names", each, Role.NAME_SERVER, strong=own, host=host))
    found.extend(
        Usage("address", each[:64], Role.ADDRESS, strong=False, host=host)
        for each in facts.addresses[:_MAX_VALUES]
    )
    for each in facts.canonical_names[:_MAX_VALUES]:
        alias = registrable_domain(each[:253].removeprefix("*."))
        if alias and alias != domain:
            found.append(Usage("alias", alias, Role.CANONICAL_NAME, strong=False, host=host))
    if server := server_print_of(facts):
        found.append(Usage("server", server, Role.FINGERPRINT, strong=False, host=host))
    return found


def _of_tracker(tracker: Tracker, facts: InfrastructureFacts, sender_domain: str) -> list[Usage]:
    found = []
    if fingerprint := fingerprint_of(tracker.reference):
        words = grammar_of(tracker.template, tracker.vector).words
        strong = words >= _STRONG_GRAMMAR
        found.append(Usage("print", fingerprint, Role.FINGERPRINT, strong=strong, host=tracker.host))
    return [*found, *server_usages(tracker.host, tracker.domain, facts, sender_domain)]
