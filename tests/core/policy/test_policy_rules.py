"""Which rule wins: the order that anybody can see, and the proof that loosening needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mailveil.core.authentication import Authentication
from mailveil.core.policy import (
    Action,
    AllowEntry,
    CopyMode,
    Envelope,
    OrganisationPolicy,
    PolicySettings,
    PolicySnapshot,
    message_policy,
    parse_policy,
    recipient_profile,
    snapshot_of,
)
from mailveil.core.policy.document import PolicyDocumentError, document_of
from mailveil.core.policy.explaining import explain
from mailveil.core.policy.messagepolicy import BannerSettings, MessagePolicy, choose, message_policy_of
from mailveil.core.policy.rules import Banner, Effect, ReferenceFacts, in_order
from mailveil.core.policy.snapshot import message_facts
from mailveil.core.verdicts.types import Finding, Kind, Risk
from signing_room import MESSAGE, authenticated, record, rsa_key, signed

NOW = 1_800_000_000.0
FILE = PolicySettings()
PIXEL = ReferenceFacts("px.tracker.example", "Example Mailer", (Kind.OPEN,), Risk.MEDIUM, Finding.TRACKER)
LOGO = ReferenceFacts("cdn.partner.example", "", (), Risk.LOW, Finding.CONTENT)
PARTNER = Authentication(
    from_fields=1,
    from_domains=("partner.example",),
    from_addresses=("ann@partner.example",),
    dkim=(),
)


def organisation(text: str, allowed: Sequence[AllowEntry] = (), **more: object) -> OrganisationPolicy:
    return OrganisationPolicy("default", document=parse_policy(text), allowed=tuple(allowed), **more)  # type: ignore[arg-type]


def policy(
    text: str, envelope: Envelope, allowed: Sequence[AllowEntry] = (), now: float = NOW
) -> MessagePolicy:
    snapshot = snapshot_of(PolicySnapshot((organisation(text, allowed),)).record())
    found = message_policy(snapshot, envelope, now, modes=frozenset({CopyMode.HOSTED, CopyMode.EMBEDDED}))
    assert message_policy_of(found.record()) == found, "a worker is told the very same"
    return found


def action(text: str, envelope: Envelope, facts: ReferenceFacts = PIXEL, **more: object) -> tuple[str, str]:
    action, key = choose(policy(text, envelope, **more).parties, facts, FILE)  # type: ignore[arg-type]
    return str(action), key


def to(*recipients: str, sender: str = "news@shop.example", proof: Authentication | None = None) -> Envelope:
    return Envelope(sender, recipients, authentication=proof)


def proven(domain: str = "partner.example", address: str = "ann@partner.example") -> Authentication:
    """Return what is known of a message whose author a trusted server vouches for."""
    from mailveil.core.authentication import Result, VouchedResult

    return Authentication(1, (domain,), dmarc=VouchedResult(Result.PASS, "mx"), from_addresses=(address,))


def rules(*lines: str) -> str:
    head = '[groups]\nboard = ["ann@example.org", "bob@example.org"]\n'
    return head + "\n".join(
        f'[[rules]]\nid = "{line.partition(":")[0]}"\n{line.partition(":")[2].strip()}' for line in lines
    )


# --- levels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "pixel", "logo", "banner"),
    [
        ("strict", "blank", "copy", "medium"),
        ("normal", "copy", "copy", "high"),
        ("gentle", "copy", "copy", None),
    ],
)
def test_what_each_level_does(level: str, pixel: str, logo: str, banner: str | None) -> None:
    text, envelope = f'level = "{level}"', to("ann@example.org")
    assert action(text, envelope) == (pixel, f"level:{level}")
    assert action(text, envelope, LOGO) == (logo, f"level:{level}")
    told = policy(text, envelope).banner
    assert (told.least_risk if told else None) == banner


def test_without_a_document_everything_is_replaced_and_readers_of_risky_mail_are_told() -> None:
    found = message_policy(PolicySnapshot(), to("ann@example.org"), NOW)
    assert choose(found.parties, PIXEL, FILE) == (Action.COPY, "level:normal")
    assert found.banner is not None
    assert found.banner.least_risk == "high"


def test_no_level_is_less_strict_than_the_configuration_file() -> None:
    blank = PolicySettings(trackers=Action.BLANK, content=Action.BLANK)
    for level in ("strict", "normal", "gentle"):
        found = policy(f'level = "{level}"', to("ann@example.org"))
        assert choose(found.parties, LOGO, blank).action is Action.BLANK


# --- the order ----------------------------------------------------------------------------------------------


def test_the_order_of_specificity_is_recipient_then_sender_then_reference() -> None:
    text = rules(
        "any: then = { action = 'blank' }",
        "risk: when = { least_risk = 'low' }\nthen = { action = 'blank' }",
        "kind: when = { kinds = ['open'] }\nthen = { action = 'blank' }",
        "operator: when = { operators = ['example mailer'] }\nthen = { action = 'blank' }",
        "host-below: when = { hosts = ['.tracker.example'] }\nthen = { action = 'blank' }",
        "host: when = { hosts = ['px.tracker.example'] }\nthen = { action = 'blank' }",
        "sender-domain-below: when = { sender_domains = ['.shop.example'] }\nthen = { action = 'blank' }",
        "sender-domain: when = { sender_domains = ['shop.example'] }\nthen = { action = 'blank' }",
        "sender: when = { senders = ['news@shop.example'] }\nthen = { action = 'blank' }",
        "group: when = { groups = ['board'] }\nthen = { action = 'blank' }",
        "domain-below: when = { recipients = ['@.example.org'] }\nthen = { action = 'blank' }",
        "domain: when = { recipients = ['@example.org'] }\nthen = { action = 'blank' }",
        "person: when = { recipients = ['ann@example.org'] }\nthen = { action = 'blank' }",
    )
    document = parse_policy(text)
    ordered = in_order(document.rules, Effect.ACTION)
    assert [rule.identifier for rule in ordered] == [rule.identifier for rule in reversed(document.rules)]
    for number, rule in enumerate(ordered):
        left = replace(document, rules=tuple(ordered[number:]))
        snapshot = PolicySnapshot((OrganisationPolicy("default", document=left),))
        found = message_policy(snapshot, to("ann@example.org"), NOW)
        assert choose(found.parties, PIXEL, FILE).key == f"rule:{rule.identifier}"


def test_of_equally_specific_rules_the_stricter_wins_then_the_earlier() -> None:
    text = rules(
        "soft: when = { hosts = ['px.tracker.example'] }\nthen = { action = 'copy' }",
        "hard: when = { hosts = ['px.tracker.example'] }\nthen = { action = 'blank' }",
        "hard-too: when = { hosts = ['px.tracker.example'] }\nthen = { action = 'blank' }",
    )
    assert action(text, to("ann@example.org")) == ("blank", "rule:hard")


def test_each_effect_is_settled_on_its_own() -> None:
    text = rules(
        "everybody: then = { banner = 'high', copies = 'embedded', action = 'blank' }",
        "ann: when = { recipients = ['ann@example.org'] }\nthen = { banner = 'low' }",
    )
    found = policy(text, to("ann@example.org"))
    assert found.banner is not None
    assert found.banner.least_risk == Banner.LOW
    assert found.copies is CopyMode.EMBEDDED
    assert choose(found.parties, PIXEL, FILE) == (Action.BLANK, "rule:everybody")


def test_rules_that_are_switched_off_or_over_hold_for_nobody() -> None:
    text = rules(
        "off: enabled = false\nthen = { action = 'blank' }",
        "over: expires_at = '2026-12-31'\nthen = { action = 'blank' }",
    )
    before = parse_policy(text).rules[1].expires_at - 1
    assert action(text, to("ann@example.org"), now=before) == ("blank", "rule:over")
    assert action(text, to("ann@example.org"), now=before + 1) == ("copy", "level:normal")


def test_what_has_no_safe_copy_is_taken_out_whatever_rules_say() -> None:
    text = rules("ann: when = { recipients = ['ann@example.org'] }\nthen = { action = 'keep' }")
    receipt = PIXEL._replace(has_copy=False)
    script = PIXEL._replace(has_copy=False, is_script=True)
    for facts in (receipt, script):
        assert action(text, to("ann@example.org"), facts) == ("remove", "level:normal")
    assert action(text, to("ann@example.org"), PIXEL._replace(is_plain=False)) == ("copy", "level:normal")


# --- loosening needs proof ----------------------------------------------------------------------------------

KEEP_PARTNER = rules("partner: when = { sender_domains = ['partner.example'] }\nthen = { action = 'keep' }")
ENTRY = AllowEntry("a1", "partner.example")


def test_a_proven_partner_is_kept_and_the_rule_is_named() -> None:
    envelope = to("ann@example.org", proof=proven())
    assert action(KEEP_PARTNER, envelope) == ("keep", "rule:partner")
    assert action("", envelope, allowed=[ENTRY]) == ("keep", "allow:a1")


def test_a_claim_keeps_nothing() -> None:
    for envelope in (
        to("ann@example.org", sender="ann@partner.example"),
        to("ann@example.org", sender="ann@partner.example", proof=PARTNER),
        to("ann@example.org", sender="ann@partner.example", proof=proven("evil.example", "ann@evil.example")),
    ):
        assert action(KEEP_PARTNER, envelope) == ("copy", "level:normal")
        assert action("", envelope, allowed=[ENTRY]) == ("copy", "level:normal")


def test_a_claim_is_enough_to_be_treated_more_strictly() -> None:
    text = rules(
        "shop: when = { sender_domains = ['shop.example'] }\nthen = { action = 'blank', banner = 'low' }"
    )
    found = policy(text, to("ann@example.org"))
    assert choose(found.parties, PIXEL, FILE) == (Action.BLANK, "rule:shop")
    assert found.banner is not None
    assert found.banner.least_risk == "low"


def test_a_claim_does_not_undo_what_another_rule_tightened() -> None:
    text = rules(
        "mailer: when = { operators = ['Example Mailer'] }\nthen = { action = 'blank' }",
        "partner: when = { sender_domains = ['partner.example'] }\nthen = { action = 'copy' }",
    )
    forged = to("ann@example.org", sender="ann@partner.example", proof=PARTNER)
    assert action(text, forged) == ("blank", "rule:mailer")
    assert action(text, to("ann@example.org", proof=proven())) == ("copy", "rule:partner")


def test_a_claim_switches_neither_the_report_on_nor_the_banner_off() -> None:
    text = "level = 'strict'\n" + rules(
        "partner: when = { sender_domains = ['partner.example'] }\nthen = { monitor = true, banner = 'none' }"
    )
    forged = policy(text, to("ann@example.org", sender="ann@partner.example", proof=PARTNER))
    assert not forged.monitored
    assert forged.banner is not None
    real = policy(text, to("ann@example.org", proof=proven()))
    assert real.monitored
    assert real.banner is None


def test_an_entry_is_narrowed_to_hosts_and_ends_with_its_time() -> None:
    envelope = to("ann@example.org", proof=proven())
    entry = AllowEntry("a1", ".partner.example", hosts=(".partner.example",), expires_at=NOW + 60)
    assert action("", envelope, LOGO, allowed=[entry]) == ("keep", "allow:a1")
    assert action("", envelope, PIXEL, allowed=[entry]) == ("copy", "level:normal")
    assert action("", envelope, LOGO, allowed=[entry], now=NOW + 60) == ("copy", "level:normal")


def test_an_entry_for_one_address_reaches_no_other_of_that_domain() -> None:
    entry = AllowEntry("a1", "ann@partner.example")
    assert action("", to("x@example.org", proof=proven()), allowed=[entry])[0] == "keep"
    other = proven(address="eve@partner.example")
    assert action("", to("x@example.org", proof=other), allowed=[entry])[0] == "copy"
    two = replace(proven(), from_addresses=("ann@partner.example", "eve@partner.example"))
    assert action("", to("x@example.org", proof=two), allowed=[entry])[0] == "copy"


FORGERIES = {
    "nothing but a From field": (MESSAGE, 0),
    "a signature of another domain": (signed(domain=b"evil.example"), 1),
    "a second From field below": (
        signed().replace(b"To: reader", b"From: x@evil.example\r\nTo: reader", 1),
        1,
    ),
    "a second From field on top": (b"From: x@evil.example\r\n" + signed(), 1),
    "a second address in the field": (
        signed(MESSAGE.replace(b"News <news@mail.example.org>", b"news@mail.example.org, x@evil.example")),
        1,
    ),
    "a signature with l=, and more below it": (
        signed(length=True) + b'<img src="https://evil.example/p.gif">',
        1,
    ),
    "a signature with l= alone": (signed(length=True), 1),
    "a changed body": (signed().replace(b"Hello", b"Hullo"), 1),
    "the partner's address as a display name": (
        signed(
            MESSAGE.replace(b"News <news@mail.example.org>", b'"news@mail.example.org" <x@evil.example>'),
            domain=b"evil.example",
        ),
        1,
    ),
    "the partner's address as a name without quotes": (
        signed(
            MESSAGE.replace(b"News <news@mail.example.org>", b"news@mail.example.org <x@evil.example>"),
            domain=b"evil.example",
        ),
        1,
    ),
    "a Sender field of the partner": (
        signed(
            MESSAGE.replace(
                b"News <news@mail.example.org>", b"x@evil.example\r\nSender: news@mail.example.org"
            ),
            domain=b"evil.example",
        ),
        1,
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_mail_gains_nothing(forgery: str) -> None:
    """The partner is trusted in every way that there is; a forged message is replaced as any other."""
    text = rules(
        "keep: when = { sender_domains = ['.example.org'] }\nthen = { action = 'keep', monitor = true }",
        "address: when = { senders = ['news@mail.example.org'] }\nthen = { action = 'keep', monitor = true }",
    )
    allowed = [AllowEntry("a1", ".example.org"), AllowEntry("a2", "news@mail.example.org")]
    raw, _ = FORGERIES[forgery]
    proof = authenticated(raw, [record(rsa_key())])
    found = policy(text, to("ann@example.net", sender="news@mail.example.org", proof=proof), allowed)
    assert choose(found.parties, PIXEL, FILE) == (Action.COPY, "level:normal")
    assert not found.monitored


def test_the_real_partner_is_known_by_his_signature() -> None:
    proof = authenticated(signed(), [record(rsa_key())])
    found = policy("", to("ann@example.net", proof=proof), [AllowEntry("a2", "news@mail.example.org")])
    assert choose(found.parties, PIXEL, FILE) == (Action.KEEP, "allow:a2")


# --- several recipients -------------------------------------------------------------------------------------


def test_recipients_with_the_same_rules_have_one_profile() -> None:
    text = rules("board: when = { groups = ['board'] }\nthen = { action = 'blank' }")
    snapshot = PolicySnapshot(
        (organisation(text), OrganisationPolicy("other", domains=("other.example", ".sub.example")))
    )
    profiles = {
        address: recipient_profile(snapshot, address)
        for address in (
            "Ann@Example.org",
            "bob@example.org",
            "eve@example.org",
            "eve@other.example",
            "x@a.sub.example",
        )
    }
    assert profiles["Ann@Example.org"] == profiles["bob@example.org"] != profiles["eve@example.org"]
    assert profiles["eve@other.example"] == profiles["x@a.sub.example"] != profiles["eve@example.org"]


def test_in_one_message_the_strictest_holds_for_all() -> None:
    text = rules(
        "pilot: when = { recipients = ['pilot@example.org'] }\nthen = { monitor = true }",
        "board: when = { groups = ['board'] }\nthen = { action = 'blank', banner = 'low' }",
        "abuse: when = { recipients = ['abuse@example.org'] }\nthen = { action = 'keep' }",
    )
    everybody = policy(text, to("abuse@example.org", "ann@example.org", "pilot@example.org"))
    assert choose(everybody.parties, PIXEL, FILE) == (Action.BLANK, "rule:board")
    assert not everybody.monitored
    assert everybody.banner is not None
    assert policy(text, to("pilot@example.org", "pilot@example.org")).monitored
    assert action(text, to("abuse@example.org")) == ("keep", "rule:abuse")
    assert action(text, to("abuse@example.org", "eve@example.org")) == ("copy", "level:normal")


def test_readers_of_one_organisation_are_not_told_of_another() -> None:
    snapshot = PolicySnapshot(
        (
            OrganisationPolicy("one", "One", "de", ("one.example",), parse_policy("level = 'strict'")),
            OrganisationPolicy("two", "Two", "fr", ("two.example",)),
        )
    )
    own = message_policy(
        snapshot, to("a@one.example"), NOW, BannerSettings(report_mailbox="help@one.example")
    )
    assert own.organisation == "one"
    assert own.banner == BannerSettings("medium", "de", "One", "help@one.example")
    both = message_policy(snapshot, to("a@one.example", "b@two.example"), NOW)
    assert both.organisation == ""
    assert both.banner is not None
    assert both.banner.organisation == ""


def test_readers_are_told_in_a_language_of_their_own_and_together_in_that_of_their_organisation() -> None:
    text = rules(
        "tokyo: when = { groups = ['tokyo'] }\nthen = { language = 'ja' }",
        "quebec: when = { recipients = ['ann@example.org'] }\nthen = { language = 'fr-CA' }",
    ).replace("[groups]", "[groups]\ntokyo = ['@tokyo.example.org']", 1)
    found = {
        address: banner.language
        for address in ("ann@example.org", "ken@tokyo.example.org", "eve@example.org")
        if (banner := policy(text, to(address)).banner) is not None
    }
    assert found == {
        "ann@example.org": "fr-CA",
        "ken@tokyo.example.org": "ja",
        "eve@example.org": "en",
    }
    together = policy(text, to("ann@example.org", "ken@tokyo.example.org")).banner
    assert together is not None
    assert together.language == "en"


@pytest.mark.parametrize("tag", ["german please", "d", "de_DE", "en\n", "<b>"])
def test_what_is_no_language_is_refused(tag: str) -> None:
    with pytest.raises(PolicyDocumentError, match=r"then.language"):
        document_of({"format": 1, "rules": [{"id": "a", "then": {"language": tag}}]})


def test_what_somebody_submits_goes_by_the_rules_of_his_own_organisation() -> None:
    blank = "[[rules]]\nid = 'out'\nwhen = { recipients = ['x@two.example'] }\nthen = { action = 'blank' }"
    snapshot = PolicySnapshot(
        (
            OrganisationPolicy("one", "One", "en", ("one.example",), parse_policy(blank)),
            OrganisationPolicy("two", "Two", "en", ("two.example",)),
        )
    )
    out = Envelope("ann@one.example", ("y@two.example", "x@two.example"), authenticated=True)
    found = message_policy(snapshot, out, NOW)
    assert found.organisation == "one"
    assert choose(found.parties, PIXEL, FILE) == (Action.BLANK, "rule:out")
    coming_in = Envelope("ann@one.example", ("x@two.example",))
    assert choose(message_policy(snapshot, coming_in, NOW).parties, PIXEL, FILE) == (
        Action.COPY,
        "level:normal",
    )


# --- why ----------------------------------------------------------------------------------------------------


def test_why_was_this_kept_is_answered_with_all_rules_that_were_met() -> None:
    text = rules(
        "mailer: when = { operators = ['Example Mailer'] }\nthen = { action = 'blank' }",
        "partner: name = 'Our partner'\nwhen = { sender_domains = ['partner.example'] }\nthen = { action = 'keep' }",
        "elsewhere: when = { hosts = ['nowhere.example'] }\nthen = { action = 'blank' }",
    )
    document = parse_policy(text)
    real = message_facts(to("ann@example.org", proof=proven()), "ann@example.org", NOW)
    told = explain(document, (), real, PIXEL, FILE).of(Effect.ACTION)
    assert told is not None
    assert (told.value, told.key) == ("keep", "rule:partner")
    assert 'the rule partner "Our partner" says so (from partner.example)' in told.words
    assert [(each.key, each.won) for each in told.considered] == [
        ("rule:partner", True),
        ("rule:mailer", False),
    ]
    assert "loses to rule:partner, which says more closely from whom" in told.considered[1].words
    claim = message_facts(
        to("ann@example.org", sender="a@partner.example", proof=PARTNER), "ann@example.org", NOW
    )
    told = explain(document, (), claim, PIXEL, FILE).of(Effect.ACTION)
    assert told is not None
    assert told.key == "rule:mailer"
    assert "nobody proved it" in told.considered[0].words


# --- other spellings of a recipient -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "ann@example.org", "ANN@Example.ORG", "ann@example.org.", '"ann"@example.org', r'"\a\nn"@example.org',
        "ann+lists@example.org", '"ann+lists"@example.org', "@relay.example,@b.example:ann@example.org",
    ],
)  # fmt: skip
def test_a_sender_does_not_get_round_a_rule_by_another_spelling_of_its_recipient(spelling: str) -> None:
    text = rules("own: when = { recipients = ['ann@example.org'] }\nthen = { action = 'blank' }")
    assert action(text, to(spelling)) == ("blank", "rule:own")
    everybody = rules("all: when = { groups = ['board'] }\nthen = { action = 'blank' }")
    assert action(everybody, to(spelling)) == ("blank", "rule:all")


@pytest.mark.parametrize(
    "other",
    ["+ann@example.org", "ann.b@example.org", "ann+x@example.net", "bann@example.org", '"ann@example.org'],
)
def test_other_mailboxes_are_none_of_it(other: str) -> None:
    text = rules("own: when = { recipients = ['ann@example.org'] }\nthen = { action = 'keep' }")
    assert action(text, to(other)) == ("copy", "level:normal")


def test_a_rule_about_one_detail_is_about_that_alone() -> None:
    text = rules("own: when = { recipients = ['ann+shop@example.org'] }\nthen = { action = 'keep' }")
    assert action(text, to("ann+shop@example.org")) == ("keep", "rule:own")
    assert action(text, to("ann@example.org")) == ("copy", "level:normal")
