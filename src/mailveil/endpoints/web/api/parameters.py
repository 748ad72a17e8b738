"""Parameters: the kinds of values that requests carry and answers give, each as strict as the document says."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from mailveil.control.records import MAX_PAGE, Cut

# RFC 3339 section 5.6: a calendar day and a time of day, with its distance from UTC.
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]((?:[01]\d|2[0-3]):[0-5]\d):([0-5]\d|60)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,15})", re.ASCII)
NO_NUL = r"^[^\x00]*$"


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    found = _MOMENT.fullmatch(value) if isinstance(value, str) and len(value) <= 64 else None
    if found is None:
        raise ValueError("has to be a time such as 2026-01-31T08:00:00Z (RFC 3339)")
    day, minute, second, fraction, zone = found.groups()
    # No clock of ours tells leap seconds, and there is nothing in the year 0.
    text = f"{day}T{minute}:{min(int(second), 59):02}.{(fraction or '0')[:6]:<06}"
    text = text.replace("0000-", "0001-", 1) if day.startswith("0000-") else text
    try:
        local = datetime.fromisoformat(text + zone.upper().replace("Z", "+00:00"))
    except ValueError as error:
        raise ValueError("has to be a day that there is") from error
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return local.replace(tzinfo=UTC)


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(_written, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "A time (RFC 3339), always in UTC where it is answered.",
            "examples": ["2026-01-31T08:00:00.000Z"],
        }
    ),
]


def moment(at: float) -> datetime:
    """Return a time as answers give it."""
    return datetime.fromtimestamp(at, UTC)


def moment_or_none(at: float) -> datetime | None:
    """Return a time as answers give it, ``None`` for one that never was."""
    return moment(at) if at > 0 and math.isfinite(at) else None


def seconds(at: datetime | None) -> float:
    """Return a time in seconds since the epoch, 0 for none."""
    return max(0.0, at.timestamp()) if at is not None else 0.0


def clean(text: Any) -> Any:
    """Return a text without halves of surrogate pairs, which UTF-8 has no bytes for."""
    if isinstance(text, str) and not text.isascii():
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cleaned(value: Any) -> Any:
    """Return what JSON can hold with every text in it ``clean``."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(str(name)): cleaned(each) for name, each in value.items()}
        case list() | tuple():
            return [cleaned(each) for each in value]
        case _:
            return value


Text = Annotated[str, BeforeValidator(clean)]  # what came out of a message, and may be anything


def _flag(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("has to be true or false")


def whole(value: Any) -> Any:
    """Take a number in a query only as people write it."""
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError("has to be a whole number in decimal digits")
    return int(value)


def exact(value: Any) -> Any:
    """Take 3.0 for 3, as JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Flag = Annotated[bool, BeforeValidator(_flag)]
Words = Annotated[str, StringConstraints(max_length=320, pattern=NO_NUL)]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=NO_NUL)]
Identifier = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$"),
    Path(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"]),
]
Limit = Annotated[
    int,
    Field(ge=1, le=MAX_PAGE),
    BeforeValidator(whole),
    Query(description="How many items at most."),
]
Cursor = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,4096}$"),
    Query(description="Where to go on: `next` of the answer before. Left out: at the beginning."),
]


def cut(limit: int, cursor: str) -> Cut:
    """Return which part of a list is wanted."""
    return Cut(limit, cursor)
