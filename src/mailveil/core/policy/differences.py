"""Differences: what one policy says otherwise than another, in lines for people."""

from __future__ import annotations

from mailveil.core.policy.document import PolicyDocument, conditions_record, write_last_day
from mailveil.core.policy.explaining import describe_conditions, describe_effects
from mailveil.core.policy.rules import Rule


def differences(before: PolicyDocument, after: PolicyDocument) -> tuple[str, ...]:
    """Return a line for everything that ``after`` says otherwise than ``before``; none where they say the same."""
    lines: list[str] = []
    if before.level is not after.level:
        lines.append(f"level: {before.level} becomes {after.level}")
    if before.comment != after.comment:
        lines.append("comment: changed")
    lines += _of_groups(before, after)
    old = {rule.identifier: rule for rule in before.rules}
    new = {rule.identifier: rule for rule in after.rules}
    lines += [f"rule {name}: gone ({describe_rule(rule)})" for name, rule in old.items() if name not in new]
    for name, rule in new.items():
        if name not in old:
            lines.append(f"rule {name}: new ({describe_rule(rule)})")
        elif old[name] != rule:
            lines.append(f"rule {name}: {_of_rules(old[name], rule)}")
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        lines.append(
            "rules: stand in another order, which counts between equally specific and equally strict ones"
        )
    return tuple(lines)


def describe_rule(rule: Rule) -> str:
    """Return in a line what a rule says."""
    off = "" if rule.enabled else "off; "
    until = f"; until {write_last_day(rule.expires_at)}" if rule.expires_at else ""
    return f"{off}{describe_conditions(rule.when)}: {describe_effects(rule)}{until}"


def _of_groups(before: PolicyDocument, after: PolicyDocument) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys((*before.groups, *after.groups)):
        if name not in after.groups:
            lines.append(f"group {name}: gone")
        elif name not in before.groups:
            lines.append(f"group {name}: new, with {_counted(after.groups[name])}")
        elif set(before.groups[name]) != set(after.groups[name]):
            old, new = set(before.groups[name]), set(after.groups[name])
            changes = [f"+{each}" for each in sorted(new - old)] + [f"-{each}" for each in sorted(old - new)]
            shown = changes[:8] + ([f"and {len(changes) - 8} more"] if len(changes) > 8 else [])
            lines.append(f"group {name}: {', '.join(shown)}")
    return lines


def _of_rules(before: Rule, after: Rule) -> str:
    said: list[str] = []
    if before.enabled is not after.enabled:
        said.append("switched on" if after.enabled else "switched off")
    if conditions_record(before.when) != conditions_record(after.when):
        said.append(
            f"holds {describe_conditions(after.when)}, where it held {describe_conditions(before.when)}"
        )
    if before.then != after.then:
        said.append(f"{describe_effects(after)}, where it said {describe_effects(before)}")
    if before.expires_at != after.expires_at:
        said.append(f"until {write_last_day(after.expires_at)}" if after.expires_at else "without an end")
    if before.name != after.name or before.comment != after.comment:
        said.append("named or commented otherwise")
    return "; ".join(said) or "written otherwise"


def _counted(patterns: tuple[str, ...]) -> str:
    return "1 entry" if len(patterns) == 1 else f"{len(patterns)} entries"
