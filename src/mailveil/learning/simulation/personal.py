"""Personal: letters between people: partners, those who turn up, free mailboxes, colleagues, and our own answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.verdicts.operators import Category
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.letters import Image, Letter
from mailveil.learning.simulation.moulds import Mould
from mailveil.learning.simulation.names import FREE_MAIL, person_name, subject
from mailveil.learning.simulation.people import Person
from mailveil.learning.simulation.tracking import bought
from mailveil.learning.simulation.types import Cause, Simulated
from mailveil.learning.simulation.world import World

RECEIPT_SHARE: Final = 0.03  # of partners' people have an extension that tells them who read
CRM_SHARE: Final = 0.06  # write out of software for sales
ASKS_RECEIPT: Final = 0.01  # ask for a receipt by a header field, always
QUOTES: Final = 0.05  # of contacts forward mailings, with the trackers in them
_OLD: Final = 4_000.0


@dataclass(slots=True)
class Contact:
    """Somebody outside, with whom of us they write, and the mould of their letters."""

    address: str
    made: Mould
    ours: tuple[Person, ...]
    cause: Cause


class Ours:
    """The letters that we write ourselves."""

    def __init__(self, world: World) -> None:
        self.world = world
        chance = Chance(world.settings.seed, "ours")
        first = world.people.all[0].address
        domain = world.settings.domain
        logo = Image(f"https://www.{domain}/images/signature/logo.png")
        self._plain = world.mould(Letter(first, text_characters=500), first, chance, submitted=True)
        self._with_logo = world.mould(
            Letter(first, images=(logo,), text_characters=700), first, chance, submitted=True
        )

    def write(
        self,
        chance: Chance,
        at: float,
        person: Person,
        to: Sequence[str | Person],
        what: str,
        *,
        cause: Cause,
        answers: str = "",
    ) -> Simulated:
        """Return a letter of one of us; people with odd numbers have a logo in their signature."""
        made = self._with_logo if person.number % 2 else self._plain
        return self.world.simulated(
            made, chance, at, to, what, cause=cause, author=person.address, answers=answers
        )


@dataclass(frozen=True, slots=True)
class _Due:
    """A letter to be written: by us or by them, from a day on. ``answers`` is what it answers to."""

    day: int
    contact: Contact
    person: Person
    subject: str
    is_ours: bool
    answers: str = ""


class Partner:
    """A firm with a few people who write with a few of ours, both ways."""

    def __init__(
        self,
        world: World,
        ours: Ours,
        chance: Chance,
        *,
        first_day: int = 0,
        is_new: bool = False,
        domain: str = "",
        cause: Cause = Cause.PARTNER,
    ) -> None:
        """``domain`` is the firm's where it has one already, ``cause`` what its letters are in truth."""
        self.world, self.ours, self.chance = world, ours, chance
        self.first_day = first_day
        self.domain = domain or world.names.domain()
        self.cause = Cause.NEW_PARTNER if is_new else cause
        self.is_new = is_new
        # Threads a day between us.
        self.often = chance.weighted(((0.03, 0.5), (0.15, 0.35), (0.8, 0.15)))
        self.last_day = first_day + chance.between(30.0, _OLD if not is_new else 300.0)
        self.moved = False
        self._logo_host = chance.weighted(
            ((f"www.{self.domain}", 0.5), (f"images.{world.names.domain()}", 0.15), ("", 0.35))
        )
        self.contacts = [self._contact() for _ in range(chance.weighted(((1, 0.5), (2, 0.3), (4, 0.2))))]
        self._pending: list[_Due] = []
        if is_new:
            contact = chance.pick(self.contacts)
            # Half of all new acquaintances begin with a letter of ours.
            self._pending.append(
                _Due(first_day, contact, contact.ours[0], subject(chance), chance.often(0.5))
            )

    @property
    def is_over(self) -> bool:
        """Whether we write no more."""
        return not self._pending and self.first_day >= self.last_day

    def _contact(self) -> Contact:
        world, chance = self.world, self.chance
        first, last = person_name(chance)
        address = f"{first}.{last}@{self.domain}"
        ours = tuple(chance.some(world.people.all, chance.weighted(((1, 0.6), (2, 0.3), (4, 0.1)))))
        images: list[Image] = []
        marks: tuple[str, ...] = ()
        cause = self.cause
        if self._logo_host:
            images.append(Image(f"https://{self._logo_host}/signature/{chance.token(8)}.png"))
        drawn, cname = chance.share(), ""
        if drawn < RECEIPT_SHARE + CRM_SHARE:
            is_receipt = drawn < RECEIPT_SHARE
            tracking = bought(
                chance, self.domain, Category.READ_TRACKER if is_receipt else Category.SALES, own_name=0.1
            )
            images.append(tracking.image)
            marks, cname = tracking.marks, tracking.cname
            cause = Cause.READ_RECEIPT if cause in {Cause.PARTNER, Cause.NEW_PARTNER} else cause
        elif drawn < RECEIPT_SHARE + CRM_SHARE + QUOTES:
            tracking = bought(chance, world.names.domain(), Category.MAIL_SERVICE, own_name=0.3)
            images.append(tracking.image)
            marks, cname = tracking.marks, tracking.cname
        head = {"Disposition-Notification-To": address} if chance.often(ASKS_RECEIPT) else {}
        letter = Letter(
            address, signer=self.domain if chance.often(0.9) else "", images=tuple(images),
            text_characters=chance.whole(150, 2_000), head=head, marks=marks,
        )  # fmt: skip
        return Contact(address, world.mould(letter, ours[0].address, chance, cname=cname), ours, cause)

    def move(self) -> None:
        """Go to another mail service: other signatures, other hosts of pictures, other header fields."""
        chance = self.chance
        self.moved = True
        self._logo_host = f"images.{self.world.names.domain()}"
        for contact in self.contacts:
            letter = Letter(
                contact.address, sender=f"bounce@{chance.pick(('out', 'mail', 'send'))}.{self.world.names.domain()}",
                signer=self.domain if chance.often(0.7) else "",
                images=(Image(f"https://{self._logo_host}/signature/{chance.token(8)}.png"),),
                text_characters=chance.whole(150, 2_000),
            )  # fmt: skip
            contact.made = self.world.mould(letter, contact.ours[0].address, chance)
            contact.cause = Cause.MOVED_PARTNER

    def day(self, day: int) -> Iterator[Simulated]:
        """Give a day's letters, to us and from us."""
        if not self.world.people.is_workday(day):
            return
        self.first_day = day
        chance = self.chance
        for _ in range(chance.count(self.often if day < self.last_day else 0.0)):
            contact = chance.pick(self.contacts)
            self._pending.append(
                _Due(day, contact, chance.pick(contact.ours), subject(chance), chance.often(0.4))
            )
        now = [each for each in self._pending if each.day <= day]
        self._pending = [each for each in self._pending if each.day > day]
        for due in now:
            written = self._written(due, day)
            yield written
            if chance.often(0.6):
                answer = due.subject if due.subject.startswith("Re: ") else f"Re: {due.subject}"
                later, other = day + chance.whole(1, 3), not due.is_ours
                answered = written.observation.message_id
                self._pending.append(_Due(later, due.contact, due.person, answer, other, answered))

    def _written(self, due: _Due, day: int) -> Simulated:
        world, chance, person = self.world, self.chance, due.person
        at = world.people.moment(day, chance, person)
        if due.is_ours and day not in person.away:
            return self.ours.write(
                chance,
                at,
                person,
                (due.contact.address,),
                due.subject,
                cause=Cause.SUBMITTED,
                answers=due.answers,
            )
        contact = due.contact
        return world.simulated(
            contact.made, chance, at, (person,), due.subject, cause=contact.cause, answers=due.answers
        )


class FreeMail:
    """People who write from mailboxes that anybody can have: applicants, customers, and people at home."""

    is_over = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = Chance(world.settings.seed, "free mail")

    def day(self, day: int) -> Iterator[Simulated]:
        """Give a day's letters."""
        world, chance = self.world, self.chance
        for _ in range(chance.count(world.settings.people * 0.012 * world.settings.mail)):
            first, last = person_name(chance)
            author = f"{first}.{last}{chance.whole(1, 999)}@{chance.pick(FREE_MAIL)}"
            reader = chance.pick(
                world.people.by_function.get(chance.pick(("personnel", "sales")), world.people.all)
            )
            images: tuple[Image, ...] = ()
            marks: tuple[str, ...] = ()
            if chance.often(0.03):
                tracking = bought(chance, "", Category.READ_TRACKER, own_name=0.0)
                images, marks = (tracking.image,), tracking.marks
            letter = Letter(
                author, signer=author.rpartition("@")[2], images=images, text_characters=chance.whole(80, 1_500),
                marks=marks,
            )  # fmt: skip
            made = world.mould(letter, reader.address, chance)
            at = world.people.any_moment(day, chance)
            for _ in range(1 + chance.count(0.4)):
                yield world.simulated(made, chance, at, (reader,), subject(chance), cause=Cause.FREE_MAIL)
                at += chance.between(60.0, 7_200.0)


class Internal:
    """What colleagues write to each other, where it passes the gateway."""

    is_over = False

    def __init__(self, world: World, ours: Ours) -> None:
        self.world, self.ours = world, ours
        self.chance = Chance(world.settings.seed, "internal")

    def day(self, day: int) -> Iterator[Simulated]:
        """Give a day's letters."""
        world, chance = self.world, self.chance
        for person in world.people.at_work(day):
            for _ in range(chance.count(1.5 * person.keen * world.settings.mail)):
                to = chance.some(world.people.all, chance.weighted(((1, 0.7), (3, 0.2), (8, 0.1))))
                at = world.people.moment(day, chance, person)
                yield self.ours.write(chance, at, person, to, subject(chance), cause=Cause.INTERNAL)
