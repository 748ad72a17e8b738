"""Bulk: newsletters, notifications, invoices, invitations and cold sales, from senders old and new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.verdicts.operators import Category
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.letters import Image, Letter
from mailveil.learning.simulation.moulds import Mould
from mailveil.learning.simulation.names import person_name, subject
from mailveil.learning.simulation.people import Person
from mailveil.learning.simulation.tracking import Tracking, bought, built, host_word
from mailveil.learning.simulation.types import Cause, Simulated
from mailveil.learning.simulation.world import World, named_host

#: Functions that sellers, event organisers and recruiters write to.
SOUGHT: Final = ("board", "finance", "personnel", "IT", "purchasing", "marketing", "engineering", "sales")
_MOST_AT_ONCE: Final = 60
#: What mail from a firm's second domain has of the first one: its pictures, its signature, where answers go, and the
#: provider of names and servers. Assumptions; docs/simulation.md argues them.
SHOWS_PARENT: Final = 0.5
SIGNED_BY_PARENT: Final = 0.1
ANSWERED_AT_PARENT: Final = 0.25
HOSTED_WITH_PARENT: Final = 0.6


class Mailing:
    """A sender with subscribers: newsletters, notifications and invoices; until ``last_day`` where one is given."""

    def __init__(
        self, world: World, chance: Chance, cause: Cause, made: Mould, readers: Sequence[Person],
        *, every: float, first_day: int = 0, is_single: bool = False,
    ) -> None:  # fmt: skip
        """``every`` so many days, to all readers, or with ``is_single`` to each of them on their own days."""
        self.world, self.chance, self.cause, self.made = world, chance, cause, made
        self.readers, self.every, self.is_single = tuple(readers), every, is_single
        self.next_day = first_day + chance.between(0.0, every)
        # Newsletters are given up now and then; what is read daily lasts.
        self.last_day = first_day + chance.between(60.0, 1_500.0)

    @property
    def is_over(self) -> bool:
        """Whether it was given up."""
        return self.next_day > self.last_day

    def day(self, day: int) -> Iterator[Simulated]:
        """Give a day's messages."""
        if self.is_single:
            for reader in self.readers:
                for _ in range(self.chance.count(1 / self.every)):
                    yield self._to(day, (reader,), subject(self.chance))
            return
        if day < self.next_day:
            return
        self.next_day += self.every
        what = subject(self.chance)
        for reader in self.readers[:_MOST_AT_ONCE]:
            yield self._to(day, (reader,), what)

    def _to(self, day: int, readers: Sequence[Person], what: str) -> Simulated:
        at = self.world.people.any_moment(day, self.chance)
        return self.world.simulated(self.made, self.chance, at, readers, what, cause=self.cause)


class Sequel:
    """A few messages to a few people with days between, as sellers and organisers send them, until somebody answers."""

    def __init__(
        self, world: World, chance: Chance, cause: Cause, made: Mould, readers: Sequence[Person],
        *, first_day: int, steps: int, pause: tuple[float, float],
    ) -> None:  # fmt: skip
        """``pause`` is the least and the most number of days between two messages to somebody."""
        self.world, self.chance, self.cause, self.made = world, chance, cause, made
        self.due: list[tuple[float, Person, str]] = []
        self._last: dict[str, str] = {}  # what was written to whom
        what = subject(chance)
        for reader in readers:
            at = first_day + chance.between(0.0, 3.0)
            for step in range(chance.whole(1, steps)):
                self.due.append((at, reader, what if step == 0 else f"Re: {what}"))
                at += chance.between(*pause)
        self.due.sort(key=lambda each: (each[0], each[1].number))

    @property
    def is_over(self) -> bool:
        """Whether all was said."""
        return not self.due

    def day(self, day: int) -> Iterator[Simulated]:
        """Give a day's messages, on workdays alone."""
        if not self.world.people.is_workday(day):
            return
        now = [each for each in self.due if each[0] < day + 1]
        self.due = self.due[len(now) :]
        written: set[str] = set()
        for at_day, reader, what in now:
            if reader.address in written:  # nobody is written to twice a day
                self.due.insert(0, (at_day, reader, what))
                continue
            written.add(reader.address)
            answers = self._last.get(reader.address, "")
            at = self.world.people.moment(day, self.chance)
            sent = self.world.simulated(
                self.made, self.chance, at, (reader,), what, cause=self.cause, answers=answers
            )
            self._last[reader.address] = sent.observation.message_id
            yield sent


@dataclass(frozen=True, slots=True)
class Habits:
    """How likely senders of a kind have what: a tracker bought, built, and header fields of mailings."""

    bought: float
    built: float
    unsubscribe: float
    list_id: float
    pictures: tuple[int, int]
    text: tuple[int, int]


NEWSLETTER: Final = Habits(0.72, 0.12, 0.93, 0.6, (1, 8), (400, 5_000))
NOTIFICATION: Final = Habits(0.4, 0.15, 0.45, 0.1, (0, 3), (150, 1_500))
INVOICE: Final = Habits(0.3, 0.08, 0.15, 0.02, (0, 2), (200, 1_000))
EVENT: Final = Habits(0.75, 0.1, 0.8, 0.3, (1, 4), (300, 2_500))
SMALL: Final = Habits(0.0, 1.0, 0.6, 0.15, (0, 3), (200, 2_500))


def bulk_mould(
    world: World,
    chance: Chance,
    habits: Habits,
    readers: Sequence[Person],
    domain: str = "",
    *,
    parent: str = "",
) -> Mould:
    """Return the mould of a sender of mailings, of ``parent`` where it is a firm's second domain."""
    domain = domain or world.names.domain()
    tracking: list[Tracking] = []
    drawn = chance.share()
    if drawn < habits.bought:
        tracking.append(bought(chance, domain, Category.MAIL_SERVICE))
    elif drawn < habits.bought + habits.built:
        where = domain if chance.often(0.7) else world.names.domain()
        tracking.append(built(chance, named_host(host_word(chance), where)))
    store = chance.pick((f"images.{domain}", f"www.{domain}", f"cdn.{world.names.domain()}"))
    if parent and chance.often(SHOWS_PARENT):
        store = f"www.{parent}"
    pictures = tuple(
        Image(f"https://{store}/images/{chance.token(10)}.png", 'width="600" height="200" alt="Picture"')
        for _ in range(chance.whole(*habits.pictures))
    )
    head: dict[str, str] = {}
    if chance.often(habits.unsubscribe):
        head["List-Unsubscribe"] = f"<https://{named_host('unsubscribe', domain)}/u/{chance.token(16)}>"
    if chance.often(habits.list_id):
        head["List-Id"] = f"<news.{domain}>"
    if chance.often(0.12):
        head["Precedence"] = "bulk"
    for each in tracking:
        if each.field:
            name, _, value = each.field.partition(": ")
            head[name] = value or chance.token(12)
    signer = chance.weighted(
        ((domain, 0.9), (f"{chance.pick(('mta', 'send'))}.service.example", 0.06), ("", 0.04))
    )
    if parent and chance.often(SIGNED_BY_PARENT):
        signer = parent
    if parent and chance.often(ANSWERED_AT_PARENT):
        head["Reply-To"] = f"{chance.pick(('info', 'service', 'sales'))}@{parent}"
    mailbox = chance.pick(("news", "newsletter", "info", "hello", "service", "noreply", "team"))
    author = f"{mailbox}@{domain if chance.often(0.7) else f'mail.{domain}'}"
    letter = Letter(
        author=author, sender=f"bounce-{chance.token(8)}@bounce.{domain}", signer=signer,
        images=(*pictures, *(each.image for each in tracking)), text_characters=chance.whole(*habits.text),
        head=head, marks=tuple(mark for each in tracking for mark in each.marks),
    )  # fmt: skip
    cname = next((each.cname for each in tracking), "")
    like = parent if parent and chance.often(HOSTED_WITH_PARENT) else ""
    return world.mould(letter, readers[0].address, chance, cname=cname, like=like)


def newsletter(world: World, chance: Chance, first_day: int = -1) -> Mailing:
    """Return a newsletter; one that is new begins on ``first_day``."""
    people, is_new = world.people.all, first_day >= 0
    few = chance.weighted(
        ((1, 0.55), (4, 0.3), (max(5, len(people) // 20), 0.12), (max(6, len(people) // 3), 0.03))
    )
    readers = chance.some(people, chance.whole(1, few) if few > 1 else 1)
    every = chance.weighted(((1.0, 0.1), (7.0, 0.45), (14.0, 0.2), (30.0, 0.25)))
    made = bulk_mould(world, chance, NEWSLETTER, readers)
    cause = Cause.NEW_NEWSLETTER if is_new else Cause.NEWSLETTER
    return Mailing(world, chance, cause, made, readers, every=every, first_day=max(0, first_day))


def notification(world: World, chance: Chance) -> Mailing:
    """Return a service that tells people what happened."""
    people = world.people.all
    readers = chance.some(people, max(1, int(len(people) * chance.between(0.02, 0.7))))
    made = bulk_mould(world, chance, NOTIFICATION, readers)
    return Mailing(
        world, chance, Cause.NOTIFICATION, made, readers, every=chance.between(4.0, 40.0), is_single=True
    )


def invoices(world: World, chance: Chance, first_day: int) -> Mailing:
    """Return a firm that bills by mail."""
    readers = chance.some(world.people.by_function.get("finance", world.people.all), 1)
    made = bulk_mould(world, chance, INVOICE, readers)
    return Mailing(world, chance, Cause.INVOICE, made, readers, every=30.0, first_day=first_day)


def sought(world: World, chance: Chance, most: int) -> list[Person]:
    """Return a few people of one function."""
    function = chance.pick([each for each in SOUGHT if each in world.people.by_function])
    return chance.some(world.people.by_function[function], chance.whole(1, most))


def event(world: World, chance: Chance, first_day: int) -> Sequel:
    """Return an invitation with reminders to people of one function."""
    readers = sought(world, chance, 8)
    made = bulk_mould(world, chance, EVENT, readers)
    return Sequel(world, chance, Cause.EVENT, made, readers, first_day=first_day, steps=3, pause=(5.0, 12.0))


def small_sender(world: World, chance: Chance, first_day: int) -> Sequel:
    """Return a young firm that sends few mailings with a tracker that it wrote itself: honest, and hard to tell."""
    readers = chance.some(world.people.all, chance.whole(1, 4))
    made = bulk_mould(world, chance, SMALL, readers)
    return Sequel(
        world, chance, Cause.SMALL_SENDER, made, readers, first_day=first_day, steps=5, pause=(7.0, 30.0)
    )


def cold_sales(
    world: World, chance: Chance, first_day: int, *, domain: str = "", cause: Cause = Cause.COLD_SALES
) -> Sequel:
    """Return a seller who writes to people of one function as if by hand, often from a domain made for it."""
    if not domain:
        made_for = chance.pick(("get{}", "try{}", "{}team", "{}hq", "{}"))
        domain = f"{made_for.format(world.names.firm())}.example"
    readers = sought(world, chance, 5)
    made = _seller(world, chance, domain, readers, (Category.SALES,), bought_share=0.8, built_share=0.08)
    return Sequel(world, chance, cause, made, readers, first_day=first_day, steps=5, pause=(2.0, 6.0))


def recruiter(world: World, chance: Chance, first_day: int) -> Sequel:
    """Return a recruiter who writes to one or two people."""
    readers = sought(world, chance, 2)
    made = _seller(
        world, chance, world.names.domain(), readers, (Category.SALES,), bought_share=0.6, built_share=0.02
    )
    return Sequel(
        world, chance, Cause.RECRUITER, made, readers, first_day=first_day, steps=3, pause=(3.0, 9.0)
    )


def _seller(
    world: World, chance: Chance, domain: str, readers: Sequence[Person], categories: tuple[Category, ...],
    *, bought_share: float, built_share: float,
) -> Mould:  # fmt: skip
    first, last = person_name(chance)
    drawn = chance.share()
    tracking: Tracking | None = None
    if drawn < bought_share:
        tracking = bought(chance, domain, *categories, own_name=0.3)
    elif drawn < bought_share + built_share:
        tracking = built(chance, named_host(host_word(chance), domain))
    images = (tracking.image,) if tracking else ()
    if chance.often(0.3):
        images = (Image(f"https://www.{domain}/images/logo.png"), *images)
    head = {}
    if chance.often(0.35):
        head["List-Unsubscribe"] = f"<mailto:unsubscribe@{domain}>"
    if chance.often(0.05):
        head["Reply-To"] = f"{first}@{world.names.domain()}"
    letter = Letter(
        author=f"{first}.{last}@{domain}", signer=domain if chance.often(0.95) else "", images=images,
        text_characters=chance.whole(250, 1_100), head=head, marks=tracking.marks if tracking else (),
    )  # fmt: skip
    return world.mould(letter, readers[0].address, chance, cname=tracking.cname if tracking else "")
