"""Instruments: counters for Prometheus, and spans for OpenTelemetry where those are wanted.

Labels are closed sets of our own: a value that a sender could choose would let anybody fill our memory, and could be a
person's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from mailveil import __version__
from mailveil.core.observation import Passed
from mailveil.core.policy import direction_of
from mailveil.stages.measuring import Stage, under_way

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BYTES = (1e3, 1e4, 5e4, 1e5, 5e5, 1e6, 5e6, 1e7, 5e7)


class Spans(Protocol):
    """What records spans: the part of OpenTelemetry's tracer that is used here."""

    def span(
        self, name: str, attributes: Mapping[str, str | int | float | bool]
    ) -> contextlib.AbstractContextManager[SpanOfMessage | None]:
        """Surround something, below the span that is open."""
        ...


class SpanOfMessage(Protocol):
    """A span to which more can be said."""

    def set_attribute(self, key: str, value: str | int | float | bool) -> None:
        """Say more about it."""
        ...


class PrometheusInstruments:
    """Counts (``stages.measuring.Instruments``), in a registry of its own."""

    def __init__(self, spans: Spans | None = None) -> None:
        self.registry = CollectorRegistry()
        self._spans = spans
        self._open: dict[str, SpanOfMessage] = {}
        register = self.registry
        self._messages = Counter(
            "mailveil_messages",
            "Messages that came to an end, by where they came from and how they fared.",
            ("direction", "result"),
            registry=register,
        )
        self._changed = Counter(
            "mailveil_messages_changed", "Messages that went on changed.", registry=register
        )
        self._unexamined = Counter(
            "mailveil_messages_unexamined",
            "Messages that nobody could look into; what was delivered of them is inert text.",
            registry=register,
        )
        self._references = Counter(
            "mailveil_references",
            "Remote references in messages that were delivered, by what they are and what was done.",
            ("finding", "action"),
            registry=register,
        )
        self._trackers = Counter(
            "mailveil_trackers",
            "Trackers in messages that were delivered, by what they would have told.",
            ("kind",),
            registry=register,
        )
        self._seconds = Histogram(
            "mailveil_message_seconds",
            "How long messages took, from the end of their data to the reply.",
            buckets=SECONDS,
            registry=register,
        )
        self._stages = Histogram(
            "mailveil_stage_seconds",
            "How long each stage took.",
            ("stage",),
            buckets=SECONDS,
            registry=register,
        )
        self._sizes = Histogram(
            "mailveil_message_bytes", "How large messages are.", buckets=BYTES, registry=register
        )
        self._under_way = Gauge(
            "mailveil_messages_under_way", "Messages that are being worked on.", registry=register
        )
        self._fetches = Counter(
            "mailveil_fetches", "Downloads that are over, by how they ended.", ("outcome",), registry=register
        )
        self._fetch_seconds = Histogram(
            "mailveil_fetch_seconds", "How long downloads took.", buckets=SECONDS, registry=register
        )
        self._shared = Counter(
            "mailveil_shared_events",
            "Events that destinations took, by their kind.",
            ("kind",),
            registry=register,
        )
        self._refused = Counter(
            "mailveil_shared_events_refused",
            "Events that destinations did not take, which are dead letters now, by their kind.",
            ("kind",),
            registry=register,
        )
        self._studied = Counter(
            "mailveil_studied",
            "What was studied: messages, verdicts of analysts and facts about hosts.",
            registry=register,
        )
        self._set_aside = Counter(
            "mailveil_studied_set_aside", "What could not be studied and was left out.", registry=register
        )
        self._activities = Counter(
            "mailveil_activity_changes",
            "How often studying found something new of an activity of reconnaissance.",
            registry=register,
        )
        self._recognised = Counter(
            "mailveil_recognised",
            "Messages of known actors that were delivered, by what these were known by.",
            ("known_by",),
            registry=register,
        )
        self._feeds = Counter(
            "mailveil_feed_readings",
            "Readings of feeds of indicators, by the kind of feed and how they ended.",
            ("kind", "result"),
            registry=register,
        )
        self._alerts = Counter("mailveil_alerts", "Alerts that were raised.", registry=register)
        self._levels: dict[str, Gauge] = {}
        Gauge("mailveil_build", "Which version runs.", ("version",), registry=register).labels(
            __version__
        ).set(1)

    @contextlib.contextmanager
    def message(self, identifier: str) -> Iterator[None]:
        """Surround everything that is done for a message."""
        token = under_way.set(identifier)
        try:
            with (
                self._under_way.track_inprogress(),
                self._span("message", {"mailveil.message": identifier}) as span,
            ):
                if span is not None:
                    self._open[identifier] = span
                yield
        finally:
            self._open.pop(identifier, None)
            under_way.reset(token)

    @contextlib.contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Surround one stage of it."""
        started = time.perf_counter()
        try:
            with self._span(str(stage), {}):
                yield
        finally:
            self._stages.labels(str(stage)).observe(time.perf_counter() - started)

    def passed(self, passed: Passed) -> None:
        """Take note of how a message ended."""
        code = passed.fared.code
        result = "delivered" if 200 <= code < 400 else "deferred" if code < 500 else "refused"
        direction = str(direction_of(passed.envelope))
        self._messages.labels(direction, result).inc()
        self._seconds.observe(passed.seconds)
        self._sizes.observe(passed.size_bytes)
        if not passed.examined:
            self._unexamined.inc()
        trackers = 0
        if result == "delivered":
            if passed.changed:
                self._changed.inc()
            for known_by in {each.known_by for each in passed.recognised.values()}:
                self._recognised.labels(str(known_by)).inc()
            for each in passed.found:
                self._references.labels(each.finding, each.action).inc()
                if each.is_tracker:
                    trackers += 1
                    self._trackers.labels(each.kind or "unknown").inc()
        span = self._open.get(passed.identifier)
        if span is not None:
            span.set_attribute("mailveil.direction", direction)
            span.set_attribute("mailveil.reply", code)
            span.set_attribute("mailveil.bytes", passed.size_bytes)
            span.set_attribute("mailveil.references", len(passed.found))
            span.set_attribute("mailveil.trackers", trackers)
            span.set_attribute("mailveil.changed", passed.changed)

    def fetched(self, outcome: str, seconds: float) -> None:
        """Take note of a download that is over."""
        self._fetches.labels(outcome).inc()
        self._fetch_seconds.observe(seconds)

    def delivered(self, kind: str, count: int) -> None:
        """Take note of events that a destination of this kind took."""
        self._shared.labels(kind).inc(count)

    def died(self, kind: str) -> None:
        """Take note of an event that one did not take."""
        self._refused.labels(kind).inc()

    def feed_read(self, kind: str, *, failed: bool) -> None:
        """Take note of a reading of a feed of this kind."""
        self._feeds.labels(kind, "failed" if failed else "read").inc()

    def studied(self, subjects: int, set_aside: int, activities: int, alerts: int) -> None:
        """Take note of what was studied together, and of what was found."""
        self._studied.inc(subjects)
        self._set_aside.inc(set_aside)
        self._activities.inc(activities)
        self._alerts.inc(alerts)

    def level(self, name: str, words: str, value: float, *, kind: str = "") -> None:
        """Set a number that goes up and down, such as how many bytes wait for the database; perhaps one of a kind."""
        gauge = self._levels.get(name)
        if gauge is None:
            labels = ("kind",) if kind else ()
            gauge = self._levels[name] = Gauge(f"mailveil_{name}", words, labels, registry=self.registry)
        (gauge.labels(kind) if kind else gauge).set(value)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return all of it and its media type, in the format that ``accept`` asks for."""
        encode, media_type = choose_encoder(accept)
        text: bytes = encode(self.registry)
        return text, media_type

    @contextlib.contextmanager
    def _span(self, name: str, attributes: Mapping[str, str]) -> Iterator[SpanOfMessage | None]:
        if self._spans is None:
            yield None
            return
        with self._spans.span(name, attributes) as span:
            yield span
