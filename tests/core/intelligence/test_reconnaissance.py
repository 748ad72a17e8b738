"""Reconnaissance is found by several kinds of evidence, and honest mail is left alone."""

from __future__ import annotations

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
from mailveil.core.intelligence.types import AlertKind

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
        probe = mail(at + number * HOUR, "supplier.example", finance(number), tracker("px.elsewhere.example"))
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
