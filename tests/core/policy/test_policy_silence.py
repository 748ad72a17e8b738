"""Policies in the engine: every level leaves silence, and what is kept leaves byte-identical."""

from __future__ import annotations

import pytest

from corpus_cases import ADDRESSES, Case, cases
from mailveil.core.message.parse import parse_message
from mailveil.core.policy import (
    Action,
    AllowEntry,
    CopyMode,
    Envelope,
    Level,
    MessagePolicy,
    OrganisationPolicy,
    PolicySnapshot,
    message_policy,
    parse_policy,
)
from mailveil.core.protection import EngineSettings, inspect, protect
from mailveil.core.references.search import SearchSettings, find_references
from signing_room import MESSAGE, authenticated, record, rsa_key, signed

CASES = list(cases())
HOSTED = EngineSettings(mode=CopyMode.HOSTED, addresses=ADDRESSES)
TO = ("reader@example.net",)


def policy(text: str, envelope: Envelope, *allowed: AllowEntry) -> MessagePolicy:
    own = OrganisationPolicy("default", document=parse_policy(text), allowed=allowed)
    return message_policy(PolicySnapshot((own,)), envelope, 1_800_000_000.0)


def of_partner(raw: bytes) -> Envelope:
    return Envelope("news@mail.example.org", TO, authentication=authenticated(raw, [record(rsa_key())]))


@pytest.mark.parametrize("level", Level)
def test_every_level_leaves_silence_in_the_whole_corpus(level: Level) -> None:
    loud = [case.name for case in CASES if _is_loud(case, level)]
    assert not loud


def _is_loud(case: Case, level: Level) -> bool:
    rules = policy(f'level = "{level}"', case.envelope)
    plan = inspect(case.raw, HOSTED, case.envelope, rules)
    kept = {each.reference.url for each in plan.decisions if each.action is Action.KEEP}
    assert kept == {
        each.reference.url
        for each in inspect(case.raw, HOSTED, case.envelope).decisions
        if each.action is Action.KEEP
    }, "a level keeps nothing that is not kept anyway"
    outcome = protect(case.raw, HOSTED, case.envelope, rules)
    left = find_references(
        parse_message(outcome.raw), SearchSettings(ours=ADDRESSES.is_ours)
    ).findings.references
    return any(found.url not in kept for found in left)


LINKED = MESSAGE.replace(b"</p>", b' <a href="https://example.org/sale">more</a></p>')


@pytest.mark.parametrize("body", [MESSAGE, LINKED], ids=["picture", "picture and link"])
def test_a_partners_signed_message_leaves_byte_for_byte(body: bytes) -> None:
    raw = signed(body)
    envelope = of_partner(raw)
    entry = AllowEntry("p1", ".example.org", (".example.com",))
    outcome = protect(raw, HOSTED, envelope, policy("", envelope, entry))
    assert outcome.raw is raw
    (decision,) = outcome.plan.decisions
    assert (decision.action, decision.rule) == (Action.KEEP, "allow:p1")
    assert outcome.plan.wanted == ()


def test_what_else_the_partner_sends_is_taken_out_as_ever() -> None:
    """A receipt, a script, a share of Windows and a host that was not named."""
    body = MESSAGE.replace(b"Subject:", b"Disposition-Notification-To: spy@example.org\r\nSubject:", 1).replace(
        b"<p>", rb'<img src="https://other.example/x.png"><iframe src="https://tracker.example.com/f"></iframe>'
        rb'<img src="\\tracker.example.com\share\x.png"><img src="https://tracker.example.com\@other.example/y.png"><p>'
    )  # fmt: skip
    raw = signed(body)
    envelope = of_partner(raw)
    entry = AllowEntry("p1", ".example.org", ("tracker.example.com",))
    outcome = protect(raw, HOSTED, envelope, policy("", envelope, entry))
    kept = [each.reference.url for each in outcome.plan.decisions if each.action is Action.KEEP]
    assert kept == ["https://tracker.example.com/p.gif"]
    assert b'src="https://tracker.example.com/p.gif"' in outcome.raw
    for gone in (b"spy@example.org", b"other.example", b'<iframe src="https', b"\\\\tracker"):
        assert gone not in outcome.raw.split(b"\r\n\r\n", 1)[1] or gone == b"spy@example.org"
    assert b"Disposition-Notification-To: spy" not in outcome.raw


def test_a_forged_copy_of_the_partners_message_is_protected() -> None:
    raw = signed().replace(b"Hello", b"Hullo")
    envelope = of_partner(raw)
    outcome = protect(raw, HOSTED, envelope, policy("", envelope, AllowEntry("p1", ".example.org")))
    assert b"tracker.example.com" not in outcome.raw


def test_a_message_that_is_only_reported_leaves_as_it_came_and_tells_what_would_have_been_done() -> None:
    text = "level = 'strict'\n[[rules]]\nid = 'pilot'\nthen = { monitor = true }"
    raw = MESSAGE.replace(b"Subject:", b"X-Mailveil-Trace: forged\r\nSubject:", 1).replace(
        b"p.gif", b'o.gif?u=8f3a2c1d9b7e4f60" width="1" height="1'
    )
    rules = policy(text, Envelope("x@y.example", TO))
    outcome = protect(raw, HOSTED, Envelope("x@y.example", TO), rules)
    assert outcome.raw is raw
    assert not outcome.changed
    assert outcome.plan.wanted == ()
    assert [(each.action, each.rule) for each in outcome.plan.decisions] == [(Action.BLANK, "level:strict")]


def test_a_rule_chooses_how_copies_reach_the_reader() -> None:
    text = "[[rules]]\nid = 'e'\nthen = { copies = 'embedded' }"
    envelope = Envelope("x@y.example", TO)
    own = OrganisationPolicy("default", document=parse_policy(text))
    rules = message_policy(PolicySnapshot((own,)), envelope, 0.0, modes=frozenset({CopyMode.EMBEDDED}))
    assert b'src="cid:' in protect(MESSAGE, HOSTED, envelope, rules).raw
    elsewhere = message_policy(PolicySnapshot((own,)), envelope, 0.0, modes=frozenset({CopyMode.HOSTED}))
    assert b'src="https://copies.test/' in protect(MESSAGE, HOSTED, envelope, elsewhere).raw


def test_hosts_that_are_kept_lead_to_no_others() -> None:
    """A style sheet of a named host could name any other, and a list may be divided at any of its commas."""
    body = MESSAGE.replace(
        b"<p>",
        b'<link rel="stylesheet" href="https://cdn.example.com/all.css">'
        b'<img srcset="https://cdn.example.com/a.png,https://spy.example/b.png 2x, https://spy.example/c.png 3x">'
        b'<base href="https://spy.example/"><img src="//cdn.example.com/d.png"><img src="https://cdn.example.com/e.png">'
        b"<p>",
    )
    raw = signed(body)
    envelope = of_partner(raw)
    narrowed = AllowEntry("p1", ".example.org", (".example.com",))
    outcome = protect(raw, HOSTED, envelope, policy("", envelope, narrowed))
    kept = [each.reference.url for each in outcome.plan.decisions if each.action is Action.KEEP]
    assert sorted(kept) == ["https://cdn.example.com/e.png", "https://tracker.example.com/p.gif"]
    assert b"spy.example" not in outcome.raw
    assert b"all.css" not in outcome.raw


def test_a_partner_who_is_trusted_as_a_whole_keeps_his_style_sheet() -> None:
    raw = signed(
        MESSAGE.replace(b"<p>", b'<link rel="stylesheet" href="https://cdn.example.com/all.css"><p>')
    )
    envelope = of_partner(raw)
    assert protect(raw, HOSTED, envelope, policy("", envelope, AllowEntry("p1", ".example.org"))).raw is raw
