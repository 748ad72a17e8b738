"""Forged senders: what an actor only claimed to be is told apart from what proved itself."""

import json

from intelligence_room import DAY, HOUR, START, Studied, finance, mail, quiet_weeks, tracker
from mailveil.core.intelligence.knownactors import known_actor
from mailveil.core.intelligence.types import activity_of

PARTNER, SPY = "innocentpartner.example", "quietharbour.example"
FORGED = {"author_domain": "", "authentication": {"spf": {"result": "fail"}}}


def probes(sender, **others):
    for number in range(4):
        yield mail(
            START + 40 * DAY + number * HOUR, sender, finance(number), tracker(f"px.{SPY}"),
            text_characters=200, **others,
        )  # fmt: skip


def actor_of(*messages):
    studied = Studied().take((*quiet_weeks(), *messages))
    (activity,) = (each for each in studied.activities.values() if each.score >= 0.5)
    assert activity_of(json.loads(json.dumps(activity.record()))) == activity
    return known_actor(activity)


def test_a_name_that_nobody_proved_is_one_that_was_claimed():
    actor = actor_of(*probes(PARTNER, **FORGED))
    assert (actor.sender_domains, actor.claimed_domains) == ({PARTNER}, {PARTNER})


def test_one_proof_is_enough():
    several = list(probes(SPY, **FORGED))
    proven = mail(START + 41 * DAY, SPY, finance(5), tracker(f"px.{SPY}"), text_characters=200)
    assert actor_of(*several, proven).claimed_domains == frozenset()
    assert actor_of(*probes(SPY)).claimed_domains == frozenset()


def test_where_nobody_looks_for_proof_nothing_is_held_against_its_lack():
    actor = actor_of(*probes(SPY, author_domain="", authentication={}))
    assert (actor.sender_domains, actor.claimed_domains) == ({SPY}, frozenset())


def test_of_several_names_each_is_told_apart():
    later = [
        mail(
            START + 42 * DAY + HOUR, PARTNER, finance(6), tracker(f"px.{SPY}"), text_characters=200, **FORGED
        )
    ]
    actor = actor_of(*probes(SPY), *later)
    assert actor.sender_domains == {SPY, PARTNER}
    assert actor.claimed_domains == {PARTNER}
