"""Feeds: whose indicators an organisation takes in, and what they told."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from mailveil.control import feeds as use
from mailveil.control.access import Permission
from mailveil.control.feeds import FeedOrder, FeedView
from mailveil.control.sharingrecords import FeedKind, ImportedIndicator
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    Words,
    cut,
    moment,
    moment_or_none,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Removed, Request

resource = Resource(
    "feeds",
    "Whose indicators are taken in: TAXII servers and MISP feeds. They are used by the judge and to recognise senders, "
    "with their origin told. Secrets go in and never come out.",
)
Options = dict[Annotated[str, Field(max_length=60, pattern=NO_NUL)], str | bool | int]


class FeedAnswer(Answer):
    """A feed, without its secret."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    name: Text = Field(description="What people call it, and verdicts name.", examples=["CERT"])
    kind: FeedKind = Field(description="What kind of server it is.", examples=["taxii"])
    address: Text = Field(description="Where it is.", examples=["https://cert.example/taxii2/"])
    options: dict[str, Any] = Field(description="What else was chosen.", examples=[{"collection": "Spies"}])
    has_secret: bool = Field(description="Whether it has a secret.", examples=[True])
    enabled: bool = Field(description="Whether it is read, and used.", examples=[True])
    created_by: Text = Field(description="Who made it.", examples=["anna"])
    created_at: Moment = Field(description="When.")
    indicators: int = Field(description="How many of its indicators are kept.", examples=[1250])
    figures: dict[str, int] = Field(
        description="Of the last reading: how many indicators were taken, objects withdrawn, and what was passed over "
        "(`skipped:` and why).",
        examples=[{"taken": 12, "withdrawn": 1, "skipped:serves-everybody": 2}],
    )
    read_at: Moment | None = Field(description="When it was last read; null: never.")
    next_read_at: Moment | None = Field(description="When it is read again; null: at once.")
    problem: Text = Field(description="Why it could not be read; empty: nothing is wrong.", examples=[""])


class FeedChange(Request):
    """A feed as it is to be. A secret that is left out stays."""

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=NO_NUL)] = Field(
        description="What people call it, and verdicts name.", examples=["CERT"]
    )
    kind: Annotated[FeedKind, Field(strict=False)] = Field(
        description="What kind of server it is; it stays.", examples=["taxii"]
    )
    address: Annotated[str, Field(min_length=1, max_length=2000, pattern=NO_NUL)] = Field(
        description="Of TAXII: discovery, an API root or a collection; of MISP: the folder of `manifest.json`.",
        examples=["https://cert.example/taxii2/"],
    )
    options: Options = Field(
        default={},
        max_length=20,
        description="`username` (else the secret is a bearer token), `header` (a field that takes the secret instead), "
        "`collection` and `api_root` (TAXII), `minutes` between readings, `least_confidence`, `ca_pem`, `plain_http`.",
        examples=[{"collection": "Spies", "minutes": 60}],
    )
    secret: Annotated[str, Field(max_length=4000, pattern=NO_NUL)] | None = Field(
        default=None, description="The password or token.", examples=["correct horse"]
    )
    enabled: bool = Field(default=True, description="Whether it is read, and used.", examples=[True])


class Reading(Request):
    """From where a feed is to be read."""

    from_beginning: bool = Field(default=False, description="Everything anew.", examples=[False])


class IndicatorAnswer(Answer):
    """Something to look out for."""

    feed: str = Field(
        description="Which feed told of it (its identifier).", examples=["019a2b3c4d5e0123456789abcdef0123"]
    )
    kind: str = Field(
        description=(
            "`domain` (with all below it), `host`, `url`, `prefix` of URLs, or `shape` of URLs, in which `*` stands "
            "for anything."
        ),
        examples=["domain"],
    )
    value: Text = Field(description="What it is.", examples=["spy.example"])
    source_id: Text = Field(
        description="The object that told of it.",
        examples=["indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"],
    )
    confidence: float = Field(description="From 0 to 1.", examples=[0.8])
    valid_from: Moment | None = Field(description="From when on it holds; null: always.")
    valid_until: Moment | None = Field(description="Until when; null: without end.")
    name: Text = Field(description="What they call it.", examples=["Trackers of Spy Ltd"])
    source: Text = Field(description="Who says so.", examples=["CERT"])
    marking: Text = Field(description="How far it may be passed on (TLP).", examples=["amber"])


def feed_answer(view: FeedView) -> FeedAnswer:
    """Return a feed as it is answered."""
    feed = view.feed
    return FeedAnswer(
        id=feed.identifier,
        name=feed.name,
        kind=feed.kind,
        address=feed.address,
        options=dict(feed.options),
        has_secret=view.has_secret,
        enabled=feed.is_enabled,
        created_by=feed.created_by,
        created_at=moment(feed.created_at),
        indicators=feed.indicators,
        figures=dict(feed.figures),
        read_at=moment_or_none(feed.read_at),
        next_read_at=moment_or_none(feed.next_read_at),
        problem=feed.problem,
    )


def indicator_answer(indicator: ImportedIndicator) -> IndicatorAnswer:
    """Return an indicator as it is answered."""
    return IndicatorAnswer(
        feed=indicator.feed,
        kind=indicator.kind,
        value=indicator.value,
        source_id=indicator.identifier,
        confidence=indicator.confidence,
        valid_from=moment_or_none(indicator.valid_from),
        valid_until=moment_or_none(indicator.valid_until),
        name=indicator.name,
        source=indicator.source,
        marking=indicator.marking,
    )


def _order(change: FeedChange) -> FeedOrder:
    return FeedOrder(
        change.name, change.kind, change.address, change.options, change.secret, is_enabled=change.enabled
    )


@resource.get("/feeds", Permission.SHARING_READ, Part[FeedAnswer], is_list=True)
async def list_feeds(asked: Asking) -> Part[FeedAnswer]:
    """List feeds.

    By name, all at once.
    """
    found = await use.list_feeds(asked.room, asked.actor)
    return Part[FeedAnswer](items=[feed_answer(each) for each in found], next=None)


@resource.post("/feeds", Permission.SHARING_WRITE, FeedAnswer, status=201, body=Body.JSON, has_location=True)
async def make_feed(asked: Asking, change: FeedChange) -> FeedAnswer:
    """Take in a feed.

    It is read within seconds.
    """
    made = await use.make_feed(asked.room, asked.actor, _order(change))
    asked.located("feeds", made.feed.identifier)
    return feed_answer(made)


@resource.get("/feeds/{feed_id}", Permission.SHARING_READ, FeedAnswer)
async def get_feed(asked: Asking, feed_id: Identifier) -> FeedAnswer:
    """Get a feed."""
    return feed_answer(await use.show_feed(asked.room, asked.actor, feed_id))


@resource.put(
    "/feeds/{feed_id}",
    Permission.SHARING_WRITE,
    FeedAnswer,
    body=Body.JSON,
    also=(Permission.SHARING_READ,),
)
async def change_feed(asked: Asking, feed_id: Identifier, change: FeedChange) -> FeedAnswer:
    """Change a feed.

    One that leads elsewhere now is read from its beginning, and has to be given its secret again.
    """
    return feed_answer(await use.change_feed(asked.room, asked.actor, feed_id, _order(change)))


@resource.delete("/feeds/{feed_id}", Permission.SHARING_WRITE, Removed)
async def remove_feed(asked: Asking, feed_id: Identifier) -> Removed:
    """Delete a feed, and everything that it told."""
    await use.remove_feed(asked.room, asked.actor, feed_id)
    return Removed(removed=1)


@resource.post(
    "/feeds/{feed_id}/read",
    Permission.SHARING_WRITE,
    FeedAnswer,
    body=Body.JSON,
    also=(Permission.SHARING_READ,),
)
async def read_feed(asked: Asking, feed_id: Identifier, wanted: Reading) -> FeedAnswer:
    """Have a feed read within seconds."""
    view = await use.read_soon(asked.room, asked.actor, feed_id, from_beginning=wanted.from_beginning)
    return feed_answer(view)


@resource.get("/indicators", Permission.SHARING_READ, Part[IndicatorAnswer], is_list=True)
async def list_indicators(
    asked: Asking,
    *,
    feed: Annotated[Words, Query(description="Only of this feed (its identifier).")] = "",
    value: Annotated[Words, Query(description="Only what begins so.")] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[IndicatorAnswer]:
    """List what feeds told.

    By feed and value.
    """
    part = cut(limit, cursor)
    page = await use.list_indicators(asked.room, asked.actor, part, feed=feed, value=value)
    return Part[IndicatorAnswer](
        items=[indicator_answer(each) for each in page.items], next=asked.listed(page, part)
    )
