"""A month of mail as a small company might get it, made up but always the same: what pictures of the console show."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from control_room import actor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from control_room import ControlRoomForTests
    from mailveil.control.health import Measure
    from mailveil.core.observation import Observation, ObservedReference
    from mailveil.ports import CopyState, PastFetch

HOUR, DAY = 3600, 86_400
PEOPLE = ("anna", "ben", "chiara", "dieter", "elif", "farah", "georg", "hana", "ivo", "jana")


@dataclass(frozen=True)
class Sender:
    domain: str
    author: str
    subjects: tuple[str, ...]
    references: tuple[ObservedReference, ...]
    weight: int
    size: int = 40_000
    proves: bool = True


def _tracker(
    host: str,
    path: str,
    operator: str,
    kind: str = "open",
    risk: str = "medium",
    score: float = 0.97,
    **more: object,
) -> ObservedReference:
    from mailveil.core.observation import ObservedReference

    domain = ".".join(host.split(".")[-2:])
    values: dict[str, object] = {
        "url": f"https://{host}{path.replace('*', '{token}')}",
        "template": f"https://{host}{path}",
        "host": host,
        "domain": domain,
        "vector": "img-src",
        "finding": "tracker",
        "action": "copy",
        "media": "image",
        "kind": kind,
        "kinds": (kind, "device") if kind == "open" else (kind,),
        "score": score,
        "risk": risk,
        "operator": operator,
        "operator_confidence": 0.95 if operator else 0.0,
        "evidence": f"the address has the shape {host}{path}" if operator else "",
        "rule": "level:normal",
        "signals": (
            "PIXEL_1X1",
            "LONG_TOKEN_IN_URL",
            *(("KNOWN_OPERATOR",) if operator else ()),
            "THIRD_PARTY",
        ),
        "reasons": (
            *(("the address has the shape of a known tracking service's",) if operator else ()),
            "the picture is one pixel",
            "the address holds a random token of 44 characters",
        ),
    }
    return ObservedReference(**{**values, **more})  # type: ignore[arg-type]


def _picture(host: str, path: str) -> ObservedReference:
    from mailveil.core.observation import ObservedReference

    return ObservedReference(
        url=f"https://{host}{path}",
        template=f"https://{host}{path}",
        host=host,
        domain=".".join(host.split(".")[-2:]),
        vector="img-src",
        finding="content",
        action="copy",
        media="image",
        score=0.03,
        risk="low",
        rule="level:normal",
        signals=("VISIBLE_SIZE", "ALT_TEXT", "STATIC_FILE"),
        reasons=("it is shown in a size that people see", "it is a plain file"),
    )


def senders() -> tuple[Sender, ...]:
    """Return who writes to the company. Names end in .example; operators are those of the catalogue."""
    return (
        Sender(
            "gardenshop.example", "news@gardenshop.example",
            ("Your spring garden starts here", "20% off all perennials until Sunday", "New: raised beds in oak"),
            (
                _tracker("gardenshop.us4.list-manage.com", "/track/open.php?u=*&id=*&e=*", "Mailchimp"),
                _picture("mcusercontent.com", "/7f/images/header.png"),
                _picture("mcusercontent.com", "/7f/images/perennials.jpg"),
                _picture("mcusercontent.com", "/7f/images/footer.png"),
            ),
            22, 68_000,
        ),
        Sender(
            "cloudledger.example", "billing@cloudledger.example",
            ("Invoice 2027-0117 is ready", "Payment received, thank you", "Your monthly statement"),
            (
                _tracker("u2044.ct.sendgrid.net", "/wf/open?upn=*", "Twilio SendGrid"),
                _picture("assets.cloudledger.example", "/mail/logo.png"),
            ),
            17, 31_000,
        ),
        Sender(
            "talentspan.example", "m.keller@talentspan.example",
            ("Quick question about your team", "Re: following up", "Did you see my last note?"),
            (
                _tracker(
                    "track.hubspot.example", "/e3t/Ctc/*", "HubSpot", risk="high", kinds=("open", "location", "device")
                ),
            ),
            9, 9_000,
        ),
        Sender(
            "railways.example", "tickets@railways.example",
            ("Your booking reference 7K2P9Q", "Changes to your journey on Friday"),
            (
                _picture("img.railways.example", "/brand/rail.png"),
                _picture("img.railways.example", "/maps/platform.png"),
            ),
            14, 52_000,
        ),
        Sender(
            "dailyherald.example", "briefing@dailyherald.example",
            ("Morning briefing: what to know today", "The week in pictures", "Evening edition"),
            (
                _tracker("li.dailyherald.example", "/imp?s=*&e=*&p=*", "LiveIntent", kind="identity", risk="high"),
                _tracker("links.dailyherald.example", "/e/eo?_t=*&_m=*", "Sailthru"),
                _picture("static.dailyherald.example", "/img/front.jpg"),
                _picture("static.dailyherald.example", "/img/weather.png"),
            ),
            24, 118_000,
        ),
        Sender(
            "parcel-status.example", "notice@parcel-status.example",
            ("Your parcel could not be delivered", "Action needed: customs fee"),
            (
                _tracker(
                    "203.0.113.77", "/p/*.gif", "", kind="credential", risk="high", score=0.99, vector="css-url",
                    signals=("IP_HOST", "RECIPIENT_IN_URL", "INVISIBLE"),
                    reasons=(
                        "the host is a bare IP address",
                        "the address holds a recipient's mail address",
                        "it is hidden",
                    ),
                ),
            ),
            4, 12_000, False,
        ),
        Sender(
            "partner-logistics.example", "ops@partner-logistics.example",
            ("Loading list for Thursday", "Gate times week 3", "Damaged pallet, photos attached"),
            (), 40, 210_000,
        ),
        Sender(
            "city-library.example", "desk@city-library.example",
            ("Your loan ends in three days", "A book you reserved is here"), (), 12, 6_000,
        ),
        Sender(
            "meetnow.example", "invites@meetnow.example",
            ("Invitation: project review", "Updated invitation: project review"),
            (
                _tracker("sg-links.meetnow.example", "/wf/open?upn=*", "Twilio SendGrid", score=0.91),
                _picture("cdn.meetnow.example", "/static/calendar.png"),
            ),
            11, 24_000,
        ),
    )  # fmt: skip


def month_of_mail(now: float, count: int = 1400, seed: int = 5) -> Iterator[Observation]:
    """Give messages of the 61 days before ``now``, the oldest first; the last 30 days bring more of them."""
    from mailveil.core.observation import Observation, observation_identifier

    chance = random.Random(seed)
    choices = senders()
    weights = [each.weight for each in choices]
    times = sorted(_moment(chance, now) for _ in range(count))
    for number, at in enumerate(times):
        sender = chance.choices(choices, weights)[0]
        recipients = tuple(
            f"{name}@acme.example" for name in chance.sample(PEOPLE, chance.choice((1, 1, 1, 1, 2, 3)))
        )
        references = tuple(_personal(each, chance) for each in sender.references)
        trackers = sum(each.is_tracker for each in references)
        log_identifier = f"{number:04X}{chance.randrange(16**8):08X}"
        domain_proven = sender.domain if sender.proves else ""
        yield Observation(
            identifier=observation_identifier(at, log_identifier, "default"),
            organisation="default",
            at=at,
            log_identifier=log_identifier,
            sender=f"bounce-{number}@{sender.domain}",
            author=sender.author,
            author_domain=domain_proven,
            sender_domain=sender.domain,
            recipients=recipients,
            subject=chance.choice(sender.subjects),
            message_id=f"<{number}.{log_identifier}@{sender.domain}>",
            size_bytes=int(sender.size * chance.uniform(0.7, 1.4)),
            seconds=chance.uniform(0.006, 0.05),
            reply_code=250,
            reply="2.0.0 Ok: queued",
            changed=bool(references),
            risk=_risk(references),
            total_references=len(references),
            total_trackers=trackers,
            text_characters=chance.randrange(300, 4000),
            authentication=_authentication(sender.domain, passes=sender.proves),
            header={"list_id": f"news.{sender.domain}"} if len(references) > 2 else {},
            references=references,
        )


def _moment(chance: random.Random, now: float) -> float:
    """Return a time at which mail comes: by day rather than by night, on working days rather than on Sundays."""
    while True:
        days = 30 * chance.random() if chance.random() < 0.62 else 30 + 31 * chance.random()
        at = now - days * DAY - chance.random() * 600
        hour = (at / HOUR) % 24
        weekday = int(at // DAY + 4) % 7  # 0 is Sunday
        likely = (0.12 if hour < 6 or hour > 21 else 0.55 if hour < 8 or hour > 17 else 1.0) * (
            0.35 if weekday in (0, 6) else 1.0
        )
        if chance.random() < likely:
            return at


def _personal(reference: ObservedReference, chance: random.Random) -> ObservedReference:
    secret = f"{chance.randrange(16**22):022x}"
    return replace(reference, url=reference.url.replace("{token}", secret), token=secret)


def _risk(references: tuple[ObservedReference, ...]) -> str:
    order = ("none", "low", "medium", "high")
    return max((each.risk for each in references), key=order.index, default="none")


def _authentication(domain: str, *, passes: bool) -> dict[str, object]:
    from mailveil.core.authentication.types import Authentication, DkimResult, Result

    if not passes:
        return Authentication(1, (domain,)).record()
    signature = DkimResult(domain, "s1", Result.PASS, "rsa-sha256", signs_from=True, aligned=True)
    return Authentication(1, (domain,), dkim=(signature,)).record()


async def demo_health(*, anew: bool = False) -> tuple[Measure, ...]:
    """Return how things are doing at the company: well, but for two of them."""
    from mailveil.control.health import Condition, Measure

    return (
        Measure("mail", "gateway", Condition.OK, "takes mail by SMTP", "127.0.0.1:2525"),
        Measure("mail", "milter", Condition.OK, "answers", "127.0.0.1:2526"),
        Measure("mail", "next hop", Condition.OK, "answers: 220 mx.acme.example ESMTP", "smtp:127.0.0.1:10026"),
        Measure("mail", "workers", Condition.OK, "2 of 2 examine messages"),
        Measure("copies", "copies server", Condition.OK, "answers readers", "https://copies.acme.example"),
        Measure("fetching", "fetch queue", Condition.OK, "nothing waits for long", "3 to come"),
        Measure(
            "fetching", "exit socks5://10.8.0.4:1080", Condition.BAD, "refuses connections",
            remedy="Fetches wait. Start the exit, or take it out of [fetch] exits.",
        ),
        Measure("storage", "disk", Condition.OK, "has room", "41 GB free"),
        Measure("storage", "database", Condition.OK, "answers in 2 ms", "SQLite, 38 MB"),
        Measure("storage", "spool of observations", Condition.OK, "is written as it comes", "0 waiting"),
        Measure("knowledge", "block lists", Condition.WARN, "are 47 days old", "2 lists, 61,204 rules",
                "Import them anew: mailveil lists import."),
        Measure("certificates", "gateway", Condition.OK, "is good for 63 days", "mx.acme.example"),
    )  # fmt: skip


def prepare() -> dict[str, object]:
    """Return what the demonstration puts into the control room besides the database's stores."""
    return {"fetches": DemoFetches(), "copies": DemoCopies()}


class DemoCopies:
    """The copies of the demonstration: every picture was made anew (the part of ``ports.CopyStore`` that pages ask)."""

    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        from mailveil.ports import CopyFacts, CopyState

        facts = CopyFacts(width=1, height=1, frames=1)
        return [CopyState("stored", "image", "image/gif", 43, facts) for _ in tokens]


class DemoFetches:
    """What fetching showed of the trackers in the demonstration (``ports.FetchRecord``)."""

    async def evidence_of(self, url: str) -> list[PastFetch]:
        from mailveil.core.verdicts.evidence import (
            BodyFacts,
            FetchEvidence,
            FetchOutcome,
            Hop,
            NameAnswer,
            NameRecord,
        )
        from mailveil.ports import PastFetch, host_of

        host = host_of(url)
        if not host.startswith("li."):
            return []
        name = NameAnswer(
            host,
            (
                NameRecord(host, "CNAME", 300, "edge.liveintent.example"),
                NameRecord("edge.liveintent.example", "A", 60, "198.51.100.20"),
                NameRecord("edge.liveintent.example", "A", 60, "198.51.100.21"),
            ),
            ("ns1.liveintent.example", "ns2.liveintent.example"),
        )
        first = Hop(
            url, 302,
            (("location", "https://sync.adpartner.example/match?uid=8c1f"), ("server", "nginx"),
             ("set-cookie", "tuuid=5a1e; Max-Age=63072000; Secure"), ("cache-control", "no-store")),
            0.084, "198.51.100.20:443", "2", 1812, 4210, 0.031, name,
        )  # fmt: skip
        second = Hop(
            "https://sync.adpartner.example/match?uid=8c1f", 200,
            (("content-type", "image/gif"), ("set-cookie", "match=1; Max-Age=31536000"),
             ("accept-ch", "Sec-CH-UA-Model"), ("cache-control", "private, no-cache")),
            0.061, "203.0.113.9:443", "2", 1640, 3987, 0.022,
            NameAnswer("sync.adpartner.example", (NameRecord("sync.adpartner.example", "A", 30, "203.0.113.9"),)),
        )  # fmt: skip
        body = BodyFacts(43, "", "image/gif", "image/gif", 43, 43, complete=True, width=1, height=1)
        evidence = FetchEvidence(
            FetchOutcome.FETCHED, "", (first, second), body, "socks5://10.8.0.3:1080", 0.19
        )
        return [PastFetch(1_800_000_000.0 - 5400, "image", url, evidence)]


def odd_mail(now: float) -> Iterator[Observation]:
    """Give messages as they should not be: with what tries to be markup, turns the writing, is long, or is nothing."""
    from mailveil.core.observation import Observation, observation_identifier

    evil = "odd <script>alert(1)</script> \"'><img src=x onerror=alert(2)>"
    long_host = f"{'a' * 60}.{'b' * 60}.{'c' * 60}.example"
    hostile = _tracker(
        long_host,
        "/" + "x" * 900 + "?*",
        "O<script>perator & Co",
        evidence=evil,
        reasons=(evil,) * 4,
        rule=f"rule:{evil}",
    )
    subjects = (
        evil,
        "odd invoice\u202egpj.exe \u200b\u2066 hidden",
        "odd " + "very long subject without an end " * 40,
        "odd " + "W" * 400,
        "odd שלום עולם مرحبا بالعالم 你好 👩\u200d🔬",
        "odd",
    )
    for number, subject in enumerate(subjects):
        at = now - 60 * number - 1
        log_identifier = f"ODD{number}"
        references = (hostile,) * (3 if number < 3 else 0)
        yield Observation(
            identifier=observation_identifier(at, log_identifier, "default"),
            organisation="default",
            at=at,
            log_identifier=log_identifier,
            sender="" if number % 2 else f"{'s' * 200}@sender.example",
            author="" if number == 5 else f"{evil[:60]}@sender.example",
            sender_domain="sender.example",
            recipients=("anna@acme.example",) * (1 + 40 * (number == 2)),
            subject=subject,
            message_id=evil,
            size_bytes=25_000_000,
            reply_code=451 if number == 3 else 250,
            reply=evil,
            delivered=number != 3,
            changed=bool(references),
            examined=number != 4,
            monitored=number == 1,
            banner=number == 0,
            risk="high" if references else "none",
            total_references=900 if references else 0,
            total_trackers=800 if references else 0,
            header={"list_id": evil},
            defects=(evil,),
            authentication={"odd": "record"} if number == 0 else {},
            references=references,
        )


async def furnish(made: ControlRoomForTests) -> None:
    """Give the company a policy with a history, partners, and reports of its readers."""
    from mailveil.control.allowing import allow
    from mailveil.control.policies import change_policy
    from mailveil.control.records import Cut, Feedback, FeedbackKind, MessageQuery
    from mailveil.core.policy.document import parse_policy

    clock, room, now = made.clock, made.room, made.clock.now()
    who = actor("administrator", name="jana")
    for number, text in enumerate(POLICIES):
        clock.moment = now - (20 - 6 * number) * DAY
        await change_policy(room, who, parse_policy(text), based_on=number, comment=COMMENTS[number])
    clock.moment = now - 9 * DAY
    await allow(
        room, who, "railways.example", owner="Travel desk", reason="Tickets show live platform maps",
        hosts=["img.railways.example"], expires_at=now + 6 * DAY,
    )  # fmt: skip
    await allow(room, who, ".meetnow.example", owner="IT", reason="Invitations are signed by their servers")
    clock.moment = now
    page = await room.observations.messages("default", MessageQuery(has_trackers=True), Cut(40))
    told = (
        (FeedbackKind.FALSE_ALARM, "The map of the platform is missing in my ticket.", "link"),
        (FeedbackKind.MISSED, "They knew that I had read it.\nCan you look?", "mail"),
    )
    for number, (kind, text, channel) in enumerate(told):
        line = page.items[3 + 7 * number]
        identifier = f"{int((now - number * HOUR) * 1000):012x}{number:020x}"
        await room.feedback.report(
            Feedback(identifier, "default", now - (number + 1) * HOUR, kind, line.identifier, text, channel)
        )


COMMENTS = (
    "trackers in the board's mail become blank",
    "pilot for the sales team",
    "credentials are never fetched",
)
_GROUPS = """level = "normal"

[groups]
board = ["anna@acme.example", "ben@acme.example"]
sales = ["@sales.acme.example", "farah@acme.example"]

[[rules]]
id = "board"
name = "Board: trackers become blank"
when = { groups = ["board"], findings = ["tracker"] }
then = { action = "blank" }
"""
_PILOT = """
[[rules]]
id = "sales-pilot"
name = "Pilot: sales, report only"
expires_at = 2027-02-28
when = { groups = ["sales"] }
then = { monitor = true }
"""
_CREDENTIALS = """
[[rules]]
id = "credentials"
name = "Never fetch what asks for log-ins"
when = { kinds = ["credential"] }
then = { action = "remove" }
"""
POLICIES = (_GROUPS, _GROUPS + _PILOT, _GROUPS + _PILOT + _CREDENTIALS)
