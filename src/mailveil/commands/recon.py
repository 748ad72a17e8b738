"""Reconnaissance on the command line: who is watching, told and decided about."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from mailveil.commands.inroom import in_room, say
from mailveil.commands.marks import Mark, read_list
from mailveil.commands.terminal import count, note, printable
from mailveil.config import Settings
from mailveil.control import activities as use
from mailveil.control import blocking
from mailveil.control.access import Actor
from mailveil.control.activityrecords import ActivityFile, ActivityQuery
from mailveil.control.failures import MissingError
from mailveil.control.records import MAX_PAGE, Cut
from mailveil.control.room import ControlRoom
from mailveil.control.telling import activity_record
from mailveil.control.weeklywords import unstudied_words
from mailveil.core.intelligence.types import ActivityState, AnalystVerdict, MarkedPerson, Probe, Target

MAX_WAITING: Final = 10_000_000  # messages that are counted while they wait to be studied

Deed = Callable[[ControlRoom, Actor, str], Awaitable[ActivityFile]]


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which activities are wanted."""

    state: str
    verdict: str
    least_score: float
    person: str
    order: str
    limit: int


def show_activities(settings: Settings, organisation: str, asked: ListRequest, *, as_json: bool) -> int:
    """Print activities."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        now = room.clock.now()
        query = ActivityQuery(
            now,
            state=ActivityState(asked.state) if asked.state else None,
            verdict=AnalystVerdict(asked.verdict) if asked.verdict else None,
            least_score=asked.least_score,
            person=asked.person,
            order=asked.order,
        )
        seen, cursor = 0, ""
        while seen < asked.limit:
            page = await use.activities(room, actor, query, Cut(min(MAX_PAGE, asked.limit - seen), cursor))
            for file in page.items:
                _tell(file, now, as_json=as_json)
            seen, cursor = seen + len(page.items), page.next
            if not cursor:
                break
        if not as_json:
            note(
                f"{seen} {'activity' if seen == 1 else 'activities'}{', and there are more' if cursor else ''}"
            )
        if waiting := await use.waiting_to_be_studied(room, actor, MAX_WAITING):
            note(unstudied_words(waiting, MAX_WAITING))
        return 0

    return in_room(settings, work, organisation)


def show_activity(settings: Settings, organisation: str, identifier: str, *, as_json: bool) -> int:
    """Tell all of one activity."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        name = await named(room, actor, identifier)
        found = await use.activity(room, actor, name)
        now = room.clock.now()
        if as_json:
            say(_record(found.file, now))
        else:
            for line in _told(found, now):
                click.echo(printable(line))
        return 0

    return in_room(settings, work, organisation)


def export_activity(settings: Settings, organisation: str, identifier: str) -> int:
    """Print everything that is kept of an activity."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        name = await named(room, actor, identifier)
        click.echo(json.dumps(await use.export_activity(room, actor, name), indent=2))
        return 0

    return in_room(settings, work, organisation)


def note_activity(settings: Settings, organisation: str, identifier: str, text: str) -> int:
    """Note something about an activity."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        name = await named(room, actor, identifier)
        await use.note_activity(room, actor, name, text)
        note("noted")
        return 0

    return in_room(settings, work, organisation)


def decide_activity(
    settings: Settings, organisation: str, identifier: str, deed: str, *, as_json: bool
) -> int:
    """Decide about an activity."""
    deeds: dict[str, Deed] = {
        "acknowledge": use.acknowledge_activity,
        "close": use.close_activity,
        "reopen": use.reopen_activity,
        "confirm": _verdict(AnalystVerdict.CONFIRMED),
        "dismiss": _verdict(AnalystVerdict.BENIGN),
        "undecide": _verdict(AnalystVerdict.OPEN),
    }

    async def work(room: ControlRoom, actor: Actor) -> int:
        name = await named(room, actor, identifier)
        _tell(await deeds[deed](room, actor, name), room.clock.now(), as_json=as_json)
        return 0

    return in_room(settings, work, organisation)


def _verdict(verdict: AnalystVerdict) -> Deed:
    async def decide(room: ControlRoom, actor: Actor, identifier: str) -> ActivityFile:
        return await use.decide_activity(room, actor, identifier, verdict)

    return decide


def block_activity(
    settings: Settings, organisation: str, identifier: str, *, comment: str, as_json: bool
) -> int:
    """Add rules against an activity, and print what the mail server may refuse."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        name = await named(room, actor, identifier)
        blocked = await blocking.block_activity(room, actor, name, comment=comment)
        if as_json:
            say(
                {
                    "sender_domains": list(blocked.sender_domains),
                    "hosts": list(blocked.hosts),
                    "unproven": list(blocked.unproven),
                    "version": blocked.policy.version,
                }
            )
            return 0
        for domain in blocked.sender_domains:
            click.echo(printable(f"mail from   {domain}"))
        for host in blocked.hosts:
            click.echo(printable(f"leads to    {host}"))
        note(
            f"Policy version {blocked.policy.version} takes out whatever is remote there. Mail still arrives; have the "
            "mail server refuse these domains if it should not."
        )
        if blocked.left_out:
            note(printable(blocked.left_out))
        return 0

    return in_room(settings, work, organisation)


def show_alerts(settings: Settings, organisation: str, *, limit: int, as_json: bool) -> int:
    """Print alerts."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        seen, cursor = 0, ""
        while seen < limit:
            page = await use.alerts(room, actor, Cut(min(MAX_PAGE, limit - seen), cursor))
            for each in page.items:
                if as_json:
                    say(each.record())
                else:
                    click.echo(printable(f"{_at(each.at)}  {each.kind:14}  {each.activity}  {each.words}"))
            seen, cursor = seen + len(page.items), page.next
            if not cursor:
                break
        if not as_json:
            note(count(seen, "alert"))
        return 0

    return in_room(settings, work, organisation)


def show_marked(settings: Settings, organisation: str, *, as_json: bool) -> int:
    """Print the people of whom something is said."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        found = await use.marked_people(room, actor)
        for each in found:
            if as_json:
                say(_mark_record(each))
            else:
                value = "high value" if each.is_high_value else ""
                click.echo(printable(f"{each.person}  {each.function}  {value}".rstrip()))
        if not as_json:
            note(_people(len(found)))
        return 0

    return in_room(settings, work, organisation)


def mark_person(
    settings: Settings, organisation: str, address: str, *, function: str, is_high_value: bool, as_json: bool
) -> int:
    """Say something of a person."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        made = await use.mark_person(room, actor, address, function=function, is_high_value=is_high_value)
        if as_json:
            say(_mark_record(made))
            return 0
        said = ", ".join(filter(None, (made.function, "high value" if made.is_high_value else "")))
        note(f"{made.person}: {said or 'nothing is said any more'}. It counts from now on.")
        return 0

    return in_room(settings, work, organisation)


def mark_people(
    settings: Settings, organisation: str, file: str, *, unmark_others: bool, as_json: bool
) -> int:
    """Say of everybody in a list what stands there; who is not in it stays as they are, or is marked no more."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        marks = read_list(file)  # whole, so that a wrong line changes nothing
        before = {each.person: each for each in await use.marked_people(room, actor)}
        changed = 0
        for each in marks:
            if _is_said(before.pop(room.privacy.person(each.address, actor.organisation), None), each):
                continue
            await use.mark_person(
                room, actor, each.address, function=each.function, is_high_value=each.is_high_value
            )
            changed += 1
        for person in before if unmark_others else ():
            await use.mark_person(room, actor, person)
        gone = len(before) if unmark_others else 0
        if as_json:
            say({"people": len(marks), "changed": changed, "unmarked": gone})
            return 0
        others = f", {gone:,} others are marked no more" if unmark_others else ""
        note(f"{_people(len(marks))} in {file}: {changed:,} changed{others}. It counts from now on.")
        return 0

    return in_room(settings, work, organisation)


def _is_said(before: MarkedPerson | None, mark: Mark) -> bool:
    said = (before.function.casefold(), before.is_high_value) if before else ("", False)
    return said == (mark.function.casefold(), mark.is_high_value)


def _mark_record(marked: MarkedPerson) -> dict[str, Any]:
    return {"person": marked.person, "function": marked.function, "is_high_value": marked.is_high_value}


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def recompute(settings: Settings, organisation: str) -> int:
    """Have everything studied again."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        total = await use.recompute(room, actor)
        note(f"{total:,} messages, verdicts and facts are studied again as soon as mailveil runs")
        return 0

    return in_room(settings, work, organisation)


async def named(room: ControlRoom, actor: Actor, beginning: str) -> str:
    """Return the activity that somebody means by the beginning of its identifier. Raises as ``named_activity`` does."""
    try:
        return await use.named_activity(room, actor, beginning)
    except MissingError as error:
        raise MissingError("there is no such activity; see mailveil recon list") from error


def _record(file: ActivityFile, now: float) -> dict[str, Any]:
    return activity_record(file, now) | {
        "decided_by": file.decided_by,
        "acknowledged_by": file.acknowledged_by,
        "closed_by": file.closed_by,
    }


def _tell(file: ActivityFile, now: float, *, as_json: bool) -> None:
    if as_json:
        say(_record(file, now))
        return
    activity = file.activity
    verdict = "" if file.verdict is AnalystVerdict.OPEN else f"  {file.verdict}"
    seen = f"  seen by {file.acknowledged_by}" if file.acknowledged_by else ""
    people = _people(activity.total_people)
    click.echo(
        printable(
            f"{activity.identifier}  {activity.score:4.0%}  {file.state(now):6}  {_at(activity.last_at)}  "
            f"{activity.actor}  {people}, {count(activity.total_probes, 'probe')}{verdict}{seen}"
        )
    )


def _told(found: use.ActivityDossier, now: float) -> list[str]:
    """Return lines that tell all of an activity."""
    file, activity = found.file, found.file.activity
    decided = f"{file.verdict}{f' by {file.decided_by}' if file.decided_by else ''}"
    lines = [
        f"{activity.actor}  ({activity.identifier})",
        f"  score     {activity.score:.0%}, risk {activity.risk}, {file.state(now)}, verdict {decided}",
        f"  seen      {_at(activity.first_at)} to {_at(activity.last_at)}, {count(activity.total_messages, 'message')}",
    ]
    lines += [f"  why       {each.weight:+.1f}  {each.words}" for each in activity.reasons]
    lines += [f"  technique {each.technique}  {each.because}" for each in activity.techniques]
    lines += [f"  learned   {each}" for each in activity.learned]
    lines += [f"  tracking  {activity.attribution.tooling}  {each}" for each in activity.attribution.evidence]
    lines += [
        f"  with      {each.role}  {each.value}{'  (serves others, too)' if each.shared else ''}"
        for each in activity.infrastructure
    ]
    lines += [_target(each) for each in activity.targets]
    lines += [_probe("probe", each) for each in activity.probes]
    lines += [_probe("follow-up", each) for each in activity.follow_ups]
    lines += [f"  alert     {_at(each.at)}  {each.words}" for each in found.alerts]
    lines += [f"  note      {_at(each.at)}  {each.by}: {each.text}" for each in found.notes]
    return lines


def _target(target: Target) -> str:
    said = ", ".join(filter(None, (target.function, "high value" if target.is_high_value else "")))
    told = f" ({said})" if said else ""
    return f"  aimed at  {target.person or 'somebody'}{told}, {count(target.probes, 'probe')}"


def _probe(name: str, probe: Probe) -> str:
    kinds = ", ".join(probe.kinds) or "no tracker"
    return f"  {name:9} {_at(probe.at)}  {probe.person or 'somebody'}  {kinds}  {probe.template}  {probe.message}"


def _at(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"
