"""The audit trail in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import delete_in_portions
from mailveil.control.records import AuditEntry, Cut, Page

PORTION = 1000


class SqlAuditLog:
    """Who did what (``control.stores.AuditLog``). No method changes an entry."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entry: AuditEntry) -> None:
        """Add an entry."""
        row = {
            "organisation": entry.organisation,
            "identifier": entry.identifier,
            "at": entry.at,
            "actor_kind": entry.actor_kind,
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "details": dict(entry.details),
            "address": entry.address,
        }
        async with self._database.write() as connection:
            await connection.execute(sa.insert(tables.audit).values(row))

    async def entries(
        self, organisation: str, cut: Cut, *, action: str = "", actor: str = "", subject: str = ""
    ) -> Page[AuditEntry]:
        """Return entries, newest first; what is empty holds for all."""
        audit = tables.audit.c
        query = (
            sa.select(tables.audit)
            .where(
                audit.organisation == organisation,
                beyond((audit.identifier,), decode_cursor(cut.cursor, str), descending=True),
            )
            .order_by(audit.identifier.desc())
            .limit(limit_of(cut) + 1)
        )
        for column, value in ((audit.action, action), (audit.actor, actor), (audit.subject, subject)):
            if value:
                query = query.where(column == value)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _entry, lambda row: (row.identifier,))

    async def organisations(self) -> Sequence[str]:
        """Return whose entries there are, organisations that were removed included; one look-up for each."""
        found: list[str] = []
        async with self._database.read() as connection:
            while True:
                after = tables.audit.c.organisation > found[-1] if found else sa.true()
                query = sa.select(sa.func.min(tables.audit.c.organisation)).where(after)
                name: str | None = (await connection.execute(query)).scalar_one()
                if name is None:
                    return found
                found.append(name)

    async def expire(self, organisation: str, before: float) -> int:
        """Delete a portion of the entries older than that; return how many, 0 once there are none."""
        old = (tables.audit.c.organisation == organisation) & (tables.audit.c.at < before)
        async with self._database.write() as connection:
            return await delete_in_portions(connection, tables.audit, old, PORTION)


def _entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(
        identifier=row.identifier,
        at=row.at,
        organisation=row.organisation,
        actor_kind=row.actor_kind,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        details=row.details,
        address=row.address,
    )
