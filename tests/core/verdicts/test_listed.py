"""What imported lists and proven mail services do to a verdict.

Setup: messages with a picture, imported lists, and authentication's results as the gateway hands them in.
Test: a list's word is evidence with its name, an owner that it names is the operator, and a list decides nothing.
"""

from __future__ import annotations

import json
from typing import Any

from mailveil.core.authentication.types import Authentication, DkimResult, Result
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings, inspect
from mailveil.core.protection.plan import Plan
from mailveil.core.verdicts.lists import ImportedList, ListFormat, parse_list
from mailveil.core.verdicts.signals import Signal

DISCONNECT = json.dumps(
    {"categories": {"Email": [{"Vendor": {"https://v.example/": ["pics.vendor.example"]}}]}}
)


def listed(name: str, text: str, form: ListFormat) -> ImportedList:
    return ImportedList(name, parse_list(text, form))


def plan_of(url: str, *lists: ImportedList, envelope: Envelope | None = None) -> Plan:
    raw = f'From: a@shop.example\r\nContent-Type: text/html\r\n\r\n<p>Hello<img src="{url}" width=300 height=200>'
    return inspect(raw.encode(), EngineSettings(lists=lists), envelope)


def record_of(plan: Plan) -> dict[str, Any]:
    (reference,) = plan.record("m.eml")["references"]
    assert isinstance(reference, dict)
    return reference


def test_list_is_evidence_with_its_name() -> None:
    url = "https://img.elsewhere.example/mail/picture.png"
    mine = listed("mine", "||elsewhere.example^$image\n", ListFormat.ADBLOCK)
    before, after = plan_of(url), plan_of(url, mine)
    (without,), (with_list,) = before.decisions, after.decisions
    assert Signal.LISTED not in without.verdict.signals
    assert Signal.LISTED in with_list.verdict.signals
    assert with_list.verdict.log_odds > without.verdict.log_odds
    reasons = [each["words"] for each in record_of(after)["reasons"]]
    assert "the list mine names ||elsewhere.example^$image" in reasons
    assert after.decisions[0].wanted is None or after.decisions[0].wanted == before.decisions[0].wanted


def test_other_address_is_as_it_was() -> None:
    url = "https://img.elsewhere.example/mail/picture.png"
    mine = listed("mine", "0.0.0.0 tracker.example\n", ListFormat.HOSTS)
    assert record_of(plan_of(url, mine)) == record_of(plan_of(url))


def test_owner_that_a_list_names_is_the_operator() -> None:
    url = "https://a.pics.vendor.example/open/4fZk0bT2yQx8LmN7cVr1?e=4fZk0bT2yQx8LmN7cVr1&track=open"
    entities = listed("disconnect", DISCONNECT, ListFormat.DISCONNECT)
    record = record_of(plan_of(url.replace("<", ""), entities))
    assert record["verdict"] == "tracker"
    operator = record["operator"]
    assert operator["name"] == "Vendor"
    assert operator["confidence"] == 0.5
    assert not operator["verified"]
    assert operator["evidence"] == "the list disconnect names pics.vendor.example, which it says is Vendor"


def test_catalogue_is_believed_before_a_list() -> None:
    url = "https://shop.us5.list-manage.com/track/open.php?u=4fZk0bT2yQx8LmN7cVr1&id=abc&e=def"
    record = record_of(plan_of(url, listed("mine", "0.0.0.0 list-manage.com\n", ListFormat.HOSTS)))
    operator = record["operator"]
    assert (operator["name"], operator["owner"]) == ("Mailchimp", "Intuit")
    assert operator["evidence"].endswith("; the list mine names list-manage.com")
    assert operator["source"].startswith("https://github.com/")


def signed_by(domain: str, result: Result) -> Envelope:
    return Envelope(
        authentication=Authentication(1, ("shop.example",), dkim=(DkimResult(domain, "s", result),))
    )


def test_proven_mail_service_is_a_signal() -> None:
    url = "https://img.shop.example/a.png"
    for domain, result, known in (
        ("sendgrid.net", Result.PASS, True),
        ("sendgrid.net", Result.FAIL, False),
        ("shop.example", Result.PASS, False),
    ):
        (decision,) = plan_of(url, envelope=signed_by(domain, result)).decisions
        assert (Signal.OPERATOR_AUTHENTICATED in decision.verdict.signals) is known
