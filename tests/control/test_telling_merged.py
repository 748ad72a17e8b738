"""What others are told of an activity that turned out to be part of another."""

from __future__ import annotations

from dataclasses import replace

from mailveil.control.activityrecords import ActivityFile
from mailveil.control.telling import news_of, told_digest
from mailveil.core.intelligence.types import Activity, ActivityState
from mailveil.core.sharing.entries import Entry
from mailveil.core.sharing.types import Disclosure, EventKind, is_withdrawn
from mailveil.core.sharing.veiling import Organisation, share

NOW = 1_800_000_000.0
ACTIVITY = Activity("activity-1", "default", "evil.example", NOW - 7200, NOW - 60, 0.9)


def test_whoever_knows_an_activity_learns_once_of_which_it_is_part_even_if_it_was_closed() -> None:
    for told_state in (ActivityState.ACTIVE, ActivityState.CLOSED):
        merged = replace(ACTIVITY, score=0.0, merged_into="activity-0")
        file = ActivityFile(merged, NOW, told="before", told_state=str(told_state))
        news = news_of(file, NOW)
        assert news is not None
        entry = Entry(EventKind(news.kind), news.identifier, 1, news.at, news.record)
        shared = share(entry, Disclosure(), Organisation("default")).activity
        assert shared is not None
        assert shared.merged_into == "activity-0"
        assert is_withdrawn(shared)
        assert news_of(replace(file, told=told_digest(file, NOW), told_state="closed"), NOW) is None


def test_nobody_is_told_of_a_merged_activity_that_they_never_knew() -> None:
    assert news_of(ActivityFile(replace(ACTIVITY, merged_into="activity-0"), NOW), NOW) is None
