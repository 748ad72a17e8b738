"""Places of references: many in one body are found at once, and equal ones in one container all count."""

from __future__ import annotations

import base64
import quopri
import time
import zlib

from mailveil.core.observation import summary_of
from mailveil.core.protection import EngineSettings, finish, inspect


def test_a_url_that_stands_twice_in_one_container_is_replaced_twice() -> None:
    image = b'<image width="9" height="9" href="http://spy.example/p.gif"/>'
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg">' + image + b"<g/>" + image + b"</svg>"
    compressor = zlib.compressobj(wbits=31)
    packed = base64.encodebytes(compressor.compress(drawing) + compressor.flush())
    head = b"Content-Type: image/svg+xml\nContent-Transfer-Encoding: base64\n"
    # A message with a defect, since repetitions are only looked for where there may be several readings.
    head += b"Content-Disposition: attachment; filename=a.svgz\nno field\n"
    plan = inspect(head + b"\n" + packed, EngineSettings())
    assert plan.ambiguous
    assert [decision.reference.url for decision in plan.decisions] == ["http://spy.example/p.gif"] * 2
    body = finish(plan).raw.partition(b"\n\n")[2]
    assert b"spy.example" not in zlib.decompress(base64.b64decode(body), 31)


def test_reporting_thousands_of_references_takes_linear_time() -> None:
    body = b"".join(b"<p>%d<img src='http://spy.example/%d.gif'>\n" % (n, n) for n in range(5000))
    head = b"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n"
    started = time.process_time()
    plan = inspect(head + quopri.encodestring(body), EngineSettings())
    record = plan.record("message.eml")
    assert time.process_time() - started < 3
    assert len(record["references"]) == 5000
    first, last = record["references"][0]["span"], record["references"][-1]["span"]
    assert b"http://spy.example/0.gif" in plan.raw[slice(*first)].replace(b"=\n", b"")
    assert b"http://spy.example/4999.gif" in plan.raw[slice(*last)].replace(b"=\n", b"")


def test_a_summary_says_nothing_else_than_the_record() -> None:
    raw = (
        b"From: a@shop.example\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMessage-ID: <1@x>\r\n"
        b"Content-Type: text/html\r\n\r\n"
        b'<img src="https://t.shop.example/o/0f3a9c07d51e8b42.gif" width=1 height=1><img src="https://a.example/x.png">'
    )
    plan = inspect(raw, EngineSettings())
    record, summary = plan.record("path"), summary_of(plan)
    assert len(summary["references"]) == 2
    for told, reference in zip(summary["references"], record["references"], strict=True):
        assert told["place"]
        assert {name: told[name] for name in told if name in reference} == {
            name: reference[name] for name in told if name in reference
        }
    assert {name: record[name] for name in ("message_id", "subject", "defects")} == {
        name: summary[name] for name in ("message_id", "subject", "defects")
    }
    assert summary["facts"]["risk"] == record["risk"]
    assert summary["facts"]["author"] == "a@shop.example"
