"""Entity tags: what a client has seen, so that nothing is sent twice and no change overwrites another (RFC 9110)."""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request

from mailveil.endpoints.web.api.problems import invalid

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e]*")')
_LIST = re.compile(r'\s*(?:(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*|$))+')


def tag_of(body: bytes) -> str:
    """Return the strong entity tag of a representation."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def is_known(request: Request, tag: str) -> bool:
    """Tell whether the client has this representation (``If-None-Match``, compared weakly)."""
    field = ", ".join(request.headers.getlist("if-none-match")).strip()
    return field == "*" or any(each[1] == tag for each in _TAG.findall(field))


def is_match(request: Request, tag: str) -> bool | None:
    """Tell whether the client means this representation (``If-Match``, compared strongly); ``None``: it says nothing.

    Raises ``ProblemError`` for a malformed field.
    """
    fields = request.headers.getlist("if-match")
    if not fields:
        return None
    field = ", ".join(fields).strip()
    if field == "*":
        return True
    if not _LIST.fullmatch(field):
        raise invalid("header", "If-Match", 'has to be entity tags as they were answered, such as "0a1b"')
    return any(each == ("", tag) for each in _TAG.findall(field))
