"""In the room: commands that ask the control room, as whoever may run the program on this machine."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable, Mapping

import click

from mailveil.adapters.database.engine import DatabaseAddressError
from mailveil.adapters.originals import OriginalError
from mailveil.app.controlling import opened_room
from mailveil.commands.terminal import complain
from mailveil.config import Settings
from mailveil.control.access import Actor, ForbiddenError, command_line_actor
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import DEFAULT_ORGANISATION
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError
from mailveil.ports import UnavailableError

UNUSABLE = 2
Work = Callable[[ControlRoom, Actor], Awaitable[int]]


def in_room(settings: Settings, work: Work, organisation: str = DEFAULT_ORGANISATION) -> int:
    """Open the control room, do the work in an organisation, and return the exit code; complain where it fails."""
    try:
        return asyncio.run(_in_room(settings, work, organisation))
    except MissingError as error:
        complain(str(error) or "there is nothing by that name")
    except (ForbiddenError, InvalidError, ConflictError, UnavailableError) as error:
        complain(str(error))
    except (DatabaseAddressError, OriginalError) as error:
        complain(str(error))
    return UNUSABLE


async def _in_room(settings: Settings, work: Work, organisation: str) -> int:
    async with opened_room(settings) as room:
        known = [each.identifier for each in await room.organisations.organisations()]
        if organisation not in known:
            raise MissingError(f"there is no organisation {organisation}; there are {', '.join(known)}")
        return await work(room, command_line_actor(organisation, operator_name()))


def operator_name() -> str:
    """Return by which name the audit trail knows whoever runs a command; no user of the console can have it."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # no such account, as in some containers
        return "somebody (command line)"


def say(record: Mapping[str, object]) -> None:
    """Print a JSON object on a line of its own."""
    click.echo(json.dumps(record))
