"""Setup: an installation with a database, and a TAXII server of others. Test: feeds on the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mailveil.cli import invoke
from taxii_origin import TaxiiOrigin, indicator, taxii_origin


class Line:
    """The command line of an installation in a folder."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture
        self.file = folder / "mailveil.toml"
        self.file.write_text(
            f'[storage]\ndirectory = "{folder / "state"}"\n[sharing]\nnetworks = ["127.0.0.0/8"]\n', "utf-8"
        )
        self.secret = folder / "secret"
        self.secret.write_text("secret\n", "utf-8")

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = invoke(["--config", str(self.file), "feeds", *arguments])
        out, error = self.capture.readouterr()
        return code, out, error


def with_server(line: Line, steps: Any) -> None:
    """Do the steps, which block, while a server of others listens."""

    async def run() -> None:
        async with taxii_origin(objects=[("2026-02-01T00:00:00.000000Z", indicator(1))]) as others:
            await asyncio.to_thread(steps, others)

    asyncio.run(run())


def test_a_feed_is_added_read_looked_into_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(tmp_path, capsys)

    def steps(others: TaxiiOrigin) -> None:
        added = line(
            "add", "CERT", others.address, "--kind", "taxii", "--collection", "Spies", "--username", "reader",
            "--secret-file", str(line.secret), "--plain-http", "--json",
        )  # fmt: skip
        assert added[0] == 0, added[2]
        record = json.loads(added[1])
        assert (record["name"], record["has_secret"], record["indicators"]) == ("CERT", True, 0)
        assert "secret" not in record["options"]

        code, out, _ = line("read", "cert", "--json")
        assert code == 0
        assert json.loads(out)["figures"] == {"taken": 1, "withdrawn": 0}
        code, out, _ = line("indicators", "spy1", "--json")
        assert [json.loads(each)["value"] for each in out.splitlines()] == ["spy1.example"]
        assert json.loads(out)["feed"] == "CERT"
        assert "1 indicators" in line("list")[1]

        others.fault = 503
        code, out, _ = line("read", "CERT")
        assert code == 1
        assert "the server answers 503" in out
        assert line("remove", record["id"], "-y")[0] == 0
        assert line("indicators")[1] == ""

    with_server(line, steps)


def test_of_a_feed_is_changed_what_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(tmp_path, capsys)

    def changed(*arguments: str) -> dict[str, Any]:
        code, out, error = line("change", *arguments, "--json")
        assert code == 0, error
        return dict(json.loads(out))

    def steps(others: TaxiiOrigin) -> None:
        line(
            "add", "CERT", others.address, "--kind", "taxii", "--collection", "Spies", "--username", "nobody",
            "--secret-file", str(line.secret), "--plain-http", "--least-confidence", "30",
        )  # fmt: skip
        code, out, _ = line("read", "CERT")
        assert (code, "401" in out) == (1, True)
        record = changed("cert", "--name", "Sector", "--username", "reader", "--minutes", "30")
        assert (record["name"], record["has_secret"], record["enabled"]) == ("Sector", True, True)
        assert record["options"] == {
            "collection": "Spies", "username": "reader", "minutes": 30, "least_confidence": 30, "plain_http": True,
        }  # fmt: skip
        assert line("read", "Sector")[0] == 0
        assert changed("Sector", "--disable")["enabled"] is False
        assert "  off" in line("list")[1]
        again = changed("Sector", "--enable", "--least-confidence", "0", "--collection", "")
        assert again["enabled"] is True
        assert again["options"] == {"username": "reader", "minutes": 30, "plain_http": True}
        line.secret.write_text("another\n", "utf-8")
        assert changed("Sector", "--secret-file", str(line.secret), "--collection", "Spies")["has_secret"]
        code, out, _ = line("read", "Sector")
        assert (code, "401" in out) == (1, True), "the other secret is sent"

        code, _, error = line("change", "Sector", "--https-only")
        assert (code, "plain_http" in error) == (2, True)
        code, _, error = line("change", "Sector", "--address", "http://127.0.0.2:1/taxii2/")
        assert (code, "give its secret, too" in error) == (2, True)
        code, _, error = line("change", "nobody", "--disable")
        assert (code, "there is no feed nobody" in error) == (2, True)

    with_server(line, steps)


def test_what_is_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(tmp_path, capsys)
    code, _, error = line("read", "nobody")
    assert (code, "there is no feed nobody" in error) == (2, True)
    code, _, error = line("add", "X", "http://192.0.2.1/", "--kind", "misp")
    assert (code, "plain_http" in error) == (2, True)
    code, _, error = line("add", "X", "https://10.1.2.3/", "--kind", "misp")
    assert (code, "[sharing] networks" in error) == (2, True)
    code, _, error = line("add", "X", "https://192.0.2.1/", "--kind", "misp", "--secret-file", "/nowhere")
    assert (code, "No such file" in error) == (2, True)
