"""Alerts: when people are told. Once that an activity is worth looking at, then only of what is worse or new."""

from __future__ import annotations

from typing import Final

from mailveil.core.intelligence.aim import Aim
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.dossier import identifier_at
from mailveil.core.intelligence.memos import digest
from mailveil.core.intelligence.scoring import Scored
from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.sight import Sight
from mailveil.core.intelligence.techniques import kinds_in_words
from mailveil.core.intelligence.types import DAY_S, Alert, AlertKind

_RISKY: Final = frozenset({"credential", "device", "dns", "dwell", "location"})
_MAX_SENDERS: Final = 20  # of whom it is remembered when people were told
_PAUSES_DAYS: Final = (1, 7, 30)  # between alerts that an actor writes: whoever was told twice knows
_NAMED_REASONS: Final = 3
_FALLEN: Final = 0.5  # of the score that alerts: below it, nothing that follows is worth telling


def with_alerts(
    dossier: Memo, sight: Sight, scored: Scored, aim: Aim, settings: StudySettings
) -> tuple[Memo, tuple[Alert, ...]]:
    """Return a dossier and what people are to be told after one more probe."""
    if scored.score < settings.alert_score or dossier["verdict"] == "benign":
        return dossier, ()
    high = {
        digest(each[0], size=4)
        for each in dossier["targets"]
        if each[0] in settings.people and settings.people[each[0]].is_high_value
    }
    kinds = set(dossier["kinds"]) & _RISKY
    senders = set(dossier["senders"])
    day = int(sight.at // DAY_S)
    told = dossier.get("told")
    now = {"high": sorted(high)[:50], "kinds": sorted(kinds), "senders": sorted(senders), "day": day}
    if not dossier["alerted"] or told is None:
        dossier = {**dossier, "alerted": sight.at, "told": now}
        return dossier, (
            _alert(
                AlertKind.RECONNAISSANCE,
                dossier,
                sight,
                scored,
                _opening(dossier, scored, aim),
                function=aim.function,
            ),
        )
    news = _news(told, high, kinds, senders)
    if not news or day == told["day"]:
        return dossier, ()
    words = f"{dossier['actor']} goes on, and now {' and '.join(news)}"
    return {**dossier, "told": now}, (_alert(AlertKind.ESCALATION, dossier, sight, scored, words),)


def with_follow_up_alert(
    dossier: Memo, sight: Sight, scored: Scored, because: str, settings: StudySettings
) -> tuple[Memo, tuple[Alert, ...]]:
    """Return a dossier and what people are to be told of later mail of an actor whom they know.

    Nothing where the score has fallen far since: it has turned out to be somebody who sends mailings.
    """
    is_confirmed = dossier["verdict"] == "confirmed"
    if scored.score < settings.alert_score * _FALLEN and not is_confirmed:
        return dossier, ()
    if not dossier["alerted"] and not is_confirmed:
        return dossier, ()
    if dossier["verdict"] == "benign":
        return dossier, ()
    day = int(sight.at // DAY_S)
    who = sight.sender or sight.sender_domain or "nobody"
    days = dict(dossier.get("told_days", {}))
    latest, times = days.get(who, (day, 0))
    if times and abs(day - latest) < _PAUSES_DAYS[min(times, len(_PAUSES_DAYS)) - 1]:
        return dossier, ()
    days[who] = [day, times + 1]
    while len(days) > _MAX_SENDERS:
        days.pop(min(days, key=lambda each: (days[each][0], each)))
    sender, actor = sight.sender or "somebody", dossier["actor"]
    if sender == actor:
        words = f"{actor} probed people here before and {because}"
    else:
        words = f"{sender} {because}; it belongs with {actor}, which probed people here before"
    dossier = {**dossier, "told_days": days}
    return dossier, (_alert(AlertKind.FOLLOW_UP, dossier, sight, scored, words),)


def _news(told: Memo, high: set[str], kinds: set[str], senders: set[str]) -> list[str]:
    news = []
    if high - set(told["high"]):
        news.append("probes more people of high value")
    if fresh := sorted(kinds - set(told["kinds"])):
        news.append(f"would learn more: {kinds_in_words(fresh)}")
    if senders - set(told["senders"]):
        news.append("writes under another name")
    return news


def _opening(dossier: Memo, scored: Scored, aim: Aim) -> str:
    people = "one person" if aim.people <= 1 else f"{aim.people} people"
    days = int((dossier["last"] - dossier["first"]) // DAY_S)
    since = "within a day" if days < 1 else f"in {days} {'day' if days == 1 else 'days'}"
    reasons = [each.words for each in scored.reasons if each.weight > 0][:_NAMED_REASONS]
    return f"{dossier['actor']} probed {people} {since}: {'; '.join(reasons)}"


def _alert(
    kind: AlertKind, dossier: Memo, sight: Sight, scored: Scored, words: str, *, function: str = ""
) -> Alert:
    return Alert(
        identifier=identifier_at(
            sight.at, "alert", sight.organisation, str(kind), dossier["id"], sight.message
        ),
        organisation=sight.organisation,
        at=sight.at,
        kind=kind,
        activity=dossier["id"],
        message=sight.message,
        words=words[:1_000],
        score=scored.score,
        sender_domain=sight.sender_domain,
        people=sight.people,
        earlier=dossier["first"] if kind is not AlertKind.RECONNAISSANCE else 0.0,
        personal_names=tuple(dossier.get("personal", ())),
        named_function=function,
    )
