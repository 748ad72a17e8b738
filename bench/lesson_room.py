"""The room in which the lesson is held: a network namespace in which generated origins are the whole Internet.

Run as ``unshare -n -m python lesson_room.py FOLDER SEED EACH``. Everything of the product is real: messages are
judged and met, their copies fetched, decoded and learned from. Prints one JSON object a line: for each origin and
recipient its truth, the verdict of the message alone, and what is known of its behaviour when all is over.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import certifi

from mailveil.adapters.memory import MemorySettings, SqliteMemory
from mailveil.app.building import build_fetcher, build_guard, build_sandbox, build_store
from mailveil.app.fetching import FetchLoop
from mailveil.config import Settings, load
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings, inspect
from mailveil.core.verdicts.behaviour import compare, revise
from mailveil.core.verdicts.record import verdict_record
from mailveil.lab import Lab, Origin, OriginKind, token_of
from mailveil.lab.laboratory import registry, varied
from mailveil.ports import Judged, SeenMessage, WantedCopy

RECIPIENTS = ("ann@example.org", "ben@example.org", "cay@example.org", "dee@example.org")
SENDER = "news@harbourhill.example"
CHANGED = {
    "MAILVEIL_FETCH__DELAY_S": "0",
    "MAILVEIL_FETCH__TIMEOUT_S": "8",
    "MAILVEIL_FETCH__URLS_PER_DOMAIN": "100000",
    "MAILVEIL_FETCH__URLS_PER_ADDRESS": "1000000",
    "MAILVEIL_FETCH__CONNECTIONS_PER_ADDRESS": "64",
    "MAILVEIL_FETCH__MAX_PARALLEL": "24",
}
PATIENCE_S = 900


def make_everything_local(folder: Path) -> None:
    """Bring all addresses to the loopback interface and the system's resolver to the lab."""
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/1 dev lo",
        "ip route add local 128.0.0.0/1 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 11.77.0.53\noptions timeout:3 attempts:2\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)


def trust(ca_file: Path, folder: Path) -> None:
    """Have every program in here trust the lab's authority besides the others."""
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + ca_file.read_bytes())
    subprocess.run(["mount", "--bind", str(bundle), certifi.where()], check=True)


def message_of(origin: Origin, recipient: str) -> bytes:
    """Return a message that refers to one origin between some text."""
    text = "<p>Dear reader, these are the news of the week from Harbour and Hill. We hope that you like them.</p>"
    html = f"<html><body>{text}{origin.html(token_of(recipient))}{text}</body></html>"
    return (
        f"From: Harbour <{SENDER}>\r\nTo: {recipient}\r\nSubject: News about {origin.name}\r\n"
        f"Message-ID: <{origin.name}.{token_of(recipient)}@harbourhill.example>\r\n"
        f"List-Id: <news.harbourhill.example>\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n"
    ).encode()


def judged_of(origin: Origin, recipient: str) -> tuple[tuple[Judged, ...], list[WantedCopy]]:
    """Return what the judge says of the message to one recipient, and the copy of the origin that it wants."""
    plan = inspect(message_of(origin, recipient), EngineSettings(), Envelope(SENDER, (recipient,)))
    url = origin.url(token_of(recipient)).partition("#")[0]
    judged = tuple(
        Judged(each.reference.url, each.verdict, f"{origin.name}.{token_of(recipient)}.{number:x<20}")
        for number, each in enumerate(plan.decisions)
        if each.reference.url == url
    )
    assert judged, f"{origin.name}: nothing of it was found in its message"
    return judged, [WantedCopy(judged[0].token, url, origin.media)]


async def hold(settings: Settings, origins: list[Origin]) -> None:
    """Deliver, fetch, and tell what there is to know."""
    store = build_store(settings)
    memory = SqliteMemory(MemorySettings(settings.directory, timeout_s=60.0))
    await store.recover()
    sandbox = build_sandbox(settings)
    held: list[tuple[Origin, SeenMessage]] = []
    async with build_guard(settings) as guard:
        loop = FetchLoop(store, build_fetcher(settings, guard), sandbox, settings.fetch.max_parallel, memory)
        for origin in origins:
            for recipient in RECIPIENTS:
                judged, wanted = judged_of(origin, recipient)
                message = SeenMessage(
                    judged[0].token, "harbourhill.example", f"News about {origin.name}", (recipient,), judged
                )
                await memory.meet(message)
                await store.reserve(wanted)
                await store.release(wanted)
                held.append((origin, message))
        working = asyncio.create_task(loop.run())
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE_S and not working.done():
            counts = await store.counts()
            if not counts["released"] + counts["reserved"] + counts["attempted"]:
                break
            await asyncio.sleep(0.5)
        loop.stop()
        await working
    for origin, message in held:
        print(json.dumps(await told_of(memory, origin, message)))
    await sandbox.close()
    store.close()
    memory.close()


async def told_of(memory: SqliteMemory, origin: Origin, message: SeenMessage) -> dict[str, Any]:
    """Return what the lesson is made of: truth, verdict and signals, no URL among them."""
    judged = message.judged[0]
    behaviour, sightings = await memory.known(judged.url, message)
    strengths = {**dict.fromkeys(behaviour.signals, 1.0), **compare(sightings, behaviour)}
    return {
        "origin": origin.name,
        "family": origin.family or origin.name,
        "tracker": origin.kind is OriginKind.TRACKER,
        "learns": sorted(origin.learns),
        "verdict": verdict_record(judged.verdict),
        "signals": {str(signal): round(strength, 3) for signal, strength in strengths.items()},
        "revised": verdict_record(revise(judged.verdict, behaviour, sightings)),
    }


async def main(folder: Path, seed: int, each: int) -> None:
    """Hold the lesson with so many origins of each family; with 0, an examination with those made by hand."""
    make_everything_local(folder)
    origins = varied(seed, each) if each else registry()
    lab = Lab(host="0.0.0.0", dns_port=53, http_port=80, https_port=443, origins=origins)
    async with lab:
        trust(lab.ca_file, folder)
        settings = load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(folder / "state"), **CHANGED})
        settings.directory.mkdir(exist_ok=True)
        await hold(settings, [*lab.trackers, *lab.honest])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
