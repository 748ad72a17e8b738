"""The OpenAPI document: whole, of one piece with what is answered, and with nothing from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from api_room import ApiRoom
from mailveil.control.access import Permission
from mailveil.endpoints.web.api.problems import TYPES

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(api_room: ApiRoom) -> dict[str, Any]:
    answer = api_room.ask("GET", "/openapi.json", token="")
    assert answer.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", each)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
        if method in METHODS
    ]


def test_it_is_openapi_3_1_at_its_place(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": "/api/v1", "description": "This installation."}]
    assert document["info"]["version"]


def test_every_operation_is_named_tagged_and_told_in_words(document: dict[str, Any]) -> None:
    names = [each["operationId"] for _, each in operations(document)]
    assert len(names) == len(set(names))
    tags = {each["name"] for each in document["tags"]}
    for name, each in operations(document):
        assert re.fullmatch(r"[a-z][A-Za-z]+", each["operationId"]), name
        assert set(each["tags"]) <= tags, name
        assert each["summary"], name
        assert each["description"], name
    assert all(each["description"] for each in document["tags"])


def test_every_answer_is_described_with_its_fields_and_an_example(document: dict[str, Any]) -> None:
    for name, each in operations(document):
        codes = set(each["responses"])
        assert "429" in codes, name
        if each["security"]:
            assert {"401", "403", "404", "406", "413", "422", "500", "503"} <= codes, name
        for code, answer in each["responses"].items():
            whole = resolved(document, answer)
            assert whole["description"], f"{name} {code}"
            assert {"RateLimit", "RateLimit-Policy"} <= set(whole["headers"]), f"{name} {code}"
            if code in ("204", "304"):
                assert "content" not in whole
                continue
            for kind, content in whole["content"].items():
                assert content["examples"], f"{name} {code}"
                assert (kind == "application/problem+json") == (int(code) >= 400), f"{name} {code}"


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        place: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        value = place
    return value


def test_every_field_and_parameter_is_told_in_words(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name in ("Inspection", "Problem") or "enum" in schema:
            continue
        assert schema.get("description"), name
        for field, each in schema.get("properties", {}).items():
            told = each.get("description") or resolved(document, each).get("description")
            assert told, f"{name}.{field}"
        assert schema.get("additionalProperties") is False, name
    for name, each in operations(document):
        for parameter in each.get("parameters", ()):
            assert resolved(document, parameter).get("description"), f"{name} {parameter}"


def test_every_example_is_valid_by_its_schema(document: dict[str, Any]) -> None:
    import jsonschema_rs

    checked = 0
    for name, each in operations(document):
        bodies = [each["requestBody"]] if "requestBody" in each else []
        for answer in (*bodies, *(resolved(document, one) for one in each["responses"].values())):
            for content in answer.get("content", {}).values():
                schema = {**content["schema"], "components": document["components"]}
                validator = jsonschema_rs.validator_for(schema)
                for example in content["examples"].values():
                    errors = [str(error) for error in validator.iter_errors(example["value"])]
                    assert not errors, f"{name}: {errors[:2]}"
                    checked += 1
    assert checked > 100


def test_no_parameter_is_ever_null_and_every_choice_of_a_new_destination_can_be_made(
    document: dict[str, Any],
) -> None:
    asked = [(name, found) for name, each in operations(document) for found in each.get("parameters", ())]
    assert {"state", "position", "since", "has_trackers"} <= {found.get("name") for _, found in asked}
    for name, found in asked:
        assert '"null"' not in json.dumps(found), f"{name}: a URL has no null"
    schemas = document["components"]["schemas"]
    assert "collection" not in schemas["DestinationMade"]["properties"]["kind"]["enum"]
    assert "collection" in schemas["DestinationKind"]["enum"]


def test_every_scope_is_known_and_every_permission_is_used(document: dict[str, Any]) -> None:
    used: set[str] = set()
    for _, each in operations(document):
        for requirement in each["security"]:
            used |= set(requirement["token"])
    assert used == {str(each) for each in Permission}


def test_the_kinds_of_problems_are_all_listed_and_never_change(document: dict[str, Any]) -> None:
    listed = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert listed == [each.uri for each in TYPES]
    assert {
        "urn:mailveil:problem:unauthenticated",
        "urn:mailveil:problem:forbidden",
        "urn:mailveil:problem:not-found",
        "urn:mailveil:problem:method-not-allowed",
        "urn:mailveil:problem:not-acceptable",
        "urn:mailveil:problem:conflict",
        "urn:mailveil:problem:under-way",
        "urn:mailveil:problem:idempotency-key-reused",
        "urn:mailveil:problem:changed-meanwhile",
        "urn:mailveil:problem:if-match-required",
        "urn:mailveil:problem:too-large",
        "urn:mailveil:problem:unsupported-media-type",
        "urn:mailveil:problem:invalid",
        "urn:mailveil:problem:unexaminable",
        "urn:mailveil:problem:too-many-requests",
        "urn:mailveil:problem:internal-error",
        "urn:mailveil:problem:unavailable",
    } <= set(listed)


def test_nothing_in_it_leads_elsewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    hosts = set(re.findall(r"https?://([A-Za-z0-9.-]+)", text))
    assert all(host.endswith(".example") for host in hosts), hosts


def test_there_are_no_pages_that_would_load_scripts_from_elsewhere(api_room: ApiRoom) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert api_room.ask("GET", path).status_code == 404


def test_nobody_who_only_scans_waits_for_the_api_to_be_loaded() -> None:
    code = (
        "import sys, mailveil.cli, mailveil.commands.scan, mailveil.app.serving, mailveil.endpoints.web.api; "
        "print([name for name in ('fastapi', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
