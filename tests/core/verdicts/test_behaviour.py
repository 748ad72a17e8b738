"""What the DNS, a fetch and other messages show, and what that does to a verdict.

Setup: evidence of fetches as the fetcher records it, sightings as the memory counts them, and verdicts of messages.
Test: each signal of behaviour has evidence that shows it and evidence beside it that does not; a verdict moves with
what was seen, within bounds, and says why; facts of the message itself are not taken back; a table that is not what it
must be is refused with the reason.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mailveil.core.verdicts.behaviour import (
    FLOOR,
    MOST_FOR,
    Behaviour,
    TableError,
    add,
    compare,
    observe,
    parse_table,
    revise,
    shipped_table,
)
from mailveil.core.verdicts.evidence import (
    BodyFacts,
    FetchEvidence,
    FetchOutcome,
    Hop,
    NameAnswer,
    NameRecord,
    evidence_record,
    parse_evidence,
)
from mailveil.core.verdicts.record import parse_verdict, verdict_record
from mailveil.core.verdicts.sightings import Sightings
from mailveil.core.verdicts.signals import AFTER_DELIVERY, FACTS, Signal
from mailveil.core.verdicts.types import Finding, Kind, Operator, Reason, Risk, Verdict

HOST = "img.shop.example"
DATE = ("date", "Tue, 06 Jan 2026 10:00:00 GMT")
CONTENT = Verdict(Finding.CONTENT, 0.1, (), (), None, -2.2)
TRACKER = Verdict(Finding.TRACKER, 0.9, (Kind.OPEN,), (), None, 2.2, Risk.MEDIUM)


def name(
    *, ttl: int = 300, servers: tuple[str, ...] = ("ns1.firm.example",), aliases: tuple[str, ...] = ()
) -> NameAnswer:
    chain = (HOST, *aliases)
    records = [NameRecord(each, "CNAME", ttl, after) for each, after in zip(chain, aliases, strict=False)]
    return NameAnswer(HOST, (*records, NameRecord(chain[-1], "A", ttl, "192.0.2.1")), servers)


def hop(
    *fields: tuple[str, str], url: str = f"https://{HOST}/a/logo.png", status: int = 200, **more: object
) -> Hop:
    parts: dict[str, object] = {"name": name(), "address": "192.0.2.1", **more}
    return Hop(url, status, (DATE, *fields), **parts)  # type: ignore[arg-type]


def body(**facts: object) -> BodyFacts:
    usual = {"size_bytes": 900, "sha256": "ab" * 32, "declared_type": "image/png", "complete": True}
    return BodyFacts(**{**usual, **facts})  # type: ignore[arg-type]


def fetched(*hops: Hop, outcome: FetchOutcome = FetchOutcome.FETCHED, **facts: object) -> FetchEvidence:
    return FetchEvidence(outcome, hops=hops or (hop(),), body=body(**facts))


def cut(outcome: FetchOutcome, declared: int = -1) -> FetchEvidence:
    profile = tuple((float(at), 1000 * at) for at in range(1, 9))
    return fetched(outcome=outcome, complete=False, declared_bytes=declared, profile=profile)


ELSEWHERE = hop(url="https://edge.other.example/x.png")
PAIRS = {
    Signal.ALIAS_OF_OPERATOR: (
        fetched(hop(name=name(aliases=("u77.wl9.mailgun.org",)))),
        fetched(hop(name=name(aliases=("d1.some-cdn.example",)))),
    ),
    Signal.SHORT_TTL: (fetched(hop(name=name(ttl=30))), fetched()),
    Signal.OWN_NAME_SERVER: (
        fetched(hop(name=name(servers=("ns1.shop.example", "ns2.shop.example")))),
        fetched(hop(name=name(servers=("ns1.shop.example", "ns1.firm.example")))),
    ),
    Signal.REDIRECTED_ELSEWHERE: (
        fetched(hop(status=302), ELSEWHERE),
        fetched(hop(status=302), hop(url="https://cdn.shop.example/x.png")),
    ),
    Signal.REDIRECTED_TO_OPERATOR: (
        fetched(hop(status=302), hop(url="https://mandrillapp.com/x")),
        fetched(hop(status=302), ELSEWHERE),
    ),
    Signal.SETS_COOKIE: (fetched(hop(("set-cookie", "AWSALB=x; Path=/"))), fetched()),
    Signal.LASTING_COOKIE: (
        fetched(hop(("set-cookie", "uid=7; Expires=Wed, 06-Jan-2027 10:00:00 GMT"))),
        fetched(hop(("set-cookie", "lb=7; Expires=Tue, 13 Jan 2026 10:00:00 GMT"))),
    ),
    Signal.NOT_CACHEABLE: (
        fetched(hop(("cache-control", "private, max-age=0"))),
        fetched(hop(("cache-control", "max-age=60"))),
    ),
    Signal.LONG_CACHEABLE: (
        fetched(hop(("cache-control", "public, max-age=31536000"))),
        fetched(hop(("cache-control", "no-cache, max-age=31536000"))),
    ),
    Signal.UNCHANGING_FILE: (
        fetched(hop(("etag", '"5"'), ("last-modified", "Tue, 06 Jan 2015 10:00:00 GMT"))),
        fetched(hop(("etag", '"5"'))),
    ),
    Signal.KNOWN_AGAIN: (
        fetched(hop(("etag", '"5"'), ("cache-control", "private, max-age=0, must-revalidate"))),
        fetched(hop(("etag", '"5"'), ("cache-control", "no-store"))),
    ),
    Signal.TYPE_MISMATCH: (fetched(declared_type="image/gif"), fetched(declared_type="image/webp")),
    Signal.TRUE_PIXEL: (fetched(width=1, height=1), fetched(width=1, height=30)),
    Signal.TRUE_PICTURE: (fetched(width=160, height=48), fetched(width=3, height=3)),
    Signal.EMPTY_ANSWER: (fetched(hop(status=204), size_bytes=0), fetched()),
    Signal.DRIP_FED: (fetched(outcome=FetchOutcome.DRIP_FED, complete=False), fetched()),
    Signal.ENDLESS_BODY: (cut(FetchOutcome.TOO_SLOW), cut(FetchOutcome.TOO_SLOW, declared=90_000)),
    Signal.SILENT_AUDIO: (fetched(is_silent=True), fetched(is_silent=False)),
    Signal.ANSWER_DIFFERS: (fetched(hop(("vary", "Accept, User-Agent"))), fetched(hop(("vary", "Accept")))),
    Signal.ASKS_DEVICE: (fetched(hop(("accept-ch", "Sec-CH-UA-Model"))), fetched(hop(("accept-ch", "Save-Data")))),
    Signal.PLACE_TOLD: (
        fetched(hop(status=302), hop(url=f"https://{HOST}/at.png?city=Lyon")),
        fetched(hop(url=f"https://{HOST}/at.png?city=Lyon")),
    ),
}  # fmt: skip
ACROSS = {
    Signal.TOKEN_PER_RECIPIENT: (Sightings(holders=3), Sightings(holders=3, common=1)),
    Signal.URL_SHARED: (Sightings(sharers=2), Sightings(sharers=1)),
    Signal.NEW_HOST: (Sightings(is_new_host=True), Sightings()),
    Signal.NAME_PER_MESSAGE: (Sightings(names=3), Sightings(names=3, sharers=2)),
    Signal.WILDCARD_ZONE: (Sightings(neighbours=1), Sightings(neighbours=1, sharers=2)),
    Signal.SHARED_BODY: (Sightings(alike=2), Sightings(alike=2, unlike=1)),
    Signal.BODY_PER_TOKEN: (Sightings(unlike=2), Sightings(unlike=2, alike=1)),
}
# Nobody's name servers are in the catalogue yet, so that none can be shown.
WITHOUT_CASE = {Signal.OPERATOR_NAME_SERVER}


def test_every_signal_of_behaviour_has_a_pair() -> None:
    signals = {signal for signal, fact in FACTS.items() if fact.evidence in AFTER_DELIVERY}
    assert signals == set(PAIRS) | set(ACROSS) | WITHOUT_CASE
    assert set(shipped_table()) == signals


@pytest.mark.parametrize("signal", PAIRS)
def test_a_fetch_shows_a_signal_and_another_does_not(signal: Signal) -> None:
    hits, misses = PAIRS[signal]
    assert signal in observe(hits).signals
    assert signal not in observe(misses).signals
    again = parse_evidence(json.loads(json.dumps(evidence_record(hits))))
    assert observe(again) == observe(hits), "nothing is lost where evidence is kept"


@pytest.mark.parametrize("signal", ACROSS)
def test_other_mail_shows_a_signal_and_other_does_not(signal: Signal) -> None:
    hits, misses = ACROSS[signal]
    seen = Behaviour((Signal.TRUE_PICTURE,))
    assert 0 < compare(hits, seen)[signal] <= 1
    assert signal not in compare(misses, seen)


def test_the_more_recipients_the_better_founded() -> None:
    founded = [compare(Sightings(holders=count))[Signal.TOKEN_PER_RECIPIENT] for count in (2, 3, 4, 50)]
    assert founded == sorted(founded)
    assert founded[0] < 0.5
    assert founded[-1] == 1.0
    assert compare(None) == {}


def test_only_pictures_that_differ_speak_for_content() -> None:
    assert Signal.BODY_PER_TOKEN not in compare(Sightings(unlike=3), Behaviour())


def test_who_is_behind_an_alias_is_named() -> None:
    behaviour = observe(PAIRS[Signal.ALIAS_OF_OPERATOR][0])
    assert behaviour.operator is not None
    assert behaviour.operator.name == "Mailgun"
    assert revise(TRACKER, behaviour).operator == behaviour.operator


def test_a_fetch_that_reached_nobody_says_nothing() -> None:
    assert observe(None) == Behaviour()
    assert observe(FetchEvidence(FetchOutcome.NO_EXIT)) == Behaviour()
    verdict = revise(CONTENT, FetchEvidence(FetchOutcome.NO_EXIT), Sightings())
    assert verdict is CONTENT


def test_silence_without_end_makes_a_tracker_of_reading_time() -> None:
    evidence = replace(cut(FetchOutcome.TOO_SLOW), hops=(hop(("cache-control", "no-store")),))
    evidence = replace(evidence, body=replace(evidence.body, is_silent=True))
    verdict = revise(CONTENT, evidence, Sightings(holders=4))
    assert verdict.is_tracker
    assert verdict.kinds[0] is Kind.DWELL
    assert verdict.risk is Risk.HIGH
    assert "the sound is silence" in [each.words for each in verdict.reasons]
    assert {Signal.SILENT_AUDIO, Signal.ENDLESS_BODY, Signal.TOKEN_PER_RECIPIENT} <= set(verdict.signals)


def test_one_address_for_many_recipients_makes_content() -> None:
    verdict = revise(replace_kinds(TRACKER, Kind.OPEN), fetched(), Sightings(sharers=9))
    assert not verdict.is_tracker
    assert verdict.kinds == ()
    assert verdict.reasons[0].signal is Signal.URL_SHARED
    assert verdict.reasons[0].weight < 0


@pytest.mark.parametrize("kind", [Kind.IDENTITY, Kind.CREDENTIAL, Kind.RECEIPT])
def test_what_the_message_itself_holds_is_not_taken_back(kind: Kind) -> None:
    verdict = revise(replace_kinds(TRACKER, kind), fetched(), Sightings(sharers=50))
    assert verdict.is_tracker
    assert verdict.score >= TRACKER.score - 0.01
    assert kind in verdict.kinds


def replace_kinds(verdict: Verdict, *kinds: Kind) -> Verdict:
    return verdict._replace(kinds=kinds)


def test_a_verdict_moves_within_bounds_and_in_the_direction_of_what_was_seen() -> None:
    heavy = dict.fromkeys(Signal, 8.0)
    evidence = replace(PAIRS[Signal.NOT_CACHEABLE][0], outcome=FetchOutcome.DRIP_FED)
    verdict = revise(CONTENT._replace(log_odds=-50.0), evidence, Sightings(holders=9, alike=9), heavy)
    assert verdict.log_odds == FLOOR + MOST_FOR
    for log_odds in (-9.0, -1.0, 0.0, 3.0):
        assert add(log_odds, 1.0) > log_odds
        assert add(log_odds, -1.0) < log_odds
        assert add(log_odds, 0.0) == log_odds


def test_the_shipped_table_speaks_sense() -> None:
    table = shipped_table()
    against = {signal for signal, weight in table.items() if weight < 0}
    assert against == {
        Signal.URL_SHARED, Signal.BODY_PER_TOKEN, Signal.UNCHANGING_FILE, Signal.TRUE_PICTURE, Signal.LONG_CACHEABLE,
    }  # fmt: skip
    assert min(table[each] for each in (Signal.TOKEN_PER_RECIPIENT, Signal.DRIP_FED, Signal.SILENT_AUDIO)) > 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"version": 1, "weights": {"NO_SUCH": 1}}', "NO_SUCH"),
        ('{"version": 2, "weights": {}}', "version 2"),
        ('{"version": 1, "weights": {"PIXEL_1X1": 1}}', "PIXEL_1X1 is no signal of behaviour"),
        ('{"version": 1, "weights": {"DRIP_FED": 99}}', "DRIP_FED weighs 99"),
        ('{"version": 1, "weights": {"DRIP_FED": NaN}}', "DRIP_FED weighs nan"),
    ],
)
def test_a_wrong_table_is_refused(text: str, reason: str) -> None:
    with pytest.raises(TableError, match=reason):
        parse_table(text)


def test_a_verdict_can_be_kept_and_read_again() -> None:
    operator = Operator("Some", 0.9, "Owner")
    verdict = TRACKER._replace(
        operator=operator, signals=(Signal.DRIP_FED,), reasons=(Reason(Signal.DRIP_FED, 3.0, "drop by drop"),)
    )
    assert parse_verdict(json.loads(json.dumps(verdict_record(verdict)))) == verdict
    with pytest.raises(ValueError, match="no record"):
        parse_verdict({"score": 1})


@pytest.mark.parametrize("outcome", [FetchOutcome.KNOWN, FetchOutcome.LINKED, FetchOutcome.REFUSED_ADDRESS])
def test_where_a_redirect_leads_counts_where_it_is_not_followed(outcome: FetchOutcome) -> None:
    location = ("location", "https://cdn.other.example/at.png?city=Lyon")
    signals = observe(fetched(hop(location, status=302), outcome=outcome)).signals
    assert {Signal.REDIRECTED_ELSEWHERE, Signal.PLACE_TOLD} <= set(signals)
    signals = observe(fetched(hop(location, status=200))).signals
    assert not {Signal.REDIRECTED_ELSEWHERE, Signal.PLACE_TOLD} & set(signals), "no redirect"
