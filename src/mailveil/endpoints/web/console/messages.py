"""Messages: what came, what stood in it, why it was judged so, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import quote, urlencode

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.messages import copies_of, message, messages
from mailveil.control.originals import leave_to_read
from mailveil.control.records import FeedbackKind, MessageQuery, ReleaseGrant
from mailveil.core.authentication.types import authentication_of
from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.observation.facts import DIGESTS
from mailveil.core.verdicts.signals import FACTS, Signal
from mailveil.core.verdicts.types import Risk
from mailveil.endpoints.web.console.fetchstory import Story, story_of
from mailveil.endpoints.web.console.originals import HOURS
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.periods import PERIODS, period_of
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.watchlinks import belongings
from mailveil.ports import CopyState, UnavailableError

pages = Pages()
MAX_STORIES = 30  # of one message that are told
MAX_SHOWN = 60  # references of one message on its page, alike ones together
ONLY = (
    ("", "All messages"),
    ("trackers", "With trackers"),
    ("remote", "With remote content"),
    ("changed", "Changed on the way"),
    ("unchanged", "Not changed"),
)
RISKS = (("", "Any"), ("low", "Low or more"), ("medium", "Medium or more"), ("high", "High"))
WHEN = (
    ("", "Any time"),
    *((each.name, f"Last {each.title}") for each in PERIODS),
    ("days", "Days given below"),
)
REPORT_KINDS = (
    (FeedbackKind.FALSE_ALARM, "A false alarm: what was called a tracker is none"),
    (FeedbackKind.MISSED, "A missed spy: something tracks and was not called so"),
    (FeedbackKind.OTHER, "Something else"),
)
MORE_FIELDS = ("sender", "recipient", "operator", "host", "tracker", "from", "to")
FIELDS = ("q", "risk", "only", "period", *MORE_FIELDS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody filled in above the list, and what is asked of the store for it."""

    query: MessageQuery
    errors: Mapping[str, str]


@pages.get("/messages", Permission.MESSAGES_READ)
async def message_list(visit: Visit) -> Response:
    """Show messages, newest first, that fit what was asked for."""
    asked = {name: visit.query(name) for name in FIELDS}
    wanted = wanted_of(asked, visit.room.clock.now())
    page = await messages(visit.room, visit.actor, wanted.query, visit.cut())
    return visit.page(
        "messages.html",
        page=page,
        asked=asked,
        errors=wanted.errors,
        is_filtered=any(asked.values()),
        has_more_filters=any(asked[name] for name in MORE_FIELDS),
        risks=RISKS,
        only=ONLY,
        when=WHEN,
        status=422 if wanted.errors else 200,
    )


def wanted_of(asked: Mapping[str, str], now: float) -> Wanted:
    """Return the query for what was filled in; what cannot be used is told at its field and left out."""
    errors: dict[str, str] = {}
    since, until = _time_asked(asked, now, errors)
    only = asked["only"]
    risk = asked["risk"]
    query = MessageQuery(
        since=since,
        until=until,
        text=asked["q"].strip(),
        sender=asked["sender"].strip().lower(),
        recipient=asked["recipient"].strip().lower(),
        risk=risk if risk in Risk.__members__.values() else "",
        operator=asked["operator"].strip(),
        host=asked["host"].strip().lower(),
        tracker=asked["tracker"].strip(),
        has_trackers=True if only == "trackers" else None,
        has_remote=True if only == "remote" else None,
        changed={"changed": True, "unchanged": False}.get(only),
    )
    return Wanted(query, errors)


def _time_asked(asked: Mapping[str, str], now: float, errors: dict[str, str]) -> tuple[float, float]:
    if asked["period"] in [each.name for each in PERIODS]:
        return now - period_of(asked["period"]).seconds, 0.0
    first, last = (_day(asked[name], name, errors) for name in ("from", "to"))
    since = _midnight(first) if first else 0.0
    until = _midnight(last + timedelta(days=1)) if last else 0.0
    if first and last and last < first:
        errors["to"] = "The last day lies before the first one."
    return since, until


def _day(text: str, name: str, errors: dict[str, str]) -> date | None:
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not 1970 < found.year < 9999:
        errors[name] = "Write a day as 2026-11-25."
        return None
    return found


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day).astimezone().timestamp()


@dataclass(frozen=True, slots=True)
class Group:
    """References of one message that are alike, shown as one. ``number`` is the first one's place in the message."""

    number: int
    reference: ObservedReference
    count: int
    urls: tuple[str, ...]
    signals: tuple[tuple[str, str], ...]
    rule: str
    rule_href: str
    copy: CopyState | None = None
    stories: tuple[Story, ...] = ()


@pages.get("/messages/{identifier}", Permission.MESSAGES_READ)
async def one_message(visit: Visit) -> Response:
    """Show everything that is known of one message."""
    found = await message(visit.room, visit.actor, visit.path("identifier"))
    copies, copies_problem = await _copies(visit, found)
    groups = groups_of(found, copies)
    groups, stories_problem = await _with_stories(visit, groups)
    return visit.page(
        "message.html",
        message=found,
        groups=groups,
        hidden=len(grouped(found.references)) - len(groups),
        authentication=authentication_words(found),
        header=header_words(found),
        problems=[each for each in (copies_problem, stories_problem) if each],
        allow_href=allow_href(found),
        may_report=visit.actor.may(Permission.FEEDBACK_WRITE),
        report_kinds=REPORT_KINDS,
        grants=await _grants(visit, found),
        hours=HOURS,
        belongings=await belongings(visit, [found.identifier]),
    )


async def _grants(visit: Visit, found: Observation) -> Sequence[ReleaseGrant]:
    if not found.original or not visit.actor.may(Permission.ORIGINALS_READ):
        return ()
    return await leave_to_read(visit.room, visit.actor, found.identifier)


def grouped(references: Sequence[ObservedReference]) -> dict[tuple[str, ...], list[int]]:
    """Return the places of references that are alike, by what makes them so."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, each in enumerate(references):
        key = (each.template or each.url, each.vector, each.finding, each.action, each.operator, each.rule)
        alike.setdefault(key, []).append(number)
    return alike


def groups_of(found: Observation, copies: Mapping[str, CopyState]) -> list[Group]:
    """Return what stood in a message, alike ones together, trackers first and the likeliest before others."""
    groups = []
    for numbers in grouped(found.references).values():
        first = found.references[numbers[0]]
        rule, href = rule_words(first.rule)
        groups.append(
            Group(
                number=numbers[0],
                reference=first,
                count=len(numbers),
                urls=tuple(dict.fromkeys(found.references[each].url for each in numbers)),
                signals=tuple(signal_words(first.signals)),
                rule=rule,
                rule_href=href,
                copy=copies.get(first.token),
            )
        )
    groups.sort(key=lambda each: (not each.reference.is_tracker, -each.reference.score, each.number))
    return groups[:MAX_SHOWN]


async def _copies(visit: Visit, found: Observation) -> tuple[dict[str, CopyState], str]:
    if not visit.actor.may(Permission.COPIES_READ) or not any(each.token for each in found.references):
        return {}, ""
    try:
        copies = await copies_of(visit.room, visit.actor, found.identifier)
    except UnavailableError:
        return {}, "What became of the copies cannot be told now: their store does not answer."
    return {each.token: each.state for each in copies}, ""


async def _with_stories(visit: Visit, groups: list[Group]) -> tuple[list[Group], str]:
    fetches = visit.room.fetches
    if fetches is None:
        return groups, ""
    told, left = [], MAX_STORIES
    try:
        for group in groups:
            stories: list[Story] = []
            for url in group.urls[: max(0, left)] if group.reference.token else ():
                stories += [story_of(each) for each in await fetches.evidence_of(url)]
                left -= 1
            told.append(_with(group, tuple(sorted(stories, key=lambda each: -each.at))))
    except UnavailableError:
        return groups, "What fetches showed cannot be told now: their record does not answer."
    return told, ""


def _with(group: Group, stories: tuple[Story, ...]) -> Group:
    return Group(
        group.number,
        group.reference,
        group.count,
        group.urls,
        group.signals,
        group.rule,
        group.rule_href,
        group.copy,
        stories,
    )


def signal_words(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return signals with what each means; one of another release keeps its name alone."""
    known = {str(each): FACTS[each].description for each in Signal}
    return [(name, known.get(name, "")) for name in names]


def rule_words(rule: str) -> tuple[str, str]:
    """Return what chose an action, in words, and where it stands."""
    kind, _, name = rule.partition(":")
    match kind:
        case "rule":
            return f"the rule “{name}”", f"/policy#rule-{quote(name, safe='')}"
        case "allow":
            return "the allow-list", f"/allow#entry-{quote(name, safe='')}"
        case "level":
            return f"the level “{name}”", "/policy"
        case _:
            return "the settings", "/policy"


def authentication_words(found: Observation) -> tuple[str, ...]:
    """Return who the sender proved to be, in a few lines; none where it was not written down."""
    if not found.authentication:
        return ()
    try:
        return authentication_of(found.authentication).summary()
    except (KeyError, TypeError, ValueError):
        return ("What was written down about the sender cannot be read.",)


HEADER_WORDS = {
    "list_id": "Mailing list",
    "list_unsubscribe": "Unsubscribe",
    "mail_service": "Field of a mail service",
    "reply_to_domain": "Answers go to",
    "precedence": "Precedence",
    "feedback_id": "Feedback-ID",
    "recognised_why": "Mail of a known actor",
    "known_by": "Known by",
    "recognised": "Activity",
}


def header_words(found: Observation) -> list[tuple[str, str]]:
    """Return what the header tells of mailings."""
    return [
        (HEADER_WORDS.get(name, name.replace("_", " ")), value)
        for name, value in found.header.items()
        if value and name not in DIGESTS  # which nobody can read
    ]


def allow_href(found: Observation) -> str:
    """Return where an allow-list entry for the sender is begun, filled in; ``""`` where nobody proved anything."""
    if not found.author_domain:
        return ""
    hosts = sorted({each.host for each in found.references if each.host and not each.is_tracker})[:10]
    return f"/allow/new?{urlencode({'author': found.author_domain, 'hosts': ' '.join(hosts)})}"
