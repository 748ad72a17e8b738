"""Reading: reads a feed of whatever kind (``control.feedstores.FeedReader``)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from mailveil.adapters.addresses import IPNetwork
from mailveil.adapters.feeds.misp import read_misp
from mailveil.adapters.feeds.taxii import read_taxii
from mailveil.adapters.outgoing import OutgoingClient, OutgoingError
from mailveil.control.feedstores import FeedReading
from mailveil.control.sharingrecords import Feed, FeedKind


class OutgoingFeedReader:
    """Reads feeds of public servers, and of those within ``networks``."""

    def __init__(self, networks: Sequence[IPNetwork] = ()) -> None:
        self._networks = tuple(networks)

    async def objection(self, feed: Feed) -> str:
        """Say why a feed could never be read, ``""`` where nothing speaks against it."""
        client = OutgoingClient(self._networks)
        try:
            await client.resolve(urlsplit(feed.address).hostname or "", 0)
        except OutgoingError as error:
            return str(error) if error.is_permanent else ""  # a name may be resolved later
        finally:
            await client.close()
        return ""

    async def read(self, feed: Feed) -> FeedReading:
        """Read on from a feed's position. Raises ``FeedError``."""
        client = OutgoingClient(self._networks)
        try:
            return await (read_taxii if feed.kind is FeedKind.TAXII else read_misp)(client, feed)
        finally:
            await client.close()
