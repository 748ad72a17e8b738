"""Policies and allow-lists in the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import POLICY_STAMP, bump, put
from mailveil.control.records import AllowRecord, Cut, Page, PolicyVersion
from mailveil.control.stores import ConflictError
from mailveil.ports import Clock


class SqlPolicyStore:
    """Policies with their history, and allow-lists (``control.stores.PolicyStore``)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """``clock`` tells which entries have expired."""
        self._database = database
        self._clock = clock

    async def current(self, organisation: str) -> PolicyVersion | None:
        """Return the policy in force, ``None`` where none was ever written."""
        return await self._latest_of(organisation, sa.true())

    async def put(self, version: PolicyVersion) -> None:
        """Write the next version. Raises ``ConflictError`` unless ``version`` is the current one plus 1."""
        row = {
            "organisation": version.organisation,
            "version": version.version,
            "document": dict(version.document),
            "at": version.at,
            "by": version.by,
            "comment": version.comment,
        }
        conflict = ConflictError(
            f"version {version.version} of the policy is not the next one: it was changed meanwhile"
        )
        try:
            async with self._database.write() as connection:
                if version.version != await _latest(connection, version.organisation) + 1:
                    raise conflict
                await connection.execute(sa.insert(tables.policies).values(row))
                await bump(connection, tables.stamps, POLICY_STAMP)
        except IntegrityError as error:  # by somebody who was faster
            raise conflict from error

    async def version(self, organisation: str, number: int) -> PolicyVersion | None:
        """Return one version."""
        return await self._latest_of(organisation, tables.policies.c.version == number)

    async def version_at(self, organisation: str, at: float) -> PolicyVersion | None:
        """Return the version that was in force at a time."""
        return await self._latest_of(organisation, tables.policies.c.at <= at)

    async def _latest_of(self, organisation: str, condition: sa.ColumnElement[bool]) -> PolicyVersion | None:
        query = (
            sa.select(tables.policies)
            .where(tables.policies.c.organisation == organisation, condition)
            .order_by(tables.policies.c.version.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _version(row)

    async def history(self, organisation: str, cut: Cut) -> Page[PolicyVersion]:
        """Return versions, newest first."""
        order = (tables.policies.c.version,)
        query = (
            sa.select(tables.policies)
            .where(
                tables.policies.c.organisation == organisation,
                beyond(order, decode_cursor(cut.cursor, int), descending=True),
            )
            .order_by(tables.policies.c.version.desc())
            .limit(limit_of(cut) + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _version, lambda row: (row.version,))

    async def allowed(self, organisation: str, cut: Cut, *, all_states: bool = False) -> Page[AllowRecord]:
        """Return allow-list entries, newest first; those in force only, unless ``all_states``."""
        table = tables.allowed
        order = (table.c.created_at, table.c.identifier)
        query = (
            sa.select(table)
            .where(
                table.c.organisation == organisation,
                beyond(order, decode_cursor(cut.cursor, float, str), descending=True),
            )
            .order_by(*(each.desc() for each in order))
            .limit(limit_of(cut) + 1)
        )
        if not all_states:
            is_unexpired = (table.c.expires_at == 0) | (table.c.expires_at > self._clock.now())
            query = query.where(table.c.revoked_at == 0, is_unexpired)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _entry, lambda row: (row.created_at, row.identifier))

    async def allow(self, record: AllowRecord) -> None:
        """Write an entry; one of that identifier is replaced."""
        row = {
            "organisation": record.organisation,
            "identifier": record.identifier,
            "author": record.author,
            "hosts": list(record.hosts),
            "owner": record.owner,
            "reason": record.reason,
            "created_by": record.created_by,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "revoked_at": record.revoked_at,
            "revoked_by": record.revoked_by,
        }
        try:
            async with self._database.write() as connection:
                await put(connection, tables.allowed, row)
                await bump(connection, tables.stamps, POLICY_STAMP)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {record.organisation}") from error

    async def entry(self, organisation: str, identifier: str) -> AllowRecord | None:
        """Return one entry."""
        query = sa.select(tables.allowed).where(
            tables.allowed.c.organisation == organisation, tables.allowed.c.identifier == identifier
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _entry(row)

    async def stamp(self) -> str:
        """Return what changes whenever any policy, allow-list or organisation does; cheap to ask for."""
        query = sa.select(tables.stamps.c.number).where(tables.stamps.c.name == POLICY_STAMP)
        async with self._database.read() as connection:
            number = (await connection.execute(query)).scalar_one_or_none()
        return str(number or 0)


async def _latest(connection: AsyncConnection, organisation: str) -> int:
    query = sa.select(sa.func.max(tables.policies.c.version)).where(
        tables.policies.c.organisation == organisation
    )
    return int((await connection.execute(query)).scalar_one() or 0)


def _version(row: sa.Row[Any]) -> PolicyVersion:
    return PolicyVersion(row.organisation, row.version, row.document, row.at, row.by, row.comment)


def _entry(row: sa.Row[Any]) -> AllowRecord:
    return AllowRecord(
        identifier=row.identifier,
        organisation=row.organisation,
        author=row.author,
        hosts=tuple(row.hosts),
        owner=row.owner,
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )
