"""STIX patterns: comparison expressions for names and shapes of URLs (STIX 2.1 part 9). Pure.

``*`` becomes the ``%`` of ``LIKE``. That knows no escape: where ``%`` or ``_`` themselves stand in a URL, ``MATCHES``
says it as a regular expression, so that a pattern never fits more than what was seen.
"""

from __future__ import annotations

import re
from typing import Final

from mailveil.core.sharing.claims import ANY, Claim, ClaimKind

_SPECIAL: Final = re.compile(r"[.^$*+?{}\[\]\\|()]")
_PATHS: Final = {ClaimKind.NAME: "domain-name:value", ClaimKind.URL: "url:value"}


def pattern_of(claim: Claim) -> str:
    """Return the pattern that fits what is claimed."""
    return f"[{_PATHS[claim.kind]} {_comparison(claim.value)}]"


def literal(text: str) -> str:
    """Return text as a string of the pattern language."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _comparison(value: str) -> str:
    if ANY not in value:
        return f"= {literal(value)}"
    pieces = value.split(ANY)
    if any("%" in each or "_" in each for each in pieces):
        return f"MATCHES {literal('^' + '.*'.join(_escaped(each) for each in pieces) + '$')}"
    return f"LIKE {literal('%'.join(pieces))}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)
