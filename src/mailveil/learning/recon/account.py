"""Account: the figures of an evaluation for people to read, with how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mailveil.core.intelligence.settings import ALERT_SCORE
from mailveil.learning.recon.evaluating import AIM_FALSE, MAILVEIL

_MAX_EXAMPLES = 12


def text_of(found: Mapping[str, Any]) -> str:
    """Return what ``figures`` found, as a text of a page or two."""
    seeds = found["seeds"]
    which = (
        "held out: nothing was tuned on them"
        if found["are_held_out"]
        else "for development, not to be published"
    )
    lines = [
        (
            f"{found['messages']:,} simulated messages of {len(seeds)} organisations with {found['people']} people "
            f"each, {found['days']} days; seeds {', '.join(map(str, seeds))} ({which})"
        ),
        (
            f"The first {found['warm_up_days']} days are warm-up: nobody reconnoitres in them, and alarms are counted "
            f"apart. False alarms are counted over {found['mailbox_weeks']:,.0f} mailbox weeks."
        ),
        f"Alerts from a score of {found.get('alert_score', ALERT_SCORE):g} on.",
        "In brackets: 95 % intervals (Wilson; Byar for rates).",
        "",
        *_detector("mailveil", found[MAILVEIL], in_full=True),
    ]
    lines += ["", *_disguise(found["disguise"])]
    lines += ["", *_curve(found["curve"])]
    for name, rule in found["rules"].items():
        lines += ["", *_detector(f"baseline: {name}", rule["as it is"])]
        if rule["matched"] is None:
            lines.append("  never as quiet as mailveil or the aim, however many people it takes to reach")
        else:
            needed = rule["people_needed_to_match"]
            lines += [
                f"  as quiet as mailveil or the aim from {needed} people on:",
                *_grades(rule["matched"]),
            ]
    return "\n".join(lines)


def _detector(name: str, found: Mapping[str, Any], *, in_full: bool = False) -> list[str]:
    false = found["false"]
    lines = [
        name,
        (
            f"  false alarms per 1,000 mailboxes and week: {false['value']:.2f} ({false['least']:.2f} to "
            f"{false['most']:.2f}), {false['count']:,} in all; {found['false_in_warm_up']:,} more in the warm-up"
            + (f"; the aim is under {AIM_FALSE:.0f}" if in_full else "")
        ),
        *_grades(found),
    ]
    if found["false_by_cause"]:
        causes = ", ".join(f"{cause} {count}" for cause, count in found["false_by_cause"].items())
        lines.append(f"  raised by honest mail: {causes}")
    if found["of_taken_over"]:
        lines.append(
            f"  on honest mail from mailboxes that were taken over, not counted: {found['of_taken_over']}"
        )
    if in_full:
        lines += [f"    {example}" for example in found["false_examples"][:_MAX_EXAMPLES]]
        if found["missed"]:
            lines.append(f"  never noticed: {', '.join(found['missed'])}")
    return lines


def _disguise(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what becomes of those who want to be taken for sellers, beside the others of their grade."""
    lines = ["by how they write: noticed by the third probe, of so many"]
    lines.append(f"  {'grade':20} " + " ".join(f"{way:>25}" for way in found))
    for grade in dict.fromkeys(grade for each in found.values() for grade in each):
        cells = [_of_so_many(each.get(grade)) for each in found.values()]
        lines.append(f"  {grade:20} " + " ".join(f"{cell:>25}" for cell in cells))
    return lines


def _of_so_many(grade: Mapping[str, Any] | None) -> str:
    return "-" if grade is None else f"{_share(grade['within_third'])} of {grade['actors']}"


def _curve(curve: Mapping[str, Any]) -> list[str]:
    """Return what another threshold would give: one alarm for an activity when its score first reaches it."""
    lines = ["by the score alone: false alarms per 1,000 mailboxes and week, and detected by the third probe"]
    for score, each in curve.items():
        shares = ", ".join(f"{grade} {share:.0%}" for grade, share in each["within_third"].items())
        lines.append(f"  from {score:>4} on {each['false']:>7.2f}; {shares}")
    return lines


def _grades(found: Mapping[str, Any]) -> list[str]:
    head = ("grade", "actors", "detected", "by third probe", "probe", "days", "people", "follow-ups")
    lines = [_row(head)]
    for grade, each in found["grades"].items():
        cells = (
            grade,
            str(each["actors"]),
            _share(each["detected"]),
            _share(each["within_third"]),
            _number(each["median_probe"]),
            _number(each["median_days"]),
            _number(each["median_people_before"]),
            _share(each["follow_ups"]),
        )
        lines.append(_row(cells))
    return lines


def _row(cells: Sequence[str]) -> str:
    name, *others = cells
    widths = (6, 19, 19, 6, 6, 6, 19)
    return f"  {name:20} " + " ".join(f"{cell:>{width}}" for cell, width in zip(others, widths, strict=True))


def _share(share: Mapping[str, Any] | None) -> str:
    if share is None:
        return "-"
    return f"{share['value']:.0%} ({share['least']:.0%} to {share['most']:.0%})"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.3g}"
