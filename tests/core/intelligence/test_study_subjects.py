"""Studying gives the same whatever the batches, stays within its bounds, and takes any record."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intelligence_room import (
    DAY,
    HOUR,
    OURS,
    START,
    Shelf,
    Studied,
    bought,
    finance,
    mail,
    newsletter,
    person,
    picture,
    quiet_weeks,
    tracker,
    written,
)
from mailveil.core.intelligence.book import WholeBook
from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.studying import Subject, keys_of, study
from mailveil.core.intelligence.types import AnalystVerdict, Decision, InfrastructureFacts
from mailveil.core.observation import Observation, ObservedReference
from mailveil.learning.recon.prospecting import Prospecting
from mailveil.learning.simulation import Grade, Simulation, SimulationSettings

SENDERS = (
    "evil.example",
    "evi1.example",
    "supplier.example",
    "suppiler.example",
    "shop.example",
    "bob@gmail.com",
)
HOSTS = ("px.evil.example", "t.shop.example", "supplier.example", "cdn.list-manage.com", "198.51.100.7", "")
#: One for all: an installation that knows what is ordinary.
KNOWN = list(quiet_weeks(3))


@st.composite
def subjects(draw: st.DrawFn) -> list[Subject]:
    made: list[Subject] = []
    at = START + 30 * DAY
    for number in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from((60.0, HOUR, 3 * DAY, -HOUR)))
        sender = draw(st.sampled_from(SENDERS))
        to = finance(draw(st.integers(0, 4)))
        kind = draw(st.sampled_from(("probe", "probe", "plain", "list", "written", "facts", "decision")))
        host = draw(st.sampled_from(HOSTS))
        if kind == "facts":
            servers = draw(st.sampled_from((("ns1.evil.example",), ("ns.firm.example",), ())))
            address = draw(st.sampled_from(("198.51.100.9", "198.51.100.10")))
            made.append(
                InfrastructureFacts(
                    host, name_servers=servers, addresses=(address,), certificate="c" * 64, at=at
                )
            )
        elif kind == "decision":
            verdict = draw(st.sampled_from(list(AnalystVerdict)))
            made.append(Decision(f"d{number}", "default", at, draw(st.sampled_from(("", "nobody"))), verdict))
        elif kind == "written":
            made.append(written(at, person(1), sender if "@" in sender else f"anna@{sender}"))
        elif kind == "list":
            made.append(newsletter(at, sender.rpartition("@")[2], to, tracker(host)))
        else:
            references = (
                () if kind == "plain" else (tracker(host, draw(st.sampled_from(("o/*.gif", "a/b/c?d=*")))),)
            )
            header = draw(
                st.sampled_from(({}, {"reply_to_domain": "evil.example"}, {"thread": "t", "threads": "t u"}))
            )
            made.append(mail(at, sender, to, *references, header=header, text_characters=100))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subjects(), st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_the_same_comes_of_the_same_whatever_the_batches(made: list[Subject], sizes: list[int]) -> None:
    whole, shelf = Studied(), Shelf()
    whole.take(KNOWN[:40])
    for each in KNOWN[:40]:
        shelf.study([each])
    begun = len(whole.findings)
    whole.take(made)
    found = []
    rest = list(made)
    for size in sizes:
        if rest:
            found += shelf.study(rest[:size])
            rest = rest[size:]
    assert found == whole.findings[begun : begun + len(found)]
    memos = {name: json.dumps(memo, allow_nan=False) for name, memo in whole.book.changes().items()}
    assert not rest
    assert {name: json.loads(text) for name, text in memos.items()} == {
        name: json.loads(text) for name, text in shelf.texts.items()
    }


def test_months_of_mail_in_batches_of_all_sizes_give_the_same() -> None:
    simulation = Simulation(SimulationSettings(people=25, days=50, actors=dict.fromkeys(Grade, 2), seed=3))
    prospecting = Prospecting(simulation.infrastructure)
    made: list[Subject] = []
    for simulated in simulation:
        made += [*prospecting.until(simulated.observation.at), simulated.observation]
        prospecting.note(simulated.observation)
    given_settings = simulation.study_settings()
    whole, shelf = Studied(given_settings), Shelf(given_settings)
    whole.take(made)
    found, begin = [], 0
    for number in range(len(made)):
        if begin < len(made):
            size = (1, 3, 50, 200)[number % 4]
            found += shelf.study(made[begin : begin + size])
            begin += size
    assert found == whole.findings
    assert whole.alerts
    assert shelf.most_keys <= 100


odd_text = st.one_of(
    st.just(""), st.text(max_size=40), st.just("x" * 5_000), st.just("\ud800"), st.just("a@b@*")
)
odd_number = st.one_of(st.floats(), st.integers(-(10**12), 10**12))


@st.composite
def hostile(draw: st.DrawFn) -> Observation:
    def reference() -> ObservedReference:
        names = {
            name: draw(odd_text)
            for name in ("url", "template", "host", "domain", "vector", "operator", "kind")
        }
        kinds = tuple(draw(st.lists(odd_text, max_size=3)))
        finding = draw(st.sampled_from(("tracker", "content", "")))
        return ObservedReference(**names, finding=finding, action="", kinds=kinds, score=draw(odd_number))

    names = ("identifier", "sender", "author", "author_domain", "sender_domain", "subject", "direction")
    values = {name: draw(odd_text) for name in names}
    return Observation(
        **values, organisation="default", at=draw(odd_number), log_identifier="x",
        recipients=tuple(draw(st.lists(odd_text, max_size=4))),
        authentication=draw(st.sampled_from(({}, {"dkim": None}, {"dkim": [1, {"result": "pass"}]}))),
        header={name: draw(odd_text) for name in ("list_id", "reply_to_domain", "threads", "mail_service")},
        text_characters=draw(st.integers(-5, 10**12)),
        references=tuple(reference() for _ in range(draw(st.integers(0, 5)))),
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(hostile(), min_size=1, max_size=4))
def test_any_record_can_be_studied(made: list[Observation]) -> None:
    shelf = Shelf()
    for each in made:
        shelf.study([each])
    assert all(len(name) <= 340 for name in shelf.texts)


def test_a_time_that_is_none_counts_as_the_beginning() -> None:
    shelf = Shelf()
    shelf.study([replace(mail(START, "evil.example", person(1), tracker("px.evil.example")), at=math.nan)])
    assert json.loads(shelf.texts["installation"])["first"] == 0.0


def test_a_message_costs_the_same_after_many_hundreds() -> None:
    shelf = Shelf()
    for number in range(800):
        at = START + number * HOUR
        batch: list[Subject] = [
            newsletter(at, "shop.example", f"reader{number}@{OURS}", bought("px.list-manage.com")),
            mail(at, f"s{number % 300}.example", person(number % 80), tracker("t.hub.example", "a/b?c=*")),
        ]
        shelf.study(batch)
    worst = [
        mail(
            START, "evil.example", [person(each) for each in range(80)],
            *(tracker(f"px{each}.evil{each}.example", f"p/*?q{each}=*") for each in range(200)),
            header={"threads": " ".join(f"{each:016x}" for each in range(10)), "reply_to_domain": "r.example"},
        )
    ]  # fmt: skip
    shelf.study(worst)
    assert shelf.most_keys <= 110
    assert shelf.most_rounds <= 5
    assert max(len(text) for text in shelf.texts.values()) < 80_000
    assert len(json.loads(shelf.texts["domain hub.example"])["users"]) <= 16


def test_what_is_not_known_of_the_past_is_asked_for_by_name() -> None:
    keys = keys_of(mail(START, "evil.example", person(1), tracker("px.evil.example")), WholeBook())
    assert {"sender evil.example", "domain evil.example", "installation", "host px.evil.example"} <= keys


def test_settings_count_people_once() -> None:
    assert StudySettings().marked == 0
    assert (
        study(mail(START, "a.example", person(1), picture("a.example")), WholeBook(), StudySettings()).alerts
        == ()
    )


def test_what_lies_behind_a_host_without_a_name_and_who_tracks_with_it_can_come_in_one_batch() -> None:
    at = START + 30 * DAY
    for host in ("", "198.51.100.7"):
        facts = InfrastructureFacts(host, addresses=("198.51.100.9",), certificate="c" * 64, at=at)
        batch: list[Subject] = [facts, newsletter(at + HOUR, "evil.example", finance(0), tracker(host))]
        whole, shelf = Studied().take(KNOWN[:40]), Shelf()
        for each in KNOWN[:40]:
            shelf.study([each])
        begun = len(whole.findings)
        whole.take(batch)
        assert shelf.study(batch) == whole.findings[begun:]
