"""A network namespace in which the lab is the whole Internet, and ``mailveil lists`` in it.

Run as ``unshare -n -m python listing_room.py FOLDER``; prints one JSON object and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from fetching_room import make_everything_local, trust

from mailveil.cli import program
from mailveil.lab import Lab, Origin, OriginKind, Registry
from mailveil.lab.exchange import Exchange

EDITIONS = [
    b"! Title: Easy\n! License: MIT\n||track.example^\n||old.example^\n",
    b"! Title: Easy\n! License: MIT\n||track.example^\n||new.example^\n",
]


async def list_server(exchange: Exchange) -> None:
    """Answer with the edition of the day, or lead away from TLS."""
    if exchange.request.path == "/away.txt":
        await exchange.redirect("http://lists.example/easy.txt")
    else:
        await exchange.reply(EDITIONS[0], "text/plain")


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    environment = {"MAILVEIL_STORAGE__DIRECTORY": str(folder / "state")}
    result = CliRunner(env=environment).invoke(program, ["lists", *arguments], standalone_mode=False)
    return {"code": result.return_value, "output": result.output, "error": repr(result.exception)}


async def main(folder: Path) -> None:
    make_everything_local(folder)
    origin = Origin(
        name="lists",
        kind=OriginKind.HONEST,
        does="serves block lists",
        hosts=("lists.example",),
        path="/easy.txt",
        answer=list_server,
    )
    lab = Lab(
        host="0.0.0.0", dns_port=53, http_port=80, https_port=443, more_hosts=["::"], origins=Registry(origin)
    )
    result: dict[str, Any] = {}
    async with lab:
        trust(lab.ca_file, folder)
        url = "https://lists.example/easy.txt"
        for name, arguments in {
            "import": ("import", "easy", url, "--yes"),
            "same": ("update",),
            "away": ("import", "away", "https://lists.example/away.txt", "--yes"),
        }.items():
            result[name] = await asyncio.to_thread(run, folder, *arguments)
        EDITIONS.pop(0)
        result["unagreed"] = await asyncio.to_thread(run, folder, "update")
        result["update"] = await asyncio.to_thread(run, folder, "update", "--yes")
        result["contacts"] = [each.as_record() for each in lab.contacts]
    result["shown"] = run(folder, "--json")
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
