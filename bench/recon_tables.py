"""The tables of docs/simulation.md, made of what ``mailveil evaluate --recon --json FILE`` wrote, for FILE."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COMPARED = ("loud", "slow", "spread", "compromised-partner")


def share(value: Mapping[str, Any] | None) -> str:
    """Return a share with its interval."""
    return "-" if value is None else f"{value['value']:.0%} ({value['least']:.0%} to {value['most']:.0%})"


def number(value: float | None) -> str:
    """Return a number with two digits that count."""
    return "-" if value is None else f"{value:.2g}"


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of all tables."""
    own = found["mailveil"]
    false = own["false"]
    yield f"{found['messages']:,} messages, {found['mailbox_weeks']:,.0f} mailbox weeks\n"
    yield "| Grade | Actors | Detected | By third probe | Probe | Days | People before | Follow-ups |"
    yield "|---|---|---|---|---|---|---|---|"
    for grade, each in own["grades"].items():
        medians = (each["median_probe"], each["median_days"], each["median_people_before"])
        cells = (
            grade, str(each["actors"]), share(each["detected"]), share(each["within_third"]), *map(number, medians),
            share(each["follow_ups"]),
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield from disguise(found["disguise"])
    causes = ", ".join(f"{cause} {count}" for cause, count in own["false_by_cause"].items())
    yield f"\n**{false['value']:.1f}** ({false['least']:.1f} to {false['most']:.1f}), {false['count']}: {causes}"
    yield f"in the warm-up {own['false_in_warm_up']}, of mailboxes taken over {own['of_taken_over']}\n"
    yield "| Rule | False, as it is | Found, as it is | As quiet as mailveil from | Found then |"
    yield "|---|---|---|---|---|"
    for name, rule in found["rules"].items():
        plain, matched = rule["as it is"], rule["matched"]
        from_people = "never" if matched is None else f"{rule['people_needed_to_match']} people"
        yield f"| {name} | {plain['false']['value']:.0f} | {within(plain)} | {from_people} | {within(matched)} |"
    yield f"\n| Score | False | {' | '.join(own['grades'])} |"
    yield "|---" * (2 + len(own["grades"])) + "|"
    for score, each in found["curve"].items():
        shares = " | ".join(f"{value:.0%}" for value in each["within_third"].values())
        yield f"| {score} | {each['false']:.1f} | {shares} |"


def disguise(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Give the lines that set those who want to be taken for sellers beside the others of their grade."""
    yield f"\n| Grade | {' | '.join(f'Who write {way}: actors | By third probe | Ever' for way in found)} |"
    yield "|---" * (1 + 3 * len(found)) + "|"
    for grade in dict.fromkeys(grade for each in found.values() for grade in each):
        cells = [cell for each in found.values() for cell in cells_of(each.get(grade))]
        yield f"| {' | '.join((grade, *cells))} |"


def cells_of(grade: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Return how many actors of a grade there are, and how many are noticed within their third probe, and ever."""
    if grade is None:
        return "0", "-", "-"
    return str(grade["actors"]), share(grade["within_third"]), share(grade["detected"])


def within(found: Mapping[str, Any] | None) -> str:
    """Return what is found within the third probe, of the grades that are compared."""
    if found is None:
        return "-"
    return ", ".join(
        f"{found['grades'][grade]['within_third']['value']:.0%}"
        for grade in COMPARED
        if grade in found["grades"]
    )


if __name__ == "__main__":
    print("\n".join(tables(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
