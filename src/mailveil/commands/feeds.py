"""Feeds on the command line: shown, added, changed, read, removed, and what they told."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mailveil.commands.inroom import in_room, say
from mailveil.commands.terminal import note, printable
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feeds import (
    FeedOrder,
    FeedView,
    list_feeds,
    list_indicators,
    make_feed,
    read_now,
)
from mailveil.control.feeds import change_feed as use_changed
from mailveil.control.feeds import remove_feed as forget_feed
from mailveil.control.records import MAX_PAGE, Cut
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import FeedKind

FAILED = 1


def show_feeds(settings: Settings, organisation: str, *, as_json: bool) -> int:
    """Print feeds, by name."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        found = await list_feeds(room, actor)
        for each in found:
            _tell(each, as_json=as_json)
        if not as_json:
            note(f"{len(found)} feed{'' if len(found) == 1 else 's'}")
        return 0

    return in_room(settings, work, organisation)


def add_feed(
    settings: Settings,
    organisation: str,
    name: str,
    kind: str,
    address: str,
    *,
    options: Mapping[str, str | int | bool],
    secret_file: str,
    ca_file: str,
    as_json: bool,
) -> int:
    """Take in a feed."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        chosen = {**options, **({"ca_pem": _text_of(ca_file, "ca_file")} if ca_file else {})}
        secret = _text_of(secret_file, "secret_file").strip("\r\n") if secret_file else None
        made = await make_feed(room, actor, FeedOrder(name, FeedKind(kind), address, chosen, secret))
        _tell(made, as_json=as_json)
        if not as_json:
            note("A running mailveil reads it within seconds; mailveil feeds read does so now.")
        return 0

    return in_room(settings, work, organisation)


def change_feed(
    settings: Settings,
    organisation: str,
    feed: str,
    *,
    name: str | None,
    address: str | None,
    is_enabled: bool | None,
    options: Mapping[str, str | int | bool],
    secret_file: str,
    ca_file: str | None,
    as_json: bool,
) -> int:
    """Change what is given of a feed. An option that is empty, 0 or False, and an empty ``ca_file``, are taken away."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        before = (await _found(room, actor, feed)).feed
        chosen: dict[str, Any] = {**before.options, **options}
        if ca_file is not None:
            chosen["ca_pem"] = _text_of(ca_file, "ca_file") if ca_file else ""
        order = FeedOrder(
            name=before.name if name is None else name,
            kind=before.kind,
            address=before.address if address is None else address,
            options={option: value for option, value in chosen.items() if value},
            secret=_text_of(secret_file, "secret_file").strip("\r\n") if secret_file else None,
            is_enabled=before.is_enabled if is_enabled is None else is_enabled,
        )
        _tell(await use_changed(room, actor, before.identifier, order), as_json=as_json)
        return 0

    return in_room(settings, work, organisation)


def remove_feed(settings: Settings, organisation: str, feed: str, *, assume_yes: bool) -> int:
    """Delete a feed with everything that it told."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        found = await _found(room, actor, feed)
        if not assume_yes:
            click.confirm(
                f"Delete the feed {found.feed.name} with {found.feed.indicators:,} indicators?",
                abort=True,
                err=True,
            )
        await forget_feed(room, actor, found.feed.identifier)
        note(f"{found.feed.name} is gone")
        return 0

    return in_room(settings, work, organisation)


def read_feed(settings: Settings, organisation: str, feed: str, *, anew: bool, as_json: bool) -> int:
    """Read a feed now; 1 where it could not be read."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        found = await _found(room, actor, feed)
        view = await read_now(room, actor, found.feed.identifier, from_beginning=anew)
        _tell(view, as_json=as_json)
        if not as_json and not view.feed.problem:
            for name, count in sorted(view.feed.figures.items()):
                note(f"{name.replace('skipped:', 'passed over, ')}: {count:,}")
        return FAILED if view.feed.problem else 0

    return in_room(settings, work, organisation)


def show_indicators(settings: Settings, organisation: str, value: str, *, feed: str, as_json: bool) -> int:
    """Print what feeds told."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        wanted = (await _found(room, actor, feed)).feed.identifier if feed else ""
        names = {each.feed.identifier: each.feed.name for each in await list_feeds(room, actor)}
        cut = Cut(MAX_PAGE)
        while True:
            page = await list_indicators(room, actor, cut, feed=wanted, value=value)
            for each in page.items:
                if as_json:
                    say(
                        {
                            "feed": names.get(each.feed, each.feed),
                            "kind": each.kind,
                            "value": each.value,
                            "source_id": each.identifier,
                            "confidence": each.confidence,
                            "valid_from": each.valid_from or None,
                            "valid_until": each.valid_until or None,
                            "name": each.name,
                            "source": each.source,
                            "marking": each.marking,
                        }
                    )
                else:
                    said = f"{each.kind:6}  {each.value}  {names.get(each.feed, each.feed)}  {each.name}"
                    click.echo(printable(said.rstrip()))
            if not page.next:
                return 0
            cut = Cut(MAX_PAGE, page.next)

    return in_room(settings, work, organisation)


async def _found(room: ControlRoom, actor: Actor, wanted: str) -> FeedView:
    for each in await list_feeds(room, actor):
        if wanted == each.feed.identifier or wanted.lower() == each.feed.name.lower():
            return each
    raise MissingError(f"there is no feed {wanted}; see mailveil feeds list")


def _tell(view: FeedView, *, as_json: bool) -> None:
    feed = view.feed
    if as_json:
        say(feed_record(view))
        return
    read = (
        f"read {datetime.fromtimestamp(feed.read_at).astimezone():%Y-%m-%d %H:%M}"
        if feed.read_at
        else "never read"
    )
    off = "" if feed.is_enabled else "  off"
    problem = f"  {feed.problem}" if feed.problem else ""
    click.echo(
        printable(
            f"{feed.identifier}  {feed.name}  {feed.kind}  {feed.address}  {feed.indicators:,} indicators  {read}"
            f"{off}{problem}"
        )
    )


def feed_record(view: FeedView) -> dict[str, Any]:
    """Return a feed as a JSON object; its secret is nowhere."""
    feed = view.feed
    return {
        "id": feed.identifier,
        "name": feed.name,
        "kind": str(feed.kind),
        "address": feed.address,
        "options": dict(feed.options),
        "has_secret": view.has_secret,
        "enabled": feed.is_enabled,
        "created_by": feed.created_by,
        "created_at": feed.created_at,
        "indicators": feed.indicators,
        "figures": dict(feed.figures),
        "read_at": feed.read_at or None,
        "next_read_at": feed.next_read_at or None,
        "problem": feed.problem,
    }


def _text_of(path: str, option: str) -> str:
    try:
        text = sys.stdin.read(200_000) if path == "-" else Path(path).expanduser().read_text("utf-8")
    except OSError as error:
        raise InvalidError(f"{path}: {error.strerror}", option) from error
    except UnicodeDecodeError as error:
        raise InvalidError(f"{path} is not UTF-8 text", option) from error
    return text
