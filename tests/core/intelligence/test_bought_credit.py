"""Bought credit: mailings of throw-away senders make nobody's tracker everybody's, nor an alias a vendor's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from intelligence_room import (
    DAY,
    HOUR,
    START,
    Studied,
    finance,
    mail,
    newsletter,
    person,
    quiet_weeks,
    tracker,
)
from mailveil.core.intelligence.studying import Subject
from mailveil.core.intelligence.types import Activity, InfrastructureFacts
from mailveil.core.observation import Observation

SPY, DOMAIN, ALIAS = "quietharbour.example", "trackerhome.example", "edgepool.example"
HOST = f"px.{DOMAIN}"
WATCHED = {finance(number) for number in range(6)}
FIVE = [person(each) for each in (70, 71, 73, 74, 75)]
MONTH = START + 36 * DAY


def probed(before: Sequence[Subject], after: Sequence[Subject] = ()) -> Activity:
    """Return the activity that six probes of finance make, after something else."""
    probes = [
        mail(MONTH + 30 * DAY + each * HOUR, SPY, finance(each), tracker(HOST), text_characters=200)
        for each in range(6)
    ]
    found = Studied().take((*quiet_weeks(), *before, *probes, *after)).activities.values()
    (activity,) = (each for each in found if {target.person for target in each.targets} >= WATCHED)
    return activity


def mailing(number: int, host: str, at: float) -> Observation:
    """Return a newsletter of a sender to five people; only the fields say that it is one."""
    return newsletter(at + HOUR * number, f"thrown{number}.example", FIVE, tracker(host))  # type: ignore[arg-type]


def shared_in(activity: Activity) -> dict[str, bool]:
    return {each.value: each.shared for each in activity.infrastructure}


@pytest.mark.parametrize("days", [(29,), (20, 28), (14, 18, 22, 26, 29)], ids=["once", "twice", "often"])
@pytest.mark.parametrize("senders", [1, 2, 20])
def test_fake_newsletters_of_new_senders_hide_no_probe(senders: int, days: tuple[int, ...]) -> None:
    sent = [mailing(each, HOST, MONTH + day * DAY) for day in days for each in range(senders)]
    activity = probed(sent)
    assert activity.score >= 0.5
    assert "SHARED_TRACKER" not in {each.code for each in activity.reasons}
    assert not shared_in(activity)[DOMAIN]


def test_what_senders_with_a_history_use_is_nobodys_own() -> None:
    sent = [mailing(each, HOST, MONTH + day * DAY) for day in (1, 12, 29) for each in range(2)]
    found = Studied().take((*quiet_weeks(), *sent, mail(MONTH + 30 * DAY, SPY, finance(0), tracker(HOST))))
    assert SPY not in found.activities


def facts_at(host: str) -> InfrastructureFacts:
    return InfrastructureFacts(
        host, canonical_names=(f"a.{ALIAS}",), organisation="default", at=MONTH + 29.5 * DAY
    )


@pytest.mark.parametrize("is_late", [False, True], ids=["known before", "found out afterwards"])
def test_throw_away_customers_make_nobody_a_vendor(*, is_late: bool) -> None:
    hosts = [f"px.customer{number}.example" for number in range(8)]
    sent = [mailing(number, host, MONTH + 29 * DAY) for number, host in enumerate(hosts)]
    facts, its = [facts_at(each) for each in hosts], [facts_at(HOST)]
    activity = probed([*sent, *facts, *([] if is_late else its)], its if is_late else ())
    assert activity.score >= 0.5
    assert not shared_in(activity)[DOMAIN]
    assert "SHARED_TRACKER" not in {each.code for each in activity.reasons}


def test_an_alias_of_customers_with_a_history_is_a_vendors() -> None:
    hosts = [f"px.customer{number}.example" for number in range(4)]
    sent = [
        mailing(number, host, MONTH + day * DAY) for day in (1, 12, 29) for number, host in enumerate(hosts)
    ]
    found = Studied().take(
        (
            *quiet_weeks(),
            *(facts_at(each) for each in (*hosts, HOST)),
            *sent,
            *(facts_at(each) for each in (*hosts, HOST)),
            *(mail(MONTH + 30 * DAY + each, SPY, finance(each), tracker(HOST)) for each in range(3)),
            facts_at(HOST),
            mail(MONTH + 31 * DAY, SPY, finance(4), tracker(HOST)),
        )
    )
    codes = found.codes(SPY) if SPY in found.activities else {"SHARED_TRACKER"}
    assert "SHARED_TRACKER" in codes
