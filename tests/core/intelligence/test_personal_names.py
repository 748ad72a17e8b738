"""Personal names: what spells one person is told to nobody else, not even once that person is forgotten."""

import json
from dataclasses import replace

from intelligence_room import DAY, HOUR, OURS, START, Studied, finance, mail, quiet_weeks, settings, tracker
from mailveil.core.intelligence.types import Activity, AlertKind, MarkedPerson, activity_of, alert_of
from mailveil.core.sharing.entries import Standing
from mailveil.core.sharing.types import Disclosure, PeopleShared
from mailveil.core.sharing.veiling import Organisation, shared_activity, shared_alert

ANNA = f"anna.schmidt@{OURS}"
PERSONAL, SPY = "aschmidt-post.example", "quietharbour.example"
ACME = Organisation("default", "Acme")


def studied() -> Studied:
    """Anna is probed under a domain made for her, then others of her function by the same tracking."""
    given = settings()
    people = {**given.people, ANNA: MarkedPerson(ANNA, "finance", is_high_value=True)}
    first = [
        mail(START + 40 * DAY, PERSONAL, ANNA, tracker(f"px.{SPY}"), text_characters=100),
        mail(START + 40 * DAY + HOUR, PERSONAL, finance(1), tracker(f"px.{SPY}"), text_characters=100),
    ]
    later = [
        mail(
            START + (41 + 2 * each) * DAY,
            sender,
            finance(each + 2),
            tracker(f"px.{SPY}"),
            text_characters=100,
        )
        for each, sender in enumerate((PERSONAL, "elsewhere.example", "another.example"))
    ]
    return Studied(replace(given, people=people)).take((*quiet_weeks(), *first, *later))


def forgotten(activity: Activity) -> Activity:
    """Return what is left of an activity once its people are forgotten (``adapters.database.studyforgetting``)."""
    record = activity.record()
    for name in ("probes", "follow_ups"):
        record[name] = [{**each, "person": ""} for each in record[name]]
    return activity_of(json.loads(json.dumps({**record, "targets": []})))


def told(value: object) -> str:
    return str(value).lower()


def test_an_alert_about_others_names_neither_the_first_nor_their_function() -> None:
    alerts = [alert_of(json.loads(json.dumps(each.record()))) for each in studied().alerts]
    about_others = [each for each in alerts if ANNA not in each.people]
    assert any(PERSONAL in each.words for each in about_others), "words of alerts name the first domain"
    assert {each.kind for each in about_others} & {AlertKind.ESCALATION, AlertKind.FOLLOW_UP}
    for each in alerts:
        shared = told(shared_alert(each, Disclosure(), ACME))
        assert "schmidt" not in shared
        assert PERSONAL not in shared


def test_an_alert_that_names_a_function_is_told_to_others_without_it() -> None:
    probes = [
        mail(
            START + (960 + 5 * each) * HOUR,
            "spy-mail.example",
            finance(each),
            tracker(f"px.{SPY}"),
            text_characters=300,
        )
        for each in range(4)
    ]
    (alert, *_) = Studied().take((*quiet_weeks(), *probes)).alerts
    assert "one function: finance" in alert.words
    assert "finance" not in told(shared_alert(alert, Disclosure(), ACME))
    for people in (PeopleShared.PSEUDONYM, PeopleShared.CLEAR):
        assert "finance" in shared_alert(alert, Disclosure(people, key=b"k" * 32), ACME).words


def test_once_the_people_are_forgotten_their_names_and_function_are_told_no_more_than_before() -> None:
    activity = forgotten(studied().activities[PERSONAL])
    assert not activity.targets
    assert any("finance" in each.words for each in activity.reasons)
    shared = told(shared_activity(activity, Standing(), Disclosure(), ACME))
    assert "schmidt" not in shared
    assert "finance" not in shared
    assert SPY in shared
    assert "elsewhere.example" in shared


def test_a_mailbox_of_free_mail_that_spells_somebody_stays_hidden() -> None:
    mailbox = "aschmidt77@gmail.com"
    probes = [
        mail(START + (40 + each) * DAY, mailbox, who, tracker(f"px.{SPY}"), text_characters=100)
        for each, who in enumerate((ANNA, finance(1), finance(2), finance(3)))
    ]
    activity = forgotten(Studied().take((*quiet_weeks(), *probes)).activities[mailbox])
    shared = shared_activity(activity, Standing(), Disclosure(), ACME)
    assert shared.actor == "*@gmail.com"
    assert "schmidt" not in told(shared)


def test_a_campaign_whose_domain_spells_a_reader_says_so() -> None:
    found = [campaign for each in studied().findings for campaign in each.campaigns]
    personal = {each.sender_domain for each in found if each.is_personal}
    assert personal == {PERSONAL}
