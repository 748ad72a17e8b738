"""Named innocents: a domain that a spy merely names, or embeds beside its tracker, is not taken for the spy's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
from mailveil.core.intelligence.knownactors import known_actor
from mailveil.core.intelligence.types import Activity, AnalystVerdict, Role
from mailveil.core.observation import ObservedReference
from mailveil.core.recognition.recognising import index_of, recognise
from mailveil.core.recognition.types import KnownBy, MessageTraits, Watchlist
from mailveil.core.sharing.claims import claims_of_activity
from mailveil.core.sharing.entries import Standing
from mailveil.core.sharing.types import Disclosure
from mailveil.core.sharing.veiling import Organisation, shared_activity

SPY, INNOCENT = "quietharbour.example", "honestworks.example"
THEIRS = f"www.{INNOCENT}"
ITS_OWN = tracker(f"px.{SPY}")
LOGO = tracker(THEIRS, "images/logo.png")
OURS = frozenset({"here.example"})


def studied(*references: ObservedReference, answers: str = "", more: Sequence[object] = ()) -> Studied:
    probes = [
        mail(
            START + 40 * DAY + each * HOUR, SPY, finance(each), *(references or (ITS_OWN,)), text_characters=200,
            header={"reply_to_domain": answers} if answers else {},
        )
        for each in range(5)
    ]  # fmt: skip
    return Studied().take((*quiet_weeks(), *probes, *more))  # type: ignore[arg-type]


def actor_in(found: Studied) -> Activity:
    return found.activities[SPY]


def claimed_to_others(activity: Activity, verdict: AnalystVerdict = AnalystVerdict.OPEN) -> set[str]:
    shared = shared_activity(activity, Standing(verdict=verdict), Disclosure(), Organisation("default"))
    return {each.value for each in claims_of_activity(shared)}


def known_by(activity: Activity, traits: MessageTraits) -> KnownBy | None:
    found = recognise(index_of(Watchlist("default", (known_actor(activity),), OURS)), traits)
    return found.known_by if found else None


PROVEN = MessageTraits(author_domain=INNOCENT, sender_domain=INNOCENT, is_proven=True)


def test_where_answers_are_to_go_is_nobodys_own_because_a_spy_says_so() -> None:
    activity = actor_in(studied(answers=INNOCENT))
    assert activity.score >= 0.5
    assert INNOCENT in activity.claimed_domains
    claims = claimed_to_others(activity)
    assert SPY in claims
    assert not {each for each in claims if INNOCENT in each}
    assert INNOCENT in claimed_to_others(activity, AnalystVerdict.CONFIRMED)


def test_its_honest_mail_gets_no_warning() -> None:
    activity = actor_in(studied(answers=INNOCENT))
    quoted = MessageTraits(
        author_domain="other.example",
        is_proven=True,
        domains=frozenset({INNOCENT}),
        hosts=frozenset({THEIRS}),
    )
    alike = MessageTraits(author_domain="honestworks.test", is_proven=True)
    at_home = replace(PROVEN, reply_domain=INNOCENT)
    for traits in (PROVEN, quoted, alike, at_home):
        assert known_by(activity, traits) is None, traits


def test_what_else_the_spy_does_with_it_still_tells_of_it() -> None:
    activity = actor_in(studied(answers=INNOCENT))
    again = MessageTraits(author_domain="fresh.example", is_proven=True, reply_domain=INNOCENT)
    assert known_by(activity, again) is KnownBy.REPLY_DOMAIN
    assert known_by(activity, replace(again, is_list=True)) is None
    assert known_by(activity, replace(PROVEN, is_proven=False)) is KnownBy.REPLY_DOMAIN


@pytest.mark.parametrize("imitation", ["quietharb0ur.example", "quietharbour-office.example"])
def test_an_imitation_is_no_innocents(imitation: str) -> None:
    activity = actor_in(studied(answers=imitation))
    assert imitation not in activity.claimed_domains
    assert imitation in claimed_to_others(activity)


def test_probes_that_prove_it_make_it_the_spys() -> None:
    later = [
        mail(START + 41 * DAY + each * HOUR, INNOCENT, finance(each), ITS_OWN, text_characters=200)
        for each in range(2)
    ]
    activity = actor_in(studied(answers=INNOCENT, more=later))
    assert INNOCENT not in activity.claimed_domains
    assert known_by(activity, PROVEN) is KnownBy.SENDER_DOMAIN


@pytest.mark.parametrize("named", [{"answers": INNOCENT}, {"references": (ITS_OWN, LOGO)}])
def test_an_innocents_newsletter_joins_no_spy(named: dict[str, object]) -> None:
    letter = newsletter(START + 42 * DAY, INNOCENT, person(9), tracker(f"px.{INNOCENT}"))
    references = named.get("references", (ITS_OWN,))
    activity = actor_in(studied(*references, answers=str(named.get("answers", "")), more=[letter]))  # type: ignore[misc]
    assert activity.total_probes == 5
    assert not {each for each in claimed_to_others(activity) if INNOCENT in each}


def test_a_picture_beside_a_tracker_is_nobodys_own() -> None:
    activity = actor_in(studied(ITS_OWN, LOGO))
    assert activity.score >= 0.5
    named = {each.value for each in activity.infrastructure}
    assert SPY in named
    assert not {INNOCENT, THEIRS} & named
    assert not {each for each in claimed_to_others(activity) if INNOCENT in each}
    assert (
        known_by(activity, replace(PROVEN, domains=frozenset({INNOCENT}), hosts=frozenset({THEIRS}))) is None
    )


def test_a_spy_loses_no_name_that_was_its_own_by_putting_another_beside_it() -> None:
    other = "px.secondplace.example"
    later = [
        mail(START + 41 * DAY + each * HOUR, SPY, finance(each), tracker(other), LOGO, text_characters=200)
        for each in range(3)
    ]
    activity = actor_in(studied(LOGO, more=later))
    shared = {each.value: each.shared for each in activity.infrastructure if each.role is Role.TRACKER_DOMAIN}
    assert shared == {INNOCENT: False, "secondplace.example": False}


def test_two_places_that_are_told_who_reads_are_both_the_spys() -> None:
    activity = actor_in(studied(ITS_OWN, tracker("px.secondplace.example")))
    assert {SPY, "secondplace.example"} <= claimed_to_others(activity)
