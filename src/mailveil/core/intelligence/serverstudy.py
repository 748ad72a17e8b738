"""Server study: what turns out about a host whose trackers were met, moments or days after the first of them."""

from __future__ import annotations

from mailveil.core.intelligence.activities import activity_from, activity_merged
from mailveil.core.intelligence.aim import aim_of
from mailveil.core.intelligence.attribution import SURE, vendor_behind
from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.dossier import MAX_ABSORBED, merged, with_infrastructure
from mailveil.core.intelligence.installation import everybody, watched_s
from mailveil.core.intelligence.lessons import lessons_of
from mailveil.core.intelligence.linking import RARITY_S, chain_of, home_of, tied_by_several
from mailveil.core.intelligence.memos import INSTALLATION, LESSONS, key, recall
from mailveil.core.intelligence.scoring import score
from mailveil.core.intelligence.servers import bounded, host_key, memo_of
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.sight import is_nameable, moment
from mailveil.core.intelligence.types import Activity, InfrastructureFacts, Tooling
from mailveil.core.intelligence.usages import Usage, is_rare, is_rented, is_shared, server_usages, with_users
from mailveil.core.recognition.shared import is_shared_domain
from mailveil.core.verdicts.addresses import registrable_domain


def server_keys(facts: InfrastructureFacts, book: Book) -> set[str]:
    """Return the keys of the memos that what turned out about a host touches."""
    domain = domain_of(facts)
    keys = {INSTALLATION, LESSONS, host_key(facts.host[:253])}
    usages = server_usages(facts.host, domain, bounded(facts))
    # A message later in the same batch may name the host, and then uses all that lies behind it.
    keys.update(each.key for each in usages)
    if is_nameable(domain):
        keys.update((key("domain", domain), key("sender", domain)))
    keys.update(key("sender", each.value) for each in usages if each.key.startswith("names "))
    for each in sorted(keys):
        keys.update(chain_of((recall(book, each) or {}).get("activity", ""), book))
    return keys


def study_server(facts: InfrastructureFacts, book: Book, settings: StudySettings) -> Findings:
    """Write down what lies behind a host; it may be a vendor's after all, or tie two activities together."""
    facts = bounded(facts)
    at = moment(facts.at) or float((recall(book, INSTALLATION) or {}).get("last", 0.0))
    book.put(host_key(facts.host), memo_of(facts))
    domain = domain_of(facts)
    users = recall(book, key("domain", domain)) if is_nameable(domain) else None
    if users is None or is_shared_domain(domain):
        return Findings()
    usages = server_usages(facts.host, domain, facts)
    home = home_of(users["activity"], book)
    dossier = recall(book, key("activity", home)) if home else None
    found: list[Activity] = []
    if dossier is not None:
        dossier = _with_facts(dossier, facts, usages, users, book)
        if watched_s(at, book) >= RARITY_S and not dossier["best"].get("vendor"):
            dossier = _tied(dossier, usages, book, found)
    for usage in usages:
        memo = with_users(recall(book, usage.key), users["users"], at)
        if dossier is not None and not home_of(memo["activity"], book):
            memo = {**memo, "activity": dossier["id"], "own": usage.strong}
        book.put(usage.key, memo)
    if dossier is None:
        return Findings()
    aim = aim_of(dossier, settings, everybody(book))
    scored = score(dossier, aim, lessons_of(book))
    dossier = {**dossier, "top": max(dossier["top"], scored.score)}
    book.put(key("activity", dossier["id"]), dossier)
    if dossier["shown"]:
        found.append(activity_from(dossier, dossier["organisation"], scored, aim, settings))
    return Findings(tuple(found))


def domain_of(facts: InfrastructureFacts) -> str:
    """Return what a host belongs to."""
    return registrable_domain(facts.host[:253].lower().removeprefix("*."))


def _with_facts(
    dossier: Memo, facts: InfrastructureFacts, usages: list[Usage], users: Memo, book: Book
) -> Memo:
    at, domain = moment(facts.at) or dossier["last"], domain_of(facts)
    dossier = dict(dossier)
    met = min(dossier["private"], users["messages"])
    vendor = vendor_behind(facts)
    aliases = [each for each in usages if each.key.startswith("alias ")]
    if vendor is None and met and any(is_rented(recall(book, each.key)) for each in aliases):
        dossier["private"] = max(0, dossier["private"] - met)
        dossier["shared"] = min(dossier["messages"], dossier["shared"] + met)
        dossier["foreign"] = min(dossier["foreign"], dossier["private"])
    elif vendor is not None and vendor.confidence >= SURE and met:
        # Its messages were taken for what they looked like; they turn out to be a vendor's.
        for name, change in (("private", -met), ("bought", met)):
            dossier[name] = max(0, dossier[name] + change)
        dossier["foreign"] = min(dossier["foreign"], dossier["private"])
        best = {"tooling": str(Tooling.BOUGHT), "operator": vendor.name, "owner": vendor.owner, "customer": domain,
                "confidence": vendor.confidence, "fingerprint": "", "evidence": [vendor.evidence]}  # fmt: skip
        dossier["best"] = {"rank": [False, vendor.confidence], "attribution": best, "vendor": True}
        operators = dict(dossier["operators"])
        operators[vendor.name] = operators.get(vendor.name, 0) + met
        dossier["operators"] = operators
    elif any(each.key.startswith("names ") and each.strong for each in usages):
        dossier["own_names"] = min(dossier["messages"], dossier["own_names"] + met)
    for usage in usages:
        known = vendor is not None or is_shared(recall(book, usage.key)) or is_shared_domain(usage.value)
        dossier = with_infrastructure(dossier, usage.role, usage.value, at, shared=known)
    return dossier


def _tied(dossier: Memo, usages: list[Usage], book: Book, found: list[Activity]) -> Memo:
    """Return a dossier with those that turn out to be the same actor's."""
    weak: list[tuple[str, str]] = []
    strong: dict[str, None] = {}
    for usage in usages:
        memo = recall(book, usage.key)
        if memo is None or is_shared(memo):
            continue
        other = home_of(memo["activity"], book)
        if not other or other == dossier["id"]:
            continue
        kind = usage.key.partition(" ")[0]
        if usage.strong or memo.get("own"):
            strong[other] = None
        elif is_rare(memo):
            weak.append((other, kind))
    strong.update(dict.fromkeys(tied_by_several(weak)))
    for name in list(strong)[:2]:
        other_dossier = recall(book, key("activity", name))
        if other_dossier is not None:
            dossier = merge_into_one(dossier, other_dossier, book, found)
    return dossier


def merge_into_one(one: Memo, other: Memo, book: Book, found: list[Activity]) -> Memo:
    """Return the dossier that two turn out to be, the older one; ``one`` alone where that would do harm.

    Correspondents and whoever an analyst found harmless are never made an actor's.
    """
    older, younger = sorted((one, other), key=lambda each: (each["first"], each["id"]))
    is_full = len(older["absorbed"]) + len(younger["absorbed"]) >= MAX_ABSORBED
    if is_full or one["partner"] or other["partner"] or "benign" in (one["verdict"], other["verdict"]):
        return one
    both = merged(older, younger)
    for name in (younger["id"], *younger["absorbed"]):
        book.put(key("activity", name), {"merged_into": older["id"]})
    book.put(key("activity", older["id"]), both)
    if younger["shown"]:
        found.append(activity_merged(younger, younger["organisation"], older["id"]))
    return both
