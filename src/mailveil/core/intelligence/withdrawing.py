"""Withdrawing: what one message gave to a dossier is kept for a while, so that it can be taken back exactly. Pure.

The judge may find later that a tracker was none, or of another kind. What was counted then goes as it came; where a
message is one of too many since, it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.dossier import COUNTED, variation_of
from mailveil.core.intelligence.memos import digest, member
from mailveil.core.intelligence.sight import Sight

#: Messages of a dossier that can be taken back, the latest: judges change their mind within minutes.
MAX_GIVEN: Final = 24
_GROWING: Final = ("probes", *COUNTED)
# What an actor keeps of whom nothing is left: who it is, and what people said or were told of it.
_KEPT: Final = (
    "id", "organisation", "actor", "first", "last", "absorbed", "alerted", "told", "told_days", "verdict", "learned",
    "personal",
)  # fmt: skip


def with_given(dossier: Memo, before: Memo, sight: Sight) -> Memo:
    """Return a dossier in which it stands what a message gave to it; ``before`` is the dossier without that."""
    counts = {
        name: round(dossier[name] - before[name], 4) for name in _GROWING if dossier[name] != before[name]
    }
    known = {_place(each): each[4] for each in before["infra"]}
    places = [_place(each) for each in dossier["infra"] if each[4] != known.get(_place(each), 0)]
    grown = [
        [each for each, count in dossier[name].items() if count != before[name].get(each, 0)]
        for name in ("kinds", "operators")
    ]
    entry = [sight.message, counts, *grown, places, variation_of(sight)]
    return {**dossier, "given": [*dossier.get("given", ()), entry][-MAX_GIVEN:]}


def can_be_withdrawn(dossier: Memo, message: str) -> bool:
    """Tell whether it is known what a message gave to a dossier."""
    entry = _given(dossier, message)
    listed = sum(each[1] == message for each in dossier["timeline"]) if entry else 0
    return entry is not None and listed == entry[1].get("probes", 0)


def is_private(dossier: Memo, message: str) -> bool:
    """Tell whether a message that can be withdrawn had tracking of its sender's own."""
    entry = _given(dossier, message)
    return entry is not None and entry[1].get("private", 0) > 0


def without_probe(dossier: Memo, sight: Sight) -> Memo:
    """Return a dossier without a message that can be withdrawn.

    What is known of it as a whole alone stays: its authors, the tracker that told most, crowds too large to be told
    apart. Where it was the only message, nothing stays but who the actor is and what people were told.
    """
    message = sight.message
    entry = _given(dossier, message)
    if entry is None:
        return dossier
    _, counts, kinds, operators, places, _ = entry
    dossier = {**dossier, "given": [each for each in dossier["given"] if each[0] != message]}
    for name, count in counts.items():
        dossier[name] = max(0, round(dossier[name] - count, 4))
    if not dossier["messages"]:
        return _emptied(dossier)
    for name, gone in (("kinds", kinds), ("operators", operators)):
        left = {each: count - (each in gone) for each, count in dossier[name].items()}
        dossier[name] = {each: count for each, count in left.items() if count > 0}
    infra = [[*each[:4], each[4] - (_place(each) in places), *each[5:]] for each in dossier["infra"]]
    dossier["infra"] = [each for each in infra if each[4] > 0]
    dossier["threads"] = [each for each in dossier["threads"] if each != sight.thread]
    people = [each[2] for each in dossier["timeline"] if each[1] == message and each[2]]
    dossier["timeline"] = [each for each in dossier["timeline"] if each[1] != message]
    _forget_people(dossier, people)
    _date(dossier)
    return dossier


def without_follow_up(dossier: Memo, message: str) -> Memo:
    """Return a dossier without a message that was written down as one without a tracker."""
    left = [each for each in dossier["follow"] if each[1] != message]
    gone = len(dossier["follow"]) - len(left)
    return {**dossier, "follow": left, "follows": dossier["follows"] - gone} if gone else dossier


def _given(dossier: Memo, message: str) -> Sequence[Any] | None:
    return next((each for each in dossier.get("given", ()) if each[0] == message), None)


def _place(entry: Sequence[Any]) -> str:
    return digest(entry[0], entry[1], size=4)


def _forget_people(dossier: Memo, people: Sequence[str]) -> None:
    """Have a message no longer count for whom it was aimed at."""
    targets = {each[0]: each for each in dossier["targets"]}
    for person in people:
        if person not in targets:
            continue
        left = targets[person][3] - 1
        if left > 0:
            targets[person] = _with_the_rest(dossier, [*targets[person][:3], left, targets[person][4]])
            continue
        del targets[person]
        if not isinstance(dossier["people"], str):
            known = member(person)
            dossier["people"] = [each for each in dossier["people"] if each != known]
    dossier["targets"] = list(targets.values())


def _with_the_rest(dossier: Memo, target: list[Any]) -> list[Any]:
    """Return somebody with the times and ways of what is left, as far as all of it is known."""
    rest = [each for each in dossier["timeline"] if each[2] == target[0]]
    if len(rest) != target[3]:
        return target
    times = [each[0] for each in rest]
    ways = [_given(dossier, each[1]) for each in rest]
    known = [each[5] for each in ways if each is not None]
    variations = list(dict.fromkeys(known)) if len(known) == len(rest) else target[4]
    return [target[0], min(times), max(times), target[3], variations]


def _date(dossier: Memo) -> None:
    """Have a dossier begin and end with what is left of it, where all of that is known."""
    if len({each[1] for each in dossier["timeline"]}) != dossier["messages"]:
        return
    times = [each[0] for each in dossier["timeline"]]
    dossier["first"] = min(times)
    dossier["last"] = max((*times, *(each[0] for each in dossier["follow"])))


def _emptied(dossier: Memo) -> Memo:
    nothing: Memo = {
        "probes": 0, "people": [], "authors": [], "targets": [], "timeline": [], "follow": [], "follows": 0,
        "infra": [], "senders": [], "kinds": {}, "operators": {}, "novelty": 0.0, "shown": False, "top": 0.0,
        "best": {}, "partner": False, "proved": [], "threads": [], "given": [], **dict.fromkeys(COUNTED, 0),
    }  # fmt: skip
    return {**nothing, **{name: dossier[name] for name in _KEPT if name in dossier}}
