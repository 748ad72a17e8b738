"""The clock: what time it is."""

from __future__ import annotations

import time


class SystemClock:
    """Wall-clock time (ports.Clock)."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()
