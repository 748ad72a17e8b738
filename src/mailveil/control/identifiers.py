"""Identifiers: new names for records, which sort by the time at which they were made."""

from __future__ import annotations

import secrets


def new_identifier(at: float) -> str:
    """Return a new identifier: ``at`` (seconds since the epoch) in milliseconds and chance, 32 hexadecimal digits.

    Lists of records go by it, newest first, as those of messages do (``core.observation.observation_identifier``).
    """
    return f"{max(0, int(at * 1000)):012x}{secrets.token_hex(10)}"
