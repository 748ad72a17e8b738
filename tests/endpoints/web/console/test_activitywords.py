"""Activity words: sentences for one and for many, bars as long as what they weigh, and a name for everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console_activities import activity_of_spy, spies
from control_room import NOW
from mailveil.control.activityrecords import ActivityFile
from mailveil.core.intelligence.types import (
    Activity,
    ActivityState,
    AlertKind,
    AnalystVerdict,
    Attribution,
    Nature,
    Reason,
    Role,
    Target,
    Technique,
    TechniqueShown,
    Tooling,
)
from mailveil.endpoints.web.console.activitywords import (
    ALERTS,
    NATURES,
    STATES,
    TECHNIQUES,
    TOOLING,
    VERDICTS,
    functions_of,
    line_of,
    listed,
    opinion,
    people_of,
    sureness,
    techniques_of,
    tooling_sentence,
    weighed,
    whom,
)
from mailveil.endpoints.web.console.networks import ROLE_WORDS

BARE = Activity("a", "default", "spy.example", NOW - 9, NOW)


def targets(*names: str, function: str = "") -> tuple[Target, ...]:
    return tuple(Target(name, NOW, NOW, 1, function) for name in names)


def test_there_is_a_word_for_everything_that_there_can_be() -> None:
    for words, kinds in (
        (STATES, ActivityState),
        (VERDICTS, AnalystVerdict),
        (NATURES, Nature),
        (TOOLING, Tooling),
        (ALERTS, AlertKind),
        (TECHNIQUES, Technique),
        (ROLE_WORDS, Role),
    ):
        assert set(words) == set(kinds)


@pytest.mark.parametrize(
    ("people", "total", "told"),
    [
        ((), 0, "nobody by name"),
        ((), 1, "1 person"),
        (("ben@a.example",), 1, "ben@a.example"),
        (("ben@a.example", "anna@a.example"), 2, "ben@a.example and anna@a.example"),
        (("ben@a.example", "anna@a.example"), 40, "40 people"),
        (("a", "b", "c"), 3, "3 people"),
        (("a", "b", "c"), 0, "3 people"),
    ],
)
def test_whom_is_named_where_they_are_few_and_counted_where_they_are_many(
    people: tuple[str, ...], total: int, told: str
) -> None:
    assert whom(replace(BARE, targets=targets(*people), total_people=total)) == told


def test_functions_come_by_how_many_have_them() -> None:
    people = (*targets("a", "b", function="finance"), *targets("c", function="board"), *targets("d"))
    assert functions_of(people) == "finance and board"
    many = tuple(Target(name, NOW, NOW, 1, name) for name in "edcba")
    assert functions_of(many) == "a, b, c and 2 more"
    assert functions_of(targets("a")) == ""
    assert listed(["a"]) == "a"


def test_what_an_analyst_said_goes_before_what_was_worked_out() -> None:
    file = ActivityFile(replace(BARE, score=0.87), NOW)
    assert opinion(file) == "mailveil is 87% sure that this is reconnaissance."
    said = replace(file, verdict=AnalystVerdict.CONFIRMED, decided_by="jana")
    assert opinion(said) == "jana confirmed that this is reconnaissance; mailveil was 87% sure."
    said = replace(file, verdict=AnalystVerdict.BENIGN)
    assert opinion(said) == "An analyst found it harmless; mailveil was 87% sure of the contrary."


def test_nothing_is_ever_certain() -> None:
    assert [sureness(each) for each in (0, 0.004, 0.5, 0.999, 1)] == ["1%", "1%", "50%", "99%", "99%"]


@given(st.lists(st.floats(-9, 9), max_size=30))
def test_bars_begin_in_the_middle_and_are_as_long_as_what_they_weigh(weights: list[float]) -> None:
    bars = weighed([Reason(f"R{number}", weight, "words") for number, weight in enumerate(weights)])
    assert len(bars) == len(weights)
    lengths = [each.width for each in bars]
    assert lengths == sorted(lengths, reverse=True)
    for bar in bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= 100.01
        assert bar.x == 50 if bar.is_for else bar.x + bar.width == pytest.approx(50, abs=0.02)


def test_a_bar_says_what_it_weighs() -> None:
    bars = weighed([Reason("B", -0.5, "against"), Reason("A", 2.0, "for")])
    assert [(each.code, each.figure, each.width) for each in bars] == [("A", "+2.0", 50), ("B", "−0.5", 12.5)]


def test_techniques_lead_to_where_they_are_explained() -> None:
    (shown,) = techniques_of([TechniqueShown(Technique.SPEARPHISHING_LINK, "a web beacon")])
    assert shown.identifier == "T1598.003"
    assert shown.address == "https://attack.mitre.org/techniques/T1598/003/"
    assert shown.because == "a web beacon"


def test_whose_tracking_it_is_is_a_sentence() -> None:
    told = [tooling_sentence(Attribution(each)) for each in Tooling]
    assert len(set(told)) == 3
    assert all(each.endswith(".") for each in told)


def test_a_line_of_the_list_tells_the_last_days() -> None:
    loud = spies()[0]
    line = line_of(ActivityFile(activity_of_spy(loud, NOW), NOW), NOW, 30)
    assert line.state is ActivityState.ACTIVE
    assert (line.functions, line.high_value) == ("finance, IT and board", 2)
    assert line.pulse.words == "13 probes"


def test_people_are_those_probed_and_those_who_got_later_mail() -> None:
    spy = activity_of_spy(spies()[0], NOW)
    ann = Target("ann@acme.example", NOW - 9, NOW - 5, 2, "finance")
    cat = Target("cat@acme.example", NOW - 9, NOW - 5, 1, "board", True)
    later = tuple(
        replace(spy.probes[0], person=name, at=NOW - at) for name, at in (("dan@x.example", 3), ("", 2))
    )
    mine = replace(later[0], person=ann.person, at=NOW - 1)
    found = people_of(replace(spy, targets=(ann, cat), follow_ups=(*later, mine, replace(mine, at=NOW - 8))))
    assert [(each.person, each.probes, each.later) for each in found] == [
        ("cat@acme.example", 1, 0),
        ("ann@acme.example", 2, 2),
        ("dan@x.example", 0, 1),
    ]
    assert [each.last_at for each in found] == [NOW - 5, NOW - 1, NOW - 3]
    assert people_of(replace(spy, targets=(), follow_ups=())) == ()
