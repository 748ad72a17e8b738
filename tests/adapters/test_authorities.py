"""Authorities: the certificates of a bundle, whatever else stands in it."""

from __future__ import annotations

import base64
from pathlib import Path

from mailveil.adapters.authorities import read_authorities


def block(content: bytes) -> bytes:
    lines = base64.encodebytes(content)
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"


def test_certificates_of_a_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    one, two = b"\x30\x82" + bytes(range(200)), b"\x30\x03abc"
    junk = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
    bundle.write_bytes(b"# Some CA\n" + block(one) + junk + block(two) + b"-----BEGIN CERTIFICATE-----\nMAMB")
    assert read_authorities(bundle) == (one, two)


def test_without_a_bundle_nobody_is_known(tmp_path: Path) -> None:
    assert read_authorities(tmp_path / "nowhere") == ()
