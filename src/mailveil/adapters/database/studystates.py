"""Study states: one row for each organisation, held by whoever changes what studying found or people decided of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.statements import insert

LAST_PLACE: Final = 2**53  # in ``unstudied``: of what is new; lower ones are studied again, and first


@dataclass(frozen=True, slots=True)
class StudyState:
    """How far studying has come: the last number of ``studies``, and the generation of what was read."""

    number: int
    generation: int


async def hold_state(
    connection: AsyncConnection, organisation: str, *, new_generation: bool = False
) -> StudyState:
    """Hold an organisation's row until the transaction ends, and let its stamp go up; do so before anything else.

    With ``new_generation`` nothing that was read until now is written back any more. Raises ``IntegrityError`` where
    there is no such organisation.
    """
    columns = tables.study_states.c
    more = int(new_generation)
    statement = insert(connection, tables.study_states).values(
        organisation=organisation, number=0, generation=more, stamp=1
    )
    held = statement.on_conflict_do_update(
        index_elements=["organisation"],
        set_={"stamp": columns.stamp + 1, "generation": columns.generation + more},
    ).returning(columns.number, columns.generation)
    number, generation = (await connection.execute(held)).one()
    return StudyState(number, generation)


async def read_generation(connection: AsyncConnection, organisation: str) -> int:
    """Return the generation of what is read now."""
    columns = tables.study_states.c
    question = sa.select(columns.generation).where(columns.organisation == organisation)
    return int((await connection.execute(question)).scalar_one_or_none() or 0)
