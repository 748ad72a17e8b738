"""Simulated mail is the same whenever it is made, lies in the order of time, and is what would be on record.

Setup: small organisations over some weeks; a message of a made-up sender, also put through the gateway's own way.
Test: seeds decide everything, whatever the order of hashes; honest mail is the same whoever spies; observations
survive being written down; templates, signals and operators are those of the engine; each grade does what it is called.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from mailveil.core.observation import Observation, observation_of, place_of_url, url_template
from mailveil.core.recognition.keys import thread_digest
from mailveil.core.verdicts.operators import Category, find_operator
from mailveil.core.verdicts.signals import Signal
from mailveil.learning.simulation import Cause, Grade, Simulated, Simulation, SimulationSettings
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.letters import Image, Letter, pixel
from mailveil.learning.simulation.moulds import Hosts, mould
from mailveil.learning.simulation.names import Names
from mailveil.learning.simulation.people import People
from mailveil.learning.simulation.types import DAY_S
from mailveil.learning.simulation.vendors import vendors

SETTINGS = SimulationSettings(people=40, days=56, seed=7, actors=dict.fromkeys(Grade, 3))
TOKEN = "9f3b1c77aa02e4d58c6b1e20"


@pytest.fixture(scope="module")
def mail() -> list[Simulated]:
    return list(Simulation(SETTINGS))


def digest(mail: list[Simulated]) -> str:
    told = hashlib.sha256()
    for each in mail:
        told.update(json.dumps([each.observation.record(), each.truth.record()], sort_keys=True).encode())
    return told.hexdigest()


def test_the_same_seed_gives_the_same_mail_whatever_the_order_of_hashes(mail: list[Simulated]) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from learning.test_simulation import SETTINGS, Simulation, digest\n"
        "print(digest(list(Simulation(SETTINGS))))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(os.path.dirname(__file__)), *sys.path],  # noqa: PTH120
        env={"PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert told.stdout.strip() == digest(mail)
    assert digest(list(Simulation(replace(SETTINGS, seed=8)))) != digest(mail)


def test_messages_come_in_the_order_of_time_within_the_days_asked_for(mail: list[Simulated]) -> None:
    times = [each.observation.at for each in mail]
    assert times == sorted(times)
    assert SETTINGS.begin_at <= times[0]
    assert times[-1] < SETTINGS.end_at
    assert len({each.observation.identifier for each in mail}) == len(mail)
    weekend = sum((at // DAY_S + 3) % 7 >= 5 for at in times)
    assert 0 < weekend < len(times) * 0.2, "people rest, machines do not"


def test_every_kind_of_mail_is_there_and_survives_being_written_down(mail: list[Simulated]) -> None:
    assert {each.truth.cause for each in mail} >= set(Cause) - {Cause.MOVED_PARTNER}
    for each in mail:
        assert observation_of(json.loads(json.dumps(each.observation.record()))) == each.observation


def test_honest_mail_is_the_same_whoever_spies(mail: list[Simulated]) -> None:
    without = list(Simulation(replace(SETTINGS, actors={})))
    honest = [each.observation for each in mail if each.truth.grade is None]
    # A host that a spy names first is no new one to whoever comes after: nothing else may differ.
    assert [(each.identifier, each.author, each.recipients, each.subject) for each in honest] == [
        (
            each.observation.identifier,
            each.observation.author,
            each.observation.recipients,
            each.observation.subject,
        )
        for each in without
    ]
    assert all(each.truth.grade is None for each in without)


def test_what_is_on_record_of_a_reference_is_what_the_engine_makes_of_it(mail: list[Simulated]) -> None:
    signals = {str(each) for each in Signal}
    seen: set[str] = set()
    for each in mail:
        observation = each.observation
        assert observation.total_trackers == sum(one.is_tracker for one in observation.references)
        assert [one.is_tracker for one in observation.references] == sorted(
            (one.is_tracker for one in observation.references), reverse=True
        )
        for one in observation.references:
            if one.template in seen:
                continue
            seen.add(one.template)
            assert one.template == url_template(one.url)
            assert (one.host, one.domain) == place_of_url(one.url)
            assert set(one.signals) <= signals
            shape = find_operator(
                one.url.partition("://")[2].partition("/")[0].partition(":")[0],
                "/" + one.url.partition("://")[2].partition("/")[2],
            )
            if shape is not None and one.is_tracker:
                assert one.operator == shape.name
    assert len(seen) > 100


def test_answers_name_what_they_answer_to(mail: list[Simulated]) -> None:
    threads: set[str] = set()
    answers = 0
    for each in mail:
        header = each.observation.header
        if "threads" in header:
            assert header["threads"] in threads
            answers += 1
        threads.add(header["thread"])
    assert answers > 100


def test_reconnaissance_begins_after_the_warm_up_and_is_as_its_grade_has_it() -> None:
    settings = replace(SETTINGS, days=120, actors=dict.fromkeys(Grade, 6))
    simulation = Simulation(settings)
    mail = list(simulation)
    warm_until = settings.begin_at + settings.warm_up_days * DAY_S
    assert all(each.observation.at >= warm_until for each in mail if each.truth.grade)
    probes: dict[str, list[Observation]] = {}
    for each in mail:
        if each.truth.is_probe:
            assert each.truth.number == len(probes.setdefault(each.truth.actor, [])) + 1
            probes[each.truth.actor].append(each.observation)
    by_grade: dict[str, list[list[Observation]]] = {}
    for name, seen in probes.items():
        by_grade.setdefault(name.rpartition("-")[0], []).append(seen)
    assert set(by_grade) == {str(grade) for grade in Grade}

    def days(seen: list[Observation]) -> float:
        return (seen[-1].at - seen[0].at) / DAY_S

    def people(seen: list[Observation]) -> int:
        return len({one for each in seen for one in each.recipients})

    assert all(days(seen) <= 12 and people(seen) >= 3 for seen in by_grade["loud"])
    assert all(days(seen) >= 11 and people(seen) <= 2 for seen in by_grade["slow"])
    assert any(len({each.sender_domain for each in seen}) >= 2 for seen in by_grade["spread"])
    assert all(
        any(one.host.startswith("*.") for each in seen for one in each.references)
        for seen in by_grade["own-dns"]
    )
    honest = {
        each.observation.author for each in mail if each.truth.cause in {Cause.PARTNER, Cause.READ_RECEIPT}
    }
    assert any(seen[0].author in honest for seen in by_grade["compromised-partner"])
    assert all(
        "." in seen[0].sender_domain and not seen[0].sender_domain.endswith(".example")
        for seen in by_grade["free-mail"]
    )
    assert any(one.operator for seen in by_grade["vendor-abuse"] for each in seen for one in each.references)
    follow_ups = [each.observation for each in mail if each.truth.is_follow_up]
    assert follow_ups
    assert all(not each.total_trackers for each in follow_ups)
    asked = [one for seen in by_grade["loud"] for each in seen for one in each.references]
    assert {one.host for one in asked if not one.url.startswith("mailto:")} <= set(simulation.infrastructure)


def test_a_spread_actors_hosts_share_machines() -> None:
    simulation = Simulation(replace(SETTINGS, days=90, actors={Grade.SPREAD: 12}))
    hosts: dict[str, set[str]] = {}
    for each in simulation:
        if each.truth.is_probe:
            for one in each.observation.references:
                hosts.setdefault(each.truth.actor, set()).add(one.host)
    shared = 0
    for names in hosts.values():
        found = Counter(
            address for name in names if name in simulation.infrastructure
            for address in simulation.infrastructure[name].addresses
        )  # fmt: skip
        shared += any(count > 1 for count in found.values())
    assert shared >= 3


# --- moulds ----------------------------------------------------------------------------------------------


def cast(letter: Letter, count: int, subject: str = "Offer") -> list[Observation]:
    chance = Chance(1, "mould")
    made = mould(letter, "first@office.example", "default", Chance(3, "clear"), Hosts(0.0))
    return [
        made.cast(chance, 100.0 * number, (f"person{number}@office.example",), subject)
        for number in range(count)
    ]


def test_each_message_has_a_token_of_its_own_and_the_same_template() -> None:
    url = f"https://t.shop.example/o/{TOKEN}.gif"
    seen = cast(Letter("news@shop.example", images=(pixel(url),), marks=(TOKEN,)), 5)
    assert len({each.references[0].url for each in seen}) == 5
    assert {each.references[0].template for each in seen} == {"https://t.shop.example/o/*.gif"}
    assert "TOKEN_PER_RECIPIENT" not in seen[0].references[0].signals
    assert "TOKEN_PER_RECIPIENT" in seen[-1].references[0].signals, "the judge's memory has seen the others"


def test_the_readers_address_in_a_url_is_that_of_each_reader() -> None:
    seen = cast(Letter("a@spy.example", images=(pixel("https://spy.example/u?to=first@office.example"),)), 2)
    assert [each.references[0].url.rpartition("=")[2] for each in seen] == [
        each.recipients[0] for each in seen
    ]
    assert "identity" in seen[0].references[0].kinds


def test_a_picture_that_everybody_gets_alike_is_no_tracker_and_a_name_for_each_is_one() -> None:
    logo = Image("https://www.shop.example/images/logo.png")
    seen = cast(Letter("a@shop.example", images=(logo,)), 4)
    assert not any(each.total_trackers for each in seen)
    own = Image(f"https://{TOKEN}.spy.example/i.png", 'width="1" height="1" alt=""')
    named = cast(Letter("a@spy.example", images=(own,), marks=(TOKEN,)), 4)
    assert "dns" in named[-1].references[0].kinds


def test_header_fields_and_proof_of_the_author_are_on_record() -> None:
    head = {"List-Id": "<news.shop.example>", "Reply-To": "x@elsewhere.example", "X-Mailin-Campaign": "7"}
    (seen,) = cast(Letter("a@shop.example", signer="shop.example", head=head), 1)
    assert seen.header == {
        "thread": thread_digest(seen.message_id),
        "list_id": "news.shop.example",
        "mail_service": "x-mailin-campaign",
        "reply_to_domain": "elsewhere.example",
    }
    assert seen.author_domain == "shop.example"
    (unsigned,) = cast(Letter("a@shop.example"), 1)
    assert unsigned.author_domain == ""


# --- parts -----------------------------------------------------------------------------------------------


def test_draws_of_one_part_do_not_change_those_of_another() -> None:
    one, other = Chance(5, "a"), Chance(5, "b")
    expected = [one.share() for _ in range(3)]
    fresh = Chance(5, "a")
    other.share()
    assert [fresh.share() for _ in range(3)] == expected
    assert Chance(5, "a").part("x").share() != Chance(5, "a").part("y").share()


def test_draws_come_as_often_as_they_should() -> None:
    chance = Chance(2, "often")
    counts = [chance.count(50.0) for _ in range(2_000)]
    assert 49 < sum(counts) / len(counts) < 51
    chosen = Counter(chance.weighted((("rare", 0.1), ("usual", 0.9))) for _ in range(2_000))
    assert 120 < chosen["rare"] < 280
    assert sorted(chance.some(range(5), 9)) == [0, 1, 2, 3, 4]
    assert {chance.whole(1, 3) for _ in range(200)} == {1, 2, 3}
    like = chance.like("0123456789")
    assert like.isdigit()
    assert len(like) == 10


def test_look_alikes_differ_from_what_they_look_like() -> None:
    names = Names(Chance(1, "names"), are_spies=True)
    made = {names.look_alike("office.example") for _ in range(20)}
    assert len(made) == 20
    assert "office.example" not in made


def test_people_are_marked_as_an_organisation_would() -> None:
    people = People(SETTINGS)
    marked = people.study_settings()
    assert marked.own_domains == {"office.example"}
    assert 5 <= len(marked.people) < len(people.all)
    assert any(each.is_high_value for each in marked.people.values())
    assert len({each.address for each in people.all}) == 40


def test_vendors_trackers_keep_their_operators_shape() -> None:
    for vendor in vendors(Category.SALES, Category.READ_TRACKER):
        url, marks = vendor.tracker(Chance(1, "x"), "" if vendor.host else "t.shop.example")
        place = url.partition("://")[2]
        found = find_operator(place.partition("/")[0].partition(":")[0], f"/{place.partition('/')[2]}")
        assert found is not None, url
        assert found.name == vendor.name
        assert marks
