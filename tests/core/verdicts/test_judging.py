"""Verdicts, kinds, reasons and risk, with the model that is shipped."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.types import Source
from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.judging import judge, risk_of
from mailveil.core.verdicts.meaning import BIAS
from mailveil.core.verdicts.types import Finding, Kind, MessageContext, Risk, Verdict

RECIPIENT = "reader@example.org"
CONTEXT = MessageContext(
    envelope_sender="bounce@mail.sender.example",
    header_from="news@sender.example",
    recipients=(RECIPIENT,),
)
LIST = MessageContext(header_from="news@sender.example", fields={"list-id": "<n.sender.example>"})
NAMED_LIST = replace(CONTEXT, fields={"list-id": "<n.sender.example>"})
TOKEN = "aB3dE5gH7jK9mN1pQ2"
LONG = TOKEN * 3


def reference(url: str, vector: Vector = Vector.IMG_SRC, **attributes: str) -> Reference:
    return Reference(url, vector, "1", Source(b""), 0, 0, "", attributes=attributes)


def verdict(
    url: str, vector: Vector = Vector.IMG_SRC, /, context: MessageContext = CONTEXT, **more: str
) -> Verdict:
    (found,) = judge([reference(url, vector, **more)], context)
    return found


def encoded(address: str) -> str:
    return base64.urlsafe_b64encode(address.encode()).decode().rstrip("=")


PLAIN = "https://cdn.example/a.png"
PIXEL = {"width": "1", "height": "1"}


@pytest.mark.parametrize(
    ("one", "kinds"),
    [
        (reference(f"https://x.example/open/{TOKEN}", **PIXEL), (Kind.OPEN,)),
        (reference(f"https://x.example/o?e={RECIPIENT}", **PIXEL), (Kind.IDENTITY, Kind.OPEN)),
        (reference("mailto:a@x.example", Vector.RECEIPT_FIELD), (Kind.RECEIPT,)),
        (reference("file://x.example/a"), (Kind.CREDENTIAL, Kind.OPEN)),
        (reference("https://a.emltrk.com/v2/a?p"), (Kind.DWELL, Kind.OPEN)),
        (reference("https://x.example/a.wav", Vector.BGSOUND_SRC, volume="0"), (Kind.DWELL, Kind.OPEN)),
        (
            reference("https://0a1b2c3d4e5f60718293.x.example/", Vector.LINK_DNS_PREFETCH, rel="x"),
            (Kind.DNS, Kind.OPEN),
        ),
        (reference(f"https://x.example/{LONG}/p", Vector.CSS_URL, media="print"), (Kind.INTERACTION,)),
    ],
)
def test_kinds(one: Reference, kinds: tuple[Kind, ...]) -> None:
    (found,) = judge([one], CONTEXT)
    assert found.is_tracker
    assert (found.kinds, found.kind) == (kinds, kinds[0])


@pytest.mark.parametrize(
    "one",
    [
        reference("https://cdn.example/newsletter/header.jpg", width="600", alt="Sale"),
        reference("https://cdn.example/img/spacer.gif", **PIXEL),
        reference(
            "https://fonts.googleapis.com/css2?family=Open+Sans", Vector.LINK_STYLESHEET, rel="stylesheet"
        ),
        reference("https://fonts.gstatic.com/", Vector.LINK_PRECONNECT, rel="preconnect"),
        reference(f"https://cdn.example/u/{TOKEN}/logo.png", width="120"),
        reference(f"https://cdn.example/{TOKEN}.jpg"),
        reference("https://cdn.example/logo.svg", Vector.BIMI_FIELD, value="v=BIMI1"),
    ],
)
def test_content(one: Reference) -> None:
    (found,) = judge([one], CONTEXT)
    assert found.kind_of_reference is Finding.CONTENT
    assert (found.kinds, found.kind, found.operator) == ((), None, None)
    assert 0 <= found.score < 0.5


def test_operator_is_named_with_its_confidence() -> None:
    found = verdict("https://x.r.eu-west-1.awstrack.me/I0/0102/abc", width="1", height="1")
    assert found.operator is not None
    assert (found.operator.name, found.operator.confidence) == ("Amazon SES", 0.95)
    assert verdict(f"https://x.example/open/{TOKEN}", width="1", height="1").operator is None


def test_verdicts_keep_the_order_and_repeat_for_repeated_references() -> None:
    tracker, content = reference("https://x.example/wf/open?upn=1", **PIXEL), reference(PLAIN)
    found = judge([tracker, content, tracker], CONTEXT)
    assert [one.is_tracker for one in found] == [True, False, True]
    assert found[0] == found[2]
    assert judge([], CONTEXT) == []


def test_risk() -> None:
    open_known = verdict("https://x.r.eu-west-1.awstrack.me/I0/0102/abc", width="1", height="1")
    open_unknown = verdict(f"https://x.example/open/{TOKEN}", width="1", height="1")
    named = verdict(f"https://x.example/o?e={RECIPIENT}")
    receipt = verdict("mailto:a@x.example", Vector.RECEIPT_FIELD)
    share = verdict("file://x.example/a")
    sound = verdict("https://x.example/a.wav", Vector.BGSOUND_SRC, volume="0")
    content = verdict(PLAIN)
    assert risk_of([], CONTEXT) is Risk.NONE
    assert risk_of([content], CONTEXT) is Risk.LOW
    assert risk_of([content, open_known], CONTEXT) is Risk.MEDIUM
    assert risk_of([open_unknown], CONTEXT) is Risk.MEDIUM
    assert risk_of([receipt], CONTEXT) is Risk.MEDIUM
    assert risk_of([receipt, open_unknown], CONTEXT) is Risk.HIGH
    assert risk_of([receipt, open_unknown], LIST) is Risk.MEDIUM
    assert risk_of([named], CONTEXT) is Risk.HIGH
    assert (
        risk_of([verdict(f"https://x.example/o?e={RECIPIENT}", context=NAMED_LIST)], NAMED_LIST)
        is Risk.MEDIUM
    )
    assert risk_of([share], LIST) is Risk.HIGH
    assert risk_of([sound, content], LIST) is Risk.HIGH


def test_without_signals_a_reference_is_content() -> None:
    assert BIAS < 0
    assert verdict("x:", context=MessageContext()).kind_of_reference is Finding.CONTENT


@given(st.text(max_size=120), st.sampled_from(sorted(Vector)), st.text(max_size=40), st.text(max_size=60))
def test_any_reference_gets_a_verdict(url: str, vector: Vector, size: str, style: str) -> None:
    one = reference(f"https://{url}", vector, width=size, height=size, style=style)
    bare = reference(url, vector)
    for found in judge([one, bare], MessageContext(recipients=(url, "@", RECIPIENT))):
        assert 0 <= found.score <= 1
        assert found.is_tracker == bool(found.kinds)


@pytest.mark.parametrize(
    "pattern", ["a", "/", "%", "@", "a@", "A1", "a.", "track", "_md", "http://", "-1:", ";left:", "0"]
)
def test_long_urls_and_styles_take_bounded_time(pattern: str) -> None:
    noise = pattern * (300_000 // len(pattern))
    started = time.perf_counter()
    judge([reference(f"https://x.example/{noise}", style=noise, width=noise, media=noise)], CONTEXT)
    judge([reference(f"https://{noise}", alt=noise)], CONTEXT)
    assert time.perf_counter() - started < 1


def test_an_ordinary_message_takes_microseconds() -> None:
    references = [
        reference(
            "https://cdn.example/newsletter/header.jpg", width="600", alt="Sale", style="display:block"
        ),
        reference("https://cdn.example/newsletter/footer.jpg", width="600"),
        reference(f"https://track.x.example/open/{LONG}", **PIXEL),
    ]
    judge(references, CONTEXT)
    best = min(_seconds(references) for _ in range(20))
    assert best < 0.02  # less than half a millisecond; the bound leaves room for a busy machine


def _seconds(references: list[Reference]) -> float:
    started = time.perf_counter()
    judge(references, CONTEXT)
    return time.perf_counter() - started


def test_documentation_names_every_kind_and_risk() -> None:
    document = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text()
    for word in (*Kind, *Risk):
        assert f"| `{word}` |" in document
