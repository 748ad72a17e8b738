"""Signals, verdicts, risk: each rule with references that it hits and others that it must not."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.types import Source
from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.rules import BIAS, WEIGHTS, judge, risk_of
from mailveil.core.verdicts.types import DESCRIPTIONS, Finding, Kind, MessageContext, Risk, Signal, Verdict

RECIPIENT = "reader@example.org"
CONTEXT = MessageContext(
    envelope_sender="bounce@mail.sender.example",
    header_from="news@sender.example",
    recipients=(RECIPIENT,),
)
LIST = MessageContext(header_from="news@sender.example", fields={"list-id": "<n.sender.example>"})
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

# signal: (references that it hits, references that it must not hit)
CASES: dict[Signal, tuple[list[Reference], list[Reference]]] = {
    Signal.PIXEL_1X1: (
        [reference(PLAIN, width="1", height="1"), reference(PLAIN, style="width:0;HEIGHT : 1PX !important")],
        [
            reference(PLAIN, width="1"),
            reference(PLAIN, width="1%", height="1"),
            reference(PLAIN, width="10", height="1"),
        ],
    ),
    Signal.PIXEL_SMALL: (
        [reference(PLAIN, width="3", height="2"), reference(PLAIN, style="max-width:3px;max-height:3px")],
        [reference(PLAIN, width="1", height="1"), reference(PLAIN, width="4", height="4")],
    ),
    Signal.PIXEL_HALF: (
        [reference(PLAIN, width="1px"), reference(PLAIN, style="height:0.5px")],
        [reference(PLAIN, width="2"), reference(PLAIN, width="1", height="1")],
    ),
    Signal.LINE: (
        [reference(PLAIN, width="600", height="1")],
        [reference(PLAIN, width="1", height="1"), reference(PLAIN, width="600", height="20")],
    ),
    Signal.INVISIBLE: (
        [
            reference(PLAIN, style="display : none"),
            reference(PLAIN, style="visibility:hidden"),
            reference(PLAIN, style="opacity:0"),
            reference(PLAIN, style="font-size:0px"),
            reference(PLAIN, style="max-height:0"),
            reference(PLAIN, style="mso-hide:all"),
            reference(PLAIN, hidden=""),
        ],
        [
            reference(PLAIN, style="display:block;opacity:1;font-size:10px"),
            reference(PLAIN, style="x-display:none"),
        ],
    ),
    Signal.OFF_SCREEN: (
        [
            reference(PLAIN, style="position:absolute;left:-9999px"),
            reference(PLAIN, style="text-indent:-5000px"),
        ],
        [reference(PLAIN, style="left:-10px"), reference(PLAIN, style="left:9999px")],
    ),
    Signal.VISIBLE_SIZE: (
        [reference(PLAIN, width="600"), reference(PLAIN, width="100", height="40")],
        [
            reference(PLAIN, width="100", style="display:none"),
            reference(PLAIN, width="100%"),
            reference(PLAIN),
        ],
    ),
    Signal.ALT_TEXT: ([reference(PLAIN, alt="Logo")], [reference(PLAIN, alt="  "), reference(PLAIN)]),
    Signal.RECIPIENT_IN_URL: (
        [
            reference(f"https://t.example/o?e={RECIPIENT}"),
            reference("https://t.example/o?e=Reader%40Example.org"),
            reference("https://t.example/reader=example.org/x.gif"),
            reference(f"https://t.example/{encoded(RECIPIENT)}"),
            reference(f"https://t.example/?d={encoded('id=7&mail=' + RECIPIENT + '&x=1')}"),
            reference(f"https://t.example/{RECIPIENT.encode().hex()}.gif"),
            reference(f"https://t.example/{hashlib.md5(RECIPIENT.encode()).hexdigest()}"),
            reference(f"https://t.example/?h={hashlib.sha1(RECIPIENT.encode()).hexdigest().upper()}"),
            reference(f"https://t.example/{hashlib.sha256(RECIPIENT.encode()).hexdigest()}.png"),
        ],
        [
            reference("https://t.example/o?e=other@example.org"),
            reference(f"https://t.example/{hashlib.md5(b'other@example.org').hexdigest()}"),
            reference("https://example.org/reader"),
        ],
    ),
    Signal.ADDRESS_IN_URL: (
        [
            reference("https://t.example/o?e=other@example.org"),
            reference(f"https://t.example/{encoded('a.b@c.example')}"),
        ],
        [
            reference("https://t.example/o?e=news@sender.example"),
            reference("https://user@t.example/a.png"),
            reference("https://t.example/a@2x.png"),
        ],
    ),
    Signal.TOKEN_IN_URL: (
        [
            reference(f"https://x.example/{TOKEN}"),
            reference("https://x.example/?u=0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
        ],
        [
            reference("https://x.example/summer-sale-banner-2024-final.php"),
            reference("https://x.example/newsletter_images_header?id=20240101"),
            reference(f"https://x.example/{TOKEN}.png"),
        ],
    ),
    Signal.LONG_TOKEN_IN_URL: (
        [reference(f"https://x.example/{LONG}")],
        [reference(f"https://x.example/{TOKEN}")],
    ),
    Signal.HASHED_NAME: (
        [reference(f"https://x.example/{TOKEN}.png")],
        [reference(f"https://x.example/{TOKEN}/logo.png")],
    ),
    Signal.UNIQUE_PIXEL: (
        [
            reference(f"https://x.example/{TOKEN}.png", **PIXEL),
            reference(f"https://x.example/{TOKEN}", style="display:none"),
        ],
        [
            reference(f"https://x.example/{TOKEN}.png", width="200"),
            reference("https://x.example/line.png", **PIXEL),
        ],
    ),
    Signal.FOREIGN_PIXEL: (
        [reference("https://x.example/line.png", **PIXEL)],
        [
            reference("https://x.example/img/spacer.gif", **PIXEL),
            reference("https://x.example/line.png", width="200"),
        ],
    ),
    Signal.TRACKING_PATH: (
        [
            reference("https://x.example/track/abc"),
            reference("https://x.example/wf/open?upn=1"),
            reference("https://x.example/email/open.gif"),
            reference("https://x.example/t/o.gif"),
            reference("https://x.example/op/12_md/3"),
            reference("https://x.example/i.php?action=open&id=3"),
        ],
        [
            reference("https://x.example/opening-hours.png"),
            reference("https://x.example/soundtrack/a.png"),
            reference("https://x.example/images/pixelart-logo.png"),
        ],
    ),
    Signal.TRACKING_HOST: (
        [reference("https://track.x.example/a"), reference("https://trk7.x.example/a")],
        [reference("https://track.example/a"), reference("https://www.x.example/a")],
    ),
    Signal.KNOWN_OPERATOR: (
        [
            reference("https://u1.ct.sendgrid.net/wf/open?upn=x"),
            reference("https://a.list-manage.com/track/open.php?u=1"),
        ],
        [reference("https://a.list-manage.com/logo.png"), reference("https://notsendgrid.net/wf/x")],
    ),
    Signal.STATIC_FILE: (
        [reference(PLAIN)],
        [reference(PLAIN + "?v=1"), reference("https://x.example/a.php")],
    ),
    Signal.DYNAMIC_PATH: (
        [reference("https://x.example/i.php", width="9"), reference("https://x.example/i", width="9")],
        [reference(PLAIN, width="9"), reference("https://x.example/i", Vector.CSS_IMPORT, width="9")],
    ),
    Signal.SPACER: (
        [reference("https://x.example/img/spacer.gif"), reference("https://x.example/clear_1x1.gif")],
        [
            reference(f"https://x.example/{TOKEN}/spacer.gif"),
            reference("https://x.example/spacer.gif?id=1"),
            reference(PLAIN),
        ],
    ),
    Signal.ASSET_HOST: (
        [reference("https://fonts.googleapis.com/css?family=A", Vector.CSS_IMPORT)],
        [reference("https://storage.googleapis.com/a/b.png")],
    ),
    Signal.REDIRECTOR: (
        [
            reference("https://x.example/r?u=https%3A%2F%2Fy.example"),
            reference("https://x.example/http://y.example/"),
        ],
        [reference("https://x.example/http/y.png")],
    ),
    Signal.IP_HOST: (
        [reference("http://192.0.2.1/a"), reference("http://[2001:db8::1]:80/a")],
        [reference("http://1.example/a")],
    ),
    Signal.FIRST_PARTY: (
        [reference("https://img.sender.example/a"), reference("https://sender.example/a")],
        [reference("https://notsender.example/a"), reference("https://192.0.2.1/")],
    ),
    Signal.THIRD_PARTY: (
        [reference("https://other.example/a")],
        [reference("https://img.sender.example/a")],
    ),
    Signal.SILENT_MEDIA: (
        [
            reference("https://x.example/a.mp3", Vector.AUDIO_SRC, autoplay=""),
            reference("https://x.example/a.mp4", Vector.VIDEO_SRC, style="display:none"),
            reference("https://x.example/a.wav", Vector.BGSOUND_SRC, loop="1"),
            reference("https://x.example/a.wav", Vector.EMBED_SRC, width="0", height="0"),
        ],
        [
            reference("https://x.example/a.mp4", Vector.VIDEO_SRC, controls="", width="320"),
            reference("https://x.example/a.gif", Vector.IMG_SRC, autoplay=""),
        ],
    ),
    Signal.RECEIPT_REQUEST: (
        [reference("mailto:a@sender.example", Vector.RECEIPT_FIELD)],
        [reference("https://x.example/a", Vector.IMAGE_FIELD)],
    ),
    Signal.HOST_LOOKUP: (
        [reference("https://0a1b2c3d4e5f60718293.x.example/", Vector.LINK_DNS_PREFETCH, rel="dns-prefetch")],
        [
            reference("https://fonts.gstatic.com/", Vector.LINK_PRECONNECT, rel="preconnect"),
            reference("https://0a1b2c3d4e5f60718293.x.example/a.png"),
        ],
    ),
    Signal.CREDENTIAL_PATH: (
        [reference("file://x.example/share/a.png"), reference("file://x.example/a", Vector.CSS_URL)],
        [reference("https://x.example/file/share")],
    ),
    Signal.PRINT_BEACON: (
        [reference(PLAIN, Vector.LINK_STYLESHEET, media="PRINT")],
        [reference(PLAIN, Vector.LINK_STYLESHEET, media="screen")],
    ),
    Signal.HOVER_BEACON: (
        [reference(PLAIN, Vector.CSS_URL, selector="a:HOVER")],
        [reference(PLAIN, Vector.CSS_URL, selector="a.hover")],
    ),
    Signal.FORWARD_BEACON: (
        [reference(PLAIN, Vector.CSS_URL, selector="div.OutlookMessageHeader")],
        [reference(PLAIN, Vector.CSS_URL, selector="div.header")],
    ),
    Signal.DEVICE_QUERY: (
        [reference(PLAIN, Vector.SOURCE_SRCSET, media="(max-width: 600px)")],
        [reference(PLAIN, Vector.SOURCE_SRCSET, media="all")],
    ),
    Signal.PREFETCH: (
        [reference(PLAIN, Vector.LINK_PREFETCH), reference(PLAIN, Vector.LINK_PRECONNECT)],
        [reference(PLAIN, Vector.LINK_STYLESHEET)],
    ),
    Signal.PING: ([reference(PLAIN, Vector.A_PING)], [reference(PLAIN)]),
    Signal.REFRESH: ([reference(PLAIN, Vector.META_REFRESH)], [reference(PLAIN)]),
    Signal.SCRIPT: ([reference(PLAIN, Vector.SCRIPT_SRC)], [reference(PLAIN)]),
    Signal.EXTERNAL_CONTENT: ([reference(PLAIN, Vector.EXTERNAL_BODY)], [reference(PLAIN)]),
    Signal.SENDER_PICTURE: ([reference(PLAIN, Vector.BIMI_FIELD)], [reference(PLAIN)]),
    Signal.CERTIFICATE_LOOKUP: ([reference(PLAIN, Vector.CERTIFICATE_URL)], [reference(PLAIN)]),
}


@pytest.mark.parametrize("signal", sorted(CASES))
def test_signal_hits_and_misses(signal: Signal) -> None:
    hits, misses = CASES[signal]
    for one in hits:
        (found,) = judge([one], CONTEXT)
        assert signal in found.signals, one.url
    for one in misses:
        (found,) = judge([one], CONTEXT)
        assert signal not in found.signals, one.url


def test_list_mail_is_a_fact_of_the_message() -> None:
    assert Signal.LIST_MAIL in verdict(PLAIN, context=LIST).signals
    assert Signal.LIST_MAIL in verdict(PLAIN, context=MessageContext(fields={"precedence": "Bulk"})).signals
    assert Signal.LIST_MAIL not in verdict(PLAIN).signals


def test_every_signal_is_described_weighed_and_tested() -> None:
    assert set(DESCRIPTIONS) == set(Signal) == set(WEIGHTS)
    assert set(CASES) | {Signal.LIST_MAIL} == set(Signal)
    for signal, description in DESCRIPTIONS.items():
        assert signal == signal.name
        assert description.endswith(".")
        assert "\n" not in description


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
    assert risk_of([named], LIST) is Risk.MEDIUM
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
    assert best < 0.001  # about 60 microseconds; the bound leaves room for a busy machine


def _seconds(references: list[Reference]) -> float:
    started = time.perf_counter()
    judge(references, CONTEXT)
    return time.perf_counter() - started


def test_documentation_names_every_signal_kind_and_risk() -> None:
    document = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text()
    for signal in Signal:
        assert (
            f"| `{signal}` | {DESCRIPTIONS[signal]} | {WEIGHTS[signal]:+g} |".replace("+0 |", "0 |")
            in document
        )
    for word in (*Kind, *Risk):
        assert f"| `{word}` |" in document
