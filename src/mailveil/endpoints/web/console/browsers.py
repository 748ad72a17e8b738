"""Browsers: what a request tells of the one that sent it, and what is left in it: cookies, and nothing else."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from mailveil.endpoints.web.clients import client_address
from mailveil.endpoints.web.console.facts import ConsoleFacts

SESSION = "mailveil-session"
KNOWN = "mailveil-known"  # a browser in which somebody has signed in before; see control.signing_in
NOTE = "mailveil-note"  # what the next page says once
THEME = "mailveil-theme"
THEMES = ("light", "dark")
YEAR_S = 365 * 86_400
MAX_NOTE = 600
# A path of ours that a browser cannot read as another site's: no second slash, no backslash, nothing unseen.
LOCAL_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9_.~!$'()*+,;=:@%/?&-]{0,1000}\Z")


@dataclass(frozen=True, slots=True)
class Note:
    """A line that one page shows once; ``tone`` is ``good``, ``bad`` or ``plain``."""

    text: str
    tone: str = "good"


def cookie(request: Request, name: str, facts: ConsoleFacts) -> str:
    """Return a cookie of ours, ``""`` where the browser has none."""
    return request.cookies.get(_full(name, facts), "")


def leave_cookie(
    response: Response, name: str, value: str, facts: ConsoleFacts, *, seconds: int | None = None
) -> None:
    """Leave a cookie that scripts cannot read and that goes nowhere else; by https no sibling can set it either.

    ``seconds`` is how long it lasts, ``None`` as long as the browser runs.
    """
    response.set_cookie(
        _full(name, facts),
        value,
        max_age=seconds,
        path="/",
        secure=facts.is_https,
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, name: str, facts: ConsoleFacts) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(_full(name, facts), path="/", secure=facts.is_https, httponly=True, samesite="lax")


def leave_note(response: Response, note: Note, facts: ConsoleFacts) -> None:
    """Have the next page say something."""
    text = json.dumps([note.tone, note.text[:MAX_NOTE]])
    leave_cookie(response, NOTE, base64.urlsafe_b64encode(text.encode()).decode(), facts, seconds=60)


def note_in(request: Request, facts: ConsoleFacts) -> Note | None:
    """Return what the page before left to be said."""
    try:
        tone, text = json.loads(base64.urlsafe_b64decode(cookie(request, NOTE, facts)))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        return None
    if not isinstance(text, str) or tone not in ("good", "bad", "plain"):
        return None
    return Note(text[:MAX_NOTE], tone)


def theme_of(request: Request, facts: ConsoleFacts) -> str:
    """Return ``light``, ``dark``, or ``""`` for what the system has."""
    theme = cookie(request, THEME, facts)
    return theme if theme in THEMES else ""


def address_of(request: Request, facts: ConsoleFacts) -> str:
    """Return the client's address."""
    return client_address(request, facts.trusted_proxies)


def comes_from_us(request: Request, facts: ConsoleFacts) -> bool:
    """Tell whether a form stood on a page of ours, as browsers say it (Fetch standard, ``Origin``; Fetch Metadata).

    Browsers send at least one of the two with every form; where neither is there, the answer is False.
    """
    site = request.headers.get("sec-fetch-site", "")
    origin = request.headers.get("origin", "")
    if site and site != "same-origin":
        return False
    if not origin or origin == "null":
        return site == "same-origin"
    parts = urlsplit(origin)
    if origin == facts.console_url:
        return True
    schemes = (
        ("https",) if facts.is_https else ("http", "https")
    )  # the same name by http may be anybody on the way
    return parts.scheme in schemes and parts.netloc.lower() == request.headers.get("host", "").lower()


def is_same(expected: str, given: str) -> bool:
    """Compare two secrets in the same time wherever they differ; nothing equals nothing."""
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def local_path(text: str) -> str:
    """Return where to go after sign-in: a path of ours, ``/`` for whatever else was asked for."""
    return text if LOCAL_PATH.match(text) and not urlsplit(text).netloc else "/"


def _full(name: str, facts: ConsoleFacts) -> str:
    return f"__Host-{name}" if facts.is_https else name
