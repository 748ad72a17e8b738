"""What pages and lists cost however much is kept: no table is read through, and no page asks more for more messages.

Setup: the site of the benchmark (bench/pages.py) over a few messages and over many times as many, with everything that
it asks there: each page, each filter, each list and figure of the API, first and deep parts.
Test: every statement's way through SQLite (EXPLAIN QUERY PLAN), and how many statements an answer takes.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

FEW, MANY = 60, 900
MOST_STATEMENTS = 60  # the overview has most: it is made of many figures
FURTHER_WINDOWS = 8  # statements that a list with several filters takes to look further, where much is kept
#: Tables that grow with mail, or with what people do.
GROWING = (
    "messages", "message_records", "message_terms", "trackers", "tracker_terms", "met", "operators", "counts", "audit",
    "feedback", "grants", "users", "tokens", "allowed", "policies", "sessions", "failures", "repeats",
)  # fmt: skip
READ_THROUGH = re.compile(rf"SCAN ({'|'.join(GROWING)})\b(?! USING)")
WHOLE_ORGANISATION = re.compile(rf"SEARCH ({'|'.join(GROWING[:8])})\b[^\n]*\(organisation=\?\)")
FILTER = re.compile(r"\b(?:audit|feedback|tokens)\.(?!organisation\b)(\w+) = \?")
SORTED = re.compile(r"USE TEMP B-TREE FOR ORDER BY")
#: Lists of one table that come in the order of an index: nothing about them is sorted.
IN_ORDER = re.compile(r"\bFROM (audit|feedback|users|tokens|allowed|policies|grants) ?\n?")


@dataclass
class Asked:
    """What was asked of one database: statements by the name of what asked them."""

    statements: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)


async def _asked(folder: Path, count: int) -> Asked:
    import control
    import pages

    database, _ = await control.seeded(folder, count)
    found = Asked()
    try:
        site = await pages.opened(folder / f"site{count}", database, count)
        seen: list[tuple[str, Any]] = []

        @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            seen.append((statement, parameters))

        try:
            for name, path in (await pages.paths(site)).items():
                await site.ask(path)  # the day on which a token was used is noted once
                seen.clear()
                await site.ask(path)
                found.statements[name] = list(seen)
        finally:
            await site.close()
        async with database.read() as connection:
            for each in list(found.statements.values()):
                for statement, parameters in each:
                    if statement in found.plans or not statement.lstrip().startswith(("SELECT", "WITH")):
                        continue
                    rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                    found.plans[statement] = "\n".join(row[3] for row in rows)
    finally:
        await database.close()
    return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Asked, Asked]:
    folder = tmp_path_factory.mktemp("site")
    return asyncio.run(_asked(folder, FEW)), asyncio.run(_asked(folder, MANY))


def test_no_page_and_no_list_reads_a_table_through(asked: tuple[Asked, Asked]) -> None:
    for each in asked:
        assert len(each.plans) > 60
        wrong = [
            (plan, statement[:1500]) for statement, plan in each.plans.items() if READ_THROUGH.search(plan)
        ]
        assert wrong == []


def test_lists_come_in_the_order_of_an_index(asked: tuple[Asked, Asked]) -> None:
    lists = {
        statement: plan
        for statement, plan in asked[1].plans.items()
        if IN_ORDER.search(statement) and " LIMIT " in statement and "ORDER BY" in statement
    }
    assert len(lists) >= 12
    assert [(plan, statement) for statement, plan in lists.items() if SORTED.search(plan)] == []


def test_what_a_list_is_filtered_by_is_in_the_index_that_it_is_read_from(asked: tuple[Asked, Asked]) -> None:
    filtered = {
        statement: FILTER.findall(statement) for statement in asked[1].plans if " LIMIT " in statement
    }
    assert sum(bool(names) for names in filtered.values()) >= 5
    unaided = [
        (asked[1].plans[statement], statement)
        for statement, names in filtered.items()
        if names and not any(f"{name}=?" in asked[1].plans[statement] for name in names)
    ]
    assert unaided == []


def test_all_mail_of_an_organisation_is_walked_through_for_parts_of_lists_alone(
    asked: tuple[Asked, Asked],
) -> None:
    walked = [
        (plan, statement)
        for statement, plan in asked[1].plans.items()
        if WHOLE_ORGANISATION.search(plan) and " LIMIT " not in statement
    ]
    assert walked == []


def test_an_answer_takes_as_many_statements_however_much_is_kept(asked: tuple[Asked, Asked]) -> None:
    few, many = (each.statements for each in asked)
    assert len(many) > 150
    assert {name: len(each) for name, each in many.items() if len(each) > MOST_STATEMENTS} == {}
    grown = {
        name: (len(few[name]), len(each))
        for name, each in many.items()
        if name in few and len(each) > len(few[name]) + FURTHER_WINDOWS
    }
    assert grown == {}
