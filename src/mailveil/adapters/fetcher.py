"""The fetcher: the only code that contacts an origin. Once, with bounds, and telling nothing about anyone."""

from __future__ import annotations

import email.utils
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from mailveil.adapters.browser import PROFILE, STREAMED, codings, request_fields
from mailveil.adapters.egress import Contact, EgressGuard, Voyage
from mailveil.adapters.httpclient import HttpAnswer, HttpClient, HttpRequest, LostError
from mailveil.core.references.types import Media
from mailveil.core.references.url import resolve
from mailveil.core.verdicts.evidence import (
    BodyFacts,
    FetchEvidence,
    FetchOutcome,
    Hop,
    bounded_fields,
)

__all__ = ["FetchLimits", "FetchOutcome", "Fetched", "Hop", "OriginFetcher"]

# Asked before a redirect is followed: how the fetch ends instead, ``None`` where it goes on.
MayFollow = Callable[[str], Awaitable[FetchOutcome | None]]
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WAITING = frozenset({429, 503})
# libcurl's error codes (libcurl-errors(3))
NO_CONNECTION = frozenset({5, 6, 7, 97})
MALFORMED = frozenset({1, 8, 16, 18, 56, 61, 92})
BAD_CERTIFICATE = frozenset({51, 60, 83, 90, 91})
TIMED_OUT, TOO_LARGE = 28, 100
PART_BYTES = 256 * 1024  # of a sound that was cut off: enough to hear whether there is anything in it
CUTS = {
    "large": FetchOutcome.TOO_LARGE,
    "room": FetchOutcome.TOO_LARGE,
    "bomb": FetchOutcome.DECOMPRESSION_BOMB,
    "fields": FetchOutcome.TOO_MANY_FIELDS,
    "drip": FetchOutcome.DRIP_FED,
    "stalled": FetchOutcome.TOO_SLOW,
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought: the body where ``outcome`` is ``fetched``, and the evidence.

    Where ``outcome`` is ``asked-to-wait``, ``again_at`` is the URL that may be asked once more, in ``again_s``.
    ``part`` is what had come of a sound or film that was cut off: to be listened to, never to be served.
    """

    outcome: FetchOutcome
    body: bytes = b""
    hops: tuple[Hop, ...] = ()
    detail: str = ""
    facts: BodyFacts = field(default_factory=BodyFacts)
    exit: str = ""
    seconds: float = 0.0
    again_at: str = ""
    again_s: float | None = None
    part: bytes = b""

    @property
    def evidence(self) -> FetchEvidence:
        """The evidence of the fetch."""
        return FetchEvidence(self.outcome, self.detail, self.hops, self.facts, self.exit, self.seconds)

    @property
    def sent_nothing(self) -> bool:
        """Tell whether no origin has seen a byte of it."""
        return self.outcome.sent_nothing and not any(hop.sent_bytes or hop.status for hop in self.hops)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch, redirects included.

    ``max_ratio`` is how much more than its encoded bytes a body of over 1 MiB may be; a body that brings less
    than ``min_bytes_per_s`` over ``min_rate_over_s`` seconds is cut off, as is a header not complete in ``answer_s``.
    """

    max_bytes: int = 10 * 1024 * 1024
    max_redirects: int = 5
    timeout_s: float = 20.0
    connect_timeout_s: float = 8.0
    min_bytes_per_s: int = 200
    min_rate_over_s: int = 4
    max_header_bytes: int = 256 * 1024
    max_ratio: int = 200
    answer_s: float = 10.0


@dataclass(slots=True)
class _Flight:
    """What is known of a fetch under way."""

    voyage: Voyage
    media: Media
    ends: float
    hops: list[Hop] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    facts: BodyFacts = field(default_factory=BodyFacts)
    part: bytes = b""


class OriginFetcher:
    """Fetches through an egress guard with the header fields and TLS hello of one ordinary browser.

    No cookies are kept, no Referer is sent, nothing names mailveil, the organisation or the reader. The HTTP
    client runs in processes of its own, which end with the guard.
    """

    def __init__(
        self,
        guard: EgressGuard,
        limits: FetchLimits | None = None,
        *,
        verify: bool = True,
        client: HttpClient | None = None,
    ) -> None:
        """``verify`` is only ever false in tests."""
        self.guard = guard
        self.limits = limits or FetchLimits()
        self.verify = verify
        self.client = client or HttpClient(guard.path.parent)
        guard.endings.push_async_callback(self.client.close)

    async def fetch(self, url: str, media: Media, may_follow: MayFollow | None = None) -> Fetched:
        """Fetch one URL, following redirects within the limits. Never raises for what the origin does."""
        start = time.monotonic()
        flight = _Flight(self.guard.embark(_host(url)), media, start + self.limits.timeout_s)
        try:
            fetched = await self._follow(url, flight, may_follow)
            fetched = await self._with_servers(fetched, flight)
        finally:
            self.guard.disembark(flight.voyage)
        return replace(
            fetched,
            hops=tuple(flight.hops) if not fetched.hops else fetched.hops,
            facts=flight.facts,
            exit=str(flight.voyage.way_out or ""),
            seconds=time.monotonic() - start,
            part=flight.part,
        )

    async def _follow(self, url: str, flight: _Flight, may_follow: MayFollow | None) -> Fetched:
        url = url.partition("#")[0]
        for _ in range(self.limits.max_redirects + 1):
            if refused := _refusal(url):
                return Fetched(FetchOutcome.REFUSED_ADDRESS, detail=refused)
            if url in flight.asked:
                # An origin's log never shows a URL twice, not even where it asks for that.
                return Fetched(FetchOutcome.REDIRECT_LOOP)
            if flight.asked and may_follow is not None and (ended := await may_follow(url)) is not None:
                return Fetched(ended, detail="where a redirect leads")
            flight.asked.add(url)
            body = await self._request(url, flight)
            if isinstance(body, Fetched):
                return body
            last = flight.hops[-1]
            fields = dict(last.fields)
            if last.status in WAITING:
                wait_s = _retry_after(fields.get("retry-after", ""))
                return Fetched(
                    FetchOutcome.ASKED_TO_WAIT, detail=str(last.status), again_at=url, again_s=wait_s
                )
            if last.status not in REDIRECTS:
                return self._finish(body, last, flight)
            location = fields.get("location", "")
            target = resolve(location, url) if location else None
            if target is None:
                return Fetched(FetchOutcome.HTTP_ERROR, detail="redirect to nowhere")
            url = target.partition("#")[0]
        return Fetched(FetchOutcome.TOO_MANY_REDIRECTS)

    def _finish(self, body: bytes, last: Hop, flight: _Flight) -> Fetched:
        if last.status == 206:
            whole = dict(last.fields).get("content-range", "").startswith("bytes 0-")
            if flight.media not in STREAMED or not whole:
                return Fetched(FetchOutcome.HTTP_ERROR, detail="a part that nobody asked for")
        elif not 200 <= last.status < 300:
            return Fetched(FetchOutcome.HTTP_ERROR, detail=str(last.status))
        return Fetched(FetchOutcome.FETCHED, body)

    async def _request(self, url: str, flight: _Flight) -> Fetched | bytes:
        """Make one request; return the end of the fetch, or a body where the last hop tells what is next."""
        limits = self.limits
        left_s = flight.ends - time.monotonic()
        if left_s <= 0.05:
            return Fetched(FetchOutcome.TOO_SLOW, detail="took longer than allowed")
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        permit = self.guard.permit(flight.voyage, host, port)
        asked = HttpRequest(
            url=url,
            permit=permit.token,
            fields=tuple(request_fields(url, flight.media)),
            codings=codings(url, flight.media),
            profile=PROFILE,
            timeout_s=left_s,
            # The guard bounds look-up and connecting; this only covers its answer to us.
            connect_s=left_s,
            max_bytes=limits.max_bytes,
            max_header_bytes=limits.max_header_bytes,
            max_ratio=limits.max_ratio,
            min_bytes_per_s=limits.min_bytes_per_s,
            rate_over_s=limits.min_rate_over_s,
            answer_s=limits.answer_s,
            verify=self.verify,
            part_bytes=PART_BYTES if flight.media in STREAMED else 0,
        )
        start = time.monotonic()
        try:
            answer = await self.client.request(asked)
        except (LostError, OSError) as error:
            # From now on nothing more is sent with this permit, so that what was sent so far is all.
            self.guard.revoke(permit)
            self._note(flight, url, permit.contact, time.monotonic() - start)
            if permit.contact.sent_bytes or permit.contact.address:
                return Fetched(FetchOutcome.LOST)
            return Fetched(FetchOutcome.UNREACHABLE, detail=str(error) or "the HTTP client was lost")
        self.guard.revoke(permit)
        if answer.status or permit.contact.sent_bytes or permit.contact.name:
            self._note(flight, url, permit.contact, answer.seconds, answer)
        flight.facts = _facts(answer)
        failed = self._failure(answer, permit.contact)
        flight.part = b"" if failed is None else answer.body
        return answer.body if failed is None else failed

    def _note(
        self, flight: _Flight, url: str, contact: Contact, seconds: float, answer: HttpAnswer | None = None
    ) -> None:
        flight.hops.append(
            Hop(
                url=url,
                status=answer.status if answer else 0,
                fields=bounded_fields(list(answer.fields)) if answer else (),
                seconds=seconds,
                address=contact.address,
                http=answer.http if answer else "",
                sent_bytes=contact.sent_bytes,
                received_bytes=contact.received_bytes,
                connect_s=contact.connect_s,
                name=contact.name,
                certificate=answer.certificate if answer else "",
            )
        )

    def _failure(self, answer: HttpAnswer, contact: Contact) -> Fetched | None:
        if answer.cut:
            return Fetched(CUTS.get(answer.cut, FetchOutcome.FAILED), detail=answer.cut)
        if not answer.code:
            return None
        if contact.outcome is not None and (
            answer.code in NO_CONNECTION or contact.outcome is FetchOutcome.TOO_LARGE
        ):
            return Fetched(contact.outcome, detail=contact.detail)
        if answer.code in NO_CONNECTION:
            outcome = FetchOutcome.FAILED if contact.sent_bytes else FetchOutcome.UNREACHABLE
            return Fetched(outcome, detail=contact.detail or "no connection")
        if answer.code == TIMED_OUT:
            if not contact.address:
                return Fetched(FetchOutcome.UNREACHABLE, detail=contact.detail or "no connection in time")
            return Fetched(*self._timed_out(answer))
        if answer.code == TOO_LARGE:  # libcurl's own bound of header fields
            return Fetched(FetchOutcome.TOO_MANY_FIELDS, detail="more than libcurl takes")
        if answer.code in BAD_CERTIFICATE:
            return Fetched(FetchOutcome.BAD_CERTIFICATE, detail=f"curl code {answer.code}")
        if answer.code in MALFORMED:
            return Fetched(FetchOutcome.MALFORMED, detail=f"curl code {answer.code}")
        return Fetched(FetchOutcome.FAILED, detail=f"curl code {answer.code}")

    def _timed_out(self, answer: HttpAnswer) -> tuple[FetchOutcome, bytes, tuple[Hop, ...], str]:
        """Tell a body that came in drops all the while from one that is merely slow or never came."""
        drops = [at for at, _size in answer.profile]
        is_drip = (
            len(drops) >= 3
            and drops[-1] - drops[0] > answer.seconds / 2
            and answer.size_bytes < 10 * self.limits.min_bytes_per_s * answer.seconds
        )
        outcome = FetchOutcome.DRIP_FED if is_drip else FetchOutcome.TOO_SLOW
        return outcome, b"", (), "took longer than allowed"

    async def _with_servers(self, fetched: Fetched, flight: _Flight) -> Fetched:
        """Add the name servers of the hosts: best effort, after the fetch, and not where nothing was reached."""
        asked: dict[str, tuple[str, ...]] = {}
        for number, hop in enumerate(flight.hops):
            if hop.name is None or not hop.address or hop.name.servers:
                continue
            if hop.name.name not in asked:
                try:
                    asked[hop.name.name] = await self.guard.name_servers(flight.voyage, hop.name.name)
                except OSError:
                    asked[hop.name.name] = ()
            if asked[hop.name.name]:
                name = replace(hop.name, servers=asked[hop.name.name])
                flight.hops[number] = replace(hop, name=name)
        return fetched


def _facts(answer: HttpAnswer) -> BodyFacts:
    fields = dict(answer.fields)
    is_whole = not answer.code and not answer.cut
    declared = fields.get("content-length", "")
    return BodyFacts(
        size_bytes=answer.size_bytes,
        sha256=hashlib.sha256(answer.body).hexdigest() if answer.body and is_whole else "",
        declared_type=fields.get("content-type", "")[:200],
        declared_bytes=int(declared)
        if declared.isascii() and declared.isdigit() and len(declared) < 19
        else -1,
        encoded_bytes=answer.encoded_bytes,
        complete=is_whole,
        profile=answer.profile,
    )


def _retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After field (RFC 9110 section 10.2.3), ``None`` where there are none."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


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
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        return "not a URL"
    return ""
