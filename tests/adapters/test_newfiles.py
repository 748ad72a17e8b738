"""New files: there whole or not at all, and alike to what they stand for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mailveil.adapters.newfiles import copy_file, make_folder, new_file, write_file


def test_copy_has_mode_and_time(tmp_path: Path) -> None:
    source, copy = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"content")
    source.chmod(0o640)
    os.utime(source, ns=(1_000_000_000_000_000_001, 1_100_000_000_123_456_789))
    copy_file(source, copy)
    assert copy.read_bytes() == b"content"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert copy.stat().st_mtime_ns == 1_100_000_000_123_456_789


def test_without_a_model_it_is_its_owners_alone(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"x", None)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_failure_leaves_what_was_there_and_no_debris(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"before")
    failure = new_file(target, None)
    failure.__enter__().write(b"half")
    assert not failure.__exit__(RuntimeError, RuntimeError(), None)
    assert target.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_nothing_is_to_be_seen_before_the_end(tmp_path: Path) -> None:
    with new_file(tmp_path / "a", None) as file:
        file.write(b"half")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"half"


def test_set_user_id_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "a").chmod(0o4755)
    copy_file(tmp_path / "a", tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_folder_resembles_and_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o750)
    make_folder(tmp_path / "b", (tmp_path / "a").stat())
    make_folder(tmp_path / "b", (tmp_path / "a").stat())
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file", (tmp_path / "a").stat())
