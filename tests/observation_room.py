"""Observations as a gateway makes them, and a store to put them into."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mailveil.adapters.database import tables
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.control.records import Cut, MessageLine, MessageQuery
from mailveil.core.observation import Observation, ObservedReference, observation_identifier
from postgres_room import DatabasePlace

NOON = 1_780_000_000.0 // 86_400 * 86_400 + 43_200
HOUR, DAY = 3600.0, 86_400.0
EVER = (0.0, NOON * 2)


def pixel(
    host: str = "open.tracker.example", *, operator: str = "Spyglass", **others: object
) -> ObservedReference:
    values: dict[str, object] = {
        "url": f"https://{host}/o/tok123.gif?u=42",
        "template": f"https://{host}/o/*.gif?u=*",
        "host": host,
        "domain": ".".join(host.split(".")[-2:]),
        "vector": "img-src",
        "finding": "tracker",
        "action": "blank",
        "media": "image",
        "kind": "open",
        "kinds": ("open",),
        "score": 0.97,
        "risk": "medium",
        "operator": operator,
        "operator_confidence": 0.9,
        "evidence": "the shape of its address",
        "rule": "level:normal",
        "signals": ("PIXEL_1X1",),
        "reasons": ("one pixel wide",),
    }
    return ObservedReference(**(values | others))  # type: ignore[arg-type]


def picture(host: str = "cdn.shop.example", **others: object) -> ObservedReference:
    values: dict[str, object] = {
        "url": f"https://{host}/logo.png", "template": f"https://{host}/logo.png", "finding": "content",
        "kind": "", "kinds": (), "score": 0.02, "risk": "none", "operator": "", "evidence": "", "action": "copy",
    }  # fmt: skip
    return pixel(host, **(values | others))  # type: ignore[arg-type]


def message(number: int, **others: object) -> Observation:
    at = float(others.pop("at", NOON + number))  # type: ignore[arg-type]
    organisation = str(others.get("organisation", "default"))
    references = others.pop("references", (pixel(), picture()))
    assert isinstance(references, tuple)
    values: dict[str, object] = {
        "identifier": observation_identifier(at, f"log-{number}", organisation),
        "organisation": organisation,
        "at": at,
        "log_identifier": f"log-{number}",
        "sender": "bounce-77@mail.shop.example",
        "author": "news@shop.example",
        "author_domain": "shop.example",
        "sender_domain": "shop.example",
        "recipients": ("ann@here.example",),
        "subject": f"Winter sale number{number}",
        "message_id": f"<{number}@shop.example>",
        "size_bytes": 20_000,
        "changed": bool(references),
        "risk": "medium" if references else "none",
        "total_references": len(references),
        "total_trackers": sum(each.is_tracker for each in references),
        "references": references,
    }
    return Observation(**(values | others))  # type: ignore[arg-type]


@asynccontextmanager
async def opened(place: DatabasePlace) -> AsyncIterator[SqlObservationStore]:
    async with place.opened() as database:
        async with database.write() as connection:
            await connection.execute(
                tables.organisations.insert(),
                [
                    {"identifier": each, "name": each, "language": "en", "created_at": 0.0}
                    for each in ("default", "other")
                ],
            )
        yield SqlObservationStore(database)


def with_store(place: DatabasePlace, steps: Callable[[SqlObservationStore], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(place) as store:
            await steps(store)

    asyncio.run(run())


async def found(store: SqlObservationStore, limit: int = 50, **query: object) -> list[str]:
    """Return the log identifiers of all messages that a question finds, part by part."""
    lines: list[MessageLine] = []
    cursor = ""
    while True:
        page = await store.messages("default", MessageQuery(**query), Cut(limit, cursor))  # type: ignore[arg-type]
        lines += page.items
        if not page.next:
            break
        cursor = page.next
    assert len({each.identifier for each in lines}) == len(lines)
    assert [each.identifier for each in lines] == sorted((each.identifier for each in lines), reverse=True)
    return [each.log_identifier for each in lines]
