"""Setup: a fortnight of mail that was counted by hand, and activities, in both databases.

Test: the report tells these very numbers, to each as far as they may know, and nothing of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from control_room import actor, opened_room
from mailveil.control.access import ForbiddenError, Permission
from mailveil.control.activityrecords import ActivityFile
from mailveil.control.failures import InvalidError
from mailveil.control.weekly import weekly_report
from mailveil.control.weeks import Week
from mailveil.core.intelligence.types import AlertKind, AnalystVerdict
from weekly_room import AFTER, DAY, MONDAY, activity, campaigns, put_watchers, put_week, watchers

if TYPE_CHECKING:
    from control_room import ControlRoomForTests
    from mailveil.control.weeklyreport import WeeklyReport
    from mailveil.core.intelligence.types import Activity
    from postgres_room import DatabasePlace

WEEK = Week(2026, 47)


def in_room(place: DatabasePlace, work: Callable[[ControlRoomForTests], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened_room(place) as made:
            await work(made)

    asyncio.run(run())


def told(report: WeeklyReport) -> list[tuple[str, str, bool, bool]]:
    assert report.watching is not None
    return [
        (each.identifier.removeprefix("activity-"), str(each.state), each.is_new, each.is_ended)
        for each in report.watching.activities
    ]


def test_however_much_came_since_the_senders_of_an_old_week_are_told(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await put_week(made)
        built = campaigns()[0]
        one, two, since = (
            replace(
                built, identifier=name, sender_domain="one.example", messages=9, people=people, first_at=at
            )
            for name, people, at in (("one", 3, MONDAY), ("two", 4, MONDAY - DAY), ("since", 7, AFTER + DAY))
        )
        since = replace(since, last_at=AFTER + 2 * DAY, messages=1_000)
        crowd = [
            replace(
                built,
                identifier=f"later-{number}",
                sender_domain=f"later{number}.example",
                first_at=AFTER + DAY,
                last_at=AFTER + 3 * DAY,
            )
            for number in range(1_001)
        ]
        await put_watchers(
            made, [ActivityFile(activity("seen", MONDAY, MONDAY, 0.9), AFTER)], [], [one, two, since, *crowd]
        )
        made.clock.moment = AFTER + 7 * DAY
        report = await weekly_report(made.room, actor(), WEEK)
        assert report.built is not None
        assert [(each.sender_domain, each.campaigns, each.messages) for each in report.built] == [
            ("newsroom.example", 1, 340),
            ("one.example", 2, 18),
        ]
        assert (report.built[1].people, report.built[1].first_at) == (4, MONDAY - DAY)
        assert not any("weakest" in each for each in report.missing)

    in_room(database, work)


def test_figures_are_those_counted_by_hand(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await put_week(made)
        report = await weekly_report(made.room, actor(), WEEK)
        total, before = report.total, report.before
        assert (total.messages, total.with_remote, total.with_trackers, total.risky) == (10, 6, 3, 2)
        assert (before.messages, before.with_remote, before.with_trackers, before.risky) == (4, 2, 1, 0)
        assert total.unexamined == 1
        assert total.prevented == 8
        assert [each.figures.messages for each in report.days] == [2, 1, 1, 3, 1, 1, 1]
        assert [each.figures.with_trackers for each in report.days] == [1, 1, 1, 0, 0, 0, 0]
        assert [each.figures.messages for each in report.weeks] == [0] * 9 + [1, 4, 10]
        assert report.weeks[-1].at == MONDAY
        assert {each.value: each.messages for each in report.kinds} == {"open": 3, "location": 1}
        assert report.operators is not None
        assert [(each.name, each.messages) for each in report.operators] == [
            ("Mailchimp", 2),
            ("Sailthru", 1),
        ]
        assert report.operators[0].category == "mail-service"
        assert report.built is not None
        assert [(each.sender_domain, each.messages) for each in report.built] == [("newsroom.example", 340)]
        assert report.is_complete
        assert report.said[:4] == (
            "10 messages were protected, 2.5 times as many as in the week before.",
            "60% of them had remote content, which opening would have fetched (50% the week before).",
            "Of those, 50% had trackers (50% the week before).",
            "Of the messages with trackers, 67% were of medium or high risk (0% the week before).",
        )
        assert any("1 message could not be examined" in each for each in report.missing)
        assert any("no figures before the week of 2 November 2026" in each for each in report.missing)
        assert any("Little mail is known yet" in each for each in report.missing)
        assert any(each.startswith("16 messages wait to be studied") for each in report.missing)

    in_room(database, work)


def test_who_is_watching_is_told_as_of_the_end_of_the_week(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await put_week(made)
        report = await weekly_report(made.room, actor(), WEEK, with_people=True)
        watching = report.watching
        assert watching is not None
        assert told(report) == [
            ("fresh", "active", True, False),
            ("closed", "closed", False, True),
            ("quiet", "quiet", False, False),
            ("dismissed", "closed", False, True),
        ]
        assert (watching.new, watching.ended, watching.active, watching.weaker) == (1, 2, 1, 1)
        assert (watching.dismissed, watching.confirmed) == (1, 0)
        fresh = watching.activities[0]
        assert (fresh.week_probes, fresh.week_people, fresh.total_probes) == (3, 1, 3)
        assert fresh.domains == ("fresh.example", "annaschmidt.example")
        assert [each.person for each in fresh.targets] == ["anna.schmidt@acme.example"]
        assert watching.functions == (("finance", 1),)
        assert watching.alert_counts == {AlertKind.RECONNAISSANCE: 1, AlertKind.FOLLOW_UP: 1}
        assert [each.at for each in watching.follow_ups] == [MONDAY + 6 * DAY]
        assert "1 alert tells of later mail from actors that had probed before." in report.said
        # What was decided in the week is not known to the report of the week before it.
        earlier = await weekly_report(made.room, actor(), WEEK.plus(-1))
        assert ("closed", "active", False, False) in told(earlier)
        assert ("dismissed", "active", False, False) in told(earlier)
        assert earlier.watching is not None
        assert all(each.verdict is AnalystVerdict.OPEN for each in earlier.watching.activities)

    in_room(database, work)


def test_without_people_nobody_can_be_found_in_it(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await put_week(made)
        report = await weekly_report(made.room, actor(), WEEK)
        text = repr(report).lower()
        for each in ("anna", "schmidt", "finance"):
            assert each not in text
        assert report.watching is not None
        assert report.watching.activities[0].total_people == 1
        assert report.watching.activities[0].actor == "fresh.example"
        assert any("People are left out" in each for each in report.missing)
        with_people = await weekly_report(made.room, actor(), WEEK, with_people=True)
        assert "anna.schmidt" in repr(with_people)
        assert "anna.schmidt of finance" in repr(with_people)

    in_room(database, work)


def test_each_is_told_what_they_may_know(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await put_week(made)
        room = made.room
        figures_only = actor(permissions=[Permission.STATISTICS_READ])
        report = await weekly_report(room, figures_only, WEEK)
        assert (report.operators, report.built, report.watching) == (None, None, None)
        assert report.total.messages == 10
        assert any("intelligence:read" in each for each in report.missing)
        assert any("trackers:read" in each for each in report.missing)
        viewer = await weekly_report(room, actor("viewer"), WEEK)
        assert len(told(viewer)) == 4
        for each in (figures_only, actor("viewer")):
            with pytest.raises(ForbiddenError, match="activities:read"):
                await weekly_report(room, each, WEEK, with_people=True)
        with pytest.raises(ForbiddenError, match="statistics:read"):
            await weekly_report(room, actor(permissions=[Permission.ACTIVITIES_READ]), WEEK)

    in_room(database, work)


def test_another_organisation_has_a_report_of_its_own(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await made.organisation("acme")
        await put_week(made)
        empty = await weekly_report(made.room, actor(organisation="acme"), WEEK, with_people=True)
        assert empty.organisation_name == "Acme"
        assert empty.total.messages == 0
        assert empty.operators == ()
        assert empty.built == ()
        assert told(empty) == []
        assert empty.said == (
            "No mail passed in this week, nor in the week before.",
            "No reconnaissance worth a look was seen.",
        )
        await put_watchers(made, [open_file(activity("own", MONDAY, MONDAY, 0.9, organisation="acme"))])
        own = await weekly_report(made.room, actor(organisation="acme"), WEEK)
        assert [each[0] for each in told(own)] == ["own"]

    in_room(database, work)


def open_file(found: Activity) -> ActivityFile:
    return ActivityFile(found, AFTER)


def test_a_week_under_way_is_compared_with_as_much_of_the_week_before(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        await put_week(made)
        made.clock.moment = MONDAY + 2 * DAY + 3600
        report = await weekly_report(made.room, actor(), WEEK)
        assert not report.is_complete
        assert report.until == made.clock.moment
        assert report.total.messages == 4
        assert report.before.messages == 1
        assert len(report.days) == 3
        assert any(
            each.startswith("The week is not over: figures go up to 18 November") for each in report.missing
        )
        with pytest.raises(InvalidError, match="2026-W48 has not begun"):
            await weekly_report(made.room, actor(), WEEK.plus(1))

    in_room(database, work)


def test_what_ends_by_itself_is_told_once(database: DatabasePlace) -> None:
    async def work(made: ControlRoomForTests) -> None:
        made.clock.moment = AFTER
        await put_watchers(made, [open_file(activity("long", MONDAY - 99 * DAY, MONDAY - 88 * DAY, 0.9))])
        for week, state, ended in ((-1, "quiet", False), (0, "closed", True)):
            report = await weekly_report(made.room, actor(), WEEK.plus(week))
            assert told(report) == [("long", state, False, ended)]
        made.clock.moment = AFTER + 7 * DAY
        assert told(await weekly_report(made.room, actor(), WEEK.plus(1))) == []

    in_room(database, work)


def test_a_sender_with_its_own_tracking_made_for_one_person_is_named_to_those_who_may_know_people(
    database: DatabasePlace,
) -> None:
    async def work(made: ControlRoomForTests) -> None:
        made.clock.moment = AFTER
        built, *_ = campaigns()
        personal = replace(built, identifier="p", sender_domain="aschmidt-post.example", is_personal=True)
        before = replace(personal, identifier="q", is_personal=False)
        await put_watchers(made, watchers()[:1], (), (built, personal, before))
        for with_people, expected in ((False, "*.example"), (True, "aschmidt-post.example")):
            report = await weekly_report(made.room, actor(), WEEK, with_people=with_people)
            assert [each.sender_domain for each in report.built or ()] == [expected, "newsroom.example"]

    in_room(database, work)
