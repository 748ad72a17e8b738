"""The policy document: an organisation's level, groups and rules, read and written as TOML or JSON."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

from mailveil.core.policy.messagepolicy import reference_conditions
from mailveil.core.policy.patterns import (
    PatternError,
    parse_address,
    parse_domain,
    parse_host,
    parse_recipients,
)
from mailveil.core.policy.rules import CONDITION_NAMES, Banner, Conditions, Effects, Level, Rule
from mailveil.core.policy.types import Action, CopyMode, Direction
from mailveil.core.verdicts.types import Finding, Kind, Risk

FORMAT: Final = 1
MAX_CHARACTERS: Final = 2_000_000
MAX_RULES: Final = 1_000
MAX_GROUPS: Final = 200
MAX_PATTERNS: Final = 10_000
MAX_NAME: Final = 200
MAX_COMMENT: Final = 2_000
MAX_PROBLEMS: Final = 20
DAY_S: Final = 86_400
LAST_YEAR: Final = 9998

_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DOCUMENT_KEYS: Final = ("format", "level", "comment", "groups", "rules")
_RULE_KEYS: Final = ("id", "name", "enabled", "comment", "expires_at", "when", "then")
_EFFECT_KEYS: Final = ("action", "copies", "banner", "monitor", "language", "recognise")
_LANGUAGE: Final = re.compile(
    r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}"
)  # RFC 5646, as far as it is told apart here
# What people write who mean something else.
_MEANT: Final = {
    "group": "groups", "recipient": "recipients", "to": "recipients", "rcpt": "recipients", "sender": "senders",
    "from": "senders", "sender_domain": "sender_domains", "domains": "sender_domains", "domain": "sender_domains",
    "direction": "directions", "host": "hosts", "operator": "operators", "kind": "kinds", "min_risk": "least_risk",
    "risk": "least_risk", "finding": "findings", "verdict": "findings", "conditions": "when", "if": "when",
    "match": "when", "effects": "then", "do": "then", "identifier": "id", "expires": "expires_at", "version": "format",
    "rule": "rules", "allow": "action", "actions": "action", "mode": "copies", "monitored": "monitor",
    "lang": "language", "locale": "language", "hold": "banner", "disabled": "enabled", "until": "expires_at",
}  # fmt: skip

Member = TypeVar("Member", bound=StrEnum)


class PolicyDocumentError(ValueError):
    """A document that is no policy; ``problems`` say where, what is wrong there and what would do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """An organisation's policy. ``groups`` are named lists of recipient patterns, ``rules`` stand as they were written.

    Without any document the level is ``normal``: everything is replaced, and readers of risky mail are told.
    """

    level: Level = Level.NORMAL
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    rules: tuple[Rule, ...] = ()
    comment: str = ""

    def rule(self, identifier: str) -> Rule | None:
        """Return a rule by its identifier."""
        return next((rule for rule in self.rules if rule.identifier == identifier), None)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``document_of`` makes it again."""
        record: dict[str, Any] = {"format": FORMAT, "level": str(self.level)}
        if self.comment:
            record["comment"] = self.comment
        if self.groups:
            record["groups"] = {name: list(patterns) for name, patterns in self.groups.items()}
        if self.rules:
            record["rules"] = [rule_record(rule) for rule in self.rules]
        return record


def rule_record(rule: Rule) -> dict[str, Any]:
    """Return a rule as a JSON object; what says nothing is left out."""
    record: dict[str, Any] = {"id": rule.identifier}
    if rule.name:
        record["name"] = rule.name
    if not rule.enabled:
        record["enabled"] = False
    if rule.comment:
        record["comment"] = rule.comment
    if rule.expires_at:
        record["expires_at"] = write_time(rule.expires_at)
    if when := conditions_record(rule.when):
        record["when"] = when
    then = {name: getattr(rule.then, name) for name in _EFFECT_KEYS}
    record["then"] = {
        name: value if isinstance(value, bool) else str(value)
        for name, value in then.items()
        if value is not None
    }
    return record


def conditions_record(when: Conditions) -> dict[str, Any]:
    """Return conditions as a JSON object; what is not named is left out."""
    message = {name: [str(each) for each in getattr(when, name)] for name in CONDITION_NAMES[:5]}
    return {**{name: value for name, value in message.items() if value}, **reference_conditions(when)}


def parse_policy(text: str) -> PolicyDocument:
    """Read a document written as TOML, or as JSON where it begins with a brace. Raises ``PolicyDocumentError``."""
    return document_of(parse_text(text))


def parse_text(text: str) -> dict[str, Any]:
    """Return what a TOML or JSON text says. Raises ``PolicyDocumentError`` where it is neither."""
    if len(text) > MAX_CHARACTERS:
        raise PolicyDocumentError([f"is longer than {MAX_CHARACTERS:_} characters"])
    try:
        if text.lstrip("\ufeff \t\r\n").startswith("{"):
            record = json.loads(text.lstrip("\ufeff"))
        else:
            record = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except json.JSONDecodeError as error:
        raise PolicyDocumentError(
            [f"line {error.lineno}, column {error.colno}: no JSON: {error.msg}"]
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise PolicyDocumentError([f"no TOML: {error or 'nested too deeply'}"]) from error
    return dict(record)


def document_of(record: object) -> PolicyDocument:
    """Return the policy that a JSON object says. Raises ``PolicyDocumentError`` with everything that is wrong."""
    reader = _Reader()
    document = reader.document(record)
    if reader.problems:
        raise PolicyDocumentError(reader.problems[:MAX_PROBLEMS])
    return document


def write_time(at: float) -> str:
    """Return a time as RFC 3339 has it, in UTC and whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_last_day(at: float) -> str:
    """Return until when something holds: the day that ``read_time`` took to its end, or the time."""
    return write_time(at) if at % DAY_S else write_time(at - DAY_S)[:10]


def read_time(value: object) -> float:
    """Return seconds since the epoch for a time or day, as TOML has it or as text; a day counts to its end (UTC).

    Raises ``ValueError``.
    """
    if isinstance(value, str):
        text = value.strip()
        value = date.fromisoformat(text) if len(text) == len("2026-12-31") else datetime.fromisoformat(text)
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if moment.year <= LAST_YEAR:
            moment += timedelta(days=1)
    else:
        raise ValueError("no time")
    if not 1970 <= moment.year <= LAST_YEAR:
        raise ValueError("a year out of range")
    return float(int(moment.timestamp()))


# --- reading ------------------------------------------------------------------------------------------------


class _Reader:
    """Reads a document to its end, and remembers everything that is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def document(self, record: object) -> PolicyDocument:
        table = self.table(record, "the document", _DOCUMENT_KEYS)
        written = table.get("format", FORMAT)
        if written != FORMAT or isinstance(written, bool):
            self.refuse("format", f"{_shown(written)} is not known; this version reads format {FORMAT}")
        groups = self.groups(table.get("groups", {}))
        rules = self.rules(table.get("rules", []), groups)
        return PolicyDocument(
            level=self.member(Level, table.get("level", Level.NORMAL.value), "level") or Level.NORMAL,
            groups=MappingProxyType(groups),
            rules=tuple(rules),
            comment=self.text(table.get("comment", ""), "comment", MAX_COMMENT),
        )

    def groups(self, given: object) -> dict[str, tuple[str, ...]]:
        if not isinstance(given, Mapping):
            self.refuse("groups", 'has to be a table of lists, as [groups] with board = ["ann@example.org"]')
            return {}
        if len(given) > MAX_GROUPS:
            self.refuse("groups", f"are more than {MAX_GROUPS}")
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for name, patterns in given.items():
            where = f"groups.{_clean(str(name))}"
            if not _IDENTIFIER.fullmatch(str(name)):
                self.refuse(where, "has a name of other than small letters, digits, '.', '_' and '-'")
            found[str(name)] = self.patterns(patterns, where, parse_recipients)
        return found

    def rules(self, given: object, groups: Mapping[str, object]) -> list[Rule]:
        if not isinstance(given, list):
            self.refuse("rules", "has to be a list; begin each rule with a line [[rules]]")
            return []
        if len(given) > MAX_RULES:
            self.refuse("rules", f"are more than {MAX_RULES}")
            return []
        rules: list[Rule] = []
        seen: dict[str, int] = {}
        for number, each in enumerate(given, 1):
            rule = self.rule(each, f"rules[{number}]", groups)
            if rule is None:
                continue
            if rule.identifier in seen:
                self.refuse(
                    f"rules[{number}].id",
                    f'"{rule.identifier}" is the id of rules[{seen[rule.identifier]}] too',
                )
            seen.setdefault(rule.identifier, number)
            rules.append(rule)
        return rules

    def rule(self, given: object, place: str, groups: Mapping[str, object]) -> Rule | None:
        identifier = given.get("id", "") if isinstance(given, Mapping) else ""
        where = f'{place} ("{_clean(identifier)}")' if isinstance(identifier, str) and identifier else place
        table = self.table(given, where, _RULE_KEYS)
        if not isinstance(given, Mapping):
            return None
        if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
            self.refuse(
                f"{place}.id",
                'is missing; every rule needs one that stays, as id = "pilot"'
                if identifier == ""
                else f"{_shown(identifier)} has to be of small letters, digits, '.', '_' and '-', at most 64",
            )
            identifier = ""
        when = self.conditions(table.get("when", {}), f"{where}.when", groups)
        then = self.effects(table.get("then"), f"{where}.then")
        self.sense(when, then, where)
        return Rule(
            identifier=identifier,
            name=self.text(table.get("name", ""), f"{where}.name", MAX_NAME),
            enabled=self.boolean(table.get("enabled", True), f"{where}.enabled"),
            when=when,
            then=then,
            comment=self.text(table.get("comment", ""), f"{where}.comment", MAX_COMMENT),
            expires_at=self.time(table.get("expires_at"), f"{where}.expires_at"),
        )

    def conditions(self, given: object, where: str, groups: Mapping[str, object]) -> Conditions:
        table = self.table(given, where, CONDITION_NAMES)
        for name in CONDITION_NAMES:
            if name in table and table[name] == []:
                self.refuse(f"{where}.{name}", "names nothing; leave it out where it does not matter")
        named = self.texts(table.get("groups", []), f"{where}.groups")
        for name in named:
            if name not in groups:
                hint = _did_you_mean(name, groups)
                self.refuse(f"{where}.groups", f'"{_clean(name)}" is no group of [groups]{hint}')
        least = table.get("least_risk")
        return Conditions(
            recipients=self.patterns(table.get("recipients", []), f"{where}.recipients", parse_recipients),
            groups=tuple(named),
            senders=self.patterns(table.get("senders", []), f"{where}.senders", parse_address),
            sender_domains=self.patterns(
                table.get("sender_domains", []), f"{where}.sender_domains", parse_domain
            ),
            directions=self.members(Direction, table.get("directions", []), f"{where}.directions"),
            hosts=self.patterns(table.get("hosts", []), f"{where}.hosts", parse_host),
            operators=tuple(self.texts(table.get("operators", []), f"{where}.operators")),
            kinds=self.members(Kind, table.get("kinds", []), f"{where}.kinds"),
            risks=self.members(Risk, table.get("risks", []), f"{where}.risks"),
            least_risk=None if least is None else self.member(Risk, least, f"{where}.least_risk"),
            findings=self.members(Finding, table.get("findings", []), f"{where}.findings"),
        )

    def effects(self, given: object, where: str) -> Effects:
        if given is None:
            self.refuse(where, 'is missing; say what is to hold, as then = { action = "blank" }')
            return Effects()
        table = self.table(given, where, _EFFECT_KEYS)
        if isinstance(given, Mapping) and not given:
            self.refuse(where, 'says nothing; say what is to hold, as then = { action = "blank" }')

        def chosen(kind: type[Member], name: str) -> Member | None:
            return None if table.get(name) is None else self.member(kind, table[name], f"{where}.{name}")

        copies = chosen(CopyMode, "copies")
        if copies is CopyMode.NONE:
            self.refuse(
                f"{where}.copies", '"none" is no way to carry copies; for placeholders write action = "blank"'
            )
        monitor, language = table.get("monitor"), table.get("language")
        recognise = table.get("recognise")
        return Effects(
            action=chosen(Action, "action"),
            copies=copies,
            banner=chosen(Banner, "banner"),
            monitor=None if monitor is None else self.boolean(monitor, f"{where}.monitor"),
            language=None if language is None else self.language(language, f"{where}.language"),
            recognise=None if recognise is None else self.boolean(recognise, f"{where}.recognise"),
        )

    def sense(self, when: Conditions, then: Effects, where: str) -> None:
        """Refuse what could not hold, or what nobody can want."""
        for name in _EFFECT_KEYS[1:]:
            if getattr(then, name) is not None and when.names_references:
                self.refuse(
                    f"{where}.then.{name}",
                    "holds for whole messages, so that the rule cannot be about "
                    f"{', '.join(when.reference_conditions)}; make it a rule of its own",
                )
        if then.action is Action.KEEP and not (
            when.names_recipients or when.names_senders or when.hosts or when.operators
        ):
            self.refuse(
                f"{where}.then.action",
                '"keep" would switch protection off for everybody: name recipients, groups, senders, sender_domains, '
                "hosts or operators; to try mailveil out without changing mail, write monitor = true",
            )

    # --- values ---

    def refuse(self, where: str, why: str) -> None:
        """Remember what is wrong."""
        self.problems.append(f"{where}: {why}")

    def table(self, given: object, where: str, known: Iterable[str]) -> Mapping[str, Any]:
        if not isinstance(given, Mapping):
            self.refuse(where, f"has to be a table, not {_shown(given)}")
            return {}
        names = tuple(known)
        for name in given:
            if name not in names:
                place = f"{where}.{_clean(str(name))}" if where != "the document" else _clean(str(name))
                hint = _did_you_mean(str(name), names)
                self.refuse(place, f"is not known here{hint or '; there are ' + ', '.join(names)}")
        return given

    def text(self, given: object, where: str, most: int) -> str:
        if not isinstance(given, str):
            self.refuse(where, f"has to be text in quotation marks, not {_shown(given)}")
            return ""
        if len(given) > most:
            self.refuse(where, f"is longer than {most} characters")
        if any(not character.isprintable() and character not in "\n\t" for character in given):
            self.refuse(where, "has characters that cannot be printed")
        return given

    def language(self, given: object, where: str) -> str:
        tag = self.text(given, where, MAX_NAME)
        if tag and not _LANGUAGE.fullmatch(tag):
            self.refuse(where, f'{_shown(tag)} is no language; write "de", "fr-CA" and the like')
        return tag

    def texts(self, given: object, where: str) -> list[str]:
        if isinstance(given, str):
            self.refuse(where, f"has to be a list, as [{_shown(given)}]")
            return []
        if not isinstance(given, list):
            self.refuse(where, f"has to be a list of texts, not {_shown(given)}")
            return []
        if len(given) > MAX_PATTERNS:
            self.refuse(where, f"has more than {MAX_PATTERNS} entries")
            return []
        found: dict[str, None] = {}
        for number, each in enumerate(given, 1):
            text = self.text(each, f"{where}[{number}]", MAX_NAME + 100)
            if text.strip():
                found[text.strip()] = None
            elif isinstance(each, str):
                self.refuse(f"{where}[{number}]", "is empty")
        return list(found)

    def patterns(self, given: object, where: str, parse: Callable[[str], str]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for text in self.texts(given, where):
            try:
                found[parse(text)] = None
            except PatternError as error:
                self.refuse(where, f'"{_clean(text)}" {error}')
        return tuple(found)

    def members(self, kind: type[Member], given: object, where: str) -> tuple[Member, ...]:
        found = [self.member(kind, each, where) for each in self.texts(given, where)]
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def member(self, kind: type[Member], given: object, where: str) -> Member | None:
        known = [str(each) for each in kind]
        if isinstance(given, str) and given in known:
            return kind(given)
        hint = _did_you_mean(given, known) if isinstance(given, str) else ""
        self.refuse(where, f"{_shown(given)} is none of {', '.join(known)}{hint}")
        return None

    def boolean(self, given: object, where: str) -> bool:
        if not isinstance(given, bool):
            self.refuse(where, f"has to be true or false, not {_shown(given)}")
            return True
        return given

    def time(self, given: object, where: str) -> float:
        if given is None:
            return 0.0
        try:
            return read_time(given)
        except (ValueError, OverflowError):
            self.refuse(where, f"{_shown(given)} is no time; write 2026-12-31 or 2026-12-31T18:00:00Z")
            return 0.0


def _did_you_mean(given: str, known: Iterable[str]) -> str:
    names = list(known)
    meant = _MEANT.get(given.lower(), "")
    if meant in names:
        return f"; did you mean {meant}?"
    close = get_close_matches(given.lower(), names, 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: object) -> str:
    """Return a value as it may stand in a complaint: short, and without what a terminal would obey."""
    if isinstance(value, str):
        return f'"{_clean(value)}"'
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return _clean(str(value))


def _clean(text: str) -> str:
    short = text if len(text) <= 60 else text[:60] + "…"
    return "".join(character if character.isprintable() else "�" for character in short)
