"""Sharing on the command line: destinations made, tried and looked after."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mailveil.commands.inroom import in_room, say
from mailveil.commands.terminal import note, printable
from mailveil.config import Settings
from mailveil.control import sharing as use
from mailveil.control.access import Actor
from mailveil.control.destinationchecks import RULES
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import DEFAULT_ORGANISATION, MAX_PAGE, Cut
from mailveil.control.room import ControlRoom
from mailveil.control.sharing import DestinationOrder, DestinationView, MadeDestination
from mailveil.control.sharingrecords import DeadLetter, DestinationKind
from mailveil.core.sharing.types import PeopleShared, TrafficLight

MAX_FILE = 200_000
WHOLE_NUMBERS = frozenset({"max_bytes", "distribution"})
FLAGS = frozenset({"plain_http", "published"})
Chosen = Mapping[str, Any]


def show_destinations(settings: Settings, *, organisation: str, as_json: bool) -> int:
    """Print the destinations of an organisation, by name."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        found = await use.list_destinations(room, actor)
        for each in found:
            if as_json:
                say(destination_record(each))
            else:
                _show(each)
        if not found and not as_json:
            note("there are no destinations; mailveil sharing add makes one")
        if found and room.publishers is None and not as_json:
            note("sharing is switched off: nothing is delivered until [sharing] enabled is true")
        return 0

    return in_room(settings, work, organisation)


def add_destination(
    settings: Settings, chosen: Chosen, *, organisation: str, as_json: bool, from_beginning: bool
) -> int:
    """Make a destination; print the secret that its webhooks are signed with, if one was made."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        plain = DestinationOrder(str(chosen["name"]), DestinationKind(chosen["kind"]))
        order = _changed(plain, chosen)
        made = await use.make_destination(room, actor, order, from_beginning=from_beginning)
        _tell_made(made, as_json=as_json)
        if not as_json:
            where = f" --organisation {organisation}" if organisation != DEFAULT_ORGANISATION else ""
            note(f"try it: mailveil sharing test {shlex.quote(made.view.destination.name)}{where}")
        return 0

    return in_room(settings, work, organisation)


def change_destination(
    settings: Settings, named: str, chosen: Chosen, *, organisation: str, as_json: bool, rotate: bool
) -> int:
    """Change what is given of a destination."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        view = await _named(room, actor, named)
        identifier = view.destination.identifier
        order = _changed(view.order, chosen)
        if rotate:
            made = await use.rotate_secret(room, actor, identifier, order.secret)
            order = replace(order, secret=None)
            _tell_made(made, as_json=as_json)
            if order == view.order:
                return 0
        made = await use.change_destination(room, actor, identifier, order)
        if not rotate:
            _tell_made(made, as_json=as_json)
        return 0

    return in_room(settings, work, organisation)


def remove_destination(settings: Settings, named: str, *, organisation: str, assume_yes: bool) -> int:
    """Delete a destination."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        view = await _named(room, actor, named)
        name = printable(view.destination.name)
        if not assume_yes and not click.confirm(f"Delete {name}, and what it did not take?", err=True):
            return 1
        await use.remove_destination(room, actor, view.destination.identifier)
        note(f"{name} is deleted")
        return 0

    return in_room(settings, work, organisation)


def try_destination(settings: Settings, named: str, *, organisation: str, as_json: bool) -> int:
    """Send a test event; return 1 where it does not arrive."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        view = await _named(room, actor, named)
        trial = await use.test_destination(room, actor, view.destination.identifier)
        if as_json:
            say({"arrived": trial.arrived, "problem": trial.problem})
        elif trial.arrived:
            click.echo(printable(f"{view.destination.name} took the test event"))
        else:
            click.echo(printable(f"{view.destination.name} did not take the test event: {trial.problem}"))
        return 0 if trial.arrived else 1

    return in_room(settings, work, organisation)


def replay(
    settings: Settings,
    named: str,
    *,
    number: int | None,
    since: str | None,
    organisation: str,
    as_json: bool,
) -> int:
    """Have events delivered again."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        view = await _named(room, actor, named)
        at = None if since is None else _moment(since)
        done = await use.replay(room, actor, view.destination.identifier, number=number, since=at)
        if as_json:
            say(destination_record(done))
        else:
            click.echo(printable(f"{done.destination.name} gets {done.standing.waiting:,} events (again)"))
        return 0

    return in_room(settings, work, organisation)


def work_on_dead(
    settings: Settings,
    named: str,
    wish: str,
    numbers: Collection[int],
    *,
    organisation: str,
    as_json: bool,
) -> int:
    """List what a destination did not take (``wish`` of ``""``), have it tried again (``retry``), or ``forget`` it."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        view = await _named(room, actor, named)
        identifier = view.destination.identifier
        if wish:
            act = use.retry_dead if wish == "retry" else use.forget_dead
            count = await act(room, actor, identifier, numbers)
            if as_json:
                say({"retried" if wish == "retry" else "removed": count})
            else:
                what = "are tried again" if wish == "retry" else "are deleted"
                click.echo(f"{count:,} events {what}")
            return 0
        await _list_dead(room, actor, identifier, numbers, as_json=as_json)
        return 0

    return in_room(settings, work, organisation)


async def _list_dead(
    room: ControlRoom, actor: Actor, identifier: str, numbers: Collection[int], *, as_json: bool
) -> None:
    cut, seen = Cut(MAX_PAGE), 0
    while True:
        page = await use.list_dead(room, actor, identifier, cut)
        for each in page.items:
            if numbers and each.number not in numbers:
                continue
            seen += 1
            if as_json:
                say(dead_record(each))
            else:
                at = datetime.fromtimestamp(each.at).astimezone()
                click.echo(printable(f"{each.number:>8}  {at:%Y-%m-%d %H:%M}  {each.kind:18} {each.problem}"))
        if not page.next:
            break
        cut = Cut(MAX_PAGE, page.next)
    if not seen and not as_json:
        note("nothing was put aside; mailveil sharing list tells what still waits")


async def _named(room: ControlRoom, actor: Actor, named: str) -> DestinationView:
    """Return a destination by its identifier or name."""
    for each in await use.list_destinations(room, actor):
        if named == each.destination.identifier or named.casefold() == each.destination.name.casefold():
            return each
    raise MissingError(f"there is no destination {named}; mailveil sharing list shows them")


def _changed(order: DestinationOrder, chosen: Chosen) -> DestinationOrder:
    """Return an order with what was chosen on the command line."""
    changes: dict[str, Any] = {}
    for name in ("name", "address", "least_score"):
        if chosen.get(name) is not None:
            changes[name] = chosen[name]
    if chosen.get("form"):
        changes["format"] = chosen["form"]
    if chosen.get("events"):
        changes["events"] = tuple(chosen["events"])
    if chosen.get("people"):
        changes["people"] = PeopleShared(chosen["people"])
    if chosen.get("tlp"):
        changes["traffic_light"] = TrafficLight(chosen["tlp"])
    if chosen.get("enabled") is not None:
        changes["is_enabled"] = chosen["enabled"]
    if chosen.get("secret_file"):
        changes["secret"] = _secret(str(chosen["secret_file"]))
    if chosen.get("options"):
        changes["options"] = _options(order, chosen["options"])
    return replace(order, **changes)


def _options(order: DestinationOrder, given: Sequence[str]) -> dict[str, Any]:
    options = dict(order.options)
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise InvalidError(f"Write an option as NAME=VALUE, not {name!r}.", "options")
        if name not in RULES[order.kind].options:
            known = ", ".join(sorted(RULES[order.kind].options)) or "none"
            raise InvalidError(f"{order.kind} has no option {name!r}; there are: {known}.", "options")
        options[name] = _value(name, _read(text[1:]) if text.startswith("@") else text)
    return {name: value for name, value in options.items() if value != ""}


def _value(name: str, text: str) -> str | int | bool:
    if name in WHOLE_NUMBERS and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    if name in FLAGS and text in ("true", "false"):
        return text == "true"
    return text


def _secret(file: str) -> str:
    return (sys.stdin.read(MAX_FILE) if file == "-" else _read(file)).strip()


def _read(file: str) -> str:
    try:
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(MAX_FILE)
    except OSError as error:
        raise InvalidError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file}: is not UTF-8 text") from error


def _moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
        at = (found if found.tzinfo else found.astimezone()).timestamp()
    except (ValueError, OverflowError):
        at = math.nan
    if not at >= 0:
        raise InvalidError(f"{text!r} is no time, such as 2027-01-31T08:00:00Z.", "since")
    return at


def _tell_made(made: MadeDestination, *, as_json: bool) -> None:
    if as_json:
        say({**destination_record(made.view), **({"secret": made.secret} if made.secret else {})})
        return
    _show(made.view)
    if made.secret:
        note("Its webhooks are signed with this secret, which is shown only now:")
        click.echo(made.secret)


def _show(view: DestinationView) -> None:
    found, standing = view.destination, view.standing
    state = "on" if found.is_enabled else "off"
    counts = f"{found.delivered:,} delivered, {standing.waiting:,} waiting"
    if standing.dead:
        counts += f", {standing.dead:,} dead"
    if found.missed:
        counts += f", {found.missed:,} missed"
    where = f" {found.address}" if found.address else ""
    people = "" if found.people is PeopleShared.NONE else f", people: {found.people}"
    click.echo(
        printable(f"{found.identifier}  {state:3} {found.kind}  {found.name}:{where} ({counts}{people})")
    )
    if found.problem:
        is_to_come = found.is_enabled and found.next_try_at > time.time()
        again = datetime.fromtimestamp(found.next_try_at).astimezone() if is_to_come else None
        click.echo(printable(f"    {found.problem}{f'; tried again at {again:%H:%M:%S}' if again else ''}"))


def destination_record(view: DestinationView) -> dict[str, object]:
    """Return what programs are told of a destination: never its secret."""
    found, standing = view.destination, view.standing
    return {
        "id": found.identifier,
        "organisation": found.organisation,
        "name": found.name,
        "kind": str(found.kind),
        "address": found.address,
        "format": found.format,
        "events": list(found.events),
        "least_score": found.least_score,
        "people": str(found.people),
        "tlp": str(found.traffic_light),
        "options": dict(found.options),
        "has_secret": view.has_secret,
        "enabled": found.is_enabled,
        "created_by": found.created_by,
        "created_at": found.created_at,
        "position": found.position,
        "waiting": standing.waiting,
        "delivered": found.delivered,
        "dead": standing.dead,
        "missed": found.missed,
        "delivered_at": found.delivered_at or None,
        "attempts": found.attempts,
        "next_try_at": found.next_try_at or None,
        "problem": found.problem,
    }


def dead_record(letter: DeadLetter) -> dict[str, object]:
    """Return what programs are told of an event that was not taken: nothing of what is in it."""
    return {
        "number": letter.number,
        "event": letter.identifier,
        "type": letter.kind,
        "subject": letter.subject,
        "at": letter.at,
        "died_at": letter.died_at,
        "problem": letter.problem,
        "retry": letter.retry_at > 0,
    }
