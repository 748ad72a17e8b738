"""The store of imported lists: whole or not at all, and nothing is used that is not as it was imported.

Setup: a folder of its own.
Test: facts and rules come back; damage, strangers' files and bad names are said.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mailveil.adapters.liststore import ListStore, ListStoreError, facts_of, is_name, read_lists
from mailveil.core.verdicts.lists import ListFormat, parse_list

RAW = b"! Title: Mine\n! License: CC0\n||track.example^\nbad##rule\n"


def keep(store: ListStore, name: str = "mine") -> None:
    parsed = parse_list(RAW.decode(), ListFormat.ADBLOCK)
    store.save(facts_of(name, "https://lists.example/mine.txt", RAW, parsed, 1_700_000_000.0), RAW)


def test_list_comes_back_with_its_facts(tmp_path: Path) -> None:
    store = ListStore(tmp_path / "lists")
    keep(store)
    assert store.names() == ["mine"]
    stored = store.read("mine")
    assert stored.problem == ""
    assert stored.parsed is not None
    assert stored.parsed.count == 1
    facts = stored.facts
    assert (facts.title, facts.licence, facts.source) == ("Mine", "CC0", "https://lists.example/mine.txt")
    assert (facts.rules, facts.size_bytes, facts.imported_at) == (1, len(RAW), 1_700_000_000.0)
    assert dict(facts.skipped) == {"hides elements of pages": 1}
    assert (tmp_path / "lists" / "mine.list").stat().st_mode & 0o077 == 0
    store.remove("mine")
    assert store.names() == []
    with pytest.raises(ListStoreError, match="there is no list mine"):
        store.remove("mine")


def test_damaged_list_is_not_used_and_the_others_are(tmp_path: Path) -> None:
    store = ListStore(tmp_path)
    keep(store)
    keep(store, "other")
    path = tmp_path / "mine.list"
    path.write_bytes(path.read_bytes() + b"||shop.example^\n")
    lists, problems = read_lists(tmp_path)
    assert [each.name for each in lists] == ["other"]
    (problem,) = problems
    assert "is not as it was imported" in problem


@pytest.mark.parametrize(
    "content", [b"", b"||a.example^\n", b"{}\n", b'{"kind": "mailveil list 1"}\n', b"[]\n", b"\xff\n"]
)
def test_file_of_somebody_else_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.list").write_bytes(content)
    lists, problems = read_lists(tmp_path)
    assert lists == ()
    assert len(problems) == 1
    assert "import it again" in problems[0]


def test_renamed_list_is_not_used(tmp_path: Path) -> None:
    keep(ListStore(tmp_path))
    (tmp_path / "mine.list").rename(tmp_path / "yours.list")
    assert read_lists(tmp_path)[0] == ()


def test_no_folder_is_no_list(tmp_path: Path) -> None:
    assert read_lists(tmp_path / "nowhere") == ((), ())


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "x" * 64, "a b", "-a", "a.list"])
def test_name_is_a_file_name(tmp_path: Path, name: str) -> None:
    assert not is_name(name)
    with pytest.raises(ListStoreError, match="is no name for a list"):
        ListStore(tmp_path).read(name)
