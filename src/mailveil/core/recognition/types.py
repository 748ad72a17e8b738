"""The words of recognition: actors whose mail is known again when it comes, and what it was known by. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any


class KnownBy(StrEnum):
    """By what mail of a known actor was recognised. Values are permanent."""

    SENDER_DOMAIN = "sender-domain"
    REPLY_DOMAIN = "reply-domain"
    INFRASTRUCTURE = "infrastructure"  # a host or domain of its own that the message refers to
    LOOK_ALIKE = "look-alike"  # a domain that looks like the actor's, or like the one that the actor imitates
    MAILBOX = "mailbox"  # the same address at a provider of free mail, whose domain says nothing
    THREAD = "thread"  # an answer in a conversation that the actor began
    INDICATOR = "indicator"  # an indicator that others shared


@dataclass(frozen=True, slots=True)
class KnownActor:
    """One activity as the gateway knows it: by what its mail is recognised, and what readers are told.

    ``first_at`` is when it was first seen, seconds since the epoch. Domains are registrable ones, in lower case;
    ``threads`` are digests of the Message-IDs with which it wrote to us (``keys.thread_digest``), ``mailboxes`` of
    addresses at providers of free mail (``keys.mailbox_digest``). ``claimed_domains`` are those of its sender and
    reply domains that it only claimed: nothing proves that they are its own.
    """

    activity: str
    actor: str
    first_at: float
    last_at: float
    score: float
    confirmed: bool = False
    sender_domains: frozenset[str] = frozenset()
    reply_domains: frozenset[str] = frozenset()
    tracker_domains: frozenset[str] = frozenset()
    tracker_hosts: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()
    mailboxes: frozenset[str] = frozenset()
    claimed_domains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MessageTraits:
    """What of a message a known actor is recognised by; ``traits.traits_of`` and ``traits.traits_of_parts`` make it.

    Domains are registrable ones in lower case: of the From field, of the reverse-path and of Reply-To. ``domains`` and
    ``hosts`` are those that the message refers to, ``threads`` digests of the Message-IDs that it answers to,
    ``mailbox`` that of its author's address where its domain is a provider's of free mail. ``own_message`` is the
    digest of its own Message-ID. ``is_list`` says that it came through a mailing list, ``is_proven`` that the domain of
    the From field answers for it (``core.authentication``).
    """

    author_domain: str = ""
    sender_domain: str = ""
    reply_domain: str = ""
    domains: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()
    mailbox: str = ""
    own_message: str = ""
    is_list: bool = False
    is_proven: bool = False


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a message was recognised as: the activity, by what, and in words for whoever reads the evidence.

    For an indicator that others shared, ``activity`` is ``""`` and ``actor`` the feed that it came from. ``first_at``
    is 0 where readers are not told when the actor was first seen.
    """

    activity: str
    actor: str
    known_by: KnownBy
    value: str
    first_at: float
    words: str
    confirmed: bool = False

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``recognition_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Watchlist:
    """All known actors of one organisation. ``stamp`` changes whenever anything in it does."""

    organisation: str
    actors: tuple[KnownActor, ...] = ()
    own_domains: frozenset[str] = frozenset()
    stamp: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``watchlist_of`` makes it again."""
        return {
            "organisation": self.organisation,
            "actors": [
                {
                    each.name: sorted(value) if isinstance(value, frozenset) else value
                    for each in fields(KnownActor)
                    for value in (getattr(actor, each.name),)
                }
                for actor in self.actors
            ],
            "own_domains": sorted(self.own_domains),
            "stamp": self.stamp,
            "details": dict(self.details),
        }


def recognition_of(record: Mapping[str, Any]) -> Recognition:
    """Return what ``Recognition.record`` wrote down. Raises ``TypeError``, ``KeyError`` or ``ValueError``."""
    return Recognition(**{**record, "known_by": KnownBy(record["known_by"])})


def watchlist_of(record: Mapping[str, Any]) -> Watchlist:
    """Return what ``Watchlist.record`` wrote down. Raises ``TypeError``, ``KeyError`` or ``ValueError``."""
    actors: list[KnownActor] = []
    for each in record["actors"]:
        values: dict[str, Any] = {
            name: frozenset(value) if isinstance(value, list) else value for name, value in each.items()
        }
        actors.append(KnownActor(**values))
    return Watchlist(
        record["organisation"],
        tuple(actors),
        frozenset(record["own_domains"]),
        record["stamp"],
        dict(record["details"]),
    )
