"""Techniques: which of ATT&CK's an activity shows and why, and what the spy would have learned without us."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.memos import size_of
from mailveil.core.intelligence.types import Technique, TechniqueShown

_UNFETCHED: Final = frozenset({"dns", "receipt"})
_LEARNED: Final = (
    ("open", "that each message was opened, when, and how often"),
    ("dwell", "how long it was read"),
    ("location", "where the reader was, by the address of the network and by what is asked of the client"),
    ("device", "which device, screen and mail client the reader uses"),
    ("identity", "which address reads, since it stands in the tracker itself"),
    ("dns", "which resolver the reader's network uses, and that the message was opened, though no picture is loaded"),
    ("credential", "the reader's log-in as a hash that can be guessed or passed on"),
    ("interaction", "whether it was forwarded, printed, answered or pointed at"),
    ("receipt", "a receipt that the mail program sends"),
)  # fmt: skip
_KIND_WORDS: Final = {
    "credential": "log-in", "dns": "name look-up", "dwell": "reading time", "identity": "address of the reader",
    "location": "place", "open": "opening",
}  # fmt: skip


def techniques_of(dossier: Memo) -> tuple[TechniqueShown, ...]:
    """Return the techniques that an activity shows, each with what shows it."""
    kinds, people = set(dossier["kinds"]), max(len(dossier["targets"]), size_of(dossier["people"]))
    messages = dossier["messages"]
    if not messages and not dossier["follows"]:
        return ()  # what it was taken for turned out to be none
    persons = "one person" if people == 1 else f"{people} people"
    found = [
        TechniqueShown(
            Technique.PHISHING_FOR_INFORMATION,
            f"{_times(messages, 'message')} to {persons} served to learn something about them",
        )
    ]
    if messages and kinds - {"receipt"}:
        because = f"{_times(messages, 'message')} carried a web beacon that reports to the sender"
        found.append(TechniqueShown(Technique.SPEARPHISHING_LINK, because))
        told = (
            "names the reader's address"
            if "identity" in kinds
            else "has an address of its own for each reader"
        )
        found.append(
            TechniqueShown(
                Technique.VICTIM_IDENTITY, f"a beacon that {told} tells which mailboxes are read, and by whom"
            )
        )
    if kinds - _UNFETCHED:
        how = (
            "asks for the reader's place" if "location" in kinds else "is fetched by the reader's own client"
        )
        found.append(
            TechniqueShown(Technique.VICTIM_NETWORK, f"a beacon that {how} tells the address of the network")
        )
    elif "dns" in kinds:
        because = "a name that is looked up tells the address of the network's resolver"
        found.append(TechniqueShown(Technique.VICTIM_NETWORK, because))
    if kinds & {"device", "dwell", "credential"} or kinds - _UNFETCHED:
        how = (
            "measures the reader's device"
            if "device" in kinds
            else "is fetched with what the client says of itself"
        )
        found.append(TechniqueShown(Technique.VICTIM_HOST, f"a beacon that {how} tells device and software"))
    return tuple(found)


def learned_from(dossier: Memo) -> tuple[str, ...]:
    """Return in words what the spy would have learned without us."""
    kinds = set(dossier["kinds"])
    found = [words for kind, words in _LEARNED if kind in kinds]
    if kinds - _UNFETCHED:
        found.append("the IP address of the reader, and with it the place and the network")
        found.append("the mail client and its version, by what it says of itself")
    people = max(len(dossier["targets"]), size_of(dossier["people"]))
    if people > 1:
        found.append(f"which of {people} people read such mail, and so who is worth a next message")
    elif people == 1:
        found.append("that the mailbox is in use")
    return tuple(found)


def kinds_in_words(kinds: Iterable[str]) -> str:
    """Return what trackers want to know as people say it."""
    return ", ".join(_KIND_WORDS.get(each, each) for each in sorted(kinds))


def risk_of_activity(score: float, kinds: set[str], *, has_high_value: bool, alert_score: float) -> str:
    """Return how much an activity endangers: ``low``, ``medium`` or ``high``."""
    if score >= alert_score and (
        "credential" in kinds or has_high_value or len(kinds - {"open", "receipt"}) >= 2
    ):
        return "high"
    if score >= 0.9:
        return "high"
    return "medium" if score >= min(0.3, alert_score) else "low"


def _times(count: int, noun: str) -> str:
    return f"one {noun}" if count == 1 else f"{count} {noun}s"
