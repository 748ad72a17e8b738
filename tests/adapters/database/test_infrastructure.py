"""What lies behind hosts: wanted of trackers without a vendor, found once, studied, and looked at anew in a while."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from control_room import opened_room
from mailveil.adapters.database import tables
from mailveil.adapters.database.infrastructure import (
    ANEW_AFTER_S,
    WANTED_FOR_S,
    SqlInfrastructureStore,
    facts_by_identifier,
    want,
)
from mailveil.app.prospecting import ProspectLoop
from mailveil.core.intelligence.types import InfrastructureFacts, Role
from mailveil.core.observation import Observation, ObservedReference, observation_identifier
from postgres_room import DatabasePlace

FACTS = InfrastructureFacts(
    "*.spy.example", ("*.hosting.example",), ("ns1.spy.example",), ("192.0.2.9",), "ab" * 32
)


class Memory:
    """What a machine knows that has fetched."""

    def __init__(self, known: Mapping[str, InfrastructureFacts]) -> None:
        self.known = dict(known)
        self.asked: list[Sequence[str]] = []

    async def infrastructure(self, hosts: Sequence[str]) -> Mapping[str, InfrastructureFacts]:
        self.asked.append(hosts)
        return {host: self.known[host] for host in hosts if host in self.known}


def seen(at: float, *references: ObservedReference, organisation: str = "default") -> Observation:
    identifier = observation_identifier(at, f"log {at}", organisation)
    return Observation(identifier, organisation, at, "log", references=references)


def reference(host: str, *, finding: str = "tracker", operator: str = "") -> ObservedReference:
    return ObservedReference(
        f"https://{host}/o.gif", f"https://{host}/*.gif", host, host.removeprefix("*."), "img-src", finding, "copy",
        operator=operator,
    )  # fmt: skip


def test_it_is_wanted_of_own_trackers_found_once_and_studied(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store, now = SqlInfrastructureStore(room.database), room.clock.now()
            message = seen(
                now - 60,
                reference("*.spy.example"),
                reference("cdn.shop.example", finding="content"),
                reference("t.vendor.example", operator="Vendor"),
                reference("px.other.example"),
            )
            async with room.database.write() as connection:
                await want(connection, [message, message])
            memory = Memory({"*.spy.example": FACTS, "t.vendor.example": FACTS})
            loop = ProspectLoop(store, room.room.organisations, memory, room.clock)  # type: ignore[arg-type]
            assert await loop.look() == 1
            assert sorted(memory.asked[0]) == ["*.spy.example", "px.other.example"]
            assert await loop.look() == 0
            assert list(memory.asked[1]) == ["px.other.example"]
            async with room.database.read() as connection:
                rows = (
                    await connection.execute(
                        sa.select(tables.unstudied).where(tables.unstudied.c.kind == "facts")
                    )
                ).all()
                assert len(rows) == 1
                found = await facts_by_identifier(connection, "default", [rows[0].identifier, "0" * 32])
            (facts,) = found.values()
            assert facts.organisation == "default"
            assert abs(facts.at - now) < 0.01
            assert replace(facts, identifier="", organisation="", at=0.0) == FACTS

    asyncio.run(steps())


def test_hosts_behind_the_same_things_are_found_together(database: DatabasePlace) -> None:
    hosts = [f"px.spy{number}.example" for number in range(3)]
    other = InfrastructureFacts("px.else.example", name_servers=("ns1.spy.example",))

    async def steps() -> None:
        async with opened_room(database) as room:
            store, now = SqlInfrastructureStore(room.database), room.clock.now()
            async with room.database.write() as connection:
                await want(connection, [seen(now, *map(reference, [*hosts, "px.else.example"]))])
            facts = {host: replace(FACTS, host=host, header_order="aa", body="bb") for host in hosts}
            await store.found("default", {**facts, "px.else.example": other}, now)
            found = {each.role: each for each in await store.alike("default", hosts[0])}
            assert set(found) == {
                Role.CANONICAL_NAME, Role.NAME_SERVER, Role.ADDRESS, Role.CERTIFICATE, "server",
            }  # fmt: skip
            assert found[Role.CERTIFICATE].hosts == (hosts[1], hosts[2])
            assert (found[Role.NAME_SERVER].total, found[Role.ADDRESS].total) == (3, 2)
            assert await store.known("default", hosts[0]) == facts[hosts[0]]
            assert await store.known("acme", hosts[0]) is None
            assert await store.alike("acme", hosts[0]) == []
            moved = replace(facts[hosts[1]], certificate="cd" * 32)
            await store.found("default", {hosts[1]: moved}, now)
            found = {each.role: each for each in await store.alike("default", hosts[0])}
            assert found[Role.CERTIFICATE].hosts == (hosts[2],)

    asyncio.run(steps())


def test_it_is_looked_at_anew_in_a_while_and_only_what_changed_is_studied(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store, now = SqlInfrastructureStore(room.database), room.clock.now()

            async def meet(at: float) -> None:
                async with room.database.write() as connection:
                    await want(connection, [seen(at, reference("*.spy.example"))])

            await meet(now)
            assert await store.found("default", {"*.spy.example": FACTS}, now) == 1
            later = now + ANEW_AFTER_S + 10
            assert await store.wanted("default", later, 10) == []  # it was not met since
            await meet(later - 5)
            await meet(now + 1)  # late, and no news
            assert await store.wanted("default", later, 10) == ["*.spy.example"]
            assert await store.found("default", {"*.spy.example": FACTS}, later) == 0
            assert await store.wanted("default", later, 10) == []
            moved = replace(FACTS, addresses=("192.0.2.77",))
            assert (
                await store.found("default", {"*.spy.example": moved, "never.met.example": FACTS}, later) == 1
            )
            assert await store.wanted("default", later + WANTED_FOR_S + ANEW_AFTER_S, 10) == []
            assert await store.wanted("acme", later, 10) == []

    asyncio.run(steps())
