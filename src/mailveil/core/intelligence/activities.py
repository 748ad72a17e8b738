"""Activities: a dossier as analysts see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mailveil.core.intelligence.aim import Aim
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.memos import size_of
from mailveil.core.intelligence.scoring import Scored
from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.techniques import learned_from, risk_of_activity, techniques_of
from mailveil.core.intelligence.types import (
    Activity,
    Attribution,
    Infrastructure,
    Probe,
    Role,
    Target,
    attribution_of,
)

#: From here on an activity is shown; below it is one of the many who count openings.
SHOWN_SCORE: Final = 0.15
#: What a message merely says of itself: anybody can write any name there.
_CLAIMED: Final = frozenset({Role.SENDER_DOMAIN, Role.REPLY_DOMAIN})


def activity_from(
    dossier: Memo, organisation: str, scored: Scored, aim: Aim, settings: StudySettings
) -> Activity:
    """Return the activity that a dossier makes, as it stands now."""
    kinds = set(dossier["kinds"])
    risk = risk_of_activity(
        scored.score, kinds, has_high_value=aim.high > 0, alert_score=settings.alert_score
    )
    return Activity(
        identifier=dossier["id"],
        organisation=organisation,
        actor=dossier["actor"],
        first_at=dossier["first"],
        last_at=dossier["last"],
        score=scored.score,
        risk=risk,
        reasons=scored.reasons,
        techniques=techniques_of(dossier),
        learned=learned_from(dossier),
        kinds=tuple(sorted(kinds)),
        attribution=attribution_in(dossier),
        infrastructure=tuple(
            Infrastructure(Role(role), value, first, last, messages, shared=bool(shared))
            for role, value, first, last, messages, shared in dossier["infra"]
        ),
        targets=tuple(_target(each, settings) for each in dossier["targets"]),
        probes=tuple(map(_probe, dossier["timeline"])),
        follow_ups=tuple(map(_probe, dossier["follow"])),
        total_messages=dossier["messages"] + dossier["follows"],
        total_probes=dossier["probes"],
        total_people=max(len(dossier["targets"]), size_of(dossier["people"])),
        alerted_at=dossier["alerted"],
        threads=tuple(dossier["threads"]),
        claimed_domains=tuple(
            dict.fromkeys(
                each[1]
                for each in dossier["infra"]
                if each[0] in _CLAIMED and each[1] not in dossier.get("proved", ())
            )
        ),
        personal_names=tuple(dossier.get("personal", ())),
        named_function=aim.function,
    )


def activity_merged(dossier: Memo, organisation: str, into: str) -> Activity:
    """Return what is left of an activity that turned out to be part of another."""
    return Activity(
        identifier=dossier["id"],
        organisation=organisation,
        actor=dossier["actor"],
        first_at=dossier["first"],
        last_at=dossier["last"],
        score=0.0,
        merged_into=into,
        personal_names=tuple(dossier.get("personal", ())),
    )


def attribution_in(dossier: Memo) -> Attribution:
    """Return whose the tracking of a dossier is, by the tracker that tells most."""
    return attribution_of(dossier["best"].get("attribution", {}))


def _probe(entry: Sequence[Any]) -> Probe:
    at, message, person, sender_domain, kinds, template, host, vector = entry
    return Probe(at, message, person, sender_domain, tuple(kinds), template, host, vector)


def _target(entry: Sequence[Any], settings: StudySettings) -> Target:
    person, first, last, probes, _ = entry
    marked = settings.people.get(person)
    if marked is None:
        return Target(person, first, last, probes)
    return Target(person, first, last, probes, marked.function, marked.is_high_value)
