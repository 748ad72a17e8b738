"""The local Maildir: a message is there whole or not at all, and exactly as it came."""

from __future__ import annotations

import asyncio
import mailbox
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mailveil.adapters.maildir import Maildir, MaildirNextHop
from mailveil.core.policy import Envelope
from mailveil.ports import Reply

RAW = b"Subject: x\r\n\r\n\x00\xff bare\nbreaks\r and dots\r\n.\r\n"


def deliver(maildir: Maildir, raw: bytes = RAW) -> Reply:
    async def work() -> Reply:
        transaction, _ = await MaildirNextHop(maildir).begin(Envelope())
        assert transaction is not None
        assert (await transaction.recipient("a@example.org")).code == 250
        reply = await transaction.deliver(raw)
        transaction.close()
        return reply

    return asyncio.run(work())


def test_a_message_is_stored_byte_for_byte(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path / "mail")
    assert deliver(maildir).code == 250
    (entry,) = maildir.newest(10)
    assert asyncio.run(maildir.read(entry.name)) == RAW
    assert entry.size_bytes == len(RAW)
    assert not list((tmp_path / "mail" / "tmp").iterdir())
    assert (tmp_path / "mail" / "new" / entry.name).stat().st_mode & 0o077 == 0
    assert len(mailbox.Maildir(tmp_path / "mail", create=False)) == 1, "others read it too"


def test_names_never_repeat(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    assert len({maildir.add(b"x") for _ in range(200)}) == 200


def test_the_newest_comes_first_and_read_mail_counts(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    names = [maildir.add(str(number).encode()) for number in range(3)]
    for number, name in enumerate(names):
        os.utime(tmp_path / "new" / name, (number, number))
    (tmp_path / "new" / names[1]).rename(tmp_path / "cur" / f"{names[1]}:2,S")
    assert [entry.header for entry in maildir.newest(10)] == [b"2", b"1", b"0"]
    assert [entry.header for entry in maildir.newest(1)] == [b"2"]
    assert asyncio.run(maildir.read(f"{names[1]}:2,S")) == b"1"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret", "/etc/passwd", "a\x00b", "nowhere", "tmp/x", "link"]
)
def test_nothing_outside_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    maildir = Maildir(tmp_path / "mail")
    maildir.prepare()
    (tmp_path / "mail" / "new" / "link").symlink_to(tmp_path / "secret")
    assert asyncio.run(maildir.read(name)) is None
    assert maildir.newest(10) == []


def test_a_full_disk_is_452(tmp_path: Path) -> None:
    assert deliver(Maildir(tmp_path, min_free_bytes=1 << 60)).code == 452
    assert not list((tmp_path / "new").iterdir())


def test_no_mailbox_is_451(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    maildir = Maildir(tmp_path / "file" / "mail")
    assert deliver(maildir).code == 451
    assert asyncio.run(MaildirNextHop(maildir).check()).code == 451
    assert asyncio.run(MaildirNextHop(Maildir(tmp_path / "mail")).check()).code == 250


def test_kill_9_while_writing_leaves_no_half_message(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from mailveil.adapters.maildir import Maildir
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        Maildir(Path(sys.argv[1])).add(b"x" * 1_000_000)
        """
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=20)
    assert done.returncode == -signal.SIGKILL
    assert Maildir(tmp_path).newest(10) == []
