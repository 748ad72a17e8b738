"""Answers: what an HTTP answer of a destination means for the events that were sent to it."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from mailveil.adapters.outgoing import OutgoingAnswer, OutgoingError
from mailveil.ports import DeliveryError

# The destination or our account there is at fault, and not what was sent: it waits until that is mended.
_NOT_FOR_WHAT_WAS_SENT = frozenset({401, 402, 403, 404, 407, 408, 421, 423, 425, 429})
_TOO_LARGE = 413
MAX_RETRY_AFTER_S = 86_400.0


def refusal(answer: OutgoingAnswer, *, taken: int = 0, words: str = "") -> DeliveryError:
    """Return what an answer other than 2xx means. ``words`` say more, if they are our own."""
    status = answer.status
    text = f"it answers {status}{f' ({words})' if words else ''}"
    if status in (401, 403) and not words:
        text += "; check the secret and what it may do"
    if 300 <= status < 400:
        text += "; redirects are not followed, give the address itself"
    is_outage = status >= 500 or status < 400 or status in _NOT_FOR_WHAT_WAS_SENT
    return DeliveryError(
        text,
        is_permanent=status == _TOO_LARGE,
        is_outage=is_outage,
        retry_after_s=retry_after(answer),
        taken=taken,
    )


def retry_after(answer: OutgoingAnswer) -> float:
    """Return how long the other side asks us to wait (RFC 9110 section 10.2.3), 0 where it does not."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        seconds = parsedate_to_datetime(text[:100]).timestamp() - time.time()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def unreached(error: OutgoingError, taken: int = 0) -> DeliveryError:
    """Return what a call that failed means: the destination is away, or may not be reached."""
    return DeliveryError(str(error), taken=taken)
