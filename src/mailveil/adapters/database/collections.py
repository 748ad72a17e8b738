"""Collections of shared objects in the database, in the order in which they were added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import decode_cursor, encode_cursor
from mailveil.adapters.database.engine import Database
from mailveil.control.records import Cut, Page
from mailveil.control.sharedobjects import MAX_OBJECTS, SharedObject, SharedQuery
from mailveil.core.sharing.wording import fine_timestamp
from mailveil.ports import Clock

KEPT_VERSIONS: Final = 10  # of one object; who reads on sees the latest in any case
PORTION: Final = 400  # identifiers asked for at once
# Not made of any one subject: whoever looks alike is the same, and stays while others refer to it.
_COMMON: Final = frozenset(
    {
        "marking-definition",
        "attack-pattern",
        "domain-name",
        "url",
        "ipv4-addr",
        "ipv6-addr",
        "x509-certificate",
        "identity",  # of organisations: collections name no people
    }
)
_LASTING: Final = ("created", "created_by_ref")  # of every version of an object (STIX 2.1 section 3.6)
_objects: Final = tables.shared_objects.c


class SqlSharedObjectStore:
    """Collections (``control.sharedobjects.SharedObjectStore``)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self, organisation: str, collection: str, objects: Sequence[Mapping[str, Any]], subject: str
    ) -> int:
        """Add objects that a collection does not have in this version yet, in this order; return how many."""
        mine = (_objects.organisation == organisation) & (_objects.collection == collection)
        async with self._database.write() as connection:
            if not await _locked(connection, organisation):
                return 0  # the organisation is gone, and its collections with it
            known = await _latest(connection, mine, {str(each["id"]) for each in objects})
            newest = sa.select(sa.func.max(_objects.added_at)).where(mine)
            last = (await connection.execute(newest)).scalar_one() or 0
            rows = []
            for each in objects:
                made = _next_version(each, known.get(str(each["id"])))
                if made is None:
                    continue
                last = max(last + 1, int(self._clock.now() * 1_000_000))
                rows.append(_row(organisation, collection, subject, made, last))
                known[str(made["id"])] = (rows[-1]["version"], made)
            if rows:
                await connection.execute(sa.insert(tables.shared_objects), rows)
                await _forget_old(connection, mine, {row["identifier"] for row in rows})
        return len(rows)

    async def objects(
        self, organisation: str, collection: str, query: SharedQuery, cut: Cut
    ) -> Page[SharedObject]:
        """Return objects in the order in which they were added. Raises ``CursorError``."""
        limit = min(max(cut.limit, 1), MAX_OBJECTS)
        after = decode_cursor(cut.cursor, float)
        begin = max(query.added_after, int(after[0]) if after else 0)
        statement = (
            sa.select(tables.shared_objects)
            .where(
                _objects.organisation == organisation,
                _objects.collection == collection,
                _objects.added_at > begin,
                _wanted(query),
            )
            .order_by(_objects.added_at)
            .limit(limit + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        following = encode_cursor(float(rows[limit - 1].added_at)) if len(rows) > limit else ""
        return Page(tuple(map(_object, rows[:limit])), following)

    async def of_subject(self, organisation: str, collection: str, subject: str) -> Sequence[SharedObject]:
        """Return the latest version of everything that was made of an activity, alert or tracker."""
        statement = (
            sa.select(tables.shared_objects)
            .where(
                _objects.organisation == organisation,
                _objects.collection == collection,
                _objects.subject == subject,
                _is_last(),
            )
            .order_by(_objects.added_at)
        )
        async with self._database.read() as connection:
            return [_object(row) for row in (await connection.execute(statement)).all()]

    async def latest(self, organisation: str, collection: str) -> int:
        """Return when something was last added, in microseconds, 0 where nothing ever was."""
        mine = (_objects.organisation == organisation) & (_objects.collection == collection)
        async with self._database.read() as connection:
            newest = sa.select(sa.func.max(_objects.added_at)).where(mine)
            return (await connection.execute(newest)).scalar_one() or 0


async def _locked(connection: AsyncConnection, organisation: str) -> bool:
    """Have nobody else add to an organisation's collections: who reads on must miss nothing that commits later."""
    columns = tables.organisations.c
    row = (
        sa.select(columns.identifier)
        .where(columns.identifier == organisation)
        .with_for_update(key_share=True)
    )
    return (await connection.execute(row)).first() is not None


async def _latest(
    connection: AsyncConnection, mine: sa.ColumnElement[bool], wanted: Iterable[str]
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the latest version of objects, with the object, by identifier."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for names in _portions(wanted):
        statement = sa.select(_objects.identifier, _objects.version, _objects.object).where(
            mine, _objects.identifier.in_(names), _is_last()
        )
        for row in (await connection.execute(statement)).all():
            found[row.identifier] = (row.version, row.object)
    return found


def _next_version(
    made: Mapping[str, Any], known: tuple[str, Mapping[str, Any]] | None
) -> Mapping[str, Any] | None:
    """Return what is to be added, ``None`` where there is nothing new in it."""
    if known is None:
        return made
    before = known[1]
    if before.get("revoked"):
        return None  # for ever (STIX 2.1 section 3.6)
    made = {**made, **{name: before[name] for name in _LASTING if name in before and name in made}}
    if {**made, "modified": ""} == {**before, "modified": ""}:
        return None
    if "modified" in made and made["modified"] <= before.get("modified", ""):
        return None
    return made


def _row(
    organisation: str, collection: str, subject: str, made: Mapping[str, Any], added_at: int
) -> dict[str, Any]:
    return {
        "organisation": organisation,
        "collection": collection,
        "identifier": str(made["id"]),
        # What has no versions of its own goes by when it was added (TAXII 2.1 section 5.6.1).
        "version": str(made.get("modified") or made.get("created") or fine_timestamp(added_at)),
        "added_at": added_at,
        "kind": str(made["type"]),
        "object": dict(made),
        "subject": "" if made["type"] in _COMMON else subject,
    }


async def _forget_old(
    connection: AsyncConnection, mine: sa.ColumnElement[bool], names: Iterable[str]
) -> None:
    """Delete all but the latest versions of objects that have just got one more."""
    for portion in _portions(names):
        many = (
            sa.select(_objects.identifier)
            .where(mine, _objects.identifier.in_(portion))
            .group_by(_objects.identifier)
            .having(sa.func.count() > KEPT_VERSIONS)
        )
        for name in (await connection.execute(many)).scalars().all():
            this = mine & (_objects.identifier == name)
            oldest = (
                sa.select(_objects.version)
                .where(this)
                .order_by(_objects.version.desc())
                .offset(KEPT_VERSIONS - 1)
                .limit(1)
            )
            bound = (await connection.execute(oldest)).scalar_one()
            await connection.execute(sa.delete(tables.shared_objects).where(this, _objects.version < bound))


def _wanted(query: SharedQuery) -> sa.ColumnElement[bool]:
    conditions: list[sa.ColumnElement[bool]] = []
    if query.identifiers:
        conditions.append(_objects.identifier.in_(query.identifiers))
    if query.kinds:
        conditions.append(_objects.kind.in_(query.kinds))
    if "all" not in query.versions:
        named = [each for each in query.versions if each not in ("first", "last")]
        either: list[sa.ColumnElement[bool]] = [_objects.version.in_(named)] if named else []
        if "last" in query.versions:
            either.append(_is_last())
        if "first" in query.versions:
            either.append(~_has_other(later=False))
        conditions.append(sa.or_(*either))
    return sa.and_(sa.true(), *conditions)


def _is_last() -> sa.ColumnElement[bool]:
    return ~_has_other(later=True)


def _has_other(*, later: bool) -> sa.ColumnElement[bool]:
    """Return the condition that there is a later or an earlier version of the same object."""
    other = tables.shared_objects.alias()
    beyond = other.c.version > _objects.version if later else other.c.version < _objects.version
    return sa.exists(
        sa.select(sa.literal(1)).where(
            other.c.organisation == _objects.organisation,
            other.c.collection == _objects.collection,
            other.c.identifier == _objects.identifier,
            beyond,
        )
    )


def _object(row: sa.Row[Any]) -> SharedObject:
    return SharedObject(row.identifier, row.version, row.added_at, row.kind, row.object)


def _portions(names: Iterable[str]) -> Iterable[Sequence[str]]:
    ordered = sorted(names)
    return (ordered[at : at + PORTION] for at in range(0, len(ordered), PORTION))
