"""``mailveil lists`` as a user meets it.

Setup: a storage directory and lists in files.
Test: nothing is used without agreement, what changes is said, mistakes are said plainly.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailveil.cli import program

EASY = "! Title: Easy\n! License: MIT\n||track.example^\n||old.example^\nx.example##.a\n"


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAILVEIL_STORAGE__DIRECTORY", str(tmp_path / "state"))
    return tmp_path


def run(*arguments: str) -> tuple[int, Result]:
    result = CliRunner().invoke(program, ["lists", *arguments], standalone_mode=False)
    code = result.return_value
    assert result.exception is None, result.exception
    assert isinstance(code, int)
    return code, result


def test_import_says_what_it_would_use_and_changes_nothing_by_itself(storage: Path) -> None:
    path = storage / "easy.txt"
    path.write_text(EASY, "utf-8")
    code, result = run("import", "easy", str(path))
    assert code == 1
    assert "easy: adblock, 2 rules to be used, 1 skipped; Easy; licence: MIT" in result.output
    assert "skipped 1: hides elements of pages" in result.output
    assert "nothing was changed" in result.output
    assert "no list is imported" in run()[1].output
    assert run("import", "easy", str(path), "--yes")[0] == 0
    code, result = run()
    assert code == 0
    for shown in (
        "easy",
        "Easy",
        str(path),
        "MIT",
        "SHA-256",
        "2 rules and names (adblock)",
        "1 hides elements",
    ):
        assert shown in result.output
    (facts,) = map(json.loads, run("--json")[1].output.splitlines())
    assert facts["format"] == "adblock"
    assert facts["rules"] == 2


def test_update_shows_the_difference_first(storage: Path) -> None:
    path = storage / "easy.txt"
    path.write_text(EASY, "utf-8")
    run("import", "easy", str(path), "-y")
    assert "is as it was" in run("update")[1].output
    path.write_text(EASY.replace("old.example", "new.example"), "utf-8")
    code, result = run("update", "easy")
    assert code == 1
    assert "+ ||new.example^" in result.output
    assert "- ||old.example^" in result.output
    assert run("update", "easy", "--yes")[0] == 0
    assert "is as it was" in run("update")[1].output
    path.unlink()
    code, result = run("update", "-y")
    assert code == 2
    assert "No such file" in result.output
    assert run("--json")[1].output.count("\n") == 1, "what cannot be updated stays as it is"


def test_remove(storage: Path) -> None:
    path = storage / "hosts"
    path.write_text("0.0.0.0 track.example\n", "utf-8")
    run("import", "hosts", str(path), "-y")
    assert run("remove", "hosts")[0] == 0
    assert run("remove", "hosts")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "Easy", "x"), "is no name for a list"),
        (("import", "easy", "http://lists.example/x"), "a list comes from a file or an https address"),
        (("import", "easy", "ftp://lists.example/x"), "a list comes from a file or an https address"),
        (("import", "easy", "/nowhere/list.txt"), "No such file"),
        (("import", "easy", "/"), "Is a directory"),
        (("update", "easy"), "there is no list easy"),
    ],
)
def test_mistakes_are_said(storage: Path, arguments: tuple[str, ...], said: str) -> None:
    code, result = run(*arguments)
    assert code == 2
    assert said in result.output


def test_file_that_is_no_list_is_said(storage: Path) -> None:
    path = storage / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    code, result = run("import", "easy", str(path), "-y")
    assert code == 2
    assert "is no text" in result.output
    path.write_text("{}", "utf-8")
    code, result = run("import", "easy", str(path), "-y")
    assert code == 2
    assert "nothing in it can be used" in result.output


def test_url_goes_out_through_the_exits_alone(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exit works, so nobody is asked: not even from this machine's own address."""
    monkeypatch.setenv("MAILVEIL_FETCH__EXITS", '["socks5://127.0.0.1:9"]')
    monkeypatch.setenv("MAILVEIL_FETCH__TIMEOUT_S", "5")
    code, result = run("import", "easy", "https://lists.invalid/easy.txt", "-y")
    assert code == 2
    assert "through socks5://127.0.0.1:9" in result.output
    assert "https://lists.invalid/easy.txt: no-exit" in result.output
