"""Senders: what is remembered of each of them, since when, how often, whether we write to them, and whom they resemble.

History is credit, and credit can be stolen: mail that only claims a domain which has always proved itself is remembered
under a name of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.memos import (
    INSTALLATION,
    appended,
    key,
    recall,
    with_members,
)
from mailveil.core.intelligence.sight import Sight, is_nameable
from mailveil.core.intelligence.types import DAY_S
from mailveil.core.intelligence.vouching import vouched_for
from mailveil.core.recognition.freemail import is_free_mail
from mailveil.core.recognition.lookalike import look_alike_keys, looks_like

#: Messages of a sender up to which it can still be filed as an actor whose look-alikes are to be known.
FILED_WITHIN: Final = 40
#: Until then everybody is new to an installation, and being new means nothing.
WARM_UP_S: Final = 21 * DAY_S
_PROVES_ITSELF: Final = 5  # messages from which on a sender that always proved itself has to
_MAX_ALIKE: Final = 8  # domains under one key
#: For so long who imitates somebody may have been here before the one that is imitated.
_MAY_BE_EARLY_S: Final = 60 * DAY_S
_LEAST_OWN: Final = 5  # letters of a name of ours that can be imitated
_LOOKS: Final = str.maketrans({"0": "o", "1": "l", "3": "e", "5": "s"})
_MAX_WATCHED: Final = 40  # of an organisation's own domains


def sender_keys(sight: Sight) -> set[str]:
    """Return the keys of the memos of a message's sender, of those it may be, and of those we write to."""
    if sight.submitted:
        return {key("sender", each) for each in sight.correspondents}
    named = {sight.sender or _anonymous(sight)}
    if sight.sender and sight.proven is False:
        named.add(f"~{sight.sender}")
    return {key("sender", each) for each in named if each}


def alike_keys(sight: Sight, book: Book) -> set[str]:
    """Return the keys under which those stand whom a sender resembles, and under which it may have to stand itself.

    They are asked for as long as that can happen, not only when it does: a batch asks for all its keys beforehand.
    """
    keys: set[str] = set()
    for each in sight.correspondents if sight.submitted else (sight.sender_domain,):
        if not can_be_filed(each):
            continue
        memo = recall(book, key("sender", each)) or {}
        is_young = memo.get("messages", 0) <= FILED_WITHIN
        may_be_known = not memo.get("alike") and (sight.submitted or memo.get("submitted", 0) > 0)
        if may_be_known or (is_young and not sight.submitted):
            keys.update(key("alike", name) for name in look_alike_keys(each))
    return keys


def can_be_filed(name: str) -> bool:
    """Tell whether a sender has a domain of its own, which others may resemble."""
    return bool(name) and "@" not in name and name[0] not in "~?" and not is_free_mail(name)


def claimed_by(sight: Sight, book: Book) -> str:
    """Return by what a sender is remembered, ``""`` where there is nothing to know it again by.

    It is ``~shop.example`` where shop.example always proved itself and now did not, ``?px.example`` where nobody
    is named but where the tracker reports to.
    """
    if sight.sender and sight.proven is False:
        memo = recall(book, key("sender", sight.sender))
        if memo and memo["proven"] >= _PROVES_ITSELF and memo["proven"] >= 0.9 * memo["messages"]:
            return f"~{sight.sender}"
    return sight.sender or _anonymous(sight)


def _anonymous(sight: Sight) -> str:
    domains = (each.domain for each in sight.trackers if is_nameable(each.domain))
    return next((f"?{each}" for each in domains), "")


def new_sender(at: float, book: Book) -> Memo:
    """Return the memo of a sender that was not met before; ``watched_s`` is how long we had been looking by then."""
    installation = recall(book, INSTALLATION) or {}
    return {
        "first": at, "last": at, "watched_s": max(0.0, at - installation.get("first", at)), "messages": 0, "days": 0,
        "day": -1, "tracked": 0, "private": 0, "proven": 0, "lists": 0, "submitted": 0, "submitted_days": 0,
        "submitted_day": -1, "people": [], "authors": [], "activity": "", "vendors": "",
    }  # fmt: skip


def with_submitted(memo: Memo, sight: Sight) -> Memo:
    """Return the memo of a sender to whom one of our people wrote."""
    memo = dict(memo)
    day = int(sight.at // DAY_S)
    memo["submitted"] += 1
    if memo["submitted_day"] != day:
        memo["submitted_day"] = day
        memo["submitted_days"] += 1
    return memo


def with_message(memo: Memo, sight: Sight, *, tracked: bool, private: bool) -> Memo:
    """Return the memo of a sender after one more message."""
    memo = dict(memo)
    day = int(sight.at // DAY_S)
    if tracked:
        _begin_to_track(memo, sight, memo["messages"], private=private)
    memo["first"], memo["last"] = min(memo["first"], sight.at), max(memo["last"], sight.at)
    memo["messages"] += 1
    if memo["day"] != day:
        memo["day"] = day
        memo["days"] += 1
    memo["tracked"] += tracked
    memo["private"] += private
    memo["proven"] += sight.proven is True
    memo["lists"] += sight.is_list
    memo["people"] = with_members(memo["people"], sight.people)
    if sight.author:
        memo["authors"] = with_members(memo["authors"], (sight.author,))
    return memo


def with_revised(memo: Memo, sight: Sight, *, private: bool) -> Memo:
    """Return the memo of a sender one of whose messages turned out to track; the message was counted before.

    How many came before that one is not known any more: at most as many as there are besides it.
    """
    memo = dict(memo)
    _begin_to_track(memo, sight, max(0, memo["messages"] - 1), private=private)
    memo["tracked"] += 1
    memo["private"] += private
    return memo


def without_tracked(memo: Memo, *, private: bool) -> Memo:
    """Return the memo of a sender one of whose messages is not one that tracked, or is to be looked at anew."""
    less = {"tracked": max(0, memo["tracked"] - 1), "private": max(0, memo["private"] - private)}
    return {**memo, **less}


def only_what_tracked(memo: Memo) -> Memo:
    """Return the memo of a sender without since when it tracks, where it turned out that it does not."""
    gone: set[str] = set()
    if not memo["tracked"]:
        gone |= {"before", "probe_first", "submitted_before", "novelty"}
    if not memo["private"]:
        gone |= {"private_before", "private_span_s", "tracked_before"}
    return {name: value for name, value in memo.items() if name not in gone}


def _begin_to_track(memo: Memo, sight: Sight, earlier: int, *, private: bool) -> None:
    """Write down how new a sender is as it begins to track, after so many messages that did not."""
    if "before" not in memo:
        memo["before"], memo["probe_first"] = earlier, sight.at
        memo["submitted_before"] = memo["submitted"]
        memo["novelty"] = novelty_of({**memo, "messages": earlier}, sight.at)
    if private and "private_before" not in memo:
        memo["private_before"], memo["private_span_s"] = earlier, max(0.0, sight.at - memo["first"])
        memo["tracked_before"] = memo["tracked"]


def novelty_of(memo: Memo, at: float) -> float:
    """Return how new a sender is, 0 to 1, as it begins to track: 0 where we write to it or know it for long."""
    warm = min(1.0, memo["watched_s"] / WARM_UP_S)
    earlier = memo["messages"]
    fresh = 1.0 if earlier <= 2 else 0.7 if earlier <= 4 else 0.4 if earlier <= 8 else 0.0
    if at - memo["first"] > 60 * DAY_S and earlier > 2:
        fresh *= 0.5
    written = 1.0 if memo["submitted"] == 0 else 0.4 if memo["submitted"] == 1 else 0.0
    return float(round(warm * fresh * written, 3))


def is_settled(memo: Memo) -> bool:
    """Tell whether a sender has been around for a while, so that what it uses is no throw-away.

    However many a mailing reaches, and however often within some days, anybody can send it under a name of today.
    """
    if memo.get("suspect"):
        return False
    age_s = memo["last"] - memo["first"]
    if memo["lists"] >= 0.5 * memo["messages"]:
        return bool(memo["days"] >= 3 and age_s >= 21 * DAY_S)
    return bool(memo["submitted_days"] >= 2 and memo["days"] >= 3 and age_s >= 14 * DAY_S)


def is_established(memo: Memo | None) -> bool:
    """Tell whether a sender has a history that nobody makes in a hurry; one that is under suspicion has none."""
    if memo is None or memo.get("suspect"):
        return False
    age_s = memo["last"] - memo["first"]
    if memo["submitted_days"] >= 2 and memo["messages"] >= 3 and age_s >= 14 * DAY_S:
        return True
    return bool(memo["messages"] >= 12 and memo["days"] >= 6 and age_s >= 45 * DAY_S)


def resembled(sight: Sight, memo: Memo, book: Book, own_domains: Collection[str]) -> Memo:
    """Return the memo of a sender with whom it resembles, one of our own domains or a correspondent.

    Asked once; again of who is new and tracks with means of its own, since the one that it imitates may be met later.
    """
    if not sight.sender_domain or sight.is_free or memo.get("vouched"):
        return memo
    return _with_voucher(_compared(sight, memo, book, own_domains), sight)


def _with_voucher(memo: Memo, sight: Sight) -> Memo:
    """Return the memo of a sender without whom it resembles, where something shows that it is honest."""
    if not memo.get("like") or not (why := vouched_for(sight, memo)):
        return memo
    return {**{name: value for name, value in memo.items() if name != "like"}, "vouched": why}


def _compared(sight: Sight, memo: Memo, book: Book, own_domains: Collection[str]) -> Memo:
    is_asked = bool(memo.get("asked"))
    if is_asked and not _may_turn_out_alike(memo, sight.at):
        return memo
    domain = sight.sender_domain
    if not is_asked:
        memo = {**memo, "asked": True}
    if domain in own_domains:
        return memo
    for own in sorted(own_domains)[:_MAX_WATCHED]:
        if words := resembles(domain, own):
            return {**memo, "like": [own, "own", words]}
    places = [recall(book, key("alike", name)) or {} for name in sorted(look_alike_keys(domain))]
    for other in (other for place in places for other in place.get("domains", ())):
        if other != domain and (words := looks_like(domain, other)):
            memo = {**memo, "like": [other, "correspondent", words]}
            break
    if is_asked:
        return memo  # an actor who came later imitates the sender, rather than the other way round
    for other, activity in (pair for place in places for pair in place.get("actors", ())):
        if other != domain and not memo["submitted"] and looks_like(domain, other):
            return {**memo, "like_actor": [other, activity]}
    return memo


def _may_turn_out_alike(memo: Memo, at: float) -> bool:
    """Tell whether a sender is still so new that whom we have begun to write to may be whom it imitates."""
    if memo.get("like") or memo.get("like_actor") or not memo["activity"]:
        return False
    return bool(memo["messages"] <= FILED_WITHIN and at - memo["first"] <= _MAY_BE_EARLY_S)


def resembles(domain: str, own: str) -> str:
    """Return in words why a domain may be taken for one of our own, ``""`` where it may not."""
    return looks_like(domain, own) or _nearly(domain, own)


def _nearly(domain: str, own: str) -> str:
    """Return in words why a domain may be taken for one of our own, whatever common word that is made of."""
    left, _, left_ending = domain.partition(".")
    right, _, right_ending = own.partition(".")
    if left_ending != right_ending or len(right) < _LEAST_OWN or left == right:
        return ""
    looks = [each.translate(_LOOKS) for each in (left, right)]
    if looks[0] == looks[1] or is_one_edit(*looks):
        return "it differs in one letter"
    if left.startswith(f"{right}-") or left.endswith(f"-{right}"):
        return "it has the same name with words added"
    return ""


def is_one_edit(one: str, other: str) -> bool:
    """Tell whether one letter more, less or other, or two that changed places, make one text the other."""
    if len(one) > len(other):
        one, other = other, one
    start = next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), len(one)
    )
    if len(one) + 1 == len(other):
        return one[start:] == other[start + 1 :]
    if len(one) != len(other) or start == len(one):
        return False
    swapped = (
        one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]
    )
    return one[start + 1 :] == other[start + 1 :] or swapped


def indexed(name: str, memo: Memo, book: Book) -> Memo:
    """Return the memo of a sender, written down under its look-alike keys once it has become a correspondent."""
    if memo.get("alike") or memo.get("like") or not can_be_filed(name) or not _is_correspondent(memo):
        return memo
    return {**memo, "alike": True} if _file("domains", name, name, book) else memo


def filed_as_actor(name: str, activity: str, book: Book) -> bool:
    """Write a sender of an actor down under its look-alike keys; tell whether the book had them at hand."""
    return _file("actors", name, [name, activity], book)


def _file(column: str, name: str, entry: Any, book: Book) -> bool:
    places = [key("alike", each) for each in sorted(look_alike_keys(name))]
    if book.lacks(places):
        return False
    for place in places:
        known = book.get(place) or {}
        entries = appended(known.get(column), entry, _MAX_ALIKE)
        if entries != known.get(column):
            book.put(place, {**known, column: entries})
    return True


def _is_correspondent(memo: Memo) -> bool:
    """Tell whether we and they write to each other: whoever imitates somebody need not wait until they do so often."""
    return bool(memo["submitted"] and memo["submitted"] + memo["messages"] >= 2 and not memo.get("suspect"))
