"""Freshness: whether a picture is likely to be another one tomorrow, by what its origin says of it.

A countdown, a score or the weather is copied as it was at delivery. Reports say so, lest a reader take an old
picture for a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

MAX_LASTING_S = 600
MAX_SPACER_PIXELS = 9
# Words in a host name or path that name what changes by the minute.
CHANGING_WORDS = re.compile(
    r"(?<![a-z])(?:count-?down|timer|live-?(?:score|image|content|clicker)?|score-?board|weather|real-?time|movable-?ink|"
    r"sendtric|motion-?mail|nifty-?images|zembula|liveintent|kickdynamic)(?![a-z])"
)
LIFETIME = re.compile(r"(?:^|[\s,;])max-age\s*=\s*\"?(\d{1,10})")


def changes_with_time(url: str, fields: Sequence[tuple[str, str]]) -> bool:
    """Tell whether what a URL answers is not meant to last.

    ``fields`` are the header fields of the last answer, names in lower case (RFC 9111 sections 5.2 to 5.4).
    """
    return _has_changing_name(url) or _is_not_to_last(fields)


def shows_delivery(urls: Iterable[str], fields: Sequence[tuple[str, str]], width: int, height: int) -> bool:
    """Tell whether a picture of so many pixels is to be marked as it was at delivery; ``urls`` led to its answer.

    One too small to show anything is not, though its origin never wants it kept.
    """
    return width * height > MAX_SPACER_PIXELS and any(changes_with_time(url, fields) for url in urls)


def _has_changing_name(url: str) -> bool:
    try:
        parts = urlsplit(url)
        name = f"{parts.hostname or ''} {parts.path}".lower()
    except ValueError:
        return False
    return CHANGING_WORDS.search(name.replace("_", "-")) is not None


def _is_not_to_last(fields: Sequence[tuple[str, str]]) -> bool:
    told: dict[str, str] = {}
    for name, value in fields:
        told[name] = f"{told[name]}, {value}" if name in told else value
    control = told.get("cache-control", "").lower()
    if re.search(r"(?:^|[\s,;])no-(?:store|cache)(?![\w-])", control):
        return True
    lifetime = LIFETIME.search(control)
    if lifetime is not None:
        return int(lifetime.group(1)) <= MAX_LASTING_S
    if "expires" in told:
        expires, now = _moment(told["expires"]), _moment(told.get("date", ""))
        # What is no date, such as 0, means that it has expired already.
        return expires is None or (now is not None and expires - now <= MAX_LASTING_S)
    return "no-cache" in told.get("pragma", "").lower()


def _moment(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
