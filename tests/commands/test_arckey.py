"""``mailveil arc-key``: what it prints can be pasted, and then messages are sealed with it.

Setup: a storage directory of its own.
Test: the settings load, the record is the key's, nothing is written over, mistakes are said plainly.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailveil.adapters.sealer import read_key_file
from mailveil.app.building import build_sealer
from mailveil.cli import program
from mailveil.config import load
from mailveil.core.authentication import is_record_of


def test_what_it_prints_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    result = CliRunner().invoke(program, ["arc-key", "Example.ORG", "--selector", "a1", "-o", str(path)])
    assert result.exit_code == 0, result.output
    file = tmp_path / "mailveil.toml"
    file.write_text(result.output[result.output.index("[authentication]") :], "utf-8")
    settings = load(file, {})
    sealer = build_sealer(settings)
    assert sealer is not None
    sealer.close()
    assert sealer.key.record_name == "a1._domainkey.example.org"
    line = next(line for line in result.output.splitlines() if " IN TXT " in line)
    assert line.startswith("a1._domainkey.example.org. IN TXT ( ")
    strings = re.findall(r'"([^"]*)"', line)
    assert max(map(len, strings)) <= 255
    assert is_record_of(read_key_file(path), ["".join(strings).encode()])


def test_it_has_a_place_and_a_selector_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILVEIL_STORAGE__DIRECTORY", str(tmp_path / "state"))
    result = CliRunner().invoke(program, ["arc-key", "example.org"])
    assert result.exit_code == 0, result.output
    assert re.search(r"^mailveil\d{6}\._domainkey\.example\.org\. IN TXT", result.output, re.MULTILINE)
    assert (tmp_path / "state" / "arc.pem").stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(program, ["arc-key", "example.org"])
    assert again.exit_code == 2
    assert "there already" in again.output


@pytest.mark.parametrize("arguments", [[], ["not a domain"], ["example.org", "--selector", "a b"]])
def test_mistakes_are_said(arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(program, ["arc-key", *arguments, "-o", str(tmp_path / "k.pem")])
    assert result.exit_code == 2
    assert "is no domain name" in result.output
    assert not (tmp_path / "k.pem").exists()
