"""Leases: who does what only one process may do at a time. They end by themselves, should whoever has one end first.

One that would last far longer than is asked for now was taken by a clock that was wrong, and holds nobody back.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.statements import insert

MOST: Final = 60  # times as long as ours: such a lease was taken by a clock that is wrong

SKEW_S = 3600.0  # so far clocks may be apart


async def take_lease(connection: AsyncConnection, name: str, holder: str, now: float, until: float) -> bool:
    """Take or renew a lease; False while somebody else has it. Of two at once, one gets it.

    Whoever took it for far longer than anybody does has a wrong clock, and is not waited for: it may be gone.
    """
    leases = tables.leases
    statement = insert(connection, leases).values(name=name, holder=holder, until=until)
    is_free = (leases.c.holder == holder) | (leases.c.until <= now) | (leases.c.until > until + SKEW_S)
    is_free |= leases.c.until > now + MOST * (until - now)
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": statement.excluded["holder"], "until": statement.excluded["until"]},
        where=is_free,
    )
    return (await connection.execute(statement)).rowcount == 1


async def give_back(connection: AsyncConnection, name: str, holder: str) -> None:
    """Give a lease back, if it is still ours."""
    leases = tables.leases
    await connection.execute(sa.delete(leases).where(leases.c.name == name, leases.c.holder == holder))
