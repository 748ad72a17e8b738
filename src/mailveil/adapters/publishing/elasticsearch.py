"""Elasticsearch and OpenSearch: events as documents, by ``_bulk``. What is sent again stays one document."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from mailveil.adapters.outgoing import OutgoingAnswer, OutgoingError
from mailveil.adapters.publishing.answers import refusal, unreached
from mailveil.adapters.publishing.calls import Caller
from mailveil.core.sharing.plain import to_json
from mailveil.core.sharing.types import SharedEvent
from mailveil.core.sharing.wording import timestamp
from mailveil.ports import DeliveryError

DEFAULT_INDEX: Final = "mailveil-events"
THERE_ALREADY: Final = 409
_TYPE: Final = re.compile(r"[a-z_]{1,60}\Z")
_OF_THE_DOCUMENT: Final = frozenset({400, 413})


class ElasticsearchPublisher:
    """Writes events into an index or data stream (``ports.Publisher``)."""

    def __init__(
        self,
        caller: Caller,
        address: str,
        organisation: str,
        encode: Callable[[SharedEvent], Mapping[str, Any]],
        *,
        index: str = "",
        pipeline: str = "",
    ) -> None:
        """``organisation`` is an identifier: several may write into one index."""
        self._caller = caller
        self._organisation = organisation
        self._index = index or DEFAULT_INDEX
        self._encode = encode
        parts = urlsplit(address)
        query = f"pipeline={quote(pipeline, safe='')}" if pipeline else ""
        path = f"{parts.path.rstrip('/')}/_bulk"
        self._url = urlunsplit((parts.scheme, parts.netloc, path, query, ""))

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Deliver events in order. Raises ``DeliveryError``."""
        body = await asyncio.to_thread(self._body, events)
        try:
            answer = await self._caller.call(
                "POST", self._url, {"Content-Type": "application/x-ndjson"}, body
            )
        except OutgoingError as error:
            raise unreached(error) from error
        if not 200 <= answer.status < 300:
            raise refusal(answer)
        for place, item in enumerate(_items(answer, len(events))):
            _check(item, place)

    async def close(self) -> None:
        """Let go of connections."""
        await self._caller.close()

    def _body(self, events: Sequence[SharedEvent]) -> bytes:
        return "".join(f"{line}\n" for each in events for line in self._lines(each)).encode("ascii")

    def _lines(self, event: SharedEvent) -> tuple[str, str]:
        action = {"create": {"_index": self._index, "_id": self.identifier(event)}}
        return to_json(action), to_json({"@timestamp": timestamp(event.at), **self._encode(event)})

    def identifier(self, event: SharedEvent) -> str:
        """Return the identifier of an event's document, the same every time."""
        named = f"{self._organisation}\n{event.identifier}"
        return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:40]


def _items(answer: OutgoingAnswer, count: int) -> list[Mapping[str, Any]]:
    """Return how each document fared, in order."""
    try:
        items = [each["create"] for each in json.loads(answer.body)["items"]]
        statuses = [each["status"] for each in items]
    except (ValueError, KeyError, TypeError, RecursionError):
        items = statuses = []
    if len(items) != count or not all(isinstance(each, int) for each in statuses):
        raise DeliveryError("it does not answer as Elasticsearch does; check the address")
    return items


def _check(item: Mapping[str, Any], place: int) -> None:
    """Raise ``DeliveryError`` for the document at ``place`` if it was not taken."""
    status = item["status"]
    if 200 <= status < 300 or status == THERE_ALREADY:
        return
    error = item.get("error")
    kind = error.get("type") if isinstance(error, Mapping) else ""
    words = f" ({kind})" if isinstance(kind, str) and _TYPE.match(kind) else ""
    raise DeliveryError(
        f"it answers {status}{words} for a document",
        is_permanent=status in _OF_THE_DOCUMENT,
        taken=place,
    )


def authorization(secret: str) -> dict[str, str]:
    """Return the header field for a secret: ``user:password``, or an API key as Elasticsearch gives it encoded."""
    if not secret:
        return {}
    if ":" in secret:
        return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode('ascii')}"}
    return {"Authorization": f"ApiKey {secret}"}
