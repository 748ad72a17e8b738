"""What holds of every policy whatever: no keeping without proof, one order, explanations that agree, round trips."""

from __future__ import annotations

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.authentication import Authentication, Result, VouchedResult
from mailveil.core.policy import (
    Action,
    AllowEntry,
    Envelope,
    OrganisationPolicy,
    PolicyDocument,
    PolicySettings,
    PolicySnapshot,
    message_policy,
    parse_policy,
    recipient_profile,
    snapshot_of,
)
from mailveil.core.policy.explaining import explain
from mailveil.core.policy.messagepolicy import choose, message_policy_of
from mailveil.core.policy.rules import Effect, Fit, ReferenceFacts, in_order
from mailveil.core.policy.settling import RulesBySender, fit_of
from mailveil.core.policy.snapshot import message_facts, rules_of
from mailveil.core.policy.tomltext import write_toml
from mailveil.core.verdicts.types import Finding, Kind, Risk

NOW = 1_800_000_000.0
DOMAINS = ["partner.example", "mail.partner.example", "shop.example"]
ADDRESSES = ["ann@partner.example", "eve@shop.example", "news@mail.partner.example"]
RECIPIENTS = ["ann@example.org", "bob@example.org", "eve@sub.example.org", "x@elsewhere.example"]
HOSTS = ["px.example", "cdn.partner.example"]
few = {"max_size": 2, "unique": True}

conditions = st.fixed_dictionaries(
    {},
    optional={
        "recipients": st.lists(
            st.sampled_from([*RECIPIENTS, "@example.org", "@.example.org"]), min_size=1, **few
        ),  # type: ignore[arg-type]
        "groups": st.just(["board"]),
        "senders": st.lists(st.sampled_from(ADDRESSES), min_size=1, **few),  # type: ignore[arg-type]
        "sender_domains": st.lists(st.sampled_from([*DOMAINS, ".partner.example"]), min_size=1, **few),  # type: ignore[arg-type]
        "directions": st.just(["inbound"]),
    },
)
about = st.fixed_dictionaries(
    {},
    optional={
        "hosts": st.lists(st.sampled_from([*HOSTS, ".partner.example"]), min_size=1, **few),  # type: ignore[arg-type]
        "operators": st.just(["Mailer"]),
        "kinds": st.lists(st.sampled_from(["open", "device"]), min_size=1, **few),  # type: ignore[arg-type]
        "least_risk": st.sampled_from(["low", "medium", "high"]),
        "findings": st.just(["tracker"]),
    },
)
message_effects = st.fixed_dictionaries(
    {},
    optional={
        "banner": st.sampled_from(["none", "low", "medium", "high"]),
        "monitor": st.booleans(),
        "recognise": st.booleans(),
        "copies": st.sampled_from(["hosted", "embedded"]),
    },
).filter(bool)
rules = st.one_of(
    st.tuples(conditions, about, st.sampled_from(["copy", "blank", "remove", "keep"])).map(
        lambda each: {"when": each[0] | each[1], "then": {"action": each[2]}}
    ),
    st.tuples(conditions, message_effects).map(lambda each: {"when": each[0], "then": each[1]}),
).filter(
    lambda rule: (
        rule["then"].get("action") != "keep"
        or bool(
            {"recipients", "groups", "senders", "sender_domains", "hosts", "operators"} & set(rule["when"])
        )
    )
)


def _document(level: str, given: list[dict[str, object]]) -> PolicyDocument:
    numbered = [{"id": f"r{number}", **rule} for number, rule in enumerate(given)]
    groups = {"board": ["ann@example.org", "@.example.org"]}
    return parse_policy(json.dumps({"level": level, "groups": groups, "rules": numbered}))


documents = st.builds(_document, st.sampled_from(["strict", "normal", "gentle"]), st.lists(rules, max_size=6))
entries = st.lists(
    st.builds(
        AllowEntry,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([*DOMAINS, ".partner.example", *ADDRESSES]),
        st.sampled_from([(), (".partner.example",)]),
        st.sampled_from([0.0, NOW - 1, NOW + 1]),
    ),
    max_size=3,
    unique_by=lambda each: each.identifier,
).map(tuple)
references = st.builds(
    ReferenceFacts,
    st.sampled_from([*HOSTS, ""]),
    st.sampled_from(["", "Mailer"]),
    st.sampled_from([(), (Kind.OPEN,), (Kind.DEVICE, Kind.OPEN)]),
    st.sampled_from(Risk),
    st.sampled_from(Finding),
    st.booleans(),
    st.just(False),
    st.booleans(),
)
claims = st.sampled_from([*ADDRESSES, "", "x@nowhere.example"])
settings_of_file = st.builds(
    PolicySettings,
    trackers=st.sampled_from([Action.COPY, Action.BLANK]),
    content=st.sampled_from([Action.COPY, Action.BLANK]),
)


@st.composite
def envelopes(draw: st.DrawFn, *, proven: bool | None = None) -> Envelope:
    address = draw(st.sampled_from(ADDRESSES))
    proof = None
    if proven or (proven is None and draw(st.booleans())):
        proof = VouchedResult(Result.PASS, "mx")
    known = Authentication(1, (address.partition("@")[2],), dmarc=proof, from_addresses=(address,))
    recipients = draw(st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=3))
    return Envelope(draw(claims), tuple(recipients), authentication=known)


def _snapshot(document: PolicyDocument, allowed: tuple[AllowEntry, ...]) -> PolicySnapshot:
    return PolicySnapshot((OrganisationPolicy("default", document=document, allowed=allowed),))


@given(documents, entries, references, envelopes(proven=False), settings_of_file)
def test_without_proof_no_rule_about_senders_loosens_anything(
    document: PolicyDocument,
    allowed: tuple[AllowEntry, ...],
    reference: ReferenceFacts,
    envelope: Envelope,
    file: PolicySettings,
) -> None:
    """A message that proves nothing fares no better than one that is from nobody whom any rule knows."""
    from mailveil.core.policy.rules import ACTION_STRICTNESS

    snapshot = _snapshot(document, allowed)
    nobody = Envelope("", envelope.recipients)
    claimed, plain = message_policy(snapshot, envelope, NOW), message_policy(snapshot, nobody, NOW)
    with_claim, without = choose(claimed.parties, reference, file), choose(plain.parties, reference, file)
    assert ACTION_STRICTNESS[with_claim.action] >= ACTION_STRICTNESS[without.action]
    assert not with_claim.key.startswith("allow:")
    assert plain.monitored or not claimed.monitored
    order = {"": 0, "high": 1, "medium": 2, "low": 3}
    banners = [order[each.banner.least_risk if each.banner else ""] for each in (claimed, plain)]
    assert banners[0] >= banners[1]


@given(documents, entries, references, envelopes(), settings_of_file)
def test_nothing_is_kept_by_a_level_and_nothing_that_has_no_copy(
    document: PolicyDocument,
    allowed: tuple[AllowEntry, ...],
    reference: ReferenceFacts,
    envelope: Envelope,
    file: PolicySettings,
) -> None:
    found = message_policy(_snapshot(document, allowed), envelope, NOW)
    action, key = choose(found.parties, reference, file)
    if action is Action.KEEP:
        assert key.startswith(("rule:", "allow:"))
        assert reference.has_copy
        assert reference.is_plain
    if not reference.has_copy:
        assert action is Action.REMOVE


@given(documents, entries, references, envelopes(), settings_of_file)
def test_the_explanation_says_what_is_done(
    document: PolicyDocument,
    allowed: tuple[AllowEntry, ...],
    reference: ReferenceFacts,
    envelope: Envelope,
    file: PolicySettings,
) -> None:
    one = Envelope(envelope.sender, envelope.recipients[:1], authentication=envelope.authentication)
    found = message_policy(_snapshot(document, allowed), one, NOW)
    told = explain(document, allowed, message_facts(one, one.recipients[0], NOW), reference, file)
    action = told.of(Effect.ACTION)
    assert action is not None
    assert (action.value, action.key) == tuple(map(str, choose(found.parties, reference, file)))
    assert sum(each.won for each in action.considered) == (action.key.split(":")[0] != "level")
    monitor, banner = told.of(Effect.MONITOR), told.of(Effect.BANNER)
    assert monitor is not None
    assert banner is not None
    assert (monitor.value == "true") == found.monitored
    recognise = told.of(Effect.RECOGNISE)
    assert recognise is not None
    assert (recognise.value == "true") == found.recognises
    assert banner.value == (found.banner.least_risk if found.banner else "none")


@given(documents, entries, st.randoms())
def test_the_order_is_total_and_does_not_hang_on_where_one_begins(
    document: PolicyDocument, allowed: tuple[AllowEntry, ...], random: object
) -> None:
    every = rules_of(document, allowed)
    for effect in Effect:
        ordered = in_order(every, effect)
        assert len(ordered) == len(set(map(id, ordered)))
        for first, second in itertools.pairwise(ordered):
            pair = [each for each in every if each is first or each is second]
            assert in_order(pair, effect) == (first, second), (
                "any two stand to each other as they do among all"
            )


@given(documents, entries, envelopes())
def test_what_is_written_down_comes_back(
    document: PolicyDocument, allowed: tuple[AllowEntry, ...], envelope: Envelope
) -> None:
    assert parse_policy(write_toml(document.record())) == document
    assert parse_policy(json.dumps(document.record())) == document
    snapshot = _snapshot(document, allowed)
    again = snapshot_of(json.loads(json.dumps(snapshot.record())))
    assert again == snapshot
    found = message_policy(again, envelope, NOW)
    assert message_policy_of(json.loads(json.dumps(found.record()))) == found


@given(documents, entries, envelopes(), st.lists(st.sampled_from(RECIPIENTS), min_size=2, max_size=2))
@settings(max_examples=60)
def test_recipients_of_one_profile_are_treated_alike(
    document: PolicyDocument, allowed: tuple[AllowEntry, ...], envelope: Envelope, pair: list[str]
) -> None:
    snapshot = _snapshot(document, allowed)
    first, second = pair
    if recipient_profile(snapshot, first) == recipient_profile(snapshot, second):
        found = [
            message_policy(
                snapshot, Envelope(envelope.sender, (each,), authentication=envelope.authentication), NOW
            )
            for each in pair
        ]
        assert found[0] == found[1]


@given(documents, entries, envelopes())
def test_rules_that_are_found_by_their_senders_are_all_that_fit_in_their_order(
    document: PolicyDocument, allowed: tuple[AllowEntry, ...], envelope: Envelope
) -> None:
    facts = message_facts(envelope, envelope.recipients[0], NOW)
    for effect in Effect:
        ordered = in_order(rules_of(document, allowed), effect)
        possible = RulesBySender(ordered).possible(facts)
        fitting = [each for each in ordered if fit_of(each, document.groups, facts) is not Fit.NO]
        assert [each for each in possible if fit_of(each, document.groups, facts) is not Fit.NO] == fitting


def test_an_allow_list_of_thousands_is_not_read_through_for_a_message() -> None:
    allowed = [AllowEntry(f"e{number}", f"partner{number}.example", (), 0.0) for number in range(3_000)]
    rules = RulesBySender(in_order(rules_of(PolicyDocument(), allowed), Effect.ACTION))
    envelope = Envelope("news@partner7.example", ("ann@example.org",))
    assert [each.identifier for each in rules.possible(message_facts(envelope, "ann@example.org", NOW))] == [
        "e7"
    ]
