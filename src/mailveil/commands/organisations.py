"""Organisations on the command line: listed, made, changed, removed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from mailveil.commands.inroom import UNUSABLE, in_room, say
from mailveil.commands.terminal import complain, printable
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.failures import MissingError
from mailveil.control.organisations import (
    change_organisation,
    list_organisations,
    make_organisation,
    read_organisation,
    remove_organisation,
    told_of_language,
)
from mailveil.control.records import Organisation
from mailveil.control.room import ControlRoom


def show_organisations(settings: Settings, *, as_json: bool) -> int:
    """Print the organisations."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        for each in await list_organisations(room, actor):
            if as_json:
                say(organisation_record(each))
            else:
                domains = ", ".join(each.domains) or "no domains"
                click.echo(printable(f"{each.identifier:20} {each.language:6} {each.name}: {domains}"))
        return 0

    return in_room(settings, work)


def add_organisation(
    settings: Settings, identifier: str, name: str, domains: Sequence[str], language: str
) -> int:
    """Make an organisation."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        made = await make_organisation(
            room, actor, identifier, name or identifier, domains=domains, language=language
        )
        click.echo(printable(f"{made.identifier}: {made.name}, {', '.join(made.domains) or 'no domains'}"))
        _tell_of_language(made)
        return 0

    return in_room(settings, work)


def alter_organisation(
    settings: Settings,
    identifier: str,
    *,
    name: str | None,
    domains: Sequence[str],
    without: Sequence[str],
    language: str | None,
) -> int:
    """Change what is named of an organisation; ``domains`` come to those it has, ``without`` go."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        found = await _named(room, actor, identifier)
        gone = {each.lower() for each in without}
        wanted = [each for each in (*found.domains, *domains) if each.lower() not in gone]
        changed = await change_organisation(
            room,
            actor,
            identifier,
            name=name,
            domains=wanted if domains or without else None,
            language=language,
        )
        domains_now = ", ".join(changed.domains) or "no domains"
        click.echo(printable(f"{changed.identifier}: {changed.name}, {domains_now}, {changed.language}"))
        _tell_of_language(changed)
        return 0

    return in_room(settings, work)


def _tell_of_language(organisation: Organisation) -> None:
    if told := told_of_language(organisation):
        click.echo(printable(told), err=True)


def drop_organisation(settings: Settings, identifier: str, *, assume_yes: bool) -> int:
    """Remove an organisation with everything that is kept of it, once its identifier was typed."""
    typed = identifier
    if not assume_yes:
        if not sys.stdin.isatty():
            complain(f"this deletes everything that is kept of {identifier}; confirm it with --yes")
            return UNUSABLE
        typed = click.prompt(
            f"This deletes everything that is kept of {identifier}, its users included. Type {identifier} to go on",
            default="",
            show_default=False,
        )

    async def work(room: ControlRoom, actor: Actor) -> int:
        await _named(room, actor, identifier)
        removed = await remove_organisation(room, actor, identifier, typed)
        click.echo(printable(f"{removed.identifier} is removed"))
        return 0

    return in_room(settings, work)


def organisation_record(organisation: Organisation) -> dict[str, object]:
    """Return what programs are told of an organisation."""
    return {
        "id": organisation.identifier,
        "name": organisation.name,
        "domains": list(organisation.domains),
        "language": organisation.language,
        "created_at": organisation.created_at,
    }


async def _named(room: ControlRoom, actor: Actor, identifier: str) -> Organisation:
    try:
        return await read_organisation(room, actor, identifier)
    except MissingError as error:
        raise MissingError(f"there is no organisation {identifier}") from error
