"""Copies server: all that readers' mail clients talk to. It answers one route and remembers nothing."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from mailveil.core.references.types import Media
from mailveil.endpoints.web.placeholders import placeholder
from mailveil.ports import CopyStore, StoredCopy, UnavailableError

PREFIX = b"/c/"
# The bytes are harmless already; these make sure that nothing is ever made of them but a picture or a sound,
# whoever opens them and however. Webmail and fonts load across origins, hence CORP and CORS.
INERT_FIELDS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    ),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-dns-prefetch-control", b"off"),
    (b"x-robots-tag", b"noindex, nofollow"),
)
FOR_EVER = b"private, max-age=31536000, immutable"
NOT_AT_ALL = b"no-store"
RANGE = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))\Z")
SLOTS = re.compile(rb"\d{1,3}(?:\.\d{1,3}){0,2}")
# A style sheet was read as UTF-8, and readers have to as well: this wins over what it says itself.
CHARSETS = {"text/css": "text/css; charset=utf-8"}
PIECE_BYTES = 64 * 1024
KEPT_S = 5.0
MAX_KEPT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, header fields without the length of the body, and the body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


NOT_FOUND = Answer(404, ((b"cache-control", NOT_AT_ALL),))


class CopiesServer:
    """An ASGI application: ``GET`` and ``HEAD`` of ``/c/{token}``; everything else is 404 without a word.

    A query such as ``?3`` or ``?0.2`` leads from a style sheet to what it refers to. ``is_token`` tells whether a
    token is one of ours (core/copyaddress). Neither token nor client is logged, no cookie is set, and the entity
    tag is the content's, the same for everybody.
    """

    def __init__(self, store: CopyStore, is_token: Callable[[str], bool]) -> None:
        self.store = store
        self.is_token = is_token
        self._recent = _Recent()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive  # whatever body there is, nobody reads it
        if scope["type"] != "http":
            return
        answer = await self.answer(scope)
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
        if answer.status == 304:
            headers.pop()
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        # The header fields of HEAD tell the length all the same.
        body = b"" if scope["method"] == "HEAD" else answer.body
        # In pieces, each once the one before has gone: what a slow reader does not take waits here only once.
        at = 0
        while len(body) - at > PIECE_BYTES:
            await send({"type": "http.response.body", "body": body[at : at + PIECE_BYTES], "more_body": True})
            at += PIECE_BYTES
        await send({"type": "http.response.body", "body": body[at:]})

    async def answer(self, scope: Scope) -> Answer:
        """Return the response to a request."""
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
        slots = parse_slots(scope["query_string"])
        token = path[len(PREFIX) :].decode("latin-1")
        is_ours = path.startswith(PREFIX) and slots is not None and self.is_token(token)
        if scope["method"] not in ("GET", "HEAD") or not is_ours or slots is None:
            return NOT_FOUND
        copy = self._recent.get(token, slots)
        if copy is None:
            try:
                copy = await self.store.get(token, slots)
            except UnavailableError:
                copy = None
            if copy is None or not copy.body:
                return _placeholder_answer(copy or StoredCopy(Media.IMAGE))
            self._recent.keep(token, slots, copy)
        return _copy_answer(copy, dict(scope["headers"]))


class _Recent:
    """The copies asked for in the last few seconds, in memory alone: a newsletter is opened by many at once.

    They are forgotten after ``KEPT_S``, so that what was deleted is soon gone, and nothing tells who asked.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._copies: OrderedDict[tuple[str, tuple[int, ...]], tuple[float, StoredCopy]] = OrderedDict()
        self._bytes = 0
        self._sweeping: asyncio.TimerHandle | None = None

    def get(self, token: str, slots: tuple[int, ...]) -> StoredCopy | None:
        """Return a copy that is still at hand."""
        found = self._copies.get((token, slots))
        return found[1] if found is not None and self._now() - found[0] < KEPT_S else None

    def keep(self, token: str, slots: tuple[int, ...], copy: StoredCopy) -> None:
        """Have a copy at hand; what is too old or too much goes."""
        now = self._now()
        if len(copy.body) > MAX_KEPT_BYTES // 8:
            return
        replaced = self._copies.pop((token, slots), None)
        self._bytes += len(copy.body) - (len(replaced[1].body) if replaced else 0)
        self._copies[token, slots] = (now, copy)
        self._drop(now)
        self._sweep_later()

    def _sweep_later(self) -> None:
        """Have the last ones forgotten as well, though nobody asks any more."""
        with contextlib.suppress(RuntimeError):  # without a loop there is no server that anybody asks
            if self._copies and self._sweeping is None:
                self._sweeping = asyncio.get_running_loop().call_later(KEPT_S + 0.01, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        self._drop(self._now())
        self._sweep_later()

    def _drop(self, now: float) -> None:
        while self._copies:
            oldest = next(iter(self._copies.values()))
            if self._bytes <= MAX_KEPT_BYTES and now - oldest[0] < KEPT_S:
                break
            self._copies.popitem(last=False)
            self._bytes -= len(oldest[1].body)


def parse_slots(query: bytes) -> tuple[int, ...] | None:
    """Return what a query leads to within a style sheet, ``()`` for the copy itself; ``None`` for any other."""
    if not query:
        return ()
    return tuple(map(int, query.split(b"."))) if SLOTS.fullmatch(query) else None


def _placeholder_answer(copy: StoredCopy) -> Answer:
    """A copy may still come, or come back: nobody may keep this."""
    media_type, body = placeholder(copy.media, copy.width, copy.height)
    own = ((b"content-type", media_type.encode()), (b"cache-control", NOT_AT_ALL))
    return Answer(200, (*INERT_FIELDS, *own), body)


def _copy_answer(copy: StoredCopy, requested: dict[bytes, bytes]) -> Answer:
    etag = f'"{copy.sha256}"'.encode()
    fields = (
        *INERT_FIELDS,
        (b"content-type", CHARSETS.get(copy.media_type, copy.media_type).encode()),
        (b"cache-control", FOR_EVER),
        (b"etag", etag),
        (b"accept-ranges", b"bytes"),
    )
    known = requested.get(b"if-none-match", b"")
    if known and (known.strip() == b"*" or etag in known):
        return Answer(304, fields)
    span = None
    if requested.get(b"if-range", etag) == etag:
        span = parse_range(requested.get(b"range", b"").decode("latin-1"), len(copy.body))
    if span is None:
        return Answer(200, fields, copy.body)
    start, end = span
    if start >= end:
        return Answer(416, (*fields, (b"content-range", b"bytes */%d" % len(copy.body))))
    told = b"bytes %d-%d/%d" % (start, end - 1, len(copy.body))
    return Answer(206, (*fields, (b"content-range", told)), copy.body[start:end])


def parse_range(value: str, length: int) -> tuple[int, int] | None:
    """Return the half-open range that a ``Range`` field asks for (RFC 9110 section 14.1.2).

    ``None`` where the whole is to be answered: no range, several, or none that is understood. An empty range
    (start not before end) cannot be satisfied.
    """
    found = RANGE.match(value.strip())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return (length, length) if int(suffix) == 0 else (max(0, length - int(suffix)), length)
    start = int(first)
    if last and int(last) < start:
        return None
    end = min(int(last) + 1, length) if last else length
    return (start, end) if start < length else (length, length)
