"""Rules: a few documented signals, their weights, and the verdict as a logistic sum.

They stand behind the interface that a trained model will use: :func:`judge` and :func:`risk_of`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.addresses import (
    AddressForms,
    Place,
    is_ip_address,
    is_random,
    random_tokens,
    registrable_domain,
    take_apart,
)
from mailveil.core.verdicts.appearance import appearance_of
from mailveil.core.verdicts.operators import ASSET_HOSTS, Shape, find_operator, operator_of
from mailveil.core.verdicts.types import Finding, Kind, MessageContext, Risk, Signal, Verdict

# Natural logarithms of odds. Chosen by hand from what each fact means, then moderately tuned on a labelled
# corpus (docs/verdicts.md); a trained model takes their place.
BIAS: Final = -2.6
WEIGHTS: Final[Mapping[Signal, float]] = {
    Signal.PIXEL_1X1: 2.6,
    Signal.PIXEL_SMALL: 1.4,
    Signal.PIXEL_HALF: 0.8,
    Signal.LINE: -0.6,
    Signal.INVISIBLE: 1.6,
    Signal.OFF_SCREEN: 2.0,
    Signal.VISIBLE_SIZE: -1.2,
    Signal.ALT_TEXT: -0.6,
    Signal.RECIPIENT_IN_URL: 4.5,
    Signal.ADDRESS_IN_URL: 3.5,
    Signal.TOKEN_IN_URL: 1.0,
    Signal.LONG_TOKEN_IN_URL: 0.6,
    Signal.HASHED_NAME: 0.0,
    Signal.UNIQUE_PIXEL: 1.8,
    Signal.FOREIGN_PIXEL: 1.7,
    Signal.TRACKING_PATH: 2.0,
    Signal.TRACKING_HOST: 0.8,
    Signal.KNOWN_OPERATOR: 4.5,
    Signal.STATIC_FILE: -1.6,
    Signal.DYNAMIC_PATH: 0.9,
    Signal.SPACER: -2.5,
    Signal.ASSET_HOST: -3.0,
    Signal.REDIRECTOR: 0.3,
    Signal.IP_HOST: 0.8,
    Signal.FIRST_PARTY: 0.0,
    Signal.THIRD_PARTY: 0.0,
    Signal.LIST_MAIL: 0.0,
    Signal.SILENT_MEDIA: 3.6,
    Signal.RECEIPT_REQUEST: 9.0,
    Signal.HOST_LOOKUP: 4.0,
    Signal.CREDENTIAL_PATH: 9.0,
    Signal.PRINT_BEACON: 2.4,
    Signal.HOVER_BEACON: 3.0,
    Signal.FORWARD_BEACON: 3.6,
    Signal.DEVICE_QUERY: 0.2,
    Signal.PREFETCH: 0.6,
    Signal.PING: 4.5,
    Signal.REFRESH: 3.2,
    Signal.SCRIPT: 3.2,
    Signal.EXTERNAL_CONTENT: 3.2,
    Signal.SENDER_PICTURE: 1.2,
    Signal.CERTIFICATE_LOOKUP: 3.0,
}
THRESHOLD: Final = 0.5

# What a signal says about the kind of tracker, the weightiest kind first.
_KINDS: Final[tuple[tuple[Kind, frozenset[Signal]], ...]] = (
    (Kind.CREDENTIAL, frozenset({Signal.CREDENTIAL_PATH})),
    (Kind.RECEIPT, frozenset({Signal.RECEIPT_REQUEST})),
    (Kind.DNS, frozenset({Signal.HOST_LOOKUP})),
    (
        Kind.INTERACTION,
        frozenset(
            {Signal.PRINT_BEACON, Signal.HOVER_BEACON, Signal.FORWARD_BEACON, Signal.PING, Signal.SCRIPT}
        ),
    ),
    (Kind.DWELL, frozenset({Signal.SILENT_MEDIA, Signal.REFRESH})),
    (Kind.IDENTITY, frozenset({Signal.RECIPIENT_IN_URL, Signal.ADDRESS_IN_URL})),
    (Kind.DEVICE, frozenset({Signal.DEVICE_QUERY})),
)
# Signals that say when a reference is fetched instead of at once when the message is opened.
_NOT_ON_OPENING: Final = frozenset(
    {Signal.RECEIPT_REQUEST, Signal.PRINT_BEACON, Signal.HOVER_BEACON, Signal.FORWARD_BEACON, Signal.PING}
)

_RULED_BY_VECTOR: Final[Mapping[Vector, Signal]] = {
    Vector.RECEIPT_FIELD: Signal.RECEIPT_REQUEST,
    Vector.A_PING: Signal.PING,
    Vector.META_REFRESH: Signal.REFRESH,
    Vector.SCRIPT_SRC: Signal.SCRIPT,
    Vector.SCRIPT_INLINE: Signal.SCRIPT,
    Vector.EVENT_HANDLER: Signal.SCRIPT,
    Vector.APPLET_CODE: Signal.SCRIPT,
    Vector.CSS_BEHAVIOR: Signal.SCRIPT,
    Vector.EXTERNAL_BODY: Signal.EXTERNAL_CONTENT,
    Vector.MESSAGE_PARTIAL: Signal.EXTERNAL_CONTENT,
    Vector.CONTENT_BASE: Signal.EXTERNAL_CONTENT,
    Vector.CONTENT_LOCATION: Signal.EXTERNAL_CONTENT,
    Vector.XML_ENTITY: Signal.EXTERNAL_CONTENT,
    Vector.XINCLUDE: Signal.EXTERNAL_CONTENT,
    Vector.RTF_FIELD: Signal.EXTERNAL_CONTENT,
    Vector.IMAGE_FIELD: Signal.SENDER_PICTURE,
    Vector.BIMI_FIELD: Signal.SENDER_PICTURE,
    Vector.CERTIFICATE_URL: Signal.CERTIFICATE_LOOKUP,
    Vector.LINK_PREFETCH: Signal.PREFETCH,
    Vector.LINK_PRELOAD: Signal.PREFETCH,
    Vector.LINK_PRECONNECT: Signal.PREFETCH,
    Vector.LINK_DNS_PREFETCH: Signal.PREFETCH,
}
_HOST_ONLY: Final = frozenset({Vector.LINK_PRECONNECT, Vector.LINK_DNS_PREFETCH})
_PICTURES: Final = frozenset(
    {
        Vector.IMG_SRC, Vector.IMG_SRCSET, Vector.IMG_LOWSRC, Vector.SOURCE_SRCSET, Vector.INPUT_SRC,
        Vector.BACKGROUND, Vector.CSS_URL, Vector.VML_SRC, Vector.AMP_SRC, Vector.SVG_IMAGE,
        Vector.LINK_ICON, Vector.VCARD_PHOTO, Vector.CALENDAR_IMAGE, Vector.IMAGE_FIELD,
    }
)  # fmt: skip
_MEDIA: Final = frozenset(
    {
        Vector.AUDIO_SRC, Vector.VIDEO_SRC, Vector.SOURCE_SRC, Vector.BGSOUND_SRC, Vector.EMBED_SRC,
        Vector.OBJECT_DATA, Vector.IMG_DYNSRC, Vector.TRACK_SRC,
    }
)  # fmt: skip

_STATIC: Final = (
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".ico", ".avif", ".css", ".woff", ".woff2",
    ".ttf", ".otf", ".eot", ".mp3", ".mp4", ".js",
)  # fmt: skip
_TRACKING_PATH: Final = re.compile(
    r"(?:[/_.?&=-]|^)(?:e?open(?:s|ed|ing|ings|-?rate|_?track(?:ing)?|_c)?|track(?:s|er|ing|_?open|open)?|trk|pixel"
    r"|beacon|imp(?:ression)?|o\.gif|op|wf|oo|px|webbug|bug\.gif|read(?:receipt|ing)?|seen|viewed|counter|1x1"
    r"|track\w{0,12}open\w{0,6}|\w{0,12}_md)(?=[/_.?&=]|$|[0-9])"
)
_TRACKING_LABELS: Final = frozenset(
    {
        "beacon", "click", "clicks", "ct", "elinks", "links", "log", "mailstat", "metrics", "o", "open",
        "opens", "openrate", "pixel", "px", "stats", "t", "tr", "trace", "track", "tracker", "tracking",
        "trk",
    }
)  # fmt: skip
_SPACER: Final = re.compile(
    r"/(?:spacer|blank|transparent|trans|clear|clearpixel|shim|space|empty|dot|1x1|null)"
    r"[a-z0-9_-]{0,12}\.(?:gif|png|jpg)$"
)
_NESTED: Final = re.compile(r"https?(?::|%3a)(?:/|%2f){2}", re.IGNORECASE)
_FORWARD: Final = (
    "outlookmessageheader",
    "blockquote",
    "gmail_quote",
    "moz-cite",
    "msoheader",
    "mailcontainer",
)
_LONG_LABEL: Final = 20


def judge(references: Sequence[Reference], context: MessageContext) -> list[Verdict]:
    """Return one verdict for each reference, in order. Pure; time linear in the number of references."""
    if not references:
        return []
    judge_one = _Judge(context)
    return [judge_one.verdict(reference) for reference in references]


def risk_of(verdicts: Sequence[Verdict], context: MessageContext) -> Risk:
    """Return how much the message would give away; the rule stands in docs/verdicts.md."""
    if not verdicts:
        return Risk.NONE
    trackers = [verdict for verdict in verdicts if verdict.is_tracker]
    if not trackers:
        return Risk.LOW
    kinds = {kind for verdict in trackers for kind in verdict.kinds}
    if Kind.CREDENTIAL in kinds or Kind.DWELL in kinds or Kind.DNS in kinds:
        return Risk.HIGH
    unknown = not context.is_list_mail and any(verdict.operator is None for verdict in trackers)
    named = Kind.IDENTITY in kinds and not context.is_list_mail
    answered = Kind.RECEIPT in kinds and any(Kind.OPEN in verdict.kinds for verdict in trackers)
    if unknown and (named or answered):
        return Risk.HIGH
    return Risk.MEDIUM


class _Judge:
    """What is worked out once a message."""

    def __init__(self, context: MessageContext) -> None:
        senders = (context.envelope_sender, context.header_from)
        self.forms = AddressForms(context.recipients, senders)
        self.domains = {
            domain for sender in senders if (domain := registrable_domain(sender.rpartition("@")[2].lower()))
        }
        self.is_list_mail = context.is_list_mail
        self.by_url: dict[str, tuple[list[Signal], Place, Shape | None]] = {}

    def verdict(self, reference: Reference) -> Verdict:
        url = reference.url
        known = self.by_url.get(url)
        if known is None:
            known = self.by_url[url] = self.look_at_url(url)
        signals = list(known[0])
        self.look_at_place(reference, known[1], signals)
        total = BIAS
        for signal in signals:
            total += WEIGHTS[signal]
        score = round(1 / (1 + math.exp(-total)), 4)
        if score < THRESHOLD:
            return Verdict(Finding.CONTENT, score, (), tuple(signals))
        shape = known[2]
        return Verdict(
            Finding.TRACKER,
            score,
            _kinds(signals, shape),
            tuple(signals),
            operator_of(shape) if shape else None,
        )

    def look_at_url(self, url: str) -> tuple[list[Signal], Place, Shape | None]:
        """Return the signals that the URL alone gives."""
        place = take_apart(url)
        signals: list[Signal] = []
        if place.scheme in {"file", "smb"}:
            signals.append(Signal.CREDENTIAL_PATH)
        if not place.host:
            return signals, place, None
        shape = find_operator(place.host, place.target)
        if shape is not None:
            signals.append(Signal.KNOWN_OPERATOR)
        recipient, stranger = self.forms.look(url)
        if recipient:
            signals.append(Signal.RECIPIENT_IN_URL)
        elif stranger:
            signals.append(Signal.ADDRESS_IN_URL)
        _look_at_target(place, signals)
        self.look_at_host(place, signals)
        return signals, place, shape

    def look_at_host(self, place: Place, signals: list[Signal]) -> None:
        host = place.host
        if is_ip_address(host):
            signals.append(Signal.IP_HOST)
            return
        domain = registrable_domain(host)
        if host in ASSET_HOSTS or domain in ASSET_HOSTS:
            signals.append(Signal.ASSET_HOST)
        label = host.partition(".")[0].rstrip("0123456789")
        if label in _TRACKING_LABELS and host != domain:
            signals.append(Signal.TRACKING_HOST)
        if self.domains:
            signals.append(Signal.FIRST_PARTY if domain in self.domains else Signal.THIRD_PARTY)
        if self.is_list_mail:
            signals.append(Signal.LIST_MAIL)

    def look_at_place(self, reference: Reference, place: Place, signals: list[Signal]) -> None:
        """Append the signals that the reference's construct and attributes give."""
        vector, attributes = reference.vector, reference.attributes
        ruled = _RULED_BY_VECTOR.get(vector)
        if ruled is not None:
            signals.append(ruled)
            if vector in _HOST_ONLY and _has_long_label(place.host):
                signals.append(Signal.HOST_LOOKUP)
        if not attributes:
            return
        sight = appearance_of(attributes)
        _look_at_size(sight.width, sight.height, sight.hidden, signals)
        tiny = sight.hidden or Signal.PIXEL_1X1 in signals or Signal.PIXEL_SMALL in signals
        if tiny and (Signal.HASHED_NAME in signals or Signal.TOKEN_IN_URL in signals):
            signals.append(Signal.UNIQUE_PIXEL)
        foreign = Signal.THIRD_PARTY in signals and Signal.SPACER not in signals
        if foreign and Signal.PIXEL_1X1 in signals and vector in _PICTURES:
            signals.append(Signal.FOREIGN_PIXEL)
        if sight.off_screen:
            signals.append(Signal.OFF_SCREEN)
        if sight.hidden:
            signals.append(Signal.INVISIBLE)
        if attributes.get("alt", "").strip():
            signals.append(Signal.ALT_TEXT)
        if vector in _MEDIA:
            _look_at_media(vector, attributes, signals)
        if (
            vector in _PICTURES
            and Signal.STATIC_FILE not in signals
            and not place.path.lower().endswith(_STATIC)
        ):
            signals.append(Signal.DYNAMIC_PATH)
        if "media" in attributes or "selector" in attributes:
            _look_at_condition(attributes, signals)


def _look_at_target(place: Place, signals: list[Signal]) -> None:
    """Append what path and query say."""
    path, query = place.path, place.query
    lowered = path.lower()
    static = lowered.endswith(_STATIC)
    directory, _, name = path.rpartition("/")
    tokens = random_tokens(directory) + random_tokens(query)
    if static:
        if random_tokens(name):
            signals.append(Signal.HASHED_NAME)
    else:
        tokens += random_tokens(name)
    if tokens:
        signals.append(Signal.TOKEN_IN_URL)
        if any(len(token) >= 40 for token in tokens):
            signals.append(Signal.LONG_TOKEN_IN_URL)
    if static and not query:
        signals.append(Signal.STATIC_FILE)
    if static and not tokens and not query and _SPACER.search(lowered):
        signals.append(Signal.SPACER)
    elif _TRACKING_PATH.search(lowered) or (query and _TRACKING_PATH.search(query.lower()[:200])):
        signals.append(Signal.TRACKING_PATH)
    if _NESTED.search(path) or _NESTED.search(query):
        signals.append(Signal.REDIRECTOR)


def _has_long_label(host: str) -> bool:
    labels = host.split(".")
    return any(len(label) >= _LONG_LABEL or (len(label) >= 16 and is_random(label)) for label in labels)


def _look_at_size(width: float | None, height: float | None, hidden: bool, signals: list[Signal]) -> None:
    if width is not None and height is not None:
        if width <= 1 and height <= 1:
            signals.append(Signal.PIXEL_1X1)
        elif width <= 3 and height <= 3:
            signals.append(Signal.PIXEL_SMALL)
        elif min(width, height) <= 3:
            signals.append(Signal.LINE)
        elif not hidden and max(width, height) >= 16:
            signals.append(Signal.VISIBLE_SIZE)
        return
    known = width if height is None else height
    if known is None:
        return
    if known <= 1:
        signals.append(Signal.PIXEL_HALF)
    elif not hidden and known >= 16:
        signals.append(Signal.VISIBLE_SIZE)


def _look_at_media(vector: Vector, attributes: Mapping[str, str], signals: list[Signal]) -> None:
    """Append SILENT_MEDIA where something plays that nobody is meant to notice."""
    plays = (
        vector is Vector.BGSOUND_SRC
        or "autoplay" in attributes
        or attributes.get("autostart") in {"true", "1"}
    )
    unseen = Signal.INVISIBLE in signals or Signal.PIXEL_1X1 in signals or Signal.PIXEL_SMALL in signals
    unseen = unseen or attributes.get("hidden", "no").lower() not in {"no", "false"}
    if unseen or vector is Vector.BGSOUND_SRC or (plays and "controls" not in attributes):
        signals.append(Signal.SILENT_MEDIA)


def _look_at_condition(attributes: Mapping[str, str], signals: list[Signal]) -> None:
    """Append when a style sheet's rule applies: in print, under the pointer, in a quotation, on a device."""
    media = attributes.get("media", "").lower()[:400]
    selector = attributes.get("selector", "").lower()[:400]
    if "print" in media:
        signals.append(Signal.PRINT_BEACON)
    elif any(
        mark in media for mark in ("width", "height", "resolution", "prefers-", "pixel-ratio", "orientation")
    ):
        signals.append(Signal.DEVICE_QUERY)
    if any(mark in selector for mark in (":hover", ":focus", ":active", ":checked")):
        signals.append(Signal.HOVER_BEACON)
    if any(mark in selector for mark in _FORWARD):
        signals.append(Signal.FORWARD_BEACON)


def _kinds(signals: Sequence[Signal], shape: Shape | None) -> tuple[Kind, ...]:
    """Return the kinds of a tracker, the weightiest first."""
    kinds = [kind for kind, telling in _KINDS if not telling.isdisjoint(signals)]
    if shape is not None and shape.kind is not Kind.OPEN and shape.kind not in kinds:
        kinds.append(shape.kind)
    if _NOT_ON_OPENING.isdisjoint(signals):
        kinds.append(Kind.OPEN)
    return tuple(kinds) or (Kind.OPEN,)
