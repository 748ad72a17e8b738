"""Asking: how a feed's server is called: with its secret, never beyond its own origin, and within bounds."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from mailveil.adapters.outgoing import OutgoingAnswer, OutgoingClient, OutgoingError
from mailveil.adapters.publishing.calls import trust_in
from mailveil.control.feedstores import FeedError
from mailveil.control.sharingrecords import Feed

TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 16_000_000
_PORTS: Final = {"http": 80, "https": 443}
_WORDS: Final = {
    401: "the server wants a user name and password, or a token, and did not take these",
    403: "the server says that this is not for us",
    404: "there is nothing at this address",
    406: "the server does not speak TAXII 2.1",
}


@dataclass(frozen=True, slots=True)
class FeedCaller:
    """Calls one feed's server."""

    client: OutgoingClient
    feed: Feed
    accept: str

    def place(self, address: str, base: str = "") -> str:
        """Return an address that a server named, whole. Raises ``FeedError`` for one beyond the feed's own origin."""
        try:
            whole = urljoin(base or self.feed.address, address)
            origins = [_origin(each) for each in (whole, self.feed.address)]
        except ValueError as error:
            raise FeedError("the server names an address that is none") from error
        if origins[0] != origins[1]:
            raise FeedError(
                "the server sends us to another one; give the address there as the feed's", is_permanent=True
            )
        return whole

    async def ask(self, url: str, headers: Mapping[str, str] | None = None) -> OutgoingAnswer:
        """Return what the server answers, 304 included. Raises ``FeedError`` for any other refusal."""
        try:
            answer = await self.client.request(
                "GET",
                url,
                headers={"Accept": self.accept, **self._authorization(), **(headers or {})},
                timeout_s=TIMEOUT_S,
                trust=trust_in(str(self.feed.options.get("ca_pem", ""))),
                max_bytes=MAX_ANSWER_BYTES,
            )
        except ssl.SSLError as error:
            raise FeedError("ca_pem holds no certificates in PEM", is_permanent=True) from error
        except OutgoingError as error:
            raise FeedError(str(error), is_permanent=error.is_permanent) from error
        if answer.status in (200, 206, 304):
            return answer
        if 300 <= answer.status < 400:
            raise FeedError(
                "the server sends us elsewhere; give the address there as the feed's", is_permanent=True
            )
        words = _WORDS.get(answer.status, "")
        raise FeedError(f"the server answers {answer.status}{f': {words}' if words else ''}")

    async def ask_json(self, url: str) -> tuple[Any, OutgoingAnswer]:
        """Return a JSON answer. Raises ``FeedError``."""
        answer = await self.ask(url)
        return await asyncio.to_thread(json_of, answer), answer

    def _authorization(self) -> dict[str, str]:
        user, secret = str(self.feed.options.get("username", "")), self.feed.secret
        if user:
            given = base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")
            return {"Authorization": f"Basic {given}"}
        if not secret:
            return {}
        header = str(self.feed.options.get("header", ""))
        return {header: secret} if header else {"Authorization": f"Bearer {secret}"}


def json_of(answer: OutgoingAnswer) -> Any:
    """Return what an answer says in JSON. Raises ``FeedError``."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise FeedError("the server's answer is no JSON") from error


def line_of(text: object) -> str:
    """Return a little of what a server says, fit to stand in a message and in a log."""
    return "".join(each if each.isprintable() else "?" for each in str(text)[:100])


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)
