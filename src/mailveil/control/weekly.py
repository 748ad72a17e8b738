"""Weekly: gathers the report of one organisation's week, each part as far as the reader may know of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from mailveil.control.access import Actor, Permission
from mailveil.control.activityrecords import (
    CLOSED_AFTER_S,
    ActivityFile,
    ActivityQuery,
    SenderBuilt,
)
from mailveil.control.activitystores import ActivityStore
from mailveil.control.failures import InvalidError
from mailveil.control.records import MAX_PAGE, Cut, Item, Page
from mailveil.control.room import ControlRoom
from mailveil.control.statistics import DAY_S, Dimension, figures, series, top
from mailveil.control.weeklyreport import (
    ActivityLine,
    AlertLine,
    OperatorMet,
    Watching,
    WeeklyReport,
)
from mailveil.control.weeklywords import caveats, comparison, unstudied_words
from mailveil.control.weeks import WEEK_S, Week
from mailveil.core.intelligence.types import (
    Activity,
    ActivityState,
    Alert,
    AnalystVerdict,
    Infrastructure,
    Probe,
    Role,
    Target,
)
from mailveil.core.sharing.entries import Standing
from mailveil.core.sharing.types import Disclosure, PeopleShared, SharedInfrastructure
from mailveil.core.sharing.veiling import Organisation, Veiled, shared_activity, shared_alert
from mailveil.core.verdicts.operators import catalogue
from mailveil.core.verdicts.operators.types import Category

TREND_WEEKS: Final = 12
TOP: Final = 10
WORTH_A_LOOK: Final = 0.5  # from which score on an activity is told one by one; alerts begin there
MAX_READ: Final = 1000  # activities and alerts each
MAX_TOLD: Final = 200  # of these, one by one
MAX_WAITING: Final = 10_000  # messages that are counted while they wait to be studied
MAX_EACH: Final = 20  # domains, kinds, people and reasons of one activity
NOBODY: Final = Disclosure(PeopleShared.NONE)
_DOMAIN_ROLES = (Role.SENDER_DOMAIN, Role.REPLY_DOMAIN, Role.TRACKER_DOMAIN)


async def weekly_report(
    room: ControlRoom, actor: Actor, week: Week, *, with_people: bool = False
) -> WeeklyReport:
    """Return the report of a week. Raises ``InvalidError`` for one that has not begun, ``ForbiddenError``.

    ``with_people`` needs the permission ``activities:read``.
    """
    actor.require(Permission.STATISTICS_READ)
    if with_people:
        actor.require(Permission.ACTIVITIES_READ)
    now = room.clock.now()
    if week.since >= now:
        raise InvalidError(f"the week {week} has not begun", "week")
    until = min(week.until, now)
    total = await figures(room, actor, week.since, until)
    before = await figures(room, actor, week.since - WEEK_S, until - WEEK_S)
    weeks = tuple(await series(room, actor, week.since - (TREND_WEEKS - 1) * WEEK_S, until, WEEK_S))
    operators = await _operators(room, actor, week, until)
    watching, built, lacks = None, None, []
    if not _may_know(actor):
        lacks.append(
            "Who was watching is not told: it takes the permission intelligence:read or activities:read."
        )
    else:
        watching = await _Watched(room.activities, actor.organisation, week, until, with_people).told()
        built = await _built(room.activities, actor.organisation, week.since, until, with_people=with_people)
        if waiting := await room.studies.waiting(actor.organisation, MAX_WAITING):
            lacks.append(unstudied_words(waiting, MAX_WAITING))
    if operators is None:
        lacks.append("Operators are not told: it takes the permission trackers:read.")
    if watching is not None and not with_people:
        lacks.append(
            "People are left out: their names, their functions, and whatever else could tell of one of them."
        )
    is_complete = until >= week.until
    span = "the week before" if is_complete else "the same part of the week before"
    return WeeklyReport(
        organisation=actor.organisation,
        organisation_name=await _name_of(room, actor.organisation),
        week=week,
        made_at=now,
        until=until,
        total=total,
        before=before,
        days=tuple(await series(room, actor, week.since, until, DAY_S)),
        weeks=weeks,
        kinds=tuple(await top(room, actor, Dimension.KIND, week.since, until, limit=TOP)),
        operators=operators,
        built=built,
        watching=watching,
        with_people=with_people,
        said=comparison(total, before, watching, span=span),
        missing=caveats(
            total=total, weeks=weeks, is_complete=is_complete, until=until, watching=watching, lacks=lacks
        ),
    )


def _may_know(actor: Actor) -> bool:
    """Tell whether somebody may know who watches; what is published tells it, too, and neither tells of people."""
    return actor.may(Permission.INTELLIGENCE_READ) or actor.may(Permission.ACTIVITIES_READ)


async def _name_of(room: ControlRoom, organisation: str) -> str:
    found = await room.organisations.organisations()
    return next((each.name for each in found if each.identifier == organisation), organisation)


async def _operators(
    room: ControlRoom, actor: Actor, week: Week, until: float
) -> tuple[OperatorMet, ...] | None:
    """Return the operators met most, without senders that count the openings of their own mail."""
    if not actor.may(Permission.TRACKERS_READ):
        return None
    met = []
    for each in await top(room, actor, Dimension.OPERATOR, week.since, until, limit=2 * TOP):
        owner, category = _catalogued().get(each.value, ("", ""))
        if each.value and category != Category.SENDER:
            met.append(OperatorMet(each.value, owner, category, each.messages, each.references))
    return tuple(met[:TOP])


@cache
def _catalogued() -> dict[str, tuple[str, str]]:
    return {each.name: (each.owner, str(each.category)) for each in catalogue().entries}


async def _built(
    store: ActivityStore, organisation: str, since: float, until: float, *, with_people: bool
) -> tuple[SenderBuilt, ...]:
    """Return senders whose campaigns of the week had tracking of their own.

    Without people a sender's domain that spells one of them is told without its own label.
    """
    found = await store.senders_built(organisation, since, until, MAX_READ)
    personal = [each.sender_domain for each in found if each.is_personal and not with_people]
    veiled = Veiled(NOBODY, Organisation(organisation), personal_names=personal)
    of_name: dict[str, SenderBuilt] = {}
    for each in found:
        domain = each.sender_domain
        one = replace(each, sender_domain=veiled.domain(domain) if domain in personal else domain)
        other = of_name.get(one.sender_domain)
        of_name[one.sender_domain] = one if other is None else one.with_those_of(other)
    return tuple(sorted(of_name.values(), key=lambda each: (-each.messages, each.sender_domain))[:TOP])


async def _all(
    part: Callable[[Cut], Awaitable[Page[Item]]],
) -> tuple[list[Item], bool]:
    """Return a list, and False where it goes on after ``MAX_READ``."""
    found: list[Item] = []
    cursor = ""
    while len(found) < MAX_READ:
        page = await part(Cut(MAX_PAGE, cursor))
        found.extend(page.items)
        cursor = page.next
        if not cursor:
            return found, True
    return found, False


@dataclass(frozen=True, slots=True)
class _Watched:
    """Reads who watched an organisation in a week."""

    store: ActivityStore
    organisation: str
    week: Week
    until: float
    with_people: bool

    async def told(self) -> Watching:
        """Return it."""
        # What ended in the week has its last probe before it; by itself it ends so long after that.
        query = ActivityQuery(now=self.until, since=self.week.since - CLOSED_AFTER_S, order="score")
        files, is_whole = await _all(lambda cut: self.store.activities(self.organisation, query, cut))
        alerts, are_whole = await _all(
            lambda cut: self.store.alerts(self.organisation, cut, since=self.week.since, until=self.until)
        )
        lines = [self._line(each) for each in files if each.activity.first_at < self.until]
        # Those that had ended before are history, whatever their score.
        lines = [each for each in lines if each.state is not ActivityState.CLOSED or each.is_ended]
        worth = [each for each in lines if each.score >= WORTH_A_LOOK]
        worth.sort(key=lambda each: (-each.score, each.first_at, each.identifier))
        decided = [each for each in files if self.week.since <= each.decided_at < self.until]
        told, told_alerts = await asyncio.to_thread(self._told, worth[:MAX_TOLD], files, alerts[:MAX_TOLD])
        return Watching(
            activities=told,
            weaker=len(lines) - len(worth),
            new=sum(each.is_new for each in worth),
            ended=sum(each.is_ended for each in worth),
            dismissed=sum(each.verdict is AnalystVerdict.BENIGN for each in decided),
            confirmed=sum(each.verdict is AnalystVerdict.CONFIRMED for each in decided),
            alerts=told_alerts,
            alert_counts=Counter(each.kind for each in alerts),
            functions=self._functions(files) if self.with_people else (),
            is_whole=is_whole and are_whole and max(len(worth), len(alerts)) <= MAX_TOLD,
        )

    def _told(
        self, lines: list[ActivityLine], files: list[ActivityFile], alerts: list[Alert]
    ) -> tuple[tuple[ActivityLine, ...], tuple[AlertLine, ...]]:
        """Return activities and alerts as the reader may know them; looking for people's names takes a while."""
        if not self.with_people:
            known = {each.activity.identifier: each.activity for each in files}
            lines = [self._veiled(each, known[each.identifier]) for each in lines]
        return tuple(lines), tuple(self._alert(each) for each in alerts)

    def _line(self, file: ActivityFile) -> ActivityLine:
        """Return an activity with everything that is known of it."""
        activity, since = file.activity, self.week.since
        probes = [each for each in activity.probes if self._is_of_week(each)]
        state = self._state(file, self.until)
        return ActivityLine(
            identifier=activity.identifier,
            actor=activity.actor,
            score=activity.score,
            risk=activity.risk,
            state=state,
            verdict=file.verdict if file.decided_at < self.until else AnalystVerdict.OPEN,
            first_at=activity.first_at,
            last_at=activity.last_at,
            is_new=activity.first_at >= since,
            is_ended=state is ActivityState.CLOSED
            and (activity.first_at >= since or self._state(file, since) is not ActivityState.CLOSED),
            week_probes=len(probes),
            week_people=len({each.person for each in probes}),
            total_probes=activity.total_probes,
            total_people=activity.total_people,
            kinds=activity.kinds[:MAX_EACH],
            techniques=tuple(dict.fromkeys(each.technique for each in activity.techniques)),
            tooling=activity.attribution.tooling,
            operator=activity.attribution.operator,
            domains=_domains(activity.infrastructure),
            targets=_ranked(activity.targets),
            reasons=activity.reasons[:MAX_EACH],
        )

    def _veiled(self, line: ActivityLine, activity: Activity) -> ActivityLine:
        """Return an activity as it is told where people are not."""
        # Probes are not told here, so only their people are looked at: to veil hundreds of them takes seconds.
        told = replace(activity, probes=(), follow_ups=(*activity.follow_ups, *activity.probes))
        shared = shared_activity(told, Standing(), NOBODY, Organisation(self.organisation))
        return replace(
            line,
            actor=shared.actor,
            operator=shared.operator,
            domains=_domains(shared.infrastructure),
            targets=(),
            reasons=shared.reasons[:MAX_EACH],
        )

    def _state(self, file: ActivityFile, at: float) -> ActivityState:
        """Return how an activity stood at a time, whatever was decided later."""
        decided = file.decided_at <= at
        closed = file.closed_at <= at
        then = replace(
            file,
            verdict=file.verdict if decided else AnalystVerdict.OPEN,
            closed_at=file.closed_at if closed else 0.0,
        )
        return then.state(at)

    def _is_of_week(self, probe: Probe) -> bool:
        return self.week.since <= probe.at < self.until

    def _functions(self, files: list[ActivityFile]) -> tuple[tuple[str, int], ...]:
        """Return how many people of each function were probed in the week, by activities worth a look."""
        of_person: dict[str, str] = {}
        for file in files:
            activity = file.activity
            if activity.score < WORTH_A_LOOK or file.verdict is AnalystVerdict.BENIGN:
                continue
            functions = {each.person: each.function for each in activity.targets}
            for probe in activity.probes:
                if self._is_of_week(probe):
                    of_person[probe.person] = of_person.get(probe.person) or functions.get(probe.person, "")
        return tuple(sorted(Counter(of_person.values()).items(), key=lambda each: (-each[1], each[0])))

    def _alert(self, alert: Alert) -> AlertLine:
        line = AlertLine(
            at=alert.at,
            kind=alert.kind,
            activity=alert.activity,
            sender_domain=alert.sender_domain,
            score=alert.score,
            earlier=alert.earlier,
            words=alert.words,
            people=alert.people[:MAX_EACH],
        )
        if self.with_people:
            return line
        shared = shared_alert(alert, NOBODY, Organisation(self.organisation))
        return replace(line, sender_domain=shared.sender_domain, words=shared.words, people=())


def _domains(infrastructure: Iterable[Infrastructure | SharedInfrastructure]) -> tuple[str, ...]:
    """Return the domains that something was carried out with, without those that serve everybody."""
    found = [each.value for each in infrastructure if each.role in _DOMAIN_ROLES and not each.shared]
    return tuple(dict.fromkeys(found))[:MAX_EACH]


def _ranked(targets: Iterable[Target]) -> tuple[Target, ...]:
    """Return people, those who weigh more and those probed most first."""
    ranked = sorted(targets, key=lambda each: (not each.is_high_value, -each.probes, each.person))
    return tuple(ranked[:MAX_EACH])
