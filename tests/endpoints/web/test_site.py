"""The console's listener: answers under no foreign name, and tells whoever watches processes that it is there."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from http_room import Answer, ask, http_room
from mailveil.endpoints.web.guard import host_name
from mailveil.endpoints.web.site import build_site

NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def saying(word: str) -> ASGIApp:
    async def answer(request: Request) -> Response:
        return PlainTextResponse(f"{word} {request.url.path}")

    return Starlette(routes=[Route("/{rest:path}", answer)])


def get(*targets: str, **fields: str) -> list[Answer]:
    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": "9.9"})

    site = build_site(NAMES, saying("console"), answers={"/healthz": alive}, parts={"/api/v1": saying("api")})

    async def inside() -> list[Answer]:
        async with http_room(site) as port:
            return [await ask(port, target, **fields) for target in targets]

    return asyncio.run(asyncio.wait_for(inside(), 60))


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "127.0.0.2"]
)
def test_no_foreign_name_is_answered(host: str) -> None:
    for answer in get("/", "/api/v1/messages", "/healthz", Host=host):
        assert answer.status in (400, 421), host
        assert not answer.body.startswith((b"console", b"api", b"{"))


def test_a_request_that_ends_in_two_ways_is_none() -> None:
    """Whoever stands in front may read it by the other one, and take what follows for somebody else's (RFC 9112)."""
    (answer,) = get("/healthz", Content_Length="5", Transfer_Encoding="chunked")
    assert answer.status == 400
    assert answer.headers["connection"] == "close"


def test_our_own_names_are_answered_with_any_port() -> None:
    for host in ("localhost:8080", "LOCALHOST", "127.0.0.1:9", "[::1]:8080", "localhost."):
        (answer,) = get("/healthz", Host=host)
        assert answer.status == 200, host
        assert answer.body == b'{"status":"ok","version":"9.9"}'


def test_each_path_leads_to_its_part() -> None:
    found = [answer.body.decode() for answer in get("/", "/reports", "/api/v1/x", "/api/v1", "/api")]
    assert found == ["console /", "console /reports", "api /api/v1/x", "console /api/v1", "console /api"]


def test_under_the_name_for_reports_nothing_else_is_found() -> None:
    site = build_site(
        NAMES,
        saying("console"),
        parts={"/api/v1": saying("api"), "/report": saying("report")},
        places={"tell.example.org": "/report"},
    )

    async def inside() -> dict[str, int]:
        async with http_room(site) as port:
            targets = ("/report", "/report/", "/report/x", "/", "/sign-in", "/api/v1/messages", "/reports")
            return {target: (await ask(port, target, Host="tell.example.org")).status for target in targets}

    found = asyncio.run(asyncio.wait_for(inside(), 60))
    assert {target for target, status in found.items() if status == 421} == {
        "/",
        "/sign-in",
        "/api/v1/messages",
        "/reports",
    }
    assert found["/report/x"] == 200


def test_names_in_host_fields() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("Localhost.") == "localhost"
    assert not host_name("[")


def test_every_answer_has_what_browsers_are_to_keep_to() -> None:
    for answer in get("/", "/api/v1/messages", "/healthz", "/api"):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_what_breaks_tells_nothing_to_whoever_asks_and_quotes_nothing_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: Request) -> Response:
        raise ValueError(f"the secret is {request.query_params['q']}")

    site = build_site(NAMES, saying("console"), parts={"/broken": Starlette(routes=[Route("/", broken)])})

    async def inside() -> Answer:
        async with http_room(site) as port:
            return await ask(port, "/broken/?q=xyzzy")

    answer = asyncio.run(asyncio.wait_for(inside(), 60))
    assert answer.status == 500
    assert answer.headers["cache-control"] == "no-store"
    assert b"xyzzy" not in answer.body
    assert "ValueError" in caplog.text
    assert "xyzzy" not in caplog.text
