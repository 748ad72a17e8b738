"""Tokens: what programs show to be let in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mailveil.control import tokens as use
from mailveil.control.access import Permission
from mailveil.control.records import Token as TokenRecord
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    cut,
    exact,
    moment,
    moment_or_none,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "tokens",
    "What programs show to be let in. The secret is shown once; what is kept is its digest. Of its use only the day is "
    "noted.",
)


class Token(Answer):
    """A token, without its secret."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    name: Text = Field(description="What people call it.", examples=["siem"])
    hint: Text = Field(description="How its secret begins.", examples=["mvt_a1B2c3"])
    scopes: list[Permission] = Field(description="What it may do.", examples=[["messages:read"]])
    everywhere: bool = Field(description="Whether it acts in all organisations.", examples=[False])
    created_by: Text = Field(description="Who made it.", examples=["anna"])
    created_at: Moment = Field(description="When.")
    expires_at: Moment = Field(description="When it ends.")
    last_used_on: str | None = Field(
        description="The day on which it was last used; null: never.", examples=["2026-01-31"]
    )
    revoked_at: Moment | None = Field(description="When it was revoked; null: it was not.")


class MadeToken(Token):
    """A token just made, with its secret."""

    secret: str = Field(
        description="What to send. It is shown this once.",
        examples=["mvt_4rT8yWmV9cQ2bL0xJ6kN3hF7pD1sG5aZuEoRiYtXw_c"],
    )


class TokenOrder(Request):
    """A token to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)] = Field(
        description="What people call it.", examples=["siem"]
    )
    scopes: list[str] = Field(
        min_length=1,
        max_length=50,
        description="What it may do; nothing that the token which makes it may not.",
        examples=[["messages:read", "trackers:read"]],
        json_schema_extra={"items": {"type": "string", "enum": [str(each) for each in Permission]}},
    )
    days: Annotated[int, Field(ge=1, le=use.MAX_DAYS), BeforeValidator(exact)] = Field(
        description="For how many days it lasts.", examples=[90]
    )
    everywhere: bool = Field(
        default=False, description="Whether it acts in all organisations, as only such a token can grant."
    )


def token(record: TokenRecord) -> Token:
    """Return a token as it is answered."""
    return Token(**_members(record))


def _members(record: TokenRecord) -> dict[str, Any]:
    known = set(Permission)
    return {
        "id": record.identifier,
        "name": record.name,
        "hint": record.hint,
        "scopes": [Permission(each) for each in record.scopes if each in known],
        "everywhere": record.everywhere,
        "created_by": record.created_by,
        "created_at": moment(record.created_at),
        "expires_at": moment(record.expires_at),
        "last_used_on": record.last_used_on or None,
        "revoked_at": moment_or_none(record.revoked_at),
    }


@resource.get("/tokens", Permission.TOKENS_READ, Part[Token], is_list=True)
async def list_tokens(asked: Asking, limit: Limit = 50, cursor: Cursor = "") -> Part[Token]:
    """List tokens.

    Newest first, revoked and expired ones included.
    """
    part = cut(limit, cursor)
    page = await use.list_tokens(asked.room, asked.actor, part)
    return Part[Token](items=[token(each) for each in page.items], next=asked.listed(page, part))


@resource.post("/tokens", Permission.TOKENS_WRITE, MadeToken, status=201, body=Body.JSON, has_location=True)
async def make_token(asked: Asking, order: TokenOrder) -> MadeToken:
    """Make a token.

    Its secret is in this answer and nowhere else.
    """
    made = await use.make_token(
        asked.room, asked.actor, order.name, order.scopes, order.days, everywhere=order.everywhere
    )
    asked.located("tokens", made.token.identifier)
    return MadeToken(**_members(made.token), secret=made.secret)


@resource.get("/tokens/{token_id}", Permission.TOKENS_READ, Token)
async def get_token(asked: Asking, token_id: Identifier) -> Token:
    """Get a token."""
    return token(await use.read_token(asked.room, asked.actor, token_id))


@resource.delete("/tokens/{token_id}", Permission.TOKENS_WRITE, Token)
async def revoke_token(asked: Asking, token_id: Identifier) -> Token:
    """Revoke a token.

    It opens nothing from now on, and stays in the list. Twice is no error.
    """
    return token(await use.revoke_token(asked.room, asked.actor, token_id))
