"""Setup: a real ``mailveil serve`` whose folder for originals is a file system of 64 KiB, full to the last byte.

Test: a message whose original must be kept stays with its sender, who is told to try again, and nothing of it goes on;
one that is merely to be kept besides goes on without. Once there is room both are kept.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.test_records_survive import PATIENCE_S, RECIPIENT, delivered, message, recorded, until
from mailveil_room import Mailveil, mailveil_room

SIGNED = (
    f"From: News <news@shop.example>\r\nTo: {RECIPIENT}\r\nSubject: signed\r\nMessage-ID: <0@shop.example>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; micalg=pgp-sha256;\r\n"
    ' protocol="application/pgp-signature"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n'
    '<p>Hello</p><img src="https://t.shop.example/open/8f3ba9c.gif" width=1 height=1>\r\n'
    "--b\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n--b--\r\n"
).encode()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Have a file system of 64 KiB in a folder; skip the test where that is not ours to do."""
    folder.mkdir(parents=True, mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("file systems can be mounted by root alone, and not in every container")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def send(mailveil: Mailveil, raw: bytes) -> int:
    """Return what a message is answered with."""
    with smtplib.SMTP("127.0.0.1", mailveil.port, timeout=PATIENCE_S) as client:
        try:
            client.sendmail("news@shop.example", [RECIPIENT], raw)
        except smtplib.SMTPDataError as error:
            return error.smtp_code
        return 250


def test_a_full_disk_keeps_only_the_mail_whose_original_must_be_kept() -> None:
    table = {"records": {"keep_originals": "all"}, "workers": {"processes": 1}}
    with mailveil_room(table, started=False) as mailveil:
        originals = mailveil.settings.directory / "originals"
        with small_disk(originals):
            fill(originals / "else")
            mailveil.start()
            assert send(mailveil, SIGNED) in range(400, 500)
            assert send(mailveil, message(1)) == 250
            assert list(delivered(mailveil)) == ["<1@shop.example>"]
            assert "goes on without its original kept" in mailveil.log()
            assert [each.name for each in originals.iterdir()] == ["else"], "nothing half-written stays"
            (originals / "else").unlink()
            assert send(mailveil, SIGNED) == 250
            assert send(mailveil, message(2)) == 250
            assert len(list(originals.glob("*.original"))) == 2
            until(lambda: recorded(mailveil).total() == 4, mailveil)
            assert recorded(mailveil)["<0@shop.example>"] == 2, "once as it was put off, once as it went"
            assert "Traceback" not in mailveil.log()
            mailveil.stop()
