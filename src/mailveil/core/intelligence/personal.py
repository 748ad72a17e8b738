"""Personal names: domains and mailboxes that an actor made for those whom it writes to. Pure and total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from mailveil.core.observation.names import Names
from mailveil.core.observation.privacy import is_pseudonym
from mailveil.core.verdicts.addresses import registrable_domain

_FEW: Final = 20  # people of one message; nobody makes domains for more of them


def personal_among(names: Iterable[str], people: Sequence[str]) -> Iterator[str]:
    """Yield those of some domains and mailboxes that spell somebody: of a domain what it is registered as."""
    if len(people) > _FEW:
        return
    for each in dict.fromkeys(names):
        mailbox, at, domain = each.rpartition("@")
        registered = registrable_domain(domain)
        if registered and any(_spells(registered, person) for person in people):
            yield registered
        if at and any(_spells(mailbox, person) for person in people):
            yield each


@lru_cache(maxsize=16_384)
def _spells(name: str, person: str) -> bool:
    return not is_pseudonym(person) and _names_of(person).stand_in(name)


@lru_cache(maxsize=4_096)
def _names_of(person: str) -> Names:
    return Names((person,))
