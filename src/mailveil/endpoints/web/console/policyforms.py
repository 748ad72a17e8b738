"""Policy forms: rules and groups as a form has them, and back; what is wrong is told at the field where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mailveil.core.policy.document import PolicyDocument, rule_record
from mailveil.core.policy.rules import Rule

#: Conditions that are written as lines, each with what its field is called and what may stand there.
LINES = (
    ("recipients", "Recipients", "An address, @domain, or @.domain with all below it; one on each line."),
    ("senders", "Senders", "Addresses. They count where it is proven that a message is theirs."),
    ("sender_domains", "Sender domains", "A domain, or .domain with all below it."),
    ("hosts", "Hosts", "Where references lead: a host, or .host with all below it."),
    ("operators", "Operators", "By name, as they stand under Operators."),
)
#: Conditions that are ticked.
TICKS = ("groups", "directions", "kinds", "risks", "findings")
EFFECTS = {
    "action": (
        ("", "says nothing of that"),
        ("copy", "a safe copy takes its place"),
        ("blank", "a placeholder takes its place; nobody is contacted"),
        ("remove", "it is taken out"),
        ("keep", "it stays as it was sent"),
    ),
    "copies": (
        ("", "says nothing of that"),
        ("hosted", "on the copies server"),
        ("embedded", "inside the message"),
    ),
    "banner": (
        ("", "says nothing of that"),
        ("none", "none"),
        ("low", "from low risk on"),
        ("medium", "from medium risk on"),
        ("high", "on high risk"),
    ),
    "monitor": (("", "says nothing of that"), ("true", "report only, change nothing"), ("false", "protect")),
    "recognise": (("", "says nothing of that"), ("true", "warn"), ("false", "do not warn")),
    "language": (
        ("", "says nothing of that"),
        ("en", "English"),
        ("fr", "French"),
        ("de", "German"),
        ("es", "Spanish"),
        ("ja", "Japanese"),
    ),
}
LEAST_RISKS = (("", "any"), ("low", "low or more"), ("medium", "medium or more"), ("high", "high"))
_SEPARATORS = re.compile(r"[\n,;]+")
_PROBLEM = re.compile(r"rules\[(\d+)\](?: \(\"[^\"]*\"\))?(?:\.(when|then))?(?:\.(\w+))?(?:\[\d+\])?: ")

Texts = Callable[[str], Sequence[str]]


def choices_of(form: Mapping[str, Any]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return what each effect can be chosen to be, and what the form says where that is none of ours, as ``fr-CA``."""
    found = {}
    for name, choices in EFFECTS.items():
        said = str(form.get(name) or "")
        found[name] = choices if said in dict(choices) else (*choices, (said, said))
    return found


def lines_of(text: str) -> list[str]:
    """Return what stands on the lines of a field, or between its commas."""
    return [each.strip() for each in _SEPARATORS.split(text) if each.strip()]


def rule_of_form(texts: Texts) -> dict[str, Any]:
    """Return the rule that a form says, as a policy document has it. ``texts`` gives all values of a field."""

    def text(name: str) -> str:
        return next(iter(texts(name)), "").strip()

    record: dict[str, Any] = {"id": text("id")}
    for name in ("name", "comment"):
        if text(name):
            record[name] = text(name).replace("\r\n", "\n")
    if not text("enabled"):
        record["enabled"] = False
    if text("expires_at"):
        record["expires_at"] = text("expires_at")
    when: dict[str, Any] = {name: lines_of(text(name)) for name, _, _ in LINES}
    when |= {name: list(texts(name)) for name in TICKS}
    when["least_risk"] = text("least_risk")
    record["when"] = {name: value for name, value in when.items() if value}
    then: dict[str, Any] = {name: text(name) for name in EFFECTS if text(name)}
    for name in ("monitor", "recognise"):
        if name in then:
            then[name] = then[name] == "true"
    record["then"] = then
    return record


def form_of_rule(rule: Rule) -> dict[str, Any]:
    """Return what a rule's form is filled in with."""
    record = rule_record(rule)
    when, then = record.get("when", {}), record["then"]
    form: dict[str, Any] = {
        "id": rule.identifier,
        "name": rule.name,
        "comment": rule.comment,
        "enabled": rule.enabled,
        "expires_at": _day_of(rule.expires_at),
        "least_risk": when.get("least_risk", ""),
    }
    form |= {name: "\n".join(when.get(name, ())) for name, _, _ in LINES}
    form |= {name: tuple(when.get(name, ())) for name in TICKS}
    form |= {name: _said(then.get(name)) for name in EFFECTS}
    return form


def form_again(texts: Texts) -> dict[str, Any]:
    """Return what somebody filled in, for the form to be shown again as it was."""
    names = ("id", "name", "comment", "expires_at", "least_risk", *(name for name, _, _ in LINES), *EFFECTS)
    form: dict[str, Any] = {name: next(iter(texts(name)), "") for name in names}
    form |= {name: tuple(texts(name)) for name in TICKS}
    form["enabled"] = bool(texts("enabled"))
    return form


def with_rule(
    document: PolicyDocument, record: Mapping[str, Any], original: str
) -> tuple[dict[str, Any], int]:
    """Return the document with a rule in the place of the one called ``original``, at the end where there is none.

    The second value is the rule's number in the document, from 1, by which problems name it.
    """
    whole = document.record()
    rules = list(whole.get("rules", ()))
    place = next((number for number, each in enumerate(rules) if each["id"] == original), len(rules))
    rules[place : place + 1] = [dict(record)]
    return {**whole, "rules": rules}, place + 1


def without_rule(document: PolicyDocument, identifier: str) -> dict[str, Any]:
    """Return the document without a rule."""
    whole = document.record()
    return {**whole, "rules": [each for each in whole.get("rules", ()) if each["id"] != identifier]}


def moved_rule(document: PolicyDocument, identifier: str, by: int) -> dict[str, Any]:
    """Return the document with a rule some places further down, or up where ``by`` is negative."""
    whole = document.record()
    rules = list(whole.get("rules", ()))
    place = next(number for number, each in enumerate(rules) if each["id"] == identifier)
    rule = rules.pop(place)
    rules.insert(max(0, min(len(rules), place + by)), rule)
    return {**whole, "rules": rules}


def with_groups(document: PolicyDocument, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the document with these groups in the place of its own."""
    return {**document.record(), "groups": {name: list(patterns) for name, patterns in groups.items()}}


def problems_at_fields(problems: Iterable[str], number: int) -> dict[str, str]:
    """Return what is wrong by the name of the field where it stands; ``""`` holds what stands nowhere in the form.

    ``number`` is the rule's number in the document.
    """
    found: dict[str, str] = {}
    for problem in problems:
        match = _PROBLEM.match(problem)
        field, words = "", problem
        if match is not None and int(match[1]) == number:
            field, words = match[3] or ("action" if match[2] == "then" else ""), problem[match.end() :]
        words = words[:1].upper() + words[1:] + ("" if words.endswith((".", "?")) else ".")
        found[field] = f"{found[field]} {words}" if field in found else words
    return found


def _said(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _day_of(at: float) -> str:
    """Return the last day on which something holds; a day counts to its end (UTC), as documents have it."""
    if not at:
        return ""
    moment = datetime.fromtimestamp(at, UTC)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{datetime.fromtimestamp(at - 1, UTC):%Y-%m-%d}"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
