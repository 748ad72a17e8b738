"""Studying: one subject after the other into memos, and out of them activities, campaigns and alerts. Pure.

Whoever studies asks ``keys_of`` which memos a subject touches, loads them into the book, and asks again until nothing
is lacking: a memo may name another. Then ``study`` reads and writes the book. The same subjects in the same order give
the same memos and findings, however they were cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from mailveil.core.intelligence.activities import activity_from
from mailveil.core.intelligence.aim import aim_of
from mailveil.core.intelligence.book import Book
from mailveil.core.intelligence.installation import everybody, with_message
from mailveil.core.intelligence.lessons import lessons_of, with_verdict
from mailveil.core.intelligence.linking import chain_of, home_of
from mailveil.core.intelligence.memos import INSTALLATION, LESSONS, key, recall
from mailveil.core.intelligence.messages import study_message
from mailveil.core.intelligence.revising import revision_keys, study_revision
from mailveil.core.intelligence.revisions import Revision
from mailveil.core.intelligence.scoring import score
from mailveil.core.intelligence.senders import alike_keys, indexed, new_sender, sender_keys, with_submitted
from mailveil.core.intelligence.servers import facts_by_host
from mailveil.core.intelligence.serverstudy import server_keys, study_server
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.sight import Sight, sight_of
from mailveil.core.intelligence.touching import message_keys
from mailveil.core.intelligence.types import Decision, InfrastructureFacts
from mailveil.core.observation import Observation

Subject: TypeAlias = Observation | Decision | InfrastructureFacts | Revision
_NOTHING: Final[Mapping[str, InfrastructureFacts]] = {}


def keys_of(
    subject: Subject, book: Book, infrastructure: Mapping[str, InfrastructureFacts] = _NOTHING
) -> frozenset[str]:
    """Return the keys of the memos that have to be loaded before a subject can be studied, as far as the book tells.

    Ask again with what was loaded until ``book.lacks`` nothing of the answer; that takes a handful of rounds.
    """
    if isinstance(subject, Decision):
        return frozenset({LESSONS, INSTALLATION, *chain_of(subject.activity[:64], book)})
    if isinstance(subject, InfrastructureFacts):
        return frozenset(server_keys(subject, book))
    if isinstance(subject, Revision):
        return frozenset(revision_keys(subject, book, infrastructure))
    sight = sight_of(subject)
    if sight.submitted:
        return frozenset({INSTALLATION, *sender_keys(sight), *alike_keys(sight, book)})
    return frozenset(message_keys(sight, book, infrastructure))


def study(
    subject: Subject,
    book: Book,
    settings: StudySettings,
    infrastructure: Mapping[str, InfrastructureFacts] = _NOTHING,
) -> Findings:
    """Study one subject: read and write the book, and return what is new, each as it stands now. Total.

    ``infrastructure`` is what is known of hosts that was not studied as something of its own.
    """
    if isinstance(subject, Decision):
        return _study_decision(subject, book, settings)
    if isinstance(subject, InfrastructureFacts):
        return study_server(subject, book, settings)
    if isinstance(subject, Revision):
        return study_revision(subject, book, settings, infrastructure)
    sight = sight_of(subject)
    book.put(INSTALLATION, with_message(recall(book, INSTALLATION), sight))
    if sight.submitted:
        _study_submitted(sight, book)
        return Findings()
    return study_message(sight, book, settings, facts_by_host(sight, book, infrastructure))


def _study_submitted(sight: Sight, book: Book) -> None:
    """Remember to whom our people write: those are correspondents."""
    for each in sight.correspondents:
        place = key("sender", each)
        memo = with_submitted(recall(book, place) or new_sender(sight.at, book), sight)
        book.put(place, indexed(each, memo, book))


def _study_decision(decision: Decision, book: Book, settings: StudySettings) -> Findings:
    name = home_of(decision.activity[:64], book)
    dossier = recall(book, key("activity", name)) if name else None
    if dossier is None:
        return Findings()
    lessons, aim = lessons_of(book), aim_of(dossier, settings, everybody(book))
    dossier = with_verdict(dossier, decision.verdict, score(dossier, aim, lessons).reasons, book)
    scored = score(dossier, aim, lessons_of(book))
    dossier = {**dossier, "shown": True, "top": max(dossier["top"], scored.score)}
    book.put(key("activity", name), dossier)
    return Findings((activity_from(dossier, decision.organisation, scored, aim, settings),))
