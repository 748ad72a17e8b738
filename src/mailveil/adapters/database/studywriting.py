"""Study writing: one transaction that writes down what came of a batch, all of it or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.activityrows import found_columns, tell, undecided_columns
from mailveil.adapters.database.infrastructure import FACTS
from mailveil.adapters.database.outboxnumbers import append_outbox
from mailveil.adapters.database.revising import REVISION
from mailveil.adapters.database.statements import insert, put_all
from mailveil.adapters.database.studystates import StudyState, hold_state
from mailveil.adapters.database.writing import chunks, person_key
from mailveil.control.activityrecords import FLOOR_SCORE
from mailveil.control.activitystores import Studied, Subject
from mailveil.control.stores import ConflictError
from mailveil.core.intelligence.revisions import Revision
from mailveil.core.intelligence.types import (
    DAY_S,
    Activity,
    Alert,
    AnalystVerdict,
    Campaign,
    Decision,
    InfrastructureFacts,
)

MAX_KEY: Final = 300  # characters of a memo's key that are stored as they are


def memo_key(key: str) -> str:
    """Return how a memo's key is stored: one that is too long keeps its beginning, and a digest tells it apart."""
    if key.isascii() and len(key) <= MAX_KEY and "\0" not in key:
        return key
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    beginning = key[: MAX_KEY - 40].encode("ascii", "replace").decode("ascii").replace("\0", "?")
    return f"{beginning} {digest}"


def memo_texts(memos: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """Return the memos that are kept as they are stored."""
    return {
        memo_key(key): json.dumps(memo, separators=(",", ":"))
        for key, memo in memos.items()
        if memo is not None
    }


class StudyWriting:
    """One transaction that writes a batch down."""

    def __init__(
        self, connection: AsyncConnection, organisation: str, studied: Studied, texts: Mapping[str, str]
    ) -> None:
        """``texts`` are the memos that are kept (``memo_texts``)."""
        self._connection = connection
        self._organisation = organisation
        self._studied = studied
        self._texts = texts

    async def write(self) -> None:
        """Write everything down. Raises ``ConflictError`` where somebody else has studied anything meanwhile."""
        # Memos that were read before somebody else wrote theirs must not overwrite them: each writing is a generation.
        state = await hold_state(self._connection, self._organisation, new_generation=True)
        if state.generation != self._studied.generation + 1:
            raise ConflictError("somebody else has studied meanwhile, or what was read is no longer so")
        await self._take_subjects()
        await self._number(state)
        await self._memos()
        await self._withdraw()
        for activity in sorted(self._studied.activities, key=lambda each: each.identifier):
            await self._activity(activity)
        campaigns = sorted(self._studied.campaigns, key=lambda each: each.identifier)
        await put_all(self._connection, tables.campaigns, [_campaign_row(each) for each in campaigns])
        alerts = sorted(self._studied.alerts, key=lambda each: each.identifier)
        await put_all(self._connection, tables.alerts, [_alert_row(each) for each in alerts])
        if not self._studied.is_again:
            changed = [each.identifier for each in self._studied.activities]
            news = await tell(
                self._connection, self._organisation, changed, self._studied.at, at_once_only=True
            )
            await append_outbox(self._connection, [*news, *self._studied.outbox])

    async def _take_subjects(self) -> None:
        """Take the subjects off the queue."""
        columns, taken = tables.unstudied.c, 0
        identifiers = sorted({each.identifier for each in self._studied.subjects})
        for some in chunks(identifiers):
            gone = await self._connection.execute(
                sa.delete(tables.unstudied).where(
                    columns.organisation == self._organisation, columns.identifier.in_(some)
                )
            )
            taken += gone.rowcount
        if taken != len(identifiers):
            raise ConflictError("somebody else has studied this, or it is no more")

    async def _number(self, state: StudyState) -> None:
        """Write down in which order subjects were studied."""
        rows = [
            {
                "organisation": self._organisation,
                "number": number,
                "kind": _kind_of(each),
                "subject": each.identifier,
            }
            for number, each in enumerate(self._studied.subjects, start=state.number + 1)
        ]
        if not rows:
            return
        await self._connection.execute(sa.insert(tables.studies), rows)
        facts = {
            each.identifier: {
                "organisation": self._organisation,
                "identifier": each.identifier,
                "at": each.at,
                "record": each.record(),
            }
            for each in self._studied.subjects
            if isinstance(each, InfrastructureFacts)
        }
        await put_all(self._connection, tables.studied_facts, list(facts.values()))
        states = tables.study_states
        await self._connection.execute(
            sa.update(states)
            .where(states.c.organisation == self._organisation)
            .values(number=state.number + len(rows))
        )

    async def _memos(self) -> None:
        columns = tables.memos.c
        gone = sorted(memo_key(key) for key, memo in self._studied.memos.items() if memo is None)
        for some in chunks(gone):
            await self._connection.execute(
                sa.delete(tables.memos).where(
                    columns.organisation == self._organisation, columns.key.in_(some)
                )
            )
        if not self._texts:
            return
        day = int(max((each.at for each in self._studied.subjects), default=self._studied.at) // DAY_S)
        statement = insert(self._connection, tables.memos)
        excluded = statement.excluded
        later = sa.case(
            (excluded.touched_day > columns.touched_day, excluded.touched_day), else_=columns.touched_day
        )
        upsert = statement.on_conflict_do_update(
            index_elements=["organisation", "key"], set_={"memo": excluded.memo, "touched_day": later}
        )
        rows = [
            {"organisation": self._organisation, "key": key, "memo": text, "touched_day": day}
            for key, text in sorted(self._texts.items())
        ]
        await self._connection.execute(upsert, rows)

    async def _withdraw(self) -> None:
        """Take messages off activities; those that are part of them all the same are written there again."""
        columns = tables.activity_messages.c
        for activity, message in self._studied.withdrawn:
            await self._connection.execute(
                sa.delete(tables.activity_messages).where(
                    columns.organisation == self._organisation,
                    columns.activity == activity,
                    columns.message == message,
                )
            )

    async def _activity(self, activity: Activity) -> None:
        """Write what was found of an activity; what people decided of it stays."""
        found = found_columns(activity, self._studied.at)
        columns = tables.activities.c
        if activity.score >= FLOOR_SCORE and not activity.merged_into:
            key = {"organisation": self._organisation, "identifier": activity.identifier}
            statement = insert(self._connection, tables.activities).values(key | found | undecided_columns())
            changed = {name: statement.excluded[name] for name in found}
            await self._connection.execute(
                statement.on_conflict_do_update(index_elements=list(key), set_=changed)
            )
        else:  # it matters as far as it did before
            known = await self._connection.execute(
                sa.update(tables.activities)
                .where(columns.organisation == self._organisation, columns.identifier == activity.identifier)
                .values(found)
            )
            if not known.rowcount:
                return
        if activity.merged_into:
            await self._merge(activity)
        else:
            await self._messages(activity)
            await self._people(activity)

    async def _messages(self, activity: Activity) -> None:
        messages = {each.message for each in (*activity.probes, *activity.follow_ups) if each.message}
        rows = [
            {"organisation": self._organisation, "activity": activity.identifier, "message": each}
            for each in sorted(messages)
        ]
        if rows:
            add = insert(self._connection, tables.activity_messages).on_conflict_do_nothing()
            await self._connection.execute(add, rows)

    async def _people(self, activity: Activity) -> None:
        columns = tables.activity_people.c
        people: dict[str, int] = {}
        for each in activity.targets:
            if person := person_key(each.person):
                people[person] = people.get(person, 0) + each.probes
        rows = [
            {
                "organisation": self._organisation,
                "recipient": person,
                "activity": activity.identifier,
                "probes": probes,
            }
            for person, probes in sorted(people.items())
        ]
        gone = (columns.organisation == self._organisation) & (columns.activity == activity.identifier)
        await self._connection.execute(sa.delete(tables.activity_people).where(gone))
        if rows:
            await self._connection.execute(sa.insert(tables.activity_people), rows)

    async def _merge(self, activity: Activity) -> None:
        """Let the activity that this one is part of have its messages, its notes, and a verdict where it has none."""
        mine = {"organisation": self._organisation, "activity": activity.identifier}
        messages, people, notes = tables.activity_messages, tables.activity_people, tables.activity_notes
        moved = sa.select(
            messages.c.organisation, sa.literal(activity.merged_into), messages.c.message
        ).filter_by(**mine)
        await self._connection.execute(
            insert(self._connection, messages)
            .from_select(["organisation", "activity", "message"], moved)
            .on_conflict_do_nothing()
        )
        for table in (messages, people):
            await self._connection.execute(sa.delete(table).filter_by(**mine))
        await self._connection.execute(
            sa.update(notes).filter_by(**mine).values(activity=activity.merged_into)
        )
        await self._pass_verdict_on(activity)

    async def _pass_verdict_on(self, activity: Activity) -> None:
        columns = tables.activities.c
        names = ("verdict", "decided_by", "decided_at")
        question = sa.select(*(columns[name] for name in names)).where(
            columns.organisation == self._organisation, columns.identifier == activity.identifier
        )
        verdict = (await self._connection.execute(question)).one()
        if verdict.verdict == str(AnalystVerdict.OPEN):
            return
        await self._connection.execute(
            sa.update(tables.activities)
            .where(
                columns.organisation == self._organisation,
                columns.identifier == activity.merged_into,
                columns.verdict == str(AnalystVerdict.OPEN),
            )
            .values({name: getattr(verdict, name) for name in names} | {"is_untold": True})
        )


def _kind_of(subject: Subject) -> str:
    match subject:
        case Decision():
            return "decision"
        case InfrastructureFacts():
            return FACTS
        case Revision():
            return REVISION
    return "message"


def _campaign_row(campaign: Campaign) -> dict[str, Any]:
    record = campaign.record()
    names: Sequence[str] = (
        "organisation",
        "identifier",
        "sender_domain",
        "first_at",
        "last_at",
        "messages",
        "people",
    )
    return {name: record[name] for name in names} | {"nature": str(campaign.nature), "record": record}


def _alert_row(alert: Alert) -> dict[str, Any]:
    record = alert.record()
    row = {name: record[name] for name in ("organisation", "identifier", "at", "activity", "message")}
    return row | {"kind": str(alert.kind), "record": record}
