"""Trackers and operators: who watches, by what they are known, since when, and how many people that concerns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import MissingError
from mailveil.control.messages import messages
from mailveil.control.records import Cut, MessageLine, MessageQuery, OperatorLine, TrackerQuery
from mailveil.control.trackers import behind, operator, operators, tracker, trackers
from mailveil.core.intelligence.types import Role, Tooling
from mailveil.core.verdicts.operators import Entry, Facet, catalogue
from mailveil.core.verdicts.types import Kind
from mailveil.endpoints.web.console.charts import measures
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.periods import LONG_PERIODS, period_of
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.watchlinks import belongings
from mailveil.endpoints.web.console.wording import KIND_NAMES

pages = Pages()
ORDERS = ("last", "first", "messages", "people")
KINDS = (("", "Any"), *((str(each), KIND_NAMES[each]) for each in Kind))
FIELDS = ("q", "operator", "domain", "kind", "period")
WHEN = (("", "At any time"), *((each.name, f"In the last {each.title}") for each in LONG_PERIODS))
FEW = 10
MAX_SHAPES = 12
FACET_WORDS = {
    Facet.PATTERNS: "Shapes of its addresses",
    Facet.HOSTS: "Hosts",
    Facet.CNAMES: "Names that customers’ names are aliases for",
    Facet.NAMESERVERS: "Name servers",
    Facet.SIGNERS: "Signs as, or takes bounces at",
    Facet.FIELDS: "Header fields that it puts into mail",
}


TOOLING_WORDS = {
    Tooling.BOUGHT: "bought",
    Tooling.BUILT: "built by whoever uses it",
    Tooling.UNKNOWN: "not known whether bought or built",
}
ROLE_NAMES = {
    Role.CANONICAL_NAME: "Alias for",
    Role.NAME_SERVER: "Name server",
    Role.ADDRESS: "Address",
    Role.CERTIFICATE: "Certificate",
    "server": "The same answer, field by field and byte by byte",
    Role.FINGERPRINT: "Addresses made in the same way",
}


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that the catalogue knows an operator by, with where that stands."""

    value: str
    source_title: str
    source_address: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """What the catalogue knows of an operator: facts by what they are, and how many it has of each."""

    entry: Entry
    facts: tuple[tuple[str, tuple[Known, ...], int], ...]


@pages.get("/trackers", Permission.TRACKERS_READ)
async def tracker_list(visit: Visit) -> Response:
    """Show trackers that fit what was asked for."""
    asked = {name: visit.query(name) for name in FIELDS}
    order = visit.query("order", "last")
    order = order if order in ORDERS else "last"
    query = TrackerQuery(
        text=asked["q"].strip().lower(),
        operator=asked["operator"].strip(),
        domain=asked["domain"].strip().lower(),
        kind=asked["kind"] if asked["kind"] in Kind.__members__.values() else "",
        since=_since(visit, asked["period"]),
        order=order,
    )
    page = await trackers(visit.room, visit.actor, query, visit.cut())
    return visit.page(
        "trackers.html",
        page=page,
        asked=asked,
        order=order,
        kinds=KINDS,
        when=WHEN,
        is_filtered=any(asked.values()),
    )


@pages.get("/trackers/{identifier}", Permission.TRACKERS_READ)
async def one_tracker(visit: Visit) -> Response:
    """Show what is known of one tracker, and the latest messages that held it."""
    found = await tracker(visit.room, visit.actor, visit.path("identifier"))
    lines = await _latest(visit, MessageQuery(tracker=found.identifier))
    return visit.page(
        "tracker.html",
        tracker=found,
        entry=_entry(found.operator),
        role_names=ROLE_NAMES,
        tooling_words=TOOLING_WORDS,
        behind=await behind(visit.room, visit.actor, found),
        lines=lines,
        belongings=await belongings(visit, [each.identifier for each in lines or ()]),
    )


@pages.get("/operators", Permission.TRACKERS_READ)
async def operator_list(visit: Visit) -> Response:
    """Show the operators that were met."""
    asked = visit.query("period")
    page = await operators(visit.room, visit.actor, _since(visit, asked), visit.cut())
    return visit.page(
        "operators.html",
        page=page,
        asked=asked,
        when=WHEN,
        bars=measures([(each.name, each.messages) for each in page.items[:FEW]]),
        known=len(catalogue().entries),
    )


@pages.get("/operators/{name:path}", Permission.TRACKERS_READ)
async def one_operator(visit: Visit) -> Response:
    """Show one operator as it was met, and what the catalogue knows of it, with sources."""
    found = await _operator(visit, visit.path("name"))
    page = await trackers(
        visit.room, visit.actor, TrackerQuery(operator=found.name, order="messages"), Cut(FEW)
    )
    return visit.page(
        "operator.html",
        operator=found,
        dossier=dossier_of(found.name),
        trackers=page.items,
        has_more=bool(page.next),
        lines=await _latest(visit, MessageQuery(operator=found.name)),
    )


async def operators_with_pages(visit: Visit, names: Iterable[str]) -> frozenset[str]:
    """Return those operators of whom there is a page: they are in the catalogue, or were met in what is kept."""
    found = set()
    for name in set(filter(None, names)):
        with contextlib.suppress(MissingError):
            found.add((await _operator(visit, name)).name)
    return frozenset(found)


async def _operator(visit: Visit, name: str) -> OperatorLine:
    """Return an operator as it was met; one that the catalogue knows also where it was not. Raises ``MissingError``."""
    entry = _entry(name)
    try:
        return await operator(visit.room, visit.actor, name)
    except MissingError:
        if entry is None:
            raise
        return OperatorLine(entry.name, entry.owner, str(entry.category), 0.0, 0.0, 0, 0, 0, 0)


def dossier_of(name: str) -> Dossier | None:
    """Return what the catalogue knows of an operator, ``None`` where it knows none of this name."""
    entry = _entry(name)
    if entry is None:
        return None
    shapes = [each for each in catalogue().shapes if each.name == name]
    parts = [
        (
            FACET_WORDS[Facet.PATTERNS],
            tuple(_known(str(each), each.source) for each in shapes[:MAX_SHAPES]),
            len(shapes),
        )
    ]
    for facet, facts in entry.facts.items():
        known = tuple(_known(each.value, each.source) for each in facts[:MAX_SHAPES])
        parts.append((FACET_WORDS[facet], known, len(facts)))
    return Dossier(entry, tuple(each for each in parts if each[2]))


def _known(value: str, source: object) -> Known:
    title, address = getattr(source, "title", ""), getattr(source, "address", "")
    return Known(value, str(title), str(address))


def _entry(name: str) -> Entry | None:
    return next((each for each in catalogue().entries if each.name == name), None) if name else None


def _since(visit: Visit, name: str) -> float:
    if name not in [each.name for each in LONG_PERIODS]:
        return 0.0
    return visit.room.clock.now() - period_of(name, among=LONG_PERIODS).seconds


async def _latest(visit: Visit, query: MessageQuery) -> Sequence[MessageLine] | None:
    """Return the latest messages, ``None`` for whoever may not know of messages."""
    if not visit.actor.may(Permission.MESSAGES_READ):
        return None
    return (await messages(visit.room, visit.actor, query, Cut(FEW))).items
