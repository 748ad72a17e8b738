"""Webhooks: each event a POST of a CloudEvent in JSON, signed as Standard Webhooks has it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from mailveil.adapters.outgoing import OutgoingError
from mailveil.adapters.publishing.answers import refusal, unreached
from mailveil.adapters.publishing.calls import Caller
from mailveil.control.destinationchecks import WEBHOOK_PREFIX
from mailveil.control.webhookkeys import WebhookKeys
from mailveil.core.sharing.cloudevents import MEDIA_TYPE, encode_cloudevent
from mailveil.core.sharing.plain import to_json
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import Clock, DeliveryError

GONE: Final = 410
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")  # no dot: those separate what is signed


class WebhookPublisher:
    """Posts events in order, each acknowledged before the next one (``ports.Publisher``)."""

    def __init__(
        self,
        caller: Caller,
        address: str,
        keys: WebhookKeys,
        clock: Clock,
        encode: Callable[[SharedEvent], Any],
    ) -> None:
        """``encode`` makes what a CloudEvent carries."""
        self._caller = caller
        self._address = address
        self._keys = keys
        self._clock = clock
        self._encode = encode

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Deliver events in order. Raises ``DeliveryError``."""
        for taken, event in enumerate(events):
            body = await asyncio.to_thread(self._body, event)
            headers = {"Content-Type": MEDIA_TYPE, **self._signature(event, body)}
            try:
                answer = await self._caller.call("POST", self._address, headers, body, is_status_enough=True)
            except OutgoingError as error:
                raise unreached(error, taken) from error
            if answer.status == GONE:
                raise DeliveryError("it answers 410: it wants no more events", is_gone=True, taken=taken)
            if not 200 <= answer.status < 300:
                raise refusal(answer, taken=taken)

    async def close(self) -> None:
        """Let go of connections."""
        await self._caller.close()

    def _body(self, event: SharedEvent) -> bytes:
        return to_json(encode_cloudevent(event, self._encode(event))).encode("ascii")

    def _signature(self, event: SharedEvent, body: bytes) -> dict[str, str]:
        now = self._clock.now()
        identifier, at = webhook_identifier(event), str(int(now))
        signed = b".".join((identifier.encode("ascii"), at.encode("ascii"), body))
        signatures = [f"v1,{sign(secret, signed)}" for secret in self._keys.signing(now)]
        return {
            "webhook-id": identifier,
            "webhook-timestamp": at,
            "webhook-signature": " ".join(signatures),
        }


def webhook_identifier(event: SharedEvent) -> str:
    """Return what tells a repeated webhook from a new one."""
    if _IDENTIFIER.match(event.identifier):
        return event.identifier
    return hashlib.sha256(event.identifier.encode("utf-8", "replace")).hexdigest()


def sign(secret: str, signed: bytes) -> str:
    """Return the signature of Standard Webhooks (v1): HMAC with SHA-256, in base64."""
    key = base64.b64decode(secret.removeprefix(WEBHOOK_PREFIX))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
