"""Overview: what was protected, from whom, and what needs somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.activities import activities
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.attention import Topic, what_needs_attention
from mailveil.control.health import Measure
from mailveil.control.records import Count, Cut, Figures, FiguresAt
from mailveil.control.statistics import Dimension, figures, series, top
from mailveil.core.intelligence.types import ActivityState
from mailveil.endpoints.web.console.activitywords import Line, line_of
from mailveil.endpoints.web.console.charts import Series, TimeChart, measures, shares, spark, time_chart
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.periods import PERIODS, WEEK, bounds, period_of
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.wording import KIND_NAMES, percent

pages = Pages()
TOP = 6
MOST_WATCHERS = 4
WATCHED_DAYS = 30
#: Where each matter is dealt with, and what the way there is called.
PLACES = {
    Topic.HEALTH: ("/health", "Look at health"),
    Topic.WATCHING: ("/watching", "Look at who is watching"),
    Topic.REPORTS: ("/reports", "Answer them"),
    Topic.UNEXAMINED: ("/health", "Look at health"),
    Topic.ALLOW: ("/allow", "Open the allow-list"),
    Topic.TOKENS: ("/tokens", "Open tokens"),
    Topic.USERS: ("/users", "Open users"),
    Topic.SHARING: ("/sharing", "Look at destinations"),
    Topic.OWN_ACCOUNT: ("/account", "Open your account"),
}


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure at the top of the page."""

    name: str
    value: float
    detail: str
    spark: str
    tone: str = "accent"
    is_alarm: bool = False


@pages.get("/", Permission.STATISTICS_READ)
async def overview(visit: Visit) -> Response:
    """Show figures of a period, what was met most in it, and what needs somebody now."""
    room, actor, now = visit.room, visit.actor, visit.room.clock.now()
    period = period_of(visit.query("period"), WEEK)
    since, until = bounds(period, now)
    total = await figures(room, actor, since, until)
    before = await figures(room, actor, since - period.seconds, since)
    steps = await series(room, actor, since, until, period.step_s)
    tops = {each: await top(room, actor, each, since, until, limit=TOP) for each in Dimension}
    matters = await what_needs_attention(room, actor, await health_of(visit), await alarms_of(visit))
    may_read = actor.may(Permission.MESSAGES_READ)
    return visit.page(
        "overview.html",
        period=period,
        periods=PERIODS,
        total=total,
        stats=stats_of(total, before, steps, period.before),
        mail=mail_chart(steps, period.step_s, f"Mail of the last {period.title}"),
        contacts=contact_chart(steps, period.step_s, f"Contacts prevented in the last {period.title}"),
        ring=ring_of(total),
        operators=_bars(tops[Dimension.OPERATOR], total.messages, "/operators/"),
        senders=_bars(tops[Dimension.SENDER_DOMAIN], total.messages, "/messages?sender=" if may_read else ""),
        hosts=_bars(tops[Dimension.HOST], total.messages, "/trackers?domain="),
        kinds=measures(
            [(KIND_NAMES.get(each.value, each.value), each.messages) for each in tops[Dimension.KIND]]
        ),
        watchers=await watchers(visit),
        matters=[(each, *PLACES[each.topic]) for each in matters],
        is_new=not total.messages and not before.messages and not await _has_mail(visit),
    )


async def watchers(visit: Visit) -> Sequence[Line]:
    """Return the surest of those who watch now, for those who may know."""
    if not visit.actor.may(Permission.ACTIVITIES_READ):
        return ()
    now = visit.room.clock.now()
    query = ActivityQuery(now=now, state=ActivityState.ACTIVE)
    page = await activities(visit.room, visit.actor, query, Cut(MOST_WATCHERS))
    return [line_of(each, now, WATCHED_DAYS) for each in page.items]


async def health_of(visit: Visit, *, anew: bool = False) -> Sequence[Measure]:
    """Return how things are doing, for those who may know; nothing where nobody looks."""
    health = visit.console.health
    if health is None or not visit.actor.may(Permission.HEALTH_READ):
        return ()
    return await health(anew=anew)


async def alarms_of(visit: Visit) -> Sequence[str]:
    """Return what is wrong right now, for those who may know."""
    if not visit.actor.may(Permission.HEALTH_READ):
        return ()
    return await asyncio.to_thread(visit.console.alarms)


async def _has_mail(visit: Visit) -> bool:
    now = visit.room.clock.now()
    return bool((await visit.room.observations.figures(visit.actor.organisation, 0, now)).messages)


def stats_of(
    total: Figures, before: Figures, steps: Sequence[FiguresAt], time_before: str
) -> tuple[Stat, ...]:
    """Return the figures at the top of the page."""

    def line(name: str) -> str:
        return spark([getattr(each.figures, name) for each in steps])

    return (
        Stat(
            "Messages protected",
            total.messages,
            change(total.messages, before.messages, time_before),
            line("messages"),
        ),
        Stat(
            "With remote content",
            total.with_remote,
            f"{percent(total.with_remote, total.messages)} of all mail",
            line("with_remote"),
        ),
        Stat(
            "With trackers",
            total.with_trackers,
            f"{percent(total.with_trackers, total.messages)} of all mail",
            line("with_trackers"),
            "alarm",
            is_alarm=True,
        ),
        Stat(
            "High or medium risk",
            total.risky,
            f"{percent(total.risky, total.messages)} of all mail",
            line("risky"),
            "note",
        ),
        Stat(
            "Contacts prevented",
            total.prevented,
            "counting each message as opened once",
            line("prevented"),
            "second",
        ),
    )


def change(value: float, before: float, time_before: str) -> str:
    """Return how a figure compares with the one before, in words."""
    if not before:
        return "none in " + time_before if value else "none"
    difference = (value - before) / before
    if abs(difference) < 0.005:
        return f"as many as in {time_before}"
    return f"{abs(difference):.0%} {'more' if difference > 0 else 'fewer'} than in {time_before}"


def mail_chart(steps: Sequence[FiguresAt], step_s: int, title: str) -> TimeChart:
    """Return the chart of mail with trackers, with other remote content, and without any."""
    rows = [each.figures for each in steps]
    parts = (
        Series("with trackers", tuple(each.with_trackers for each in rows), "alarm"),
        Series(
            "with other remote content",
            tuple(max(0, each.with_remote - each.with_trackers) for each in rows),
            "accent",
        ),
        Series(
            "with nothing remote", tuple(max(0, each.messages - each.with_remote) for each in rows), "quiet"
        ),
    )
    return time_chart(title, [each.at for each in steps], parts, step_s)


def contact_chart(steps: Sequence[FiguresAt], step_s: int, title: str) -> TimeChart:
    """Return the chart of contacts that opening would have made."""
    values = tuple(each.figures.prevented for each in steps)
    return time_chart(title, [each.at for each in steps], [Series("contacts", values, "second")], step_s)


def ring_of(total: Figures) -> tuple[object, ...]:
    """Return the parts of all mail."""
    return shares(
        [
            ("With trackers", total.with_trackers, "alarm"),
            ("Other remote content", max(0, total.with_remote - total.with_trackers), "accent"),
            ("Nothing remote", max(0, total.messages - total.with_remote), "quiet"),
        ]
    )


def _bars(counts: Sequence[Count], whole: float, path: str) -> tuple[object, ...]:
    rows = [(each.value, each.messages) for each in counts if each.value]
    hrefs = [f"{path}{quote(name, safe='')}" if path else "" for name, _ in rows]
    return measures(rows, whole, hrefs)
