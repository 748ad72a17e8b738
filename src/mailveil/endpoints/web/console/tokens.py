"""Tokens: what programs show to the API."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.tokens import list_tokens, make_token, revoke_token
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
DAYS = ((7, "a week"), (30, "a month"), (90, "three months"), (365, "a year"), (1095, "three years"))
SCOPE_WORDS = {
    Permission.STATISTICS_READ: "read figures",
    Permission.TRACKERS_READ: "read trackers and operators",
    Permission.MESSAGES_READ: "read what was found in messages, with subjects and recipients",
    Permission.INSPECT: "have a message inspected or cleaned",
    Permission.COPIES_READ: "read the state of safe copies",
    Permission.COPIES_WRITE: "delete safe copies",
    Permission.ORIGINALS_READ: "see before and after of messages whose original is kept",
    Permission.ORIGINALS_RELEASE: "release originals",
    Permission.POLICY_READ: "read the policy",
    Permission.POLICY_WRITE: "change the policy",
    Permission.ALLOW_READ: "read the allow-list",
    Permission.ALLOW_WRITE: "change the allow-list",
    Permission.FEEDBACK_READ: "read what readers reported",
    Permission.FEEDBACK_WRITE: "close what readers reported",
    Permission.ACTIVITIES_READ: "read who watches whom, alerts and campaigns, with people",
    Permission.ACTIVITIES_WRITE: "decide about activities, and mark people",
    Permission.INTELLIGENCE_READ: "fetch what is published: TAXII, the MISP feed, filter lists",
    Permission.SHARING_READ: "read destinations and feeds, without their secrets",
    Permission.SHARING_WRITE: "change destinations and feeds",
    Permission.HEALTH_READ: "read how mailveil is doing",
    Permission.AUDIT_READ: "read who did what",
    Permission.USERS_READ: "read who may sign in",
    Permission.USERS_WRITE: "make and change users",
    Permission.TOKENS_READ: "list tokens",
    Permission.TOKENS_WRITE: "make and revoke tokens",
    Permission.PEOPLE_EXPORT: "export everything that is kept of a person",
    Permission.PEOPLE_ERASE: "erase everything that is kept of a person",
    Permission.ORGANISATIONS_READ: "read organisations",
    Permission.ORGANISATIONS_WRITE: "change organisations",
}


@pages.get("/tokens", Permission.TOKENS_READ)
async def tokens(visit: Visit) -> Response:
    """List the tokens."""
    return visit.page("tokens.html", **await _tokens(visit))


@pages.post("/tokens", Permission.TOKENS_WRITE)
async def make(visit: Visit) -> Response:
    """Make a token, and show its secret, once."""
    days = visit.text("days")
    try:
        made = await make_token(
            visit.room,
            visit.actor,
            visit.text("name"),
            visit.texts("scopes"),
            int(days) if days.isascii() and days.isdigit() and len(days) < 8 else 0,
        )
    except InvalidError as error:
        return visit.wrong("tokens.html", error, **await _tokens(visit))
    return visit.page("new_token.html", made=made, words=SCOPE_WORDS)


@pages.post("/tokens/{identifier}/revoke", Permission.TOKENS_WRITE)
async def revoke(visit: Visit) -> Response:
    """Have a token open nothing any more."""
    revoked = await revoke_token(visit.room, visit.actor, visit.path("identifier"))
    return visit.go("/tokens", f"The token {revoked.name} opens nothing any more.")


async def _tokens(visit: Visit) -> dict[str, Any]:
    page = await list_tokens(visit.room, visit.actor, visit.cut())
    scopes = [(str(each), words) for each, words in SCOPE_WORDS.items() if visit.actor.may(each)]
    return {
        "tokens": page,
        "scopes": scopes,
        "ticked": visit.texts("scopes"),
        "days": DAYS,
        "now": visit.room.clock.now(),
    }
