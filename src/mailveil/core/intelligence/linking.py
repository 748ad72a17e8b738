"""Linking: which activity a message belongs to, and which activities turn out to be one.

A message is tied by what is an actor's own: its sender, a tracker domain, built tracking, name servers or a certificate
that nobody else uses. What several senders with a history use ties nobody, nor does the domain of somebody whom we
know: else a victim's name in an actor's mail would make the victim an accomplice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.memos import IMITATED, INSTALLATION, key, recall
from mailveil.core.intelligence.senders import WARM_UP_S, is_established, resembles
from mailveil.core.intelligence.sight import Sight, is_nameable
from mailveil.core.intelligence.usages import Usage, is_rare, is_shared
from mailveil.core.recognition.lookalike import looks_like
from mailveil.core.recognition.shared import is_shared_domain

MAX_HOPS: Final = 4
_MAX_CANDIDATES: Final = 8
_MAX_MERGED: Final = 2  # activities that one message can tie to another
RARITY_S: Final = WARM_UP_S  # for so long everything is rare
#: What is rare, but may be shared by chance, and how much it tells; together they tie as much as what is one's own.
WEAK_TIES: Final[Mapping[str, int]] = {"address": 2, "print": 1, "server": 1, "names": 1}
ENOUGH_TIES: Final = 3


@dataclass(frozen=True, slots=True)
class Ties:
    """The activities that a message belongs to, the surest first.

    ``carried``: its sender has a history of its own and passes on what an actor made, as in an answer that quotes; the
    message is the activity's, its sender is not.
    """

    activities: tuple[str, ...] = ()
    carried: bool = False


def linking_keys(sight: Sight, usages: Sequence[Usage]) -> set[str]:
    """Return the keys of the memos by which a message is tied, besides those of its sender."""
    keys = {usage.key for usage in usages}
    named = {sight.sender_domain, sight.reply_domain, *sight.places}
    named.update(usage.value for usage in usages if usage.key.startswith("domain "))
    for each in named:
        if is_nameable(each) and not is_shared_domain(each):
            keys.update((key("sender", each), key("domain", each)))
    keys.update(key("sender", usage.value) for usage in usages if usage.key.startswith("names "))
    keys.update(key("thread", each) for each in sight.threads)
    if sight.sender_domain:
        keys.add(key("reply", sight.sender_domain))
    return keys


def pointed_at(sight: Sight, keys: Collection[str], book: Book) -> set[str]:
    """Return the keys of the activities that loaded memos name, and of those that these turned out to be part of."""
    found: set[str] = set()
    for name in _names_in(sight, keys, book):
        found |= chain_of(name, book)
    return found


def chain_of(activity: str, book: Book) -> set[str]:
    """Return the keys of an activity and of those that it turned out to be part of, as far as they are loaded."""
    found: set[str] = set()
    name: str | None = activity
    for _ in range(MAX_HOPS):
        if not name:
            break
        place = key("activity", name)
        found.add(place)
        name = (recall(book, place) or {}).get("merged_into")
    return found


def _names_in(sight: Sight, keys: Collection[str], book: Book) -> set[str]:
    names: set[str] = set()
    domain = sight.sender_domain
    for each in keys:
        memo = recall(book, each)
        if not memo:
            continue
        if each == IMITATED:
            names.update(activity for other, activity in memo.items() if resembles(domain, other))
            continue
        names.update(name for name in (memo.get("activity"), memo.get("vendors")) if name)
        names.update(activity for other, activity in memo.get("actors", ()) if looks_like(domain, other))
        if "like_actor" in memo:
            names.add(memo["like_actor"][1])
    return names


def home_of(name: str, book: Book) -> str:
    """Return the activity that one is part of by now, ``""`` where it is remembered no more."""
    for _ in range(MAX_HOPS):
        memo = recall(book, key("activity", name)) if name else None
        if memo is None:
            return ""
        if not memo.get("merged_into"):
            return name
        name = memo["merged_into"]
    return ""


def is_harmless(name: str, book: Book) -> bool:
    """Tell whether an analyst found an activity harmless, or what it is part of by now."""
    home = home_of(name, book)
    dossier = recall(book, key("activity", home)) if home else None
    return dossier is not None and dossier["verdict"] == "benign"


def ties_of(
    sight: Sight,
    sender: str,
    memo: Memo,
    usages: Sequence[Usage],
    book: Book,
    *,
    own: Collection[str],
    private: bool,
) -> Ties:
    """Return to which activities a message is tied. ``memo`` is its sender's, ``own`` are our own domains.

    What a sender has tracked with a vendor's means is told apart from what it tracks with its own (``private``).
    """
    if not private:
        return Ties(tuple(each for each in (home_of(memo["vendors"], book),) if each))
    at_home = home_of(memo["activity"], book)
    established = is_established(memo)
    strong, weak = _by_usages(sight, sender, usages, book, own)
    strong = [*_by_names(sight, book, own), *strong]
    alike = [(recall(book, IMITATED) or {}).get(memo["like"][0], "")] if memo.get("like") else []
    alike += [memo["like_actor"][1]] if memo.get("like_actor") else []
    # Whom an analyst found harmless has no accomplices: a name like theirs is no way into their good name.
    strong += [
        each for each in alike if not is_harmless(each, book) and not _was_here_before(memo, each, book)
    ]
    strong += tied_by_several(weak)
    found = [home_of(name, book) for name in strong[:_MAX_CANDIDATES] if name]
    others = [each for each in dict.fromkeys(found) if each and each != at_home]
    if established or sender.startswith("~"):
        if at_home or established:
            return Ties((at_home,) if at_home else tuple(others[:1]), carried=not at_home and bool(others))
        return Ties(tuple(others[:1]))
    return Ties(tuple(each for each in (at_home, *others[: _MAX_MERGED + 1]) if each))


def _was_here_before(memo: Memo, activity: str, book: Book) -> bool:
    """Tell whether a sender wrote before an activity began, as a sister company does that a spy resembles, too."""
    home = home_of(activity, book)
    dossier = recall(book, key("activity", home)) if home else None
    return dossier is not None and memo["messages"] > 0 and memo["first"] < dossier["first"]


def tied_by_several(weak: Sequence[tuple[str, str]]) -> list[str]:
    """Return the activities that several kinds of weak ties (activity, kind) lead to."""
    kinds: dict[str, set[str]] = {}
    for name, kind in weak:
        kinds.setdefault(name, set()).add(kind)
    return [
        name for name, those in kinds.items() if sum(WEAK_TIES.get(kind, 0) for kind in those) >= ENOUGH_TIES
    ]


def owners_memo(domain: str, book: Book) -> Memo | None:
    """Return the memo of whoever sends mail from a domain."""
    return recall(book, key("sender", domain))


def _by_names(sight: Sight, book: Book, own: Collection[str]) -> list[str]:
    """Return the activities whose domain the message names: as its sender, or as whom to answer.

    No mailing is tied by its name: whoever sends it may be somebody innocent whose name an actor wrote somewhere.
    """
    if sight.is_list:
        return []
    found: list[str] = []
    domain = sight.sender_domain
    if is_nameable(domain) and not is_shared_domain(domain) and domain not in own:
        places = (key(kind, domain) for kind in ("domain", "reply"))
        found.extend(_unshared(place, sight.sender, book) for place in places)
    reply = sight.reply_domain
    if (
        is_nameable(reply)
        and reply not in own
        and not is_shared_domain(reply)
        and reply != sight.sender_domain
    ):
        owner = owners_memo(reply, book)
        if owner and not is_established(owner):
            found.append(owner.get("activity", ""))
    return found


def _by_usages(
    sight: Sight, sender: str, usages: Sequence[Usage], book: Book, own: Collection[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    installation = recall(book, INSTALLATION) or {}
    is_early = sight.at - installation.get("first", sight.at) < RARITY_S
    strong: list[str] = []
    weak: list[tuple[str, str]] = []
    for usage in usages:
        memo = recall(book, usage.key)
        kind = usage.key.partition(" ")[0]
        if kind in {"domain", "names", "reply"}:
            if usage.value in own or is_shared_domain(usage.value):
                continue
            owner = owners_memo(usage.value, book)
            if usage.value != sight.sender_domain and is_established(owner):
                continue
            if kind != "reply" and owner and owner.get("activity"):
                strong.append(owner["activity"])
        if memo is None or not memo["activity"] or is_shared(memo, sender) or sight.is_list:
            continue
        if (usage.strong or memo.get("own")) and not is_early:
            strong.append(memo["activity"])
        elif not is_early and is_rare(memo):
            weak.append((memo["activity"], kind))
    return strong, weak


def _unshared(place: str, sender: str, book: Book) -> str:
    memo = recall(book, place)
    return "" if memo is None or is_shared(memo, sender) else str(memo["activity"])
