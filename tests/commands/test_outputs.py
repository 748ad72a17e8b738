"""Outputs: no edit makes one message two, and an mbox is there once all of it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailveil.adapters.mailboxes import Stored
from mailveil.commands.outputs import Destination, Writer, mbox_entry
from mailveil.commands.terminal import printable


def test_edit_cannot_begin_another_message_in_an_mbox() -> None:
    stored = Stored("a", b"Subject: x\n\nFar From here\n", b"From a\n", b"\n")
    assert (
        mbox_entry(stored, b"Subject: x\n\nFar\nFrom here\n") == b"From a\nSubject: x\n\nFar\n>From here\n\n"
    )
    assert mbox_entry(stored, stored.raw) == b"From a\nSubject: x\n\nFar From here\n\n"


def test_line_that_was_there_before_stays() -> None:
    stored = Stored("a", b"Subject: x\n\ntext\nFrom here\n", b"From a\n")
    assert mbox_entry(stored, stored.raw.replace(b"text", b"changed")).endswith(b"changed\nFrom here\n")


def test_mbox_takes_its_place_with_its_last_entry(tmp_path: Path) -> None:
    like = tmp_path.stat()
    first = Destination(tmp_path / "a", like, Stored("a", b""), is_mbox=True)
    second = Destination(tmp_path / "b", like, Stored("b", b""), is_mbox=True)
    with Writer() as writer:
        writer.append(first, b"1")
        writer.append(first, b"2")
        assert not first.path.exists()
        writer.append(second, b"3")
        assert first.path.read_bytes() == b"12"
        assert not second.path.exists()
    assert second.path.read_bytes() == b"3"


def test_interrupted_mbox_leaves_nothing(tmp_path: Path) -> None:
    writer = Writer()
    writer.append(Destination(tmp_path / "a", tmp_path.stat(), Stored("a", b""), is_mbox=True), b"1")
    error = KeyboardInterrupt()
    writer.__exit__(KeyboardInterrupt, error, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 🎰", "plain ünïcode 🎰"),
        ("\x1b[31m\x07\x7f\x9b", r"\x1b[31m\x07\x7f\x9b"),
        ("a\u202eb\u2066c\u200b", r"a\u202eb\u2066c\u200b"),
        ("a\r\nb\tc\u2028d\u00a0e", "a  b c d e"),
        ("\udcff", r"\udcff"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()
