"""Traits: by what a known actor is recognised in a message, by its facts or by its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mailveil.core.observation.facts import MessageFacts
from mailveil.core.observation.types import Observation, ObservedReference
from mailveil.core.recognition.types import MessageTraits
from mailveil.core.verdicts.addresses import registrable_domain


def traits_of(observation: Observation) -> MessageTraits:
    """Return the traits of a message on record."""
    return _traits(
        observation.author,
        observation.sender,
        observation.header,
        observation.references,
        proven=observation.author_domain,
    )


def traits_of_facts(
    facts: MessageFacts, sender: str, references: Iterable[ObservedReference], proven: str = ""
) -> MessageTraits:
    """Return the traits of a message that has just been examined.

    ``sender`` is its reverse-path, ``proven`` the domain that answers for its author, ``""`` where none does.
    """
    return _traits(facts.author, sender, facts.header, references, proven=proven)


def _traits(
    author: str,
    sender: str,
    header: Mapping[str, str],
    references: Iterable[ObservedReference],
    *,
    proven: str,
) -> MessageTraits:
    found, author_domain = tuple(references), _domain_of(author)
    return MessageTraits(
        author_domain=author_domain,
        sender_domain=_domain_of(sender),
        reply_domain=registrable_domain(header.get("reply_to_domain", "").removeprefix("*.")),
        domains=frozenset(each.domain for each in found if each.domain),
        hosts=frozenset(each.host for each in found if each.host),
        threads=frozenset(header.get("threads", "").split()),
        mailbox=header.get("mailbox", ""),
        own_message=header.get("thread", ""),
        is_list="list_id" in header,
        is_proven=bool(author_domain) and _domain_of(proven) == author_domain,
    )


def _domain_of(address: str) -> str:
    """Return the registrable domain of an address, also where its host stands as a template."""
    return registrable_domain(address.rpartition("@")[2].lower().removeprefix("*."))
