"""A fortnight of mail that was counted by hand, and activities of reconnaissance beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hostile_records import TEXTS
from observation_room import message, picture, pixel

if TYPE_CHECKING:
    from control_room import ControlRoomForTests
    from mailveil.control.activityrecords import ActivityFile
    from mailveil.control.weeklyreport import WeeklyReport
    from mailveil.core.intelligence.types import Activity, Alert, Campaign
    from mailveil.core.observation import Observation

DAY = 86_400.0
#: 2026-W47 has begun on Monday, 16 November 2026, and is over.
MONDAY = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
AFTER = MONDAY + 8 * DAY


def hand_counted(organisation: str = "default") -> list[Observation]:
    """Give mail of two weeks.

    This week: 10 messages, 6 with remote content, of those 3 with trackers, of those 2 of risk; 2 of them on Monday, 1
    of these with a tracker; one was not examined. The week before: 4 messages, 2 remote, 1 tracker, of low risk.
    """
    made: list[Observation] = []

    def add(at: float, references: tuple[Any, ...], **others: object) -> None:
        made.append(message(len(made), at=at, references=references, organisation=organisation, **others))

    add(MONDAY + 1, (pixel(operator="Mailchimp"),), risk="high")
    add(MONDAY + 3600, ())
    add(MONDAY + 1 * DAY, (pixel(operator="Mailchimp"), pixel(operator="", kind="location")), risk="medium")
    add(MONDAY + 2 * DAY, (pixel(operator="Sailthru", risk="low"), picture()), risk="low")
    for number in range(3):
        add(MONDAY + 3 * DAY + number, (picture(),), risk="none")
    add(MONDAY + 4 * DAY, ())
    add(MONDAY + 5 * DAY, ())
    add(MONDAY + 7 * DAY - 1, (), examined=False)
    add(MONDAY + 7 * DAY, (pixel(),), risk="high")  # the week after
    add(MONDAY - 1, (pixel(risk="low"),), risk="low")
    add(MONDAY - 2 * DAY, (picture(),), risk="none")
    add(MONDAY - 3 * DAY, ())
    add(MONDAY - 7 * DAY, ())
    add(MONDAY - 7 * DAY - 1, ())  # the week before that
    return made


def activity(name: str, first_at: float, last_at: float, score: float, **others: Any) -> Activity:
    """Return an activity against Anna of finance, once a day."""
    from mailveil.core.intelligence.types import (
        Activity,
        Attribution,
        Infrastructure,
        Probe,
        Reason,
        Role,
        Target,
        Technique,
        TechniqueShown,
        Tooling,
    )

    organisation = others.pop("organisation", "default")
    anna, domain = "anna.schmidt@acme.example", f"{name}.example"
    count = int((last_at - first_at) // DAY) + 1
    probes = tuple(
        Probe(first_at + number * DAY, f"{name}-{number}", anna, domain, ("open", "location"), host=f"t.{domain}")
        for number in range(count)
    )  # fmt: skip
    values: dict[str, Any] = {
        "identifier": f"activity-{name}",
        "organisation": organisation,
        "actor": domain,
        "first_at": first_at,
        "last_at": last_at,
        "score": score,
        "risk": "high",
        "reasons": (Reason("NEW_SENDER", 1.5, "writes to anna.schmidt of finance alone"),),
        "techniques": (TechniqueShown(Technique.SPEARPHISHING_LINK, "a picture of one pixel"),),
        "kinds": ("open", "location"),
        "attribution": Attribution(Tooling.BUILT),
        "infrastructure": (
            Infrastructure(Role.SENDER_DOMAIN, domain, first_at, last_at, 3),
            Infrastructure(Role.TRACKER_DOMAIN, "annaschmidt.example", first_at, last_at, 3),
        ),
        "targets": (Target(anna, first_at, last_at, count, "finance", True),),
        "probes": probes,
        "total_messages": count,
        "total_probes": count,
        "total_people": 1,
    }
    return Activity(**{**values, **others})


def watchers(organisation: str = "default") -> list[ActivityFile]:
    """Give activities: one new, one closed in the week, one old and quiet, one too weak, two no longer news."""
    from mailveil.control.activityrecords import ActivityFile
    from mailveil.core.intelligence.types import AnalystVerdict

    own = {"organisation": organisation}
    fresh = activity("fresh", MONDAY + DAY, MONDAY + 3 * DAY, 0.9, **own)
    closed = activity("closed", MONDAY - 9 * DAY, MONDAY + DAY, 0.8, **own)
    quiet = activity("quiet", MONDAY - 30 * DAY, MONDAY - 20 * DAY, 0.7, **own)
    weak = activity("weak", MONDAY + DAY, MONDAY + DAY, 0.3, **own)
    past = activity("past", MONDAY - 60 * DAY, MONDAY - 50 * DAY, 0.95, **own)
    dismissed = activity("dismissed", MONDAY - 9 * DAY, MONDAY - 8 * DAY, 0.6, **own)
    return [
        ActivityFile(fresh, AFTER),
        ActivityFile(closed, AFTER, closed_by="eva", closed_at=MONDAY + 4 * DAY),
        ActivityFile(quiet, AFTER),
        ActivityFile(weak, AFTER),
        ActivityFile(past, AFTER, closed_by="eva", closed_at=MONDAY - 40 * DAY),
        ActivityFile(dismissed, AFTER, AnalystVerdict.BENIGN, "eva", MONDAY + 5 * DAY),
    ]


def alerts(organisation: str = "default") -> list[Alert]:
    """Give two alerts of the week, and one of the week after."""
    from mailveil.core.intelligence.types import Alert, AlertKind

    anna = ("anna.schmidt@acme.example",)
    words = "Later mail of fresh.example to anna.schmidt@acme.example"

    def one(name: str, at: float, kind: AlertKind) -> Alert:
        return Alert(
            f"{name}-{organisation}", organisation, at, kind, "activity-fresh", "m", words, 0.9, "fresh.example", anna,
            MONDAY + DAY,
        )  # fmt: skip

    return [
        one("first", MONDAY + 2 * DAY, AlertKind.RECONNAISSANCE),
        one("second", MONDAY + 6 * DAY, AlertKind.FOLLOW_UP),
        one("third", MONDAY + 7 * DAY + 1, AlertKind.FOLLOW_UP),
    ]


def campaigns(organisation: str = "default") -> list[Campaign]:
    """Give campaigns: one built, one bought, one built that ended before."""
    from mailveil.core.intelligence.types import Campaign, Nature, Tooling

    def one(name: str, last_at: float, tooling: Tooling) -> Campaign:
        return Campaign(
            f"{name}-{organisation}", organisation, f"{name}.example", "t", last_at - 20 * DAY, last_at, Nature.BULK,
            (), 340, 120, "", tooling,
        )  # fmt: skip

    return [
        one("newsroom", MONDAY + DAY, Tooling.BUILT),
        one("shop", MONDAY + DAY, Tooling.BOUGHT),
        one("former", MONDAY - DAY, Tooling.BUILT),
    ]


async def put_week(made: ControlRoomForTests, organisation: str = "default") -> None:
    """Put all of it on record, at a time when the week is over."""
    made.clock.moment = AFTER
    await made.room.observations.add(hand_counted(organisation))
    await put_watchers(made, watchers(organisation), alerts(organisation), campaigns(organisation))


async def put_watchers(
    made: ControlRoomForTests,
    files: Sequence[ActivityFile],
    some_alerts: Sequence[Alert] = (),
    some_campaigns: Sequence[Campaign] = (),
) -> None:
    """Write down what studying would have found, and what people decided."""
    from mailveil.control.activitystores import Studied

    room = made.room
    organisation = files[0].activity.organisation
    waiting = await room.studies.unstudied(organisation, 1)
    found = Studied(
        (),
        {},
        made.clock.now(),
        waiting.generation,
        activities=tuple(each.activity for each in files),
        campaigns=tuple(some_campaigns),
        alerts=tuple(some_alerts),
    )
    await room.studies.write(organisation, found)
    for each in files:
        if each.decided_at or each.closed_at:
            await room.activities.put_decisions(each)


async def hostile_report(made: ControlRoomForTests) -> WeeklyReport:
    """Return a report in which every text from outside was written to break whatever shows it."""
    from control_room import actor
    from mailveil.control.activityrecords import ActivityFile
    from mailveil.control.records import Organisation
    from mailveil.control.weekly import weekly_report
    from mailveil.control.weeks import Week
    from mailveil.core.intelligence.types import Attribution, Infrastructure, Reason, Role, Target, Tooling

    made.clock.moment = AFTER
    first, *others = TEXTS
    await made.room.organisations.put(Organisation("default", first[:200]))
    mail = hand_counted()
    for number, text in enumerate(TEXTS):
        reference = replace(mail[0].references[0], operator=" ".join(text.split()), kind=text[:60])
        mail[number] = replace(mail[number], references=(reference,), sender_domain=text)
    await made.room.observations.add(mail)
    files = []
    for number, text in enumerate(TEXTS):
        found = activity(f"h{number}", MONDAY, MONDAY + 2 * DAY, 0.9 - number / 100)
        odd = replace(
            found, actor=text, kinds=(text, "open"), risk=text,
            attribution=Attribution(Tooling.BUILT, text),
            infrastructure=(Infrastructure(Role.SENDER_DOMAIN, text, MONDAY, MONDAY),),
            targets=(Target(text, MONDAY, MONDAY, 1, text),), reasons=(Reason("X", 1.0, text),),
        )  # fmt: skip
        files.append(ActivityFile(odd, AFTER))
    told = [replace(alerts()[1], identifier=f"a{number}", words=text, sender_domain=text, people=(text,))
            for number, text in enumerate(TEXTS)]  # fmt: skip
    some = [
        replace(campaigns()[0], identifier=f"c{number}", sender_domain=text)
        for number, text in enumerate(others)
    ]
    await put_watchers(made, files, told, some)
    return await weekly_report(made.room, actor(), Week(2026, 47), with_people=True)
