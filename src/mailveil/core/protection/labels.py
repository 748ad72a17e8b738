"""Labels: pictures of our own that say what stood in their place, for those who look at a message as it came in."""

from __future__ import annotations

import base64
from typing import Final
from xml.sax.saxutils import escape

from mailveil.core.protection.plan import Decision
from mailveil.core.references.types import Media
from mailveil.core.verdicts.addresses import take_apart

_MAX_HOST: Final = 48
_LEAST_WIDTH, _LEAST_HEIGHT = 220, 36


def label_of(decision: Decision) -> str:
    """Return what takes a reference's place in the labelled message: a ``data:`` URL that nobody is asked for.

    Pictures are told by host and finding; what is none becomes what it does in any protected message.
    """
    reference, verdict = decision.reference, decision.verdict
    if reference.media is not Media.IMAGE:
        return reference.inert
    host = take_apart(reference.url).host
    shown = host if len(host) <= _MAX_HOST else f"{host[:_MAX_HOST]}…"
    words = f"{verdict.kind_of_reference}: {shown if shown.isprintable() else '?'}"
    colour = "#b3261e" if verdict.is_tracker else "#4a5568"
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEAST_WIDTH}" height="{_LEAST_HEIGHT}">'
        f'<rect width="100%" height="100%" fill="#fff" stroke="{colour}" stroke-width="2"/>'
        f'<text x="8" y="23" font-family="sans-serif" font-size="12" fill="{colour}">{escape(words)}</text></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(picture.encode("utf-8", "replace")).decode("ascii")
