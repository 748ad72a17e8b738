"""Calls: how HTTP destinations are called: whom they have to prove to be, and how long they may take."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailveil.adapters.outgoing import OutgoingAnswer, OutgoingClient

CALL_TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 4_000_000


@dataclass(slots=True)
class Caller:
    """Calls one destination. ``trust`` says whose certificates are believed, ``None``: the system's authorities'."""

    client: OutgoingClient
    trust: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = CALL_TIMEOUT_S

    async def call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        *,
        is_status_enough: bool = False,
    ) -> OutgoingAnswer:
        """Ask once. Raises ``OutgoingError``."""
        return await self.client.request(
            method,
            url,
            headers={**self.headers, **(headers or {})},
            content=content,
            timeout_s=self.timeout_s,
            trust=self.trust,
            max_bytes=MAX_ANSWER_BYTES,
            is_status_enough=is_status_enough,
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self.client.close()


def trust_in(ca_pem: str) -> ssl.SSLContext | None:
    """Return who is believed for certificates in PEM, ``None`` without any. Raises ``ssl.SSLError``."""
    return ssl.create_default_context(cadata=ca_pem) if ca_pem else None
