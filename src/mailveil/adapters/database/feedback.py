"""Readers' reports, and leave to read originals, in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import delete_in_portions, put
from mailveil.control.records import Cut, Feedback, FeedbackKind, FeedbackState, Page, ReleaseGrant
from mailveil.control.stores import ConflictError

PORTION = 1000


class SqlFeedbackStore:
    """What readers reported, and who may read an original (``control.stores.FeedbackStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, feedback: Feedback) -> None:
        """Write a report; one of that identifier is replaced. Raises ``ConflictError`` without its organisation."""
        row = {
            "organisation": feedback.organisation,
            "identifier": feedback.identifier,
            "at": feedback.at,
            "kind": str(feedback.kind),
            "message": feedback.message,
            "text": feedback.text,
            "channel": feedback.channel,
            "state": str(feedback.state),
            "closed_by": feedback.closed_by,
            "closed_at": feedback.closed_at,
            "note": feedback.note,
        }
        await self._put(tables.feedback, row)

    async def reports(
        self, organisation: str, cut: Cut, *, state: FeedbackState | None = None
    ) -> Page[Feedback]:
        """Return reports, newest first."""
        feedback = tables.feedback.c
        query = (
            sa.select(tables.feedback)
            .where(
                feedback.organisation == organisation,
                beyond((feedback.identifier,), decode_cursor(cut.cursor, str), descending=True),
            )
            .order_by(feedback.identifier.desc())
            .limit(limit_of(cut) + 1)
        )
        if state is not None:
            query = query.where(feedback.state == str(state))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _report, lambda row: (row.identifier,))

    async def report_of(self, organisation: str, identifier: str) -> Feedback | None:
        """Return one report."""
        feedback = tables.feedback.c
        query = sa.select(tables.feedback).where(
            feedback.organisation == organisation, feedback.identifier == identifier
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _report(row)

    async def grant(self, grant: ReleaseGrant) -> None:
        """Write leave to read an original. Raises ``ConflictError`` without its organisation."""
        row = {
            "organisation": grant.organisation,
            "identifier": grant.identifier,
            "message": grant.message,
            "original": grant.original,
            "reason": grant.reason,
            "granted_by": grant.granted_by,
            "granted_at": grant.granted_at,
            "expires_at": grant.expires_at,
        }
        await self._put(tables.grants, row)

    async def grants(self, organisation: str, message: str, now: float) -> Sequence[ReleaseGrant]:
        """Return the leave that holds for a message now, the latest first."""
        grants = tables.grants.c
        query = (
            sa.select(tables.grants)
            .where(grants.organisation == organisation, grants.message == message, grants.expires_at > now)
            .order_by(grants.granted_at.desc(), grants.identifier.desc())
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            ReleaseGrant(
                identifier=row.identifier,
                organisation=row.organisation,
                message=row.message,
                original=row.original,
                reason=row.reason,
                granted_by=row.granted_by,
                granted_at=row.granted_at,
                expires_at=row.expires_at,
            )
            for row in rows
        ]

    async def expire(self, organisation: str, before: float) -> int:
        """Delete a portion of the reports and leaves older than that; return how many, 0 once there are none."""
        reports = (tables.feedback.c.organisation == organisation) & (tables.feedback.c.at < before)
        leaves = (tables.grants.c.organisation == organisation) & (tables.grants.c.expires_at < before)
        async with self._database.write() as connection:
            gone = await delete_in_portions(connection, tables.feedback, reports, PORTION)
            return gone + await delete_in_portions(connection, tables.grants, leaves, PORTION)

    async def _put(self, table: sa.Table, row: dict[str, Any]) -> None:
        try:
            async with self._database.write() as connection:
                await put(connection, table, row)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {row['organisation']}") from error


def _report(row: sa.Row[Any]) -> Feedback:
    return Feedback(
        identifier=row.identifier,
        organisation=row.organisation,
        at=row.at,
        kind=FeedbackKind(row.kind),
        message=row.message,
        text=row.text,
        channel=row.channel,
        state=FeedbackState(row.state),
        closed_by=row.closed_by,
        closed_at=row.closed_at,
        note=row.note,
    )
