"""Mailboxes: every message is found, nothing else is taken for one, and all bytes are accounted for."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.adapters.mailboxes import (
    FoundFile,
    Kind,
    Stored,
    Unreadable,
    find_files,
    kind_of,
    lines_of,
    read_mbox,
    read_message,
    sniff,
    split_readings,
)

MESSAGE = b"From: a@b.example\nSubject: one\n\nbody\n"
FROM = b"From a@b.example Thu Jan  1 00:00:00 2026\n"


def entries(raw: bytes, max_bytes: int = 10_000_000) -> list[Stored | Unreadable]:
    return list(read_mbox(lines_of(io.BytesIO(raw)), "box", max_bytes))


def joined(found: list[Stored | Unreadable]) -> bytes:
    assert all(isinstance(each, Stored) for each in found)
    return b"".join(each.before + each.raw + each.after for each in found if isinstance(each, Stored))


def test_mbox_is_split_and_every_byte_accounted_for() -> None:
    raw = FROM + MESSAGE + b"\n" + FROM + MESSAGE + b"\n"
    found = entries(raw)
    assert found == [
        Stored("box#1", MESSAGE, FROM, b"\n"),
        Stored("box#2", MESSAGE, FROM, b"\n"),
    ]
    assert joined(found) == raw


def test_mbox_with_crlf() -> None:
    message, line = MESSAGE.replace(b"\n", b"\r\n"), FROM.replace(b"\n", b"\r\n")
    found = entries((line + message + b"\r\n") * 2)
    assert found == [Stored(f"box#{n}", message, line, b"\r\n") for n in (1, 2)]


def test_mbox_quoting_stays_as_it_is_stored() -> None:
    quoted = MESSAGE + b"\n>From here on\n>>From there\n"
    (found,) = entries(FROM + quoted + b"\n")
    assert found == Stored("box#1", quoted, FROM, b"\n")


@pytest.mark.parametrize(
    ("raw", "messages"),
    [
        pytest.param(FROM + MESSAGE + b"\nFrom the beginning\nit was\n", 1, id="prose-after-empty-line"),
        pytest.param(FROM + MESSAGE + b"From here on: prose\nSubject: x\n", 1, id="prose-without-empty-line"),
        pytest.param(FROM + MESSAGE + FROM + MESSAGE, 2, id="no-empty-line-but-a-date"),
        pytest.param(FROM + MESSAGE + b"\n" + b"From a\n" + MESSAGE, 2, id="no-date-but-an-empty-line"),
        pytest.param(FROM + MESSAGE + b"\n" + FROM + b"  folded\n" + MESSAGE, 2, id="first-line-is-no-field"),
        pytest.param(FROM + MESSAGE + FROM + b"prose\n", 1, id="a-date-in-prose"),
        pytest.param(b"junk\n\n" + FROM + MESSAGE, 2, id="junk-before-the-first"),
        pytest.param(FROM + b">From inside\n" + MESSAGE, 1, id="quoted-first-line"),
        pytest.param(FROM + MESSAGE + b"\n" + FROM, 1, id="from-line-at-the-end"),
        pytest.param(b"", 0, id="empty"),
        pytest.param(FROM, 1, id="nothing-but-a-from-line"),
    ],
)
def test_mbox_boundaries(raw: bytes, messages: int) -> None:
    found = entries(raw)
    assert len(found) == messages
    assert joined(found) == raw


@given(
    st.lists(
        st.sampled_from(
            [
                b"From ",
                b"From a 12:00 2026",
                b"\n",
                b"\r\n",
                b"\r",
                b"Subject: x",
                b">From ",
                b" folded",
                b"\0",
                b"\xff",
            ]
        ),
        max_size=40,
    ).map(b"".join)
)
def test_mbox_is_total_and_loses_nothing(raw: bytes) -> None:
    assert joined(entries(raw)) == raw


@pytest.mark.parametrize("piece", [b"From \n", b"\nFrom a\nb: c\n", b"From a 1:00 2026\n", b"From ", b"\n"])
def test_mbox_takes_linear_time(piece: bytes) -> None:
    def seconds(size: int) -> float:
        raw = piece * (size // len(piece))
        began = time.perf_counter()
        entries(raw)
        return time.perf_counter() - began

    seconds(100_000)
    assert min(seconds(1_200_000) for _ in range(3)) < 40 * max(
        min(seconds(100_000) for _ in range(3)), 0.002
    )


def test_large_message_in_mbox_is_named_and_the_others_go_on() -> None:
    large = b"Subject: large\n\n" + b"x" * 5_000 + b"\n"
    found = entries(FROM + MESSAGE + b"\n" + FROM + large + b"\n" + FROM + MESSAGE, max_bytes=1_000)
    assert [type(each) for each in found] == [Stored, Unreadable, Stored]
    assert isinstance(found[1], Unreadable)
    assert found[1].path == "box#2"
    assert "larger than 1,000 bytes" in found[1].reason


def test_message_with_a_from_line_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(FROM + MESSAGE)
    assert read_message(tmp_path / "a.eml", 1_000) == Stored(str(tmp_path / "a.eml"), MESSAGE, FROM)


def test_message_beyond_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(MESSAGE)
    assert isinstance(read_message(tmp_path / "a.eml", len(MESSAGE)), Stored)
    assert isinstance(read_message(tmp_path / "a.eml", len(MESSAGE) - 1), Unreadable)


def test_message_that_a_reader_of_mbox_would_take_for_two() -> None:
    inner = b"Content-Type: text/html\n\n<img>\n"
    raw = b"Subject: one\n\ntext\n\nFrom x\n" + inner
    pieces = split_readings(Stored("a", raw))
    assert [piece.raw for piece in pieces] == [b"Subject: one\n\ntext\n", inner]
    assert b"".join(piece.before + piece.raw + piece.after for piece in pieces) == raw
    assert split_readings(Stored("a", b"Subject: one\n\nFrom the beginning\n")) == []
    assert split_readings(Stored("a", MESSAGE, FROM)) == []


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (MESSAGE, Kind.MESSAGE),
        (b"\xef\xbb\xbf\r\n" + MESSAGE, Kind.MESSAGE),
        (b"X-Folded: a\n b\n\tc\nReceived: from x\n", Kind.MESSAGE),
        (b"SUBJECT : spaced\n", Kind.MESSAGE),
        (FROM + MESSAGE, Kind.MBOX),
        (b"From the beginning\nit was prose\n", Kind.OTHER),
        (b"Usage: this program\nOptions: none\n", Kind.OTHER),
        (b"\x89PNG\r\n\x1a\n", Kind.OTHER),
        (b"<html>From: x</html>", Kind.OTHER),
        (b"", Kind.OTHER),
    ],
)
def test_sniff(beginning: bytes, kind: Kind) -> None:
    assert sniff(beginning) is kind


def test_folder_with_everything(tmp_path: Path) -> None:
    maildir = tmp_path / "Maildir"
    for folder in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (maildir / folder).mkdir(parents=True)
    files = {
        "Maildir/cur/1.host:2,S": b"no header at all",
        "Maildir/new/2.host": MESSAGE,
        "Maildir/tmp/3.host": MESSAGE,
        "Maildir/.Sent/cur/4.host:2,RS": MESSAGE,
        "Maildir/dovecot.index.cache": b"\0",
        "Maildir/dovecot-uidlist": b"3 V1",
        "notes.txt": b"Note: this is none\n",
        "junk.EML": b"\xff\xfe",
        "old.msg": b"\xd0\xcf",
        "archive": FROM + MESSAGE,
        "empty.mbox": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.eml")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.eml").symlink_to(tmp_path / "junk.EML")
    found = {str(each.relative): each.kind for each in find_files(tmp_path) if isinstance(each, FoundFile)}
    assert {name: kind for name, kind in found.items() if kind is not Kind.FOLDER} == {
        "Maildir/cur/1.host:2,S": Kind.MESSAGE,
        "Maildir/new/2.host": Kind.MESSAGE,
        "Maildir/tmp/3.host": Kind.UNFINISHED,
        "Maildir/.Sent/cur/4.host:2,RS": Kind.MESSAGE,
        "Maildir/dovecot.index.cache": Kind.CACHE,
        "Maildir/dovecot-uidlist": Kind.OTHER,
        "notes.txt": Kind.OTHER,
        "junk.EML": Kind.MESSAGE,
        "old.msg": Kind.FOREIGN,
        "archive": Kind.MBOX,
        "empty.mbox": Kind.OTHER,
        "pipe.eml": Kind.SPECIAL,
        "loop": Kind.SPECIAL,
        "link.eml": Kind.MESSAGE,
    }
    names = list(found)
    for name in names:
        parent = str(Path(name).parent)
        assert parent == "." or names.index(parent) < names.index(name), "a folder comes before what it holds"


def test_dangling_link_and_vanished_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "gone.eml").symlink_to(tmp_path / "nowhere")
    assert list(find_files(tmp_path)) == [
        Unreadable(str(tmp_path / "gone.eml"), "No such file or directory"),
    ]
    assert list(find_files(tmp_path / "nowhere")) == [
        Unreadable(str(tmp_path / "nowhere"), "No such file or directory")
    ]


def test_kind_of_a_device_is_special_and_never_opened() -> None:
    assert kind_of(Path("/dev/zero")) is Kind.SPECIAL
