"""World: what all sources of a simulation share, and what a source is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Protocol

from mailveil.core.observation import host_template
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.infrastructure import Infrastructure
from mailveil.learning.simulation.letters import Letter
from mailveil.learning.simulation.moulds import Hosts, Mould, mould
from mailveil.learning.simulation.names import Names
from mailveil.learning.simulation.people import People, Person
from mailveil.learning.simulation.types import Cause, Simulated, SimulationSettings, Truth


class Source(Protocol):
    """Something from which mail comes."""

    def day(self, day: int) -> Iterator[Simulated]:
        """Give a day's messages, in any order."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        ...


class World:
    """The organisation, and what there is only once: names and infrastructure."""

    def __init__(self, settings: SimulationSettings) -> None:
        self.settings = settings
        self.people = People(settings)
        self.names = Names(Chance(settings.seed, "names"))
        self.spies_names = Names(Chance(settings.seed, "spies' names"), are_spies=True)
        self.relatives_names = Names(Chance(settings.seed, "relatives' names"), are_long=True)
        self.infrastructure = Infrastructure(Chance(settings.seed, "infrastructure"))
        self._hosts = Hosts(settings.begin_at)

    def of_relatives(self) -> World:
        """Return the same world as relatives see it, with names of theirs: they leave those of others as they are."""
        world = copy(self)
        world.names = self.relatives_names
        return world

    def mould(
        self,
        letter: Letter,
        reader: str,
        chance: Chance,
        *,
        submitted: bool = False,
        like: str = "",
        cname: str = "",
    ) -> Mould:
        """Return a sender's mould; ``like`` and ``cname`` tell what is behind the hosts of its images."""
        made = mould(letter, reader, self.settings.organisation, chance, self._hosts, submitted=submitted)
        for each in made.observation.references:
            host, domain = each.host, each.domain
            if each.url.startswith("mailto:"):
                continue
            is_own = domain.endswith(".example")
            self.infrastructure.add(host, domain, cname=cname if is_own else "", like=like if is_own else "")
        return made

    def simulated(
        self,
        made: Mould,
        chance: Chance,
        at: float,
        readers: Sequence[Person | str],
        subject: str,
        *,
        cause: Cause,
        author: str = "",
        answers: str = "",
    ) -> Simulated:
        """Return a message of somebody honest."""
        addresses = [each if isinstance(each, str) else each.address for each in readers]
        return Simulated(
            made.cast(chance, at, addresses, subject, author=author, answers=answers), Truth(cause)
        )


def named_host(word: str, domain: str) -> str:
    """Return a host below a domain whose template is itself."""
    host = f"{word}.{domain}"
    return host if host_template(host) == host else domain
