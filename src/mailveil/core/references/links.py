"""Links: addresses in running text and in header fields, which no client fetches by itself."""

from __future__ import annotations

import re
from typing import Final

from mailveil.core.references.types import Scope
from mailveil.core.references.url import resolve

_URL: Final = re.compile(r"(?:https?|ftp)://[^\s<>\"]++", re.IGNORECASE)
_TRAILING: Final = ".,;:!?)]}'"


def note_links(value: str, scope: Scope) -> None:
    """Add every ``http``, ``https`` or ``ftp`` URL of ``value`` to ``scope.findings.linked``.

    Linear in the length of ``value``. Of a URL that a header field holds in angle brackets, the folding white
    space is not part (RFC 2369 section 2), so that reading is noted as well.
    """
    if "://" not in value:
        return
    linked = scope.findings.linked
    for match in _URL.finditer(value):
        url = resolve(match[0].rstrip(_TRAILING))
        if url is not None:
            linked.add(url)
    start = value.find("<")
    while start >= 0:
        end = value.find(">", start)
        if end < 0:
            return
        inside = value[start + 1 : end]
        if "://" in inside and any(character.isspace() for character in inside):
            url = resolve("".join(inside.split()))
            if url is not None:
                linked.add(url)
        start = value.find("<", end)
