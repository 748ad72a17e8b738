"""Organisations in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import POLICY_STAMP, add, bump, put
from mailveil.control.records import DEFAULT_ORGANISATION, Organisation
from mailveil.control.stores import ConflictError


class SqlOrganisationStore:
    """The organisations of this installation (``control.stores.OrganisationStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def organisations(self) -> Sequence[Organisation]:
        """Return all of them, ``default`` first."""
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(tables.organisations))).all()
            domains: dict[str, list[str]] = defaultdict(list)
            for each in await connection.execute(sa.select(tables.domains).order_by(tables.domains.c.domain)):
                domains[each.organisation].append(each.domain)
        found = [
            Organisation(
                row.identifier, row.name, tuple(domains[row.identifier]), row.language, row.created_at
            )
            for row in rows
        ]
        return sorted(found, key=lambda each: (each.identifier != DEFAULT_ORGANISATION, each.identifier))

    async def make_default(self, at: float) -> None:
        """Make the organisation ``default`` unless it is there."""
        row = {"identifier": DEFAULT_ORGANISATION, "name": "Default", "language": "en", "created_at": at}
        async with self._database.write() as connection:
            if await add(connection, tables.organisations, row):
                await bump(connection, tables.stamps, POLICY_STAMP)

    async def put(self, organisation: Organisation) -> None:
        """Make or change one, its domains in lower case. Raises ``ConflictError`` where a domain is another's."""
        domains = sorted({each.lower() for each in organisation.domains})
        row = {
            "identifier": organisation.identifier,
            "name": organisation.name,
            "language": organisation.language,
            "created_at": organisation.created_at,
        }
        owned = tables.domains.c.organisation == organisation.identifier
        try:
            async with self._database.write() as connection:
                await put(connection, tables.organisations, row)
                await connection.execute(sa.delete(tables.domains).where(owned))
                if domains:
                    rows = [{"domain": each, "organisation": organisation.identifier} for each in domains]
                    await connection.execute(sa.insert(tables.domains), rows)
                await bump(connection, tables.stamps, POLICY_STAMP)
        except IntegrityError as error:
            raise ConflictError(await self._whose(organisation.identifier, domains)) from error

    async def _whose(self, identifier: str, domains: Sequence[str]) -> str:
        query = (
            sa.select(tables.domains)
            .where(tables.domains.c.domain.in_(domains), tables.domains.c.organisation != identifier)
            .order_by(tables.domains.c.domain)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:  # changed again meanwhile
            return "one of the domains belonged to another organisation; try again"
        return f"the domain {row.domain} belongs to the organisation {row.organisation}"

    async def remove(self, identifier: str) -> None:
        """Delete one with everything that is kept of it, and the users at home in it; its audit trail stays.

        Raises ``ConflictError`` for ``default``, which stays.
        """
        if identifier == DEFAULT_ORGANISATION:
            raise ConflictError(
                f"the organisation {DEFAULT_ORGANISATION} stays: it gets what belongs to no other"
            )
        async with self._database.write() as connection:
            for table, column in (
                (tables.sessions, tables.sessions.c.organisation),
                (tables.links, tables.links.c.home),
                (tables.users, tables.users.c.home),
                (tables.organisations, tables.organisations.c.identifier),
            ):
                await connection.execute(sa.delete(table).where(column == identifier))
            await bump(connection, tables.stamps, POLICY_STAMP)
