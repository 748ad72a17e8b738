"""Generating: all sources of a simulation, day by day, as one stream of messages in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.learning.simulation import bulk
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.personal import FreeMail, Internal, Ours, Partner
from mailveil.learning.simulation.reconnaissance import Actor, Planner
from mailveil.learning.simulation.relatives import Relatives
from mailveil.learning.simulation.types import DAY_S, Grade, Simulated, SimulationSettings
from mailveil.learning.simulation.world import Source, World


@dataclass(frozen=True, slots=True)
class Rates:
    """How much of what there is: at the beginning for each of an organisation's people, then for each and week.

    Assumptions all; docs/simulation.md tells what each rests on.
    """

    newsletters: float = 2.0
    services: float = 0.12
    partners: float = 1.5
    invoices: float = 0.1
    new_newsletters: float = 0.08
    new_partners: float = 0.05
    new_invoices: float = 0.004
    events: float = 0.03
    cold_sales: float = 0.12
    recruiters: float = 0.03
    small_senders: float = 0.02
    moves: float = 0.003  # of a partner, a week
    our_relatives: float = 0.01  # on top of one sister company and one platform for staff
    new_our_relatives: float = 0.0002
    partners_relatives: float = 0.12  # of a partner
    new_partners_relatives: float = 0.001  # of a partner, a week
    namesakes: float = 0.001


Begin = Callable[[World, Chance, int], Source]


class Simulation:
    """An organisation's mail. Iterate over it once; afterwards ``infrastructure`` holds what is known of all hosts.

    The same settings give the same messages; honest mail is the same whoever reconnoitres.
    """

    def __init__(self, settings: SimulationSettings, rates: Rates | None = None) -> None:
        self.settings = settings
        self.world = World(settings)
        self._rates = rates or Rates()
        self._ours = Ours(self.world)
        self._sources: list[Source] = []
        self._partners: list[Partner] = []
        self._number = 0
        self._to_come: list[tuple[int, Callable[[], Source]]] = []

    @property
    def infrastructure(self) -> Mapping[str, InfrastructureFacts]:
        """What is known of the hosts that were named so far; grows as messages come."""
        return self.world.infrastructure.facts

    def study_settings(self) -> StudySettings:
        """Return what the organisation says of itself to whoever studies its mail."""
        return self.world.people.study_settings()

    def __iter__(self) -> Iterator[Simulated]:
        """Give every message, in the order of time."""
        self._begin()
        actors = self._actors()
        late: list[Simulated] = []
        arriving = Chance(self.settings.seed, "arriving")
        for day in range(self.settings.days):
            self._arrive(day, arriving)
            ends_at = self.settings.begin_at + (day + 1) * DAY_S
            found = late
            for source in self._sources:
                found += source.day(day)
            for actor in actors:
                found += actor.until(ends_at)
            found.sort(key=lambda each: (each.observation.at, each.observation.identifier))
            late = [each for each in found if each.observation.at >= ends_at]
            yield from (each for each in found if each.observation.at < ends_at)
            self._sources = [each for each in self._sources if not each.is_over]

    def _begin(self) -> None:
        people, rates = self.settings.people * self.settings.mail, self._rates
        self._sources = [FreeMail(self.world), Internal(self.world, self._ours)]
        for _ in range(int(people * rates.newsletters)):
            self._sources.append(bulk.newsletter(self.world, self._chance("newsletter")))
        for _ in range(max(3, int(people * rates.services))):
            self._sources.append(bulk.notification(self.world, self._chance("service")))
        for _ in range(max(1, int(people * rates.invoices))):
            self._sources.append(bulk.invoices(self.world, self._chance("invoices"), 0))
        for _ in range(max(4, int(people * rates.partners))):
            self._partner(0, is_new=False)
        self._relate()

    def _relate(self) -> None:
        """Plan who has a name like ours or a partner's and is honest: before spies choose names, which are others."""
        rates, settings = self._rates, self.settings
        relatives = Relatives(self.world, self._ours)
        weeks = settings.days / 7
        people = settings.people * settings.mail
        to_come = relatives.of_ours(
            1 + int(people * rates.our_relatives), people * rates.new_our_relatives * weeks
        )
        to_come += relatives.of_partners(
            self._partners, rates.partners_relatives, rates.new_partners_relatives * weeks
        )
        to_come += relatives.namesakes(self._partners, people * rates.namesakes * weeks)
        self._to_come = sorted(to_come, key=lambda each: each[0])

    def _arrive(self, day: int, chance: Chance) -> None:
        """Let new senders turn up; fewer at weekends."""
        rates = self._rates
        weight = 7 / 5 if self.world.people.is_workday(day) else 0.1
        mean = self.settings.people * self.settings.mail / 7 * weight
        beginning: list[tuple[float, str, Begin]] = [
            (rates.new_newsletters, "newsletter", bulk.newsletter),
            (rates.new_invoices, "invoices", bulk.invoices),
            (rates.events, "event", bulk.event),
            (rates.cold_sales, "cold sales", bulk.cold_sales),
            (rates.recruiters, "recruiter", bulk.recruiter),
            (rates.small_senders, "small sender", bulk.small_sender),
        ]
        for rate, name, begin in beginning:
            for _ in range(chance.count(rate * mean)):
                self._sources.append(begin(self.world, self._chance(name), day))
        while self._to_come and self._to_come[0][0] <= day:
            self._sources.append(self._to_come.pop(0)[1]())
        for _ in range(chance.count(rates.new_partners * mean)):
            self._partner(day, is_new=True)
        for partner in self._partners:
            if chance.often(rates.moves / 7) and not partner.moved and not partner.is_new:
                partner.move()

    def _partner(self, day: int, *, is_new: bool) -> None:
        partner = Partner(self.world, self._ours, self._chance("partner"), first_day=day, is_new=is_new)
        self._partners.append(partner)
        self._sources.append(partner)

    def _actors(self) -> list[Actor]:
        actors = []
        known = list(self._partners)
        for grade in Grade:
            for number in range(self.settings.actors.get(grade, 0)):
                name = f"{grade}-{number + 1}"
                chance = Chance(self.settings.seed, f"actor {name}")
                actors.append(Planner(self.world, grade, chance, name).actor(known))
        return actors

    def _chance(self, name: str) -> Chance:
        self._number += 1
        return Chance(self.settings.seed, f"{name} {self._number}")
