"""Watching: who watches us now, each activity with its people, its timeline, what it was carried out with, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.responses import RedirectResponse, Response

from mailveil.control.access import Permission
from mailveil.control.activities import (
    MAX_COUNTED,
    ActivityDossier,
    activities,
    activity,
    activity_counts,
    activity_messages,
    alerts,
    waiting_to_be_studied,
)
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.blocking import rules_against
from mailveil.control.failures import InvalidError
from mailveil.control.records import Cut, MessageLine
from mailveil.control.weeklywords import unstudied_words
from mailveil.core.intelligence.types import (
    DAY_S,
    Activity,
    ActivityState,
    AnalystVerdict,
    InfrastructureFacts,
    Probe,
    Role,
)
from mailveil.endpoints.web.console import activitywords as words
from mailveil.endpoints.web.console.networks import MOST_IN_COLUMN, network
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.periods import LONG_PERIODS, period_of
from mailveil.endpoints.web.console.timelines import timeline
from mailveil.endpoints.web.console.trackers import operators_with_pages
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.wording import plural

pages = Pages()
FIELDS = ("state", "verdict", "person", "actor", "period", "order")
FILTERS = ("verdict", "person", "actor", "period")
ALERT_DAYS = 7
MOST_ALERTS = 5
SPARK_DAYS = 30
MESSAGES = 20
MOST_CAMPAIGNS = 10
LOOK_BACK_DAYS = 400  # how far back the beginning of mail is looked for
WARM_DAYS = 14
MOST_WAITING = 10_000  # that are counted
FEW_WAITING = 50  # so many are studied within seconds, and nobody is told of them
ORDERS = (("score", "How sure"), ("last", "Last seen"), ("changed", "Last changed"))
WHEN = (("", "At any time"), *((each.name, f"In the last {each.title}") for each in LONG_PERIODS))
VERDICT_CHOICES = (
    ("", "Any"),
    (str(AnalystVerdict.OPEN), "Not decided"),
    (str(AnalystVerdict.CONFIRMED), "Confirmed"),
    (str(AnalystVerdict.BENIGN), "Harmless"),
)
TABS = (("active", "Active"), ("quiet", "Quiet"), ("closed", "Closed"), ("all", "All"))
VERDICT_DEEDS = (
    (
        AnalystVerdict.CONFIRMED,
        "Reconnaissance",
        "What spoke for it weighs a little more from now on, and others are told of a threat actor.",
    ),
    (
        AnalystVerdict.BENIGN,
        "Harmless",
        "What spoke for it weighs a little less from now on. It closes, and raises no alert whatever comes of it.",
    ),
    (AnalystVerdict.OPEN, "Not decided yet", "Nothing is learned from it."),
)

BLOCK_WORDS = (
    "Two rules are added to the policy: whatever is remote in mail of its own domains is taken out, with a notice to "
    "the reader, and what leads to its own trackers is taken out of all mail. What serves others, too, such as a "
    "vendor, is left alone, and so is a domain that mail only claimed to come from, until you confirm the activity: it "
    "may be forged. The mail itself is still delivered: to refuse it, give the domains to your mail server."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody filled in above the list."""

    state: str
    verdict: str
    person: str
    actor: str
    period: str
    order: str

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the tab and the order was chosen."""
        return any(getattr(self, name) for name in FILTERS)

    def query(self, now: float) -> ActivityQuery:
        """Return what is asked of the store for it."""
        wanted = [each for each in LONG_PERIODS if each.name == self.period]
        return ActivityQuery(
            now=now,
            state=ActivityState(self.state) if self.state != "all" else None,
            verdict=AnalystVerdict(self.verdict) if self.verdict else None,
            person=self.person,
            actor=self.actor.lower(),
            since=now - wanted[0].seconds if wanted else 0.0,
            order=self.order,
        )


def asked_of(given: Mapping[str, str]) -> Asked:
    """Return what was filled in; what is none of the choices is as if nothing had been chosen."""
    chosen = {name: given.get(name, "").strip() for name in FIELDS}
    if chosen["state"] not in dict(TABS):
        chosen["state"] = "active"
    if chosen["verdict"] not in dict(VERDICT_CHOICES):
        chosen["verdict"] = ""
    if chosen["period"] not in dict(WHEN):
        chosen["period"] = ""
    if chosen["order"] not in dict(ORDERS):
        chosen["order"] = "score"
    return Asked(**chosen)


@pages.get("/watching", Permission.ACTIVITIES_READ)
async def watching(visit: Visit) -> Response:
    """Show who watches, the surest first, with the alerts of the last days above."""
    now = visit.room.clock.now()
    asked = asked_of({name: visit.query(name) for name in FIELDS})
    page = await activities(visit.room, visit.actor, asked.query(now), visit.cut())
    counts = await activity_counts(visit.room, visit.actor, asked.query(now))
    waiting = await waiting_to_be_studied(visit.room, visit.actor, MOST_WAITING)
    told = await alerts(visit.room, visit.actor, Cut(MOST_ALERTS), since=now - ALERT_DAYS * DAY_S)
    days = period_of(asked.period, LONG_PERIODS[1], LONG_PERIODS).seconds // int(DAY_S)
    return visit.page(
        "watching.html",
        page=page,
        lines=[words.line_of(each, now, days) for each in page.items],
        asked=asked,
        is_filtered=asked.is_filtered,
        tabs=_tabs(asked, counts),
        unstudied=unstudied_words(waiting, MOST_WAITING)
        if waiting > (FEW_WAITING if page.items else 0)
        else "",
        days=days,
        alerts=told.items,
        more_alerts=bool(told.next),
        alert_days=ALERT_DAYS,
        verdict_choices=VERDICT_CHOICES,
        when=WHEN,
        orders=ORDERS,
        warm_up="" if page.items else await warm_up(visit),
    )


async def warm_up(visit: Visit) -> str:
    """Return since when mail has been observed, in a sentence: what nobody has seen yet cannot stand out from it."""
    now = visit.room.clock.now()
    since = now - LOOK_BACK_DAYS * DAY_S
    steps = await visit.room.observations.series(visit.actor.organisation, since, now, int(DAY_S))
    first = next((each.at for each in steps if each.figures.messages), 0.0)
    if not first:
        return "No mail has been observed yet."
    days = max(0, int((now - first) // DAY_S) - 1)  # it may have been the last moment of that day
    if days >= LOOK_BACK_DAYS - 2:
        return "Mail has been observed for more than a year."
    told = f"Mail has been observed for {plural(max(1, days), 'day')}."
    if days < WARM_DAYS:
        return (
            f"{told} In the first {WARM_DAYS} days every sender is new, so that little can be told apart yet."
        )
    return told


# --- one activity ----------------------------------------------------------------------------------------------


@pages.get("/watching/{identifier}", Permission.ACTIVITIES_READ)
async def one_activity(visit: Visit) -> Response:
    """Show everything that is known of one activity; of one that turned out to be part of another, the other."""
    found = await activity(visit.room, visit.actor, visit.path("identifier"))
    survivor = found.file.activity.identifier
    if survivor != visit.path("identifier"):
        return RedirectResponse(f"/watching/{quote(survivor, safe='')}", 303)
    return await activity_page(visit, found)


async def activity_page(visit: Visit, found: ActivityDossier, error: InvalidError | None = None) -> Response:
    """Return the page of an activity, with what is wrong in one of its forms."""
    file, its, now = found.file, found.file.activity, visit.room.clock.now()
    messages, after, forgotten = await _messages(visit, its)
    return visit.page(
        "activity.html",
        422 if error else 200,
        file=file,
        activity=its,
        state=found.state,
        does=words.does(found.state),
        whom=words.whom(its),
        opinion=words.opinion(file),
        functions=words.functions_of(its.targets, 5),
        high_value=words.high_value_of(its),
        passed=sum(each.monitored for each in messages),
        is_kept_operator=its.attribution.operator
        in await operators_with_pages(visit, [its.attribution.operator]),
        last_later_at=max((each.at for each in its.follow_ups), default=0.0),
        last_probe_at=max((each.at for each in its.probes), default=its.last_at),
        reasons=words.weighed(its.reasons),
        prior_words=words.prior_words(),
        techniques=words.techniques_of(its.techniques),
        tooling_sentence=words.tooling_sentence(its.attribution),
        people=words.people_of(its),
        probes=one_by_one(its),
        timeline=timeline("Probes by person", its.probes, its.follow_ups, its.targets),
        network=network(
            "What it was carried out with",
            its.infrastructure,
            its.probes,
            await _behind(visit, its),
        ),
        lines=messages,
        next_messages=after,
        campaigns=found.campaigns[:MOST_CAMPAIGNS],
        told=found.alerts,
        forgotten=forgotten,
        notes=found.notes,
        may_write=visit.actor.may(Permission.ACTIVITIES_WRITE),
        may_block=visit.actor.may(Permission.POLICY_WRITE),
        may_read=visit.actor.may(Permission.MESSAGES_READ),
        verdict_deeds=VERDICT_DEEDS,
        seen=words.seen_of(file),
        block_words=BLOCK_WORDS,
        blocked_by=await rules_against(visit.room, visit.actor, its),
        has_stix=visit.actor.may(Permission.INTELLIGENCE_READ),
        reopens=bool(file.closed_at)
        and its.last_at <= file.closed_at
        and not words.is_long_silent(file, now),
        errors={error.field or "text": str(error)} if error else {},
        filled={"text": visit.text("text")},
    )


def one_by_one(its: Activity) -> Sequence[tuple[Probe, bool]]:
    """Return probes and later messages, the latest first, each with whether it is a later message."""
    told = [*((each, False) for each in its.probes), *((each, True) for each in its.follow_ups)]
    return sorted(told, key=lambda each: -each[0].at)


async def _behind(visit: Visit, its: Activity) -> Sequence[InfrastructureFacts]:
    """Return what is known to lie behind an activity's hosts, those first that were met most."""
    pieces = [each for each in its.infrastructure if each.role is Role.TRACKER_HOST]
    pieces.sort(key=lambda each: (-each.messages, each.value))
    hosts = [each.value for each in pieces[:MOST_IN_COLUMN]]
    found = [await visit.room.infrastructure.known(visit.actor.organisation, host) for host in hosts]
    return [each for each in found if each is not None]


async def _messages(visit: Visit, its: Activity) -> tuple[Sequence[MessageLine], str, int]:
    """Return a part of an activity's messages, where the following part begins, and how many are not kept any more."""
    if not visit.actor.may(Permission.MESSAGES_READ):
        return (), "", 0
    page = await activity_messages(visit.room, visit.actor, its.identifier, visit.cut(MESSAGES))
    lines = [each for each in page.items if isinstance(each, MessageLine)]
    return lines, page.next, len(page.items) - len(lines)


def _tabs(asked: Asked, counts: Mapping[ActivityState | None, int]) -> list[dict[str, object]]:
    """Return the ways to activities by how they stand and how many those are, the other filters staying as they are."""
    figures = {str(state or "all"): count for state, count in counts.items()}
    kept = {name: value for name in FIELDS[1:] if (value := getattr(asked, name)) and value != "score"}
    return [
        {
            "name": title,
            "count": f"{figures[key]:,}{'+' if figures[key] >= MAX_COUNTED else ''}",
            "href": f"/watching?{urlencode({'state': key, **kept})}",
            "here": key == asked.state,
        }
        for key, title in TABS
    ]
