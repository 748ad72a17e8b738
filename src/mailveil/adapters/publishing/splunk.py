"""Splunk: events to its HTTP Event Collector, several in a request.

Where the token asks for acknowledgements of the indexer, events count as delivered once those came.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from mailveil.adapters.outgoing import OutgoingAnswer, OutgoingError
from mailveil.adapters.publishing.answers import refusal, retry_after, unreached
from mailveil.adapters.publishing.calls import Caller
from mailveil.core.sharing.plain import to_json
from mailveil.core.sharing.types import SharedEvent
from mailveil.core.sharing.wording import moment
from mailveil.ports import DeliveryError

EVENT_PATH: Final = "/services/collector/event"
ACK_PATH: Final = "/services/collector/ack"
ACK_WAIT_S: Final = 30.0
_ACK_PAUSE_S: Final = 0.5
# Codes of the collector that are about the event itself; all others are about it, its token or its index.
_OF_THE_EVENT: Final = frozenset({5, 6, 12, 13, 15})
_WORDS: Final[Mapping[int, str]] = {
    1: "the token is disabled",
    2: "a token is required",
    3: "the authorisation is invalid",
    4: "the token is invalid",
    5: "no data",
    6: "invalid data format",
    7: "the token may not write to this index",
    9: "the server is busy",
    10: "a data channel is missing",
    11: "the data channel is invalid",
    12: "an event is missing",
    13: "an event is blank",
    15: "indexed fields cannot be handled",
}


class SplunkPublisher:
    """Sends events to a collector (``ports.Publisher``)."""

    def __init__(
        self,
        caller: Caller,
        address: str,
        channel: str,
        metadata: Mapping[str, str],
        encode: Callable[[SharedEvent], Any],
    ) -> None:
        """``channel`` is a UUID of this destination's own; ``metadata``: host, source, sourcetype, index."""
        self._caller = caller
        self._events = _url(address, EVENT_PATH)
        self._acks = _url(address, ACK_PATH)
        self._channel = channel
        self._metadata = {name: text for name, text in metadata.items() if text}
        self._encode = encode

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Deliver events in order. Raises ``DeliveryError``."""
        body = await asyncio.to_thread(self._body, events)
        answer = await self._ask(self._events, body)
        said = _said(answer)
        code = said.get("code")
        if not 200 <= answer.status < 300:
            raise _refusal(answer, code)
        if code != 0:
            raise DeliveryError("it does not answer as the HTTP Event Collector does; check the address")
        acknowledgement = said.get("ackId")
        if isinstance(acknowledgement, int):
            await self._wait(acknowledgement)

    async def close(self) -> None:
        """Let go of connections."""
        await self._caller.close()

    def _body(self, events: Sequence[SharedEvent]) -> bytes:
        return "".join(to_json(self._envelope(each)) for each in events).encode("ascii")

    def _envelope(self, event: SharedEvent) -> dict[str, Any]:
        return {"time": moment(event.at), **self._metadata, "event": self._encode(event)}

    async def _wait(self, acknowledgement: int) -> None:
        """Wait until the events are indexed."""
        body = to_json({"acks": [acknowledgement]}).encode("ascii")
        tries = int(ACK_WAIT_S / _ACK_PAUSE_S)
        for _ in range(tries):
            answer = await self._ask(self._acks, body)
            if answer.status != 200:
                raise _refusal(answer, _said(answer).get("code"))
            acks = _said(answer).get("acks")
            if isinstance(acks, dict) and acks.get(str(acknowledgement)) is True:
                return
            await asyncio.sleep(_ACK_PAUSE_S)
        raise DeliveryError(f"the indexer has not acknowledged the events within {ACK_WAIT_S:g} seconds")

    async def _ask(self, url: str, body: bytes) -> OutgoingAnswer:
        headers = {"Content-Type": "application/json", "X-Splunk-Request-Channel": self._channel}
        try:
            return await self._caller.call("POST", url, headers, body)
        except OutgoingError as error:
            raise unreached(error) from error


def _url(address: str, path: str) -> str:
    """Return an address of the collector; whatever stands before its own path, such as a proxy's, stays."""
    parts = urlsplit(address)
    before = parts.path.partition("/services/collector")[0].rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, f"{before}{path}", "", ""))


def _said(answer: OutgoingAnswer) -> dict[str, Any]:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _refusal(answer: OutgoingAnswer, code: Any) -> DeliveryError:
    if not isinstance(code, int):
        return refusal(answer)
    words = _WORDS.get(code, f"code {code}")
    if code in _OF_THE_EVENT:
        return DeliveryError(f"it answers {answer.status} ({words})", is_permanent=True)
    return DeliveryError(f"it answers {answer.status} ({words})", retry_after_s=retry_after(answer))
