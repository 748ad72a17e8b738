"""Tracing: spans of messages and their stages, sent to a collector by OTLP over HTTP (OpenTelemetry)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mailveil import __version__
from mailveil.adapters.instruments import SpanOfMessage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TIMEOUT_S = 5


class TracingError(Exception):
    """Traces cannot be sent; the text says what to do."""


class OtlpSpans:
    """Sends spans in the background; a collector that is away costs nothing but the spans."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("mailveil", __version__)

    @contextlib.contextmanager
    def span(
        self, name: str, attributes: Mapping[str, str | int | float | bool]
    ) -> Iterator[SpanOfMessage | None]:
        """Surround something, below the span that is open. What an error says stays out: it may quote mail."""
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    def close(self) -> None:
        """Send what is left, for a moment."""
        self._provider.force_flush(timeout_millis=TIMEOUT_S * 1000)
        self._provider.shutdown()


def open_spans(endpoint: str, service: str) -> OtlpSpans:
    """Return spans that go to ``endpoint`` (``http://collector:4318/v1/traces``) under the name of ``service``.

    Raises ``TracingError`` where the extra packages are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError('OpenTelemetry is not installed: pip install "mailveil[telemetry]"') from error
    resource = Resource({"service.name": service, "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=2048))
    return OtlpSpans(provider)
