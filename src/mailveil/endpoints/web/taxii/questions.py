"""Questions to TAXII: what a request accepts and which objects it wants (TAXII 2.1 sections 1.6, 3.4 and 3.5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from starlette.requests import Request

from mailveil.control.records import Cut
from mailveil.control.sharedobjects import MAX_OBJECTS, SharedQuery
from mailveil.endpoints.web.readerdoor import TurnedAwayError

MEDIA_TYPE = "application/taxii+json;version=2.1"
SPEC_VERSION = "2.1"
MAX_VALUES = 200  # of one filter
MAX_VALUE = 200
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_NUMBER = re.compile(r"[0-9]{1,20}")  # of very many there are as many as there ever are
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_accept(request: Request) -> None:
    """Refuse a request that takes no answer of TAXII 2.1."""
    field = ", ".join(request.headers.getlist("accept"))
    if field.strip() and not any(_accepts(each) for each in field.split(",")):
        raise TurnedAwayError(
            HTTPStatus.NOT_ACCEPTABLE, "The answer is not acceptable", f"It is {MEDIA_TYPE}."
        )


def check_content(request: Request) -> None:
    """Refuse a request whose body is no TAXII 2.1."""
    name, version = _media_range(request.headers.get("content-type", ""))
    if name != "application/taxii+json" or version not in ("", SPEC_VERSION):
        raise TurnedAwayError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The request has the wrong media type", f"Send {MEDIA_TYPE}."
        )


def query_of(
    request: Request, *, identifier: str = "", versions: tuple[str, ...] = ("last",)
) -> SharedQuery | None:
    """Return which objects a request wants, ``None`` for none at all. Raises ``TurnedAwayError``."""
    if (specs := _values(request, "match[spec_version]")) and SPEC_VERSION not in specs:
        return None
    added_after = _single(request, "added_after")
    wanted = _values(request, "match[version]")
    return SharedQuery(
        added_after=microseconds(added_after, "added_after") if added_after else 0,
        identifiers=(identifier,) if identifier else _values(request, "match[id]"),
        kinds=_values(request, "match[type]"),
        versions=tuple(form for each in wanted for form in _version(each)) or versions,
    )


def cut_of(request: Request) -> Cut:
    """Return which part of a list a request wants. Raises ``TurnedAwayError``."""
    limit = _single(request, "limit")
    if limit and (not _NUMBER.fullmatch(limit) or int(limit) < 1):
        raise wrong("limit", "has to be a number of at least 1")
    return Cut(min(int(limit or MAX_OBJECTS), MAX_OBJECTS), _single(request, "next"))


def microseconds(text: str, name: str) -> int:
    """Return a timestamp of RFC 3339 in microseconds since the epoch. Raises ``TurnedAwayError``."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        whole = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise wrong(name, "has to be a time such as 2027-01-15T08:00:00.000Z") from error
    return (whole - _EPOCH) // timedelta(microseconds=1) + int((match[2] or "0").ljust(6, "0")[:6])


def wrong(name: str, why: str) -> TurnedAwayError:
    """Return that a parameter is wrong."""
    return TurnedAwayError(HTTPStatus.BAD_REQUEST, "The request cannot be understood", f"{name} {why}.")


def _accepts(item: str) -> bool:
    name, version = _media_range(item)
    return name in ("*/*", "application/*", "application/taxii+json") and version in ("", SPEC_VERSION)


def _media_range(text: str) -> tuple[str, str]:
    """Return a media range without its parameters, and the parameter ``version``; a refused one (q=0) is nothing."""
    name, *parameters = (each.strip().lower() for each in text.split(";"))
    given = {
        key.strip(): value.strip().strip('"')
        for key, _, value in (each.partition("=") for each in parameters)
    }
    if re.fullmatch(r"0(\.0*)?", given.get("q", "1")):
        return "", ""
    return name, given.get("version", "")


def _version(text: str) -> tuple[str, ...]:
    """Return the forms in which a version may be on record: of objects in milliseconds, else in microseconds."""
    if text in ("all", "first", "last"):
        return (text,)
    at = microseconds(text, "match[version]")
    whole = f"{_EPOCH + timedelta(seconds=at // 1_000_000):%Y-%m-%dT%H:%M:%S}"
    fine = f"{whole}.{at % 1_000_000:06d}Z"
    return (f"{fine[:-4]}Z", fine) if at % 1000 == 0 else (fine,)


def _values(request: Request, name: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(each.strip() for each in _single(request, name).split(",") if each.strip()))
    if len(found) > MAX_VALUES or any(len(each) > MAX_VALUE for each in found):
        raise wrong(name, f"has more than {MAX_VALUES} values, or one too long")
    return found


def _single(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise wrong(name, "is there twice")
    if values and "\0" in values[0]:
        raise wrong(name, "has a NUL")
    return values[0] if values else ""
