"""TAXII: reads the indicators of a collection on a TAXII 2.1 server, page by page, from where the last reading ended.

A feed's address is that of the server's discovery, of an API root, or of a collection (OASIS TAXII 2.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from mailveil.adapters.feeds.asking import FeedCaller, json_of, line_of
from mailveil.adapters.outgoing import OutgoingClient
from mailveil.control.feedstores import FeedError, FeedReading
from mailveil.control.sharingrecords import Feed
from mailveil.core.sharing.indicators import SharedSource, indicator_of_stix

MEDIA_TYPE: Final = "application/taxii+json;version=2.1"
PAGE_OBJECTS: Final = 1_000  # that are asked for at once; the server may give fewer
MAX_PAGES: Final = 60  # of one reading; the next one goes on there
MAX_SOURCES: Final = 20_000  # of one reading
MAX_INDICATORS: Final = 60_000  # of one reading: no feed may have as many
MAX_NAMED: Final = 12  # collections that an error names
_LAST_ADDED: Final = "x-taxii-date-added-last"


async def read_taxii(client: OutgoingClient, feed: Feed) -> FeedReading:
    """Read on in a collection. Raises ``FeedError``."""
    caller = FeedCaller(client, feed, MEDIA_TYPE)
    return await _Reading(caller, await _collection(caller), feed.position).whole()


class _Reading:
    """One reading of a collection's objects."""

    def __init__(self, caller: FeedCaller, collection: str, position: str) -> None:
        self.caller = caller
        self.objects = f"{collection}objects/"
        self.position = position
        self.sources: dict[str, SharedSource] = {}
        self.indicators = 0

    async def whole(self) -> FeedReading:
        """Read page after page, as far as there are any and one reading may go."""
        following, begun_at = "", self.position
        followed: set[str] = set()
        for _ in range(MAX_PAGES):
            record, position = await self._page(following)
            # Pages may be megabytes of patterns: mail does not wait while they are taken apart.
            await asyncio.to_thread(self._take, record)
            told = record.get("next")
            has_more = record.get("more") is True
            is_stuck = has_more and not (isinstance(told, str) and told) and position in ("", self.position)
            self.position = position or self.position
            if not has_more:
                return self._told(is_complete=True)
            if is_stuck:
                raise FeedError("the server says that there is more, but not where")
            if len(self.sources) >= MAX_SOURCES or self.indicators >= MAX_INDICATORS:
                break
            following = told if isinstance(told, str) else ""
            if following and following in followed:
                raise FeedError("the server leads us round in circles: it named the same page twice")
            followed.add(following)
        if self.position == begun_at:
            raise FeedError(
                "the server has more than one reading takes, and does not say from where to go on"
            )
        return self._told(is_complete=False)

    def _take(self, record: Mapping[str, Any]) -> None:
        for each in _list(record, "objects"):
            if len(self.sources) >= MAX_SOURCES or self.indicators >= MAX_INDICATORS:
                break
            source = indicator_of_stix(each)
            if source is not None:
                before = self.sources.pop(source.identifier, None)  # the later word counts, in its place
                self.indicators += len(source.indicators) - (0 if before is None else len(before.indicators))
                self.sources[source.identifier] = source

    async def _page(self, following: str) -> tuple[Mapping[str, Any], str]:
        query = {"limit": str(PAGE_OBJECTS), "match[type]": "indicator"}
        if self.position and not following:
            query["added_after"] = self.position
        if following:
            query["next"] = following[:2_000]
            if self.caller.feed.position:
                query["added_after"] = self.caller.feed.position  # the page is one of that question
        answer = await self.caller.ask(f"{self.objects}?{urlencode(query)}")
        record = await asyncio.to_thread(json_of, answer) if answer.body.strip() else {}
        if not isinstance(record, Mapping):
            raise FeedError("the server's answer is no envelope of TAXII")
        return record, answer.headers.get(_LAST_ADDED, "")[:64]

    def _told(self, *, is_complete: bool) -> FeedReading:
        return FeedReading(tuple(self.sources.values()), self.position, is_complete)


async def _collection(caller: FeedCaller) -> str:
    """Return the address of the collection that the feed names."""
    address = caller.feed.address.rstrip("/") + "/"
    before, _, after = address.rpartition("/collections/")
    if before and after.strip("/"):
        return f"{before}/collections/{after.split('/')[0]}/"
    if before:
        return await _chosen(caller, f"{before}/")
    record, _ = await caller.ask_json(address)
    if not isinstance(record, Mapping):
        raise FeedError("the address leads to no TAXII 2.1 server")
    roots = [each for each in _list(record, "api_roots") if isinstance(each, str)]
    if not roots:
        if "versions" not in record:
            raise FeedError("the address leads to no TAXII 2.1 server")
        return await _chosen(caller, address)
    wanted = caller.feed.options.get("api_root", "") or record.get("default") or roots[0]
    root = next((each for each in roots if each.rstrip("/").endswith(str(wanted).rstrip("/"))), "")
    if not root:
        raise FeedError(f"the server has no API root {line_of(wanted)}", is_permanent=True)
    return await _chosen(caller, caller.place(root, address).rstrip("/") + "/")


async def _chosen(caller: FeedCaller, root: str) -> str:
    """Return the collection of an API root that the feed names, or its only one."""
    record, _ = await caller.ask_json(f"{root}collections/")
    found = [
        each
        for each in _list(record, "collections")
        if isinstance(each, Mapping) and isinstance(each.get("id"), str) and each.get("can_read") is not False
    ]
    wanted = str(caller.feed.options.get("collection", ""))
    fitting = [
        each for each in found if not wanted or wanted in (each["id"], each.get("alias"), each.get("title"))
    ]
    if len(fitting) != 1:
        names = ", ".join(line_of(f"{each['id']} ({each.get('title', '')})") for each in found[:MAX_NAMED])
        raise FeedError(
            f"say which collection is meant (option collection); there are: {names or 'none that we may read'}",
            is_permanent=True,
        )
    return caller.place(f"{root}collections/{fitting[0]['id']}/")


def _list(record: object, name: str) -> list[Any]:
    value = record.get(name) if isinstance(record, Mapping) else None
    return value if isinstance(value, list) else []
