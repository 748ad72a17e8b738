"""Campaigns: messages of one sender, with one set of addresses, within some time; and what they are."""

from __future__ import annotations

from typing import Any, Final

from mailveil.core.intelligence.attribution import SURE
from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.dossier import identifier_at
from mailveil.core.intelligence.memos import digest, key, recall, size_of, with_members
from mailveil.core.intelligence.personal import personal_among
from mailveil.core.intelligence.sight import Sight
from mailveil.core.intelligence.types import DAY_S, Attribution, Campaign, Nature, Tooling

MAX_OPEN: Final = 8  # campaigns of one sender that may still go on
_PAUSE_S: Final = 3 * DAY_S  # after which the next message begins another campaign
_LONGEST_S: Final = 14 * DAY_S
_MANY: Final = 10
_VERY_MANY: Final = 40
_FEW: Final = 5
_EARLIER: Final = 3  # campaigns from which on a sender has a history of them


def campaign_key(sight: Sight) -> str:
    """Return the key of the memo of a sender's campaigns, ``""`` where the message is part of none."""
    if not sight.sender_domain or not (sight.trackers or sight.is_list):
        return ""
    return key("campaigns", sight.sender or sight.sender_domain)


def with_campaign(
    sight: Sight, attributions: list[Attribution], dossier: Memo | None, book: Book, alert_score: float
) -> Campaign | None:
    """Write down that a message is part of a campaign, and return that as it stands now."""
    place = campaign_key(sight)
    if not place:
        return None
    memo: dict[str, Any] = recall(book, place) or {"open": [], "earlier": 0}
    print_ = _template_print(sight)
    entries: list[Memo] = list(memo["open"])
    number = next((at for at, each in enumerate(entries) if _goes_on(each, print_, sight.at)), None)
    if number is None:
        entries.append(_opened(sight, print_))
        number = len(entries) - 1
        memo = {**memo, "earlier": memo["earlier"] + 1}
    entry = entries[number] = _with_message(entries[number], sight, attributions)
    entries.sort(key=lambda each: (each["last"], each["id"]))
    book.put(place, {**memo, "open": entries[-MAX_OPEN:]})
    nature, reasons = _nature(entry, memo["earlier"], dossier, alert_score)
    return Campaign(
        identifier=entry["id"],
        organisation=sight.organisation,
        sender_domain=sight.sender_domain,
        template=entry["template"],
        first_at=entry["first"],
        last_at=entry["last"],
        nature=nature,
        reasons=tuple(reasons),
        messages=entry["messages"],
        people=size_of(entry["people"]),
        operator=entry["operator"],
        tooling=Tooling(entry["tooling"]),
        subject=entry["subject"],
        is_personal=entry.get("personal", False),
    )


def _template_print(sight: Sight) -> str:
    return digest(*sorted({each.template for each in sight.trackers}), str(sight.is_list), size=6)


def _goes_on(entry: Memo, print_: str, at: float) -> bool:
    return bool(
        entry["print"] == print_
        and -_PAUSE_S <= at - entry["last"] <= _PAUSE_S
        and at - entry["first"] <= _LONGEST_S
    )


def _opened(sight: Sight, print_: str) -> Memo:
    return {
        "id": identifier_at(sight.at, "campaign", sight.organisation, sight.sender_domain, print_, sight.message),
        "print": print_, "template": sight.trackers[0].template if sight.trackers else "", "first": sight.at,
        "last": sight.at, "messages": 0, "people": [], "lists": 0, "letters": 0, "bought": 0, "private": 0,
        "operator": "", "tooling": str(Tooling.UNKNOWN), "subject": sight.subject,
    }  # fmt: skip


def _with_message(entry: Memo, sight: Sight, attributions: list[Attribution]) -> Memo:
    entry = dict(entry)
    entry["first"], entry["last"] = min(entry["first"], sight.at), max(entry["last"], sight.at)
    entry["messages"] += 1
    entry["people"] = with_members(entry["people"], sight.people)
    if any(personal_among((sight.sender_domain,), sight.people)):
        entry["personal"] = True
    entry["lists"] += sight.is_list
    entry["letters"] += sight.is_letter
    sure = [each for each in attributions if each.tooling is Tooling.BOUGHT and each.confidence >= SURE]
    entry["bought"] += bool(sure)
    built = [each for each in attributions if each.tooling is Tooling.BUILT]
    entry["private"] += bool(built)
    if sure or built:
        shown = (built or sure)[0]
        entry["operator"], entry["tooling"] = shown.operator, str(shown.tooling)
    return entry


def _nature(entry: Memo, earlier: int, dossier: Memo | None, alert_score: float) -> tuple[Nature, list[str]]:
    people, messages = size_of(entry["people"]), entry["messages"]
    listed, bought = entry["lists"] >= 0.5 * messages, entry["bought"] >= 0.5 * messages
    reasons = []
    if listed:
        reasons.append("its header declares a list")
    if bought:
        reasons.append(f"it tracks with {entry['operator'] or 'a vendor'}")
    if people >= _MANY:
        reasons.append(f"about {people} people got it")
    if earlier > _EARLIER:
        reasons.append(f"its sender has sent {earlier} of them")
    signs = sum((listed, bought, people >= _MANY, earlier > _EARLIER))
    suspect = dossier is not None and dossier["top"] >= alert_score and dossier["verdict"] != "benign"
    if suspect and people < _VERY_MANY:
        return Nature.TARGETED, ["its sender is on reconnaissance", *reasons]
    if people >= _VERY_MANY or signs >= 2:
        return Nature.BULK, reasons
    if (
        dossier is not None
        and entry["private"]
        and not listed
        and people <= _FEW
        and dossier["novelty"] >= 0.5
    ):
        new = "few people got it, from a sender without a history, with tracking of its own"
        return Nature.TARGETED, [new, *reasons]
    if entry["letters"] >= 0.5 * messages and not listed:
        return Nature.PERSONAL, ["it looks like letters between people", *reasons]
    return Nature.UNKNOWN, reasons
