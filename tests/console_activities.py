"""Spies as a small company might have them, made up but always the same: what the pages about activities show.

Each has its mail, its activity as studying would find it, alerts and campaigns; people here decided about some.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from console_demo import DAY, HOUR
from control_room import actor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from control_room import ControlRoomForTests
    from mailveil.core.intelligence.types import (
        Activity,
        Alert,
        Attribution,
        Campaign,
        Infrastructure,
        Probe,
        Reason,
        Target,
    )
    from mailveil.core.observation import Observation

FUNCTIONS = {
    "anna": ("board", True),
    "ben": ("finance", True),
    "chiara": ("finance", False),
    "dieter": ("finance", False),
    "elif": ("IT", False),
    "farah": ("sales", False),
}


@dataclass(frozen=True)
class Spy:
    """One actor: ``days`` before now at which each of ``people`` is probed, by turns."""

    actor: str
    author: str
    subjects: tuple[str, ...]
    people: tuple[str, ...]
    days: tuple[float, ...]
    score: float
    host: str
    operator: str = ""
    kinds: tuple[str, ...] = ("open",)
    later: tuple[float, ...] = ()
    other_senders: tuple[str, ...] = ()
    behind: tuple[tuple[str, str], ...] = ()
    reasons: tuple[tuple[str, float, str], ...] = ()
    learned: tuple[str, ...] = ()
    customer: str = ""
    total_probes: int = 0
    extra: tuple[str, ...] = field(default=())

    @property
    def identifier(self) -> str:
        return f"{sum(map(ord, self.actor)):032x}"


LOUD = (
    ("NEW_SENDER", 1.6, "nobody here had mail of invoice-desk.example before this week"),
    ("OWN_TRACKING", 1.9, "its tracker is of its own making and was met nowhere else"),
    ("ONE_FUNCTION", 1.4, "4 of 5 people probed work in finance"),
    ("HIGH_VALUE", 1.1, "2 people of high value are among them"),
    ("REPEATED", 0.9, "ben was probed 6 times, with subjects that vary"),
    ("REPLY_ELSEWHERE", 0.8, "answers go to another domain, mailbox-eu.example"),
    ("LITTLE_TEXT", 0.4, "its messages have hardly any text"),
    ("UNSUBSCRIBE", -0.5, "some of its messages can be unsubscribed from"),
    ("SIGNED", -0.2, "its messages are signed by its own domain"),
)


def spies() -> tuple[Spy, ...]:
    """Return who watches the company."""
    chance = random.Random(8)
    crowd = tuple(f"person{number:02}" for number in range(26))
    return (
        Spy(
            "invoice-desk.example", "accounts@invoice-desk.example",
            ("Invoice 2291 overdue", "Re: Invoice 2291", "Updated bank details", "Second reminder"),
            ("ben", "chiara", "dieter", "anna", "ben", "elif"),
            (9.2, 9.1, 8.3, 8.2, 6.4, 5.1, 4.6, 4.5, 3.2, 2.9, 2.2, 1.3, 0.4), 0.94,
            "px.invoice-desk.example", kinds=("open", "dwell", "location", "device"), later=(0.9, 0.1),
            other_senders=("invoice-desk-billing.example",),
            behind=(
                ("reply-domain", "mailbox-eu.example"), ("tracker-domain", "invoice-desk.example"),
                ("name-server", "ns1.cheap-dns.example"), ("name-server", "ns2.cheap-dns.example"),
                ("address", "203.0.113.77"), ("address", "2001:db8:4:1::77"),
                ("certificate", "sha256:5d41402abc4b2a76b9719d911017c592"),
                ("fingerprint", "own:/{8}/{22}.gif?c={4}"),
            ),
            reasons=LOUD,
            learned=(
                "when each of 5 people reads mail, and for how long",
                "the public address of the office and of two people at home",
                "which mail client 5 people use, and on which system",
            ),
        ),
        Spy(
            "acme-portal.example", "it-support@acme-portal.example", ("Your session has expired",),
            ("elif",), (0.12,), 0.61, "acme-portal.example", kinds=("credential", "identity"),
            behind=(("tracker-domain", "acme-portal.example"), ("address", "198.51.100.9")),
            reasons=(
                ("LOOK_ALIKE", 2.2, "acme-portal.example looks like acme.example"),
                ("RISKY_KIND", 1.2, "it asks for credentials"),
                ("ONE_PROBE", -1.4, "there is a single probe so far"),
            ),
            learned=("that elif reads mail for IT support", "elif’s log-in, had it been typed"),
        ),
        Spy(
            "conference-scouts-and-global-research-network.example",
            "events@conference-scouts-and-global-research-network.example",
            ("Speaker shortlist", "Your profile", "Agenda draft", "Quick question"),
            crowd, tuple(sorted((round(70 * chance.random(), 3) for _ in range(200)), reverse=True)), 0.83,
            "t0.conference-scouts-and-global-research-network.example", kinds=("open", "device"),
            other_senders=tuple(f"scouts-{word}.example" for word in ("eu", "na", "asia", "labs", "press", "talks")),
            behind=(
                *(("tracker-host", f"t{number}.edge-{number}.scout-cdn.example") for number in range(1, 7)),
                ("tracker-domain", "conference-scouts-and-global-research-network.example"),
                ("tracker-domain", "scout-cdn.example"),
                *(("canonical-name", f"pool{number}.hosting-provider.example") for number in range(4)),
                *(("address", f"198.51.100.{number}") for number in range(30, 35)),
                *(("name-server", f"ns{number}.hosting-provider.example") for number in range(1, 5)),
                ("certificate", "sha256:9b74c9897bac770ffc029102a200c5de"),
            ),
            reasons=(
                ("MANY_PEOPLE", 1.7, "26 people were probed"),
                ("SPREAD", 1.5, "it writes from 7 domains with the same technology"),
                ("STEADY", -0.8, "it writes to many, as mailings do"),
            ),
            learned=("who of 26 people reads what is written to them, and when",),
            total_probes=417,
        ),
        Spy(
            "talent-research.example", "m.keller@talent-research.example",
            ("Opportunity", "Re: Opportunity", "Still interested?"), ("farah",), (48.0, 33.5, 27.1, 20.4), 0.58,
            "track.hubspot.example", operator="HubSpot", customer="portal 8842193",
            behind=(("tracker-domain", "hubspot.example"),),
            reasons=(
                ("REPEATED", 1.3, "farah was probed 4 times over a month"),
                ("KNOWN_VENDOR", -0.7, "it uses a vendor that many use"),
            ),
            learned=("that farah reads what a recruiter writes",),
        ),
        Spy(
            "xn--e1afmkfd.example", "инфо@xn--e1afmkfd.example", ("Приглашение", "招聘信息", "הזמנה"),
            ("人事部", "дмитрий", "שרה"), (5.0, 4.0, 3.0, 2.0), 0.71, "xn--e1afmkfd.example", kinds=("open", "dns"),
            behind=(("tracker-domain", "xn--e1afmkfd.example"),),
            reasons=(("RARE_TRACKING", 1.1, "hardly anybody uses this tracker"),),
            learned=("that three mailboxes exist",),
        ),
        Spy(
            "partner-logistics.example", "ops@partner-logistics.example", ("Loading list",), ("georg", "ivo"),
            (12.0, 11.0), 0.52, "img.partner-logistics.example",
            behind=(("tracker-domain", "partner-logistics.example"),),
            reasons=(("CHANGED", 0.9, "a known sender tracks for the first time"),),
        ),
    )  # fmt: skip


def address(person: str) -> str:
    return f"{person}@acme.example"


def spying_mail(now: float, organisation: str = "default") -> Iterator[Observation]:
    """Give the mail of all spies."""
    for spy in spies():
        for probe in (*probes_of(spy, now), *later_of(spy, now)):
            yield _message(spy, probe, organisation)


def probes_of(spy: Spy, now: float) -> tuple[Probe, ...]:
    from mailveil.core.intelligence.types import Probe

    senders = (spy.actor, *spy.other_senders)
    hosts = (spy.host, *(value for role, value in spy.behind if role == "tracker-host"))
    return tuple(
        Probe(
            at=now - days * DAY,
            message=_identifier(spy, now - days * DAY, number),
            person=address(spy.people[number % len(spy.people)]),
            sender_domain=senders[number % len(senders)],
            kinds=spy.kinds[: 1 + number % len(spy.kinds)],
            template=f"https://{hosts[number % len(hosts)]}/*/*.gif?c=*",
            host=hosts[number % len(hosts)],
            vector="img-src",
        )
        for number, days in enumerate(spy.days)
    )


def later_of(spy: Spy, now: float) -> tuple[Probe, ...]:
    from mailveil.core.intelligence.types import Probe

    return tuple(
        Probe(
            now - days * DAY,
            _identifier(spy, now - days * DAY, 900 + number),
            address(spy.people[0]),
            spy.actor,
        )
        for number, days in enumerate(spy.later)
    )


def _identifier(spy: Spy, at: float, number: int) -> str:
    from mailveil.core.observation import observation_identifier

    return observation_identifier(at, f"{spy.actor}-{number}", "default")


def _message(spy: Spy, probe: Probe, organisation: str) -> Observation:
    from mailveil.core.observation import Observation, ObservedReference

    number = int(probe.at) % len(spy.subjects)
    references = (
        ObservedReference(
            url=probe.template.replace("*", "8f3a9c07"), template=probe.template, host=probe.host,
            domain=".".join(probe.host.split(".")[-2:]), vector="img-src", finding="tracker", action="copy",
            media="image", kind=probe.kinds[0], kinds=probe.kinds, score=0.97, risk="high", operator=spy.operator,
            rule="level:normal", signals=("PIXEL_1X1",), reasons=("the picture is one pixel",),
        ),
    ) if probe.host else ()  # fmt: skip
    return Observation(
        identifier=probe.message, organisation=organisation, at=probe.at, log_identifier=f"S{probe.at:.0f}",
        sender=f"bounce@{probe.sender_domain}", author=spy.author, author_domain=probe.sender_domain,
        sender_domain=probe.sender_domain, recipients=(probe.person,), subject=spy.subjects[number],
        message_id=f"<{probe.message}@{probe.sender_domain}>", size_bytes=9000, seconds=0.01, reply_code=250,
        changed=bool(references), risk="high" if references else "none", total_references=len(references),
        total_trackers=len(references), text_characters=140, references=references,
    )  # fmt: skip


def activity_of_spy(spy: Spy, now: float, organisation: str = "default") -> Activity:
    """Return the activity as studying would find it."""
    from mailveil.core.intelligence.types import Activity, Technique, TechniqueShown

    probes, later = probes_of(spy, now), later_of(spy, now)
    told = {
        "location": TechniqueShown(Technique.VICTIM_NETWORK, "opening tells the reader’s public address"),
        "device": TechniqueShown(Technique.VICTIM_HOST, "opening tells the reader’s mail client"),
    }
    beacon = TechniqueShown(Technique.SPEARPHISHING_LINK, "a web beacon tells when its mail is read")
    techniques = (beacon, *(told[kind] for kind in spy.kinds if kind in told))
    targets = targets_of(probes)
    return Activity(
        identifier=spy.identifier, organisation=organisation, actor=spy.actor, first_at=probes[0].at,
        last_at=max(each.at for each in (*probes, *later)), score=spy.score,
        risk="high" if spy.score > 0.8 else "medium", reasons=_reasons(spy), techniques=techniques,
        learned=spy.learned, kinds=spy.kinds, attribution=_attribution(spy),
        infrastructure=_infrastructure(spy, probes), targets=targets, probes=probes, follow_ups=later,
        total_messages=len(probes) + len(later), total_probes=spy.total_probes or len(probes),
        total_people=len(targets), alerted_at=probes[-1].at,
    )  # fmt: skip


def _reasons(spy: Spy) -> tuple[Reason, ...]:
    from mailveil.core.intelligence.types import Reason

    return tuple(Reason(*each) for each in spy.reasons)


def targets_of(probes: Sequence[Probe]) -> tuple[Target, ...]:
    from mailveil.core.intelligence.types import Target

    times: dict[str, list[float]] = {}
    for each in probes:
        times.setdefault(each.person, []).append(each.at)
    return tuple(
        Target(person, min(some), max(some), len(some), *FUNCTIONS.get(person.partition("@")[0], ("", False)))
        for person, some in sorted(times.items())
    )


def _attribution(spy: Spy) -> Attribution:
    from mailveil.core.intelligence.types import Attribution, Tooling

    if spy.operator:
        return Attribution(
            Tooling.BOUGHT, spy.operator, spy.operator + ", Inc.", spy.customer, 0.92, "",
            ("the address has the shape of the vendor’s", "its host lies in the vendor’s domain"),
        )  # fmt: skip
    finger = next((value for role, value in spy.behind if role == "fingerprint"), "")
    return Attribution(
        Tooling.BUILT, "", spy.actor, "", 0.74, finger,
        ("the tracker’s host lies in the sender’s own domain", "no vendor’s addresses have this shape"),
    )  # fmt: skip


def _infrastructure(spy: Spy, probes: Sequence[Probe]) -> tuple[Infrastructure, ...]:
    from mailveil.core.intelligence.types import Infrastructure, Role

    found: dict[tuple[Role, str], list[float]] = {}
    for each in probes:
        found.setdefault((Role.SENDER_DOMAIN, each.sender_domain), []).append(each.at)
        found.setdefault((Role.TRACKER_HOST, each.host), []).append(each.at)
    for number, (role, value) in enumerate(spy.behind):
        mine = probes[number % len(probes) :: max(1, len(spy.behind) // 3)] or probes
        found.setdefault((Role(role), value), []).extend(each.at for each in mine)
    return tuple(
        Infrastructure(
            role, value, min(times), max(times), len(times),
            shared=bool(spy.operator) and role is not Role.SENDER_DOMAIN,
        )
        for (role, value), times in found.items()
    )  # fmt: skip


def alerts_of(now: float, organisation: str = "default") -> tuple[Alert, ...]:
    """Return what people were told of the spies."""
    from mailveil.core.intelligence.types import Alert, AlertKind

    loud, portal = spies()[:2]
    first = probes_of(loud, now)[2]
    later = later_of(loud, now)[-1]
    return (
        Alert(
            f"{1:032x}", organisation, first.at, AlertKind.RECONNAISSANCE, loud.identifier, first.message,
            f"{loud.actor} watches 3 people in finance", 0.81, loud.actor, (first.person,),
        ),
        Alert(
            f"{2:032x}", organisation, later.at, AlertKind.FOLLOW_UP, loud.identifier, later.message,
            f"{loud.actor} probed people here before and writes to ben without a tracker", 0.94,
            loud.actor, (later.person,), first.at,
        ),
        Alert(
            f"{3:032x}", organisation, now - 0.12 * DAY, AlertKind.RECONNAISSANCE, portal.identifier,
            probes_of(portal, now)[0].message, f"{portal.actor} looks like acme.example and asks for credentials",
            0.61, portal.actor,
        ),
    )  # fmt: skip


def campaigns_of(now: float, organisation: str = "default") -> tuple[Campaign, ...]:
    """Return what was made out of the mail of spies and of others."""
    from mailveil.core.intelligence.types import Campaign, Nature, Tooling

    return (
        Campaign(
            f"{11:032x}", organisation, "invoice-desk.example", "https://px.invoice-desk.example/*/*.gif?c=*",
            now - 9 * DAY, now - 0.4 * DAY, Nature.TARGETED, ("few people, of one function", "nobody knew the sender"),
            13, 5, "", Tooling.BUILT, "Invoice 2291 overdue",
        ),
        Campaign(
            f"{12:032x}", organisation, "gardenshop.example", "https://gardenshop.us4.list-manage.com/track/open.php?u=*",
            now - 60 * DAY, now - 5 * HOUR, Nature.BULK, ("it has header fields of a mailing list",), 214, 10,
            "Mailchimp", Tooling.BOUGHT, "Your spring garden starts here",
        ),
        Campaign(
            f"{13:032x}", organisation, "partner-logistics.example", "", now - 50 * DAY, now - DAY, Nature.PERSONAL,
            ("people here write back",), 88, 4, "", Tooling.UNKNOWN, "Loading list for Thursday",
        ),
        Campaign(f"{14:032x}", organisation, "unknown.example", "", now - DAY, now - DAY, messages=1, people=1),
    )  # fmt: skip


def found_of(now: float, organisation: str = "default") -> tuple[Activity, ...]:
    """Return the activities of all spies."""
    made = [activity_of_spy(each, now, organisation) for each in spies()]
    return (
        *made,
        replace(
            made[0], identifier=MERGED, actor="invoice-desk-billing.example", merged_into=made[0].identifier
        ),
    )


MERGED = f"{77:032x}"
REVIEWER = actor("analyst", name="jana")


async def furnish_sharing(made: ControlRoomForTests) -> None:
    """Tell some systems what was found: one takes everything, one is down, one takes not everything, one waits."""
    from mailveil.control.sharing import DestinationOrder, make_destination
    from mailveil.control.sharingrecords import DeadLetter, DestinationKind
    from mailveil.core.sharing.types import EventKind, PeopleShared, TrafficLight

    now, store, who = made.clock.now(), made.room.sharing, actor("administrator", name="jana")
    assert store is not None
    orders = (
        DestinationOrder(
            "SIEM", DestinationKind.SYSLOG, "tls://siem.acme.example:6514", "cef", people=PeopleShared.CLEAR,
        ),
        DestinationOrder(
            "Partners’ MISP", DestinationKind.MISP, "https://misp.partners.example", least_score=0.7,
            traffic_light=TrafficLight.GREEN, secret="k" * 40, events=(str(EventKind.ACTIVITY_DECIDED),),
        ),
        DestinationOrder("Chat of the team", DestinationKind.WEBHOOK, f"https://hooks.acme.example/{'a' * 99}"),
        DestinationOrder("Log shipper", DestinationKind.JSON_LINES, "events.jsonl"),
    )  # fmt: skip
    found = [(await make_destination(made.room, who, order)).view.destination for order in orders]
    siem, misp, chat, _ = found
    await store.advance(siem, siem.position, 1204, now - 90)
    await store.advance(misp, misp.position, 31, now - 5 * DAY)
    await store.put_off(misp, 7, now + 480, "the server answered 403: this key may not add events")
    for number in (1, 2):
        letter = DeadLetter(
            chat.identifier, "default", number, now - HOUR, now - HOUR / 2, str(EventKind.ALERT_RAISED),
            spies()[0].identifier, "the server answered 413: too large", identifier=f"{number:032x}",
        )  # fmt: skip
        await store.bury(replace(chat, position=number - 1), letter)


async def furnish_spies(made: ControlRoomForTests, organisation: str = "default") -> None:
    """Put what studying found of the spies on record, and what people decided of them."""
    from mailveil.control.activities import (
        acknowledge_activity,
        decide_activity,
        mark_person,
        note_activity,
    )
    from mailveil.core.intelligence.types import AnalystVerdict

    now, room, who = made.clock.now(), made.room, actor("analyst", organisation, name="jana")
    found = found_of(now, organisation)
    await write_down(made, [replace(each, merged_into="") for each in found], organisation)
    await write_down(made, found, organisation)  # studying finds an activity before it finds whose part it is
    loud, _, crowd, *_, partner = spies()
    await acknowledge_activity(room, who, loud.identifier)
    await decide_activity(room, who, crowd.identifier, AnalystVerdict.CONFIRMED)
    await decide_activity(room, who, partner.identifier, AnalystVerdict.BENIGN)
    words = "Called ben: he opened none of them.\nHe forwarded one to accounting."
    await note_activity(room, who, loud.identifier, words)
    for name, (function, is_high_value) in FUNCTIONS.items():
        await mark_person(room, who, address(name), function=function, is_high_value=is_high_value)


async def write_down(
    made: ControlRoomForTests, found: Sequence[Activity], organisation: str = "default"
) -> None:
    """Write activities down as studying would, with alerts and campaigns."""
    from mailveil.control.activitystores import Studied

    now, studies = made.clock.now(), made.room.studies
    assert studies is not None
    waiting = await studies.unstudied(organisation, 1)
    studied = Studied(
        (), {}, now, waiting.generation, activities=tuple(found), campaigns=campaigns_of(now, organisation),
        alerts=alerts_of(now, organisation),
    )  # fmt: skip
    await studies.write(organisation, studied)


async def furnish_feeds(made: ControlRoomForTests) -> None:
    """Take in what others share: one feed works, one cannot be read, one is paused."""
    from mailveil.control.feeds import FeedOrder, change_feed, make_feed
    from mailveil.control.feedstores import FeedOutcome
    from mailveil.control.sharingrecords import FeedKind, ImportedIndicator

    now, store, who = made.clock.now(), made.room.feeds, actor("administrator", name="jana")
    assert store is not None
    orders = (
        FeedOrder("National CERT", FeedKind.TAXII, "https://taxii.cert.example/taxii2/", secret="s" * 20),
        FeedOrder("Partners’ MISP", FeedKind.MISP, "https://misp.partners.example/feed/"),
        FeedOrder("Old list", FeedKind.MISP, "https://old.example/feed/"),
    )
    cert, misp, old = [(await make_feed(made.room, who, order)).feed for order in orders]
    indicators = tuple(
        ImportedIndicator(
            cert.identifier, f"indicator--{number}", "domain", f"{word}-{number}.example", 0.6 + number / 99,
            now - DAY, now + 90 * DAY if number % 2 else 0.0, f"{word} of a known group", "CERT", "TLP:GREEN",
        )
        for number, word in enumerate(("beacon", "pixel", "look-alike-login", "invoice-portal") * 3)
    )  # fmt: skip
    told = {each.identifier: (each,) for each in indicators}
    figures = {"taken": 12, "withdrawn": 1, "skipped:own-domain": 2, "skipped:over": 7}
    await store.took(cert, FeedOutcome(told, "2027-01-15T07:00:00Z", now - 600, now + 3000, figures))
    await store.failed(misp, "the server answered 401: the key is not taken", 3, now + 1200)
    await change_feed(made.room, who, old.identifier, replace(orders[2], is_enabled=False))
