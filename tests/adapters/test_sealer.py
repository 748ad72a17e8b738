"""The sealer: changed messages get a set that holds for another implementation, or a plain reason why not.

Setup: messages with CRLF and LF, changed after they were authenticated; key files of every kind.
Test: dkimpy's verdict, bytes outside of the set untouched, refusals, and modes of key files.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailveil.adapters.sealer import ArcSealer, SealingKeyError, make_key_file, read_key_file
from mailveil.core.authentication import ArcState, Authentication, Result, SealingKey, SealRefusedError
from mailveil.core.authentication.keys import is_record_of, key_record
from signing_room import MESSAGE, authenticated, dkimpy_arc, pem, record, rsa_key, signed

KEY = SealingKey("gate.example", "arc", rsa_key(), "mailveil.gate.example")


def seal(raw: bytes, found: Authentication, timeout_s: float = 60.0) -> bytes:
    async def work() -> bytes:
        sealer = ArcSealer(KEY, timeout_s=timeout_s)
        try:
            return await sealer.seal(raw, found)
        finally:
            sealer.close()

    return asyncio.run(work())


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_what_is_sealed_holds_and_the_rest_is_untouched(newline: bytes) -> None:
    before = signed()
    after = before.replace(b"https://tracker.example.com/p.gif", b"cid:1").replace(b"\r\n", newline)
    raw = seal(after, authenticated(before, (record(rsa_key()),)))
    assert raw.endswith(after)
    top = raw.removesuffix(after)
    assert top.startswith(b"ARC-Seal: i=1; cv=none;")
    assert top.count(b"\n") == top.count(newline)
    assert dkimpy_arc(raw, record(rsa_key())) == (b"pass", "success")


@pytest.mark.parametrize("raw", [b"", b"\r\nno header", b"no header", b"X: y\r\n" * 300_000])
def test_what_has_no_header_to_put_it_on_is_refused(raw: bytes) -> None:
    with pytest.raises(SealRefusedError, match="no header"):
        seal(raw, Authentication())


def test_refusals() -> None:
    with pytest.raises(SealRefusedError, match="broken before"):
        seal(MESSAGE, Authentication(arc=ArcState(Result.FAIL, 1, ended=True)))
    with pytest.raises(SealRefusedError, match="not the one that it came with"):
        seal(MESSAGE, Authentication(arc=ArcState(Result.PASS, 3)))
    with pytest.raises(SealRefusedError, match="timeout_s"):
        seal(MESSAGE + b"x" * 10_000_000, Authentication(), timeout_s=0.0)


def test_a_key_is_made_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "arc.pem"
    key = make_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key_file(path).private_numbers() == key.private_numbers()
    assert is_record_of(key, [b"other", key_record(key).encode()])
    assert not is_record_of(rsa_key(), [key_record(key).encode()])
    before = path.read_bytes()
    with pytest.raises(SealingKeyError, match="there already"):
        make_key_file(path)
    assert path.read_bytes() == before
    with pytest.raises(SealingKeyError, match="cannot be written"):
        make_key_file(tmp_path / "missing" / "arc.pem")


def test_key_files_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(SealingKeyError, match="arc-key"):
        read_key_file(tmp_path / "missing.pem")
    path = tmp_path / "k.pem"
    for data, reason in (
        (b"junk", "no private key"),
        (pem(rsa_key(1024)), "2048"),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "RSA",
        ),
    ):
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(SealingKeyError, match=reason):
            read_key_file(path)
    path.write_bytes(pem(rsa_key()))
    os.chmod(path, 0o644)  # noqa: PTH101
    with pytest.raises(SealingKeyError, match="chmod o="):
        read_key_file(path)
