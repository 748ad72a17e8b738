"""Indicators: what others share, read out of STIX 2.1 indicators and MISP events. Pure, total and bounded.

Only simple patterns are taken: that a domain, host name or URL is, is one of, or is like something. What
says more (``AND``, ``NOT``, times, regular expressions) is counted, not guessed at, and so are other kinds of objects.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

MAX_PATTERN: Final = 20_000
MAX_TERMS: Final = 500  # of one pattern
MAX_TAKEN: Final = 5_000  # attributes of one event
MAX_VALUE: Final = 340  # characters; as much as is kept of a value that is looked up by
MAX_NAME: Final = 200
_TOKEN: Final = re.compile(
    r"""\s*+(?:
      (?P<text>'(?:[^'\\]|\\.)*+')
    | (?P<path>[A-Za-z0-9-]++:[A-Za-z0-9_.'\[\]*-]++)
    | (?P<word>[A-Za-z]++|[0-9.]++)
    | (?P<sign>[\[\]()=,]|!=|<=|>=|<|>)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NAME: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+(?:xn--[a-z0-9-]{1,59}|[a-z]{2,63})"
)
_URL: Final = re.compile(r"https?://[^\s/?#@\\]+(?:[/?#][^\s]*)?", re.IGNORECASE)
_PATHS: Final = {"domain-name:value": "host", "hostname:value": "host", "url:value": "url"}
_TYPED: Final = frozenset({"t", "h", "b"})  # what stands before a time, bytes in hexadecimal or in base64
_MARKINGS: Final = {
    # Identifiers that the standards fix: TLP 1 (STIX 2.1 section 7.2.1.4) and TLP 2.0 (the OASIS extension).
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}
_MISP_TYPES: Final = {"domain": "host", "hostname": "host", "url": "url", "domain|ip": "host"}


class PatternError(ValueError):
    """A pattern that is not taken; the text is a word that such patterns are counted by."""


@dataclass(frozen=True, slots=True)
class SharedIndicator:
    """One thing to look out for: a ``host``, all ``below`` a name, a ``url``, all with a ``prefix``, or of a ``shape``
    with ``*`` for anything (``kind``).

    Times are seconds since the epoch; ``valid_until`` 0: without end. ``marking`` is a traffic light, ``""`` for none.
    """

    kind: str
    value: str
    confidence: float = 0.5
    valid_from: float = 0.0
    valid_until: float = 0.0
    name: str = ""
    source: str = ""
    marking: str = ""


@dataclass(frozen=True, slots=True)
class SharedSource:
    """What one object of others says: ``identifier`` is its own, without indicators it is withdrawn or says nothing.

    ``skipped`` counts what was not taken, by reason.
    """

    identifier: str
    indicators: tuple[SharedIndicator, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)


# --- STIX ---------------------------------------------------------------------------------------------------


def indicator_of_stix(record: object) -> SharedSource | None:
    """Return what a STIX object says, ``None`` where it is no indicator or has no identifier."""
    if not isinstance(record, Mapping) or record.get("type") != "indicator":
        return None
    identifier = record.get("id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= 100 or not _is_plain(identifier):
        return None
    if record.get("revoked") is True:
        return SharedSource(identifier)
    if record.get("pattern_type", "stix") != "stix":
        return SharedSource(identifier, skipped={"pattern-type": 1})
    try:
        terms, others = _read_pattern(record.get("pattern"))
    except PatternError as error:
        return SharedSource(identifier, skipped={str(error): 1})
    confidence = record.get("confidence")
    made = [
        SharedIndicator(
            kind,
            value,
            confidence=min(100, max(0, confidence)) / 100 if isinstance(confidence, int) else 0.5,
            valid_from=_time(record.get("valid_from")),
            valid_until=_time(record.get("valid_until")),
            name=_line(record.get("name")),
            source=_line(record.get("created_by_ref")),
            marking=_marking(record.get("object_marking_refs")),
        )
        for kind, value in terms
    ]
    return SharedSource(identifier, tuple(made), {"other-object": others} if others else {})


def terms_of_pattern(pattern: object) -> tuple[tuple[str, str], ...]:
    """Return the kinds and values that a simple STIX pattern names. Raises ``PatternError``."""
    return _read_pattern(pattern)[0]


def _read_pattern(pattern: object) -> tuple[tuple[tuple[str, str], ...], int]:
    """Return what a pattern names, and how many other objects it would do with as well. Raises ``PatternError``."""
    if not isinstance(pattern, str) or not pattern.strip():
        raise PatternError("no-pattern")
    if len(pattern) > MAX_PATTERN:
        raise PatternError("too-long")
    reader = _Terms(list(_tokens(pattern)))
    found = list(reader.observations())
    if len(found) > MAX_TERMS:
        raise PatternError("too-long")
    if not found:
        raise PatternError("other-object")
    return tuple(dict.fromkeys(found)), reader.others


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(pattern.rstrip())
    while at < end:
        match = _TOKEN.match(pattern, at)
        if match is None or match.lastgroup is None:
            raise PatternError("not-understood")
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


class _Terms:
    """Reads the tokens of a pattern from the left, without ever going back."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.others = 0  # comparisons of other objects

    def observations(self) -> Iterator[tuple[str, str]]:
        """Observations, of which any will do; parentheses around any of them are nothing more."""
        depth = self.opened()
        while True:
            self.expect("[")
            yield from self.comparisons()
            self.expect("]")
            depth -= self.closed(depth)
            if self.at == len(self.tokens):
                if depth:
                    raise PatternError("not-understood")
                return
            self.either()
            depth += self.opened()

    def comparisons(self) -> Iterator[tuple[str, str]]:
        """Comparisons, of which any will do; parentheses around all of them are nothing more."""
        depth = self.opened()
        while True:
            yield from self.comparison()
            depth -= self.closed(depth)
            if self.peek() == "]":
                if depth:
                    raise PatternError("not-understood")
                return
            self.either()
            depth += self.opened()

    def opened(self) -> int:
        """Step over opening parentheses; return how many there were."""
        start = self.at
        while self.peek() == "(":
            self.at += 1
        return self.at - start

    def closed(self, depth: int) -> int:
        """Step over closing parentheses, at most ``depth`` of them; return how many there were."""
        start = self.at
        while self.at - start < depth and self.peek() == ")":
            self.at += 1
        return self.at - start

    def comparison(self) -> Iterator[tuple[str, str]]:
        kind, path = self.next()
        if kind != "path":
            raise PatternError("negation" if path.upper() == "NOT" else "not-understood")
        wanted = _PATHS.get(path.lower())
        if wanted is None:
            self.others += 1
            self.pass_over()  # any other of them will do
            return
        _, sign = self.next()
        match sign.upper():
            case "=":
                yield _equal(wanted, self.text())
            case "IN":
                self.expect("(")
                yield _equal(wanted, self.text())
                while self.peek() == ",":
                    self.at += 1
                    yield _equal(wanted, self.text())
                self.expect(")")
            case "LIKE":
                yield _like(wanted, self.text())
            case "MATCHES":
                raise PatternError("regular-expression")
            case "NOT" | "!=":
                raise PatternError("negation")
            case _:
                raise PatternError("not-understood")

    def pass_over(self) -> None:
        """Step over the operator of a comparison and what it compares with."""
        sign = self.next()[1].upper()
        if sign == "NOT":
            sign = self.next()[1].upper()
        if sign == "IN":
            self.expect("(")
            while self.next()[1] != ")":
                pass
            return
        kind, word = self.next()
        if kind == "word" and word in _TYPED:
            self.text()

    def either(self) -> None:
        _, word = self.next()
        if word.upper() == "OR":
            return
        if word.upper() in ("AND", "FOLLOWEDBY"):
            raise PatternError("several-at-once")
        if word.upper() in ("WITHIN", "REPEATS", "START"):
            raise PatternError("times")
        raise PatternError("not-understood")

    def text(self) -> str:
        kind, text = self.next()
        if kind != "text":
            raise PatternError("not-understood")
        return _ESCAPED.sub(r"\1", text[1:-1])

    def expect(self, sign: str) -> None:
        if self.next()[1] != sign:
            raise PatternError("not-understood")

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise PatternError("not-understood")
        self.at += 1
        return self.tokens[self.at - 1]


def _equal(kind: str, value: str) -> tuple[str, str]:
    return ("url", _url(value)) if kind == "url" else ("host", _host(value))


def _like(kind: str, value: str) -> tuple[str, str]:
    """Return what a LIKE says: of URLs any, of names all below one. ``%`` stands for anything, ``_`` for one."""
    # "_" in an address is rather meant as it stands.
    if "%" not in value and (kind == "url" or "_" not in value):
        return _equal(kind, value)
    if kind == "url" and value.endswith("%") and "%" not in value[:-1]:
        return "prefix", _url(value[:-1])
    if kind == "url" and "%" not in value.partition("://")[0] and "*" not in value:
        return "shape", _url(value.replace("%", "*"))
    if kind == "host" and value.startswith("%.") and "%" not in value[2:]:
        return "below", _host(value[2:])
    raise PatternError("wildcards")


# --- MISP ---------------------------------------------------------------------------------------------------


def indicators_of_misp(identifier: str, record: object) -> SharedSource:
    """Return what a MISP event says: its attributes that are marked for detection, those of its objects included."""
    event = record.get("Event") if isinstance(record, Mapping) else None
    if not isinstance(event, Mapping):
        return SharedSource(identifier, skipped={"no-event": 1})
    name, source = _line(event.get("info")), ""
    if isinstance(organisation := event.get("Orgc"), Mapping):
        source = _line(organisation.get("name"))
    marking = _misp_marking(event.get("Tag"))
    made: dict[tuple[str, str], SharedIndicator] = {}
    skipped: Counter[str] = Counter()
    for attribute in _attributes(event):
        if attribute.get("to_ids") not in (True, 1, "1", "true") or attribute.get("deleted") in (
            True,
            1,
            "1",
        ):
            continue
        kind = _MISP_TYPES.get(str(attribute.get("type")), "")
        if not kind:
            skipped["other-object"] += 1
            continue
        if len(made) >= MAX_TAKEN:
            skipped["too-many"] += 1
            continue
        value = _text(attribute.get("value"))
        try:
            term = _equal(kind, value.partition("|")[0] if kind == "host" else value)
        except PatternError as error:
            skipped[str(error)] += 1
            continue
        made[term] = SharedIndicator(
            *term,
            valid_from=_number(attribute.get("timestamp")),
            name=name,
            source=source,
            marking=_misp_marking(attribute.get("Tag")) or marking,
        )
    return SharedSource(identifier, tuple(made.values()), dict(skipped))


def _attributes(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _mappings(event.get("Attribute"))
    for each in _mappings(event.get("Object")):
        if each.get("deleted") not in (True, 1, "1"):
            yield from _mappings(each.get("Attribute"))


def _mappings(value: object) -> Iterable[Mapping[str, Any]]:
    return (each for each in value if isinstance(each, Mapping)) if isinstance(value, list) else ()


def _misp_marking(tags: object) -> str:
    for tag in _mappings(tags):
        name = str(tag.get("name", "")).lower()
        if name.startswith("tlp:"):
            light = "clear" if name == "tlp:white" else name.removeprefix("tlp:")
            if light in _MARKINGS.values():
                return light
    return ""


# --- values -------------------------------------------------------------------------------------------------


def _host(text: str) -> str:
    name = text.strip().strip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise PatternError("no-name") from error
    if len(name) > 253 or _NAME.fullmatch(name) is None:
        raise PatternError("no-name")
    return name


def _url(text: str) -> str:
    url = text.strip()
    if len(url) > MAX_VALUE:
        raise PatternError("too-long")
    if not url.isprintable() or _URL.fullmatch(url) is None:
        raise PatternError("no-address")
    return url


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _line(value: object) -> str:
    text = _text(value)[: 4 * MAX_NAME]
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:MAX_NAME]


def _time(value: object) -> float:
    try:
        moment = datetime.fromisoformat(_text(value)[:40])
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return max(0.0, at)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and 0 <= number < 1e11 else 0.0


def _marking(references: object) -> str:
    if not isinstance(references, list):
        return ""
    return next((_MARKINGS[each] for each in references if isinstance(each, str) and each in _MARKINGS), "")
