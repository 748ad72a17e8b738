"""Problems: every error as RFC 9457 problem details, with types that stay the same for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mailveil:problem:"
MAX_FIELDS = 50


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: its name (permanent), status code, title, and in a sentence when it is answered."""

    name: str
    status: HTTPStatus
    title: str
    meaning: str

    @property
    def uri(self) -> str:
        """The type's URI."""
        return TYPE_PREFIX + self.name


_S = HTTPStatus
UNAUTHENTICATED = ProblemType(
    "unauthenticated", _S.UNAUTHORIZED, "A valid token is needed",
    "There was no token, or it is unknown, revoked or expired.",
)  # fmt: skip
FORBIDDEN = ProblemType(
    "forbidden", _S.FORBIDDEN, "The token may not do that",
    "`scope` names what the token lacks; or it belongs to another organisation than the one asked for.",
)  # fmt: skip
NOT_FOUND = ProblemType(
    "not-found", _S.NOT_FOUND, "There is no such thing",
    "What was asked for is not there, or belongs to another organisation.",
)  # fmt: skip
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", _S.METHOD_NOT_ALLOWED, "That cannot be done here",
    "The field `Allow` lists what can.",
)  # fmt: skip
NOT_ACCEPTABLE = ProblemType(
    "not-acceptable", _S.NOT_ACCEPTABLE, "There is no answer of that kind",
    "The field `Accept` excludes the only media type that is answered.",
)  # fmt: skip
CONFLICT = ProblemType(
    "conflict", _S.CONFLICT, "It has changed meanwhile, or exists already",
    "Nothing was changed; `detail` tells what is in the way.",
)  # fmt: skip
UNDER_WAY = ProblemType(
    "under-way", _S.CONFLICT, "The same request is being done",
    "A request with this `Idempotency-Key` has not been answered yet. Ask again later.",
)  # fmt: skip
KEY_REUSED = ProblemType(
    "idempotency-key-reused", _S.UNPROCESSABLE_ENTITY, "The key was used for another request",
    "Each `Idempotency-Key` belongs to one request.",
)  # fmt: skip
CHANGED = ProblemType(
    "changed-meanwhile", _S.PRECONDITION_FAILED, "It is not what you have seen",
    "`If-Match` names another state than the present one. Fetch it anew.",
)  # fmt: skip
MATCH_REQUIRED = ProblemType(
    "if-match-required", _S.PRECONDITION_REQUIRED, "Say what state you change",
    "This change needs `If-Match` with the entity tag of what was fetched.",
)  # fmt: skip
TOO_LARGE = ProblemType(
    "too-large", _S.REQUEST_ENTITY_TOO_LARGE, "The request is too large",
    "`detail` tells how large it may be.",
)  # fmt: skip
MEDIA_TYPE_WRONG = ProblemType(
    "unsupported-media-type", _S.UNSUPPORTED_MEDIA_TYPE, "The request has the wrong media type",
    "The field `Accept` of the answer tells which is taken.",
)  # fmt: skip
INVALID = ProblemType(
    "invalid", _S.UNPROCESSABLE_ENTITY, "The request cannot be understood",
    "`errors` names each field or parameter that is wrong, unknown or missing.",
)  # fmt: skip
UNEXAMINABLE = ProblemType(
    "unexaminable", _S.UNPROCESSABLE_ENTITY, "The message could not be examined",
    "A worker died of it, ran out of time or memory, or failed.",
)  # fmt: skip
TOO_MANY = ProblemType(
    "too-many-requests", _S.TOO_MANY_REQUESTS, "Too many requests",
    "`Retry-After` tells in how many seconds the next one is answered.",
)  # fmt: skip
BROKEN = ProblemType(
    "internal-error", _S.INTERNAL_SERVER_ERROR, "Something is broken here",
    "The log of mailveil tells more.",
)  # fmt: skip
UNAVAILABLE = ProblemType(
    "unavailable", _S.SERVICE_UNAVAILABLE, "Not now",
    "The database or the workers do not answer, or are busy. `Retry-After` tells when to try again.",
)  # fmt: skip

TYPES: Sequence[ProblemType] = (
    UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, CONFLICT, UNDER_WAY, KEY_REUSED,
    CHANGED, MATCH_REQUIRED, TOO_LARGE, MEDIA_TYPE_WRONG, INVALID, UNEXAMINABLE, TOO_MANY, BROKEN, UNAVAILABLE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WrongField:
    """What is wrong with one field: ``where`` it stood (``body``, ``query``, ``path``, ``header``), its name, why."""

    where: str
    name: str
    why: str


@dataclass(slots=True, eq=False)
class ProblemError(Exception):
    """A problem to be answered. ``members`` are added to the document, ``headers`` to the answer."""

    type: ProblemType
    detail: str = ""
    errors: tuple[WrongField, ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return the answer."""
        document: dict[str, Any] = {
            "type": self.type.uri,
            "title": self.type.title,
            "status": int(self.type.status),
        }
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = [
                {"in": each.where, "name": each.name, "detail": each.why} for each in self.errors[:MAX_FIELDS]
            ]
        document.update(self.members)
        # ASCII: whatever a request held, what is quoted of it is valid JSON.
        body = json.dumps(document).encode("ascii")
        return Response(body, self.type.status, media_type=MEDIA_TYPE, headers=dict(self.headers))


def invalid(where: str, name: str, why: str) -> ProblemError:
    """Return the problem of one wrong field."""
    return ProblemError(INVALID, errors=(WrongField(where, name, why),))


def later(detail: str, seconds: int = 5) -> ProblemError:
    """Return the problem of what cannot be done now."""
    return ProblemError(UNAVAILABLE, detail, headers={"Retry-After": str(seconds)})


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "Which kind of problem it is. These never change.",
            "enum": [each.uri for each in TYPES],
        },
        "title": {"type": "string", "description": "The kind of problem, for people."},
        "status": {"type": "integer", "description": "The status code.", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What the matter is in this case."},
        "scope": {"type": "string", "description": "The scope that the token lacks."},
        "errors": {
            "type": "array",
            "description": "Each field or parameter that is wrong.",
            "maxItems": MAX_FIELDS,
            "items": {
                "type": "object",
                "required": ["in", "name", "detail"],
                "additionalProperties": False,
                "properties": {
                    "in": {"type": "string", "enum": ["body", "query", "path", "header"]},
                    "name": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": False,
}
