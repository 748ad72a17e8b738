"""Sharing in the database: destinations, how far each has come in the outbox, and what they did not take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.leases import give_back, take_lease
from mailveil.adapters.database.outboxnumbers import append_outbox
from mailveil.adapters.database.sharingsecrets import SharingSealer
from mailveil.adapters.database.statements import insert, put
from mailveil.control.activityrecords import OutboxEntry
from mailveil.control.records import Cut, Page
from mailveil.control.sharingrecords import DeadLetter, Destination, DestinationKind, Pulse, Standing
from mailveil.control.stores import ConflictError, CursorError
from mailveil.core.sharing.types import PeopleShared, TrafficLight

PORTION = 1000  # events that are deleted at once
_ROWS = tables.destinations
_DEAD = tables.dead_letters
_OUTBOX = tables.outbox


class SqlSharingStore:
    """Destinations, outbox and dead letters (``control.sharingstores.SharingStore``)."""

    def __init__(self, database: Database, sealer: SharingSealer) -> None:
        self._database = database
        self._sealer = sealer

    # --- destinations --------------------------------------------------------------------------------------

    async def destinations(self, organisation: str) -> Sequence[Destination]:
        """Return an organisation's destinations, by name."""
        query = (
            sa.select(_ROWS)
            .where(_ROWS.c.organisation == organisation)
            .order_by(sa.func.lower(_ROWS.c.name), _ROWS.c.identifier)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(self._destination(row) for row in rows)

    async def destination(self, organisation: str, identifier: str) -> Destination | None:
        """Return one destination."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(sa.select(_ROWS).where(_is_destination(organisation, identifier)))
            ).first()
        return None if row is None else self._destination(row)

    async def put_destination(self, destination: Destination) -> None:
        """Make a destination, or change what people chose of one: how far it has come stays as it is."""
        chosen = self._chosen(destination)
        row = {**_progress(destination), **chosen, "secret": chosen.get("secret", "")}
        key = ("organisation", "identifier")
        try:
            async with self._database.write() as connection:
                statement = insert(connection, _ROWS).values(row)
                changed = {name: statement.excluded[name] for name in chosen if name not in key}
                await connection.execute(
                    statement.on_conflict_do_update(index_elements=list(key), set_=changed)
                )
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {destination.organisation}") from error

    async def remove_destination(self, organisation: str, identifier: str) -> bool:
        """Delete a destination with its dead letters; False where there is none."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(_DEAD).where(_is_dead(organisation, identifier)))
            gone = await connection.execute(sa.delete(_ROWS).where(_is_destination(organisation, identifier)))
        return gone.rowcount == 1

    async def standings(self, organisation: str) -> dict[str, Standing]:
        """Return how far each destination is behind, by identifier."""
        waiting = (
            sa.select(sa.func.count())
            .where(_OUTBOX.c.organisation == _ROWS.c.organisation, _OUTBOX.c.number > _ROWS.c.position)
            .scalar_subquery()
        )
        dead = (
            sa.select(sa.func.count())
            .where(_DEAD.c.organisation == _ROWS.c.organisation, _DEAD.c.destination == _ROWS.c.identifier)
            .scalar_subquery()
        )
        query = sa.select(_ROWS.c.identifier, waiting.label("waiting"), dead.label("dead")).where(
            _ROWS.c.organisation == organisation
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {row.identifier: Standing(int(row.waiting), int(row.dead)) for row in rows}

    async def pulse(self) -> Sequence[Pulse]:
        """Return the enabled destinations of all organisations."""
        retries = sa.exists().where(
            _DEAD.c.organisation == _ROWS.c.organisation,
            _DEAD.c.destination == _ROWS.c.identifier,
            _DEAD.c.retry_at > 0,
        )
        numbers = tables.outbox_numbers
        query = (
            sa.select(_ROWS, numbers.c.number.label("last"), retries.label("has_retries"))
            .outerjoin(numbers, numbers.c.organisation == _ROWS.c.organisation)
            .where(_ROWS.c.is_enabled)
            .order_by(_ROWS.c.organisation, _ROWS.c.identifier)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(Pulse(self._destination(row), row.last or 0, bool(row.has_retries)) for row in rows)

    # --- progress ------------------------------------------------------------------------------------------

    async def lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take or renew a lease; False while somebody else has it."""
        async with self._database.write() as connection:
            return await take_lease(connection, name, holder, now, until)

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        async with self._database.write() as connection:
            await give_back(connection, name, holder)

    async def advance(self, destination: Destination, position: int, delivered: int, at: float) -> bool:
        """Write down that events up to ``position`` are over; nothing keeps the destination back any more."""
        values: dict[str, Any] = {"position": position, "attempts": 0, "next_try_at": 0.0, "problem": ""}
        if delivered:
            values |= {"delivered": _ROWS.c.delivered + delivered, "delivered_at": at}
        async with self._database.write() as connection:
            return await _move(connection, destination, values)

    async def put_off(
        self, destination: Destination, attempts: int, next_try_at: float, problem: str
    ) -> bool:
        """Write down that it did not work, why, and when to try again."""
        values = {"attempts": attempts, "next_try_at": next_try_at, "problem": problem}
        async with self._database.write() as connection:
            return await _move(connection, destination, values)

    async def bury(self, destination: Destination, letter: DeadLetter) -> bool:
        """Write down that an event was not taken, and that its number is over."""
        values = {"position": letter.number, "attempts": 0, "next_try_at": 0.0, "problem": ""}
        async with self._database.write() as connection:
            if not await _move(connection, destination, values):
                return False
            await put(connection, _DEAD, _letter_row(letter))
        return True

    async def rewind(self, organisation: str, identifier: str, position: int) -> None:
        """Have a destination go on after another position, at once."""
        values = {"position": position, "attempts": 0, "next_try_at": 0.0, "problem": ""}
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(_ROWS).where(_is_destination(organisation, identifier)).values(values)
            )

    async def disable(self, organisation: str, identifier: str, problem: str) -> None:
        """Deliver nothing any more to a destination, for the reason given."""
        values = {"is_enabled": False, "problem": problem}
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(_ROWS).where(_is_destination(organisation, identifier)).values(values)
            )

    # --- the outbox ----------------------------------------------------------------------------------------

    async def entries_after(self, organisation: str, position: int, limit: int) -> Sequence[OutboxEntry]:
        """Return what comes after a position, in order."""
        query = (
            sa.select(_OUTBOX)
            .where(_OUTBOX.c.organisation == organisation, _OUTBOX.c.number > position)
            .order_by(_OUTBOX.c.number)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            OutboxEntry(
                row.organisation, row.identifier, row.at, row.kind, row.subject, row.record, row.number
            )
            for row in rows
        )

    async def last_number(self, organisation: str) -> int:
        """Return the number of the last event, 0 where there was none."""
        numbers = tables.outbox_numbers
        query = sa.select(numbers.c.number).where(numbers.c.organisation == organisation)
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one_or_none() or 0)

    async def position_before(self, organisation: str, at: float) -> int:
        """Return the position from which all events since ``at`` that are kept follow."""
        async with self._database.read() as connection:
            return await _position_before(connection, organisation, at)

    async def append(self, entries: Sequence[OutboxEntry]) -> None:
        """Add events, which get their numbers."""
        async with self._database.write() as connection:
            await append_outbox(connection, entries)

    async def prune(self, organisation: str, before: float, most: int, at: float) -> int:
        """Delete a portion of the oldest events, as far as they are older than ``before`` or more than ``most``."""
        async with self._database.write() as connection:
            await connection.execute(
                sa.delete(_DEAD).where(_DEAD.c.organisation == organisation, _DEAD.c.died_at < before)
            )
            bound = max(
                await _position_before(connection, organisation, before),
                await _position_of_surplus(connection, organisation, most),
            )
            bound = min(bound, await _end_of_portion(connection, organisation))
            if not bound:
                return 0
            await _count_missed(connection, organisation, bound, at)
            gone = await connection.execute(
                sa.delete(_OUTBOX).where(_OUTBOX.c.organisation == organisation, _OUTBOX.c.number <= bound)
            )
        return gone.rowcount

    # --- dead letters --------------------------------------------------------------------------------------

    async def dead_letters(self, organisation: str, destination: str, cut: Cut) -> Page[DeadLetter]:
        """Return what a destination did not take, newest first."""
        order = (_DEAD.c.number,)
        query = (
            sa.select(_DEAD)
            .where(
                _is_dead(organisation, destination),
                beyond(order, _number_of(cut), descending=True),
            )
            .order_by(_DEAD.c.number.desc())
            .limit(limit_of(cut) + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _letter, lambda row: (str(row.number),))

    async def dead_letter(self, organisation: str, destination: str, number: int) -> DeadLetter | None:
        """Return one of them."""
        query = sa.select(_DEAD).where(_is_dead(organisation, destination, (number,)))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _letter(row)

    async def retry(self, organisation: str, destination: str, numbers: Collection[int], at: float) -> int:
        """Have dead letters tried again (no numbers: all of them); return how many."""
        statement = sa.update(_DEAD).where(_is_dead(organisation, destination, numbers)).values(retry_at=at)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def to_retry(self, organisation: str, destination: str, limit: int) -> Sequence[DeadLetter]:
        """Return those that are to be tried again, in order."""
        query = (
            sa.select(_DEAD)
            .where(_is_dead(organisation, destination), _DEAD.c.retry_at > 0)
            .order_by(_DEAD.c.number)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(_letter(row) for row in rows)

    async def bury_again(self, letter: DeadLetter) -> None:
        """Write down that one was not taken once more; where it is gone meanwhile, it stays so."""
        statement = (
            sa.update(_DEAD)
            .where(_is_dead(letter.organisation, letter.destination, (letter.number,)))
            .values(retry_at=letter.retry_at, died_at=letter.died_at, problem=letter.problem)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def forget(self, organisation: str, destination: str, numbers: Collection[int]) -> int:
        """Delete dead letters (no numbers: all of them); return how many."""
        statement = sa.delete(_DEAD).where(_is_dead(organisation, destination, numbers))
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    # --- rows ----------------------------------------------------------------------------------------------

    def _chosen(self, destination: Destination) -> dict[str, Any]:
        """Return what people choose of a destination; without its secret where that is to stay as it is stored."""
        chosen: dict[str, Any] = {
            "organisation": destination.organisation,
            "identifier": destination.identifier,
            "name": destination.name,
            "kind": str(destination.kind),
            "address": destination.address,
            "options": {
                "format": destination.format,
                "events": list(destination.events),
                "least_score": destination.least_score,
                "people": str(destination.people),
                "traffic_light": str(destination.traffic_light),
                "more": dict(destination.options),
            },
            "is_enabled": destination.is_enabled,
            "problem": destination.problem,
            "created_by": destination.created_by,
            "created_at": destination.created_at,
            "changed_at": destination.changed_at,
        }
        if destination.secret or not destination.is_secret_lost:
            chosen["secret"] = self._sealer.seal(_owner(destination.identifier), destination.secret)
        return chosen

    def _destination(self, row: sa.Row[Any]) -> Destination:
        secret = self._sealer.open(_owner(row.identifier), row.secret)
        options = row.options
        return Destination(
            identifier=row.identifier,
            organisation=row.organisation,
            name=row.name,
            kind=DestinationKind(row.kind),
            address=row.address,
            format=options["format"],
            events=tuple(options["events"]),
            least_score=float(options["least_score"]),
            people=PeopleShared(options["people"]),
            traffic_light=TrafficLight(options["traffic_light"]),
            options=options["more"],
            secret=secret or "",
            is_enabled=row.is_enabled,
            created_by=row.created_by,
            created_at=row.created_at,
            changed_at=row.changed_at,
            position=row.position,
            attempts=row.attempts,
            next_try_at=row.next_try_at,
            delivered_at=row.delivered_at,
            problem=row.problem,
            delivered=row.delivered,
            missed=row.missed,
            missed_at=row.missed_at,
            is_secret_lost=secret is None,
        )


def _owner(identifier: str) -> str:
    return f"destination:{identifier}"


def _progress(destination: Destination) -> dict[str, Any]:
    return {
        "position": destination.position,
        "attempts": destination.attempts,
        "next_try_at": destination.next_try_at,
        "delivered_at": destination.delivered_at,
        "delivered": destination.delivered,
        "missed": destination.missed,
        "missed_at": destination.missed_at,
    }


def _is_destination(organisation: str, identifier: str) -> sa.ColumnElement[bool]:
    return sa.and_(_ROWS.c.organisation == organisation, _ROWS.c.identifier == identifier)


def _is_dead(organisation: str, destination: str, numbers: Collection[int] = ()) -> sa.ColumnElement[bool]:
    condition = sa.and_(_DEAD.c.organisation == organisation, _DEAD.c.destination == destination)
    return sa.and_(condition, _DEAD.c.number.in_(list(numbers))) if numbers else condition


def _number_of(cut: Cut) -> tuple[int, ...]:
    """Return the number in a cursor; it is text there, since numbers of events outgrow those of other lists."""
    values = decode_cursor(cut.cursor, str)
    if values and not (values[0].isdecimal() and len(values[0]) < 19):
        raise CursorError("the cursor belongs to another list")
    return tuple(int(each) for each in values)


async def _move(connection: AsyncConnection, destination: Destination, values: dict[str, Any]) -> bool:
    """Write progress down, unless somebody else has moved the destination since it was read."""
    statement = (
        sa.update(_ROWS)
        .where(
            _is_destination(destination.organisation, destination.identifier),
            _ROWS.c.position == destination.position,
        )
        .values(values)
    )
    return (await connection.execute(statement)).rowcount == 1


async def _position_before(connection: AsyncConnection, organisation: str, at: float) -> int:
    """Return the position in front of the first event that is not older; behind the last one where all are."""
    own = _OUTBOX.c.organisation == organisation
    first = sa.select(sa.func.min(_OUTBOX.c.number)).where(own, _OUTBOX.c.at >= at)
    found = (await connection.execute(first)).scalar_one()
    if found is not None:
        return int(found) - 1
    last = sa.select(sa.func.max(_OUTBOX.c.number)).where(own)
    return int((await connection.execute(last)).scalar_one() or 0)


async def _position_of_surplus(connection: AsyncConnection, organisation: str, most: int) -> int:
    """Return the number of the newest event that is one too many, 0 where none is."""
    query = (
        sa.select(_OUTBOX.c.number)
        .where(_OUTBOX.c.organisation == organisation)
        .order_by(_OUTBOX.c.number.desc())
        .offset(most)
        .limit(1)
    )
    return int((await connection.execute(query)).scalar_one_or_none() or 0)


async def _end_of_portion(connection: AsyncConnection, organisation: str) -> int:
    oldest = (
        sa.select(_OUTBOX.c.number)
        .where(_OUTBOX.c.organisation == organisation)
        .order_by(_OUTBOX.c.number)
        .limit(PORTION)
        .subquery()
    )
    return int((await connection.execute(sa.select(sa.func.max(oldest.c.number)))).scalar_one() or 0)


async def _count_missed(connection: AsyncConnection, organisation: str, bound: int, at: float) -> None:
    """Have destinations that are behind go on after ``bound``, and count what they miss by that."""
    missed = (
        sa.select(sa.func.count())
        .where(
            _OUTBOX.c.organisation == organisation,
            _OUTBOX.c.number > _ROWS.c.position,
            _OUTBOX.c.number <= bound,
        )
        .scalar_subquery()
    )
    await connection.execute(
        sa.update(_ROWS)
        .where(_ROWS.c.organisation == organisation, _ROWS.c.position < bound)
        .values(
            missed=_ROWS.c.missed + missed,
            missed_at=sa.case((missed > 0, at), else_=_ROWS.c.missed_at),
            position=bound,
        )
    )


def _letter_row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "organisation": letter.organisation,
        "destination": letter.destination,
        "number": letter.number,
        "at": letter.at,
        "died_at": letter.died_at,
        "kind": letter.kind,
        "subject": letter.subject,
        "identifier": letter.identifier,
        "record": dict(letter.record),
        "problem": letter.problem,
        "retry_at": letter.retry_at,
    }


def _letter(row: sa.Row[Any]) -> DeadLetter:
    return DeadLetter(
        destination=row.destination,
        organisation=row.organisation,
        number=row.number,
        at=row.at,
        died_at=row.died_at,
        kind=row.kind,
        subject=row.subject,
        problem=row.problem,
        record=row.record,
        identifier=row.identifier,
        retry_at=row.retry_at,
    )
