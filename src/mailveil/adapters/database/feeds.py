"""Feeds in the database: whose indicators are taken in, how far each was read, and what it told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.leases import give_back, take_lease
from mailveil.adapters.database.sharingsecrets import SharingSealer
from mailveil.adapters.database.statements import bump, insert
from mailveil.control.feedstores import FeedOutcome
from mailveil.control.records import Cut, Page
from mailveil.control.sharingrecords import Feed, FeedKind, ImportedIndicator
from mailveil.control.stores import ConflictError

PORTION: Final = 400  # rows, or identifiers, of one statement
_ROWS = tables.feeds
_INDICATORS = tables.indicators
_CHOSEN: Final = ("name", "address", "options", "is_enabled")


class SqlFeedStore:
    """Feeds and their indicators (``control.feedstores.FeedStore``)."""

    def __init__(self, database: Database, sealer: SharingSealer) -> None:
        self._database = database
        self._sealer = sealer

    async def feeds(self, organisation: str) -> Sequence[Feed]:
        """Return an organisation's feeds, by name, with how many indicators are kept of each."""
        query = self._counted().where(_ROWS.c.organisation == organisation)
        async with self._database.read() as connection:
            rows = (
                await connection.execute(query.order_by(sa.func.lower(_ROWS.c.name), _ROWS.c.identifier))
            ).all()
        return tuple(map(self._feed, rows))

    async def feed(self, organisation: str, identifier: str) -> Feed | None:
        """Return one feed."""
        async with self._database.read() as connection:
            row = (await connection.execute(self._counted().where(_is(organisation, identifier)))).first()
        return None if row is None else self._feed(row)

    async def put_feed(self, feed: Feed) -> None:
        """Make a feed, or change what people chose of one."""
        chosen: dict[str, Any] = {
            "name": feed.name,
            "address": feed.address,
            "options": dict(feed.options),
            "is_enabled": feed.is_enabled,
        }
        if feed.secret or not feed.is_secret_lost:
            chosen["secret"] = self._sealer.seal(_owner(feed.identifier), feed.secret)
        row = {
            "organisation": feed.organisation,
            "identifier": feed.identifier,
            "kind": str(feed.kind),
            "created_by": feed.created_by,
            "created_at": feed.created_at,
            "secret": "",
            "position": feed.position,
            "read_at": feed.read_at,
            "next_read_at": feed.next_read_at,
            "problem": feed.problem,
            "attempts": feed.attempts,
            "figures": dict(feed.figures),
            **chosen,
        }
        try:
            async with self._database.write() as connection:
                statement = insert(connection, _ROWS).values(row)
                changed = {name: statement.excluded[name] for name in chosen}
                await connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["organisation", "identifier"], set_=changed
                    )
                )
                await bump(connection, tables.stamps, _stamp(feed.organisation))
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {feed.organisation}") from error

    async def remove_feed(self, organisation: str, identifier: str) -> bool:
        """Delete a feed with its indicators; False where there is none."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(_INDICATORS).where(_of(organisation, identifier)))
            gone = await connection.execute(sa.delete(_ROWS).where(_is(organisation, identifier)))
            await bump(connection, tables.stamps, _stamp(organisation))
        return gone.rowcount == 1

    async def due(self, now: float) -> Sequence[Feed]:
        """Return enabled feeds of all organisations whose next reading is due, longest due first."""
        query = (
            self._counted()
            .where(_ROWS.c.is_enabled, _ROWS.c.next_read_at <= now)
            .order_by(_ROWS.c.next_read_at, _ROWS.c.organisation, _ROWS.c.identifier)
        )
        async with self._database.read() as connection:
            return tuple(map(self._feed, (await connection.execute(query)).all()))

    async def kept_of_sources(self, feed: Feed) -> Mapping[str, int]:
        """Return how many indicators are kept of each source of a feed."""
        identifier = _INDICATORS.c.identifier
        query = (
            sa.select(identifier, sa.func.count())
            .where(_of(feed.organisation, feed.identifier))
            .group_by(identifier)
        )
        kept: dict[str, int] = {}
        async with self._database.read() as connection, connection.stream(query) as rows:
            async for portion in rows.partitions(PORTION):  # mail has its turn between them
                kept.update((source, count) for source, count in portion)
                await asyncio.sleep(0)
        return kept

    async def took(self, feed: Feed, outcome: FeedOutcome) -> bool:
        """Write down what came of a reading; False where the feed is gone or was changed meanwhile."""
        values = {
            "position": outcome.position,
            "read_at": outcome.at,
            "next_read_at": outcome.next_read_at,
            "problem": "",
            "attempts": 0,
            "figures": dict(outcome.figures),
        }
        is_same = sa.and_(
            _is(feed.organisation, feed.identifier),
            _ROWS.c.address == feed.address,
            _ROWS.c.position == feed.position,
            _ROWS.c.is_enabled,
        )
        async with self._database.write() as connection:
            if (await connection.execute(sa.update(_ROWS).where(is_same).values(values))).rowcount != 1:
                return False
            gone = await self._withdraw(connection, feed, outcome)
            indicators = [each for some in outcome.indicators.values() for each in some]
            statement = insert(connection, _INDICATORS).on_conflict_do_nothing()
            for portion in _portions(indicators):
                await connection.execute(statement, [_row(feed.organisation, each) for each in portion])
            if indicators or gone:
                await bump(connection, tables.stamps, _stamp(feed.organisation))
        return True

    async def _withdraw(self, connection: AsyncConnection, feed: Feed, outcome: FeedOutcome) -> int:
        """Delete what was kept of the sources that were read, and of those that the feed has no longer."""
        of_feed, identifier = _of(feed.organisation, feed.identifier), _INDICATORS.c.identifier
        gone = set(outcome.indicators)
        if outcome.present is not None:
            kept = await connection.execute(sa.select(identifier).where(of_feed).distinct())
            gone |= set(kept.scalars()) - outcome.present
        count = 0
        for portion in _portions(sorted(gone)):
            done = await connection.execute(sa.delete(_INDICATORS).where(of_feed, identifier.in_(portion)))
            count += done.rowcount
        return count

    async def failed(self, feed: Feed, problem: str, attempts: int, next_read_at: float) -> None:
        """Write down that a reading failed, why, and when to try again."""
        values = {"problem": problem, "attempts": attempts, "next_read_at": next_read_at}
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(_ROWS).where(_is(feed.organisation, feed.identifier)).values(values)
            )

    async def read_at_once(self, organisation: str, identifier: str, *, from_beginning: bool = False) -> None:
        """Have a feed read at the next turn."""
        values: dict[str, Any] = {"next_read_at": 0.0, "attempts": 0}
        if from_beginning:
            values["position"] = ""
        async with self._database.write() as connection:
            await connection.execute(sa.update(_ROWS).where(_is(organisation, identifier)).values(values))

    # --- indicators ----------------------------------------------------------------------------------------

    async def indicators(
        self, organisation: str, cut: Cut, *, feed: str = "", value: str = ""
    ) -> Page[ImportedIndicator]:
        """Return indicators, by feed and value; ``value`` is what one begins with."""
        order = tuple(_INDICATORS.c[name] for name in ("feed", "value", "kind", "identifier"))
        query = (
            sa.select(_INDICATORS)
            .where(
                _INDICATORS.c.organisation == organisation,
                beyond(order, decode_cursor(cut.cursor, str, str, str, str)),
            )
            .order_by(*order)
            .limit(limit_of(cut) + 1)
        )
        if feed:
            query = query.where(_INDICATORS.c.feed == feed)
        if value:
            query = query.where(_INDICATORS.c.value.startswith(value, autoescape=True))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _indicator, lambda row: (row.feed, row.value, row.kind, row.identifier))

    async def in_force(self, organisation: str, now: float, limit: int) -> Sequence[ImportedIndicator]:
        """Return the indicators of enabled feeds that hold now, the surest first."""
        enabled = sa.select(_ROWS.c.identifier).where(
            _ROWS.c.organisation == organisation, _ROWS.c.is_enabled
        )
        query = (
            sa.select(_INDICATORS)
            .where(
                _INDICATORS.c.organisation == organisation,
                _INDICATORS.c.feed.in_(enabled),
                _INDICATORS.c.valid_from <= now,
                (_INDICATORS.c.valid_until == 0) | (_INDICATORS.c.valid_until > now),
            )
            .order_by(
                _INDICATORS.c.confidence.desc(), _INDICATORS.c.feed, _INDICATORS.c.value, _INDICATORS.c.kind
            )
            .limit(limit)
        )
        found: list[ImportedIndicator] = []
        async with self._database.read() as connection, connection.stream(query) as rows:
            async for portion in rows.partitions(PORTION):  # mail has its turn between them
                found += map(_indicator, portion)
                await asyncio.sleep(0)
        return tuple(found)

    async def expire(self, now: float) -> int:
        """Delete indicators whose time is over; return how many."""
        is_over = sa.and_(_INDICATORS.c.valid_until > 0, _INDICATORS.c.valid_until <= now)
        async with self._database.write() as connection:
            whose = (
                await connection.execute(sa.select(_INDICATORS.c.organisation).where(is_over).distinct())
            ).scalars()
            for organisation in sorted(whose):
                await bump(connection, tables.stamps, _stamp(organisation))
            return (await connection.execute(sa.delete(_INDICATORS).where(is_over))).rowcount

    async def stamp(self, organisation: str) -> str:
        """Return what changes whenever an organisation's feeds or indicators do."""
        query = sa.select(tables.stamps.c.number).where(tables.stamps.c.name == _stamp(organisation))
        async with self._database.read() as connection:
            return str((await connection.execute(query)).scalar() or 0)

    # --- leases --------------------------------------------------------------------------------------------

    async def lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take or renew a lease; False while somebody else has it."""
        async with self._database.write() as connection:
            return await take_lease(connection, name, holder, now, until)

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        async with self._database.write() as connection:
            await give_back(connection, name, holder)

    # --- rows ----------------------------------------------------------------------------------------------

    def _counted(self) -> sa.Select[Any]:
        count = (
            sa.select(sa.func.count())
            .where(
                _INDICATORS.c.organisation == _ROWS.c.organisation, _INDICATORS.c.feed == _ROWS.c.identifier
            )
            .scalar_subquery()
        )
        return sa.select(_ROWS, count.label("indicators"))

    def _feed(self, row: sa.Row[Any]) -> Feed:
        secret = self._sealer.open(_owner(row.identifier), row.secret)
        return Feed(
            identifier=row.identifier,
            organisation=row.organisation,
            name=row.name,
            kind=FeedKind(row.kind),
            address=row.address,
            options=row.options,
            secret=secret or "",
            is_enabled=row.is_enabled,
            created_by=row.created_by,
            created_at=row.created_at,
            position=row.position,
            read_at=row.read_at,
            next_read_at=row.next_read_at,
            problem=row.problem,
            indicators=int(row.indicators),
            attempts=row.attempts,
            figures=row.figures,
            is_secret_lost=secret is None,
        )


def _owner(identifier: str) -> str:
    return f"feed:{identifier}"


def _stamp(organisation: str) -> str:
    # As short as a stamp's name has to be, whatever the organisation is called.
    return f"feeds {hashlib.blake2b(organisation.encode(), digest_size=12).hexdigest()}"


def _is(organisation: str, identifier: str) -> sa.ColumnElement[bool]:
    return sa.and_(_ROWS.c.organisation == organisation, _ROWS.c.identifier == identifier)


def _of(organisation: str, feed: str) -> sa.ColumnElement[bool]:
    return sa.and_(_INDICATORS.c.organisation == organisation, _INDICATORS.c.feed == feed)


def _row(organisation: str, indicator: ImportedIndicator) -> dict[str, Any]:
    return {
        "organisation": organisation,
        "feed": indicator.feed,
        "identifier": indicator.identifier,
        "kind": indicator.kind,
        "value": indicator.value,
        "confidence": indicator.confidence,
        "valid_from": indicator.valid_from,
        "valid_until": indicator.valid_until,
        "record": {"name": indicator.name, "source": indicator.source, "marking": indicator.marking},
    }


def _indicator(row: sa.Row[Any]) -> ImportedIndicator:
    return ImportedIndicator(
        feed=row.feed,
        identifier=row.identifier,
        kind=row.kind,
        value=row.value,
        confidence=row.confidence,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        name=str(row.record.get("name", "")),
        source=str(row.record.get("source", "")),
        marking=str(row.record.get("marking", "")),
    )


def _portions(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + PORTION] for start in range(0, len(values), PORTION))
