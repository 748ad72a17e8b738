"""Taking in: what is kept of a reading: nothing that could break mail, and no more than there may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from mailveil.control.feedstores import FeedOutcome, FeedReading
from mailveil.control.sharingrecords import Feed, ImportedIndicator
from mailveil.core.recognition.indicators import taken_as
from mailveil.core.sharing.indicators import SharedIndicator

MAX_INDICATORS: Final = 50_000  # of one feed
DEFAULT_MINUTES: Final = 60
LEAST_MINUTES: Final = 5
MOST_MINUTES: Final = 7 * 24 * 60
PAUSES_S: Final = (300.0, 21_600.0)  # after a reading that failed: the first and the longest


def interval_s(feed: Feed) -> float:
    """Return how long a feed is left alone between readings."""
    minutes = feed.options.get("minutes", DEFAULT_MINUTES)
    return 60.0 * max(LEAST_MINUTES, min(MOST_MINUTES, int(minutes)))


def pause_s(attempts: int) -> float:
    """Return how long a feed is left alone after so many readings that failed one after the other."""
    return float(min(PAUSES_S[1], PAUSES_S[0] * 2 ** min(16, max(0, attempts - 1))))


def outcome_of(
    feed: Feed, reading: FeedReading, kept_before: Mapping[str, int], own_domains: Iterable[str], now: float
) -> FeedOutcome:
    """Return what is kept of a reading, and how much was passed over, by reason.

    ``kept_before`` counts the indicators kept of each source of the feed: those of a source that is told again are
    replaced, and take no room beside what replaces them.
    """
    own = frozenset(own_domains)
    told = {each.identifier for each in reading.sources}
    stays = sum(
        count
        for source, count in kept_before.items()
        if source not in told and (reading.present is None or source in reading.present)
    )
    # What was kept of a source holds its room until its turn, so that an earlier one cannot push it out.
    left = MAX_INDICATORS - stays - sum(kept_before.get(each, 0) for each in told)
    figures: Counter[str] = Counter()
    kept: dict[str, tuple[ImportedIndicator, ...]] = {}
    for source in reading.sources:
        figures.update({f"skipped:{reason}": count for reason, count in source.skipped.items()})
        some: dict[tuple[str, str], ImportedIndicator] = {}
        for each in source.indicators:
            taken = _taken(feed, each, own, now)
            if isinstance(taken, str):
                figures[f"skipped:{taken}"] += 1
            else:
                some[taken.kind, taken.value] = replace(taken, identifier=source.identifier)
        room = left + kept_before.get(source.identifier, 0)
        if len(some) > room:
            figures["skipped:too-many"] += len(some)
            continue  # and what was kept of it stays
        left = room - len(some)
        figures["taken"] += len(some)
        figures["withdrawn"] += not source.indicators and not source.skipped
        kept[source.identifier] = tuple(some.values())
    next_read_at = now + interval_s(feed) if reading.is_complete else now
    return FeedOutcome(kept, reading.position, now, next_read_at, dict(figures), reading.present)


def _taken(feed: Feed, shared: SharedIndicator, own: frozenset[str], now: float) -> ImportedIndicator | str:
    """Return an indicator as it is kept, or why it is not."""
    if 0 < shared.valid_until <= now:
        return "over"
    if shared.confidence < float(feed.options.get("least_confidence", 0)) / 100:
        return "unsure"
    taken = taken_as(shared.kind, shared.value, own)
    if isinstance(taken, str):
        return taken
    return ImportedIndicator(
        feed=feed.identifier,
        identifier="",
        kind=taken.kind,
        value=taken.value,
        confidence=shared.confidence,
        valid_from=shared.valid_from,
        valid_until=shared.valid_until,
        name=shared.name,
        source=shared.source,
        marking=shared.marking,
    )
