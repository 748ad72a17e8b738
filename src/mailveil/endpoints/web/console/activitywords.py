"""Activity words: how pages say who watches whom, how sure that is and why. Pure: records in, words and bars out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailveil.control.activityrecords import CLOSED_AFTER_S, ActivityFile
from mailveil.core.intelligence.scoring import PRIOR
from mailveil.core.intelligence.types import (
    Activity,
    ActivityState,
    AlertKind,
    AnalystVerdict,
    Attribution,
    Nature,
    Reason,
    Target,
    Technique,
    TechniqueShown,
    Tooling,
)
from mailveil.endpoints.web.console.timelines import Pulse, pulse
from mailveil.endpoints.web.console.wording import plural

MOST_FUNCTIONS = 3  # that a line names
NAMED_PEOPLE = 2  # whom a heading names; more are counted
MIDDLE = 50.0

STATES: Mapping[ActivityState, tuple[str, str]] = {
    ActivityState.ACTIVE: ("alarm", "active"),
    ActivityState.QUIET: ("note", "quiet"),
    ActivityState.CLOSED: ("", "closed"),
}
VERDICTS: Mapping[AnalystVerdict, tuple[str, str]] = {
    AnalystVerdict.OPEN: ("", "not decided"),
    AnalystVerdict.CONFIRMED: ("alarm", "confirmed"),
    AnalystVerdict.BENIGN: ("good", "harmless"),
}
NATURES: Mapping[Nature, tuple[str, str]] = {
    Nature.BULK: ("accent", "mailing"),
    Nature.PERSONAL: ("good", "letters"),
    Nature.TARGETED: ("alarm", "targeted"),
    Nature.UNKNOWN: ("", "unknown"),
}
TOOLING: Mapping[Tooling, tuple[str, str]] = {
    Tooling.BOUGHT: ("second", "bought"),
    Tooling.BUILT: ("alarm", "built"),
    Tooling.UNKNOWN: ("", "unknown"),
}
ALERTS: Mapping[AlertKind, tuple[str, str]] = {
    AlertKind.RECONNAISSANCE: ("alarm", "reconnaissance"),
    AlertKind.ESCALATION: ("alarm", "worse than before"),
    AlertKind.FOLLOW_UP: ("note", "mail of a known spy"),
}
TECHNIQUES: Mapping[Technique, str] = {
    Technique.PHISHING_FOR_INFORMATION: "Phishing for Information",
    Technique.SPEARPHISHING_LINK: "Phishing for Information: Spearphishing Link",
    Technique.VICTIM_IDENTITY: "Gather Victim Identity Information",
    Technique.VICTIM_NETWORK: "Gather Victim Network Information: IP Addresses",
    Technique.VICTIM_HOST: "Gather Victim Host Information",
}


@dataclass(frozen=True, slots=True)
class Weighed:
    """A reason as a bar from the middle: ``x`` and ``width`` in percent, to the right where it speaks for it."""

    words: str
    code: str
    figure: str
    is_for: bool
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A technique with what it is called, where that is explained, and what shows it."""

    identifier: str
    name: str
    address: str
    because: str


@dataclass(frozen=True, slots=True)
class Line:
    """One activity in the list."""

    file: ActivityFile
    state: ActivityState
    functions: str
    high_value: int
    pulse: Pulse


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom an activity was aimed at; ``later`` is how many messages without a tracker reached them."""

    person: str
    function: str
    is_high_value: bool
    probes: int
    later: int
    last_at: float


def people_of(activity: Activity) -> tuple[Person, ...]:
    """Return whom an activity was aimed at: of high value first, then who got later mail, then who was probed most.

    Later mail is what probes prepare, so whoever got it is named, probed or not.
    """
    later: dict[str, list[float]] = {}
    for each in activity.follow_ups:
        if each.person:
            later.setdefault(each.person, []).append(each.at)
    found = [
        Person(
            each.person,
            each.function,
            each.is_high_value,
            each.probes,
            len(times := later.pop(each.person, [])),
            max([each.last_at, *times]),
        )
        for each in activity.targets
    ]
    found += [Person(name, "", False, 0, len(times), max(times)) for name, times in later.items()]
    return tuple(
        sorted(found, key=lambda each: (not each.is_high_value, -each.later, -each.probes, each.person))
    )


def line_of(file: ActivityFile, now: float, days: int) -> Line:
    """Return what the list shows of an activity; its sparkline goes back for ``days``."""
    activity = file.activity
    return Line(
        file=file,
        state=file.state(now),
        functions=functions_of(activity.targets),
        high_value=high_value_of(activity),
        pulse=pulse(activity.probes, now, days, activity.total_probes),
    )


def high_value_of(activity: Activity) -> int:
    """Return how many of the people are of high value."""
    return sum(each.is_high_value for each in activity.targets)


def functions_of(targets: Sequence[Target], most: int = MOST_FUNCTIONS) -> str:
    """Return what the people of an activity do, those first of whom there are most."""
    counts: dict[str, int] = {}
    for each in targets:
        if each.function:
            counts[each.function] = counts.get(each.function, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))
    shown = names[:most]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return listed(shown)


def listed(words: Sequence[str]) -> str:
    """Return words as a list to read: a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def whom(activity: Activity) -> str:
    """Return whom an activity is aimed at: one or two by name, more as a number."""
    names = [each.person for each in activity.targets]
    people = max(activity.total_people, len(names))
    if names and people == len(names) <= NAMED_PEOPLE:
        return listed(names)
    return plural(people, "person", "people") if people else "nobody by name"


def does(state: ActivityState) -> str:
    """Return what somebody does or did."""
    return "is watching" if state is ActivityState.ACTIVE else "watched"


def seen_of(file: ActivityFile) -> str:
    """Return what tells two verdicts apart, for a form to bring back what it was made from."""
    return f"{file.verdict} {file.decided_at!r}"


def is_long_silent(file: ActivityFile, now: float) -> bool:
    """Tell whether so long nothing came that it is closed whatever people say."""
    return now - file.activity.last_at >= CLOSED_AFTER_S


def opinion(file: ActivityFile) -> str:
    """Return how sure it is, in a sentence: what an analyst said goes before what was worked out."""
    sure = sureness(file.activity.score)
    if file.verdict is AnalystVerdict.CONFIRMED:
        return f"{file.decided_by or 'An analyst'} confirmed that this is reconnaissance; mailveil was {sure} sure."
    if file.verdict is AnalystVerdict.BENIGN:
        return (
            f"{file.decided_by or 'An analyst'} found it harmless; mailveil was {sure} sure of the contrary."
        )
    return f"mailveil is {sure} sure that this is reconnaissance."


def sureness(score: float) -> str:
    """Return a score as a share that is never nothing nor everything."""
    return f"{min(0.99, max(0.01, score)):.0%}"


def weighed(reasons: Sequence[Reason]) -> tuple[Weighed, ...]:
    """Return reasons with their bars, those that weigh most first, for and against together."""
    most = max((abs(each.weight) for each in reasons), default=0) or 1.0
    bars = []
    for each in sorted(reasons, key=lambda each: (-abs(each.weight), each.code)):
        width = round(MIDDLE * abs(each.weight) / most, 2)
        is_for = each.weight >= 0
        x = MIDDLE if is_for else round(MIDDLE - width, 2)
        sign = "+" if is_for else "−"
        bars.append(Weighed(each.words, each.code, f"{sign}{abs(each.weight):.1f}", is_for, x, width))
    return tuple(bars)


def prior_words() -> str:
    """Return what is thought of anybody who tracks before there is any reason."""
    odds = math.exp(PRIOR)
    return f"−{abs(PRIOR):.1f} ({odds / (1 + odds):.1%})"


def techniques_of(shown: Sequence[TechniqueShown]) -> tuple[Shown, ...]:
    """Return techniques with their names and where MITRE explains them."""
    return tuple(
        Shown(
            str(each.technique),
            TECHNIQUES[each.technique],
            f"https://attack.mitre.org/techniques/{each.technique.replace('.', '/')}/",
            each.because,
        )
        for each in shown
    )


def tooling_sentence(attribution: Attribution) -> str:
    """Return whose tracking it is, in a sentence without names from outside: those stand beside it."""
    match attribution.tooling:
        case Tooling.BOUGHT:
            return "They bought their tracking from a vendor."
        case Tooling.BUILT:
            return "They built their tracking themselves."
        case _:
            return "Whether they bought or built their tracking is not known."
