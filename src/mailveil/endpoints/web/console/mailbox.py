"""Local mailbox: the mail that is kept while there is no next hop, for trying mailveil out."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError, MissingError
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.guard import PAGE_HEADERS
from mailveil.endpoints.web.preview import Preview, read_header, read_preview
from mailveil.ports import CopyState, Engine, EngineError, UnavailableError

pages = Pages()
LATEST = 50
MAX_COPIES_SHOWN = 200


@pages.get("/mailbox", Permission.ORIGINALS_READ)
async def mailbox(visit: Visit) -> Response:
    """List the latest mail in the local Maildir."""
    visit.actor.require_everywhere(Permission.ORIGINALS_READ)
    if visit.console.mailbox is None:
        return visit.page("mailbox.html", mail=None)
    mail = [(entry, *read_header(entry.header)) for entry in await visit.console.mailbox.entries(LATEST)]
    return visit.page("mailbox.html", mail=mail)


@pages.get("/mailbox/{name}", Permission.ORIGINALS_READ)
async def message(visit: Visit) -> Response:
    """Show a message as a reader sees it, in a frame that can do nothing."""
    raw, preview = await _read(visit)
    copies = await _copies_in(visit, preview.document)
    return visit.page(
        "mailbox_message.html", name=visit.path("name"), size=len(raw), preview=preview, copies=copies
    )


@pages.get("/mailbox/{name}/body", Permission.ORIGINALS_READ)
async def body(visit: Visit) -> Response:
    """Answer with the body for that frame."""
    raw, _ = await _read(visit)
    preview = read_preview(await _silent(visit, raw))
    kind = "text/html" if preview.is_html else "text/plain"
    headers = {
        **PAGE_HEADERS,
        "Content-Type": f"{kind}; charset={preview.charset}",
        "Content-Security-Policy": preview_policy(visit.facts.copies_url),
    }
    return Response(preview.document, headers=headers)


@pages.get("/mailbox/{name}/source", Permission.ORIGINALS_READ)
async def source(visit: Visit) -> Response:
    """Answer with the bytes of a message, as text."""
    raw, _ = await _read(visit)
    headers = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(raw, media_type="text/plain; charset=utf-8", headers=headers)


async def _read(visit: Visit) -> tuple[bytes, Preview]:
    visit.actor.require_everywhere(Permission.ORIGINALS_READ)
    raw = await visit.console.mailbox.read(visit.path("name")) if visit.console.mailbox else None
    if raw is None:
        raise MissingError
    return raw, read_preview(raw)


async def _silent(visit: Visit, raw: bytes) -> bytes:
    """Return a message with labels in the places of whatever policy has left in it.

    A frame that may load nothing still has browsers connect to hosts that it names (``preconnect``, frames within it).
    """
    engine: Engine | None = visit.room.engine
    if engine is None:
        return raw
    try:
        examined = await engine.examine(raw, clean=True, labelled=True)
    except EngineError as error:
        raise InvalidError("This message cannot be examined, and so not be shown; its source can.") from error
    return examined.raw if examined.record["references"] else raw


async def _copies_in(visit: Visit, document: bytes) -> list[dict[str, object]]:
    """Return a line for each safe copy that a message shows, in order of appearance."""
    origin, store = re.escape(visit.facts.copies_url.encode()), visit.room.copies
    tokens = list(dict.fromkeys(re.findall(origin + rb"/c/([A-Za-z0-9_-]{40})(?![A-Za-z0-9_-])", document)))
    if store is None or not tokens:
        return []
    try:
        states = await store.describe([token.decode() for token in tokens[:MAX_COPIES_SHOWN]])
    except UnavailableError:
        return []
    return [copy_line(state) for state in states]


def preview_policy(copies_url: str) -> str:
    """Return the policy under which a message is shown: safe copies and what it carries itself."""
    parts = urlsplit(copies_url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else ""
    return (
        f"default-src 'none'; img-src {origin} data:; media-src {origin} data:; font-src {origin} data:; "
        f"style-src 'unsafe-inline' {origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        "sandbox"
    )


def copy_line(state: CopyState) -> dict[str, object]:
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
