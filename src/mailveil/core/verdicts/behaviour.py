"""Behaviour: what the DNS, a fetch and other messages show about a reference, and what that does to its verdict.

The weights were learned in the lab, where the truth is known by construction (docs/behaviour.md).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from importlib import resources
from typing import Final

from mailveil.core.references.url import resolve
from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.core.verdicts.evidence import FetchEvidence, FetchOutcome, Hop
from mailveil.core.verdicts.judging import THRESHOLD, kinds_of, probability_of
from mailveil.core.verdicts.operators import (
    find_operator,
    operator_by_cname,
    operator_by_nameserver,
    operator_of_host,
)
from mailveil.core.verdicts.sightings import Sightings
from mailveil.core.verdicts.signals import AFTER_DELIVERY, FACTS, Signal
from mailveil.core.verdicts.types import Finding, Kind, Operator, Reason, Risk, Verdict

SHORT_TTL_S: Final = 60
LONG_AGE_S: Final = 86_400
LASTING_S: Final = 30 * 86_400
PIXEL_SIDE: Final = 3
PICTURE_SIDE: Final = 16
MAX_REASONS: Final = 6
LEAST_REASON: Final = 0.2
# How far behaviour may move a verdict, in natural logarithms of odds: no observation is beyond doubt.
MOST_AGAINST, MOST_FOR = -6.0, 8.0
# How sure a verdict of the message alone may be against what was seen afterwards: its examples hold hardly any
# trackers that everybody sees, and no program that makes a picture anew for everybody.
FLOOR, CEILING = -4.0, 5.0
# Facts of the message itself that no behaviour takes back.
CERTAIN: Final = frozenset({Kind.CREDENTIAL, Kind.RECEIPT, Kind.IDENTITY})
# What counts the more, the more recipients it rests on; from four on it is what it is.
COUNTED: Final = frozenset(
    {Signal.TOKEN_PER_RECIPIENT, Signal.URL_SHARED, Signal.NAME_PER_MESSAGE, Signal.SHARED_BODY}
)
ENOUGH: Final = 4

_MAX_AGE: Final = re.compile(r"(?:s-maxage|max-age)\s*=\s*\"?([0-9]{1,12})")
_COOKIE_AGE: Final = re.compile(r"max-age\s*=\s*([0-9]{1,12})", re.IGNORECASE)
_COOKIE_END: Final = re.compile(r"expires\s*=\s*([^;]{10,40})", re.IGNORECASE)
_PLACE: Final = re.compile(
    r"(?:^|[?&;/_-])(?:city|country|region|geo|lat|lon|lng|zip|postcode|place|nearest)=", re.IGNORECASE
)
_PLACE_FIELD: Final = re.compile(r"country|geo(?!metry)|client-?ip|forwarded-for|viewer-(?:city|country|lat)")
_DEVICE_HINTS: Final = ("model", "platform", "viewport", "dpr", "width", "device-memory", "arch", "ect")
_TYPES: Final[Mapping[str, str]] = {
    "gif": "image/gif", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "css": "text/css",
    "wav": "audio/", "mp3": "audio/", "ogg": "audio/", "woff": "font/", "woff2": "font/",
}  # fmt: skip
# Picture services answer with what takes less room, whatever the name says; old servers know no fonts.
_ANYWAY: Final = (
    "image/webp",
    "image/avif",
    "application/octet-stream",
    "binary/octet-stream",
    "application/font",
)
_KINDS: Final[tuple[tuple[Kind, frozenset[Signal]], ...]] = (
    (Kind.DNS, frozenset({Signal.NAME_PER_MESSAGE, Signal.WILDCARD_ZONE})),
    (Kind.DWELL, frozenset({Signal.DRIP_FED, Signal.ENDLESS_BODY, Signal.SILENT_AUDIO})),
    (Kind.LOCATION, frozenset({Signal.PLACE_TOLD})),
    (Kind.DEVICE, frozenset({Signal.ASKS_DEVICE, Signal.ANSWER_DIFFERS})),
)
_ORDER: Final = (
    Kind.CREDENTIAL, Kind.RECEIPT, Kind.DNS, Kind.INTERACTION, Kind.DWELL, Kind.IDENTITY, Kind.LOCATION,
    Kind.DEVICE, Kind.OPEN,
)  # fmt: skip
_GRAVE: Final = frozenset({Kind.CREDENTIAL, Kind.DWELL, Kind.DNS})
TABLE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one fetch showed, without anything that it was: signals, and whom the DNS or a redirect named."""

    signals: tuple[Signal, ...] = ()
    operator: Operator | None = None


class TableError(ValueError):
    """The table of weights is not what it must be."""


def parse_table(text: str) -> Mapping[Signal, float]:
    """Return what each signal weighs, in natural logarithms of odds. Raises ``TableError``, saying what is wrong."""
    try:
        table = json.loads(text)
        weights = {Signal(name): float(weight) for name, weight in table["weights"].items()}
        version = table["version"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TableError(f"the table of behaviour cannot be read: {error}") from error
    if version != TABLE_VERSION:
        raise TableError(f"the table of behaviour has version {version}, not {TABLE_VERSION}")
    for signal, weight in weights.items():
        if FACTS[signal].evidence not in AFTER_DELIVERY:
            raise TableError(f"{signal} is no signal of behaviour")
        if not math.isfinite(weight) or abs(weight) > MOST_FOR:
            raise TableError(f"{signal} weighs {weight}, more than anything may")
    return weights


@lru_cache(maxsize=1)
def shipped_table() -> Mapping[Signal, float]:
    """Return the weights that come with the program."""
    return parse_table(resources.files(__package__).joinpath("behaviour.json").read_text("ascii"))


# --- what a fetch showed ---------------------------------------------------------------------------------


def observe(evidence: FetchEvidence | None) -> Behaviour:
    """Return what a fetch and the look-ups for it showed; nothing where nobody was reached. Pure."""
    if evidence is None or not evidence.hops:
        return Behaviour()
    signals: list[Signal] = []
    first, last = evidence.hops[0], evidence.hops[-1]
    operator = _look_at_names(first, signals)
    led_to = _look_at_redirects(evidence.hops, signals)
    if any(hop.status for hop in evidence.hops):
        _look_at_fields(evidence.hops, signals)
    if last.status:
        _look_at_content(evidence, last, signals)
    return Behaviour(tuple(signals), operator or led_to)


def _look_at_names(hop: Hop, signals: list[Signal]) -> Operator | None:
    answer = hop.name
    if answer is None:
        return None
    domain = registrable_domain(answer.name)
    operator = None
    if answer.aliases and operator_of_host(answer.name) is None:
        operator = operator_by_cname(answer.aliases) or _first_owner(answer.aliases)
        if operator is not None:
            signals.append(Signal.ALIAS_OF_OPERATOR)
    if answer.servers:
        owner = operator_by_nameserver(answer.servers)
        if owner is not None:
            signals.append(Signal.OPERATOR_NAME_SERVER)
            operator = operator or owner
        if domain and all(registrable_domain(each) == domain for each in answer.servers):
            signals.append(Signal.OWN_NAME_SERVER)
    if answer.records and min(each.ttl_s for each in answer.records) <= SHORT_TTL_S:
        signals.append(Signal.SHORT_TTL)
    return operator


def _first_owner(hosts: Iterable[str]) -> Operator | None:
    return next((owner for host in hosts if (owner := operator_of_host(host)) is not None), None)


def _look_at_redirects(hops: tuple[Hop, ...], signals: list[Signal]) -> Operator | None:
    places = [take_apart(url) for url in _way(hops)]
    if len({registrable_domain(place.host) or place.host for place in places}) > 1:
        signals.append(Signal.REDIRECTED_ELSEWHERE)
    for place in places[1:]:
        shape = find_operator(place.host, place.target)
        if shape is not None or operator_of_host(place.host) is not None:
            signals.append(Signal.REDIRECTED_TO_OPERATOR)
            return operator_of_host(place.host)
    return None


def _way(hops: tuple[Hop, ...]) -> list[str]:
    """Return the URLs that a fetch led to, the last of them also where it was not followed: known, or refused."""
    urls = [hop.url for hop in hops]
    location = _fields(hops[-1]).get("location", "") if 300 <= hops[-1].status < 400 else ""
    target = resolve(location, urls[-1]) if location else None
    return [*urls, target] if target else urls


def _look_at_fields(hops: tuple[Hop, ...], signals: list[Signal]) -> None:
    """Append what the header fields of all answers say, each signal once."""
    last = _fields(hops[-1])
    cookies = [value for hop in hops for name, value in hop.fields if name == "set-cookie"]
    if cookies:
        signals.append(Signal.SETS_COOKIE)
        if any(_lasts(each, last.get("date", "")) for each in cookies):
            signals.append(Signal.LASTING_COOKIE)
    _look_at_caching(last, signals)
    varies = {each.strip().lower() for hop in hops for each in _fields(hop).get("vary", "").split(",")}
    if "user-agent" in varies:
        signals.append(Signal.ANSWER_DIFFERS)
    hints = " ".join(_fields(hop).get("accept-ch", "") for hop in hops).lower()
    if any(each in hints for each in _DEVICE_HINTS):
        signals.append(Signal.ASKS_DEVICE)
    first, *others = _way(hops)
    led = any(_PLACE.search(url) and not _PLACE.search(first) for url in others)
    if led or any(_PLACE_FIELD.search(each) for each in varies):
        signals.append(Signal.PLACE_TOLD)


def _look_at_caching(fields: Mapping[str, str], signals: list[Signal]) -> None:
    control = fields.get("cache-control", "").lower()
    match = _MAX_AGE.search(control)
    age_s = int(match[1]) if match else None
    date = fields.get("date", "")
    expired = age_s is None and "expires" in fields and _seconds_until(fields["expires"], date) <= 0
    forbids = "no-store" in control or "no-cache" in control or age_s == 0 or expired
    if forbids or "no-cache" in fields.get("pragma", "").lower():
        signals.append(Signal.NOT_CACHEABLE)
    elif "immutable" in control or (age_s is not None and age_s >= LONG_AGE_S):
        signals.append(Signal.LONG_CACHEABLE)
    if "last-modified" in fields and "etag" in fields:
        signals.append(Signal.UNCHANGING_FILE)
    elif "etag" in fields and forbids and "no-store" not in control:
        signals.append(Signal.KNOWN_AGAIN)


def _look_at_content(evidence: FetchEvidence, last: Hop, signals: list[Signal]) -> None:
    body, outcome = evidence.body, evidence.outcome
    if last.status == 204 or (outcome is FetchOutcome.FETCHED and body.size_bytes == 0):
        signals.append(Signal.EMPTY_ANSWER)
    elif outcome is FetchOutcome.FETCHED and _is_misnamed(evidence.hops[0].url, body.declared_type):
        signals.append(Signal.TYPE_MISMATCH)
    if outcome is FetchOutcome.DRIP_FED:
        signals.append(Signal.DRIP_FED)
    elif outcome in (FetchOutcome.TOO_SLOW, FetchOutcome.TOO_LARGE) and _never_ends(evidence):
        signals.append(Signal.ENDLESS_BODY)
    if body.is_silent:
        signals.append(Signal.SILENT_AUDIO)
    if body.width and body.height:
        if max(body.width, body.height) <= PIXEL_SIDE:
            signals.append(Signal.TRUE_PIXEL)
        elif max(body.width, body.height) >= PICTURE_SIDE:
            signals.append(Signal.TRUE_PICTURE)


def _never_ends(evidence: FetchEvidence) -> bool:
    """Tell whether content went on until it was cut off, and had not said where it would end."""
    body = evidence.body
    if body.complete or not body.size_bytes or 0 <= body.declared_bytes <= 1 << 30:
        return False
    arrivals = [at for at, _size in body.profile]
    return len(arrivals) >= 3 and arrivals[-1] - arrivals[0] >= 2.0


def _is_misnamed(url: str, declared: str) -> bool:
    name = take_apart(url).path.rpartition("/")[2].lower()
    expected = _TYPES.get(name.rpartition(".")[2]) if "." in name else None
    declared = declared.partition(";")[0].strip().lower()
    return bool(expected and declared and not declared.startswith((expected, *_ANYWAY)))


def _fields(hop: Hop) -> dict[str, str]:
    """Return header fields by name, the values of each together (RFC 9110 section 5.2)."""
    found: dict[str, str] = {}
    for name, value in hop.fields:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _lasts(cookie: str, date: str) -> bool:
    """Tell whether a cookie is to be kept for a month or longer (RFC 6265 section 4.1.2)."""
    age = _COOKIE_AGE.search(cookie)
    if age:
        return int(age[1]) >= LASTING_S
    end = _COOKIE_END.search(cookie)
    return end is not None and _seconds_until(end[1], date) >= LASTING_S


def _seconds_until(end: str, date: str) -> float:
    """Return for how long an answer of this date lasts until ``end``: 0 where either is no date of HTTP."""
    end_at, sent_at = parsedate_tz(end), parsedate_tz(date)
    if end_at is None or sent_at is None:
        return 0.0
    try:
        return float(mktime_tz(end_at) - mktime_tz(sent_at))
    except (ValueError, OverflowError):
        return 0.0


# --- what other messages showed --------------------------------------------------------------------------


def compare(sightings: Sightings | None, behaviour: Behaviour | None = None) -> dict[Signal, float]:
    """Return what mail and fetches seen before say, and how well founded each is (0 to 1).

    Pictures that differ were made to be seen; a sheet or a page that differs may only hold its token.
    """
    if sightings is None:
        return {}
    found: dict[Signal, float] = {}
    if sightings.sharers >= 2:
        found[Signal.URL_SHARED] = _foundation(sightings.sharers)
    elif sightings.holders >= 2 and not sightings.common:
        found[Signal.TOKEN_PER_RECIPIENT] = _foundation(sightings.holders)
    if sightings.names >= 2 and sightings.sharers < 2:
        found[Signal.NAME_PER_MESSAGE] = _foundation(sightings.names)
    if sightings.is_new_host:
        found[Signal.NEW_HOST] = 1.0
    if sightings.neighbours and sightings.sharers < 2:
        found[Signal.WILDCARD_ZONE] = 1.0
    if sightings.sharers < 2:
        if sightings.alike and not sightings.unlike:
            found[Signal.SHARED_BODY] = _foundation(sightings.alike + 1)
        elif (
            sightings.unlike
            and not sightings.alike
            and behaviour is not None
            and Signal.TRUE_PICTURE in behaviour.signals
        ):
            found[Signal.BODY_PER_TOKEN] = 1.0
    return found


def _foundation(count: int) -> float:
    """Return how far a count goes: two may be chance or a forwarded message, from four on it is certain."""
    return min(1.0, (count - 1) / (ENOUGH - 1))


# --- the verdict -----------------------------------------------------------------------------------------


def revise(
    verdict: Verdict,
    evidence: FetchEvidence | Behaviour | None = None,
    sightings: Sightings | None = None,
    table: Mapping[Signal, float] | None = None,
) -> Verdict:
    """Return a verdict of the message alone as it stands once more is known. Pure; ``verdict`` is not one revised."""
    behaviour = evidence if isinstance(evidence, Behaviour) else observe(evidence)
    strengths = {**dict.fromkeys(behaviour.signals, 1.0), **compare(sightings, behaviour)}
    if not strengths:
        return verdict
    table = shipped_table() if table is None else table
    reasons = [
        Reason(signal, round(table.get(signal, 0.0) * strength, 3), FACTS[signal].words)
        for signal, strength in strengths.items()
    ]
    moved = sum(each.weight for each in reasons)
    if moved < 0 and not CERTAIN.isdisjoint(verdict.kinds):
        moved = 0.0
    log_odds = add(verdict.log_odds, moved)
    score = round(probability_of(log_odds), 4)
    signals = tuple(dict.fromkeys((*verdict.signals, *strengths)))
    operator = verdict.operator or behaviour.operator
    told = _weightiest((*verdict.reasons, *reasons))
    if score < THRESHOLD:
        return Verdict(Finding.CONTENT, score, (), signals, operator, log_odds, Risk.LOW, told)
    kinds = _kinds(verdict, signals)
    is_grave = verdict.risk is Risk.HIGH or not _GRAVE.isdisjoint(kinds)
    risk = Risk.HIGH if is_grave else Risk.MEDIUM
    return Verdict(Finding.TRACKER, score, kinds, signals, operator, log_odds, risk, told)


def add(log_odds: float, moved: float) -> float:
    """Return log-odds of the message alone, moved by what was seen afterwards; both within bounds."""
    moved = max(MOST_AGAINST, min(MOST_FOR, moved))
    if moved > 0:
        return max(log_odds, FLOOR) + moved
    return min(log_odds, CEILING) + moved if moved < 0 else log_odds


def _kinds(verdict: Verdict, signals: Iterable[Signal]) -> tuple[Kind, ...]:
    known = set(signals)
    kinds = set(verdict.kinds or kinds_of(tuple(signals)))
    kinds |= {kind for kind, telling in _KINDS if not telling.isdisjoint(known)}
    return tuple(kind for kind in _ORDER if kind in kinds)


def _weightiest(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    worth = [each for each in reasons if abs(each.weight) >= LEAST_REASON]
    return tuple(sorted(worth, key=lambda each: -abs(each.weight))[:MAX_REASONS])
