"""Rows: read from data sets however broken, and measured just as the references of a message that arrives.

Setup: records as data sets have them. Test: a message that is built from a row gives the very same numbers.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mailveil.core.message.parse import parse_message
from mailveil.core.policy import Envelope
from mailveil.core.protection.inspecting import message_context
from mailveil.core.references.search import find_references
from mailveil.core.references.types import Vector
from mailveil.core.verdicts.features import FEATURES, Surroundings, measure
from mailveil.learning.rows import DataError, measure_rows, read_rows, row_of, vector_of

TOKEN = "aB3dE5gH7jK9mN1pQ2"


def record(**changes: Any) -> dict[str, Any]:
    return {
        "corpus": "made", "file": "1.eml", "part": 0, "date": "2024-01-01", "sender": "shop.example",
        "vector": "img", "url": f"https://t.shop.example/open/{TOKEN}", "host": "t.shop.example",
        "regdom": "shop.example", "tag": "img", "attrs": json.dumps({"width": "1", "height": "1", "alt": ""}),
        "style": "display:block", "idx": 0, "total": 3, "html_size": 0, "lists": [], "owner": "", "invisible": "px",
        "tokens": [TOKEN], "tmpl": "t", "family": "f", "label": "tracker", "label_source": "struct",
        "group": "d:shop.example", **changes,
    }  # fmt: skip


ROWS = (
    record(
        idx=0, url="https://cdn.images.example/logo.png", regdom="images.example", label="content", style="",
        attrs=json.dumps({"width": "600", "alt": "Shop", "class": "a", "border": "0"}),
    ),
    record(
        idx=1, url="https://cdn.images.example/a/9f86d081884c7d659a2feaa0c55ad015.jpg?w=600", label="content",
        regdom="images.example", attrs="{}", style="max-width:100%;width:300px",
    ),
    record(
        idx=2, url="https://x.example/b.png", regdom="x.example", vector="td@background", tag="td", style="",
        label="content", attrs=json.dumps({"width": "200", "background": "https://x.example/b.png"}),
    ),
    record(idx=3),
    record(idx=4, url="http://192.0.2.7/o.php?id=48213&e=reader%40example.org", regdom="192.0.2.7", style=""),
)  # fmt: skip


def _markup(row: dict[str, Any]) -> str:
    attributes = {**json.loads(row["attrs"])}
    if row["style"]:
        attributes["style"] = row["style"]
    attributes["background" if row["tag"] == "td" else "src"] = row["url"]
    written = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"<table><tr><{row['tag']} {written}></tr></table>" if row["tag"] == "td" else f"<img {written}>"


def test_a_message_built_from_rows_gives_the_same_numbers() -> None:
    page = "<html><body><p>Hello</p>" + "".join(map(_markup, ROWS)) + "</body></html>"
    raw = (
        b"From: Shop <sender@shop.example>\r\nTo: reader@example.org\r\nContent-Type: text/html\r\n\r\n"
        + page.encode()
    )
    message = parse_message(raw)
    findings = find_references(message).findings
    context = message_context(message, Envelope(), findings.linked)
    surroundings = Surroundings(findings.references, context)
    arrived = [measure(each, surroundings) for each in findings.references]
    rows = [row_of({**each, "html_size": len(page)}) for each in ROWS]
    from_rows = measure_rows(rows)
    assert [each.url for each in findings.references] == [row.url for row in rows]
    for found, expected in zip(arrived, from_rows, strict=True):
        named = dict(zip(FEATURES, found.numbers, strict=True))
        assert named == dict(zip(FEATURES, expected.numbers, strict=True))
        assert (found.meaning, found.decided) == (expected.meaning, expected.decided)
        assert set(expected.signals) == set(found.signals)


def test_rows_are_read_compressed_or_not(tmp_path: Path) -> None:
    text = "".join(json.dumps(each) + "\n" for each in ROWS).encode()
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(text + b"\n")
    packed.write_bytes(gzip.compress(text))
    assert read_rows(plain) == read_rows(packed)
    assert [row.is_tracker for row in read_rows(plain)] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "line 2 is no JSON"),
        (b"7", "line 2 is no JSON object"),
        (b'{"url": "https://x.example"}', "line 2 has no field"),
        (json.dumps(record(idx="x")).encode(), "line 2 has a field of the wrong kind"),
        (json.dumps(record(attrs="[1]")).encode(), "line 2 has a field of the wrong kind"),
        (b"[" * 200_000, "line 2 is no JSON"),
        (b" " * 1_000_001, "longer than"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(json.dumps(ROWS[0]).encode() + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=reason):
        read_rows(file)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"{}" * 1000)[:-9]])
def test_a_file_without_rows_or_cut_off_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ("a.jsonl.gz" if content else "a.jsonl")
    file.write_bytes(content)
    with pytest.raises(DataError):
        read_rows(file)


def test_vectors_of_data_sets() -> None:
    assert vector_of("comment-img") is Vector.IMG_SRC
    assert vector_of("table@background") is Vector.BACKGROUND
    assert vector_of("link:canonical") is Vector.LINK_OTHER
    assert vector_of("whatever") is Vector.HTML_OTHER
