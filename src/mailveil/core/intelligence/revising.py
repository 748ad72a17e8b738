"""Revising: a message of which the judge thinks otherwise is taken back as it was studied, and studied as it is now.

It was one message of its sender all along: that is counted once. So are the places that it names, and its people among
those who get mail at all. A revision is a subject of its own, studied where it came in the order of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailveil.core.intelligence.activities import activity_from
from mailveil.core.intelligence.aim import aim_of
from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.installation import everybody
from mailveil.core.intelligence.lessons import lessons_of
from mailveil.core.intelligence.memos import key, recall
from mailveil.core.intelligence.messages import study_revised
from mailveil.core.intelligence.revisions import Revision, as_judged
from mailveil.core.intelligence.scoring import score
from mailveil.core.intelligence.senders import claimed_by, only_what_tracked, without_tracked
from mailveil.core.intelligence.servers import facts_by_host
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.sight import Sight, sight_of
from mailveil.core.intelligence.touching import message_keys
from mailveil.core.intelligence.types import Activity, InfrastructureFacts
from mailveil.core.intelligence.withdrawing import (
    can_be_withdrawn,
    is_private,
    without_follow_up,
    without_probe,
)

_ACTIVITY: Final = "activity "


def revision_keys(
    revision: Revision, book: Book, infrastructure: Mapping[str, InfrastructureFacts]
) -> set[str]:
    """Return the keys of the memos that a revision touches, as far as the book tells."""
    before, after = _sights(revision)
    keys = {_left_alone(before)}
    for each in (before, after):
        keys |= message_keys(each, book, infrastructure)
    return keys


def study_revision(
    revision: Revision,
    book: Book,
    settings: StudySettings,
    infrastructure: Mapping[str, InfrastructureFacts],
) -> Findings:
    """Take back what a message gave as it was studied, and study it as it stands now. Total.

    Where it is no longer known what it gave, it stays as it was studied, and all later revisions of it do nothing.
    """
    before, after = _sights(revision)
    if after.submitted or recall(book, _left_alone(before)):
        return Findings()
    names = sorted(
        each for each in revision_keys(revision, book, infrastructure) if each.startswith(_ACTIVITY)
    )
    dossiers = [memo for each in names if (memo := recall(book, each)) and "timeline" in memo]
    if not before.trackers:
        taken = [
            (each, left) for each in dossiers if (left := without_follow_up(each, before.message)) is not each
        ]
    else:
        taken = [
            (each, without_probe(each, before)) for each in dossiers if can_be_withdrawn(each, before.message)
        ][:1]
        if not taken:
            book.put(_left_alone(before), {"left": True})
            return Findings()
    sender = claimed_by(before, book)
    place = key("sender", sender)
    if before.trackers and (memo := recall(book, place)):
        private = is_private(taken[0][0], before.message)
        book.put(place, without_tracked(memo, private=private))
    told = [_put(left, book, settings) for _, left in taken]
    found = Findings()
    if after.trackers:
        facts = facts_by_host(after, book, infrastructure)
        found = study_revised(after, book, settings, facts, earlier=before, counted_for=sender)
    if memo := recall(book, place):
        book.put(place, only_what_tracked(memo))
    return Findings(
        (*(each for each, (was, _) in zip(told, taken, strict=True) if was["shown"]), *found.activities),
        found.campaigns,
        found.alerts,
        found.learned,
        tuple((left["id"], before.message) for _, left in taken),
    )


def _sights(revision: Revision) -> tuple[Sight, Sight]:
    """Return what a message shows as it was studied last, and as it stands now."""
    before, after = (as_judged(revision.message, each) for each in (revision.before, revision.after))
    return sight_of(before), sight_of(after)


def _left_alone(sight: Sight) -> str:
    """Return the key of the memo that says that a message stays as it was studied."""
    return key("revised", sight.message)


def _put(dossier: Memo, book: Book, settings: StudySettings) -> Activity:
    """Write down what is left of a dossier, and return the activity that it makes."""
    aim = aim_of(dossier, settings, everybody(book))
    scored = score(dossier, aim, lessons_of(book))
    dossier = {**dossier, "top": scored.score if dossier["messages"] else 0.0}
    book.put(key("activity", dossier["id"]), dossier)
    return activity_from(dossier, dossier["organisation"], scored, aim, settings)
