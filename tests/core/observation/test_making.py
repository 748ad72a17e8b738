"""One passage of a message becomes one record for each organisation, which holds of people what it may and no more.

Setup: messages with made-up recipients of one organisation or two, whose addresses stand in every field in every
disguise; tables of organisations; settings with and without pseudonyms.
Test: each organisation learns of its own recipients alone; with pseudonyms no field holds an address; fields are
bounded; and what makes a record is the same whenever it is made.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disguises import DISGUISES
from mailveil.core.authentication import Authentication, DkimResult, Result, VouchedResult
from mailveil.core.observation import (
    MAX_REFERENCES,
    Fared,
    MessageFacts,
    Observation,
    ObservedReference,
    Passed,
    PeopleKept,
    RecordSettings,
    UrlsKept,
    make_observations,
    observation_of,
)
from mailveil.core.policy import Envelope
from mailveil.core.policy.organisations import organisation_of_address

TABLE = {"example.org": "north", "example.net": "south"}
CLEAR = RecordSettings()
PSEUDONYMS = RecordSettings(PeopleKept.PSEUDONYM, key=b"k" * 32)


def organisation(address: str) -> str:
    return organisation_of_address(address, TABLE)


def reference(url: str, finding: str = "tracker") -> ObservedReference:
    return ObservedReference(url, "", "", "", "img-src", finding, "copy", kind="open", token="secret")


def passed(*recipients: str, sender: str = "news@shop.example", **fields: object) -> Passed:
    envelope = Envelope(sender, recipients)
    return replace(Passed(5.0, "AB12", envelope, 100, fared=Fared(250, "2.0.0 queued")), **fields)  # type: ignore[arg-type]


def made(what: Passed, settings: RecordSettings = CLEAR) -> dict[str, Observation]:
    found = make_observations(what, organisation, settings)
    assert len({each.identifier for each in found}) == len(found)
    for each in found:
        assert observation_of(json.loads(json.dumps(each.record()))) == each
    return {each.organisation: each for each in found}


def test_a_record_tells_what_the_gateway_knows() -> None:
    facts = MessageFacts("anna@mail.shop.example", "high", 321, {"list_id": "news.shop.example"})
    what = passed(
        "Reader@Example.org",
        found=(
            reference("https://c.shop.example/a.png", "content"),
            reference("https://t.shop.example/o/8f3.gif"),
        ),
        facts=facts,
        message_id="<1@shop.example>",
        subject="Offers",
        changed=True,
        banner=True,
        original="1-ab",
        sealing=("sealed by example.org",),
    )
    (record,) = made(what).values()
    assert record.organisation == "north"
    assert record.recipients == ("reader@example.org",)
    assert (record.author, record.sender, record.sender_domain) == (
        "anna@mail.shop.example",
        "news@shop.example",
        "shop.example",
    )
    assert (record.subject, record.message_id, record.original) == ("Offers", "<1@shop.example>", "1-ab")
    assert (record.reply_code, record.reply, record.delivered) == (250, "2.0.0 queued", True)
    assert (record.risk, record.text_characters, record.header) == (
        "high",
        321,
        {"list_id": "news.shop.example"},
    )
    assert record.authentication == {"sealing": ["sealed by example.org"]}
    assert (record.total_references, record.total_trackers) == (2, 1)
    first, second = record.references
    assert (first.template, first.host, first.domain) == (
        "https://t.shop.example/o/*.gif",
        "t.shop.example",
        "shop.example",
    )
    assert first.is_tracker, "trackers come first"
    assert not second.is_tracker
    assert made(what)["north"].identifier == record.identifier


def test_each_organisation_learns_of_its_own_people_alone() -> None:
    what = passed(
        "anna@example.org",
        "bert@example.net",
        "carl@example.com",
        subject="For Anna@example.org and bert@example.net",
        message_id="<bert=example.net@shop.example>",
        found=(reference("https://t.shop.example/o/bert@example.net.gif"),),
        fared=Fared(250, "2.1.5 <bert@example.net> and anna have it"),
    )
    records = made(what)
    assert sorted(records) == ["default", "north", "south"]
    assert "bert" not in json.dumps(records["north"].record())
    assert "anna" not in json.dumps(records["south"].record()).lower()
    assert records["south"].references[0].url == "https://t.shop.example/o/bert@example.net.gif"
    assert records["default"].recipients == ("carl@example.com",)


def test_submitted_mail_belongs_to_the_organisation_of_its_sender() -> None:
    what = passed("x@elsewhere.example", sender="anna@example.org")
    what = replace(what, envelope=replace(what.envelope, authenticated=True))
    (record,) = made(what).values()
    assert (record.organisation, record.direction) == ("north", "submitted")
    (hidden,) = made(what, PSEUDONYMS).values()
    assert hidden.sender == PSEUDONYMS.person("anna@example.org", "north")
    assert "anna" not in json.dumps(hidden.record())


def test_where_recipients_fared_differently_each_organisation_has_its_own_answer() -> None:
    answers = (
        ("anna@example.org", Fared(550, "5.1.1 unknown")),
        ("bert@example.net", Fared(250, "2.1.5 ok")),
    )
    records = made(passed("anna@example.org", "bert@example.net", by_recipient=answers))
    assert (records["north"].delivered, records["north"].reply_code) == (False, 550)
    assert (records["south"].delivered, records["south"].reply_code) == (True, 250)


def test_a_person_has_one_pseudonym_in_each_organisation() -> None:
    first, second = (
        made(passed(each), PSEUDONYMS)["north"] for each in ("anna@example.org", "ANNA@Example.ORG")
    )
    assert first.recipients == second.recipients == (PSEUDONYMS.person("anna@example.org", "north"),)
    assert PSEUDONYMS.person(first.recipients[0], "north") == first.recipients[0]
    assert PSEUDONYMS.person("anna@example.org", "south") != first.recipients[0]
    assert replace(PSEUDONYMS, key=b"other").person("anna@example.org", "north") != first.recipients[0]
    assert "k" * 8 not in repr(PSEUDONYMS)


def planted(address: str, text: str) -> Passed:
    """Return a message in which an address stands in every field that a sender or next hop can fill."""
    label = text.lower().replace("@", "-at-")[:60].strip(".")
    proven = Authentication(
        1,
        (f"{label}.shop.example",),
        dkim=(DkimResult(f"{label}.shop.example", text[:60], Result.PASS, aligned=True, signs_from=True),),
        spf=VouchedResult(
            Result.PASS, "mx.example.org", (("smtp.mailfrom", f"{text}@{label}.shop.example"),)
        ),
        dmarc=VouchedResult(Result.PASS, "mx.example.org", (("header.from", f"{label}.shop.example"),)),
    )
    envelope = Envelope(f"bounce+{text}@shop.example", (address,), authentication=proven)
    urls = (f"https://{label}.t.shop.example/o/{text}.gif", f"https://t.shop.example/o.gif?u={text}#{text}")
    return Passed(
        5.0,
        "AB12",
        envelope,
        fared=Fared(250, f"2.0.0 queued for {text} at <{text}>, [{text}]"),
        found=(*map(reference, urls), reference(f"mailto:{text}@shop.example")),
        facts=MessageFacts(
            f"reply-{text}@shop.example",
            header={"list_id": f"{text}.shop.example", "reply_to_domain": f"{label}.shop.example"},
        ),
        message_id=f"<{text}.1@shop.example>",
        subject=f"News for {text} (and {text})",
    )


@pytest.mark.parametrize("disguise", sorted(DISGUISES))
@pytest.mark.parametrize(
    "address", ["anna.kettler@example.org", "jo@example.org", "o.brien+news@mail.example.org"]
)
def test_with_pseudonyms_no_field_holds_an_address(address: str, disguise: str) -> None:
    text = DISGUISES[disguise](address)
    (record,) = made(planted(address, text), PSEUDONYMS).values()
    told = json.dumps(record.record()).lower()
    for each in DISGUISES.values():
        assert each(address).lower() not in told, each
    assert record.recipients[0].startswith("person-")
    (clear,) = made(planted(address, text)).values()
    assert text in json.dumps(clear.record()), "the plant is there where nothing is hidden"


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"sender": "bounce-anna-kettler-example-org@shop.example"}, ("sender", "*@shop.example")),
        ({"sender": "b-gro.elpmaxe-relttek-anna@shop.example"}, ("sender", "*@shop.example")),
        ({"subject": "Anna, your order"}, ("subject", "* your order")),
        ({"subject": "For naan.xrggyre now"}, ("subject", "For * now")),
        ({"subject": "For =61=6E=6E=61 now"}, ("subject", "For * now")),
        ({"fared": Fared(250, "ok &#97;&#110;&#110;&#97;")}, ("reply", "ok *")),
        ({"fared": Fared(250, "ok anna_kettler-at-example.org")}, ("reply", "ok *")),
        (
            {"facts": MessageFacts(header={"list_id": "anna-kettler.example-org.list.shop.example"})},
            ("header", {"list_id": "*.shop.example"}),
        ),
        ({"subject": "Saving 20% =D today"}, ("subject", "Saving 20% =D today")),
        ({"sender": "annual-report@shop.example"}, ("sender", "annual-report@shop.example")),
    ],
)
def test_with_pseudonyms_names_go_however_they_are_parted(
    fields: dict[str, object], left: tuple[str, object]
) -> None:
    (record,) = made(passed("anna.kettler@example.org", **fields), PSEUDONYMS).values()
    assert getattr(record, left[0]) == left[1]


def test_with_pseudonyms_a_domain_that_was_registered_for_somebody_is_not_told() -> None:
    url = "https://t.anna-kettler.example/open/1.gif"
    what = passed(
        "anna.kettler@example.org", sender="news@anna.kettler-mail.example", found=(reference(url),)
    )
    (record,) = made(what, PSEUDONYMS).values()
    assert "kettler" not in str(record.references[0])
    assert record.references[0].domain == "*.example"
    (other,) = made(passed("bert@example.org", found=(reference(url),)), PSEUDONYMS).values()
    assert other.references[0].domain == "anna-kettler.example", "what is nobody's name stays"


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PEOPLE = st.builds(
    lambda name, domain: f"{name}@{domain}.example.org",
    st.text(LETTERS + ".-_", min_size=6, max_size=20).filter(lambda name: name.strip(".-_") == name),
    st.text(LETTERS, min_size=1, max_size=10),
)


@given(PEOPLE, st.sampled_from(sorted(DISGUISES)))
def test_whoever_it_is_and_however_it_is_written(address: str, disguise: str) -> None:
    text = DISGUISES[disguise](address)
    (record,) = made(planted(address, text), PSEUDONYMS).values()
    told = json.dumps(record.record()).lower()
    assert address not in told
    assert text.lower() not in told


def test_subjects_and_urls_are_left_out_where_they_are_not_to_be_kept() -> None:
    settings = RecordSettings(subjects=False, urls=UrlsKept.TEMPLATE)
    what = passed(
        "anna@example.org", subject="Offers", found=(reference("https://t.shop.example/o/8f3.gif"),)
    )
    (record,) = made(what, settings).values()
    assert record.subject == ""
    assert record.references[0].url == record.references[0].template == "https://t.shop.example/o/*.gif"
    assert record.recipients == ("anna@example.org",)


def test_a_record_is_bounded_whatever_a_message_says() -> None:
    many = tuple(
        reference(f"https://t.shop.example/{number}/" + "x" * 9_000, "content") for number in range(999)
    )
    what = passed(
        *(f"reader{number}@example.org" for number in range(3_000)),
        sender="a" * 9_000 + "@shop.example",
        found=(*many, reference("https://t.shop.example/o")),
        subject="s\x00\ud800" * 9_000,
        message_id="<" + "m" * 9_000,
        fared=Fared(250, "r" * 9_000),
        facts=MessageFacts("a" * 9_000, header={"list_id": "l" * 9_000}),
        defects=("d" * 9_000,) * 99,
    )
    for settings in (CLEAR, PSEUDONYMS):
        (record,) = made(what, settings).values()
        assert len(record.references) == MAX_REFERENCES
        assert (record.total_references, record.total_trackers) == (1000, 1)
        assert record.references[0].is_tracker
        assert len(json.dumps(record.record())) < 1_200_000
        assert "\\u0000" not in json.dumps(record.record())
        assert "\\ud800" not in json.dumps(record.record())


def test_a_bounce_without_recipients_belongs_to_the_default() -> None:
    assert sorted(made(Passed(5.0, "x", Envelope()))) == ["default"]


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("a@EXAMPLE.org", "north"),
        ("a@mail.example.org.", "north"),
        ("a@badexample.org", "default"),
        ("", "default"),
    ],
)
def test_a_domain_belongs_to_whoever_has_it_or_the_one_above(address: str, whose: str) -> None:
    assert organisation(address) == whose


def test_with_pseudonyms_it_is_still_told_whose_domains_people_write_to() -> None:
    recipients = (
        "Bob@Sales.Partner.example",
        "jane@jane-doe.pages.dev",
        "jane-doe@else.example",
        "carl@partner.example",
    )
    envelope = Envelope("anna@example.org", recipients, authenticated=True)
    sent = replace(passed(*recipients), envelope=envelope)
    (record,) = made(sent, PSEUDONYMS).values()
    assert record.direction == "submitted"
    assert record.header["recipient_domains"] == "partner.example else.example"
    assert "jane" not in repr(record)
    (clear,) = made(sent).values()
    assert "recipient_domains" not in clear.header  # the recipients tell it
    (incoming,) = made(passed("anna@example.org"), PSEUDONYMS).values()
    assert "recipient_domains" not in incoming.header
