"""Throw-away senders: however many an actor has or forges, its tracker does not pass for one that everybody uses."""

from collections.abc import Mapping
from typing import Any

import pytest

from intelligence_room import DAY, HOUR, START, Studied, finance, mail, person, quiet_weeks, tracker
from mailveil.core.intelligence.types import Activity
from mailveil.core.intelligence.usages import sharing_of, with_user

SPY, HOST = "quietharbour.example", "px.trackerhome.example"
FORGED = {"author_domain": "", "authentication": {"spf": {"result": "fail"}}}
WATCHED = {finance(number) for number in range(6)}


def probed(throw_away: int, others: Mapping[str, Any]) -> Activity:
    """Return the activity that probes of finance make, after one message each of so many throw-away senders."""
    here = tracker(HOST)
    before = [
        mail(START + (38 * 24 + each) * HOUR, f"thrown{each}.example", person(79), here, text_characters=200, **others)
        for each in range(throw_away)
    ]  # fmt: skip
    probes = [
        mail(START + 40 * DAY + each * HOUR, SPY, finance(each), here, text_characters=200)
        for each in range(6)
    ]
    found = Studied().take((*quiet_weeks(), *before, *probes)).activities.values()
    (activity,) = (each for each in found if {target.person for target in each.targets} >= WATCHED)
    return activity


@pytest.mark.parametrize(("throw_away", "others"), [(0, {}), (20, {}), (20, FORGED), (40, FORGED)])
def test_probes_are_found_and_their_tracker_is_the_actors_own(
    throw_away: int, others: dict[str, Any]
) -> None:
    activity = probed(throw_away, others)
    assert activity.score >= 0.5
    assert "ONE_FUNCTION" in {each.code for each in activity.reasons}
    shared = {each.value: each.shared for each in activity.infrastructure}
    assert not shared[HOST]
    assert not shared["trackerhome.example"]


def test_senders_with_a_history_find_room_beside_any_number_of_others() -> None:
    memo = None
    for number in range(40):
        memo = with_user(memo, f"thrown{number}.example", float(number), established=False)
    assert sharing_of(memo, "spy.example") == 0.0
    for number in range(2):
        memo = with_user(memo, f"shop{number}.example", 50.0 + number, established=True)
    assert memo is not None
    assert len(memo["users"]) == 16
    assert sharing_of(memo, "spy.example") == 1.0
