"""Dossier: what is remembered of one actor, in a memo of bounded size, and the activity that it makes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailveil.core.intelligence.attribution import category_of
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.memos import appended, digest, joined, latest, size_of, with_members
from mailveil.core.intelligence.personal import personal_among
from mailveil.core.intelligence.sight import Sight
from mailveil.core.intelligence.types import (
    MAX_INFRASTRUCTURE,
    MAX_PROBES,
    MAX_TARGETS,
    MAX_THREADS,
    Attribution,
    Role,
    Tooling,
)

MAX_SENDERS: Final = 20
MAX_ABSORBED: Final = 20
MAX_FOLLOW_UPS: Final = 50
MAX_LEARNED: Final = 20
_UNSEEN_PROBES: Final = (
    24  # kept of an actor whom nobody was told of; there are as many as there are newsletters
)
_UNSEEN_TARGETS: Final = 40
_MAX_VARIATIONS: Final = 6
_MAX_OPERATORS: Final = 4
_LITTLE_TEXT: Final = 600  # characters below which there is the less to read, the fewer there are
_MUCH_TEXT: Final = 400  # and above which there is the more; twice as much is much
#: What each message with trackers adds to.
COUNTED: Final = (
    "messages", "lists", "letters", "little", "much", "bare", "reply", "doubtful", "private", "bought", "shared",
    "foreign", "numbers", "own_names", "phishing", "free_private", "unproven", "unsigned", "claims_us", "single",
    "software",
)  # fmt: skip


def new_dossier(sight: Sight, sender: str) -> Memo:
    """Return the dossier of an actor that is met for the first time."""
    told = digest("activity", sight.organisation, sight.message, sender, size=10)
    return {
        "id": f"{int(sight.at * 1000):012x}{told}", "organisation": sight.organisation, "actor": sender,
        "first": sight.at, "last": sight.at, "probes": 0, "people": [], "authors": [], "targets": [], "timeline": [],
        "follow": [], "follows": 0, "infra": [], "senders": [], "kinds": {}, "operators": {}, "absorbed": [],
        "novelty": 0.0, "verdict": "open", "shown": False, "top": 0.0, "alerted": 0.0, "best": {},
        "partner": False, "proved": [], "threads": [], "learned": [], **dict.fromkeys(COUNTED, 0),
    }  # fmt: skip


def with_history(dossier: Memo, sender: str, memo: Memo, *, established: bool) -> Memo:
    """Return a dossier with what is known of a sender that belongs to it."""
    is_new = sender not in dossier["senders"]
    dossier = {**dossier, "senders": appended(dossier["senders"], sender, MAX_SENDERS)}
    if is_new:
        dossier["novelty"] = max(dossier["novelty"], memo.get("novelty", 0.0))
        dossier["watched_s"] = memo["watched_s"]
        dossier["partner"] = dossier["partner"] or (established and not dossier["senders"][1:])
    if memo.get("like") and not dossier.get("like"):
        dossier["like"] = [sender, *memo["like"]]
    if memo.get("vouched") and dossier.get("like", ("",))[0] == sender:
        del dossier["like"]
    if sender == dossier["senders"][0]:
        dossier["history"] = {
            "messages": memo["messages"], "days": memo["days"], "age_s": memo["last"] - memo["first"],
            "proven": memo["proven"], "lists": memo["lists"], "people": size_of(memo["people"]),
            "authors": size_of(memo["authors"]), "tracked": memo["tracked"], "private": memo["private"],
            "submitted": memo["submitted"], "submitted_days": memo["submitted_days"],
            "submitted_before": memo.get("submitted_before", 0), "before": memo.get("before", 0),
        }  # fmt: skip
        if "private_before" in memo and "quiet" not in dossier:
            dossier["quiet"] = [memo["private_before"], memo["private_span_s"], memo["tracked_before"]]
    return dossier


def with_probe(
    dossier: Memo, sight: Sight, sender: str, found: Sequence[tuple[Attribution, Mapping[str, float]]]
) -> Memo:
    """Return a dossier with one more message that carries trackers; ``found`` says of each whose and what it is."""
    dossier = dict(dossier)
    if not dossier["messages"] + dossier["follows"]:  # it is new, or begins anew
        dossier["first"] = dossier["last"] = sight.at
    dossier["first"], dossier["last"] = min(dossier["first"], sight.at), max(dossier["last"], sight.at)
    _count(dossier, sight, sender, found)
    dossier["kinds"] = dict(dossier["kinds"])
    for kind in dict.fromkeys(kind for each in sight.trackers for kind in each.kinds):
        if kind in dossier["kinds"] or len(dossier["kinds"]) < 12:
            dossier["kinds"][kind] = dossier["kinds"].get(kind, 0) + 1
    dossier["operators"] = dict(dossier["operators"])
    for attribution, _ in found:
        name = attribution.operator
        if name and (name in dossier["operators"] or len(dossier["operators"]) < _MAX_OPERATORS):
            dossier["operators"][name] = dossier["operators"].get(name, 0) + 1
    for attribution, facts in found:
        rank = (facts["private"], attribution.confidence)
        if not dossier["best"] or rank > tuple(dossier["best"]["rank"]):
            dossier["best"] = {"rank": list(rank), "attribution": _attribution_memo(attribution)}
    dossier["people"] = with_members(dossier["people"], sight.people)
    if sight.thread:
        most = MAX_THREADS if dossier["shown"] else _UNSEEN_PROBES
        dossier["threads"] = latest(dossier["threads"], (sight.thread,), most)
    if sight.author:
        dossier["authors"] = with_members(dossier["authors"], (sight.author,))
    _aim(dossier, sight, variation_of(sight))
    return dossier


def variation_of(sight: Sight) -> str:
    """Return by what a message's way of tracking is told from others."""
    ways = sorted(f"{_shape(each.template)} {each.vector} {' '.join(each.kinds)}" for each in sight.trackers)
    return digest(*ways, size=3)


def in_order_of_time(dossier: Memo) -> Memo:
    """Return a dossier with its timeline in the order of time, after something earlier was added to it."""
    timeline = sorted(dossier["timeline"], key=lambda each: (each[0], each[1]))
    return {**dossier, "timeline": timeline}


def with_follow_up(dossier: Memo, sight: Sight) -> Memo:
    """Return a dossier with one more message of the actor that carries no tracker."""
    first = sight.people[0] if sight.people else ""
    entry = [sight.at, sight.message, first, sight.sender_domain, [], "", "", ""]
    return {
        **dossier,
        "last": max(dossier["last"], sight.at),
        "follow": latest(dossier["follow"], (entry,), MAX_FOLLOW_UPS),
        "follows": dossier["follows"] + 1,
    }


def with_personal(dossier: Memo, sight: Sight, names: Iterable[str]) -> Memo:
    """Return a dossier with those of a message's names that spell one of the people whom it was written to.

    Who they were is forgotten in time; that others are not told these names is not.
    """
    known = dossier.get("personal", [])
    for each in personal_among(names, sight.people):
        known = appended(known, each, MAX_INFRASTRUCTURE)
    return {**dossier, "personal": known} if known else dossier


def with_infrastructure(dossier: Memo, role: Role, value: str, at: float, *, shared: bool) -> Memo:
    """Return a dossier with one more thing that the activity was carried out with, or with one more use of it."""
    known: list[list[Any]] = list(dossier["infra"])
    for number, each in enumerate(known):
        if each[0] == role and each[1] == value:
            known[number] = [each[0], value, min(each[2], at), max(each[3], at), each[4] + 1, shared]
            return {**dossier, "infra": known}
    if len(known) < MAX_INFRASTRUCTURE:
        known.append([str(role), value, at, at, 1, shared])
    return {**dossier, "infra": known}


def with_proof(dossier: Memo, domain: str, *, proven: bool | None) -> Memo:
    """Return a dossier in which it stands that a sender domain proved itself, or that nobody looked."""
    if proven is False or domain in dossier.get("proved", ()):
        return dossier
    return {**dossier, "proved": appended(dossier.get("proved"), domain, MAX_INFRASTRUCTURE)}


def merged(older: Memo, younger: Memo) -> Memo:
    """Return what is known of an actor that had two dossiers."""
    both = dict(older)
    both["first"], both["last"] = min(older["first"], younger["first"]), max(older["last"], younger["last"])
    for name in (*COUNTED, "probes", "follows"):
        both[name] = older[name] + younger[name]
    for name in ("people", "authors"):
        both[name] = joined(older[name], younger[name])
    for name in ("kinds", "operators"):
        both[name] = dict(older[name])
        for each, count in younger[name].items():
            both[name][each] = both[name].get(each, 0) + count
    both["senders"] = list(dict.fromkeys((*older["senders"], *younger["senders"])))[:MAX_SENDERS]
    both["absorbed"] = [*older["absorbed"], younger["id"], *younger["absorbed"]][: 2 * MAX_ABSORBED]
    both["timeline"] = sorted(
        (*older["timeline"], *younger["timeline"]), key=lambda each: (each[0], each[1], each[2])
    )[-MAX_PROBES:]
    both["follow"] = sorted((*older["follow"], *younger["follow"]), key=lambda each: (each[0], each[1]))[
        -MAX_FOLLOW_UPS:
    ]
    targets = {each[0]: each for each in older["targets"]}
    for each in younger["targets"]:
        targets[each[0]] = _same_person(targets[each[0]], each) if each[0] in targets else each
    both["targets"] = list(targets.values())[:MAX_TARGETS]
    for each in younger["infra"]:
        both["infra"] = _with_same(both["infra"], each)
    both["threads"] = list(dict.fromkeys((*older["threads"], *younger["threads"])))[-MAX_THREADS:]
    both["proved"] = list(dict.fromkeys((*older.get("proved", ()), *younger.get("proved", ()))))[
        :MAX_INFRASTRUCTURE
    ]
    if personal := list(dict.fromkeys((*older.get("personal", ()), *younger.get("personal", ())))):
        both["personal"] = personal[:MAX_INFRASTRUCTURE]
    both["given"] = [*older.get("given", ()), *younger.get("given", ())]
    both["learned"] = list(dict.fromkeys((*older["learned"], *younger["learned"])))[:MAX_LEARNED]
    both["novelty"] = max(older["novelty"], younger["novelty"])
    both["alerted"] = older["alerted"] or younger["alerted"]
    if "told" not in older and "told" in younger:
        both["told"] = younger["told"]
    both["top"] = max(older["top"], younger["top"])
    both["shown"] = older["shown"] or younger["shown"]
    if younger.get("like") and not older.get("like"):
        both["like"] = younger["like"]
    if older["verdict"] == "open":
        both["verdict"] = younger["verdict"]
    if younger["best"] and (not older["best"] or younger["best"]["rank"] > older["best"]["rank"]):
        both["best"] = younger["best"]
    return both


def identifier_at(at: float, *parts: str) -> str:
    """Return an identifier that sorts by time and is the same whenever it is made again."""
    told = "\n".join(parts).encode("utf-8", "surrogatepass")
    return f"{max(0, int(at * 1000)):012x}{hashlib.blake2b(told, digest_size=10).hexdigest()}"


def _count(
    dossier: Memo, sight: Sight, sender: str, found: Sequence[tuple[Attribution, Mapping[str, float]]]
) -> None:
    people = max(1, len(sight.people))
    dossier["probes"] += people
    dossier["messages"] += 1
    dossier["lists"] += sight.is_list
    dossier["letters"] += sight.is_letter
    dossier["little"] = round(dossier["little"] + _part(_LITTLE_TEXT - sight.characters, _LITTLE_TEXT), 4)
    dossier["much"] = round(dossier["much"] + _part(sight.characters - _MUCH_TEXT, _MUCH_TEXT), 4)
    dossier["bare"] += not sight.is_list
    dossier["single"] += sight.recipients <= 1
    elsewhere = bool(sight.reply_domain) and sight.reply_domain != sight.sender_domain
    dossier["reply"] += elsewhere and not sight.is_list
    dossier["doubtful"] += all(
        each.certainty < 0.75 and each.kinds in ((), ("open",)) for each in sight.trackers
    )
    dossier["unproven"] += sender.startswith("~")
    dossier["unsigned"] += sight.proven is False and not sender.startswith("~")
    dossier["bought"] += any(each.tooling is Tooling.BOUGHT for each, _ in found)
    dossier["software"] += any(each.tooling is Tooling.BUILT and bool(each.operator) for each, _ in found)
    dossier["phishing"] += any(category_of(each.operator) == "phishing" for each, _ in found)
    for name in ("private", "shared", "foreign", "numbers", "own_names"):
        dossier[name] = round(dossier[name] + max(float(facts[name]) for _, facts in found), 4)
    dossier["free_private"] += sight.is_free and any(facts["private"] for _, facts in found)


def _part(value: int, whole: int) -> float:
    return round(min(1.0, max(0.0, value / whole)), 3)


def _aim(dossier: Memo, sight: Sight, variation: str) -> None:
    """Write down whom a message was aimed at."""
    most_targets = MAX_TARGETS if dossier["shown"] else _UNSEEN_TARGETS
    targets = {each[0]: each for each in dossier["targets"]}
    head = sight.trackers[0]
    entries = []
    for person in sight.people or ("",):
        told = [list(head.kinds), head.template, head.host, head.vector]
        entries.append([sight.at, sight.message, person, sight.sender_domain, *told])
        if not person:
            continue
        new = [person, sight.at, sight.at, 1, [variation]]
        if person in targets:
            targets[person] = _same_person(targets[person], new)
        elif len(targets) < most_targets:
            targets[person] = new
    dossier["targets"] = list(targets.values())
    dossier["timeline"] = latest(
        dossier["timeline"], entries, MAX_PROBES if dossier["shown"] else _UNSEEN_PROBES
    )


def _same_person(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    variations = list(dict.fromkeys((*one[4], *other[4])))[:_MAX_VARIATIONS]
    return [one[0], min(one[1], other[1]), max(one[2], other[2]), one[3] + other[3], variations]


def _with_same(known: Sequence[Sequence[Any]], more: Sequence[Any]) -> list[Any]:
    found = [list(each) for each in known]
    for each in found:
        if each[:2] == list(more[:2]):
            each[2:5] = [min(each[2], more[2]), max(each[3], more[3]), each[4] + more[4]]
            each[5] = each[5] or more[5]
            return found
    return [*found, list(more)][:MAX_INFRASTRUCTURE]


def _shape(template: str) -> str:
    """Return what is left of a template when its host does not count."""
    return template.partition("://")[2].partition("/")[2]


def _attribution_memo(attribution: Attribution) -> dict[str, Any]:
    return {
        "tooling": str(attribution.tooling), "operator": attribution.operator, "owner": attribution.owner,
        "customer": attribution.customer, "confidence": attribution.confidence,
        "fingerprint": attribution.fingerprint, "evidence": list(attribution.evidence),
    }  # fmt: skip
