"""Explaining: the few facts that weighed most in a verdict, in words for an administrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailveil.core.verdicts.features import NUMBER_OF
from mailveil.core.verdicts.meaning import operator_weight, weight_of
from mailveil.core.verdicts.signals import FACTS, Signal
from mailveil.core.verdicts.trees import Model
from mailveil.core.verdicts.types import Measured, Reason

MOST: Final = 4
_LEAST: Final = 0.2  # what weighs less is no reason

_TOKENS: Final = (
    Signal.LONG_TOKEN_IN_URL, Signal.TOKEN_IN_URL, Signal.SHORT_TOKEN_IN_URL, Signal.HASHED_NAME,
    Signal.NUMBER_IN_URL, Signal.PLAIN_URL,
)  # fmt: skip
_NAMES: Final = (
    Signal.HASHED_NAME, Signal.SPACER, Signal.STATIC_FILE, Signal.PROGRAM, Signal.DYNAMIC_PATH,
)  # fmt: skip
_SIZES: Final = (
    Signal.PIXEL_1X1, Signal.PIXEL_SMALL, Signal.PIXEL_HALF, Signal.LINE, Signal.ICON_SIZE, Signal.VISIBLE_SIZE,
    Signal.UNDECLARED_SIZE,
)  # fmt: skip
_HIDDEN: Final = (Signal.OFF_SCREEN, Signal.INVISIBLE, *_SIZES)
_LENGTHS: Final = (Signal.LONG_URL, Signal.DEEP_PATH, Signal.MANY_PARAMETERS, *_TOKENS)
_QUERIES: Final = (Signal.SIGNED_URL, Signal.ADJUSTED, Signal.REDIRECTOR, Signal.MANY_PARAMETERS)
_HOSTS: Final = (
    Signal.IP_HOST, Signal.TRACKING_HOST, Signal.CONTENT_HOST, Signal.OPAQUE_HOST, Signal.THIRD_PARTY,
    Signal.FIRST_PARTY,
)  # fmt: skip
_PATHS: Final = (Signal.TRACKING_PATH, Signal.CONTENT_PATH, Signal.SPACER, *_NAMES)
_NEIGHBOURS: Final = (
    Signal.REPEATED_URL, Signal.CONTENT_FROM_HOST, Signal.SIBLINGS, Signal.SHARED_HOST, Signal.SOLE_FROM_HOST,
    Signal.FEW_REFERENCES, Signal.MANY_REFERENCES,
)  # fmt: skip
_PLACES: Final = (
    Signal.LAST_REFERENCE, Signal.FIRST_REFERENCE, Signal.FEW_REFERENCES, Signal.MANY_REFERENCES,
)  # fmt: skip
_CONSTRUCTS: Final = (
    Signal.PICTURE, Signal.BACKGROUND, Signal.STYLESHEET, Signal.MEDIA,
)  # fmt: skip

#: Which signal puts a feature into words: the first of these that the reference has.
TOLD_BY: Final[Mapping[str, tuple[Signal, ...]]] = {
    "tokens": _TOKENS,
    "token_longest": _TOKENS,
    "token_total": _TOKENS,
    "token_variety": _TOKENS,
    "word_longest": _TOKENS,
    "mixing": _TOKENS,
    "name_length": _NAMES,
    "name_mixing": _NAMES,
    "name_random": _NAMES,
    "numbers": (Signal.NUMBER_IN_URL, Signal.MANY_DIGITS, *_TOKENS),
    "digit_share": (Signal.MANY_DIGITS, *_TOKENS),
    "upper_share": _TOKENS,
    "path_length": _LENGTHS,
    "query_length": _LENGTHS,
    "parameters": (Signal.MANY_PARAMETERS, *_QUERIES, *_TOKENS),
    "depth": (Signal.DEEP_PATH, *_PATHS),
    "static": _NAMES,
    "ending": _NAMES,
    "dotless": _NAMES,
    "spacer": _PATHS,
    "tracking_path": _PATHS,
    "tracking_query": _PATHS,
    "tracking_host": _HOSTS,
    "content_host": _HOSTS,
    "content_path": _PATHS,
    "ip_host": _HOSTS,
    "host_labels": _HOSTS,
    "host_longest": (Signal.OPAQUE_HOST, *_HOSTS),
    "host_mixing": (Signal.OPAQUE_HOST, *_HOSTS),
    "adjusted": (*_QUERIES, *_TOKENS),
    "signed": (*_QUERIES, *_TOKENS),
    "nested": (Signal.REDIRECTOR, *_QUERIES, *_TOKENS),
    "first_party": (Signal.FIRST_PARTY, Signal.THIRD_PARTY, *_HOSTS),
    "width": _SIZES,
    "height": _SIZES,
    "smaller": _SIZES,
    "larger": _SIZES,
    "sized": _SIZES,
    "hidden": _HIDDEN,
    "tiny": _HIDDEN,
    "alt_length": (Signal.ALT_TEXT, Signal.EMPTY_ALT, Signal.MISSING_ALT, *_CONSTRUCTS),
    "styled": (Signal.STYLED, *_CONSTRUCTS),
    "attributes": (Signal.STYLED, *_SIZES),
    "construct": _CONSTRUCTS,
    "references": _PLACES,
    "from_end": _PLACES,
    "position": _PLACES,
    "document": (Signal.LITTLE_TEXT, *_PLACES),
    "from_host": _NEIGHBOURS,
    "host_share": _NEIGHBOURS,
    "hosts": _NEIGHBOURS,
    "same_url": _NEIGHBOURS,
    "siblings": _NEIGHBOURS,
    "seen_from_host": _NEIGHBOURS,
}
_BY_NUMBER: Final = tuple(TOLD_BY[name] for name in NUMBER_OF)
# The number that stands in a signal's words.
_COUNTED: Final[Mapping[Signal, tuple[str, ...]]] = {
    Signal.TOKEN_IN_URL: ("token_longest",),
    Signal.LONG_TOKEN_IN_URL: ("token_longest",),
    Signal.LONG_URL: ("path_length", "query_length"),
    Signal.SHARED_HOST: ("from_host",),
    Signal.MANY_REFERENCES: ("references",),
}


def explain(measured: Measured, model: Model, most: int = MOST) -> tuple[Reason, ...]:
    """Return what weighed most in the verdict about a reference, the weightiest first.

    The weights are exact: those of all signals, with what every reference starts from, make up the sum.
    """
    weights = weights_of(measured, model)
    ordered = sorted(weights.items(), key=lambda each: -abs(each[1]))
    return tuple(
        Reason(signal, round(weight, 2), words_for(signal, measured))
        for signal, weight in ordered[:most]
        if abs(weight) >= _LEAST
    )


def weights_of(measured: Measured, model: Model) -> dict[Signal, float]:
    """Return what each signal added to the sum, in natural logarithms of odds."""
    present = frozenset(measured.signals)
    found: dict[Signal, float] = {}
    for signal in measured.signals:
        weight = weight_of(signal, decided=measured.decided)
        if weight:
            found[signal] = found.get(signal, 0.0) + weight
    if measured.operator is not None and Signal.KNOWN_OPERATOR in present:
        found[Signal.KNOWN_OPERATOR] = operator_weight(measured.operator.confidence)
    if measured.decided:
        return found
    for feature, weight in model.contributions(measured.numbers)[1].items():
        signal = next((each for each in _BY_NUMBER[feature] if each in present), _BY_NUMBER[feature][-1])
        found[signal] = found.get(signal, 0.0) + weight
    return found


def words_for(signal: Signal, measured: Measured) -> str:
    """Return a signal's words, with its number where it has one."""
    if signal is Signal.LISTED and measured.listed:
        return measured.listed
    words = FACTS[signal].words
    if "{}" not in words:
        return words
    return words.format(int(sum(measured.numbers[NUMBER_OF[name]] for name in _COUNTED[signal])))
