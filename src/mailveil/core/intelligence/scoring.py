"""Scoring: what speaks for reconnaissance and what against it, in log-odds, and the score that it makes.

Evidence is of several families: who writes, with what, to whom, how, and what would be told. An activity scores above
one half only where several families speak for it: one new sender of a newsletter has a new domain and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from mailveil.core.intelligence.aim import Aim
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.lessons import factor_of
from mailveil.core.intelligence.memos import size_of
from mailveil.core.intelligence.techniques import kinds_in_words
from mailveil.core.intelligence.types import DAY_S, ONE_FUNCTION, Reason


class Family(StrEnum):
    """What a reason is about."""

    WHO = "who"
    TOOL = "tool"
    AIM = "aim"
    STYLE = "style"
    KIND = "kind"
    AGAINST = "against"
    ANALYST = "analyst"


@dataclass(frozen=True, slots=True)
class Weight:
    """What a reason weighs at most, in log-odds, and what it is about. Codes are permanent."""

    family: Family
    most: float


#: All reasons with what they weigh at most. Codes are permanent; ``docs/reconnaissance.md`` explains each.
WEIGHTS: Final[Mapping[str, Weight]] = {
    "NEW_SENDER": Weight(Family.WHO, 0.9),
    "LOOKS_LIKE_US": Weight(Family.WHO, 4.5),
    "LOOKS_LIKE_CORRESPONDENT": Weight(Family.WHO, 4.0),
    "SENDER_UNPROVEN": Weight(Family.WHO, 1.4),
    "SENDER_UNSIGNED": Weight(Family.WHO, 1.3),
    "CLAIMS_TO_BE_US": Weight(Family.WHO, 1.2),
    "FREE_MAIL_PRIVATE_TRACKER": Weight(Family.WHO, 3.2),
    "REPLY_ELSEWHERE": Weight(Family.WHO, 1.3),
    "TRACKS_AFTER_QUIET": Weight(Family.WHO, 3.2),
    "SEVERAL_DOMAINS": Weight(Family.WHO, 1.7),
    "OWN_TRACKER": Weight(Family.TOOL, 1.5),
    "FOREIGN_TRACKER": Weight(Family.TOOL, 0.5),
    "OWN_NAME_SERVERS": Weight(Family.TOOL, 0.7),
    "TRACKER_WITHOUT_NAME": Weight(Family.TOOL, 0.8),
    "PHISHING_TOOL": Weight(Family.TOOL, 2.5),
    "ONE_FUNCTION": Weight(Family.AIM, 1.6),
    "HIGH_VALUE_PEOPLE": Weight(Family.AIM, 0.4),
    "SEVERAL_PEOPLE": Weight(Family.AIM, 0.1),
    "PROBED_WITH_VARIATIONS": Weight(Family.AIM, 0.8),
    "PROBED_PATIENTLY": Weight(Family.AIM, 1.5),
    "LITTLE_TEXT": Weight(Family.STYLE, 2.9),
    "LETTER_WITH_TRACKER": Weight(Family.STYLE, 0.2),
    "NO_UNSUBSCRIBE": Weight(Family.STYLE, 0.2),
    "RISKY_KINDS": Weight(Family.KIND, 3.6),
    "LIST_MAIL": Weight(Family.AGAINST, -1.4),
    "BULK": Weight(Family.AGAINST, -3.0),
    "KNOWN_VENDOR": Weight(Family.AGAINST, -3.0),
    "SHARED_TRACKER": Weight(Family.AGAINST, -1.9),
    "KNOWN_SOFTWARE": Weight(Family.AGAINST, -0.6),
    "MUCH_TEXT": Weight(Family.AGAINST, -1.0),
    "SALES_SEQUENCE": Weight(Family.AGAINST, -1.5),
    "DOUBTFUL_TRACKER": Weight(Family.AGAINST, -0.1),
    "WE_WRITE_TO_THEM": Weight(Family.AGAINST, -0.6),
    "LONG_HISTORY": Weight(Family.AGAINST, -1.8),
    "COMPANY_WIDE": Weight(Family.AGAINST, -1.2),
    "ANALYST_CONFIRMED": Weight(Family.ANALYST, 5.0),
    "ANALYST_BENIGN": Weight(Family.ANALYST, -6.0),
}
#: Log-odds that anybody who tracks at all is on reconnaissance.
PRIOR: Final = -6.0
_LEAST_FAMILIES: Final = 3
#: Reasons of which one lets a single message be enough.
_TELLING_AT_ONCE: Final = frozenset(
    {"CLAIMS_TO_BE_US", "LOOKS_LIKE_CORRESPONDENT", "LOOKS_LIKE_US", "PHISHING_TOOL"}
    | {"RISKY_KINDS", "SENDER_UNPROVEN", "SEVERAL_DOMAINS", "TRACKS_AFTER_QUIET"}
)
_HURRY_DAYS: Final = 7.0  # within which sellers remind people; whoever waits for longer sells nothing
_WITHOUT_THEM: Final = -0.5  # what the sum reaches at most where fewer families speak for it
_KINDS: Final[Mapping[str, float]] = {
    "credential": 3.2, "dwell": 1.2, "dns": 1.2, "location": 1.0, "device": 1.0, "identity": 2.2, "interaction": 0.6,
    "receipt": 0.8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scored:
    """What an activity weighs, and why: the weightiest reason first."""

    score: float
    log_odds: float
    reasons: tuple[Reason, ...]


def score(dossier: Memo, aim: Aim, lessons: Mapping[str, Any]) -> Scored:
    """Return what a dossier weighs; ``lessons`` is what analysts taught (``lessons.py``)."""
    found: list[Reason] = []
    _who(dossier, found)
    _tool(dossier, found)
    _aim(dossier, aim, found)
    _style(dossier, found)
    _kinds(dossier, found)
    _against(dossier, aim, found)
    found = [_taught(each, lessons) for each in found]
    total = PRIOR + sum(each.weight for each in found)
    families = {WEIGHTS[each.code].family for each in found if each.weight >= 0.25}
    # What lies behind a host is known only after the first message that names it.
    is_single = dossier["messages"] < 2 and not any(each.code in _TELLING_AT_ONCE for each in found)
    if len(families) < _LEAST_FAMILIES or is_single:
        total = min(total, _WITHOUT_THEM)
    found += _by_analysts(dossier)
    total += sum(each.weight for each in found if WEIGHTS[each.code].family is Family.ANALYST)
    found.sort(key=lambda each: (-abs(each.weight), each.code))
    return Scored(round(1 / (1 + math.exp(-max(-30.0, min(30.0, total)))), 4), round(total, 3), tuple(found))


def _who(dossier: Memo, found: list[Reason]) -> None:
    if dossier["novelty"] > 0:
        days = int(dossier.get("watched_s", 0) // DAY_S)
        _add(
            found,
            "NEW_SENDER",
            dossier["novelty"],
            f"began to track as soon as it first wrote; in {days} days before nobody had heard of it",
        )
    if like := dossier.get("like"):
        code = "LOOKS_LIKE_US" if like[2] == "own" else "LOOKS_LIKE_CORRESPONDENT"
        whom = "your domain" if like[2] == "own" else "your correspondent"
        _add(found, code, 1.0, f"{like[0]} may be taken for {whom} {like[1]}: {like[3]}")
    if share := _share(dossier, "unproven"):
        _add(
            found,
            "SENDER_UNPROVEN",
            share,
            "claims a domain that has always proved itself, and did not prove it",
        )
    if dossier["novelty"] > 0 and (share := _share(dossier, "unsigned")) >= 0.3:
        _add(found, "SENDER_UNSIGNED", share, "is new, and proves its domain by nothing, as nearly all do")
    if share := _share(dossier, "claims_us"):
        _add(found, "CLAIMS_TO_BE_US", share, "comes from outside under one of your own domains")
    if share := _share(dossier, "free_private"):
        _add(found, "FREE_MAIL_PRIVATE_TRACKER", share, "writes from free mail, with tracking of its own")
    if share := _share(dossier, "reply"):
        _add(found, "REPLY_ELSEWHERE", share, "answers would go to another domain")
    if (quiet := _quiet(dossier)) > 0:
        count, span_s, tracked = dossier["quiet"]
        words = f"{count} messages in {int(span_s // DAY_S)} days had no tracking of its own"
        _add(found, "TRACKS_AFTER_QUIET", quiet * (0.6 if tracked else 1.0), words)
    senders = len({each.removeprefix("~") for each in dossier["senders"]})
    if senders > 1:
        _add(
            found,
            "SEVERAL_DOMAINS",
            0.7 if senders == 2 else 1.0,
            f"the same tracking under {senders} senders",
        )


def _tool(dossier: Memo, found: list[Reason]) -> None:
    sure = 1.0 - 0.5 * _share(dossier, "doubtful")
    private = _share(dossier, "private")
    if private:
        kept = 0.6 if dossier["software"] else 1.0
        _add(
            found,
            "OWN_TRACKER",
            private * sure * kept,
            "its tracking is no vendor's, and nobody else uses it",
        )
    if share := _share(dossier, "foreign"):
        _add(
            found,
            "FOREIGN_TRACKER",
            share * sure,
            "the tracker reports to a domain that has nothing to do with the sender",
        )
    if share := _share(dossier, "own_names"):
        _add(found, "OWN_NAME_SERVERS", share, "name servers of its own see every look-up")
    if share := _share(dossier, "numbers"):
        _add(found, "TRACKER_WITHOUT_NAME", share, "the tracker's host is a bare address or an odd port")
    if dossier["phishing"]:
        _add(found, "PHISHING_TOOL", 1.0, "the tracking is that of software for phishing")


def _aim(dossier: Memo, aim: Aim, found: list[Reason]) -> None:
    spread = _spread(dossier)
    if aim.function_evidence > 0:
        words = f"{aim.function_people} of {aim.people} people {ONE_FUNCTION}: {aim.function}"
        _add(found, "ONE_FUNCTION", aim.function_evidence * spread, words)
    if aim.high_evidence > 0:
        noun = "person" if aim.high == 1 else "people"
        _add(
            found,
            "HIGH_VALUE_PEOPLE",
            aim.high_evidence * spread,
            f"aimed at {aim.high} {noun} of high value",
        )
    if aim.people >= 2:
        part = {2: 0.5, 3: 0.9}.get(aim.people, 1.0)
        _add(found, "SEVERAL_PEOPLE", part * spread, f"{aim.people} people were probed one by one")
    if aim.variations >= 2:
        part = 0.7 if aim.variations == 2 else 1.0
        words = f"one person was probed in {aim.variations} different ways"
        _add(found, "PROBED_WITH_VARIATIONS", part * spread, words)
    if dossier["novelty"] > 0 and aim.pause_days > _HURRY_DAYS and _share(dossier, "lists") < 0.5:
        part = min(1.0, (aim.pause_days - _HURRY_DAYS) / 5)
        words = f"the same person again every {round(aim.pause_days)} days, without being in a hurry"
        _add(found, "PROBED_PATIENTLY", part * spread, words)


def _style(dossier: Memo, found: list[Reason]) -> None:
    private = min(1.0, _share(dossier, "private") + _share(dossier, "phishing"))
    if share := _share(dossier, "little"):
        _add(found, "LITTLE_TEXT", share, "there is little to read")
    if share := _share(dossier, "letters") * private:
        _add(
            found,
            "LETTER_WITH_TRACKER",
            share,
            "looks like a letter to one person, and letters carry no tracking",
        )
    if (share := _share(dossier, "bare")) >= 0.5:
        _add(found, "NO_UNSUBSCRIBE", share, "offers no way to unsubscribe")


def _kinds(dossier: Memo, found: list[Reason]) -> None:
    weight = sum(_KINDS.get(kind, 0.0) for kind in dossier["kinds"])
    # Vendors measure devices and reading time for advertisers; everybody gets that.
    part = 1.0 if _share(dossier, "private") >= 0.5 or "credential" in dossier["kinds"] else 0.4
    if weight > 0:
        named = kinds_in_words(kind for kind in dossier["kinds"] if kind in _KINDS)
        most = WEIGHTS["RISKY_KINDS"].most
        _add(
            found,
            "RISKY_KINDS",
            min(1.0, weight / most) * part,
            f"would have told more than an opening: {named}",
        )


def _against(dossier: Memo, aim: Aim, found: list[Reason]) -> None:
    history = dossier.get("history", {})
    people = size_of(dossier["people"])
    listed, bought = _share(dossier, "lists"), _share(dossier, "bought")
    quiet = _quiet(dossier)
    is_credible = not _imitates_us(dossier)
    if listed >= 0.5 and is_credible:
        _add(found, "LIST_MAIL", listed, "declares itself as list mail, with a way to unsubscribe")
    if people >= 8:
        declared = max(listed, bought, 1.0 if people >= 60 else 0.0, _share(dossier, "shared"))
        part = min(1.0, math.log2(people / 5) / 4) * (0.25 + 0.75 * declared)
        _add(found, "BULK", part, f"about {people} people get the same")
    if bought:
        confidence = dossier["best"].get("attribution", {}).get("confidence", 0.5) if bought == 1.0 else 0.7
        names = ", ".join(sorted(dossier["operators"])) or "a vendor"
        _add(found, "KNOWN_VENDOR", bought * max(0.4, confidence), f"tracks with {names}, as many do")
    if share := _share(dossier, "shared"):
        _add(found, "SHARED_TRACKER", share, "senders with a long history use the same tracking")
    if dossier["software"] and not dossier["phishing"]:
        _add(
            found,
            "KNOWN_SOFTWARE",
            _share(dossier, "software"),
            "tracks with software that many run for newsletters",
        )
    if is_credible and (share := _share(dossier, "much")):
        _add(found, "MUCH_TEXT", share, "there is much to read")
    is_hurried = aim.most_probes >= 2 and aim.pause_days <= _HURRY_DAYS and aim.variations <= 2
    if dossier["novelty"] > 0 and is_hurried and listed < 0.5:
        _add(found, "SALES_SEQUENCE", 1.0, "reminds people within days, as sellers do")
    if (share := _share(dossier, "doubtful")) >= 0.5:
        _add(found, "DOUBTFUL_TRACKER", share, "what it carries may be an ordinary picture")
    if submitted := history.get("submitted", 0):
        part = (0.5 if submitted == 1 else 0.75 if submitted <= 3 else 1.0) * (1.0 - 0.7 * quiet)
        if not history.get("submitted_before"):
            part *= 0.7  # an answer may be what the probe was for
        _add(found, "WE_WRITE_TO_THEM", part, f"your people wrote to it {submitted} times")
    tracked = history.get("tracked", 0)
    if (
        history.get("age_s", 0.0) >= 60 * DAY_S
        and tracked >= 10
        and history.get("days", 0) >= 6
        and not quiet
    ):
        part = min(1.0, tracked / 20) * (1.0 if history["proven"] >= 0.8 * history["messages"] else 0.6)
        days = int(history["age_s"] // DAY_S)
        part *= max(listed, 0.5)
        _add(found, "LONG_HISTORY", part, f"has tracked the same way for {days} days")
    authors = size_of(dossier["authors"])
    if dossier["partner"] and authors >= 3 and not listed:
        _add(found, "COMPANY_WIDE", min(1.0, authors / 5), f"{authors} people of the sender do the same")


def _by_analysts(dossier: Memo) -> list[Reason]:
    found: list[Reason] = []
    if dossier["verdict"] == "confirmed":
        _add(found, "ANALYST_CONFIRMED", 1.0, "an analyst confirmed it")
    elif dossier["verdict"] == "benign":
        _add(found, "ANALYST_BENIGN", 1.0, "an analyst found it harmless")
    return found


def _imitates_us(dossier: Memo) -> bool:
    """Tell whether somebody tracks under a name like ours: what is had at no cost, words or fields, clears them not."""
    like = dossier.get("like")
    return bool(like and like[2] == "own" and _share(dossier, "private") >= 0.5)


def _quiet(dossier: Memo) -> float:
    """Return how surprising it is that a known sender tracks now, 0 to 1."""
    count, span_s, _ = dossier.get("quiet", (0, 0.0, 0))
    if count < 5 or span_s < 14 * DAY_S:
        return 0.0
    return float(min(1.0, count / 10) * min(1.0, span_s / (30 * DAY_S)))


def _spread(dossier: Memo) -> float:
    """Return how much whom a sender reaches says: little where it reaches everybody."""
    people = size_of(dossier["people"])
    return 1.0 if people <= 12 else max(0.3, 12 / people)


def _taught(reason: Reason, lessons: Mapping[str, Any]) -> Reason:
    if reason.weight <= 0:
        return reason
    factor = factor_of(reason.code, lessons)
    return reason if factor == 1.0 else Reason(reason.code, round(reason.weight * factor, 3), reason.words)


def _share(dossier: Memo, name: str) -> float:
    return float(min(1.0, dossier[name] / dossier["messages"])) if dossier["messages"] else 0.0


def _add(found: list[Reason], code: str, part: float, words: str) -> None:
    weight = round(WEIGHTS[code].most * min(1.0, part), 3)
    if weight:
        found.append(Reason(code, weight, words))
