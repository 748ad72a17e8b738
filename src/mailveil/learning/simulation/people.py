"""People: an organisation with functions, ranks and habits, and when somebody is at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.types import MarkedPerson
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.names import person_name
from mailveil.learning.simulation.types import DAY_S, HOUR_S, SimulationSettings

#: How an organisation is made up: an assumption, of a firm that makes and sells things.
FUNCTIONS: Final = (
    ("board", 0.02), ("finance", 0.08), ("personnel", 0.04), ("IT", 0.07), ("sales", 0.19), ("marketing", 0.07),
    ("purchasing", 0.06), ("engineering", 0.2), ("operations", 0.27),
)  # fmt: skip
#: Functions that an organisation marks for whoever looks into its mail; nobody keeps up all of them.
MARKED: Final = frozenset({"board", "finance", "personnel", "IT", "purchasing"})


@dataclass(frozen=True, slots=True)
class Person:
    """One of the organisation's people. ``keen`` scales how much mail there is for them, ``away`` holds days."""

    number: int
    address: str
    name: str
    function: str
    is_head: bool
    starts_at_s: float
    keen: float
    away: frozenset[int]


class People:
    """Everybody, and who is at work when."""

    def __init__(self, settings: SimulationSettings) -> None:
        chance = Chance(settings.seed, "people")
        self._begin_at = settings.begin_at
        self._settings = settings
        # Days on which nobody works: about as many as there are public holidays.
        self.holidays = frozenset(
            chance.whole(0, max(settings.days - 1, 1)) for _ in range(max(1, settings.days * 10 // 365))
        )
        self.all = self._made(chance)
        self.by_function: dict[str, list[Person]] = {}
        for each in self.all:
            self.by_function.setdefault(each.function, []).append(each)

    def is_workday(self, day: int) -> bool:
        """Tell whether people work on a day of the simulation."""
        weekday = int(self._begin_at // DAY_S + 3 + day) % 7  # the first of January 1970 was a Thursday
        return weekday < 5 and day not in self.holidays

    def at_work(self, day: int) -> list[Person]:
        """Return who is there on a day."""
        return [each for each in self.all if day not in each.away] if self.is_workday(day) else []

    def moment(self, day: int, chance: Chance, person: Person | None = None) -> float:
        """Return a time within a day's working hours, of somebody's own where a person is named."""
        starts = person.starts_at_s if person is not None else 8 * HOUR_S
        return self._begin_at + day * DAY_S + starts + chance.between(0.0, 9 * HOUR_S)

    def any_moment(self, day: int, chance: Chance) -> float:
        """Return a time at which machines send, by day rather than by night."""
        hour = chance.between(5.0, 22.0) if chance.often(0.8) else chance.between(0.0, 24.0)
        return self._begin_at + day * DAY_S + hour * HOUR_S

    def study_settings(self) -> StudySettings:
        """Return what the organisation says of its people to whoever studies its mail."""
        marked = {
            each.address: MarkedPerson(
                each.address,
                each.function,
                is_high_value=each.function == "board" or (each.function == "finance" and each.is_head),
            )
            for each in self.all
            if each.function in MARKED
        }
        return StudySettings(people=marked, own_domains=frozenset({self._settings.domain}))

    def _made(self, chance: Chance) -> Sequence[Person]:
        settings = self._settings
        made: list[Person] = []
        taken: set[str] = set()
        for number in range(settings.people):
            first, last = person_name(chance)
            mailbox = f"{first}.{last}"
            while mailbox in taken:
                mailbox = f"{first}.{last}{chance.whole(2, 99)}"
            taken.add(mailbox)
            function = _function_of(number / settings.people)
            is_head = not any(each.function == function for each in made)
            made.append(
                Person(
                    number,
                    f"{mailbox}@{settings.domain}",
                    f"{first} {last}".title(),
                    function,
                    is_head,
                    chance.between(6.5, 9.5) * HOUR_S,
                    chance.between(0.3, 1.7),
                    _away(chance, settings.days),
                )
            )
        return made


def _function_of(place: float) -> str:
    passed = 0.0
    for name, share in FUNCTIONS:
        passed += share
        if place < passed:
            return name
    return FUNCTIONS[-1][0]


def _away(chance: Chance, days: int) -> frozenset[int]:
    """Return somebody's holidays: four weeks a year or so, and single days."""
    away: set[int] = set()
    for _ in range(chance.count(days / 120)):
        first = chance.whole(0, days)
        away.update(range(first, first + chance.whole(5, 16)))
    away.update(chance.whole(0, days) for _ in range(chance.count(days / 90)))
    return frozenset(away)
