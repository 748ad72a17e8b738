"""Authorities: the certificates that mail clients on this system know without asking anybody."""

from __future__ import annotations

import binascii
import ssl
from pathlib import Path

BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def read_authorities(bundle: Path | None = None) -> tuple[bytes, ...]:
    """Return the certificates (DER) of the system's bundle, or of another; none where it cannot be read.

    With none, every certificate counts as one that a client might ask about: the safe side.
    """
    if bundle is None:
        named = ssl.get_default_verify_paths().cafile
        bundle = Path(named) if named else Path("/etc/ssl/certs/ca-certificates.crt")
    try:
        text = bundle.read_bytes()
    except OSError:
        return ()
    found: list[bytes] = []
    for block in text.split(BEGIN)[1:]:
        encoded, end, _ = block.partition(END)
        try:
            found.append(binascii.a2b_base64(b"".join(encoded.split()), strict_mode=True) if end else b"")
        except binascii.Error:
            continue
    return tuple(each for each in found if each)
