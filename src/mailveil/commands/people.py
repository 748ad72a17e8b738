"""People on the command line: what is kept of one recipient, printed or deleted."""

from __future__ import annotations

import sys

import click

from mailveil.commands.inroom import UNUSABLE, in_room, say
from mailveil.commands.terminal import complain, count, note
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.people import erase_person, export_person
from mailveil.control.room import ControlRoom


def export_of_person(settings: Settings, address: str, *, organisation: str) -> int:
    """Print everything that is kept of a person, a JSON object a line with its ``kind``."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        export = await export_person(room, actor, address)
        for kind, records in export.records.items():
            for each in records:
                say({"kind": kind, **each})
        _tell_what_waits(settings)
        return 0

    return in_room(settings, work, organisation)


def erase_of_person(settings: Settings, address: str, *, organisation: str, assume_yes: bool) -> int:
    """Delete everything that is kept of a person, once that was agreed to."""
    if not assume_yes:
        if not sys.stdin.isatty():
            complain("this deletes everything that is kept of a person; confirm it with --yes")
            return UNUSABLE
        if not click.confirm(f"Delete everything that is kept of {address}, for good?"):
            return UNUSABLE

    async def work(room: ControlRoom, actor: Actor) -> int:
        erased = await erase_person(room, actor, address)
        click.echo(
            f"{count(erased.records, 'record')} and {count(erased.originals, 'original')} of this person are deleted"
        )
        if left := erased.originals_left:
            note(
                f"{count(left, 'original')} of messages that others got, too, or that cannot be deleted here: "
                f"gone after [policy] originals_days = {settings.policy.originals_days}"
            )
        _tell_what_waits(settings)
        return 0

    return in_room(settings, work, organisation)


def _tell_what_waits(settings: Settings) -> None:
    directory = settings.directory / "observations"
    waiting = [
        *directory.glob("*.spool"),
        *(each for each in directory.glob("*.open") if each.stat().st_size),
    ]
    if waiting:
        note(f"records in {directory} wait for the database; ask again once they are in it")
    if refused := list(directory.glob("*.refused")):
        note(
            f"{count(len(refused), 'file')} {directory}/*.refused may name this person; look, and delete them"
        )
