"""Instruments: what they count, and that no label can be chosen by a sender."""

from __future__ import annotations

import asyncio
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from mailveil.adapters.instruments import PrometheusInstruments
from mailveil.adapters.tracing import open_spans
from mailveil.core.observation import Fared, ObservedReference, Passed
from mailveil.core.policy import Envelope
from mailveil.stages.measuring import Stage, under_way


def reference(finding: str = "tracker", kind: str = "open", action: str = "copy") -> ObservedReference:
    return ObservedReference(
        "http://victim-token.spy.example/p?u=reader@example.org", "*", "*.spy.example", "spy.example",
        "img-src", finding, action, kind=kind,
    )  # fmt: skip


def passage(
    identifier: str = "m1", code: int = 250, *found: ObservedReference, changed: bool = True
) -> Passed:
    envelope = Envelope("spy@sender.example", ("reader@example.org",))
    return Passed(0.0, identifier, envelope, 2000, 0.02, Fared(code, "2.0.0"), found=found, changed=changed)


def samples(instruments: PrometheusInstruments) -> dict[str, float]:
    text = instruments.render("text/plain")[0].decode()
    return {
        each.name + "".join(f"{{{value}}}" for _, value in sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_messages_are_counted_by_how_they_fared_and_trackers_only_where_they_were_delivered() -> None:
    instruments = PrometheusInstruments()
    instruments.passed(passage("m1", 250, reference(), reference("content", "", "copy")))
    instruments.passed(passage("m2", 451, reference()))
    instruments.passed(passage("m3", 550))
    found = samples(instruments)
    assert found["mailveil_messages_total{inbound}{delivered}"] == 1
    assert found["mailveil_messages_total{inbound}{deferred}"] == 1
    assert found["mailveil_messages_total{inbound}{refused}"] == 1
    assert found["mailveil_trackers_total{open}"] == 1
    assert found["mailveil_references_total{copy}{tracker}"] == 1
    assert found["mailveil_references_total{copy}{content}"] == 1
    assert found["mailveil_messages_changed_total"] == 1
    assert found["mailveil_message_seconds_count"] == 3


def test_stages_are_timed_and_the_message_is_named_for_the_logs() -> None:
    instruments = PrometheusInstruments()
    with instruments.message("m7"):
        assert under_way.get() == "m7"
        assert samples(instruments)["mailveil_messages_under_way"] == 1
        with instruments.stage(Stage.EXAMINE):
            pass
        with pytest.raises(RuntimeError), instruments.stage(Stage.DELIVER):
            raise RuntimeError
    assert under_way.get() == ""
    found = samples(instruments)
    assert found["mailveil_messages_under_way"] == 0
    assert found["mailveil_stage_seconds_count{examine}"] == 1
    assert found["mailveil_stage_seconds_count{deliver}"] == 1


def test_messages_side_by_side_keep_their_names() -> None:
    instruments = PrometheusInstruments()
    seen: list[tuple[str, str]] = []

    async def pass_on(name: str) -> None:
        with instruments.message(name):
            await asyncio.sleep(0)
            seen.append((name, under_way.get()))

    async def both() -> None:
        await asyncio.gather(pass_on("a"), pass_on("b"))

    asyncio.run(both())
    assert sorted(seen) == [("a", "a"), ("b", "b")]


def test_nothing_of_a_message_is_in_the_figures() -> None:
    instruments = PrometheusInstruments()
    instruments.passed(passage("m1", 250, reference()))
    instruments.fetched("fetched", 0.1)
    text = instruments.render("")[0].decode()
    for secret in ("reader", "example.org", "sender.example", "spy.example", "victim"):
        assert secret not in text


def test_a_collector_gets_the_spans_of_a_message_with_no_person_in_them() -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        spans = open_spans(f"http://127.0.0.1:{server.server_port}/v1/traces", "mailveil-test")
        instruments = PrometheusInstruments(spans)
        with instruments.message("m1"):
            with instruments.stage(Stage.EXAMINE):
                pass
            instruments.passed(passage("m1", 250, reference()))
        with pytest.raises(ValueError, match="reader"), instruments.message("m2"):
            raise ValueError("reader@example.org")
        spans.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    received = [
        span
        for body in bodies
        for each in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in each.scope_spans
        for span in scope.spans
    ]
    by_name = {
        (span.name, span.attributes[0].value.string_value if span.attributes else ""): span
        for span in received
    }
    message = by_name["message", "m1"]
    stage = by_name["examine", ""]
    assert stage.parent_span_id == message.span_id
    attributes = {each.key: each.value for each in message.attributes}
    assert attributes["mailveil.trackers"].int_value == 1
    assert attributes["mailveil.reply"].int_value == 250
    assert b"reader" not in b"".join(bodies)


def test_a_collector_that_is_away_costs_no_message() -> None:
    spans = open_spans("http://127.0.0.1:9/v1/traces", "mailveil-test")
    instruments = PrometheusInstruments(spans)
    with instruments.message("m1"), instruments.stage(Stage.EXAMINE):
        pass
    spans.close()
