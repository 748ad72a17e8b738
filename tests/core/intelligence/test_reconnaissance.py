"""Reconnaissance is found by several kinds of evidence, and honest mail is left alone."""

from __future__ import annotations

from dataclasses import replace

from intelligence_room import (
    DAY,
    HOUR,
    START,
    Studied,
    bought,
    finance,
    mail,
    newsletter,
    person,
    picture,
    quiet_weeks,
    settings,
    tracker,
    written,
)
from mailveil.core.intelligence.types import (
    AlertKind,
    AnalystVerdict,
    Decision,
    InfrastructureFacts,
    activity_of,
)

LATER = START + 40 * DAY


def test_a_new_sender_with_a_tracker_of_its_own_that_probes_finance_is_found_by_the_third_probe() -> None:
    studied = Studied().take(quiet_weeks())
    assert studied.alerts == []
    for number in range(3):
        probe = mail(
            LATER + number * HOUR,
            "evil.example",
            finance(number),
            tracker("px.evil.example"),
            text_characters=200,
        )
        studied.take([probe])
    (alert,) = studied.alerts
    assert alert.kind is AlertKind.RECONNAISSANCE
    activity = studied.activities["evil.example"]
    assert activity.score >= 0.5
    assert {"NEW_SENDER", "OWN_TRACKER", "ONE_FUNCTION"} <= studied.codes("evil.example")
    assert activity.total_people == 3
    assert activity.total_probes == 3


def test_a_new_newsletter_is_no_reconnaissance() -> None:
    studied = Studied().take(quiet_weeks())
    for number in range(12):
        studied.take(
            [newsletter(LATER + number, "fresh.example", person(number), tracker("t.fresh.example"))]
        )
    assert studied.alerts == []


def test_cold_sales_mail_with_a_vendors_pixel_is_no_reconnaissance() -> None:
    studied = Studied().take(quiet_weeks())
    for number in range(6):
        at = LATER + number * DAY
        studied.take([mail(at, "seller.example", finance(number % 3), bought("t.yesware.com", "Yesware"))])
    assert studied.alerts == []


def test_letters_with_pictures_are_no_reconnaissance() -> None:
    studied = Studied().take(quiet_weeks())
    for number in range(6):
        at = LATER + number * DAY
        studied.take(
            [mail(at, "new-supplier.example", finance(number % 3), picture("www.new-supplier.example"))]
        )
        studied.take([written(at + HOUR, finance(number % 3), "anna@new-supplier.example")])
    assert studied.alerts == []
    assert "new-supplier.example" not in studied.activities


def test_a_correspondent_that_never_tracked_and_does_now_is_found() -> None:
    studied = Studied().take(quiet_weeks(8))
    at = START + 57 * DAY
    for number in range(3):
        px = tracker("px.elsewhere.example")
        probe = mail(at + number * HOUR, "supplier.example", finance(number), px, text_characters=200)
        studied.take([probe])
    assert len(studied.alerts_of(AlertKind.RECONNAISSANCE)) == 1
    assert "TRACKS_AFTER_QUIET" in studied.codes("supplier.example")


def test_in_the_first_weeks_nobody_is_new() -> None:
    studied = Studied(settings())
    for number in range(3):
        studied.take([mail(START + number * DAY, "evil.example", person(number), tracker("px.evil.example"))])
    activity = studied.activities.get("evil.example")
    assert activity is None or "NEW_SENDER" not in {
        each.code for each in activity.reasons if each.weight > 0.3
    }


def loud(
    studied: Studied,
    sender: str = "evil.example",
    host: str = "px.evil.example",
    start: float = LATER,
    *,
    characters: int = 150,
) -> None:
    for number in range(3):
        probe = mail(
            start + number * HOUR, sender, finance(number), tracker(host), text_characters=characters,
            header={"thread": f"{number:016x}"}, log_identifier=f"{sender} {number}",
        )  # fmt: skip
        studied.take([probe])


def test_mail_of_a_known_actor_without_a_tracker_is_told_with_the_earlier_probe() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    studied.take([mail(LATER + 5 * DAY, "evil.example", finance(0))])
    (alert,) = studied.alerts_of(AlertKind.FOLLOW_UP)
    assert alert.earlier == LATER
    assert len(studied.activities["evil.example"].follow_ups) == 1
    studied.take([mail(LATER + 5 * DAY + HOUR, "evil.example", finance(1))])
    assert len(studied.alerts_of(AlertKind.FOLLOW_UP)) == 1


def test_an_answer_in_a_conversation_that_a_probe_began_is_a_follow_up_of_another_domain() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    studied.take([mail(LATER + DAY, "other.example", finance(0), header={"threads": f"{2:016x}"})])
    assert [each.sender_domain for each in studied.alerts_of(AlertKind.FOLLOW_UP)] == ["other.example"]


def test_the_same_tracker_under_another_sender_is_the_same_actor() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    again = mail(
        LATER + 2 * DAY, "second.example", finance(1), tracker("px.evil.example"), text_characters=150
    )
    studied.take([again])
    assert "second.example" not in studied.activities
    assert "SEVERAL_DOMAINS" in studied.codes("evil.example")


def test_a_victims_domain_in_an_actors_mail_makes_the_victim_no_accomplice() -> None:
    studied = Studied().take(quiet_weeks())
    for number in range(4):
        references = (tracker("px.evil.example"), tracker("www.supplier.example", "images/*.gif"))
        at = LATER + number * HOUR
        studied.take([mail(at, "evil.example", finance(number), *references, text_characters=150)])
    assert studied.activities["evil.example"].alerted_at
    begun = len(studied.alerts)
    studied.take([mail(LATER + 2 * DAY, "supplier.example", finance(0), picture("www.supplier.example"))])
    assert len(studied.alerts) == begun
    victim = [
        each for each in studied.activities["evil.example"].infrastructure if each.value == "supplier.example"
    ]
    assert all(each.shared for each in victim)


def test_what_an_analyst_finds_harmless_falls_silent_and_is_learned_from_within_bounds() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    activity = studied.activities["evil.example"]
    decision = Decision("d1", "default", LATER + DAY, activity.identifier, AnalystVerdict.BENIGN)
    studied.take([decision])
    assert studied.activities["evil.example"].score < 0.1
    begun = len(studied.alerts)
    studied.take([mail(LATER + 3 * DAY, "evil.example", finance(4), tracker("px.evil.example"))])
    assert len(studied.alerts) == begun
    loud(studied, "later.example", "px.later.example", LATER + 10 * DAY, characters=40)
    assert len(studied.alerts) == begun + 1


def test_an_analyst_can_confirm_and_change_their_mind() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    identifier = studied.activities["evil.example"].identifier
    scores = []
    for number, verdict in enumerate((AnalystVerdict.BENIGN, AnalystVerdict.CONFIRMED, AnalystVerdict.OPEN)):
        studied.take([Decision(f"d{number}", "default", LATER + DAY, identifier, verdict)])
        scores.append(studied.activities["evil.example"].score)
    assert scores[0] < scores[2] < scores[1]
    assert all(counts == [0, 0] for counts in studied.book.get("lessons")["codes"].values())  # type: ignore[index]


def test_name_servers_of_ones_own_tie_two_domains_together() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    facts = {"name_servers": ("ns1.evil.example",)}
    studied.take([InfrastructureFacts("px.evil.example", at=LATER + DAY, **facts)])
    studied.take(
        [mail(LATER + 2 * DAY, "fresh.example", finance(3), tracker("t.fresh.example"), text_characters=90)]
    )
    studied.take([InfrastructureFacts("t.fresh.example", at=LATER + 2 * DAY + HOUR, **facts)])
    activity = studied.activities["evil.example"]
    assert "fresh.example" not in studied.activities
    assert activity.total_messages == 4


def test_a_tracker_that_turns_out_to_be_a_vendors_counts_as_bought() -> None:
    studied = Studied().take(quiet_weeks())
    first = mail(LATER, "seller.example", finance(0), tracker("t.seller.example"), text_characters=150)
    studied.take([first])
    studied.take(
        [InfrastructureFacts("t.seller.example", canonical_names=("x.sendgrid.net",), at=LATER + 60)]
    )
    for number in range(1, 4):
        at = LATER + number * HOUR
        studied.take(
            [mail(at, "seller.example", finance(number), tracker("t.seller.example"), text_characters=150)]
        )
    assert studied.alerts == []


def test_one_new_kind_or_person_of_value_escalates_once_a_day() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    for number in range(2):
        at = LATER + DAY + number * HOUR
        worse = tracker("px.evil.example", kinds=("open", "dwell"), kind="dwell")
        studied.take([mail(at, "evil.example", person(0), worse, text_characters=150)])
    assert len(studied.alerts_of(AlertKind.ESCALATION)) == 1


def test_activities_show_techniques_what_would_be_learned_and_infrastructure() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    activity = studied.activities["evil.example"]
    assert {str(each.technique) for each in activity.techniques} >= {
        "T1598",
        "T1598.003",
        "T1589",
        "T1590.005",
    }
    assert all(each.because for each in activity.techniques)
    assert activity.learned
    assert {str(each.role) for each in activity.infrastructure} >= {
        "sender-domain",
        "tracker-domain",
        "tracker-host",
    }
    assert activity_of(activity.record()) == activity
    learned = [each for found in studied.findings for each in found.learned]
    assert [each.domain for each in learned] == ["evil.example"]


def test_whoever_writes_again_after_weeks_is_found_and_whoever_reminds_within_days_is_a_seller() -> None:
    codes = []
    for pause in (13, 3):
        studied = Studied().take(quiet_weeks())
        for number in range(3):
            at = LATER + number * pause * DAY
            probe = mail(at, "slow.example", finance(0), tracker("px.slow.example"), text_characters=80)
            studied.take([probe])
        codes.append(studied.codes("slow.example") & {"PROBED_PATIENTLY", "SALES_SEQUENCE"})
        assert bool(studied.alerts) is (pause == 13)
    assert codes == [{"PROBED_PATIENTLY"}, {"SALES_SEQUENCE"}]


def test_who_writes_long_letters_under_a_name_like_that_of_somebody_we_wrote_to_is_found() -> None:
    studied = Studied().take(quiet_weeks())
    studied.take([written(LATER - DAY, person(3), "anna@northmills.example")])
    studied.take([mail(LATER - HOUR, "northmills.example", person(3))])
    for number in range(2):
        at = LATER + number * HOUR
        studied.take([mail(at, "northmi11s.example", finance(number), tracker("px.northmi11s.example"))])
    assert "LOOKS_LIKE_CORRESPONDENT" in studied.codes("northmi11s.example")
    assert len(studied.alerts) == 1


def test_who_imitates_somebody_before_we_write_to_them_is_known_for_it_later() -> None:
    studied = Studied().take(quiet_weeks())

    def probe(at: float, number: int) -> None:
        px = tracker("px.northmi11s.example")
        studied.take([mail(at, "northmi11s.example", finance(number), px, text_characters=250)])

    probe(LATER, 0)
    studied.take([written(LATER + DAY, person(3), "anna@northmills.example")])
    studied.take([mail(LATER + 2 * DAY, "northmills.example", person(3))])
    assert "LOOKS_LIKE_CORRESPONDENT" not in studied.codes("northmi11s.example")
    probe(LATER + 12 * DAY, 1)
    assert "LOOKS_LIKE_CORRESPONDENT" in studied.codes("northmi11s.example")
    assert len(studied.alerts) == 1


def test_whom_we_write_to_is_not_taken_for_somebody_whom_we_write_to_later() -> None:
    studied = Studied().take(quiet_weeks())
    for number in range(3):
        at = LATER + number * 12 * DAY
        px = tracker("px.northmi11s.example")
        studied.take([mail(at, "northmi11s.example", person(7), px, text_characters=400)])
        studied.take([written(at + HOUR, person(7), "anna@northmi11s.example")])
        studied.take([written(at + DAY, person(3), "anna@northmills.example")])
        studied.take([mail(at + 2 * DAY, "northmills.example", person(3))])
    assert not {code for code in studied.codes("northmi11s.example") if code.startswith("LOOKS_LIKE")}
    assert studied.alerts == []


def test_what_costs_nothing_clears_nobody_who_tracks_under_a_name_like_ours() -> None:
    domain, ours = "meridian-office.example", replace(settings(), own_domains=frozenset({"meridian.example"}))
    studied = Studied(ours).take(quiet_weeks())
    for number in range(3):
        probe = newsletter(
            LATER + number * DAY, domain, finance(number), tracker(f"px.{domain}"), text_characters=2_000
        )
        studied.take([probe])
    assert "LOOKS_LIKE_US" in studied.codes(domain)
    assert not studied.codes(domain) & {"LIST_MAIL", "MUCH_TEXT"}
    assert len(studied.alerts) == 1


def test_a_new_sender_that_proves_its_domain_by_nothing_is_told_where_that_was_looked_for() -> None:
    for authentication, is_told in (({}, False), ({"dmarc": "none"}, True)):
        studied = Studied().take(quiet_weeks())
        values = {"authentication": authentication, "author_domain": ""}
        probe = mail(
            LATER, "new.example", finance(0), tracker("px.new.example"), text_characters=80, **values
        )
        studied.take([probe])
        assert ("SENDER_UNSIGNED" in studied.codes("new.example")) is is_told


def test_whose_score_has_fallen_far_is_told_of_no_more() -> None:
    studied = Studied().take(quiet_weeks())
    loud(studied)
    for number in range(30):
        studied.take(
            [newsletter(LATER + DAY + number, "evil.example", person(number), tracker("px.evil.example"))]
        )
    assert studied.activities["evil.example"].score < 0.25
    studied.take([mail(LATER + 9 * DAY, "evil.example", finance(0))])
    assert studied.alerts_of(AlertKind.FOLLOW_UP) == []


def test_from_which_score_on_there_is_an_alert_can_be_chosen() -> None:
    alerts = {}
    for least in (0.3, 0.5, 0.9):
        studied = Studied(settings(alert_score=least)).take(quiet_weeks())
        loud(studied)
        alerts[least] = [each.message for each in studied.alerts]
    assert [len(each) for each in alerts.values()] == [1, 1, 0]
    assert alerts[0.3] != alerts[0.5], "sooner"


def test_a_letter_that_names_where_probes_reported_to_is_told_and_a_mailing_is_not() -> None:
    for message, count in ((mail, 1), (newsletter, 0)):
        studied = Studied().take(quiet_weeks())
        loud(studied)
        studied.take([message(LATER + 5 * DAY, "other.example", finance(0), picture("px.evil.example"))])
        assert len(studied.alerts_of(AlertKind.FOLLOW_UP)) == count
