"""A signature that could not stay is verified first, and signer and outcome are recorded with the original."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from mailveil.adapters.originals import OriginalKeeper, OriginalStore, load_key
from mailveil.adapters.workers import WorkerPool
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("smime")
    key, certificate, body = folder / "k.pem", folder / "c.pem", folder / "body"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out",
         str(certificate), "-subj", "/CN=Ann Sender/emailAddress=ann@sender.example"],
        check=True, capture_output=True,
    )  # fmt: skip
    body.write_bytes(b'Content-Type: text/html\r\n\r\n<p>Hello</p><img src="http://trap.example/a.gif">\r\n')
    made = subprocess.run(
        ["openssl", "smime", "-sign", "-in", str(body), "-signer", str(certificate), "-inkey", str(key),
         "-from", "ann@sender.example", "-to", "reader@example.org", "-subject", "Signed"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made.stdout


def test_signer_and_outcome_are_recorded(signed: bytes, tmp_path: Path) -> None:
    with WorkerPool(EngineSettings(), timeout_s=30) as pool:
        protected = asyncio.run(pool.protect(signed, Envelope(recipients=("reader@example.org",))))
    assert protected.keep_original
    assert b"trap.example" not in protected.raw
    assert b"multipart/signed" not in protected.raw.lower()
    (reason,) = protected.reasons
    assert "untrusted" in reason or "invalid" in reason
    assert "Ann Sender" in reason
    store = OriginalStore(tmp_path / "originals", load_key(tmp_path / "key"), 30)
    name = asyncio.run(OriginalKeeper(store).keep(signed, Envelope(), "; ".join(protected.reasons)))
    (kept,) = store.list()
    assert kept.facts.reason == reason
    assert store.release(name) == signed
    assert time.time() - kept.kept_at < 60
