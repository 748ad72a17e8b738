"""Describing: the OpenAPI 3.1 document, whole: every answer with its header fields, and an example of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mailveil.control.access import Permission
from mailveil.endpoints.web.api import problems
from mailveil.endpoints.web.api.operations import Body, Match, Operation, Resource
from mailveil.endpoints.web.api.problems import ProblemType
from mailveil.endpoints.web.api.settings import API_PATH, ApiSettings

VERSION = "3.1.0"
API_VERSION = "1"
DESCRIPTION = """\
What the control room of mailveil does, for programs.

**Tokens.** Every request but the one for this document needs `Authorization: Bearer mvt_…`. A token has scopes, an
end, and an organisation; each operation names its scopes in `security`. Cookies mean nothing
here. Tokens of all organisations say with `Mailveil-Organisation` in which one they act; without it in `default`.

**Errors** are problem details (RFC 9457). Their `type` is one of `urn:mailveil:problem:…` and never changes its
meaning.

**Lists** come in parts: `next` is the `cursor` of the following one, and `Link` (RFC 8288) its address.

**Repeats.** A write with `Idempotency-Key` is done once; the same request with the same key is answered again as
before, with `Idempotency-Replayed: true`, for a day.

**States.** What is read has an `ETag`. With `If-None-Match` it comes only when it is another one; with `If-Match` a
change is made only to what its client has seen.

**Limits.** `RateLimit-Policy` and `RateLimit` tell how many requests a token may make and how many are left. Beyond,
429 with `Retry-After`.

**Times** are RFC 3339, answered in UTC. Parameters that an operation does not have are refused, so that a misspelt
filter does not return everything.

Nothing here tells who opened what: nobody records it.
"""
TAG_ORDER = ("description",)

HEADERS: Mapping[str, Mapping[str, Any]] = {
    "ETag": {
        "description": "The entity tag of this state, for `If-None-Match` and `If-Match`.",
        "schema": {"type": "string", "examples": ['"5f2b6c0d7a1e4b3c9d8e7f6a5b4c3d2e"']},
    },
    "Link": {
        "description": "The next part of the list (RFC 8288), where there is one.",
        "schema": {"type": "string", "examples": ['</api/v1/messages?cursor=WyIw&limit=50>; rel="next"']},
    },
    "Location": {
        "description": "Where what was made is found.",
        "schema": {"type": "string", "format": "uri-reference", "examples": ["/api/v1/tokens/019a2b3c"]},
    },
    "RateLimit": {
        "description": "What is left of the quota, and in how many seconds all of it is back.",
        "schema": {"type": "string", "examples": ['"requests";r=599;t=1']},
    },
    "RateLimit-Policy": {
        "description": "The quota for so many seconds.",
        "schema": {"type": "string", "examples": ['"requests";q=600;w=60']},
    },
    "Retry-After": {
        "description": "In how many seconds to try again.",
        "schema": {"type": "string", "pattern": "^[0-9]+$", "examples": ["5"]},
    },
    "WWW-Authenticate": {
        "description": "What authentication is asked for (RFC 6750).",
        "schema": {"type": "string", "examples": ['Bearer realm="mailveil"']},
    },
    "Allow": {
        "description": "What can be done here.",
        "schema": {"type": "string", "examples": ["GET, HEAD, OPTIONS"]},
    },
    "Accept": {
        "description": "The media type that is taken.",
        "schema": {"type": "string", "examples": ["application/json"]},
    },
    "Idempotency-Replayed": {
        "description": "`true` where this was answered before.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Mailveil-Changed": {
        "description": "Whether anything had to be changed.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
}
ALWAYS = ("RateLimit-Policy", "RateLimit")
OF_PROBLEMS: Mapping[str, tuple[str, ...]] = {
    "unauthenticated": ("WWW-Authenticate",),
    "forbidden": ("WWW-Authenticate",),
    "method-not-allowed": ("Allow",),
    "unsupported-media-type": ("Accept",),
    "too-many-requests": ("Retry-After",),
    "unavailable": ("Retry-After",),
}
IF_MATCH: Mapping[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "description": "The entity tag of the state that is to be changed.",
    "required": False,
    "schema": {
        "type": "string",
        "pattern": '^("[!#-~]{0,64}"|\\*)$',
        "examples": ['"5f2b6c0d7a1e4b3c9d8e7f6a5b4c3d2e"'],
    },
}
PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "Organisation": {
        "name": "Mailveil-Organisation",
        "in": "header",
        "description": "In which organisation a token of all organisations acts. Others may name their own.",
        "required": False,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$", "examples": ["default"]},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A text of your own, new for every write; the same again where an answer did not arrive.",
        "required": False,
        "schema": {
            "type": "string",
            "pattern": "^[!#-~]{1,200}$",
            "examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        },
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The entity tags that the client has; then 304 where the state is one of them.",
        "required": False,
        "schema": {"type": "string", "examples": ['"5f2b6c0d7a1e4b3c9d8e7f6a5b4c3d2e"']},
    },
    "IfMatch": IF_MATCH,
    "IfMatchRequired": {**IF_MATCH, "required": True},
}
SCAN_RECORD: Mapping[str, Any] = {
    "type": "object",
    "title": "Inspection",
    "description": "What `mailveil scan --json` prints of a message; further members may come.",
    "required": ["path", "message_id", "from", "subject", "bytes", "defects", "risk", "references"],
    "properties": {
        "path": {"type": "string", "description": "Empty here: the message came with the request."},
        "message_id": {"type": "string", "description": "Its Message-ID.", "examples": ["<17@shop.example>"]},
        "from": {
            "type": "string",
            "description": "Its From field.",
            "examples": ["Shop <news@shop.example>"],
        },
        "subject": {"type": "string", "description": "Its subject.", "examples": ["Spring sale"]},
        "bytes": {"type": "integer", "minimum": 0, "description": "Its size.", "examples": [48213]},
        "defects": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What is wrong with its form.",
            "examples": [[]],
        },
        "risk": {
            "type": "string",
            "enum": ["none", "low", "medium", "high"],
            "description": "How much it would give away.",
            "examples": ["medium"],
        },
        "references": {
            "type": "array",
            "description": "Every remote reference.",
            "items": {
                "type": "object",
                "required": ["url", "vector", "verdict", "kind", "score", "action"],
                "properties": {
                    "url": {
                        "type": "string",
                        "description": "Its address.",
                        "examples": ["https://t.shop.example/o.gif?u=81f3"],
                    },
                    "vector": {"type": "string", "description": "Where it stood.", "examples": ["img"]},
                    "verdict": {"type": "string", "enum": ["tracker", "content"], "examples": ["tracker"]},
                    "kind": {
                        "type": ["string", "null"],
                        "description": "What it mainly tells.",
                        "examples": ["open"],
                    },
                    "score": {"type": "number", "minimum": 0, "maximum": 1, "examples": [0.997]},
                    "action": {
                        "type": "string",
                        "description": "What would be done about it.",
                        "examples": ["copy"],
                    },
                },
            },
        },
    },
}
EXAMPLE_MESSAGE = (
    "From: Shop <news@shop.example>\r\nTo: ann@example.org\r\nSubject: Spring sale\r\n"
    "Content-Type: text/html\r\n\r\n"
    '<p>Hello<img src="https://t.shop.example/o.gif?u=81f3" width="1" height="1"></p>\r\n'
)
EXAMPLE_CLEAN = (
    "From: Shop <news@shop.example>\r\nTo: ann@example.org\r\nSubject: Spring sale\r\n"
    "Content-Type: text/html\r\n\r\n<p>Hello</p>\r\n"
)


def operation_id(operation: Operation) -> str:
    """Return the permanent name of an operation, such as ``listMessages``."""
    first, *others = operation.endpoint.__name__.split("_")
    return first + "".join(each.capitalize() for each in others)


def document(app: FastAPI, resources: Sequence[Resource], settings: ApiSettings) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    found = get_openapi(
        title="mailveil",
        version=API_VERSION,
        openapi_version=VERSION,
        summary="Stops e-mail spy trackers before they reach an inbox.",
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": each.tag, "description": each.description} for each in resources]
        + [{"name": "description", "description": "This document."}],
        servers=[{"url": API_PATH, "description": "This installation."}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    if settings.version:
        found["info"]["x-mailveil-version"] = settings.version
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, schema in schemas.items():
        if name.startswith("Part_"):
            schema["description"] = "Part of a list."
    schemas["Problem"] = problems.SCHEMA
    schemas["Inspection"] = SCAN_RECORD
    components["headers"] = HEADERS
    components["parameters"] = PARAMETERS
    components["responses"] = {each.name: _problem(each) for each in problems.TYPES}
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "mvt_ and 43 characters",
            "description": "A token as it was shown once when it was made. Scopes: "
            + ", ".join(f"`{each}`" for each in Permission)
            + ".",
        }
    }
    for resource in resources:
        for operation in resource.operations:
            _complete(found["paths"][_plain(operation.path)][operation.method.lower()], operation, schemas)
    found["paths"]["/openapi.json"] = {"get": _own()}
    return found


def _plain(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _complete(described: dict[str, Any], operation: Operation, schemas: Mapping[str, Any]) -> None:
    described["security"] = [{"token": [str(each) for each in operation.scopes]}]
    if operation.everywhere:
        described["x-all-organisations"] = True
    if operation.leave:
        described["x-needs-leave"] = True
    for parameter in described.setdefault("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
    described["parameters"].extend(_parameters(operation))
    if operation.body is Body.MESSAGE:
        described["requestBody"] = {
            "required": True,
            "description": "The raw message.",
            "content": {
                "message/rfc822": {
                    "schema": {"type": "string", "contentMediaType": "message/rfc822"},
                    "examples": {"message": {"value": EXAMPLE_MESSAGE}},
                }
            },
        }
    elif operation.body is Body.JSON:
        content = described["requestBody"]["content"]["application/json"]
        sent = operation.example if operation.example is not None else example_of(content["schema"], schemas)
        content["examples"] = {"request": {"value": sent}}
    described["responses"] = _responses(described["responses"], operation, schemas)


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null: what is not asked for is left out, and a URL has no null."""
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    match choices:
        case []:
            return rest
        case [only]:
            return {**only, **rest}
    return {"anyOf": choices, **rest}


def _parameters(operation: Operation) -> list[dict[str, str]]:
    names = ["Organisation"]
    if operation.method == "GET":
        names.append("IfNoneMatch")
    if operation.is_write:
        names.append("IdempotencyKey")
    if operation.match is Match.MAY:
        names.append("IfMatch")
    if operation.match is Match.MUST:
        names.append("IfMatchRequired")
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _responses(
    generated: Mapping[str, Any], operation: Operation, schemas: Mapping[str, Any]
) -> dict[str, Any]:
    code = str(operation.status)
    success: dict[str, Any] = {
        "description": _success(operation),
        "headers": _headers(*_fields(operation)),
    }
    content = _content(generated.get(code, {}), operation, schemas)
    if content:
        success["content"] = content
    answered: dict[str, Any] = {code: success}
    if operation.method == "GET":
        answered["304"] = {
            "description": "The client has this state already.",
            "headers": _headers("ETag", *ALWAYS),
        }
    by_status: dict[int, list[ProblemType]] = {}
    for each in _problems(operation):
        by_status.setdefault(int(each.status), []).append(each)
    for status, kinds in sorted(by_status.items()):
        answered[str(status)] = (
            {"$ref": f"#/components/responses/{kinds[0].name}"} if len(kinds) == 1 else _problem(*kinds)
        )
    return answered


def _success(operation: Operation) -> str:
    return {200: "Done.", 201: "Made.", 204: "Done."}[operation.status]


def _fields(operation: Operation) -> list[str]:
    fields = list(ALWAYS)
    if operation.method == "GET" or (operation.method in ("PUT", "PATCH") and operation.status == 200):
        fields.append("ETag")
    if operation.is_list:
        fields.append("Link")
    if operation.has_location:
        fields.append("Location")
    if operation.is_write:
        fields.append("Idempotency-Replayed")
    if operation.inspects and operation.media_type == "message/rfc822":
        fields.append("Mailveil-Changed")
    return fields


def _content(
    generated: Mapping[str, Any], operation: Operation, schemas: Mapping[str, Any]
) -> dict[str, Any] | None:
    if operation.status == 204:
        return None
    if operation.media_type != "application/json":
        is_json = operation.media_type.endswith("+json")
        schema: dict[str, Any] = (
            {"type": "object"} if is_json else {"type": "string", "contentMediaType": operation.media_type}
        )
        shown = EXAMPLE_CLEAN if operation.example is None else operation.example
    elif operation.answer is None:
        schema = {"$ref": "#/components/schemas/Inspection"}
        shown = example_of(schema, schemas)
    else:
        schema = generated["content"]["application/json"]["schema"]
        shown = example_of(schema, schemas)
    return {operation.media_type: {"schema": schema, "examples": {"answer": {"value": shown}}}}


def _problems(operation: Operation) -> list[ProblemType]:
    kinds = [
        problems.UNAUTHENTICATED,
        problems.FORBIDDEN,
        problems.NOT_FOUND,
        problems.NOT_ACCEPTABLE,
        problems.TOO_LARGE,
        problems.INVALID,
        problems.TOO_MANY,
        problems.BROKEN,
        problems.UNAVAILABLE,
    ]
    if operation.body is not Body.NONE:
        kinds.append(problems.MEDIA_TYPE_WRONG)
    if operation.is_write:
        kinds += [problems.CONFLICT, problems.UNDER_WAY, problems.KEY_REUSED]
    if operation.match is not Match.NONE:
        kinds.append(problems.CHANGED)
    if operation.match is Match.MUST:
        kinds.append(problems.MATCH_REQUIRED)
    return [*kinds, *operation.problems]


def _problem(*kinds: ProblemType) -> dict[str, Any]:
    fields = {field: None for each in kinds for field in OF_PROBLEMS.get(each.name, ())}
    return {
        "description": " Or: ".join(f"{each.title}. {each.meaning}" for each in kinds),
        "headers": _headers(*fields, *ALWAYS),
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {
                    each.name: {"value": {"type": each.uri, "title": each.title, "status": int(each.status)}}
                    for each in kinds
                },
            }
        },
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(names)}


def _own() -> dict[str, Any]:
    return {
        "operationId": "getDescription",
        "tags": ["description"],
        "summary": "Get this document",
        "description": "The OpenAPI document; it needs no token.",
        "security": [],
        "responses": {
            "200": {
                "description": "Done.",
                "headers": _headers(*ALWAYS),
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": ["openapi", "info", "paths"]},
                        "examples": {"answer": {"value": {"openapi": VERSION, "info": {}, "paths": {}}}},
                    }
                },
            },
            "429": {"$ref": "#/components/responses/too-many-requests"},
        },
    }


# --- examples ----------------------------------------------------------------------------------------------


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return an example of what a schema describes, made of the examples of its members."""
    if schema.get(
        "examples"
    ):  # also beside a reference: what a member has of its own says more than its type
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for name in ("const", "default"):
        if schema.get(name) is not None:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return example_of(schema[name][0], schemas)
    return _by_type(schema, schemas)


def _by_type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return {name: example_of(each, schemas) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [example_of(schema["items"], schemas)] if schema.get("items") else []
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(str(kind), "text")
