"""Meaning: what a construct or a fact says by itself, whatever a model has learned from examples.

A trained model knows what its examples hold. That a receipt is asked for, that a share would be given the reader's
log-in, that an address holds the recipient's own, or that a host serves fonts to everybody alike needs no example.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.addresses import is_random
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.words import QUOTING


class Construct(IntEnum):
    """The constructs that a model tells apart. Values are permanent: models name them."""

    PICTURE = 0
    BACKGROUND = 1
    STYLESHEET = 2
    MEDIA = 3
    OTHER = 4  # of which the examples hold next to nothing: judged by meaning alone


CONSTRUCTS: Final[Mapping[Vector, Construct]] = {
    **dict.fromkeys(
        (
            Vector.IMG_SRC, Vector.IMG_SRCSET, Vector.IMG_LOWSRC, Vector.SOURCE_SRCSET, Vector.INPUT_SRC,
            Vector.AMP_SRC, Vector.SVG_IMAGE, Vector.SVG_FEIMAGE, Vector.VIDEO_POSTER, Vector.META_IMAGE,
            Vector.MICRODATA_IMAGE, Vector.JSON_LD_IMAGE, Vector.CALENDAR_IMAGE, Vector.VCARD_PHOTO,
            Vector.VCARD_LOGO, Vector.LINK_ICON,
        ),
        Construct.PICTURE,
    ),
    **dict.fromkeys((Vector.BACKGROUND, Vector.CSS_URL, Vector.VML_SRC), Construct.BACKGROUND),
    **dict.fromkeys(
        (Vector.LINK_STYLESHEET, Vector.CSS_IMPORT, Vector.CSS_FONT, Vector.XML_STYLESHEET), Construct.STYLESHEET
    ),
    **dict.fromkeys(
        (
            Vector.AUDIO_SRC, Vector.VIDEO_SRC, Vector.SOURCE_SRC, Vector.BGSOUND_SRC, Vector.EMBED_SRC,
            Vector.OBJECT_DATA, Vector.IMG_DYNSRC, Vector.TRACK_SRC, Vector.VCARD_SOUND,
        ),
        Construct.MEDIA,
    ),
}  # fmt: skip

# Natural logarithms of odds, by what the fact means; everything else is for a model to learn.
WEIGHTS: Final[Mapping[Signal, float]] = {
    Signal.RECIPIENT_IN_URL: 5.0,
    Signal.RECIPIENT_IN_HOST: 6.0,
    Signal.ADDRESS_IN_URL: 3.0,
    Signal.RECIPIENT_NAME_IN_URL: 1.0,
    Signal.ASSET_HOST: -6.0,
    Signal.HIDDEN_BY_ANCESTOR: 0.5,
    Signal.LISTED: 2.0,
    Signal.SILENT_MEDIA: 4.0,
    Signal.RECEIPT_REQUEST: 9.0,
    Signal.HOST_LOOKUP: 6.0,
    Signal.CREDENTIAL_PATH: 9.0,
    Signal.PRINT_BEACON: 2.4,
    Signal.HOVER_BEACON: 3.0,
    Signal.FORWARD_BEACON: 3.6,
    Signal.PING: 7.0,
    Signal.REFRESH: 4.5,
    Signal.SCRIPT: 3.2,
    Signal.EXTERNAL_CONTENT: 3.2,
    Signal.CERTIFICATE_LOOKUP: 5.5,
}
# What these weigh besides where there is no model to ask.
UNLEARNT: Final[Mapping[Signal, float]] = {
    Signal.STATIC_FILE: -1.6,
    Signal.TOKEN_IN_URL: 1.2,
    Signal.LONG_TOKEN_IN_URL: 0.8,
    Signal.TRACKING_PATH: 1.5,
    Signal.TRACKING_HOST: 0.8,
    Signal.PIXEL_1X1: 1.5,
    Signal.INVISIBLE: 1.0,
}
#: What the sum starts from where meaning alone decides.
BIAS: Final = -2.2
# Where one of these holds, examples have nothing to add.
DECIDING: Final = frozenset(
    {
        Signal.RECEIPT_REQUEST, Signal.CREDENTIAL_PATH, Signal.PING, Signal.REFRESH, Signal.SCRIPT,
        Signal.EXTERNAL_CONTENT, Signal.CERTIFICATE_LOOKUP, Signal.HOST_LOOKUP, Signal.ASSET_HOST, Signal.SILENT_MEDIA,
    }
)  # fmt: skip

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
_LONG_LABEL: Final = 20


def weight_of(signal: Signal, *, decided: bool) -> float:
    """Return what a signal weighs by its meaning; ``decided`` where there is no model to ask."""
    return WEIGHTS.get(signal, 0.0) + (UNLEARNT.get(signal, 0.0) if decided else 0.0)


def operator_weight(confidence: float) -> float:
    """Return what a known operator's address weighs: the odds of the catalogue's confidence, and a little."""
    bounded = min(max(confidence, 0.5), 0.99)
    return round(math.log(bounded / (1 - bounded)) + 1.5, 3)


def look_at_construct(reference: Reference, host: str, signals: list[Signal]) -> None:
    """Append what the construct means by itself."""
    ruled = _RULED_BY_VECTOR.get(reference.vector)
    if ruled is not None:
        signals.append(ruled)
        if reference.vector in _HOST_ONLY and _has_long_label(host):
            signals.append(Signal.HOST_LOOKUP)
    if CONSTRUCTS.get(reference.vector) is Construct.MEDIA:
        _look_at_media(reference, signals)


def _has_long_label(host: str) -> bool:
    labels = host.split(".")
    return any(len(label) >= _LONG_LABEL or (len(label) >= 16 and is_random(label)) for label in labels)


def _look_at_media(reference: Reference, signals: list[Signal]) -> None:
    """Append SILENT_MEDIA where something plays that nobody is meant to notice."""
    attributes = reference.attributes
    sound = reference.vector is Vector.BGSOUND_SRC
    plays = sound or "autoplay" in attributes or attributes.get("autostart") in {"true", "1"}
    unseen = Signal.INVISIBLE in signals or Signal.PIXEL_1X1 in signals or Signal.PIXEL_SMALL in signals
    unseen = unseen or attributes.get("hidden", "no").lower() not in {"no", "false"}
    if unseen or sound or (plays and "controls" not in attributes):
        signals.append(Signal.SILENT_MEDIA)


def look_at_condition(attributes: Mapping[str, str], signals: list[Signal]) -> None:
    """Append when a style sheet's rule applies: in print, under the pointer, in a quotation, on a device."""
    if "media" in attributes:
        media = attributes["media"].lower()[:400]
        if "print" in media:
            signals.append(Signal.PRINT_BEACON)
        elif any(
            mark in media
            for mark in ("width", "height", "resolution", "prefers-", "pixel-ratio", "orientation")
        ):
            signals.append(Signal.DEVICE_QUERY)
    if "selector" in attributes:
        selector = attributes["selector"].lower()[:400]
        if any(mark in selector for mark in (":hover", ":focus", ":active", ":checked")):
            signals.append(Signal.HOVER_BEACON)
        if any(mark in selector for mark in QUOTING):
            signals.append(Signal.FORWARD_BEACON)
