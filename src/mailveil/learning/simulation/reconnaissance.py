"""Reconnaissance: those who write to learn who reads: how they go about it by grade, and how they come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.verdicts.operators import Category
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.letters import Image, Letter
from mailveil.learning.simulation.moulds import Mould
from mailveil.learning.simulation.names import FREE_MAIL, person_name, subject
from mailveil.learning.simulation.people import Person
from mailveil.learning.simulation.personal import Partner
from mailveil.learning.simulation.tracking import bought, built, grammar, host_word
from mailveil.learning.simulation.types import DAY_S, Cause, Grade, Simulated, Truth
from mailveil.learning.simulation.world import World, named_host

#: Whom spies look for; an assumption, after whom deception by mail is aimed at.
SOUGHT: Final = (("finance", 0.35), ("board", 0.25), ("personnel", 0.12), ("IT", 0.14), ("purchasing", 0.14))
LOGO: Final = 'width="120" height="40" alt=""'
#: So many write as sellers do: longer letters that go on with the conversation, some with a field to unsubscribe.
LIKE_SELLER: Final = 0.3
#: What some learn besides that they are read.
EXTRAS: Final = (("", 0.6), ("identity", 0.2), ("device", 0.08), ("credential", 0.06), ("receipt", 0.06))
FOLLOWED_UP: Final = 0.6  # of actors come back without a tracker


@dataclass(frozen=True, slots=True)
class Planned:
    """One message to come. ``made`` is the mould it is cast from; ``is_answer``: it goes on with what was sent last."""

    at: float
    person: Person
    made: Mould
    subject: str
    cause: Cause
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How many people are probed how often, with how many days between the rounds and within one."""

    people: tuple[int, int]
    rounds: tuple[int, int]
    between: tuple[float, float]
    within: float


PACES: Final[Mapping[Grade, Pace]] = {
    Grade.LOUD: Pace((4, 8), (1, 2), (1.0, 3.0), 2.0),
    Grade.SLOW: Pace((1, 2), (4, 6), (11.0, 24.0), 6.0),
    Grade.SPREAD: Pace((2, 4), (2, 4), (3.0, 12.0), 3.0),
    Grade.OWN_DNS: Pace((3, 6), (1, 2), (2.0, 8.0), 4.0),
    Grade.COMPROMISED_PARTNER: Pace((2, 5), (1, 2), (2.0, 6.0), 3.0),
    Grade.FREE_MAIL: Pace((2, 5), (1, 3), (2.0, 8.0), 4.0),
    Grade.VENDOR_ABUSE: Pace((2, 4), (1, 3), (3.0, 10.0), 4.0),
}


class Actor:
    """Somebody who reconnoitres: what they will send is planned when they begin, and sent when its time comes."""

    def __init__(
        self,
        name: str,
        grade: Grade,
        planned: Sequence[Planned],
        chance: Chance,
        *,
        is_like_seller: bool = False,
    ) -> None:
        self.name, self.grade, self._chance = name, grade, chance
        self.is_like_seller = is_like_seller
        self.planned = sorted(planned, key=lambda each: (each.at, each.person.number))
        self._last: dict[str, str] = {}  # the Message-ID of what was sent last, to each person and to anybody
        self._sent = {Cause.PROBE: 0, Cause.FOLLOW_UP: 0}

    @property
    def is_over(self) -> bool:
        """Whether all was sent."""
        return not self.planned

    def until(self, at: float) -> Iterator[Simulated]:
        """Give what is sent before a time."""
        while self.planned and self.planned[0].at < at:
            each = self.planned.pop(0)
            self._sent[each.cause] += 1
            truth = Truth(each.cause, self.name, self.grade, self._sent[each.cause], self.is_like_seller)
            answers = self._last.get(each.person.address, self._last.get("", "")) if each.is_answer else ""
            sent = each.made.cast(
                self._chance, each.at, (each.person.address,), each.subject, answers=answers
            )
            self._last |= {each.person.address: sent.message_id, "": sent.message_id}
            yield Simulated(sent, truth)


class Planner:
    """Plans what one actor sends."""

    def __init__(self, world: World, grade: Grade, chance: Chance, name: str) -> None:
        self.world, self.grade, self.chance, self.name = world, grade, chance, name
        self.first, self.last = person_name(chance)
        self.grammar = grammar(chance)
        self.reply_domain = ""
        if chance.often(0.7 if grade is Grade.COMPROMISED_PARTNER else 0.25):
            self.reply_domain = chance.pick(FREE_MAIL) if chance.often(0.5) else world.spies_names.domain()
        self.signs = chance.often(0.85)
        # Most write the tracker's host below their own domain, some have another for it.
        self.tracker_domain = "" if chance.often(0.6) else world.spies_names.domain()
        # Whoever spreads over domains mostly runs them all on the same machines.
        self.machines = name if chance.often(0.7) else ""
        self.is_like_seller = chance.often(LIKE_SELLER)
        self.extra = chance.weighted(EXTRAS)

    def actor(self, partners: Sequence[Partner]) -> Actor:
        """Return the actor with all that they will send."""
        pace, chance = PACES[self.grade], self.chance
        people = self._people(chance.whole(*pace.people))
        rounds = chance.whole(*pace.rounds)
        first_at = self._first_at(pace)
        ways: Mapping[Grade, Callable[[Person], Mould]] = {
            Grade.SPREAD: self._spread,
            Grade.FREE_MAIL: self._from(
                f"{self.first}.{self.last}{chance.whole(1, 999)}@{chance.pick(FREE_MAIL)}"
            ),
            Grade.VENDOR_ABUSE: self._vendor(),
            Grade.COMPROMISED_PARTNER: self._from(self._partner(partners)),
        }
        domain = self._domain(partners)
        way = ways.get(self.grade) or self._from(f"{self.first}.{self.last}@{domain}")
        planned: list[Planned] = []
        at, made = first_at, None
        what = subject(chance)
        for turn in range(rounds):
            is_answer = turn > 0 and self.is_like_seller
            if turn and not is_answer:
                what = subject(chance)
            title = f"Re: {what}" if is_answer else what
            latest = at
            for number, person in enumerate(people):
                # One mould for a sender, except that a spread actor changes domains every probe or two.
                if made is None or (self.grade is Grade.SPREAD and number % 2 == 0):
                    made = way(person)
                when = self._workday(at + chance.between(0.0, pace.within) * DAY_S, person)
                latest = max(latest, when)
                planned.append(Planned(when, person, made, title, Cause.PROBE, is_answer))
            at = latest + chance.between(*pace.between) * DAY_S
        planned.sort(key=lambda each: each.at)
        if chance.often(FOLLOWED_UP):
            planned += self._follow_ups(planned)
        within = [each for each in planned if each.at < self.world.settings.end_at]
        return Actor(self.name, self.grade, within, chance, is_like_seller=self.is_like_seller)

    def _people(self, count: int) -> list[Person]:
        by_function = self.world.people.by_function
        if self.grade is Grade.VENDOR_ABUSE:
            chosen = [*by_function.get("board", ()), *by_function.get("finance", ())[:2]]
        else:
            chosen = by_function.get(self.chance.weighted(SOUGHT), [])
        return self.chance.some(chosen if len(chosen) >= count else self.world.people.all, count)

    def _first_at(self, pace: Pace) -> float:
        """Return when they begin: so that three rounds, or all there are, lie within the simulated time if they can."""
        settings = self.world.settings
        needed = min(3, pace.rounds[1]) * (pace.between[1] + pace.within) + 7
        latest = max(settings.warm_up_days + 1.0, settings.days - needed)
        day = self.chance.between(settings.warm_up_days, latest)
        return settings.begin_at + day * DAY_S

    def _workday(self, at: float, person: Person) -> float:
        """Return a time on a workday; spies care for looking like everybody else."""
        people, begin_at = self.world.people, self.world.settings.begin_at
        day = int((at - begin_at) // DAY_S)
        for later in range(10):
            if people.is_workday(day + later):
                return people.moment(day + later, self.chance, person)
        return at

    def _domain(self, partners: Sequence[Partner]) -> str:
        chance, names = self.chance, self.world.spies_names
        if chance.often(0.4):
            known = (
                self.world.settings.domain
                if chance.often(0.5) or not partners
                else chance.pick(partners).domain
            )
            return names.look_alike(known)
        return names.domain()

    def _partner(self, partners: Sequence[Partner]) -> str:
        known = [each for each in partners if not each.is_new and each.often > 0.1] or list(partners)
        return self.chance.pick(self.chance.pick(known).contacts).address

    def _from(self, author: str) -> Callable[[Person], Mould]:
        """Return how letters of one address come about, with a private tracker."""
        domain = author.rpartition("@")[2]

        def make(person: Person) -> Mould:
            is_theirs = domain.endswith(".example") and self.grade is not Grade.COMPROMISED_PARTNER
            where = self.tracker_domain or (domain if is_theirs else "")
            if not where:
                where = self.tracker_domain = self.world.spies_names.domain()
            return self._probe(author, where, person)

        return make

    def _spread(self, person: Person) -> Mould:
        domain = self.world.spies_names.domain()
        return self._probe(f"{self.first}.{self.last}@{domain}", self.tracker_domain or domain, person)

    def _vendor(self) -> Callable[[Person], Mould]:
        chance = self.chance
        domain = chance.pick(FREE_MAIL) if chance.often(0.6) else self.world.spies_names.domain()
        author = f"{self.first}.{self.last}@{domain}"

        def make(person: Person) -> Mould:
            tracking = bought(chance, "", Category.READ_TRACKER, own_name=0.0)
            letter = Letter(
                author, signer=domain, images=(tracking.image,), text_characters=chance.whole(60, 500),
                head=self._head(), marks=tracking.marks,
            )  # fmt: skip
            return self.world.mould(letter, person.address, chance)

        return make

    def _length(self) -> int:
        return self.chance.whole(250, 1_100) if self.is_like_seller else self.chance.whole(40, 450)

    def _head(self) -> dict[str, str]:
        head = {"Reply-To": f"{self.first}.{self.last}@{self.reply_domain}"} if self.reply_domain else {}
        if self.is_like_seller and self.chance.often(0.35):
            head["List-Unsubscribe"] = f"<mailto:unsubscribe@{self.tracker_domain or 'answers.example'}>"
        if self.extra == "receipt":
            domain = self.reply_domain or self.tracker_domain or "answers.example"
            head["Disposition-Notification-To"] = f"{self.first}@{domain}"
        return head

    def _probe(self, author: str, where: str, person: Person) -> Mould:
        chance = self.chance
        images: list[Image] = []
        markup = ""
        if self.grade is Grade.OWN_DNS:
            mark = chance.token(24)
            marks: tuple[str, ...] = (mark,)
            images.append(Image(f"https://{mark}.{where}/i.png", 'width="1" height="1" alt=""'))
            if chance.often(0.5):
                markup = f'<link rel="dns-prefetch" href="https://{mark}.{where}/">'
                images.clear()
        else:
            tracking = built(chance, named_host(host_word(chance), where), grammar=self.grammar)
            # Some hide it behind a picture that everybody sees; who is loud does not care.
            is_seen = chance.often(0.2) and self.grade is not Grade.LOUD
            images.append(Image(tracking.image.url, LOGO) if is_seen else tracking.image)
            marks = tracking.marks
        if self.extra == "identity":
            images.append(Image(f"https://{where}/u?to={person.address}", 'width="1" height="1" alt=""'))
        elif self.extra == "credential":
            images.append(
                Image(f"file://{where}/share/{chance.token(16)}.png", 'width="1" height="1" alt=""')
            )
        elif self.extra == "device":
            markup += (
                "<style>@media (prefers-color-scheme:dark){.d{background:url(https://"
                f"{where}/d/{chance.token(16)}.png)}}}}</style><div class=d></div>"
            )
        letter = Letter(
            author, signer=author.rpartition("@")[2] if self.signs else "", images=tuple(images), markup=markup,
            text_characters=self._length(), head=self._head(), marks=marks,
        )  # fmt: skip
        return self.world.mould(letter, person.address, chance, like=self.machines)

    def _follow_ups(self, planned: Sequence[Planned]) -> list[Planned]:
        """Return how they come back: to one who was probed or to finance, with a letter that only asks."""
        chance, world = self.chance, self.world
        seen = planned[-1].made.observation
        author, what = seen.author, planned[-1].subject.removeprefix("Re: ")
        domain = author.rpartition("@")[2]
        way = chance.weighted((("same", 0.5), ("look-alike", 0.2), ("thread", 0.3)))
        if way != "same" and domain.endswith(".example"):
            other = (
                world.spies_names.look_alike(domain) if way == "look-alike" else world.spies_names.domain()
            )
            author = f"{author.rpartition('@')[0]}@{other}"
        head = {"Reply-To": f"{self.first}.{self.last}@{self.reply_domain}"} if self.reply_domain else {}
        letter = Letter(
            author, signer=author.rpartition("@")[2] if self.signs else "", text_characters=300, head=head
        )
        person = planned[-1].person
        if chance.often(0.3):
            person = chance.pick(world.people.by_function.get("finance", world.people.all))
        made = world.mould(letter, person.address, chance)
        title = f"Re: {what}" if way == "thread" or chance.often(0.5) else subject(chance)
        at = planned[-1].at
        follow_ups = []
        for _ in range(chance.whole(1, 2)):
            at += chance.between(1.5, 12.0) * DAY_S
            follow_ups.append(
                Planned(self._workday(at, person), person, made, title, Cause.FOLLOW_UP, way == "thread")
            )
        return follow_ups
