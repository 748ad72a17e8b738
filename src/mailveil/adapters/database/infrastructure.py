"""What lies behind hosts, in the database: which hosts it is wanted of, and what fetches have shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import insert
from mailveil.control.activitystores import InfrastructureShared
from mailveil.core.intelligence.attribution import fingerprint_of
from mailveil.core.intelligence.types import InfrastructureFacts, Role, infrastructure_facts_of
from mailveil.core.observation import observation_identifier
from mailveil.core.observation.types import Observation

WANTED_FOR_S = 3 * 86_400.0  # a fetch comes soon after a message, or never
ANEW_AFTER_S = 7 * 86_400.0
MAX_SHOWN = 20
MAX_MARKS = 50  # of what a host has in common with others
MAX_HOSTS = 50  # of one message
BUILT = "fingerprint"  # how addresses are made
SERVER = "server"  # how a server answers, field by field and byte by byte
FACTS = "facts"  # what such a subject is called among those to be studied


async def want(connection: AsyncConnection, observations: Iterable[Observation]) -> None:
    """Take note of the hosts of trackers that no vendor is known to run, with when they were last met."""
    last: dict[tuple[str, str], float] = {}
    prints: set[tuple[str, str, str]] = set()
    for each in observations:
        prints.update((each.organisation, host, print_) for host, print_ in prints_of(each))
        for host in wanted_hosts(each):
            key = (each.organisation, host)
            last[key] = max(each.at, last.get(key, 0.0))
    if not last:
        return
    rows = [
        {
            "organisation": organisation,
            "host": host,
            "at": at,
            "found_at": 0.0,
            "identifier": "",
            "record": {},
        }
        for (organisation, host), at in sorted(last.items())
    ]
    statement = insert(connection, tables.infrastructure)
    columns = tables.infrastructure.c
    newer = sa.case((statement.excluded.at > columns.at, statement.excluded.at), else_=columns.at)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["organisation", "host"], set_={"at": newer}),
        rows,
    )
    marks = tables.infrastructure_marks
    built = [
        {"organisation": organisation, "role": BUILT, "value": print_, "host": host}
        for organisation, host, print_ in sorted(prints)
    ]
    if built:
        await connection.execute(insert(connection, marks).on_conflict_do_nothing(), built)


def wanted_hosts(observation: Observation) -> list[str]:
    """Return the hosts of a message's trackers that no vendor is known to run."""
    hosts = (each.host for each in observation.references if each.is_tracker and not each.operator)
    return [each for each in dict.fromkeys(hosts) if each and each != "*"][:MAX_HOSTS]


def prints_of(observation: Observation) -> set[tuple[str, str]]:
    """Return hosts of such trackers with what their technology is known by, whatever the domain."""
    wanted = frozenset(wanted_hosts(observation))
    return {
        (each.host, print_)
        for each in observation.references
        if each.is_tracker and each.host in wanted and (print_ := fingerprint_of(each))
    }


class SqlInfrastructureStore:
    """Implements ``control.activitystores.InfrastructureStore`` in SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wanted(self, organisation: str, now: float, limit: int) -> Collection[str]:
        """Return hosts that were met lately and that nothing is known of, or nothing new for long."""
        columns = tables.infrastructure.c
        unknown = columns.found_at == 0.0
        outdated = sa.and_(columns.found_at < now - ANEW_AFTER_S, columns.at > columns.found_at)
        question = (
            sa.select(columns.host)
            .where(
                columns.organisation == organisation,
                columns.at >= now - WANTED_FOR_S,
                sa.or_(unknown, outdated),
            )
            .order_by(columns.at.desc(), columns.host)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list((await connection.execute(question)).scalars())

    async def found(self, organisation: str, facts: Mapping[str, InfrastructureFacts], now: float) -> int:
        """Write down what is known of hosts; what is new is to be studied. Return how much that is."""
        news = 0
        async with self._database.write() as connection:
            known = await self._known(connection, organisation, facts)
            for host, each in sorted(facts.items()):
                if host not in known:
                    continue
                values: dict[str, Any] = {"found_at": now}
                bare = replace(each, identifier="", organisation="", at=0.0)
                if known[host] != bare.record():
                    await _mark(connection, organisation, bare)
                    identifier = observation_identifier(now, f"{FACTS} {host}", organisation)
                    values |= {"identifier": identifier, "record": bare.record()}
                    await connection.execute(
                        insert(connection, tables.unstudied)
                        .values(organisation=organisation, identifier=identifier, kind=FACTS)
                        .on_conflict_do_nothing()
                    )
                    news += 1
                await connection.execute(
                    tables.infrastructure.update()
                    .where(
                        tables.infrastructure.c.organisation == organisation,
                        tables.infrastructure.c.host == host,
                    )
                    .values(values)
                )
        return news

    async def known(self, organisation: str, host: str) -> InfrastructureFacts | None:
        """Return what is known of a host (a template)."""
        async with self._database.read() as connection:
            record = (await self._known(connection, organisation, [host])).get(host)
        return infrastructure_facts_of(record) if record else None

    async def alike(self, organisation: str, host: str) -> Sequence[InfrastructureShared]:
        """Return what a host has in common with others, what fewest have first; the hosts where they are few."""
        mine, others = tables.infrastructure_marks.alias("mine"), tables.infrastructure_marks.alias("others")
        total = sa.func.count().label("total")
        of_host = (
            sa.select(mine.c.role, mine.c.value, total)
            .join(
                others,
                (others.c.organisation == mine.c.organisation)
                & (others.c.role == mine.c.role)
                & (others.c.value == mine.c.value)
                & (others.c.host != mine.c.host),
            )
            .where(mine.c.organisation == organisation, mine.c.host == host)
            .group_by(mine.c.role, mine.c.value)
            .order_by(total, mine.c.role, mine.c.value)
            .limit(MAX_MARKS)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(of_host)).all()
            few = [(each.role, each.value) for each in found if each.total <= MAX_SHOWN]
            columns, hosts = tables.infrastructure_marks.c, dict[tuple[str, str], list[str]]()
            named = (
                sa.select(columns.role, columns.value, columns.host)
                .where(
                    columns.organisation == organisation,
                    sa.tuple_(columns.role, columns.value).in_(few),
                    columns.host != host,
                )
                .order_by(columns.host)
            )
            for each in await connection.execute(named) if few else ():
                hosts.setdefault((each.role, each.value), []).append(each.host)
        return [
            InfrastructureShared(
                each.role, each.value, tuple(hosts.get((each.role, each.value), ())), each.total
            )
            for each in found
        ]

    @staticmethod
    async def _known(
        connection: AsyncConnection, organisation: str, hosts: Collection[str]
    ) -> dict[str, dict[str, Any]]:
        columns = tables.infrastructure.c
        question = sa.select(columns.host, columns.record).where(
            columns.organisation == organisation, columns.host.in_(list(hosts))
        )
        plain = InfrastructureFacts("")
        return {
            row.host: infrastructure_facts_of({**plain.record(), **row.record}).record() if row.record else {}
            for row in await connection.execute(question)
        }


async def _mark(connection: AsyncConnection, organisation: str, facts: InfrastructureFacts) -> None:
    """Write down by what a host belongs with others, instead of what stood there before."""
    marks = tables.infrastructure_marks
    await connection.execute(
        marks.delete().where(
            marks.c.organisation == organisation, marks.c.host == facts.host, marks.c.role != BUILT
        )
    )
    rows = [
        {"organisation": organisation, "role": role, "value": value[:255], "host": facts.host}
        for role, value in marks_of(facts)
    ]
    if rows:
        await connection.execute(insert(connection, marks).on_conflict_do_nothing(), rows)


def marks_of(facts: InfrastructureFacts) -> list[tuple[str, str]]:
    """Return by what hosts belong together; how a server answers counts as a whole, since each part is everybody's."""
    marks = [(str(Role.CANONICAL_NAME), each) for each in facts.canonical_names]
    marks += [(Role.NAME_SERVER, each) for each in facts.name_servers]
    marks += [(Role.ADDRESS, each) for each in facts.addresses]
    if facts.certificate:
        marks.append((Role.CERTIFICATE, facts.certificate))
    if facts.header_order and facts.body:
        marks.append((SERVER, f"{facts.header_order} {facts.body}"))
    return list(dict.fromkeys(marks))


async def facts_by_identifier(
    connection: AsyncConnection, organisation: str, identifiers: Collection[str]
) -> dict[str, InfrastructureFacts]:
    """Return facts as subjects of studying, by their identifiers; what was found anew since is not there."""
    columns = tables.infrastructure.c
    question = sa.select(columns.identifier, columns.found_at, columns.record).where(
        columns.organisation == organisation, columns.identifier.in_(list(identifiers))
    )
    return {
        row.identifier: replace(
            infrastructure_facts_of(row.record),
            identifier=row.identifier,
            organisation=organisation,
            at=int(row.identifier[:12], 16) / 1000,
        )
        for row in await connection.execute(question)
    }
