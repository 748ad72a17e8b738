"""Allow-list: partners whose references stay, with who answers for each, why, and until when."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.allowing import allow, extend_allowed, list_allowed, read_allowed, revoke_allowed
from mailveil.control.attention import SOON_S
from mailveil.control.failures import InvalidError
from mailveil.control.records import AllowRecord
from mailveil.core.policy.document import read_time
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.policyforms import lines_of
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
FIELDS = ("author", "hosts", "owner", "reason", "expires_at")


@pages.get("/allow", Permission.ALLOW_READ)
async def allow_list(visit: Visit) -> Response:
    """Show the entries."""
    shown = "all" if visit.query("show") == "all" else "in-force"
    page = await list_allowed(visit.room, visit.actor, visit.cut(), all_states=shown == "all")
    now = visit.room.clock.now()
    return visit.page(
        "allow.html",
        page=page,
        shown=shown,
        states={each.identifier: state_of(each, now) for each in page.items},
        may_write=visit.actor.may(Permission.ALLOW_WRITE),
    )


def state_of(entry: AllowRecord, now: float) -> tuple[str, str]:
    """Return the tone and the words for how an entry stands."""
    if entry.revoked_at:
        return "bad", "revoked"
    if not entry.expires_at:
        return "good", "in force"
    if entry.expires_at <= now:
        return "", "expired"
    return ("note", "ends soon") if entry.expires_at < now + SOON_S else ("good", "in force")


@pages.get("/allow/new", Permission.ALLOW_WRITE)
async def new_entry(visit: Visit) -> Response:
    """Show the form for an entry, filled in with what another page proposes."""
    filled = {name: visit.query(name) for name in FIELDS}
    filled["hosts"] = "\n".join(filled["hosts"].split())
    filled["owner"] = filled["owner"] or visit.actor.name
    return _form(visit, filled)


def _form(visit: Visit, filled: Mapping[str, str], errors: Mapping[str, str] | None = None) -> Response:
    return visit.page("allow_new.html", 422 if errors else 200, filled=filled, errors=errors or {})


@pages.post("/allow", Permission.ALLOW_WRITE)
async def add_entry(visit: Visit) -> Response:
    """Trust a partner."""
    filled = {name: visit.text(name) for name in FIELDS}
    try:
        made = await allow(
            visit.room,
            visit.actor,
            filled["author"],
            owner=filled["owner"],
            reason=filled["reason"],
            hosts=lines_of(filled["hosts"].replace(" ", "\n")),
            expires_at=_time(filled["expires_at"]),
        )
    except InvalidError as error:
        return _form(visit, filled, {error.field or "author": str(error)})
    return visit.go("/allow", f"{made.author} is on the allow-list.")


@pages.get("/allow/{identifier}", Permission.ALLOW_READ)
async def one_entry(visit: Visit) -> Response:
    """Show one entry, with what can be done with it."""
    return await _entry_page(visit)


async def _entry_page(visit: Visit, error: InvalidError | None = None) -> Response:
    entry = await read_allowed(visit.room, visit.actor, visit.path("identifier"))
    return visit.page(
        "allow_entry.html",
        422 if error else 200,
        entry=entry,
        state=state_of(entry, visit.room.clock.now()),
        may_write=visit.actor.may(Permission.ALLOW_WRITE),
        errors={error.field or "expires_at": str(error)} if error else {},
        filled={name: visit.text(name) for name in ("expires_at", "why")},
    )


@pages.post("/allow/{identifier}/extend", Permission.ALLOW_WRITE)
async def extend(visit: Visit) -> Response:
    """Let an entry hold until another day."""
    try:
        expires_at = _time(visit.text("expires_at"))
        made = await extend_allowed(
            visit.room, visit.actor, visit.path("identifier"), expires_at, reason=visit.text("why")
        )
    except InvalidError as error:
        return await _entry_page(visit, error)
    return visit.go("/allow", f"{made.author} stays on the allow-list.")


@pages.post("/allow/{identifier}/revoke", Permission.ALLOW_WRITE)
async def revoke(visit: Visit) -> Response:
    """Trust a partner no more."""
    try:
        made = await revoke_allowed(visit.room, visit.actor, visit.path("identifier"), visit.text("why"))
    except InvalidError as error:
        return await _entry_page(visit, error)
    return visit.go("/allow", f"{made.author} is no longer trusted.")


def _time(text: str) -> float:
    """Return the end of a day in seconds since the epoch, 0 for none."""
    if not text:
        return 0.0
    try:
        return read_time(text)
    except (ValueError, OverflowError) as error:
        raise InvalidError("Write a day as 2027-12-31.", "expires_at") from error
