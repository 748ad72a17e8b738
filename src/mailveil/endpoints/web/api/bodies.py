"""Bodies: what a request carries is read up to a limit, and JSON only where it is what RFC 8259 and people mean."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from mailveil.endpoints.web.api.problems import (
    INVALID,
    MEDIA_TYPE_WRONG,
    TOO_LARGE,
    ProblemError,
    WrongField,
)

MAX_JSON_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1  # beyond, programs do not agree on a number (RFC 8259 section 6)
JSON = "application/json"
MESSAGE = "message/rfc822"


class BodyRequest(Request):
    """A request whose body has been read and parsed already."""

    raw: bytes = b""
    value: Any = None

    async def body(self) -> bytes:
        """Return the body."""
        return self.raw

    async def json(self) -> Any:
        """Return what its JSON says."""
        return self.value


def media_type(request: Request) -> str:
    """Return the media type that a request names for its body, lower-case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(request: Request, wanted: str) -> None:
    """Refuse a body of another kind. Raises ``ProblemError``."""
    if media_type(request) != wanted:
        raise ProblemError(MEDIA_TYPE_WRONG, f"The body has to be {wanted}.", headers={"Accept": wanted})


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request. Raises ``ProblemError`` where it is larger than ``most`` bytes."""
    refusal = ProblemError(
        TOO_LARGE, f"A body here has at most {most} bytes.", headers={"Connection": "close"}
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > most):
        raise refusal
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise refusal
            pieces.append(piece)
    except ClientDisconnect as error:
        raise ProblemError(INVALID, "The body ended too early.") from error
    return b"".join(pieces)


def parse_json(raw: bytes) -> Any:
    """Return what a JSON text says. Raises ``ProblemError`` where it is none, or has what no program of ours takes.

    That is: other than UTF-8, members twice, deep nesting, numbers that are not finite or not exact, lone surrogates,
    and NUL.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong("is not UTF-8") from error
    if _depth(text) > MAX_DEPTH:
        raise _wrong(f"is nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise _wrong(f"is no JSON: {error.msg} at character {error.pos}") from error
    _check_texts(value)
    return value


def _wrong(why: str) -> ProblemError:
    return ProblemError(INVALID, errors=(WrongField("body", "", f"The body {why}."),))


def _depth(text: str) -> int:
    """Return how deep brackets nest, those in strings left out."""
    deepest = depth = 0
    in_string = escaped = False
    for letter in text:
        if in_string:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == '"':
                in_string = False
        elif letter == '"':
            in_string = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _wrong("has a member twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise _wrong("has a number that is too large")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _wrong("has a number that is too large")
    return value


def _constant(name: str) -> float:
    raise _wrong(f"has {name}, which is no number in JSON")


def _check_texts(value: Any) -> None:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                if "\0" in text:
                    raise _wrong("has a NUL in a text")
                if any("\ud800" <= letter <= "\udfff" for letter in text):
                    raise _wrong("has half a surrogate pair in a text")
            case list(items):
                waiting.extend(items)
            case dict(members):
                waiting.extend(members)
                waiting.extend(members.values())
