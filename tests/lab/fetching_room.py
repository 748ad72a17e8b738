"""A network namespace in which the lab is the whole Internet, and the product's fetcher in it.

Run as ``unshare -n -m python fetching_room.py FOLDER``; prints one JSON object and ends. Every address of every
network is local here, the loopback, private and metadata ones included, and the lab listens on all of them: a
fetcher that is led inside is seen there. Nothing of the product is told about the lab: it reads its settings'
defaults, asks the resolver that the system has, and trusts the authorities that the system trusts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import certifi

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.adapters.fetcher import Fetched
from mailveil.app.building import build_fetcher, build_guard, build_sandbox, build_store
from mailveil.app.fetching import FetchLoop
from mailveil.config import load
from mailveil.core.references.types import Media
from mailveil.lab import Lab, Origin
from mailveil.ports import WantedCopy

READER = "reader@example.org"
# Asked for by itself at the end, to show that who goes there is seen.
INNER = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.0.1", "::1", "64:ff9b::7f00:1", "fd00::1")
AGAIN = ("etag", "last-modified", "cookie-sync")
PATIENCE_S = 150


def make_everything_local(folder: Path) -> None:
    """Bring all addresses to the loopback interface and the system's resolver to the lab."""
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/1 dev lo",
        "ip route add local 128.0.0.0/1 dev lo",
        "ip -6 route add local ::/0 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 11.77.0.53\noptions timeout:3 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)


def trust(ca_file: Path, folder: Path) -> None:
    """Have every program in here trust the lab's authority besides the others."""
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + ca_file.read_bytes())
    subprocess.run(["mount", "--bind", str(bundle), certifi.where()], check=True)


class Noting:
    """The product's fetcher, with a note of how each fetch ended."""

    def __init__(self, fetcher: Any) -> None:
        self.fetcher = fetcher
        self.ended: dict[str, Fetched] = {}

    async def fetch(self, url: str, media: Media, may_follow: object = None) -> Fetched:
        fetched: Fetched = await self.fetcher.fetch(url, media, may_follow)
        self.ended[url] = fetched
        return fetched


async def fetch_all(lab: Lab, folder: Path) -> dict[str, Any]:
    """Have every origin of the lab fetched as the copies of a message are, the hostile ones in a second one."""
    settings = load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(folder), "MAILVEIL_FETCH__DELAY_S": "0"})
    store = build_store(settings)
    await store.recover()
    sandbox = build_sandbox(settings)
    result: dict[str, Any] = {"origins": {}}
    for origins in ((*lab.trackers, *lab.honest), lab.hostile):
        async with build_guard(settings) as guard:
            fetcher = Noting(build_fetcher(settings, guard))
            loop = FetchLoop(store, fetcher, sandbox, settings.fetch.max_parallel)
            result["origins"].update(await fetch(lab, store, loop, fetcher, origins))
            mark = lab.contacts.mark()
            if lab.hostile != origins:
                for name in AGAIN:  # by itself, since the queue rightly never fetches a URL twice
                    await fetcher.fetcher.fetch(lab.url(name, READER), lab.origins[name].media)
                await lab.contacts.until_quiet()
                result["again"] = [each.as_record() for each in list(lab.contacts)[mark:]]
    await sandbox.close()
    store.close()
    result["contacts"] = [each.as_record() for each in lab.contacts]
    return result


async def fetch(
    lab: Lab, store: SqliteCopyStore, loop: FetchLoop, fetcher: Noting, origins: tuple[Origin, ...]
) -> dict[str, Any]:
    """Have origins fetched through the queue; return what became of each."""
    wanted = [
        WantedCopy(token=f"{each.name:x<43}", url=lab.url(each.name, READER), media=each.media)
        for each in origins
    ]
    await store.reserve(wanted)
    await store.release(wanted)
    working = asyncio.create_task(loop.run())
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE_S and not working.done():
        counts = await store.counts()
        # What the DNS was silent about is tried again much later, since nobody was contacted.
        tried = {each.url for each in wanted} <= fetcher.ended.keys() and not counts["attempted"]
        if tried and await lab.contacts.until_quiet(2.0):  # what style sheets refer to comes after them
            break
        await asyncio.sleep(0.2)
    loop.stop()
    await working
    found = {}
    for origin, each in zip(origins, wanted, strict=True):
        copy = await store.get(each.token)
        assert copy is not None
        fetched = fetcher.ended.get(each.url)
        found[origin.name] = {
            "outcome": str(fetched.outcome) if fetched else "never fetched",
            "detail": fetched.detail if fetched else "",
            "seconds": fetched.seconds if fetched else 0.0,
            "copy": copy.body.decode("latin-1"),
            "media_type": copy.media_type,
            "pending": copy.pending,
            "contacts": [seen.as_record() for seen in lab.contacts.select(origin=origin.name)],
        }
    return found


async def spring_the_trap(lab: Lab) -> list[str]:
    """Go where the fetcher must not go; return where somebody was seen."""
    mark = lab.contacts.mark()
    for address in INNER:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(address, 80)
            writer.write(b"GET /inner HTTP/1.1\r\nHost: inner\r\n\r\n")
            await reader.read(100)
            writer.close()
    return [each.arrival.destination for each in list(lab.contacts)[mark:] if each.path == "/inner"]


async def main(folder: Path) -> None:
    make_everything_local(folder)
    lab = Lab(host="0.0.0.0", dns_port=53, http_port=80, https_port=443, more_hosts=["::"])
    async with lab:
        trust(lab.ca_file, folder)
        result = await fetch_all(lab, folder / "state")
        result["trapped"] = await spring_the_trap(lab)
        result["inner"] = list(INNER)
    # Not ru_maxrss: that counts what whoever started us had before we were we, such as a whole test run.
    result["own_kib"] = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
    result["children_kib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
