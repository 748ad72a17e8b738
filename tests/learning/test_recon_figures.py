"""Figures of how reconnaissance is found: right on cases known by hand, and made of real simulations.

Setup: messages with their truth; a detector that does as it is told; organisations of twenty people.
Test: what counts as detected, when, after whom; what counts as a false alarm and what raised it; rules at every
strictness; intervals against published values.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mailveil.core.intelligence.book import Book
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.types import Activity, Alert, AlertKind, InfrastructureFacts, Probe
from mailveil.core.observation import Observation, ObservedReference
from mailveil.learning.recon.account import text_of
from mailveil.learning.recon.baselines import NewDomain, NewDomainAndRareTracker, RareTracker
from mailveil.learning.recon.evaluating import LIKE_SELLER, PLAIN, figures, run
from mailveil.learning.recon.prospecting import KNOWN_AFTER_S, Prospecting
from mailveil.learning.recon.running import Detector, Raised, Reckoning, Scored, Studying
from mailveil.learning.recon.shares import rate, wilson
from mailveil.learning.simulation import Cause, Grade, Simulated, Simulation, SimulationSettings, Truth
from mailveil.learning.simulation.types import DAY_S

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from recon_tables import tables


def seen(number: int, cause: Cause = Cause.PROBE, *, actor: str = "loud-1", person: str = "") -> Simulated:
    observation = Observation(
        f"id-{number}", "default", number * DAY_S, f"log-{number}", author="a@spy.example",
        recipients=(person or f"person{number}@office.example",), sender_domain="spy.example",
    )  # fmt: skip
    is_actors = cause in {Cause.PROBE, Cause.FOLLOW_UP}
    return Simulated(observation, Truth(cause, actor, Grade.LOUD) if is_actors else Truth(cause))


def tracked(at: float, sender: str, tracker: str, person: str, *, operator: str = "") -> Observation:
    found = ObservedReference(
        f"https://{tracker}/o/1.gif", f"https://{tracker}/o/*.gif", tracker, tracker, "img-src", "tracker", "copy",
        operator=operator,
    )  # fmt: skip
    return Observation(
        f"id-{at}",
        "default",
        at,
        f"log-{at}",
        sender_domain=sender,
        recipients=(person,),
        references=(found,),
    )


def reckoned(*steps: tuple[Simulated, bool], warm_until: float = 0.0) -> Reckoning:
    reckoning = Reckoning(warm_until)
    for simulated, is_raised in steps:
        reckoning.note(simulated)
        reckoning.judge(simulated, [Raised(simulated.observation.identifier)] if is_raised else [])
    return reckoning


def test_an_actor_is_detected_by_the_first_alarm_on_one_of_their_probes() -> None:
    found = reckoned(
        (seen(0), False), (seen(2, person="person0@office.example"), False), (seen(5), True), (seen(6), True)
    ).outcome.actors["loud-1"]
    assert (found.number, found.days, found.people_before, found.probes) == (3, 5.0, 1, 4)


def test_an_alarm_on_a_follow_up_recognises_it_and_detects_nothing() -> None:
    found = reckoned((seen(0), False), (seen(3, Cause.FOLLOW_UP), True), (seen(4, Cause.FOLLOW_UP), False))
    actor = found.outcome.actors["loud-1"]
    assert (actor.is_detected, actor.follow_ups, actor.recognised) == (False, 2, 1)


def test_an_alarm_on_honest_mail_is_false_and_counted_by_what_raised_it() -> None:
    outcome = reckoned(
        (seen(0, Cause.RECRUITER), True), (seen(40, Cause.COLD_SALES), True), (seen(41, Cause.COLD_SALES), True),
        warm_until=28 * DAY_S,
    ).outcome  # fmt: skip
    assert outcome.false_in_warm_up == 1
    assert outcome.false_alarms == {"cold sales": 2}
    assert outcome.total_false == 2


def test_honest_mail_from_a_mailbox_that_spied_is_counted_apart() -> None:
    reckoning = reckoned((seen(0, Cause.PARTNER), True), (seen(1), True), (seen(2, Cause.PARTNER), True))
    assert reckoning.outcome.false_alarms == {"partner": 1}
    assert reckoning.outcome.of_taken_over == 1


def test_those_who_write_as_sellers_do_are_known_for_it() -> None:
    reckoning = Reckoning(0.0)
    for number, is_like_seller in enumerate((False, True)):
        made = seen(number, actor=f"loud-{number}")
        reckoning.note(replace(made, truth=replace(made.truth, is_like_seller=is_like_seller)))
    assert [each.is_like_seller for each in reckoning.outcome.actors.values()] == [False, True]


def test_an_alarm_may_name_an_earlier_message() -> None:
    reckoning = Reckoning(0.0)
    for number in range(3):
        reckoning.note(seen(number))
        reckoning.judge(seen(number), [Raised("id-0")] if number == 2 else [])
    assert reckoning.outcome.actors["loud-1"].number == 3


def test_studying_hands_on_what_is_known_and_raises_what_is_found() -> None:
    told: list[str] = []

    def study(subject: Observation | InfrastructureFacts, book: Book, settings: StudySettings) -> Findings:
        del settings
        if isinstance(subject, InfrastructureFacts):
            told.append(subject.host)
            return Findings()
        book.put("seen", {"last": subject.identifier})
        told.append(subject.identifier)
        probes = (Probe(subject.at, subject.identifier, "a@office.example", "spy.example"),)
        kind = AlertKind.FOLLOW_UP
        activity = Activity("a", "default", "spy.example", 0.0, 0.0, score=0.7, probes=probes)
        alert = Alert("1", "default", subject.at, kind, "a", subject.identifier, "words")
        return Findings((activity,), alerts=(alert,))

    studying = Studying(StudySettings(), study)
    assert studying.see(InfrastructureFacts("t.spy.example")) == []
    assert studying.see(seen(1).observation) == [Raised("id-1", "a")]
    assert studying.scores == {"a": Scored(0.7, "id-1")}
    assert told == ["t.spy.example", "id-1"]


def test_hosts_are_known_a_moment_after_their_message_unless_a_vendor_runs_them() -> None:
    facts = {name: InfrastructureFacts(name) for name in ("t.spy.example", "t.vendor.example")}
    prospecting = Prospecting(facts)
    prospecting.note(tracked(100.0, "spy.example", "t.spy.example", "a@office.example"))
    prospecting.note(
        tracked(100.0, "shop.example", "t.vendor.example", "a@office.example", operator="Vendor")
    )
    assert list(prospecting.until(100.0 + KNOWN_AFTER_S - 1)) == []
    assert list(prospecting.until(100.0 + KNOWN_AFTER_S)) == [facts["t.spy.example"]]
    prospecting.note(tracked(200.0, "spy.example", "t.spy.example", "b@office.example"))
    assert list(prospecting.until(1e9)) == [], "nothing is told twice"


def test_the_simple_rules_count_people_whom_something_new_reaches() -> None:
    people = [f"person{number}@office.example" for number in range(3)]
    first = [
        tracked(float(number), "spy.example", "spy.example", person) for number, person in enumerate(people)
    ]
    for rule in (NewDomain(), RareTracker(), NewDomainAndRareTracker()):
        assert [rule.levels(each) for each in first] == [[1], [2], [3]]
        assert rule.levels(first[0]) == [], "nobody is reached twice"
        old = tracked(40 * DAY_S, "spy.example", "spy.example", "late@office.example")
        assert rule.levels(old) == [], "it is no longer new"
    vendor = tracked(1.0, "new.example", "vendor.example", people[0], operator="Vendor")
    assert NewDomain().levels(vendor) == [1]
    assert RareTracker().levels(vendor) == NewDomainAndRareTracker().levels(vendor) == []


@pytest.mark.parametrize(
    ("count", "of", "least", "most"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_shares_have_wilsons_interval(count: int, of: int, least: float, most: float) -> None:
    found = wilson(count, of)
    assert (round(found.least, 4), round(found.most, 4)) == (least, most)


def test_rates_have_about_the_exact_poisson_interval() -> None:
    found = rate(10, 2.0)  # exact: 4.795 to 18.390 events
    assert found.value == 5.0
    assert found.least == pytest.approx(4.795 / 2, rel=0.01)
    assert found.most == pytest.approx(18.390 / 2, rel=0.01)
    assert rate(0, 1.0).least == 0.0
    assert rate(0, 1.0).most == pytest.approx(3.689, rel=0.02)
    assert wilson(0, 0).most == 1.0


class Everything:
    """A detector that raises an alarm about every tracker whose operator is not known."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.scores: dict[str, Scored] = {}

    def see(self, subject: Observation | InfrastructureFacts) -> Sequence[Raised]:
        if isinstance(subject, InfrastructureFacts):
            self.hosts.append(subject.host)
            return []
        hit = any(each.is_tracker and not each.operator for each in subject.references)
        self.scores = {subject.identifier: Scored(0.65, subject.identifier)} if hit else {}
        return [Raised(subject.identifier)] if hit else []


def test_an_evaluation_counts_all_actors_and_reads_well() -> None:
    settings = SimulationSettings(people=20, days=56, actors=dict.fromkeys(Grade, 2), seed=1)

    everything = Everything()

    def detector(simulation: Simulation) -> Detector:
        assert simulation.settings == settings
        return everything

    told: list[str] = []
    found = figures([run(settings, detector, told.append)], settings)
    own = found["mailveil"]
    assert sum(each["actors"] for each in own["grades"].values()) == 2 * len(Grade)
    assert own["grades"]["spread"]["detected"]["count"] >= 1
    assert own["false"]["count"] == sum(own["false_by_cause"].values()) > 0
    assert own["grades"]["loud"]["follow_ups"] is None or own["grades"]["loud"]["follow_ups"]["count"] == 0
    assert found["mailbox_weeks"] == 20 * 4
    assert not found["are_held_out"]
    plain, like_sellers = (found["disguise"][way] for way in (PLAIN, LIKE_SELLER))
    for grade, each in own["grades"].items():
        parts = [way[grade] for way in (plain, like_sellers) if grade in way]
        assert sum(part["actors"] for part in parts) == each["actors"]
        assert sum(part["within_third"]["count"] for part in parts) == each["within_third"]["count"]
    assert plain != like_sellers
    assert sum(each["actors"] for each in like_sellers.values()) > 0
    rule = found["rules"]["new domain"]
    assert rule["as it is"]["false"]["count"] > rule["as it is"]["false_in_warm_up"] * 0.05
    assert json.loads(json.dumps(found)) == found
    text = text_of(found)
    assert "by how they write" in text
    table = [line for line in tables(found) if "as sellers do" in line]
    assert len(table) == 1, "the page has the same"
    assert "for development" in text
    assert "baseline: rare tracker" in text
    assert all(str(grade) in text for grade in Grade)
    assert found["curve"]["0.6"]["false"] == own["false"]["value"]
    assert found["curve"]["0.7"]["false"] == 0.0
    assert told
    assert len(set(everything.hosts)) == len(everything.hosts) > 10
