"""Relatives: honest senders whose domain resembles ours or a partner's: sister firms, mailing domains, namesakes.

Who has a name like somebody's is planned before spies choose theirs, so that nobody is given a domain twice. Relatives
draw from streams of their own: other mail is the same whether there are any or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from mailveil.learning.simulation import bulk
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.people import Person
from mailveil.learning.simulation.personal import Ours, Partner
from mailveil.learning.simulation.types import Cause
from mailveil.learning.simulation.world import Source, World

#: What a firm adds to its name, by what the domain is for; ``{}`` is the name.
_SISTERS: Final = (
    "{}-group",
    "{}-de",
    "{}-uk",
    "{}-us",
    "{}-international",
    "{}-holding",
    "{}group",
    "{}usa",
)
_MAILINGS: Final = ("{}-news", "{}-mail", "{}-info", "{}-events", "{}mail", "get{}", "{}-online", "news-{}")
_SERVICES: Final = ("{}-service", "{}-support", "{}-billing", "{}-orders", "my{}", "{}-portal", "{}-shop")
_STAFF: Final = (
    "{}-careers",
    "{}-benefits",
    "{}-jobs",
    "{}-survey",
    "{}-academy",
    "{}-learning",
    "my{}",
    "{}-hr",
)
#: Conversations a day with a sister company of ours: more than with most partners.
_SISTERS_WRITE: Final = ((0.3, 0.5), (0.8, 0.5))
#: Platforms for an organisation's staff measure what they are paid for, most with means of their own.
_PLATFORM: Final = bulk.Habits(0.45, 0.3, 0.5, 0.1, (0, 3), (150, 1_500))
_ON_FIRST_DAY: Final = 0
#: What a partner's second domain is for.
_PARTNERS: Final = (("mailing", 0.5), ("service", 0.3), ("sister", 0.2))
#: What ours are, after the first two, which are a sister company and a platform for staff.
_OURS: Final = (("platform", 0.45), ("sister", 0.3), ("mailing", 0.25))
_LIKE_OURS: Final = 0.05  # of namesakes; the others have a name like a partner's
#: What namesakes do: as those do who are new.
_NAMESAKES: Final = (("sales", 0.45), ("newsletter", 0.3), ("event", 0.15), ("small", 0.1))
_NEWCOMERS: Final = {"newsletter": bulk.NEWSLETTER, "event": bulk.EVENT, "small": bulk.SMALL}

ToCome = list[tuple[int, Callable[[], Source]]]


class Relatives:
    """Makes them: of each the day on which it turns up, and what makes its mail."""

    def __init__(self, world: World, ours: Ours) -> None:
        self._spies_names = world.spies_names
        self.world, self.ours = world.of_relatives(), ours
        self._chance = Chance(world.settings.seed, "relatives")

    def of_ours(self, at_first: int, later: float) -> ToCome:
        """Return those who belong to us: so many from the start, and so many on average afterwards."""
        name, chance = self.world.settings.domain, self._chance
        wanted = [(_ON_FIRST_DAY, kind) for kind in ("sister", "platform")]
        wanted += [(_ON_FIRST_DAY, chance.weighted(_OURS)) for _ in range(max(0, at_first - 1))]
        wanted += [(self._day(), chance.weighted(_OURS)) for _ in range(chance.count(later))]
        made: ToCome = []
        for day, kind in wanted:
            part = self._part(f"ours {len(made)}")
            if kind == "sister":
                begin = partial(self._sister, part, self._named(name, _SISTERS), Cause.OUR_RELATIVE, day)
            elif kind == "platform":
                begin = partial(self._platform, part, self._named(name, _STAFF), day)
            else:
                readers = chance.some(self.world.people.by_function.get("marketing", ()), 6)
                begin = partial(
                    self._mailing, part, self._named(name, _MAILINGS), readers,
                    cause=Cause.OUR_RELATIVE, day=day, parent=name,
                )  # fmt: skip
            made.append((day, begin))
        return made

    def of_partners(self, partners: Sequence[Partner], share: float, later: float) -> ToCome:
        """Return second domains of partners: ``share`` of them have one, ``later`` of them get one."""
        chance, cause = self._chance, Cause.PARTNERS_RELATIVE
        made: ToCome = []
        for partner in partners:
            has, gets = chance.often(share), chance.often(later)
            if not has and not gets:
                continue
            day, kind = _ON_FIRST_DAY if has else self._day(), chance.weighted(_PARTNERS)
            part = self._part(f"of {partner.domain}")
            readers = list(dict.fromkeys(each for contact in partner.contacts for each in contact.ours))
            if kind == "sister":
                begin = partial(self._sister, part, self._named(partner.domain, _SISTERS), cause, day)
            elif kind == "service":
                domain = self._named(partner.domain, _SERVICES)
                begin = partial(self._service, part, domain, partner.domain, readers, day)
            else:
                domain = self._named(partner.domain, _MAILINGS)
                begin = partial(
                    self._mailing, part, domain, readers, cause=cause, day=day, parent=partner.domain
                )
            made.append((day, begin))
        return made

    def namesakes(self, partners: Sequence[Partner], count: float) -> ToCome:
        """Return firms that happen to have a name like ours or a partner's, one at least."""
        chance = self._chance
        made: ToCome = []
        for number in range(max(1, chance.count(count))):
            like = self.world.settings.domain
            if partners and not chance.often(_LIKE_OURS):
                like = chance.pick(partners).domain
            domain = self.world.names.similar(like)
            self._spies_names.take(domain)
            day = self._day()
            made.append((day, partial(self._namesake, self._part(f"namesake {number}"), domain, day)))
        return made

    def _named(self, domain: str, ways: Sequence[str]) -> str:
        """Return a second domain of somebody, which nobody else has."""
        name = domain.partition(".")[0]
        for _ in range(20):
            made = f"{self._chance.pick(ways).format(name)}.example"
            if self.world.names.take(made):
                break
        self._spies_names.take(made)
        return made

    def _day(self) -> int:
        return self._chance.whole(0, max(0, self.world.settings.days - 1))

    def _part(self, name: str) -> Chance:
        return self._chance.part(name)

    def _sister(self, chance: Chance, domain: str, cause: Cause, day: int) -> Source:
        sister = Partner(self.world, self.ours, chance, first_day=day, domain=domain, cause=cause)
        if cause is Cause.OUR_RELATIVE:
            sister.often = chance.weighted(_SISTERS_WRITE)
        return sister

    def _platform(self, chance: Chance, domain: str, day: int) -> Source:
        world = self.world
        everybody = world.people.all
        readers = chance.some(everybody, max(1, int(len(everybody) * chance.between(0.1, 1.0))))
        made = bulk.bulk_mould(world, chance, _PLATFORM, readers, domain, parent=world.settings.domain)
        every = chance.between(10.0, 60.0)
        return bulk.Mailing(
            world, chance, Cause.OUR_RELATIVE, made, readers, every=every, first_day=day, is_single=True
        )

    def _mailing(
        self, chance: Chance, domain: str, readers: Sequence[Person], *, cause: Cause, day: int, parent: str
    ) -> Source:
        world = self.world
        readers = readers or world.people.all[:1]
        is_event = chance.often(0.25)
        habits = bulk.EVENT if is_event else bulk.NEWSLETTER
        made = bulk.bulk_mould(world, chance, habits, readers, domain, parent=parent)
        every = chance.weighted(((14.0, 0.25), (30.0, 0.5), (90.0, 0.25)))
        return bulk.Mailing(world, chance, cause, made, readers, every=every, first_day=day)

    def _service(
        self, chance: Chance, domain: str, parent: str, readers: Sequence[Person], day: int
    ) -> Source:
        habits = bulk.INVOICE if chance.often(0.4) else bulk.NOTIFICATION
        made = bulk.bulk_mould(self.world, chance, habits, readers, domain, parent=parent)
        every = chance.between(10.0, 40.0)
        return bulk.Mailing(
            self.world,
            chance,
            Cause.PARTNERS_RELATIVE,
            made,
            readers,
            every=every,
            first_day=day,
            is_single=True,
        )

    def _namesake(self, chance: Chance, domain: str, day: int) -> Source:
        world, cause = self.world, Cause.NAMESAKE
        kind = chance.weighted(_NAMESAKES)
        if kind == "sales":
            return bulk.cold_sales(world, chance, day, domain=domain, cause=cause)
        readers = chance.some(world.people.all, chance.whole(1, 4))
        made = bulk.bulk_mould(world, chance, _NEWCOMERS[kind], readers, domain)
        if kind == "newsletter":
            return bulk.Mailing(world, chance, cause, made, readers, every=14.0, first_day=day)
        return bulk.Sequel(world, chance, cause, made, readers, first_day=day, steps=4, pause=(5.0, 20.0))
