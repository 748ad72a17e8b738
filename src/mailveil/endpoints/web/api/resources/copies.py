"""Copies: what the store of safe copies holds, for whoever looks after the whole installation."""

from __future__ import annotations

from pydantic import Field

from mailveil.control import messages as use
from mailveil.control.access import Permission
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import Moment, moment_or_none, seconds
from mailveil.endpoints.web.api.problems import INVALID, ProblemError, WrongField
from mailveil.endpoints.web.api.resources.models import Answer, Removed, Request

resource = Resource("copies", "Safe copies of what messages show. One store for all organisations.")
HOST = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$"


class Copies(Answer):
    """What the store holds."""

    addresses: int = Field(ge=0, description="Addresses in mail.", examples=[18233])
    contents: int = Field(ge=0, description="Contents, each stored once.", examples=[5120])
    bytes: int = Field(ge=0, description="What they take on the disk.", examples=[120000000])
    stored: int = Field(ge=0, description="Fetches that brought a copy.", examples=[7200])
    placeholder: int = Field(ge=0, description="Fetches that brought none.", examples=[310])
    waiting: int = Field(ge=0, description="Fetches that have not been made yet.", examples=[4])
    oldest_at: Moment | None = Field(description="When the message of the oldest came; null: none.")


class Purge(Request):
    """What is to be deleted: one of the two, or both."""

    before: Moment | None = Field(default=None, description="Copies of messages that came before this time.")
    host: str | None = Field(
        default=None,
        pattern=HOST,
        description="What was fetched from this host or below it, as far back as evidence is kept.",
        examples=["img.shop.example"],
    )


@resource.get("/copies", Permission.COPIES_READ, Copies, everywhere=True)
async def get_copies(asked: Asking) -> Copies:
    """Get what the store of copies holds.

    For tokens of all organisations.
    """
    found = await use.all_copies(asked.room, asked.actor)
    waiting = sum(int(found.get(state) or 0) for state in ("reserved", "released", "attempted"))
    return Copies(
        addresses=int(found.get("addresses") or 0),
        contents=int(found.get("contents") or 0),
        bytes=int(found.get("bytes") or 0),
        stored=int(found.get("stored") or 0),
        placeholder=int(found.get("placeholder") or 0),
        waiting=waiting,
        oldest_at=moment_or_none(float(found.get("oldest") or 0)),
    )


@resource.post("/copies/purge", Permission.COPIES_WRITE, Removed, everywhere=True, body=Body.JSON)
async def purge_copies(asked: Asking, purge: Purge) -> Removed:
    """Delete copies.

    For tokens of all organisations. Placeholders take their places; no message changes.
    """
    if purge.before is None and purge.host is None:
        raise ProblemError(INVALID, errors=(WrongField("body", "", "name `before` or `host`, or both"),))
    gone = await use.purge_copies(
        asked.room, asked.actor, before=seconds(purge.before), host=purge.host or ""
    )
    return Removed(removed=gone)
