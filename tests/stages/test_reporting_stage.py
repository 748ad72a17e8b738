"""The code of a message stands in its banner before anybody has looked into it."""

from __future__ import annotations

from mailveil.core.banner import verify_report_code
from mailveil.core.observation import observation_identifier
from mailveil.core.policy import BannerSettings, MessagePolicy
from mailveil.stages.reporting import named

PASSED = (1_800_000_000.25, "1a-2b")
BANNER = BannerSettings(report_mailbox="spy@example.org", report_link="https://c.example/report/")


def test_it_names_the_observation_that_will_be_made() -> None:
    policy = named(MessagePolicy("acme", BANNER), *PASSED, b"key")
    assert policy is not None
    assert policy.banner is not None
    expected = observation_identifier(1_800_000_000.25, "1a-2b", "acme")
    assert verify_report_code(policy.banner.report_code, "acme", b"key") == expected
    assert policy.banner.report_link == BANNER.report_link


def test_without_one_organisation_or_a_key_there_is_no_page_to_name() -> None:
    for policy, key in ((MessagePolicy("", BANNER), b"key"), (MessagePolicy("acme", BANNER), b"")):
        told = named(policy, *PASSED, key)
        assert told is not None
        assert told.banner is not None
        assert (told.banner.report_code, told.banner.report_link) == ("", "")
        assert told.banner.report_mailbox == BANNER.report_mailbox


def test_who_is_not_told_needs_none() -> None:
    assert named(None, *PASSED, b"key") is None
    silent = MessagePolicy("acme")
    assert named(silent, *PASSED, b"key") is silent
