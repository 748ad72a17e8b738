"""What leaves names nobody: people planted in every form and place are in no shared value, unless chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disguises import DISGUISES
from mailveil.core.intelligence.types import (
    Activity,
    Alert,
    AlertKind,
    AnalystVerdict,
    Attribution,
    Infrastructure,
    LearnedTracker,
    Probe,
    Reason,
    Role,
    Target,
    Technique,
    TechniqueShown,
    Tooling,
)
from mailveil.core.observation import host_template, url_template
from mailveil.core.sharing.claims import claims_of_activity
from mailveil.core.sharing.entries import Entry, Standing, activity_entry, alert_entry, tracker_entry
from mailveil.core.sharing.types import Disclosure, EventKind, PeopleShared
from mailveil.core.sharing.veiling import Organisation, Veiled, share, shared_activity

READER: Final = "johanna.lindqvist@acme.example"
OTHER: Final = "max.oyelaran@acme.example"
ACME: Final = Organisation("acme", "Acme Ltd")
KEY: Final = b"k" * 32


def forms() -> dict[str, str]:
    """Return the reader's address in every form, and what of it may stand alone."""
    found = {name: disguise(READER) for name, disguise in DISGUISES.items()}
    found["mailbox"] = "johanna.lindqvist"
    found["joined"] = "johannalindqvist"
    found["label"] = "johanna-lindqvist"
    return found


FORMS: Final = forms()


def host_with(form: str) -> str:
    label = "".join(each if each.isalnum() else "-" for each in FORMS[form].lower()).strip("-")[:60]
    return f"{label}.px.spy.example"


def activity_with(form: str) -> Activity:
    text, host = FORMS[form], host_with(form)
    url = f"https://{host}/o/{text}/p.gif?e={text}&{text}=1"
    probe = Probe(
        at=2.0,
        message="0" * 32,
        person=READER,
        sender_domain="spy.example",
        kinds=("open", "dwell"),
        template=url_template(url),
        host=host_template(host),
        vector="img-src",
    )
    return Activity(
        identifier="a" * 32,
        organisation="acme",
        actor="spy.example",
        first_at=1.0,
        last_at=2.0,
        score=0.9,
        risk="high",
        reasons=(Reason("REPEATED", 1.2, f"{READER} was probed twice, by {text} too"),),
        techniques=(TechniqueShown(Technique.VICTIM_IDENTITY, f"the address names {text}"),),
        learned=("when it was opened", f"that {READER} reads mail"),
        kinds=("open", "dwell"),
        attribution=Attribution(Tooling.BUILT, fingerprint="ab" * 16, confidence=0.8),
        infrastructure=(
            Infrastructure(Role.SENDER_DOMAIN, "spy.example", 1.0, 2.0),
            Infrastructure(Role.TRACKER_DOMAIN, "spy.example", 1.0, 2.0),
            Infrastructure(Role.TRACKER_HOST, host, 1.0, 2.0),
            Infrastructure(Role.CANONICAL_NAME, host, 1.0, 2.0),
            Infrastructure(Role.NAME_SERVER, "ns1.spy.example", 1.0, 2.0),
            Infrastructure(Role.ADDRESS, "2001:db8:1:2:3:4:5:6", 1.0, 2.0),
            Infrastructure(Role.FINGERPRINT, "ab" * 16, 1.0, 2.0),
            Infrastructure(Role.CERTIFICATE, text, 1.0, 2.0),
        ),
        targets=(Target(READER, 1.0, 2.0, 2, "treasurer", is_high_value=True), Target(OTHER, 1.0, 1.0)),
        probes=(probe, replace(probe, person=OTHER)),
        follow_ups=(replace(probe, kinds=()),),
        total_messages=3,
        total_probes=3,
        total_people=2,
    )


def entries_with(form: str) -> tuple[Entry, ...]:
    activity, text = activity_with(form), FORMS[form]
    alert = Alert(
        "b" * 32, "acme", 3.0, AlertKind.FOLLOW_UP, activity.identifier, "0" * 32,
        f"mail to {READER} from one who probed {text}", 0.9, "spy.example", (READER, OTHER), 1.0,
    )  # fmt: skip
    tracker = LearnedTracker(
        "c" * 32, "acme", f"https://{host_with(form)}/o/{text}.gif", host_with(form), "spy.example", 1.0, 2.0,
        ("open",), "img-src", activity.attribution, 1, (READER,),
    )  # fmt: skip
    return (
        Entry(EventKind.ACTIVITY_OPENED, "e1", 1, 4.0, activity_entry(activity, Standing(changed_at=4.0))),
        Entry(EventKind.ALERT_RAISED, "e2", 2, 4.0, alert_entry(alert)),
        Entry(EventKind.TRACKER_LEARNED, "e3", 3, 4.0, tracker_entry(tracker)),
    )


def traces(told: str) -> list[str]:
    """Return the forms in which the reader stands in a text."""
    lowered = told.lower()
    return [name for name, form in FORMS.items() if form.lower() in lowered]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("people", [PeopleShared.NONE, PeopleShared.PSEUDONYM])
def test_nobody_is_named_in_whatever_form_and_place_they_stood(form: str, people: PeopleShared) -> None:
    for entry in entries_with(form):
        assert traces(repr(entry)), "the people were planted"
        told = repr(share(entry, Disclosure(people, key=KEY), ACME))
        assert traces(told) == []
        assert "lindqvist" not in told.lower()
        assert "oyelaran" not in told.lower()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_of_use_to_others_is_still_told(form: str) -> None:
    activity = share(entries_with(form)[0], Disclosure(), ACME).activity
    assert activity is not None
    roles = {each.role: each.value for each in activity.infrastructure}
    assert roles[Role.TRACKER_DOMAIN] == "spy.example"
    assert roles[Role.TRACKER_HOST].endswith(".spy.example")
    assert roles[Role.ADDRESS] == "2001:db8:1::/48"
    assert roles[Role.FINGERPRINT] == "ab" * 16
    assert activity.probes[0].template.startswith("https://*.")
    assert activity.total_people == 2
    assert activity.high_value_people == 1


def test_pseudonyms_are_the_same_every_time_and_others_for_other_organisations_and_keys() -> None:
    def told(organisation: Organisation, key: bytes) -> tuple[str, ...]:
        event = share(entries_with("plain")[0], Disclosure(PeopleShared.PSEUDONYM, key=key), organisation)
        assert event.activity is not None
        assert event.activity.probes[0].person == event.activity.people[0]
        return event.activity.people

    one = told(ACME, KEY)
    assert len(set(one)) == 2
    assert all(each.startswith("person-") for each in one)
    assert told(ACME, KEY) == one
    assert not set(told(Organisation("other"), KEY)) & set(one)
    assert not set(told(ACME, b"another")) & set(one)


def test_people_are_named_where_an_administrator_chose_so_and_urls_are_veiled_all_the_same() -> None:
    activity = share(entries_with("base64")[0], Disclosure(PeopleShared.CLEAR), ACME).activity
    assert activity is not None
    assert activity.people == (READER, OTHER)
    assert activity.functions == ("treasurer",)
    assert traces(repr([activity.infrastructure, [each.template for each in activity.probes]])) == []


def test_without_people_a_function_that_names_one_is_not_told_either() -> None:
    activity = replace(
        activity_with("plain"),
        reasons=(Reason("FUNCTION", 1.0, "The Treasurer was probed, and treasurers elsewhere"),),
    )
    entry = Entry(EventKind.ACTIVITY_OPENED, "e", 1, 1.0, activity_entry(activity, Standing()))
    quiet = share(entry, Disclosure(), ACME).activity
    open_one = share(entry, Disclosure(PeopleShared.PSEUDONYM, key=KEY), ACME).activity
    assert quiet is not None
    assert open_one is not None
    assert quiet.functions == ()
    assert quiet.probes[0].function == ""
    assert quiet.reasons[0].words == "The * was probed, and treasurers elsewhere"
    assert open_one.functions == ("treasurer",)
    assert open_one.probes[0].function == "treasurer"


@pytest.mark.parametrize(
    "host",
    ["johanna-lindqvist.pages.dev", "johannalindqvist.example", "lindqvist-johanna.example",
     "mail-johanna-lindqvist.co.uk", "xn--johanna-lindqvist-abc.example"],
)  # fmt: skip
def test_a_domain_registered_for_one_person_loses_its_own_label(host: str) -> None:
    veiled = Veiled(Disclosure(), ACME, [READER])
    shown = [veiled.domain(host), veiled.host(host), veiled.host(f"px.{host}"), veiled.actor(f"x@{host}")]
    shown.append(veiled.template(f"https://px.{host}/o.gif"))
    if host.startswith(
        "lindqvist"
    ):  # another order of the names: other words, which we cannot tell from a firm's
        return
    assert traces(repr(shown)) == []
    assert all("*" in each for each in shown)


def test_where_not_everybody_is_listed_what_one_message_had_is_not_told() -> None:
    activity = replace(activity_with("plain"), total_people=500)
    often = replace(activity.infrastructure[0], messages=7)
    activity = replace(activity, infrastructure=(often, *activity.infrastructure[1:]))
    entry = Entry(EventKind.ACTIVITY_CHANGED, "e", 1, 1.0, activity_entry(activity, Standing()))
    shared = share(entry, Disclosure(), ACME).activity
    assert shared is not None
    assert [each.role for each in shared.infrastructure] == [Role.SENDER_DOMAIN]


def test_a_domain_that_never_proved_itself_is_claimed_only_with_other_proof_or_by_an_analyst() -> None:
    found = (
        Infrastructure(Role.SENDER_DOMAIN, "partner.com", 1.0, 2.0),
        Infrastructure(Role.SENDER_DOMAIN, "spy-desk.com", 1.0, 2.0),
        Infrastructure(Role.TRACKER_DOMAIN, "spy-desk.com", 1.0, 2.0),
    )
    activity = replace(
        activity_with("plain"),
        infrastructure=found,
        claimed_domains=("partner.com", "spy-desk.com"),
        probes=(),
    )

    def claimed(verdict: AnalystVerdict) -> set[str]:
        entry = activity_entry(activity, Standing(verdict=verdict))
        shared = share(Entry(EventKind.ACTIVITY_CHANGED, "e", 1, 1.0, entry), Disclosure(), ACME).activity
        assert shared is not None
        return {each.value for each in claims_of_activity(shared)}

    assert claimed(AnalystVerdict.OPEN) == {"spy-desk.com"}
    assert claimed(AnalystVerdict.CONFIRMED) == {"spy-desk.com", "partner.com"}


def test_many_people_are_hidden_and_the_rest_is_told_all_the_same() -> None:
    people = [f"first{number}.lastname{number}@acme.example" for number in range(200)]
    veiled = Veiled(Disclosure(), ACME, people)
    assert veiled.domain("spy.example") == "spy.example"
    assert veiled.host("first7-lastname7.px.spy.example") == "*.spy.example"
    assert veiled.text("mail to first150.lastname150@acme.example was probed") == "mail to * was probed"


def test_what_differs_between_people_alone_is_one_to_others() -> None:
    hosts = [f"{each:032x}.px.spy.example" for each in range(5)]
    activity = replace(
        activity_with("plain"),
        infrastructure=tuple(Infrastructure(Role.TRACKER_HOST, each, 1.0, 2.0) for each in hosts),
    )
    entry = Entry(EventKind.ACTIVITY_OPENED, "e", 1, 1.0, activity_entry(activity, Standing()))
    shared = share(entry, Disclosure(), ACME).activity
    assert shared is not None
    assert [(each.value, each.messages) for each in shared.infrastructure] == [("*.spy.example", 5)]


@pytest.mark.parametrize(
    ("given_template", "told"),
    [("https://px.spy.example/o/*.gif?u=*", "https://px.spy.example/o/*.gif?u=*"),
     ("https://*.spy.example:*/o", "https://*.spy.example:*/o"), ("mailto:*@spy.example", "mailto:*"), ("", "")],
)  # fmt: skip
def test_a_template_stays_one(given_template: str, told: str) -> None:
    assert Veiled(Disclosure(), ACME, [READER]).template(given_template) == told


@given(st.text(max_size=200), st.text(max_size=80), st.text(max_size=80))
def test_nothing_that_mail_may_hold_breaks_it(text: str, host: str, person: str) -> None:
    veiled = Veiled(Disclosure(PeopleShared.PSEUDONYM, key=KEY), ACME, [person, READER], {person: text})
    for role in Role:
        assert READER not in veiled.infrastructure(role, f"{host}{READER}")
    veiled.text(text)
    veiled.template(f"https://{host}/{text}")
    veiled.actor(f"{text}@{host}")
    veiled.person(person)


def test_a_function_as_short_as_a_word_of_every_sentence_hides_no_such_words() -> None:
    target = Target(READER, 1.0, 2.0, function="IT")
    reason = Reason("ONE_FUNCTION", 1.0, "it is for it: 2 of 2 people have one function: IT")
    activity = Activity("a", "acme", "spy.example", 1.0, 2.0, targets=(target,), reasons=(reason,))
    told = shared_activity(activity, Standing(), Disclosure(), ACME)
    assert told.reasons[0].words == "it is for it: 2 of 2 people have one function"
