"""The allow-list on the command line: shown, added to, revoked, extended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from mailveil.commands.inroom import in_room, say
from mailveil.commands.terminal import count, note, printable
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.allowing import allow, extend_allowed, list_allowed, revoke_allowed
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import MAX_PAGE, AllowRecord, Cut
from mailveil.control.room import ControlRoom
from mailveil.core.policy.document import read_time, write_last_day


def show_allowed(settings: Settings, organisation: str, *, show_all: bool, as_json: bool) -> int:
    """Print who is trusted, newest first."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        cut, seen = Cut(MAX_PAGE), 0
        while True:
            page = await list_allowed(room, actor, cut, all_states=show_all)
            for each in page.items:
                seen += 1
                if as_json:
                    say(allow_record(each))
                else:
                    click.echo(_line(each, room.clock.now()))
            if not page.next:
                break
            cut = Cut(MAX_PAGE, page.next)
        if not as_json:
            note(count(seen, "entry") if seen == 1 else f"{seen:,} entries")
        return 0

    return in_room(settings, work, organisation)


def add_allowed(
    settings: Settings,
    organisation: str,
    author: str,
    *,
    hosts: Sequence[str],
    owner: str,
    reason: str,
    until: str,
    as_json: bool,
) -> int:
    """Trust a partner."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        made = await allow(
            room,
            actor,
            author,
            hosts=hosts,
            owner=owner or actor.name,
            reason=reason,
            expires_at=_moment(until),
        )
        if as_json:
            say(allow_record(made))
        else:
            click.echo(_line(made, room.clock.now()))
            note("It holds for messages whose author is proven (docs/policy.md), within seconds.")
        return 0

    return in_room(settings, work, organisation)


def end_allowed(settings: Settings, organisation: str, identifier: str, *, reason: str) -> int:
    """Trust a partner no more."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        try:
            revoked = await revoke_allowed(room, actor, identifier, reason)
        except MissingError as error:
            raise MissingError(f"there is no entry {identifier}; see mailveil allow list") from error
        note(f"{revoked.author} is not trusted any more ({revoked.identifier})")
        return 0

    return in_room(settings, work, organisation)


def extend_entry(settings: Settings, organisation: str, identifier: str, *, until: str, reason: str) -> int:
    """Let an entry hold until another time."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        try:
            extended = await extend_allowed(room, actor, identifier, _moment(until), reason=reason)
        except MissingError as error:
            raise MissingError(f"there is no entry {identifier}; see mailveil allow list") from error
        click.echo(_line(extended, room.clock.now()))
        return 0

    return in_room(settings, work, organisation)


def allow_record(record: AllowRecord) -> dict[str, object]:
    """Return an entry as a JSON object."""
    return {
        "id": record.identifier,
        "author": record.author,
        "hosts": list(record.hosts),
        "owner": record.owner,
        "reason": record.reason,
        "created_by": record.created_by,
        "created_at": record.created_at,
        "expires_at": record.expires_at or None,
        "revoked_at": record.revoked_at or None,
        "revoked_by": record.revoked_by or None,
    }


def _moment(text: str) -> float:
    if text in ("", "revoked"):
        return 0.0
    try:
        return read_time(text)
    except (ValueError, OverflowError) as error:
        raise InvalidError(f"{text} is no day; write it as 2026-12-31", "expires_at") from error


def _line(record: AllowRecord, now: float) -> str:
    hosts = ", ".join(record.hosts) or "all hosts"
    if record.revoked_at:
        state = f"revoked {datetime.fromtimestamp(record.revoked_at).astimezone():%Y-%m-%d} by {record.revoked_by}"
    elif record.expires_at and record.expires_at <= now:
        state = f"expired {write_last_day(record.expires_at)}"
    else:
        state = f"until {write_last_day(record.expires_at)}" if record.expires_at else "until revoked"
    return printable(
        f"{record.identifier}  {record.author}  {hosts}  {state}  {record.owner}: {record.reason}"
    )
