"""What the judge thinks otherwise of later counts as it stands at last, once, and whoever was told is not told twice.

Setup: mail of a spy and of others, in whose references trackers are recognised, or turn out to be none, at any time.
Test: an activity has those people, probes and kinds that it would have, had all been known at once; the same comes of
the same whatever the batches; each flip is undone by the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from intelligence_room import (
    DAY,
    HOUR,
    START,
    Shelf,
    Studied,
    finance,
    mail,
    newsletter,
    person,
    picture,
    quiet_weeks,
    tracker,
)
from mailveil.core.intelligence.book import WholeBook
from mailveil.core.intelligence.dossier import COUNTED
from mailveil.core.intelligence.revisions import Judgement, Revision, as_judged, judgement
from mailveil.core.intelligence.studying import Subject
from mailveil.core.intelligence.types import AlertKind
from mailveil.core.intelligence.withdrawing import MAX_GIVEN
from mailveil.core.observation import Observation

LATER = START + 40 * DAY
SPY = "evil.example"
KNOWN = list(quiet_weeks(5))
CONTENT = judgement(replace(picture(f"px.{SPY}"), key="k"))
OPENING = judgement(replace(tracker(f"px.{SPY}"), key="k"))
DWELLING = replace(OPENING, kind="dwell", kinds=("dwell", "open"), risk="high")
WAYS: Mapping[str, Judgement] = {"content": CONTENT, "open": OPENING, "dwell": DWELLING}


def letter(number: int, to: str, way: str = "content", sender: str = SPY, **others: Any) -> Observation:
    """Return a message with one picture of the sender's, at first judged in some way."""
    plain = replace(picture(f"px.{sender}"), key="k", template=f"https://px.{sender}/o/*.gif")
    judged = as_judged(mail(0, sender, to, plain), {"k": WAYS[way]}).references
    values: dict[str, Any] = {"text_characters": 200, "log_identifier": f"letter {number}"}
    return mail(LATER + number * HOUR, sender, to, *judged, **(values | others))


@dataclass
class Mind:
    """The judge's: what it thinks of each message, and thought when that was studied last."""

    number: int = 0
    told: dict[str, dict[str, Judgement]] = field(default_factory=dict)

    def revise(self, seen: Observation, way: str) -> Revision:
        self.number += 1
        before = self.told.get(seen.identifier, {})
        after = self.told[seen.identifier] = {"k": WAYS[way]}
        identifier = f"{int((LATER + DAY + self.number) * 1000):012x}{self.number:020x}"
        return Revision(identifier, "default", LATER + DAY + self.number, seen, before, after)

    def at_last(self, seen: Observation) -> Observation:
        return as_judged(seen, self.told.get(seen.identifier, {}))


def dossiers_of(book: Mapping[str, Any], actor: str = SPY) -> list[dict[str, Any]]:
    """Return what is known of an actor, where there is anything left of it."""
    memos = (memo for name, memo in book.items() if name.startswith("activity ") and memo)
    return [each for each in memos if each.get("actor") == actor and each["messages"]]


def memos_of(studied: Studied) -> dict[str, Any]:
    return json.loads(json.dumps({name: memo for name, memo in studied.book._memos.items() if memo}))  # type: ignore[no-any-return]


def sum_of(dossier: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a dossier counts, whatever the order in which it came to know it."""
    told = {name: dossier[name] for name in ("probes", *COUNTED, "kinds", "first", "timeline")}
    if not dossier["follow"]:  # what follows on an activity depends on what was known when it came
        told["last"] = dossier["last"]
    targets = sorted([*each[:4], sorted(each[4])] for each in dossier["targets"])
    infra = sorted([*each[:2], *each[4:]] for each in dossier["infra"])
    people = sorted(dossier["people"])
    return told | {
        "targets": targets,
        "infra": infra,
        "people": people,
        "threads": sorted(dossier["threads"]),
    }


def studied(subjects: Iterable[Subject], known: Studied = Studied().take(KNOWN)) -> Studied:  # noqa: B008
    """Study subjects in an installation that knows what is ordinary; that is studied once."""
    made = Studied(known.settings)
    made.book = WholeBook(known.book._memos)
    return made.take(subjects)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Observation], list[Subject], Mind]:
    """Give mail of a spy, the same with revisions among it, and what the judge thinks at last."""
    mind = Mind()
    seen: list[Observation] = []
    subjects: list[Subject] = []
    ways = st.sampled_from(sorted(WAYS))
    for number in range(draw(st.integers(1, 9))):
        header = {"thread": f"t{number}"}
        authors = {"author": f"{draw(st.sampled_from(('anna', 'bea')))}@{SPY}"}
        to = [finance(each) for each in draw(st.sets(st.integers(0, 5), min_size=1, max_size=2))]
        seen.append(letter(number, "", draw(ways), recipients=tuple(to), header=header, **authors))
        subjects.append(seen[-1])
        subjects += [
            mind.revise(draw(st.sampled_from(seen)), draw(ways)) for _ in range(draw(st.integers(0, 2)))
        ]
    return seen, subjects, mind


@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_what_is_counted_at_last_is_what_is_so(story: tuple[list[Observation], list[Subject], Mind]) -> None:
    seen, subjects, mind = story
    live, anew = studied(subjects), studied(map(mind.at_last, seen))
    found, expected = (dossiers_of(memos_of(each)) for each in (live, anew))
    for one, other in zip(found, expected, strict=True):
        left, right = sum_of(one), sum_of(other)
        assert {
            name: (left[name], right[name]) for name in left.keys() & right if left[name] != right[name]
        } == {}
    sender, other = (memos_of(each)[f"sender {SPY}"] for each in (live, anew))
    for name in ("messages", "days", "tracked", "private", "proven", "people", "first", "last"):
        assert sender[name] == other[name], name
    assert memos_of(live)["installation"] == memos_of(anew)["installation"]


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_nobody_is_told_twice(story: tuple[list[Observation], list[Subject], Mind]) -> None:
    live = studied(story[1])
    told = [each.identifier for each in live.alerts]
    assert len(told) == len(set(told))
    opened = [each.activity for each in live.alerts_of(AlertKind.RECONNAISSANCE)]
    assert len(opened) == len(set(opened)) <= 1


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(), st.lists(st.integers(1, 6), min_size=30, max_size=30))
def test_the_same_comes_of_revisions_whatever_the_batches(
    story: tuple[list[Observation], list[Subject], Mind], sizes: Sequence[int]
) -> None:
    subjects = list(story[1])
    whole, shelf = Studied().take(KNOWN[:60]).take(subjects), Shelf()
    findings = [each for start in range(0, 60, 20) for each in shelf.study(KNOWN[start : start + 20])]
    for size in sizes:
        if subjects:
            findings += shelf.study(subjects[:size])
            del subjects[:size]
    assert {name: json.loads(text) for name, text in shelf.texts.items()} == memos_of(whole)
    assert findings == whole.findings


def test_who_was_met_first_is_among_the_people_once_the_third_shows_what_it_is() -> None:
    mind = Mind()
    seen = [letter(0, finance(0)), letter(1, finance(1)), letter(2, finance(2), "open")]
    before = studied(seen)
    assert {each.person for each in before.activities[SPY].targets} == {finance(2)}
    after = before.take([mind.revise(each, "open") for each in seen[:2]])
    activity = after.activities[SPY]
    assert [each.person for each in activity.probes] == [finance(0), finance(1), finance(2)]
    assert {each.person for each in activity.targets} == {finance(0), finance(1), finance(2)}
    assert (activity.total_messages, activity.total_people) == (3, 3)
    assert activity.first_at == seen[0].at
    at_once = studied(map(mind.at_last, seen)).activities[SPY]
    assert activity.score == at_once.score
    assert [each.kind for each in after.alerts] == [AlertKind.RECONNAISSANCE]


def test_a_false_alarm_leaves_nothing_and_raises_no_second_alarm() -> None:
    mind = Mind()
    seen = [letter(number, finance(number), "open") for number in range(3)]
    live = studied(seen)
    assert live.alerts
    alerts = len(live.alerts)
    live.take([mind.revise(each, "content") for each in seen])
    activity = live.activities[SPY]
    assert (activity.total_messages, activity.total_probes, activity.targets, activity.probes) == (
        0,
        0,
        (),
        (),
    )
    assert (activity.techniques, activity.learned) == ((), ())
    assert activity.score < 0.15
    withdrawn = [each for findings in live.findings for each in findings.withdrawn]
    assert withdrawn == [(activity.identifier, each.identifier) for each in seen]
    sender = memos_of(live)[f"sender {SPY}"]
    assert sender["messages"] == 3
    assert "novelty" not in sender
    live.take([mind.revise(each, "open") for each in seen])
    assert live.activities[SPY].total_people == 3
    assert live.activities[SPY].identifier == activity.identifier
    assert len(live.alerts) == alerts


def test_a_letter_that_went_on_without_a_tracker_is_a_probe_once_it_turns_out_to_be_one() -> None:
    mind = Mind()
    seen = [*(letter(number, finance(number), "open") for number in range(3)), letter(3, finance(3))]
    live = studied(seen)
    assert [each.person for each in live.activities[SPY].follow_ups] == [finance(3)]
    live.take([mind.revise(seen[3], "open")])
    activity = live.activities[SPY]
    assert activity.follow_ups == ()
    assert activity.total_messages == 4
    assert activity.probes[-1].person == finance(3)


def test_what_is_known_no_more_stays_as_it_was_studied_and_is_never_counted_twice() -> None:
    mind = Mind()
    many = [letter(number, finance(number % 5), "open") for number in range(MAX_GIVEN + 1)]
    live = studied(many)
    before = live.activities[SPY]
    live.take([mind.revise(many[0], each) for each in ("content", "open", "dwell")])
    assert live.activities[SPY] == before
    live.take([mind.revise(many[-1], "content")])
    assert live.activities[SPY].total_messages == MAX_GIVEN


def test_other_kinds_count_once_they_are_known() -> None:
    mind = Mind()
    seen = [letter(number, finance(number), "open") for number in range(2)]
    live = studied(seen)
    before = live.activities[SPY].score
    live.take([mind.revise(each, "dwell") for each in seen])
    activity = live.activities[SPY]
    assert activity.kinds == ("dwell", "open")
    assert activity.score > before
    assert activity.total_messages == 2


def test_two_actors_that_a_revised_message_ties_are_one_and_can_be_revised_on() -> None:
    mind = Mind()
    one = [letter(number, finance(number), "open") for number in range(2)]
    other = [letter(number + 2, finance(number), "open", "worse.example") for number in range(2)]
    tie = letter(5, finance(4), sender="worse.example")
    evil = replace(tracker(f"px.{SPY}"), key="x", finding="content", kind="", kinds=(), score=0.03)
    tie = replace(tie, references=(*tie.references, evil))
    live = studied([*one, *other, tie])
    assert len(live.activities) == 2
    revision = replace(mind.revise(tie, "open"), after={"k": OPENING, "x": OPENING})
    live.take([revision])
    (activity,) = live.activities.values()
    assert activity.total_messages == 5
    live.take([replace(mind.revise(other[0], "content"), before={})])
    (activity,) = live.activities.values()
    assert activity.total_messages == 4


def test_a_mailing_is_no_second_campaign_once_it_is_known_to_track() -> None:
    mind = Mind()
    plain = replace(picture("px.shop.example"), key="k")
    seen = [newsletter(LATER + number, "shop.example", person(number), plain) for number in range(3)]
    live = studied(seen)
    campaigns = sum(bool(each.campaigns) for each in live.findings)
    live.take([mind.revise(each, "open") for each in seen])
    assert sum(bool(each.campaigns) for each in live.findings) == campaigns
