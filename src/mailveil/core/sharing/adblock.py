"""Filter lists: trackers that were learned, in the syntax of Adblock Plus, for browsers and for others' mail. Pure.

A rule is made of a host name that was checked and of those characters of a path that mean nothing in this syntax;
all others become ``*``. So no URL breaks out of its line, gains options or reaches beyond its own host. There is no
rule for a vendor or for what serves everybody: that is for lists that people keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mailveil.core.sharing.claims import ANY, claims_of_tracker, url_shape
from mailveil.core.sharing.types import SharedTracker
from mailveil.core.sharing.wording import line, timestamp
from mailveil.core.verdicts.addresses import registrable_domain

MAX_RULE: Final = 400
EXPIRES: Final = "1 days"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9/._~?&=:;%+@-]+")
_MANY: Final = re.compile(r"\*{2,}")
_WORD: Final = re.compile(r"[A-Za-z0-9]")
_OF_A_NAME: Final = re.compile(r"[A-Za-z0-9_.%-]\Z")
_OPTIONS: Final = {
    "link-stylesheet": "stylesheet", "css-import": "stylesheet", "css-font": "font", "audio-src": "media",
    "video-src": "media", "source-src": "media", "bgsound-src": "media", "iframe-src": "subdocument",
    "object-data": "object", "embed-src": "object",
}  # fmt: skip


def rule_of(tracker: SharedTracker) -> str:
    """Return the rule for a tracker, ``""`` where there is none that hits it alone."""
    if not claims_of_tracker(tracker):
        return ""
    shape = url_shape(tracker.template)
    host, rest = (shape.host, shape.rest) if shape else (tracker.host, "")
    bare = host.removeprefix("*.").strip().rstrip(".").lower()
    if not bare.isascii() or not registrable_domain(bare):
        return ""
    option = _OPTIONS.get(tracker.vector, "image")
    path = _path(rest)
    if not path:
        return f"||{bare}^${option},third-party"
    # ``^`` ends the host, so that what comes before a port is not the beginning of a longer name.
    port = "^*" if shape and shape.port else ""
    return f"||{bare}{port}{path}"[:MAX_RULE] + f"${option}"


def filter_list(rules: Iterable[str], organisation: str, changed_at: float) -> str:
    """Return a list that browsers and mailveil can read; ``changed_at`` is when its rules last changed."""
    different = sorted({each for each in rules if each})
    changed = timestamp(changed_at)
    dated = (
        f"! Version: {changed[:10].replace('-', '')}{changed[11:16].replace(':', '')}",
        f"! Last modified: {changed}",
    )
    head = (
        "[Adblock Plus 2.0]",
        f"! Title: Trackers that mailveil learned ({line(organisation, 100) or 'an organisation'})",
        *(dated if changed_at > 0 else ()),
        f"! Expires: {EXPIRES}",
        "! Trackers in mail that their senders built; known vendors are left to other lists",
    )
    return "\n".join((*head, *different)) + "\n"


def _path(rest: str) -> str:
    """Return path and query as a pattern, ``""`` where too little of them is left to tell anything by."""
    whole = _MANY.sub(ANY, _UNSAFE.sub(ANY, rest))
    pattern = whole.rstrip(ANY)
    if _WORD.search(pattern) is None or not pattern.startswith(("/", "?")):
        return ""
    # A host may come with more below it, or be the beginning of a longer one: the path says where it ends.
    path = pattern if pattern.startswith("/") else f"/{pattern}"
    # ``/i`` is no beginning of ``/images/logo.png``: ``^`` is the end, or what is no part of a name.
    return f"{path}^" if pattern == whole and _OF_A_NAME.search(path) else path
