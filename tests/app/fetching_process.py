"""A fetcher role of its own, started by test_fetching_once to be killed: argv names store and port."""

import asyncio
import ipaddress
import sys
from pathlib import Path

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.egress import EgressGuard
from mailveil.adapters.fetcher import OriginFetcher
from mailveil.adapters.resolver import Resolver
from mailveil.adapters.sandbox import Sandbox
from mailveil.app.fetching import FetchLoop
from mailveil.core.verdicts.evidence import NameAnswer, NameRecord

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class OneName(Resolver):
    """Every name is the test's own origin."""

    async def look_up(self, name, timeout_s, dial=None, exit_name=""):
        return NameAnswer(name, (NameRecord(name, "A", 60, "127.0.0.1"),))

    async def servers(self, name, timeout_s, dial=None, exit_name=""):
        return ()


class ToPort(EgressGuard):
    """Reaches the test's origin on the port that it could have."""

    def __init__(self, port: int) -> None:
        super().__init__(OneName(), extra_allowed=[(LOOPBACK, 80)])
        self.port = port

    async def connect(self, address, port, way_out):
        return await super().connect(address, self.port, way_out)


async def fetch(store: SqliteCopyStore, port: int, stop: asyncio.Event) -> None:
    """Work the queue until told to stop."""
    await store.recover()
    sandbox = Sandbox()
    async with ToPort(port) as guard:
        loop = FetchLoop(store, OriginFetcher(guard), sandbox)
        task = asyncio.create_task(loop.run())
        await stop.wait()
        loop.stop()
        await task
    await sandbox.close()


if __name__ == "__main__":
    asyncio.run(fetch(SqliteCopyStore(StoreSettings(Path(sys.argv[1]))), int(sys.argv[2]), asyncio.Event()))
