"""Forgetting: what is too old goes, and what is kept of one person is given out or goes.

What remains of a message that has expired is what it added to figures, counts, trackers and operators, which name no
reader. Where the recipients of a message go, so does whatever could name them: their addresses in any text, also as
they stand in bounce addresses and URLs, and every URL that may have been made for one of them, in whose place its
template stays; what leads to its copy and its verdict goes with it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.erasing import SOMEBODY, Erasing, studied_of
from mailveil.adapters.database.finding import from_then
from mailveil.adapters.database.statements import delete_in_portions
from mailveil.adapters.database.studyexpiry import drop_subjects
from mailveil.adapters.database.studyforgetting import StudyForgetting
from mailveil.adapters.database.studystates import hold_state
from mailveil.adapters.database.terms import (
    KEEPS_RECIPIENTS,
    KEEPS_SUBJECT,
    apart,
    domain_of,
    message_terms,
    term,
    tracker_host,
)
from mailveil.adapters.database.writing import (
    DAY_S,
    HOUR_S,
    SPANS,
    change_trackers,
    line_of,
    lock,
    packed,
    person_key,
    unpacked,
)
from mailveil.control.records import PersonExport
from mailveil.core.observation import Observation, ObservedReference, observation_of

PORTION = 200  # messages or trackers of one transaction
ROWS = 2_000  # of smaller things
KINDS = ("messages", "subjects", "recipients", "figures", "trackers")
MAX_NAMED = 20  # people, or domains, that one pattern names


class Forgetting:
    """One transaction that forgets a portion of what an organisation has."""

    def __init__(self, connection: AsyncConnection, organisation: str) -> None:
        self._connection = connection
        self._organisation = organisation

    async def expire(self, kind: str, before: float) -> int:
        """Forget a portion of what is older; return how many records. Raises ``ValueError`` for another kind."""
        tasks = {
            "messages": self._expire_messages,
            "subjects": self._expire_subjects,
            "recipients": self._expire_recipients,
            "figures": self._expire_figures,
            "trackers": self._expire_trackers,
        }
        if kind not in tasks:
            raise ValueError(f"there is no kind of record {kind!r:.40}; there are: {', '.join(KINDS)}")
        await lock(self._connection)
        return await tasks[kind](before)

    async def _expire_messages(self, before: float) -> int:
        columns = tables.messages.c
        old = (
            sa.select(columns.identifier)
            .where(columns.organisation == self._organisation, columns.identifier < from_then(before))
            .order_by(columns.identifier)
            .limit(PORTION)
        )
        identifiers = list(await self._connection.scalars(old))
        await self._delete(identifiers)
        return len(identifiers)

    async def _expire_subjects(self, before: float) -> int:
        identifiers = await self._with_term(KEEPS_SUBJECT, from_then(before))
        for seen in await self._observations(identifiers):
            await self._rewrite(seen, dataclasses.replace(seen, subject=""))
        studied = StudyForgetting(self._connection, self._organisation, before)
        return len(identifiers) or await studied.subjects()

    async def _expire_recipients(self, before: float) -> int:
        identifiers = await self._with_term(KEEPS_RECIPIENTS, from_then(before))
        for seen in await self._observations(identifiers):
            await self._rewrite(seen, await asyncio.to_thread(without, seen, seen.recipients))
        met = tables.met.c
        mine = (met.organisation == self._organisation) & (met.last_day < int(before // DAY_S))
        gone = len(identifiers) + await delete_in_portions(self._connection, tables.met, mine, ROWS)
        studied = StudyForgetting(self._connection, self._organisation, before)
        return gone or await studied.people()

    async def _expire_figures(self, before: float) -> int:
        figures, counts = tables.figures.c, tables.counts.c
        old = (figures.organisation == self._organisation) & (figures.hour < int(before // HOUR_S))
        gone = await delete_in_portions(self._connection, tables.figures, old, ROWS)
        dimensions = sa.select(counts.dimension).where(counts.organisation == self._organisation).distinct()
        for dimension in list(await self._connection.scalars(dimensions)):
            for span in SPANS:
                over = sa.and_(
                    counts.organisation == self._organisation,
                    counts.dimension == dimension,
                    counts.span == span,
                    counts.day <= int(before // DAY_S) - span,
                )
                gone += await delete_in_portions(self._connection, tables.counts, over, ROWS)
        return gone

    async def _expire_trackers(self, before: float) -> int:
        columns = tables.trackers.c
        old = (
            sa.select(columns.identifier, columns.operator, columns.terms)
            .where(columns.organisation == self._organisation, columns.last_at < before)
            .order_by(columns.last_at)
            .limit(PORTION)
        )
        rows = list(await self._connection.execute(old))
        if rows:
            identifiers = [row.identifier for row in rows]
            await self._delete_terms(
                tables.tracker_terms, "tracker", [(row.identifier, apart(row.terms)) for row in rows]
            )
            await self._connection.execute(
                sa.delete(tables.trackers).where(
                    columns.organisation == self._organisation, columns.identifier.in_(identifiers)
                )
            )
            await self._forget_met("tracker", identifiers)
            lost = Counter((self._organisation, row.operator) for row in rows if row.operator)
            await change_trackers(self._connection, {key: -count for key, count in lost.items()})
        return len(rows) + await self._expire_operators(before)

    async def _expire_operators(self, before: float) -> int:
        columns = tables.operators.c
        old = (
            sa.select(columns.name)
            .where(
                columns.organisation == self._organisation, columns.last_at < before, columns.trackers <= 0
            )
            .limit(PORTION)
        )
        names = list(await self._connection.scalars(old))
        if names:
            await self._connection.execute(
                sa.delete(tables.operators).where(
                    columns.organisation == self._organisation, columns.name.in_(names)
                )
            )
            await self._forget_met("operator", names)
        return len(names)

    async def _forget_met(self, what: str, subjects: Sequence[str]) -> None:
        met = tables.met.c
        await self._connection.execute(
            sa.delete(tables.met).where(
                met.organisation == self._organisation, met.what == what, met.subject.in_(subjects)
            )
        )

    # --- one person ------------------------------------------------------------------------------------------

    async def person(self, person: str) -> PersonExport:
        """Return everything that is kept of a person; of other recipients only how many there are."""
        mine = person_key(person)
        messages = []
        before = ""
        while identifiers := await self._of_person(mine, before):
            for seen in await self._observations(identifiers):
                own = [each for each in seen.recipients if person_key(each) == mine]
                record = without(seen, [each for each in seen.recipients if each not in own]).record()
                messages.append(record | {"other_recipients": len(seen.recipients) - len(own)})
            before = identifiers[-1]
        columns = tables.met.c
        question = (
            sa.select(columns.what, columns.subject, columns.first_at, columns.last_at, columns.messages)
            .where(columns.organisation == self._organisation, columns.recipient == mine)
            .order_by(columns.what, columns.subject)
        )
        met = [dict(row._mapping) for row in await self._connection.execute(question)]
        alone = [each["identifier"] for each in messages if not each["other_recipients"]]
        return PersonExport(
            person,
            {
                "messages": messages,
                "met": met,
                "reports": await self._told_of(tables.feedback, mine, alone),
                "leave": await self._told_of(tables.grants, mine, alone),
                **await studied_of(self._connection, self._organisation, mine),
            },
        )

    async def _told_of(self, table: sa.Table, mine: str, alone: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return reports, or leave to read originals, about messages to a person alone, or that name them."""
        if not mine:
            return []
        ours = sa.select(table).where(table.c.organisation == self._organisation)
        pattern, texts = _names({mine}), _texts(table)
        rows = [
            row
            for row in await self._connection.execute(ours.where(_may_name(table, mine)))
            if any(pattern.search(row._mapping[each.name]) for each in texts)
        ]
        for at in range(0, len(alone), PORTION):
            rows += await self._connection.execute(ours.where(table.c.message.in_(alone[at : at + PORTION])))
        found = {row.identifier: dict(row._mapping) for row in rows}
        for each in found.values():
            del each["organisation"]
        return [found[identifier] for identifier in sorted(found, reverse=True)]

    async def _erase_from_texts(self, mine: str) -> int:
        """Take a person out of what people wrote in reports and reasons; return how many texts named them."""
        pattern, count = _names({mine}), 0
        for table in (tables.feedback, tables.grants):
            texts = _texts(table)
            question = sa.select(table.c.identifier, *texts).where(
                table.c.organisation == self._organisation, _may_name(table, mine)
            )
            for row in list(await self._connection.execute(question)):
                told = {each.name: row._mapping[each.name] for each in texts}
                left = {name: pattern.sub(SOMEBODY, text) for name, text in told.items()}
                if left == told:
                    continue
                count += 1
                await self._connection.execute(
                    sa.update(table)
                    .where(table.c.organisation == self._organisation, table.c.identifier == row.identifier)
                    .values(left)
                )
        return count

    async def erase(self, person: str) -> int:
        """Forget a portion of what is kept of a person; return how many records, 0 once there is nothing."""
        await lock(self._connection)
        mine = person_key(person)
        if not mine:
            return 0
        # What somebody is studying just now still names them, and must not be written down.
        await hold_state(self._connection, self._organisation, new_generation=True)
        identifiers = await self._of_person(mine, "")
        alone: list[str] = []
        for seen in await self._observations(identifiers):
            others = [each for each in seen.recipients if person_key(each) != mine]
            if len(others) < len(seen.recipients) and not others:
                alone.append(seen.identifier)
            else:
                wrote = mine in (person_key(seen.author), person_key(seen.sender))
                left = await asyncio.to_thread(without, seen, [person])
                await self._rewrite(seen, dataclasses.replace(left, subject="") if wrote else left)
        await self._delete(alone)
        for table in (tables.feedback, tables.grants):
            await self._connection.execute(
                sa.delete(table).where(table.c.organisation == self._organisation, table.c.message.in_(alone))
            )
        met = tables.met.c
        of_mine = (met.organisation == self._organisation) & (met.recipient == mine)
        erased = len(identifiers)
        if not identifiers:  # reports about messages that are gone are gone by now
            erased += await self._erase_from_texts(mine)
            studied = Erasing(self._connection, self._organisation, mine, _names({mine}))
            erased += await studied.erase()
        return erased + await delete_in_portions(self._connection, tables.met, of_mine, ROWS)

    async def _of_person(self, person: str, before: str) -> list[str]:
        """Return messages to or from somebody, newest first."""
        columns = tables.message_terms.c
        walks = [
            sa.select(
                sa.select(columns.message)
                .where(
                    columns.organisation == self._organisation,
                    columns.term == term(field, person),
                    *([columns.message < before] if before else []),
                )
                .order_by(columns.message.desc())
                .limit(PORTION)
                .subquery()
                .c.message
            )
            for field in ("to", "from")
        ]
        merged = sa.union(*walks).subquery()
        question = sa.select(merged.c.message).order_by(merged.c.message.desc()).limit(PORTION)
        return list(await self._connection.scalars(question))

    # --- messages --------------------------------------------------------------------------------------------

    async def _with_term(self, asked: str, before: str) -> list[str]:
        """Return a portion of the messages that have a term, the oldest ones first."""
        columns = tables.message_terms.c
        question = (
            sa.select(columns.message)
            .where(
                columns.organisation == self._organisation, columns.term == asked, columns.message < before
            )
            .order_by(columns.message)
            .limit(PORTION)
        )
        return list(await self._connection.scalars(question))

    async def _observations(self, identifiers: Sequence[str]) -> list[Observation]:
        columns = tables.message_records.c
        question = (
            sa.select(columns.record)
            .where(columns.organisation == self._organisation, columns.message.in_(identifiers))
            .order_by(columns.message.desc())
        )
        return [unpacked(record) for record in await self._connection.scalars(question)]

    async def _rewrite(self, old: Observation, new: Observation) -> None:
        """Write a message anew of which less is kept; how many recipients it had stays."""
        terms = message_terms(new)
        columns = tables.messages.c
        this = (columns.organisation == self._organisation) & (columns.identifier == old.identifier)
        before = apart((await self._connection.execute(sa.select(columns.terms).where(this))).scalar_one())
        await self._delete_terms(
            tables.message_terms, "message", [(old.identifier, sorted(set(before) - set(terms)))]
        )
        if more := sorted(set(terms) - set(before)):
            await self._connection.execute(
                sa.insert(tables.message_terms),
                [
                    {"organisation": self._organisation, "term": each, "message": old.identifier}
                    for each in more
                ],
            )
        line = line_of(new, terms)
        del line["recipients"]
        await self._connection.execute(sa.update(tables.messages).where(this).values(line))
        records = tables.message_records.c
        await self._connection.execute(
            sa.update(tables.message_records)
            .where(records.organisation == self._organisation, records.message == old.identifier)
            .values(record=packed(new))
        )

    async def _delete(self, identifiers: Sequence[str]) -> None:
        """Delete messages with everything that hangs on them."""
        if not identifiers:
            return
        columns = tables.messages.c
        these = (columns.organisation == self._organisation) & columns.identifier.in_(identifiers)
        question = sa.select(columns.identifier, columns.terms).where(these)
        found = [(row.identifier, apart(row.terms)) for row in await self._connection.execute(question)]
        await self._delete_terms(tables.message_terms, "message", found)
        await self._lose_examples(found)
        await drop_subjects(self._connection, self._organisation, identifiers)
        of_activities = tables.activity_messages.c
        await self._connection.execute(
            sa.delete(tables.activity_messages).where(
                of_activities.organisation == self._organisation, of_activities.message.in_(identifiers)
            )
        )
        records = tables.message_records.c
        await self._connection.execute(
            sa.delete(tables.message_records).where(
                records.organisation == self._organisation, records.message.in_(identifiers)
            )
        )
        await self._connection.execute(sa.delete(tables.messages).where(these))

    async def _delete_terms(
        self, table: sa.Table, name: str, found: Iterable[tuple[str, Iterable[str]]]
    ) -> None:
        rows = [{"its_term": each, "its_name": identifier} for identifier, terms in found for each in terms]
        if rows:
            statement = sa.delete(table).where(
                table.c.organisation == self._organisation,
                table.c.term == sa.bindparam("its_term", type_=table.c.term.type),
                table.c[name] == sa.bindparam("its_name", type_=table.c[name].type),
            )
            await self._connection.execute(statement, rows)

    async def _lose_examples(self, found: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Let no tracker point to a message that is gone."""
        rows = [
            {"its_tracker": each.removeprefix("tracker:"), "its_example": identifier}
            for identifier, terms in found
            for each in terms
            if each.startswith("tracker:")
        ]
        if rows:
            columns = tables.trackers.c
            statement = (
                sa.update(tables.trackers)
                .where(
                    columns.organisation == self._organisation,
                    columns.identifier == sa.bindparam("its_tracker", type_=columns.identifier.type),
                    columns.example == sa.bindparam("its_example", type_=columns.example.type),
                )
                .values(example="")
            )
            await self._connection.execute(statement, rows)


def without(seen: Observation, people: Sequence[str]) -> Observation:
    """Return an observation that tells nothing of some people any more."""
    keys = {person_key(each) for each in people} - {""}
    if not keys:
        return seen
    record = seen.record()
    kept = {name: record.pop(name) for name in ("identifier", "organisation", "references")}
    pattern = _names(keys)
    left = observation_of(_replaced(record, pattern) | kept)
    return dataclasses.replace(
        left,
        recipients=tuple(each for each in seen.recipients if person_key(each) not in keys),
        sender="" if person_key(seen.sender) in keys else left.sender,
        author="" if person_key(seen.author) in keys else left.author,
        references=tuple(_shared(each, pattern) for each in seen.references),
    )


def _names(people: set[str]) -> re.Pattern[str]:
    """Return a pattern of how people stand in texts: by address, also in bounce addresses and URLs, or by pseudonym.

    Of more than ``MAX_NAMED`` people it is every address at their domains, so that its cost stays in bounds.
    """
    if len(people) <= MAX_NAMED:
        found = set()
        for each in people:
            found |= {each, each.replace("@", "="), quote(each, safe="")}
        names = [re.escape(each) for each in sorted(found, key=lambda each: (-len(each), each))]
    else:
        domains = sorted({domain_of(each) for each in people} - {""})[:MAX_NAMED]
        names = [rf"[^\s@=<>,;:/?&]{{1,64}}(?:@|=|%40){re.escape(each)}" for each in domains]
        names.append("person-[0-9a-f]{20}")
    return re.compile("|".join(names), re.IGNORECASE)


def _texts(table: sa.Table) -> list[sa.Column[str]]:
    """Return what people wrote into reports, or as reasons for leave."""
    return [table.c.text, table.c.note] if table is tables.feedback else [table.c.reason]


def _may_name(table: sa.Table, mine: str) -> sa.ColumnElement[bool]:
    """Return what holds for all rows whose texts name a person, and for few others.

    Both databases fold ASCII alike, so what is not ASCII may be anything here.
    """
    asked = "".join(
        "_" if not letter.isascii() or letter in "@" else f"\\{letter}" if letter in "%_\\" else letter
        for letter in mine
    )
    forms = (asked, asked.replace("_", "\\%40", 1)) if "@" in mine else (asked,)
    return sa.or_(
        *(sa.func.lower(text).like(f"%{form}%", escape="\\") for text in _texts(table) for form in forms)
    )


def _replaced(value: Any, pattern: re.Pattern[str]) -> Any:
    match value:
        case str():
            return pattern.sub(SOMEBODY, value)
        case Mapping():
            return {name: _replaced(each, pattern) for name, each in value.items()}
        case list() | tuple():
            return [_replaced(each, pattern) for each in value]
    return value


def _shared(reference: ObservedReference, pattern: re.Pattern[str]) -> ObservedReference:
    """Return a reference as everybody got it: a URL that may be one reader's own is its template."""
    left = _replaced(dataclasses.asdict(reference), pattern)
    for name, value in left.items():
        left[name] = tuple(value) if isinstance(value, list) else value
    shared = ObservedReference(**left)
    if reference.url == reference.template:
        return shared
    return dataclasses.replace(
        shared, url=shared.template, host=tracker_host(shared) or shared.host, key="", token=""
    )
