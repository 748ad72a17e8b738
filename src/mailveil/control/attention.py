"""Attention: what somebody should look at, each for those alone who may do something about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailveil.control.access import Actor, Permission, Role
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.health import Condition, Measure, troubled
from mailveil.control.records import MAX_PAGE, Cut, FeedbackState
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import Standing
from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.types import ActivityState, AnalystVerdict

DAY_S = 86_400
ALERT_SCORE = StudySettings().alert_score
MANY_ATTEMPTS = 3  # before that it may be a moment's
# Words that begin so go on from a name; others stand by themselves, after a colon.
_VERBS = frozenset(("is", "are", "was", "were", "has", "have", "does", "do", "cannot", "refuses", "answers"))
RECENTLY_S = 7 * DAY_S  # so long somebody is told that events were missed
SOON_S = 14 * DAY_S  # an allow-list entry or token that ends so soon is told of


class Topic(StrEnum):
    """What a matter is about; a page links where it is dealt with."""

    HEALTH = "health"
    WATCHING = "watching"
    REPORTS = "reports"
    UNEXAMINED = "unexamined"
    ALLOW = "allow"
    TOKENS = "tokens"
    USERS = "users"
    OWN_ACCOUNT = "own-account"
    SHARING = "sharing"


class Weight(StrEnum):
    """How much a matter presses."""

    BAD = "bad"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that needs somebody. ``words`` say what, ``advice`` what to do."""

    topic: Topic
    weight: Weight
    words: str
    advice: str = ""


async def what_needs_attention(
    room: ControlRoom, actor: Actor, health: Sequence[Measure] = (), alarms: Sequence[str] = ()
) -> tuple[Matter, ...]:
    """Return what needs somebody, the most pressing first; nothing as a rule.

    ``health`` is how things are doing, ``alarms`` what the gateway says is wrong right now. Raises
    ``ports.UnavailableError``.
    """
    found: list[Matter] = []
    if actor.may(Permission.HEALTH_READ):
        found += [Matter(Topic.HEALTH, Weight.BAD, text) for text in alarms]
        found += [_of_health(each) for each in troubled(health)]
    found += await _watching(room, actor)
    found += await _unexamined(room, actor)
    found += await _reports(room, actor)
    found += await _allowed(room, actor)
    found += await _tokens(room, actor)
    found += await _sharing(room, actor)
    found += await _second_factors(room, actor)
    return tuple(sorted(found, key=lambda each: list(Weight).index(each.weight)))


def _of_health(measure: Measure) -> Matter:
    weight = Weight.BAD if measure.condition is Condition.BAD else Weight.WARN
    is_verb = measure.words.partition(" ")[0] in _VERBS
    return Matter(
        Topic.HEALTH, weight, f"{measure.name}{' ' if is_verb else ': '}{measure.words}", measure.remedy
    )


async def _watching(room: ControlRoom, actor: Actor) -> list[Matter]:
    """Tell of reconnaissance that nobody has looked at yet."""
    if not actor.may(Permission.ACTIVITIES_READ):
        return []
    now = room.clock.now()
    query = ActivityQuery(
        now, state=ActivityState.ACTIVE, verdict=AnalystVerdict.OPEN, least_score=ALERT_SCORE
    )
    page = await room.activities.activities(actor.organisation, query, Cut(MAX_PAGE))
    new = [each for each in page.items if not each.acknowledged_at]
    if not new:
        return []
    words = (
        f"{new[0].activity.actor} is finding out about your people"
        if len(new) == 1
        else f"{len(new)}{' or more' if page.next else ''} actors are finding out about your people"
    )
    return [Matter(Topic.WATCHING, Weight.BAD, words, "Acknowledge what you look at, and say what it was.")]


async def _unexamined(room: ControlRoom, actor: Actor) -> list[Matter]:
    if not actor.may(Permission.STATISTICS_READ):
        return []
    now = room.clock.now()
    count = (await room.observations.figures(actor.organisation, now - DAY_S, now)).unexamined
    if not count:
        return []
    words = f"{count:,} {'message' if count == 1 else 'messages'} of the last 24 hours could not be examined"
    return [Matter(Topic.UNEXAMINED, Weight.WARN, words, "They went on as inert text. The log says why.")]


async def _reports(room: ControlRoom, actor: Actor) -> list[Matter]:
    if not actor.may(Permission.FEEDBACK_READ):
        return []
    page = await room.feedback.reports(actor.organisation, Cut(MAX_PAGE), state=FeedbackState.OPEN)
    if not page.items:
        return []
    count = f"{len(page.items)}{' or more' if page.next else ''}"
    words = f"{count} {'report of a reader waits' if len(page.items) == 1 else 'reports of readers wait'} for an answer"
    return [Matter(Topic.REPORTS, Weight.WARN, words)]


async def _allowed(room: ControlRoom, actor: Actor) -> list[Matter]:
    if not actor.may(Permission.ALLOW_WRITE):
        return []
    soon = room.clock.now() + SOON_S
    page = await room.policies.allowed(actor.organisation, Cut(MAX_PAGE))
    ending = [each for each in page.items if each.expires_at and each.expires_at < soon]
    if not ending:
        return []
    words = (
        f"the allow-list is about to lose {ending[0].author}"
        if len(ending) == 1
        else f"{len(ending)} entries of the allow-list are about to expire"
    )
    return [Matter(Topic.ALLOW, Weight.INFO, words, "Extend what is still wanted; the rest ends by itself.")]


async def _tokens(room: ControlRoom, actor: Actor) -> list[Matter]:
    if not actor.may(Permission.TOKENS_READ):
        return []
    now = room.clock.now()
    page = await room.accounts.tokens(actor.organisation, Cut(MAX_PAGE))
    ending = [each for each in page.items if not each.revoked_at and now < each.expires_at < now + SOON_S]
    if not ending:
        return []
    words = (
        f"the token “{ending[0].name}” is about to expire"
        if len(ending) == 1
        else f"{len(ending)} tokens are about to expire"
    )
    return [Matter(Topic.TOKENS, Weight.INFO, words, "The programs that use them will be refused.")]


async def _sharing(room: ControlRoom, actor: Actor) -> list[Matter]:
    """Tell of destinations that take nothing, have missed something, or have refused something."""
    if room.sharing is None or not actor.may(Permission.SHARING_READ):
        return []
    found = []
    standings = await room.sharing.standings(actor.organisation)
    for each in await room.sharing.destinations(actor.organisation):
        name, dead = each.name, standings.get(each.identifier, Standing()).dead
        if each.problem and (each.attempts >= MANY_ATTEMPTS or not each.is_enabled):
            advice = "Events wait for it, for as many days as [sharing] keep_days." if each.is_enabled else ""
            words = f"the destination “{name}” takes no events: {each.problem}"
            found.append(Matter(Topic.SHARING, Weight.WARN, words, advice))
        if each.is_enabled and each.missed_at > room.clock.now() - RECENTLY_S:
            words = f"the destination “{name}” has missed {each.missed:,} {'event' if each.missed == 1 else 'events'}"
            advice = "They were older than [sharing] keep_days, or too many, before it could be reached."
            found.append(Matter(Topic.SHARING, Weight.WARN, words, advice))
        if dead:
            words = f"the destination “{name}” did not take {dead:,} {'event' if dead == 1 else 'events'}"
            found.append(
                Matter(Topic.SHARING, Weight.INFO, words, "See why, and try them again or delete them.")
            )
    return found


async def _second_factors(room: ControlRoom, actor: Actor) -> list[Matter]:
    found = []
    me = await room.accounts.user(actor.identifier)
    if me is not None and me.password_hash and not me.totp_secret:
        found.append(
            Matter(
                Topic.OWN_ACCOUNT,
                Weight.INFO,
                "you sign in with a password alone",
                "Whoever learns it is you. Add a second factor.",
            )
        )
    if actor.may(Permission.USERS_READ):
        page = await room.accounts.users(actor.organisation, Cut(MAX_PAGE))
        bare = [
            each
            for each in page.items
            if each.role is Role.ADMINISTRATOR
            and each.password_hash
            and not each.totp_secret
            and not each.is_disabled
            and each.identifier != actor.identifier
        ]
        if bare:
            words = (
                f"the administrator {bare[0].name} signs in with a password alone"
                if len(bare) == 1
                else f"{len(bare)} other administrators sign in with a password alone"
            )
            found.append(Matter(Topic.USERS, Weight.INFO, words, "Ask them for a second factor."))
    return found
