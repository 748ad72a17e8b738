"""The weekly report on the command line: in words, as files, and by mail.

Setup: a storage directory with a week of mail that was counted by hand.
Test: ``mailveil weekly`` as it is typed, each time a process of its own.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pypdf
import pytest

from control_room import ControlRoomForTests, SetClock
from mailveil.app.controlling import build_database, opened_room
from mailveil.config import load
from weekly_room import put_week

if TYPE_CHECKING:
    from email.message import EmailMessage

BY_MAIL = Path(__file__).parents[2] / "deploy" / "weekly-by-mail"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("weekly")
    settings = load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(found)})

    async def fill() -> None:
        async with opened_room(settings) as room:
            await put_week(ControlRoomForTests(room, build_database(settings), SetClock()))

    asyncio.run(fill())
    return found


def environment(directory: Path) -> dict[str, str]:
    return {
        "MAILVEIL_STORAGE__DIRECTORY": str(directory),
        "PYTHONPATH": ":".join(sys.path),
        "PATH": "/usr/bin:/bin",
    }


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailveil", "weekly", *words],
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_a_week_is_told_in_words(directory: Path) -> None:
    done = run(directory, "--week", "2026-W47")
    assert done.returncode == 0, done.stderr.decode()
    said = done.stdout.decode()
    assert said.startswith("Default: week 2026-W47, 16 to 22 November 2026 (UTC)\n")
    assert "10 messages were protected" in said
    assert "fresh.example: active, new, 3 probes of 1 person this week" in said
    assert "anna" not in said
    named = run(directory, "--week", "2026-W47", "--people").stdout.decode()
    assert "anna.schmidt@acme.example finance" in named


def test_files_have_the_form_that_their_name_says(directory: Path, tmp_path: Path) -> None:
    for name, begins in (("a.pdf", b"%PDF-"), ("a.html", b"<!doctype html>"), ("a.csv", b"\xef\xbb\xbfday,")):
        done = run(directory, "--week", "2026-W47", "-o", str(tmp_path / name))
        assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
        assert (tmp_path / name).read_bytes().startswith(begins)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    record = json.loads(run(directory, "--week", "2026-W47", "--json").stdout)
    assert record["figures"]["messages"] == 10
    table = run(directory, "--week", "2026-W47", "--format", "csv", "--table", "activities").stdout
    assert b"fresh.example" in table


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--week", "2026-47"), "a week is written as a year and its number, such as 2026-W47"),
        (("--week", "2199-W01"), "the week 2199-W01 has not begun"),
        (("-o", "report.docx"), "name its form with --format, one of html, pdf, csv, json"),
        (("-o", "/nonexistent/a.pdf"), "/nonexistent/a.pdf: No such file or directory"),
        (("-o", "/dev/null", "--format", "pdf"), "/dev/null: is no file"),
        (("--organisation", "nobody"), "there is no organisation nobody; there are default"),
    ],
)
def test_what_cannot_be_done_is_said(directory: Path, words: Sequence[str], complaint: str) -> None:
    done = run(directory, *words)
    assert done.returncode == 2
    assert complaint in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def by_mail(directory: Path, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the script with programs that stand for ours as it is installed, and for sendmail."""
    program, sendmail = tmp_path / "mailveil", tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m mailveil "$@"\n')
    sendmail.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\ncat > {tmp_path}/sent\n')
    for each in (program, sendmail):
        each.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(BY_MAIL), "mailveil@example.org", "security@example.org", *words],
        env={**environment(directory), "MAILVEIL": str(program), "SENDMAIL": str(sendmail)},
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_the_script_for_mail_sends_words_and_the_pdf(directory: Path, tmp_path: Path) -> None:
    done = by_mail(directory, tmp_path, "--week", "2026-W47")
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "arguments").read_text().split() == [
        "-i",
        "-f",
        "mailveil@example.org",
        "--",
        "security@example.org",
    ]
    sent: EmailMessage = email.message_from_bytes(
        (tmp_path / "sent").read_bytes(), policy=email.policy.default
    )  # type: ignore[assignment]
    assert sent["To"] == "security@example.org"
    assert not sent.defects
    words, attached = sent.iter_parts()
    assert "10 messages were protected" in words.get_content()
    assert attached.get_filename() == "weekly.pdf"
    body = base64.b64decode(str(attached.get_payload()))
    assert "10 messages were protected" in pypdf.PdfReader(io.BytesIO(body)).pages[0].extract_text()


def test_the_script_for_mail_sends_nothing_where_there_is_no_report(directory: Path, tmp_path: Path) -> None:
    done = by_mail(directory, tmp_path, "--week", "2026-W99")
    assert done.returncode == 2
    assert not (tmp_path / "sent").exists()
