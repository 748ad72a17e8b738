"""An organisation's mail as it is studied: people with functions, senders of all sorts, and a book kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from mailveil.core.intelligence.book import Book, WholeBook
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.studying import Subject, keys_of, study
from mailveil.core.intelligence.types import Activity, Alert, AlertKind, MarkedPerson
from mailveil.core.observation import Observation, ObservedReference, observation_identifier

START = 1_780_000_000.0 // 86_400 * 86_400
HOUR, DAY = 3_600.0, 86_400.0
FUNCTIONS = ("finance", "sales", "engineering", "legal", "marketing", "support", "research", "personnel")
OURS = "here.example"


def person(number: int) -> str:
    return f"person{number}@{OURS}"


def settings(people: int = 80, **others: object) -> StudySettings:
    """Everybody has one of eight functions, in turn; the first of each is of high value."""
    marked = {
        person(number): MarkedPerson(person(number), FUNCTIONS[number % 8], is_high_value=number < 8)
        for number in range(people)
    }
    return StudySettings(people=marked, own_domains=frozenset({OURS}), **others)  # type: ignore[arg-type]


def finance(number: int) -> str:
    """Return somebody of finance without a rank."""
    return person(8 * (number + 1))


def tracker(host: str, path: str = "o/*.gif", **others: object) -> ObservedReference:
    values: dict[str, object] = {
        "url": f"https://{host}/{path}", "template": f"https://{host}/{path}", "host": host,
        "domain": host if host.replace(".", "").isdigit() else ".".join(host.split(".")[-2:]),
        "vector": "img-src", "finding": "tracker", "action": "blank", "media": "image", "kind": "open",
        "kinds": ("open",), "score": 0.98, "risk": "medium",
    }  # fmt: skip
    return ObservedReference(**(values | others))  # type: ignore[arg-type]


def picture(host: str) -> ObservedReference:
    return tracker(host, "images/logo.png", finding="content", kind="", kinds=(), score=0.03, risk="none")


def bought(host: str, operator: str = "Mailchimp") -> ObservedReference:
    return tracker(
        host, "track/open.php?u=*&id=*", operator=operator, operator_confidence=0.95,
        evidence=f"the address has the shape {host}/track/open.php",
    )  # fmt: skip


def mail(
    at: float, sender: str, to: str | Sequence[str], *references: ObservedReference, **others: object
) -> Observation:
    """Return an incoming message of ``sender`` (an address, or a domain)."""
    address = sender if "@" in sender else f"anna@{sender}"
    recipients = (to,) if isinstance(to, str) else tuple(to)
    log_identifier = str(others.pop("log_identifier", f"{address} {','.join(recipients)[:60]}"))
    domain = address.rpartition("@")[2]
    values: dict[str, object] = {
        "identifier": observation_identifier(at, log_identifier, "default"), "organisation": "default", "at": at,
        "log_identifier": log_identifier, "sender": address, "author": address, "author_domain": domain,
        "sender_domain": domain, "recipients": recipients, "total_references": len(references),
        "total_trackers": sum(each.is_tracker for each in references), "text_characters": 900,
        "authentication": {"dkim": [{"domain": domain, "result": "pass"}]}, "references": references,
    }  # fmt: skip
    return Observation(**(values | others))  # type: ignore[arg-type]


def newsletter(
    at: float, sender: str, to: str, *references: ObservedReference, **others: object
) -> Observation:
    header = {"list_id": f"news.{sender}", "list_unsubscribe": sender}
    values: dict[str, object] = {"header": header, "text_characters": 3_000, "total_references": 14}
    return mail(at, f"news@{sender}", to, *references, **(values | others))


def written(at: float, of: str, to: str) -> Observation:
    """Return a message that one of our people wrote."""
    return mail(at, of, to, direction="submitted", author_domain="", authentication={})


def quiet_weeks(weeks: int = 5, start: float = START) -> Iterator[Observation]:
    """Give ordinary mail, so that an installation knows what is ordinary: oldest first."""
    for day in range(7 * weeks):
        at = start + day * DAY
        for number in range(6):
            yield newsletter(
                at + number,
                f"shop{number}.example",
                person((day + number) % 80),
                bought(f"px{number}.list-manage.com"),
            )
        yield mail(at + HOUR, "supplier.example", person(day % 80), picture("www.supplier.example"))
        yield written(at + 2 * HOUR, person(day % 80), "anna@supplier.example")


class Studied:
    """What came of studying some subjects in a row."""

    def __init__(self, given: StudySettings | None = None) -> None:
        self.settings = given or settings()
        self.book = WholeBook()
        self.findings: list[Findings] = []

    def take(self, subjects: Iterable[Subject]) -> Studied:
        self.findings += [study(each, self.book, self.settings) for each in subjects]
        return self

    @property
    def alerts(self) -> list[Alert]:
        return [alert for each in self.findings for alert in each.alerts]

    def alerts_of(self, kind: AlertKind) -> list[Alert]:
        return [each for each in self.alerts if each.kind is kind]

    @property
    def activities(self) -> dict[str, Activity]:
        """Return the activities that were not merged away, as they stand, by actor."""
        last = {activity.identifier: activity for each in self.findings for activity in each.activities}
        return {each.actor: each for each in last.values() if not each.merged_into}

    def codes(self, actor: str) -> set[str]:
        return {each.code for each in self.activities[actor].reasons}


class MissedError(Exception):
    """Studying asked for a memo that ``keys_of`` had not named."""


class StrictBook(Book):
    """A book that does not forgive: once it is sealed, asking for what was not loaded is a mistake."""

    sealed = False

    def lacks(self, keys: Iterable[str]) -> frozenset[str]:
        missing = super().lacks(keys)
        if self.sealed and missing:
            raise MissedError(sorted(missing))
        return missing


class Shelf:
    """Memos kept as JSON text, and studying in batches as a store has it done."""

    def __init__(self, given: StudySettings | None = None) -> None:
        self.settings = given or settings()
        self.texts: dict[str, str] = {}
        self.most_keys = 0
        self.most_rounds = 0

    def study(self, batch: Sequence[Subject]) -> list[Findings]:
        book = StrictBook()
        for number in range(1, 10):
            keys = frozenset(each for subject in batch for each in keys_of(subject, book))
            lacking = book.lacks(keys)
            if not lacking:
                break
            book.load(
                {each: json.loads(self.texts[each]) if each in self.texts else None for each in lacking}
            )
            self.most_rounds = max(self.most_rounds, number)
        self.most_keys = max(self.most_keys, *(len(keys_of(each, book)) for each in batch))
        book.sealed = True
        found = [study(each, book, self.settings) for each in batch]
        for name, memo in book.changes().items():
            if memo is None:
                self.texts.pop(name, None)
            else:
                self.texts[name] = json.dumps(memo, allow_nan=False)
        return found
