"""Honest senders with names like ours or a partner's are there, belong to whom they resemble, and change nothing else.

Setup: a small organisation over some weeks, with those relatives and without. Test: each kind writes, with tracking
bought and built; other honest mail is the same; no spy is given their domains; namesakes are one letter away.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailveil.core.intelligence.senders import resembles
from mailveil.learning.simulation import Cause, Grade, Simulated, Simulation, SimulationSettings
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.generating import Rates
from mailveil.learning.simulation.names import Names

RELATIVES = {Cause.OUR_RELATIVE, Cause.PARTNERS_RELATIVE, Cause.NAMESAKE}
SETTINGS = SimulationSettings(people=60, days=60, seed=3, actors=dict.fromkeys(Grade, 3))


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(SETTINGS)


@pytest.fixture(scope="module")
def sent(simulation: Simulation) -> list[Simulated]:
    return list(simulation)


def domains(sent: list[Simulated], *causes: Cause) -> set[str]:
    return {each.observation.sender_domain for each in sent if each.truth.cause in causes}


def test_honest_senders_have_names_like_ours_and_like_those_of_partners(sent: list[Simulated]) -> None:
    ours = domains(sent, Cause.OUR_RELATIVE)
    assert len(ours) >= 2, "a sister company and a platform for staff, at least"
    assert all("office" in each and each != "office.example" for each in ours)
    assert sum(bool(resembles(each, "office.example")) for each in ours) >= 1
    partners = domains(sent, Cause.PARTNER)
    theirs = domains(sent, Cause.PARTNERS_RELATIVE)
    assert len(theirs) >= 5
    # Some partners have not written themselves within these weeks.
    known = [one for one in theirs if any(each.partition(".")[0] in one for each in partners)]
    assert len(known) >= len(theirs) / 2
    assert not theirs & partners


def test_some_relatives_bought_their_tracking_and_some_built_it() -> None:
    sent = list(Simulation(replace(SETTINGS, days=30, actors={}), Rates(partners_relatives=1.0)))
    tracked = [
        one
        for each in sent
        if each.truth.cause in RELATIVES
        for one in each.observation.references
        if one.is_tracker
    ]
    assert {bool(one.operator) for one in tracked} == {True, False}
    own = {each.observation.sender_domain for each in sent if each.truth.cause in RELATIVES}
    assert any(not one.operator and one.domain in own for one in tracked)


def test_other_mail_is_the_same_whether_there_are_relatives_or_not(sent: list[Simulated]) -> None:
    none = Rates(
        our_relatives=0.0, new_our_relatives=0.0, partners_relatives=0.0, new_partners_relatives=0.0,
        namesakes=0.0,
    )  # fmt: skip

    def others(mail: list[Simulated]) -> list[tuple[str, str, tuple[str, ...], str]]:
        return [
            (seen.identifier, seen.author, seen.recipients, seen.subject)
            for seen, truth in ((each.observation, each.truth) for each in mail)
            if truth.cause not in RELATIVES | {Cause.SUBMITTED} and truth.grade is None
        ]

    fewer = list(Simulation(SETTINGS, none))
    assert len(domains(fewer, *RELATIVES)) < len(domains(sent, *RELATIVES))
    assert others(fewer) == others(sent)


def test_no_spy_has_the_domain_of_somebody_honest(sent: list[Simulated]) -> None:
    spies = {each.observation.sender_domain for each in sent if each.truth.grade}
    assert spies
    assert not spies & domains(sent, *RELATIVES)
    names = Names(Chance(1, "names"), are_spies=True)
    everything = [f"shop-{word}" for word in ("group", "office", "mail", "team", "online")]
    for each in everything:
        assert names.take(f"{each}.example")
        assert not names.take(f"{each}.example")
    assert not {names.look_alike("shop.example").partition(".")[0] for _ in range(10)} & set(everything)


def test_a_namesake_is_one_letter_from_whom_it_resembles() -> None:
    names = Names(Chance(1, "names"))
    made = {names.similar("northmills.example") for _ in range(20)}
    assert len(made) == 20
    for each in made:
        assert abs(len(each) - len("northmills.example")) <= 1
        assert resembles(each, "northmills.example")
