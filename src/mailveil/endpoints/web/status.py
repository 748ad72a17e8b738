"""Status page: what listens where, what passed and what was found in it, and the local mailbox to look at."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from urllib.parse import quote, urlsplit

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mailveil.core.observation import ObservedReference, told_anew
from mailveil.endpoints.web.console.facts import ConsoleFacts
from mailveil.endpoints.web.guard import PAGE_HEADERS, HostGuard
from mailveil.endpoints.web.preview import Preview, read_header, read_preview
from mailveil.ports import (
    CopyState,
    CopyStore,
    Journal,
    Mailbox,
    Memory,
    Passage,
    UnavailableError,
)

LATEST = 30
MAX_COPIES_SHOWN = 200
MAX_REASONS = 4
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StatusPage:
    """Builds the application. Everything is read when asked for; nothing here changes anything."""

    def __init__(
        self,
        facts: ConsoleFacts,
        journal: Journal | None,
        store: CopyStore | None,
        mailbox: Mailbox | None,
        *,
        now: Callable[[], float] = time.time,
        alarms: Callable[[], Sequence[str]] = tuple,
        memory: Memory | None = None,
    ) -> None:
        """``alarms`` tells what is wrong right now; it may read files."""
        self.memory = memory
        self.facts = facts
        self.journal = journal
        self.store = store
        self.mailbox = mailbox
        self.now = now
        self.alarms = alarms
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("mailveil.endpoints.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            number=lambda count: f"{count:,}",
            size=in_bytes,
            ago=self._ago,
            moment=moment,
            path=lambda t: quote(t, safe=""),
        )
        self._sheet = (
            resources.files("mailveil.endpoints.web").joinpath("assets/status.css").read_text("utf-8")
        )

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        routes = [
            Route("/", self._overview),
            Route("/status.css", self._style),
            Route("/healthz", self._health),
            Route("/message/{name}", self._message),
            Route("/message/{name}/body", self._body),
            Route("/message/{name}/source", self._source),
        ]
        return HostGuard(Starlette(routes=routes), self.facts.host_names)

    async def _overview(self, request: Request) -> Response:
        del request
        passages = list(await self.journal.latest(LATEST)) if self.journal else []
        page = {
            "facts": self.facts,
            "alarms": await asyncio.to_thread(self.alarms),
            "totals": await self.journal.totals() if self.journal else {},
            "copies": await self._copies(),
            "passages": [_line(passage) for passage in await self._up_to_date(passages)],
            "mail": await self._mail(),
        }
        return self._page("overview.html", page)

    async def _up_to_date(self, passages: Sequence[Passage]) -> Sequence[Passage]:
        """Return messages with the verdicts as they stand now that copies have been fetched."""
        keys = [found.key for passage in passages for found in passage.found if found.key]
        if self.memory is None or not keys:
            return passages
        try:
            verdicts = await self.memory.verdicts(keys)
        except UnavailableError:
            return passages
        return [
            replace(
                passage,
                found=tuple(
                    told_anew(found, verdicts[found.key]) if found.key in verdicts else found
                    for found in passage.found
                ),
            )
            for passage in passages
        ]

    async def _copies(self) -> Mapping[str, int] | None:
        if self.store is None:
            return None
        try:
            return await self.store.counts()
        except UnavailableError:
            return None

    async def _mail(self) -> list[dict[str, object]] | None:
        if self.mailbox is None:
            return None
        lines: list[dict[str, object]] = []
        for entry in await self.mailbox.entries(LATEST):
            sender, subject = read_header(entry.header)
            lines.append(
                {
                    "name": entry.name,
                    "at": entry.at,
                    "size": entry.size_bytes,
                    "sender": sender,
                    "subject": subject,
                }
            )
        return lines

    async def _message(self, request: Request) -> Response:
        found = await self._read(request)
        if found is None:
            return self._page("missing.html", {"facts": self.facts}, status=404)
        name, raw, preview = found
        copies = await self._copies_in(preview.document)
        page = {"facts": self.facts, "name": name, "size": len(raw), "preview": preview, "copies": copies}
        return self._page("message.html", page)

    async def _copies_in(self, document: bytes) -> list[dict[str, object]]:
        """Return a line for each safe copy that a message shows, in order of appearance."""
        origin = re.escape(self.facts.copies_url.encode())
        tokens = list(
            dict.fromkeys(re.findall(origin + rb"/c/([A-Za-z0-9_-]{40})(?![A-Za-z0-9_-])", document))
        )
        if self.store is None or not tokens:
            return []
        try:
            states = await self.store.describe([token.decode() for token in tokens[:MAX_COPIES_SHOWN]])
        except UnavailableError:
            return []
        return [_copy_line(state) for state in states]

    async def _body(self, request: Request) -> Response:
        found = await self._read(request)
        if found is None:
            return Response(status_code=404)
        _, _, preview = found
        kind = "text/html" if preview.is_html else "text/plain"
        return Response(
            preview.document,
            headers={
                **PAGE_HEADERS,
                "Content-Type": f"{kind}; charset={preview.charset}",
                "Content-Security-Policy": preview_policy(self.facts.copies_url),
            },
        )

    async def _source(self, request: Request) -> Response:
        found = await self._read(request)
        if found is None:
            return Response(status_code=404)
        headers = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
        return Response(found[1], media_type="text/plain; charset=utf-8", headers=headers)

    async def _read(self, request: Request) -> tuple[str, bytes, Preview] | None:
        name = request.path_params["name"]
        raw = await self.mailbox.read(name) if self.mailbox else None
        return None if raw is None else (name, raw, read_preview(raw))

    async def _style(self, request: Request) -> Response:
        del request
        return Response(self._sheet, media_type="text/css", headers=PAGE_HEADERS)

    async def _health(self, request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok", "version": self.facts.version}, headers=PAGE_HEADERS)

    def _page(self, template: str, values: Mapping[str, object], status: int = 200) -> Response:
        html = self._templates.get_template(template).render(values)
        headers = {**PAGE_HEADERS, "Content-Security-Policy": PAGE_POLICY}
        return Response(html, status, media_type="text/html", headers=headers)

    def _ago(self, at: float) -> str:
        seconds = max(0.0, self.now() - at)
        for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
            if seconds >= size:
                return f"{int(seconds // size)} {unit} ago"
        return "just now"


def preview_policy(copies_url: str) -> str:
    """Return the policy under which a message is shown: safe copies and what it carries itself."""
    parts = urlsplit(copies_url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else ""
    return (
        f"default-src 'none'; img-src {origin} data:; media-src {origin} data:; font-src {origin} data:; "
        f"style-src 'unsafe-inline' {origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        "sandbox"
    )


def in_bytes(count: int) -> str:
    """Return a number of bytes to read."""
    if count < 1000:
        return f"{count} B"
    value, units = float(count), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 1000:
        value, unit = value / 1000, next(units, unit)
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def moment(at: float) -> str:
    """Return a time to read, in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _copy_line(state: CopyState) -> dict[str, object]:
    """Return what one line of the list of a message's copies needs."""
    facts = state.facts
    about = []
    if facts.width and facts.height:
        about.append(f"{facts.width} × {facts.height} pixels")
    if facts.frames > 1:
        about.append(f"{facts.frames} frames")
    if facts.duration_s:
        about.append(f"{facts.duration_s:.1f} s")
    if facts.is_silent:
        about.append("silent")
    if facts.replaced:
        about.append("silence in its place")
    shown = {"stored": state.media_type, "pending": "placeholder, copy to come"}.get(
        state.state, "placeholder"
    )
    return {
        "media": state.media or "unknown",
        "shown": shown,
        "size": state.size_bytes,
        "about": ", ".join(about),
        "as_of_delivery": facts.as_of_delivery,
    }


def _line(passage: Passage) -> dict[str, object]:
    """Return what one line of the list of messages needs."""
    trackers = sum(found.finding == "tracker" for found in passage.found)
    groups: dict[tuple[str, str, str, str, str], int] = {}
    for found in passage.found:
        key = (found.url, found.vector, found.finding, found.action, _why(found))
        groups[key] = groups.get(key, 0) + 1
    rows: Sequence[tuple[str, str, str, str, str, int]] = [(*key, count) for key, count in groups.items()]
    return {
        "passage": passage,
        "trackers": trackers,
        "content": len(passage.found) - trackers,
        "rows": sorted(rows, key=lambda row: (row[2] != "tracker", row[0]))[:50],
        "accepted": passage.reply.startswith("2"),
        "temporary": passage.reply.startswith("4"),
    }


def _why(found: ObservedReference) -> str:
    """Return in a few words what a reference tells, to whom, how sure that is, and why."""
    is_tracker = found.finding == "tracker"
    sure = found.score if is_tracker else 1 - found.score
    parts = [f"{sure:.0%} sure it {'tracks' if is_tracker else 'does not track'}"]
    if found.kinds:
        parts.append(f"tells {', '.join(found.kinds)}")
    if found.operator:
        parts.append(f"run by {found.operator}")
    return "; ".join([*parts, *found.reasons[:MAX_REASONS]])
