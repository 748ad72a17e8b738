"""The fetcher: the only code that contacts an origin. Once, with bounds, and telling nothing about anyone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from curl_cffi import CurlError, CurlOpt
from curl_cffi.requests import AsyncSession
from curl_cffi.requests.exceptions import RequestException

from mailveil.adapters.egress import EgressGuard
from mailveil.core.references.types import Media
from mailveil.core.references.url import resolve

BROWSER = "chrome"
# What an ordinary browser sends for each kind of content within a page (Fetch Standard, Fetch Metadata).
PROFILES: dict[Media, dict[str, str]] = {
    Media.IMAGE: {
        "Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        "Sec-Fetch-Dest": "image",
    },
    Media.STYLESHEET: {"Accept": "text/css,*/*;q=0.1", "Sec-Fetch-Dest": "style"},
    Media.FONT: {"Accept": "*/*", "Sec-Fetch-Dest": "font"},
    Media.AUDIO: {"Accept": "*/*", "Sec-Fetch-Dest": "audio"},
    Media.VIDEO: {"Accept": "*/*", "Sec-Fetch-Dest": "video"},
}
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchOutcome(StrEnum):
    """How a fetch ended."""

    FETCHED = "fetched"
    REFUSED_ADDRESS = "refused-address"  # not a byte was sent
    UNREACHABLE = "unreachable"  # not a byte was sent
    HTTP_ERROR = "http-error"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"  # a drip-fed body is one way to measure how long a message stays open
    TOO_MANY_REDIRECTS = "too-many-redirects"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a fetch and what answered it; header fields in lower case, bounded."""

    url: str
    status: int
    fields: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought: the body where ``outcome`` is ``fetched``, and the evidence of every hop."""

    outcome: FetchOutcome
    body: bytes = b""
    hops: tuple[Hop, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch, redirects included."""

    max_bytes: int = 10 * 1024 * 1024
    max_redirects: int = 5
    timeout_s: float = 20.0
    connect_timeout_s: float = 8.0
    min_bytes_per_s: int = 200
    min_rate_over_s: int = 4


@dataclass(slots=True)
class _Flight:
    """What is known of a fetch under way."""

    hops: list[Hop] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)


class OriginFetcher:
    """Fetches through an egress guard with the header fields and TLS hello of one ordinary browser.

    No cookies are kept, no Referer is sent, nothing names mailveil, the organisation or the reader.
    """

    def __init__(self, guard: EgressGuard, limits: FetchLimits | None = None, *, verify: bool = True) -> None:
        self.guard = guard
        self.limits = limits or FetchLimits()
        self.verify = verify

    async def fetch(self, url: str, media: Media) -> Fetched:
        """Fetch one URL, following redirects within the limits. Never raises for what the origin does."""
        flight = _Flight()
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                return await self._follow(url, media, flight)
        except TimeoutError:
            return Fetched(FetchOutcome.TOO_SLOW, hops=tuple(flight.hops), detail="took longer than allowed")

    async def _follow(self, url: str, media: Media, flight: _Flight) -> Fetched:
        for _ in range(self.limits.max_redirects + 1):
            refused = _refusal(url)
            if refused:
                return Fetched(FetchOutcome.REFUSED_ADDRESS, hops=tuple(flight.hops), detail=refused)
            ended = await self._request(url, media, flight)
            if ended is not None:
                return ended
            last = flight.hops[-1]
            if last.status not in REDIRECTS:
                if 200 <= last.status < 300:
                    return Fetched(FetchOutcome.FETCHED, bytes(flight.body), tuple(flight.hops))
                return Fetched(FetchOutcome.HTTP_ERROR, hops=tuple(flight.hops), detail=str(last.status))
            target = resolve(dict(last.fields).get("location", ""), url)
            if target is None:
                return Fetched(FetchOutcome.HTTP_ERROR, hops=tuple(flight.hops), detail="redirect to nowhere")
            url = target
        return Fetched(FetchOutcome.TOO_MANY_REDIRECTS, hops=tuple(flight.hops))

    async def _request(self, url: str, media: Media, flight: _Flight) -> Fetched | None:
        """Make one request; return the end of the fetch, ``None`` where the last hop tells what is next."""
        limits = self.limits
        flight.body.clear()
        start = time.monotonic()
        host = urlsplit(url).hostname or ""
        session: AsyncSession[Any]
        async with AsyncSession(
            impersonate=BROWSER,
            proxy=self.guard.proxy,
            trust_env=False,
            allow_redirects=False,
            verify=self.verify,
            timeout=(limits.connect_timeout_s, limits.timeout_s),
            curl_options={
                CurlOpt.LOW_SPEED_LIMIT: limits.min_bytes_per_s,
                CurlOpt.LOW_SPEED_TIME: limits.min_rate_over_s,
                CurlOpt.MAXFILESIZE_LARGE: limits.max_bytes,
            },
        ) as session:
            try:
                response = await session.get(
                    url,
                    headers={**PROFILES[media], "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site",
                             "Sec-Fetch-User": None, "Upgrade-Insecure-Requests": None, "Priority": None},
                    stream=True,
                )  # fmt: skip
            except (RequestException, CurlError) as error:
                return self._failure(error, host, flight)
            fields = tuple((name.lower()[:100], value[:1000]) for name, value in response.headers.items())[
                :60
            ]
            flight.hops.append(Hop(url, response.status_code, fields, time.monotonic() - start))
            try:
                if 200 <= response.status_code < 300:
                    async for chunk in response.aiter_content():
                        flight.body += chunk
                        if len(flight.body) > limits.max_bytes:
                            return Fetched(FetchOutcome.TOO_LARGE, hops=tuple(flight.hops))
            except (RequestException, CurlError) as error:
                return self._failure(error, host, flight)
            finally:
                await response.aclose()
        return None

    def _failure(self, error: Exception, host: str, flight: _Flight) -> Fetched:
        code = int(getattr(error, "code", 0) or 0)
        hops = tuple(flight.hops)
        refused = self.guard.refusals.pop(host, "")
        if code in (97, 7, 5, 6):  # proxy handshake, connect, resolve: no byte reached the origin
            outcome = FetchOutcome.REFUSED_ADDRESS if "must not" in refused else FetchOutcome.UNREACHABLE
            return Fetched(outcome, hops=hops, detail=refused or "no connection")
        if code == 28:
            return Fetched(FetchOutcome.TOO_SLOW, hops=hops, detail="stalled or drip-fed")
        if code in (63, 23):
            return Fetched(FetchOutcome.TOO_LARGE, hops=hops)
        return Fetched(FetchOutcome.FAILED, hops=hops, detail=f"curl code {code}")


def _refusal(url: str) -> str:
    """Return why a URL is not even asked for, or ``""``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https"):
        return "not an http URL"
    if parts.username or parts.password:
        return "carries a user name"
    if not parts.hostname:
        return "names no host"
    if port not in (None, 80, 443):
        return f"port {port} is not fetched from"
    return ""
