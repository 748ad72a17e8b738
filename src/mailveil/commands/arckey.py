"""``mailveil arc-key``: make the key that changed messages are sealed with, and say what to do with it."""

from __future__ import annotations

import time
from pathlib import Path

from mailveil.adapters.sealer import make_key_file
from mailveil.commands.terminal import printable
from mailveil.config import Settings
from mailveil.config.values import read_domain, write_value
from mailveil.core.authentication import key_record

STRING_CHARACTERS = 255  # of one string in a TXT record (RFC 1035 section 3.3.14)


def make_arc_key(settings: Settings, domain: str, selector: str, output: str) -> int:
    """Make a key and print its DNS record and settings. Raises ValueError and SealingKeyError."""
    choices = settings.authentication
    domain = read_domain(domain or choices.arc_domain)
    selector = read_domain(selector or choices.arc_selector or f"mailveil{time.strftime('%Y%m')}")
    path = Path(output).expanduser().absolute() if output else settings.directory / "arc.pem"
    if not output:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = key_record(make_key_file(path))
    print(f"The private key is in {printable(str(path))}. Publish this in the DNS:\n")
    print(f"{selector}._domainkey.{domain}. IN TXT ( {quoted_strings(record)} )\n")
    print("Put this into the configuration file, restart, and run `mailveil check`:\n")
    print("[authentication]")
    print(f"arc_domain = {write_value(domain)}")
    print(f"arc_selector = {write_value(selector)}")
    print(f"arc_key_file = {write_value(path)}")
    return 0


def quoted_strings(record: str) -> str:
    """Return a TXT record as zone files have it: in strings of at most 255 characters."""
    pieces = [record[at : at + STRING_CHARACTERS] for at in range(0, len(record), STRING_CHARACTERS)]
    return " ".join(f'"{piece}"' for piece in pieces)
