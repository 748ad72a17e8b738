"""Writing: a batch of observations becomes rows, and the figures go up by what it adds.

Everything that several messages of a batch touch is added up first, so that each row is written once, and rows are
written in the order of their keys. What one message can make is bounded, whatever it holds.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.infrastructure import want
from mailveil.adapters.database.studystates import LAST_PLACE
from mailveil.adapters.database.terms import (
    joined,
    message_terms,
    risk_number,
    storable,
    term,
    tracker_host,
    tracker_identifier,
    tracker_terms,
)
from mailveil.core.observation import MAX_REFERENCES, Observation, ObservedReference, observation_of

HOUR_S, DAY_S = 3600, 86_400
SPANS = (16, 4, 1)  # days that are counted together
RISKY = risk_number("medium")  # from there on

MAX_MEMBERS = 1_000  # of one list or object, recipients among them
MAX_DEPTH = 6
MAX_MET = 5_000  # pairs of a tracker or operator and a recipient that one message makes
MAX_OPERATORS = 10  # that a list shows of one message
MAX_INTEGER, MAX_BIG = 2**31 - 1, 2**53
LAST_TIME = 253_402_300_799.0  # the year 9999
LOCK = 0x6D76_6F62  # of PostgreSQL, for whoever writes observations: one after the other, so nobody deadlocks
CHUNK = 500  # values of one question


Subject = tuple[str, str]  # organisation, and identifier or name


# --- within bounds -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """An observation that can be written: within bounds, with its record and what it is found by."""

    seen: Observation
    record: bytes
    terms: tuple[str, ...]

    @property
    def key(self) -> Subject:
        """What it is told from others by."""
        return self.seen.organisation, self.seen.identifier


def prepared(observation: Observation) -> Prepared:
    """Return an observation of which every value can be stored: text that is text, numbers that are numbers.

    NUL and lone surrogates, which PostgreSQL refuses, are replaced; what is too long or too many is cut. Most of what
    writing costs is here, where no database waits for it.
    """
    record = _bounded(observation.record(), MAX_DEPTH)
    references = record["references"][:MAX_REFERENCES]
    record |= {
        "identifier": record["identifier"][:64],
        "at": min(max(record["at"], 0.0), LAST_TIME),
        "recipients": list(dict.fromkeys(each[:320] for each in record["recipients"])),
        "references": references,
        "total_references": _count(max(record["total_references"], len(references))),
        "total_trackers": _count(record["total_trackers"]),
        "size_bytes": max(record["size_bytes"], 0),
    }
    seen = observation_of(record)
    return Prepared(seen, _packed(record), message_terms(seen))


def _bounded(value: Any, depth: int) -> Any:
    match value:
        case str():
            return storable(value)
        case bool() | None:
            return value
        case int():
            return min(max(value, -MAX_BIG), MAX_BIG)
        case float():
            return value if math.isfinite(value) else 0.0
        case Mapping() if depth:
            items = list(value.items())[:MAX_MEMBERS]
            return {storable(str(name)): _bounded(each, depth - 1) for name, each in items}
        case list() | tuple() if depth:
            return [_bounded(each, depth - 1) for each in value[:MAX_MEMBERS]]
    return storable(str(value))


def _count(number: int) -> int:
    return min(max(number, 0), MAX_INTEGER)


def packed(observation: Observation) -> bytes:
    """Return an observation as it is stored."""
    return _packed(observation.record())


def _packed(record: Mapping[str, Any]) -> bytes:
    return zlib.compress(json.dumps(record, separators=(",", ":")).encode("ascii"))


def unpacked(record: bytes) -> Observation:
    """Return the observation that was stored."""
    return observation_of(json.loads(zlib.decompress(record)))


# --- what a batch adds up to ---------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _Sum:
    """What a batch adds to a tracker or an operator."""

    first_at: float
    last_at: float
    messages: int = 0
    references: int = 0
    people: int = 0
    latest: ObservedReference | None = None
    operator: str = ""
    evidence: str = ""
    example: str = ""

    def take(self, seen: Observation, references: Sequence[ObservedReference]) -> None:
        """Add what one message holds of it."""
        self.first_at, self.last_at = min(self.first_at, seen.at), max(self.last_at, seen.at)
        self.messages += 1
        self.references += len(references)
        self.latest, self.example = references[0], seen.identifier
        for each in references:
            if each.operator:
                self.operator, self.evidence = each.operator[:200], each.evidence


def _by_tracker(seen: Observation) -> dict[str, list[ObservedReference]]:
    found: dict[str, list[ObservedReference]] = defaultdict(list)
    for each in seen.references:
        if each.is_tracker:
            found[tracker_identifier(each)].append(each)
    return found


def _by_operator(seen: Observation) -> dict[str, list[ObservedReference]]:
    found: dict[str, list[ObservedReference]] = defaultdict(list)
    for each in seen.references:
        if each.operator:
            found[each.operator[:200]].append(each)
    return found


def _sums(batch: Sequence[Observation], by: Any) -> dict[Subject, _Sum]:
    sums: dict[Subject, _Sum] = {}
    for seen in batch:
        for name, references in by(seen).items():
            key = (seen.organisation, name)
            sums.setdefault(key, _Sum(seen.at, seen.at)).take(seen, references)
    return sums


def figures_of(seen: Observation) -> dict[str, int]:
    """Return what one message adds to the figures of its hour.

    ``prevented`` counts the references, of those kept one by one, that were delivered as something else; ``risky`` is a
    risk of medium or high.
    """
    replaced = seen.changed and seen.delivered and not seen.monitored
    return {
        "messages": 1,
        "with_remote": int(seen.total_references > 0),
        "with_trackers": int(seen.total_trackers > 0),
        "risky": int(risk_number(seen.risk) >= RISKY),
        "changed": int(seen.changed),
        "references": seen.total_references,
        "trackers": seen.total_trackers,
        "prevented": sum(each.action != "keep" for each in seen.references) if replaced else 0,
        "unexamined": int(not seen.examined),
        "bytes": seen.size_bytes,
    }


def counted(seen: Observation) -> dict[tuple[str, str], int]:
    """Return what one message counts for: dimension and value, with how many of its references are of that."""
    found: Counter[tuple[str, str]] = Counter()
    for each in seen.references:
        if each.operator:
            found["operator", each.operator[:200]] += 1
        if each.is_tracker and each.kind:
            found["kind", each.kind[:255]] += 1
        if host := tracker_host(each):
            found["host", host[:255]] += 1
    if seen.sender_domain:
        found["sender_domain", seen.sender_domain.lower()[:255]] = seen.total_references
    found["risk", seen.risk[:255]] = seen.total_references
    return dict(found)


# --- statements ----------------------------------------------------------------------------------------------


def inserted(table: sa.Table, *, is_sqlite: bool) -> Any:
    """Return an insert that can tell what to do about a conflict, in the words of the database."""
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)


def _sooner(table: sa.Table, excluded: Any) -> sa.ColumnElement[float]:
    return sa.case((excluded.first_at < table.c.first_at, excluded.first_at), else_=table.c.first_at)


def _later(table: sa.Table, excluded: Any) -> sa.ColumnElement[float]:
    return sa.case((excluded.last_at > table.c.last_at, excluded.last_at), else_=table.c.last_at)


def _raising(table: sa.Table, names: Iterable[str], *, is_sqlite: bool, **others: Any) -> Any:
    """Return an insert that adds to the columns ``names`` of the row that is there already.

    ``others`` are functions of the table and the row that was to be inserted.
    """
    statement = inserted(table, is_sqlite=is_sqlite)
    excluded = statement.excluded
    changes = {name: table.c[name] + excluded[name] for name in names}
    changes |= {name: new(table, excluded) for name, new in others.items()}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes)


def _in_order(table: sa.Table, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    key = [column.name for column in table.primary_key.columns]
    return sorted(rows, key=lambda row: tuple(row[name] for name in key))


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """Give values in pieces that fit into one question."""
    for at in range(0, len(values), size):
        yield values[at : at + size]


async def lock(connection: AsyncConnection) -> None:
    """Let one transaction after the other change observations; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


class Writing:
    """One transaction that writes a batch down."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def write(self, given: Sequence[Prepared]) -> int:
        """Write what is not there yet; return how many those are."""
        await lock(self._connection)
        new = await self._new(given)
        if not new:
            return 0
        await self._lay_down(new)
        batch = [each.seen for each in new]
        trackers, operators = _sums(batch, _by_tracker), _sums(batch, _by_operator)
        await self._meet(batch, trackers, operators)
        fresh = await self._trackers(trackers)
        await self._operators(operators, fresh)
        await self._figures(batch)
        await self._counts(batch)
        await want(self._connection, batch)
        return len(batch)

    async def _new(self, given: Sequence[Prepared]) -> list[Prepared]:
        """Write the lines of messages, and return those that were not there, of organisations that are."""
        each_once: dict[Subject, Prepared] = {}
        for each in given:
            each_once.setdefault(each.key, each)
        known: set[str] = set()
        for some in chunks(sorted({organisation for organisation, _ in each_once})):
            names = tables.organisations.c.identifier
            known |= set(await self._connection.scalars(sa.select(names).where(names.in_(some))))
        rows = [
            line_of(each.seen, each.terms)
            for (organisation, _), each in sorted(each_once.items(), key=lambda item: item[0])
            if organisation in known
        ]
        if not rows:
            return []
        columns = tables.messages.c
        statement = (
            inserted(tables.messages, is_sqlite=self._is_sqlite)
            .on_conflict_do_nothing(index_elements=[columns.organisation, columns.identifier])
            .returning(columns.organisation, columns.identifier)
        )
        written = {tuple(row) for row in await self._connection.execute(statement, rows)}
        return [each for key, each in each_once.items() if key in written]

    async def _lay_down(self, new: Sequence[Prepared]) -> None:
        """Write the records, the terms that they are found by, and that they are still to be studied."""
        records, terms, unstudied = [], [], []
        for each in new:
            organisation, message = each.key
            records.append({"organisation": organisation, "message": message, "record": each.record})
            terms += [{"organisation": organisation, "term": term, "message": message} for term in each.terms]
            unstudied.append(
                {
                    "organisation": organisation,
                    "identifier": message,
                    "kind": "message",
                    "place": LAST_PLACE,
                }
            )
        await self._connection.execute(sa.insert(tables.message_records), records)
        await self._connection.execute(
            sa.insert(tables.message_terms), _in_order(tables.message_terms, terms)
        )
        queue = inserted(tables.unstudied, is_sqlite=self._is_sqlite).on_conflict_do_nothing()
        await self._connection.execute(queue, _in_order(tables.unstudied, unstudied))

    async def _meet(
        self, batch: Sequence[Observation], trackers: dict[Subject, _Sum], operators: dict[Subject, _Sum]
    ) -> None:
        """Take note of whom trackers and operators met, and count the people that are new to them."""
        rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        for seen in batch:
            for what, subject, recipient in _pairs(seen):
                key = (seen.organisation, what, subject, recipient)
                row = rows.get(key)
                if row is None:
                    names = ("organisation", "what", "subject", "recipient")
                    row = rows[key] = dict(zip(names, key, strict=True))
                    row |= {"first_at": seen.at, "last_at": seen.at, "messages": 0}
                row["first_at"], row["last_at"] = min(row["first_at"], seen.at), max(row["last_at"], seen.at)
                row["last_day"] = int(row["last_at"] // DAY_S)
                row["messages"] += 1
        if not rows:
            return
        columns = tables.met.c
        statement = _raising(
            tables.met,
            ("messages",),
            is_sqlite=self._is_sqlite,
            first_at=_sooner,
            last_at=_later,
            last_day=lambda table, excluded: sa.case(
                (excluded.last_day > table.c.last_day, excluded.last_day), else_=table.c.last_day
            ),
        ).returning(columns.organisation, columns.what, columns.subject, columns.recipient, columns.messages)
        ordered = _in_order(tables.met, rows.values())
        for organisation, what, subject, recipient, messages in await self._connection.execute(
            statement, ordered
        ):
            if messages == rows[organisation, what, subject, recipient]["messages"]:  # it was not there
                sums = trackers if what == "tracker" else operators
                sums[organisation, subject].people += 1

    async def _trackers(self, sums: dict[Subject, _Sum]) -> Counter[Subject]:
        """Add to trackers; return how many more each operator has."""
        fresh: Counter[Subject] = Counter()
        if not sums:
            return fresh
        before = await self._operators_of(list(sums))
        rows, terms = [], []
        for (organisation, identifier), total in sums.items():
            latest = total.latest
            assert latest is not None
            old = before.get((organisation, identifier))
            operator = total.operator or old or ""
            host = tracker_host(latest)
            found = tracker_terms(host, latest.domain, latest.template, operator)
            if old != operator:
                if old:
                    fresh[organisation, old] -= 1
                if operator:
                    fresh[organisation, operator] += 1
                terms += [
                    {"organisation": organisation, "tracker": identifier, "term": each} for each in found
                ]
            rows.append(
                {
                    "organisation": organisation,
                    "identifier": identifier,
                    "host": host,
                    "domain": latest.domain.lower(),
                    "template": latest.template,
                    "operator": operator,
                    "kind": latest.kind,
                    "vector": latest.vector,
                    "risk": risk_number(latest.risk),
                    "first_at": total.first_at,
                    "last_at": total.last_at,
                    "messages": total.messages,
                    "references": total.references,
                    "people": total.people,
                    "example": total.example,
                    "evidence": total.evidence,
                    "terms": joined(found),
                }
            )
        latest_values = (
            "host",
            "template",
            "operator",
            "kind",
            "vector",
            "risk",
            "example",
            "terms",
        )
        statement = _raising(
            tables.trackers,
            ("messages", "references", "people"),
            is_sqlite=self._is_sqlite,
            first_at=_sooner,
            last_at=_later,
            evidence=lambda table, excluded: sa.case(
                (excluded.evidence != "", excluded.evidence), else_=table.c.evidence
            ),
            **{name: lambda _, excluded, name=name: excluded[name] for name in latest_values},
        )
        await self._connection.execute(statement, _in_order(tables.trackers, rows))
        if terms:
            write = inserted(tables.tracker_terms, is_sqlite=self._is_sqlite).on_conflict_do_nothing()
            await self._connection.execute(write, _in_order(tables.tracker_terms, terms))
        return fresh

    async def _operators_of(self, trackers: Sequence[Subject]) -> dict[Subject, str]:
        """Return the operators of those trackers that are there."""
        by_organisation: dict[str, list[str]] = defaultdict(list)
        for organisation, identifier in trackers:
            by_organisation[organisation].append(identifier)
        columns = tables.trackers.c
        found: dict[Subject, str] = {}
        for organisation, identifiers in by_organisation.items():
            for some in chunks(identifiers):
                question = sa.select(columns.identifier, columns.operator).where(
                    columns.organisation == organisation, columns.identifier.in_(some)
                )
                for identifier, operator in await self._connection.execute(question):
                    found[organisation, identifier] = operator
        return found

    async def _operators(self, sums: dict[Subject, _Sum], trackers: Counter[Subject]) -> None:
        """Add to operators, and change how many trackers they have."""
        if sums:
            rows = [
                {
                    "organisation": organisation,
                    "name": name,
                    "first_at": total.first_at,
                    "last_at": total.last_at,
                    "messages": total.messages,
                    "references": total.references,
                    "trackers": trackers.pop((organisation, name), 0),
                    "people": total.people,
                }
                for (organisation, name), total in sums.items()
            ]
            statement = _raising(
                tables.operators,
                ("messages", "references", "trackers", "people"),
                is_sqlite=self._is_sqlite,
                first_at=_sooner,
                last_at=_later,
            )
            await self._connection.execute(statement, _in_order(tables.operators, rows))
        await change_trackers(self._connection, trackers)

    async def _figures(self, batch: Sequence[Observation]) -> None:
        """Add to the figures of each hour."""
        sums: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for seen in batch:
            sums[seen.organisation, int(seen.at // HOUR_S)].update(figures_of(seen))
        names = [column.name for column in tables.figures.c if not column.primary_key]
        rows = [
            {"organisation": organisation, "hour": hour} | {name: total[name] for name in names}
            for (organisation, hour), total in sums.items()
        ]
        statement = _raising(tables.figures, names, is_sqlite=self._is_sqlite)
        await self._connection.execute(statement, _in_order(tables.figures, rows))

    async def _counts(self, batch: Sequence[Observation]) -> None:
        """Add to what is counted in spans of days."""
        sums: dict[tuple[str, str, int, int, str], list[int]] = {}
        for seen in batch:
            today = int(seen.at // DAY_S)
            for (dimension, value), references in counted(seen).items():
                for span in SPANS:
                    key = (seen.organisation, dimension, span, today // span * span, value)
                    total = sums.setdefault(key, [0, 0])
                    total[0] += 1
                    total[1] += references
        rows = [
            {
                "organisation": organisation,
                "dimension": dimension,
                "span": span,
                "day": day,
                "value": value,
                "messages": messages,
                "references": references,
            }
            for (organisation, dimension, span, day, value), (messages, references) in sums.items()
        ]
        statement = _raising(tables.counts, ("messages", "references"), is_sqlite=self._is_sqlite)
        await self._connection.execute(statement, _in_order(tables.counts, rows))


def _pairs(seen: Observation) -> Iterator[tuple[str, str, str]]:
    """Give whom one message's trackers and operators met; no more than so many."""
    subjects = [("operator", each) for each in _by_operator(seen)]
    subjects += [("tracker", each) for each in _by_tracker(seen)]
    recipients = dict.fromkeys(person_key(each) for each in seen.recipients)
    left = MAX_MET
    for what, subject in subjects:
        for recipient in recipients:
            if not left:
                return
            left -= 1
            yield what, subject, recipient


def person_key(recipient: str) -> str:
    """Return how a recipient is told from others: as written, but for case and space."""
    return term("to", recipient).removeprefix("to:")


async def change_trackers(connection: AsyncConnection, changes: Mapping[Subject, int]) -> None:
    """Change how many trackers operators have."""
    columns = tables.operators.c
    changed = [
        {"its_organisation": organisation, "its_name": name, "more": more}
        for (organisation, name), more in sorted(changes.items())
        if more
    ]
    if changed:
        statement = (
            sa.update(tables.operators)
            .where(
                columns.organisation == sa.bindparam("its_organisation"),
                columns.name == sa.bindparam("its_name"),
            )
            .values(trackers=columns.trackers + sa.bindparam("more", type_=sa.Integer))
        )
        await connection.execute(statement, changed)


def operators_of(seen: Observation) -> list[str]:
    """Return the operators that a list shows of a message, those of its trackers first."""
    ordered = sorted(seen.references, key=lambda each: not each.is_tracker)
    return list(dict.fromkeys(each.operator[:200] for each in ordered if each.operator))[:MAX_OPERATORS]


def line_of(seen: Observation, terms: Iterable[str]) -> dict[str, Any]:
    """Return what lists show of a message, as a row."""
    return {
        "organisation": seen.organisation,
        "identifier": seen.identifier,
        "at": seen.at,
        "log_identifier": seen.log_identifier,
        "direction": seen.direction,
        "author": seen.author,
        "sender_domain": seen.sender_domain,
        "subject": seen.subject,
        "message_id": seen.message_id,
        "recipients": len(seen.recipients),
        "risk": risk_number(seen.risk),
        "total_references": seen.total_references,
        "total_trackers": seen.total_trackers,
        "changed": seen.changed,
        "delivered": seen.delivered,
        "examined": seen.examined,
        "monitored": seen.monitored,
        "operators": operators_of(seen),
        "terms": joined(terms),
    }
