"""Signals: each with references that it hits and others that it must not."""

from __future__ import annotations

import base64
import codecs
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mailveil.core.message.types import Source
from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.features import Surroundings, measure
from mailveil.core.verdicts.meaning import WEIGHTS
from mailveil.core.verdicts.signals import AFTER_DELIVERY, FACTS, EvidenceClass, Signal
from mailveil.core.verdicts.types import MessageContext

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


class Message:
    """References and what is around them; the first reference is the one that is asked about."""

    def __init__(self, *references: Reference, before: Sequence[Reference] = (), **context: object) -> None:
        self.asked = references[0]
        self.references = (*before, *references)
        self.context = replace(CONTEXT, **context)  # type: ignore[arg-type]
        self.url = references[0].url


def signals_of(one: Reference | Message) -> tuple[Signal, ...]:
    message = one if isinstance(one, Message) else Message(one)
    return measure(message.asked, Surroundings(message.references, message.context)).signals


def within(markup: str, url: str) -> Reference:
    """Return the reference that stands where ``markup`` says ``HERE``."""
    data = markup.encode()
    start = data.index(b"HERE")
    return Reference(url, Vector.IMG_SRC, "1", Source(data), start, start + 4, "", element="img")


def picture(url: str, vector: Vector = Vector.IMG_SRC, **attributes: str) -> Reference:
    return Reference(url, vector, "1", Source(b""), 0, 0, "", element="img", attributes=attributes)


def encoded(address: str) -> str:
    return base64.urlsafe_b64encode(address.encode()).decode().rstrip("=")


PLAIN = "https://cdn.example/a.png"
PIXEL = {"width": "1", "height": "1"}
OTHERS = tuple(reference(f"https://cdn.example/{name}.png") for name in ("a", "b", "c"))

# signal: (references that it hits, references that it must not hit)
CASES: dict[Signal, tuple[Sequence[Reference | Message], Sequence[Reference | Message]]] = {
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
            reference(f"https://t.example/{hashlib.sha512(RECIPIENT.encode()).hexdigest()}"),
            reference(f"https://t.example/o#{RECIPIENT}"),
            reference("https://t.example/o?e=reader%2540example.org"),
            reference(f"https://t.example/o?e={RECIPIENT[::-1]}"),
            reference(f"https://t.example/o?e={codecs.encode(RECIPIENT, 'rot13')}"),
            reference(f"https://t.example/o?c={zlib.crc32(RECIPIENT.encode()):08x}"),
            reference(f"https://t.example/o?c={zlib.crc32(RECIPIENT.encode())}"),
            reference(f"https://t.example/{encoded(encoded(RECIPIENT))}"),
            reference(f"https://t.example/{encoded(RECIPIENT.encode().hex())}"),
            reference(f"https://t.example/{encoded(hashlib.md5(RECIPIENT.encode()).hexdigest())}"),
            reference(
                f"https://t.example/?s={base64.urlsafe_b64encode(hashlib.sha1(RECIPIENT.encode()).digest()).decode()}"
            ),
            Message(
                reference(f"https://t.example/{hashlib.md5(b'janedoe@b.example').hexdigest()}"),
                recipients=("Jane.Doe+news@B.example",),
            ),
            Message(
                reference("https://t.example/?m=jane.doe@b.example"), recipients=("Jane.Doe+news@B.example",)
            ),
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
    Signal.SHORT_TOKEN_IN_URL: (
        [reference("https://x.example/a/k7Q2mZ9p")],
        [reference(f"https://x.example/{TOKEN}"), reference("https://x.example/newsletter/a")],
    ),
    Signal.NUMBER_IN_URL: (
        [reference("https://x.example/o.php?id=48213")],
        [reference(f"https://x.example/{TOKEN}?id=48213"), reference("https://x.example/o.php?id=4")],
    ),
    Signal.PLAIN_URL: (
        [reference("https://x.example/o.php?id=4")],
        [reference(f"https://x.example/{TOKEN}")],
    ),
    Signal.MANY_DIGITS: (
        [reference("https://x.example/4488/1995/8536/757")],
        [reference("https://x.example/newsletter/header2.png")],
    ),
    Signal.LONG_URL: ([reference("https://x.example/" + "a" * 130)], [reference(PLAIN)]),
    Signal.DEEP_PATH: (
        [reference("https://x.example/a/b/c/d/e/f/g.png")],
        [reference("https://x.example/a/b.png")],
    ),
    Signal.MANY_PARAMETERS: ([reference(PLAIN + "?a=1&b=2&c=3&d=4")], [reference(PLAIN + "?a=1&b=2")]),
    Signal.CONTENT_HOST: (
        [reference(PLAIN), reference("https://shop.images.x.example/a")],
        [reference("https://scdn.example/a"), reference("https://x.example/cdn/a")],
    ),
    Signal.CONTENT_PATH: (
        [reference("https://x.example/wp-content/uploads/a.png")],
        [reference("https://x.example/imagesque/a.png")],
    ),
    Signal.PROGRAM: (
        [reference("https://x.example/open.php?u=1")],
        [reference("https://x.example/phpinfo.png")],
    ),
    Signal.ADJUSTED: (
        [reference(PLAIN + "?w=600&q=80"), reference(PLAIN + "?v=17")],
        [reference(PLAIN + "?user=17"), reference("https://x.example/w=600")],
    ),
    Signal.SIGNED_URL: (
        [reference(PLAIN + "?Expires=1&Signature=abc&Key-Pair-Id=K1")],
        [reference(PLAIN + "?design=abc"), reference("https://x.example/Signature=a")],
    ),
    Signal.REDIRECT_WORD: (
        [reference("https://x.example/redirect?to=a"), reference("https://x.example/r/abc")],
        [reference("https://x.example/red/abc")],
    ),
    Signal.OPAQUE_HOST: (
        [
            reference("https://d15k2d11r6t6rl.x.example/a"),
            reference("https://averyverylonglabelindeed.example/a"),
        ],
        [reference("https://newsletter.example/a")],
    ),
    Signal.ODD_PORT: (
        [reference("http://x.example:8080/a"), reference("http://[2001:db8::1]:81/a")],
        [
            reference("https://x.example:443/a"),
            reference("https://x.example/a:8080"),
            reference("http://[2001:db8::1]/"),
        ],
    ),
    Signal.USERINFO: ([reference("https://u:p@x.example/a")], [reference("https://x.example/u@y")]),
    Signal.BARE_HOST: ([reference("https://x.example/"), reference("https://x.example")], [reference(PLAIN)]),
    Signal.RECIPIENT_NAME_IN_URL: (
        [
            Message(reference("https://x.example/o/jane.doe/a.gif"), recipients=("jane.doe@b.example",)),
            Message(
                reference(f"https://x.example/{hashlib.md5(b'janedoe').hexdigest()}"),
                recipients=("janedoe@b.example",),
            ),
        ],
        [
            Message(reference("https://x.example/o/jane.doeby/a.gif"), recipients=("jane.doe@b.example",)),
            Message(reference("https://x.example/support/a.gif"), recipients=("support@b.example",)),
        ],
    ),
    Signal.RECIPIENT_DOMAIN_IN_URL: (
        [Message(reference("https://logo.x.example/b.example"), recipients=("jane@b.example",))],
        [
            Message(reference("https://b.example/logo"), recipients=("jane@b.example",)),
            Message(reference("https://x.example/sender.example"), recipients=("jane@sender.example",)),
        ],
    ),
    Signal.RECIPIENT_IN_HOST: (
        [
            reference(f"https://{hashlib.sha1(RECIPIENT.encode()).hexdigest()}.x.example/"),
            reference(f"https://{RECIPIENT.encode().hex()}.x.example/a.png"),
            reference(
                f"https://{base64.b32encode(RECIPIENT.encode()).decode().rstrip('=').lower()}.x.example/"
            ),
        ],
        [
            reference(f"https://x.example/{hashlib.sha1(RECIPIENT.encode()).hexdigest()}"),
            reference(f"https://{b'somebody@else.example'.hex()}.x.example/a.png"),
        ],
    ),
    Signal.ICON_SIZE: (
        [reference(PLAIN, width="10", height="12"), reference(PLAIN, width="8")],
        [reference(PLAIN, width="16", height="16"), reference(PLAIN, width="3", height="3")],
    ),
    Signal.UNDECLARED_SIZE: (
        [reference(PLAIN), reference(PLAIN, width="100%")],
        [reference(PLAIN, width="9")],
    ),
    Signal.EMPTY_ALT: ([picture(PLAIN, alt=" ")], [picture(PLAIN), picture(PLAIN, alt="Logo")]),
    Signal.MISSING_ALT: (
        [picture(PLAIN)],
        [picture(PLAIN, alt=""), reference(PLAIN, Vector.CSS_FONT)],
    ),
    Signal.STYLED: ([picture(PLAIN, border="0"), picture(PLAIN, id="x")], [picture(PLAIN, width="9")]),
    Signal.CONDITIONAL_COMMENT: (
        [within("<!--[if mso]><img src=HERE><![endif]-->", PLAIN)],
        [
            within("<!--[if mso]><p><![endif]--><img src=HERE>", PLAIN),
            within("<!--[if !mso]><!--><img src=HERE><!--<![endif]-->", PLAIN),
        ],
    ),
    Signal.HIDDEN_BY_ANCESTOR: (
        [
            within('<div class=a style="color:red;display:none"><p><img src=HERE></p></div>', PLAIN),
            within('<td style="visibility: hidden"><td><img src=HERE>', PLAIN),
        ],
        [
            within('<div style="display:none">hello</div><img src=HERE>', PLAIN),
            within('<img style="display:none"><img src=HERE>', PLAIN),
            within("<style>.a{display:none}</style><img src=HERE>", PLAIN),
        ],
    ),
    Signal.PICTURE: ([reference(PLAIN)], [reference(PLAIN, Vector.CSS_FONT)]),
    Signal.BACKGROUND: ([reference(PLAIN, Vector.CSS_URL)], [reference(PLAIN)]),
    Signal.STYLESHEET: ([reference(PLAIN, Vector.CSS_IMPORT)], [reference(PLAIN)]),
    Signal.MEDIA: ([reference(PLAIN, Vector.VIDEO_SRC)], [reference(PLAIN)]),
    Signal.LAST_REFERENCE: ([Message(OTHERS[0], before=OTHERS[1:])], [Message(*OTHERS), Message(OTHERS[0])]),
    Signal.FIRST_REFERENCE: ([Message(*OTHERS)], [Message(OTHERS[0], before=OTHERS[1:]), Message(OTHERS[0])]),
    Signal.FEW_REFERENCES: ([reference(PLAIN)], [Message(*OTHERS)]),
    Signal.MANY_REFERENCES: ([Message(*OTHERS)], [reference(PLAIN)]),
    Signal.SOLE_FROM_HOST: (
        [Message(reference("https://t.example/a"), *OTHERS[1:])],
        [Message(*OTHERS), Message(reference("https://t.example/a"))],
    ),
    Signal.SHARED_HOST: ([Message(*OTHERS)], [Message(reference("https://t.example/a"), *OTHERS[1:])]),
    Signal.CONTENT_FROM_HOST: (
        [Message(OTHERS[0], reference("https://cdn.example/logo.png", width="200"))],
        [
            Message(OTHERS[0], reference("https://x.example/logo.png", width="200")),
            Message(OTHERS[0], reference("https://cdn.example/logo.png", width="1")),
        ],
    ),
    Signal.SIBLINGS: (
        [Message(reference("https://x.example/o/123456"), reference("https://x.example/o/987654"))],
        [
            Message(reference("https://x.example/o/123456"), reference("https://x.example/p/987654")),
            Message(reference("https://x.example/o/123456"), reference("https://x.example/o/123456")),
        ],
    ),
    Signal.REPEATED_URL: (
        [Message(reference(PLAIN), reference(PLAIN))],
        [Message(reference(PLAIN), reference(PLAIN + "?a"))],
    ),
    Signal.LINKED_HOST: (
        [Message(reference(PLAIN), linked=frozenset({"https://cdn.example/shop"}))],
        [Message(reference(PLAIN), linked=frozenset({"https://www.example/shop"}))],
    ),
    Signal.ALIGNED_HOST: (
        [Message(reference("https://img.sender.example/a.png"), author_domain="sender.example")],
        [
            Message(reference("https://img.sender.example/a.png")),
            Message(reference(PLAIN), author_domain="sender.example"),
        ],
    ),
    Signal.MAIL_SERVICE: (
        [Message(reference(PLAIN), fields={"x-sg-eid": "a"})],
        [Message(reference(PLAIN), fields={"x-mailer": "a"})],
    ),
    Signal.LIST_MAIL: (
        [
            Message(reference(PLAIN), fields={"list-id": "<n.x>"}),
            Message(reference(PLAIN), fields={"precedence": "Bulk"}),
        ],
        [reference(PLAIN), Message(reference(PLAIN), fields={"precedence": "first-class"})],
    ),
    Signal.LITTLE_TEXT: ([Message(reference(PLAIN), size=900)], [Message(reference(PLAIN), size=9_000)]),
}


@pytest.mark.parametrize("signal", sorted(CASES))
def test_signal_hits_and_misses(signal: Signal) -> None:
    hits, misses = CASES[signal]
    assert hits
    assert misses
    for one in hits:
        assert signal in signals_of(one), one.url
    for one in misses:
        assert signal not in signals_of(one), one.url


#: Signals that come from elsewhere than the message: their cases stand where they are found.
ELSEWHERE = {Signal.LISTED, Signal.OPERATOR_AUTHENTICATED}


def test_every_signal_of_a_message_has_a_case() -> None:
    of_messages = {signal for signal, fact in FACTS.items() if fact.evidence not in AFTER_DELIVERY}
    assert set(CASES) == of_messages - ELSEWHERE


def test_every_signal_is_described_in_one_line() -> None:
    assert set(FACTS) == set(Signal)
    assert {fact.evidence for fact in FACTS.values()} == set(EvidenceClass)
    for signal, fact in FACTS.items():
        assert signal == signal.name
        assert fact.description.endswith(".")
        assert "\n" not in fact.description + fact.words
        assert fact.words
        assert not fact.words.endswith(".")


def test_documentation_names_every_signal() -> None:
    document = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text()
    for signal, fact in FACTS.items():
        weight = WEIGHTS.get(signal)
        assert f"| `{signal}` | {fact.description} | {'' if weight is None else f'{weight:+g}'} |" in document
