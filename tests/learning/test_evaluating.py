"""Evaluating: figures that are right, an account that names nobody, and the commands that make them.

Setup: constructed messages as a data set, written as JSON Lines. Test: metrics on small cases known by hand; the
commands from end to end.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mailveil.cli import invoke
from mailveil.core.references.types import Vector
from mailveil.core.verdicts.judging import shipped_model
from mailveil.learning.account import page_of, text_of
from mailveil.learning.constructed import constructed_rows
from mailveil.learning.evaluating import evaluate, judged_by
from mailveil.learning.learning import Lessons
from mailveil.learning.mail import evaluate_mail, labels_by_url, measure_mail
from mailveil.learning.rows import Row
from mailveil.learning.scoring import (
    Scored,
    curves_of,
    headline,
    rate_of,
    reliability_of,
    rule_errs,
    threshold_at,
)

TOKEN = "aB3dE5gH7jK9mN1pQ2"


def row(label: str, number: int = 0, **changes: object) -> Row:
    made = Row(
        f"https://h{number}.example/{number}", Vector.IMG_SRC, "img", {}, f"m{number}", 0, "s.example", 1_000, label,
        "struct", f"f{number % 3}", f"h{number}.example",
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def as_record(row: Row, number: int) -> dict[str, object]:
    vectors = {
        "img-src": "img",
        "css-font": "css-font",
        "css-import": "css-import",
        "background": "td@background",
    }
    return {
        "file": row.message, "vector": vectors.get(str(row.vector), "img"), "url": row.url, "regdom": row.domain,
        "tag": row.element, "attrs": json.dumps(dict(row.attributes)), "style": "", "idx": row.order,
        "sender": row.sender, "html_size": row.size, "label": row.label, "date": f"2024-{1 + number % 12:02}-01",
        "label_source": "list2" if row.is_tracker and number % 2 else "struct", "family": row.family,
        "group": row.domain, "lists": ["mine"] if number % 5 == 0 else [], "invisible": "", "tokens": [],
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "rows.jsonl"
    records = [as_record(each, number) for number, each in enumerate(constructed_rows(70, seed=11))]
    file.write_text("".join(json.dumps(each) + "\n" for each in records))
    return file


def test_the_border_lets_no_more_false_positives_through_than_asked() -> None:
    rows = [row("content", number) for number in range(1_000)] + [row("tracker", 1_000)]
    scored = Scored(tuple(rows), np.arange(1_001, dtype=np.float64))
    for share in (0.001, 0.005, 0.01):
        border = threshold_at(scored, share)
        assert sum(scored.scores[:1_000] > border) == int(share * 1_000)


def test_rates_by_row_and_by_family() -> None:
    rows = [row("tracker", 0), row("tracker", 0), row("tracker", 0), row("tracker", 1)]
    rate = rate_of(rows, np.array([True, True, True, False]))
    assert (rate.rows, rate.families, rate.micro, rate.macro) == (4, 2, 0.75, 0.5)
    assert rate.low <= rate.macro <= rate.high
    assert rate_of(rows, np.array([True] * 4)).low == 1.0
    assert rate_of([], np.array([], dtype=bool)).rows == 0


def test_curves_of_a_perfect_and_of_a_useless_judge() -> None:
    rows = tuple(row("tracker" if number % 2 else "content", number) for number in range(100))
    perfect = curves_of(Scored(rows, np.array([float(number % 2) for number in range(100)])))
    assert (perfect.roc_area, perfect.average_precision) == (1.0, 1.0)
    useless = curves_of(Scored(rows, np.zeros(100)))
    assert (useless.roc_area, useless.average_precision) == (0.5, 0.5)


def test_reliability() -> None:
    said = np.array([0.95] * 100 + [0.05] * 100)
    true = np.array([True] * 95 + [False] * 5 + [True] * 5 + [False] * 95)
    bins, error = reliability_of(said, true, np.ones(200))
    assert [each.rows for each in bins] == [100, 100]
    assert error == pytest.approx(0.0, abs=1e-9)
    assert reliability_of(said, ~true, np.ones(200))[1] == pytest.approx(0.9)


def test_what_the_headline_is() -> None:
    seen = {"invisible": True, "has_token": True}
    assert not headline(row("tracker", **seen))
    assert headline(row("tracker", source="pair", **seen))
    assert headline(row("tracker"))
    assert not headline(row("content", **seen))
    assert rule_errs(row("content", **seen))
    assert not rule_errs(row("ambiguous", **seen))


def test_an_account_holds_everything_and_names_no_token() -> None:
    rows = constructed_rows(40, seed=2)
    mislabelled = dataclasses.replace(
        next(each for each in rows if "spacer" in each.family),
        url=f"https://t.b.example/open/{TOKEN}/jane.doe@c.example/o.gif", domain="b.example",
        attributes={"width": "1", "height": "1"},
    )  # fmt: skip
    account = evaluate(Lessons([*rows, mislabelled]), model=shipped_model(), quick=True)
    assert json.loads(json.dumps(account))["data"]["rows"] == len(rows) + 1
    text, page = text_of(account), page_of(account)
    for whole in (text, page):
        assert "b.example/open/*/*/o.gif" in whole
        assert TOKEN not in whole
        assert "jane" not in whole
        assert "invisible and with a token" in whole
        assert "static-looking name" in whole
    assert page.count("<svg") == 3
    assert re.search(r"(?:src|href)\s*=|url\(|@import", page) is None


def test_raw_mail_is_judged_with_labels_by_url() -> None:
    tracker, content = f"https://t.b.example/open/{TOKEN}", "https://cdn.b.example/logo.png"
    raw = (
        b"From: a@b.example\r\nTo: reader@example.org\r\nContent-Type: text/html\r\n\r\n"
        + f'<img src="{content}" width=200 height=80><img src="{tracker}" width=1 height=1>'.encode()
        + b'<img src="https://x.example/unknown.png">'
    )
    assert [url for url, _measured in measure_mail(raw)][:2] == [content, tracker]
    rows = [
        row("tracker", 1, url=tracker), row("content", 2, url=content),
        row("content", 3, url="https://d.example/"), row("tracker", 4, url="https://d.example/"),
    ]  # fmt: skip
    assert set(labels_by_url(rows)) == {tracker, content}
    found = evaluate_mail([raw], rows, judged_by(Lessons(rows), shipped_model()))
    assert (found["trackers"], found["content"], found["references_without_label"]) == (1, 1, 1)
    assert (found["found"], found["accused"], found["errors"]) == (1.0, 0.0, {})


def run(*arguments: object) -> int:
    return int(invoke([str(each) for each in arguments]))


def test_commands_train_and_evaluate(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, figures, page = tmp_path / "m.json", tmp_path / "f.json", tmp_path / "f.html"
    assert run("train", data, "-o", model, "--date", "2026-01-01") == 0
    assert json.loads(model.read_text())["provenance"]["date"] == "2026-01-01"
    capsys.readouterr()
    assert run("evaluate", data, "--model", model, "--json", figures, "--html", page) == 0
    assert "Found, at so many false positives" in capsys.readouterr().out
    account = json.loads(figures.read_text())
    assert "knowing no host" in account["how"]  # the data that the model was trained on
    assert set(account["splits"]) == {
        "unknown host, owner, sender and template", "unknown host and owner", "unknown sender and template",
        "later in time",
    }  # fmt: skip
    assert {
        "without url",
        "without rendering",
        "without message",
        "without recipient",
        "without operator",
    } < set(account["evidence"])
    assert page.read_text().startswith("<!doctype html>")
    assert run("evaluate", data, "--quick", "--json", figures) == 0
    assert json.loads(figures.read_text())["how"].startswith("one model")


def test_commands_say_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{\n")
    assert run("train", broken, "-o", tmp_path / "m.json") == 2
    assert "line 1 is no JSON" in capsys.readouterr().err
    whole = tmp_path / "whole.jsonl"
    whole.write_text(json.dumps(as_record(constructed_rows(3, seed=1)[0], 1)) + "\n")
    (tmp_path / "m.json").write_text("{}")
    assert run("evaluate", whole, "--model", tmp_path / "m.json") == 2
    assert "not a model" in capsys.readouterr().err
