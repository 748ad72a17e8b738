"""Webhook keys: the secrets that sign a destination's webhooks, where two hold while one takes the other's place."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """The secret in force, and the one before for as long as it signs, too (seconds since the epoch)."""

    current: str
    previous: str = ""
    previous_until: float = 0.0

    def signing(self, now: float) -> tuple[str, ...]:
        """Return the secrets that sign now, the one in force first."""
        if self.previous and now < self.previous_until:
            return (self.current, self.previous)
        return (self.current,)

    def rotated(self, secret: str, until: float) -> WebhookKeys:
        """Return them with another secret in force."""
        return WebhookKeys(secret, self.current, until)

    def encode(self) -> str:
        """Return them as they are stored as a destination's secret."""
        return json.dumps([self.current, self.previous, self.previous_until])


def parse_webhook_keys(secret: str) -> WebhookKeys:
    """Read a destination's secret; ValueError for what ``encode`` never wrote."""
    values = json.loads(secret)
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError("these are no webhook keys")
    return WebhookKeys(str(values[0]), str(values[1]), float(values[2]))
