"""``mailveil intelligence``: what an organisation found out, as files for other systems."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click

from mailveil.adapters.newfiles import write_file
from mailveil.commands.inroom import UNUSABLE, in_room
from mailveil.commands.recon import named
from mailveil.commands.terminal import complain, note
from mailveil.config import Settings
from mailveil.control import exporting as use
from mailveil.control.access import Actor
from mailveil.control.room import ControlRoom
from mailveil.core.sharing.types import TrafficLight

Export = Callable[[ControlRoom, Actor], Awaitable[str]]
FORMS: Final = ("stix", "misp", "adblock")


def export(
    settings: Settings,
    organisation: str,
    form: str,
    *,
    activity: str = "",
    traffic_light: str = "",
    output: str = "",
) -> int:
    """Write what was found out in one of ``FORMS`` to a file or to standard output; return the exit code."""
    if form == "adblock" and activity:
        complain("a filter list is of all trackers that were learned: leave --activity out")
        return UNUSABLE
    if traffic_light and not activity:
        complain("what was published keeps its marking: give --tlp together with --activity")
        return UNUSABLE
    made = _export(form, activity, TrafficLight(traffic_light) if traffic_light else None)

    async def work(room: ControlRoom, actor: Actor) -> int:
        return _write(await made(room, actor), output)

    return in_room(settings, work, organisation)


def _export(form: str, activity: str, traffic_light: TrafficLight | None) -> Export:
    async def stix(room: ControlRoom, actor: Actor) -> str:
        if activity:
            return _json(
                await use.stix_bundle(room, actor, await named(room, actor, activity), traffic_light)
            )
        return _json(await use.stix_collections(room, actor))

    async def misp(room: ControlRoom, actor: Actor) -> str:
        if activity:
            return _json(
                await use.misp_document(room, actor, await named(room, actor, activity), traffic_light)
            )
        return _json({"response": await use.misp_collection(room, actor)})

    return {"stix": stix, "misp": misp, "adblock": use.learned_list}[form]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _write(text: str, output: str) -> int:
    if not output:
        click.echo(text, nl=False)
        return 0
    path = Path(output).expanduser()
    try:
        write_file(path, text.encode("utf-8"), None)
    except OSError as error:
        complain(f"{path}: {error.strerror}")
        return UNUSABLE
    note(f"written to {path}")
    return 0
