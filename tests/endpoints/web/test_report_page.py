"""The page for reports: what it takes, what it refuses, and that opening it leaves no trace. In a real browser, too."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, async_playwright

from console_window import CHROMIUM, FLAGS
from control_room import ControlRoomForTests
from http_room import http_room
from mailveil.adapters.database import tables
from mailveil.control.feedback import Reporting, ReportLimits
from mailveil.control.records import Cut, Feedback
from mailveil.core.banner import languages, report_code
from mailveil.core.observation import observation_identifier
from mailveil.endpoints.web.reports import MAX_BODY, ReportPage
from mailveil.endpoints.web.site import build_site
from mailveil.ports import UnavailableError

KEY = b"a key that only these tests know"
MESSAGE = observation_identifier(1_800_000_000.0, "message", "default")
CODE = report_code(MESSAGE, "default", KEY)
FORM = "application/x-www-form-urlencoded"
HOSTILE = "</textarea><script>alert(1)</script>"


async def _nothing(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("the console is asked for nothing here")


def _site(control: ControlRoomForTests, **limits: int):
    page = ReportPage(control.room, Reporting(KEY, ReportLimits(**limits)))
    return build_site(frozenset({"127.0.0.1", "localhost"}), _nothing, parts={"/report": page.application()})


def walk(
    control: ControlRoomForTests, steps: Callable[[httpx.AsyncClient], Awaitable[None]], **limits: int
) -> None:
    async def inside() -> None:
        transport = httpx.ASGITransport(_site(control, **limits))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await steps(client)

    asyncio.run(asyncio.wait_for(inside(), 120))


async def _reports(control: ControlRoomForTests) -> tuple[Feedback, ...]:
    return (await control.room.feedback.reports("default", Cut())).items


async def _rows(control: ControlRoomForTests) -> dict[str, int]:
    """Return how many rows each table has."""
    async with control.database.read() as connection:
        found = {}
        for table in tables.metadata.sorted_tables:
            found[table.name] = (
                await connection.execute(sa.select(sa.func.count()).select_from(table))
            ).scalar_one()
        return found


def test_opening_it_writes_nothing_anywhere(control_room: ControlRoomForTests) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        before = await _rows(control_room)
        for _ in range(3):
            answer = await client.get("/report/", params={"code": CODE})
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
        assert await _rows(control_room) == before

    walk(control_room, steps)


def test_a_report_is_taken_and_shown_nowhere_but_in_the_queue(control_room: ControlRoomForTests) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        form = {"code": CODE, "kind": "missed", "text": HOSTILE + "\r\nsecond line"}
        answer = await client.post("/report/", data=form)
        assert answer.status_code == 200
        assert "script" not in answer.text
        [made] = await _reports(control_room)
        assert made.text == HOSTILE + "\nsecond line"
        assert made.message == MESSAGE

    walk(control_room, steps)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (FORM, urlencode({"code": "a" * 40, "kind": "missed"}), 404),
        (FORM, urlencode({"code": CODE}), 400),
        (FORM, urlencode({"code": CODE, "kind": "praise"}), 400),
        (FORM, urlencode({"code": CODE, "kind": "other", "text": "x" * 2001}), 400),
        (FORM, urlencode({"code": CODE, "kind": "other", "text": "x" * MAX_BODY}), 413),
        (FORM, "&".join(["a=b"] * 50), 413),
        (FORM, b"\xff\xfe", 413),
        ("multipart/form-data; boundary=x", "--x--", 413),
        ("application/json", "{}", 413),
        ("", "", 413),
    ],
)
def test_what_is_no_report_is_refused_in_words(
    control_room: ControlRoomForTests, content_type: str, body: str | bytes, status: int
) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        answer = await client.post("/report/", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == status
        assert 'role="status"' in answer.text
        assert await _reports(control_room) == ()

    walk(control_room, steps)


def test_too_many_are_asked_to_come_later(control_room: ControlRoomForTests) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        form = {"code": CODE, "kind": "other"}
        assert (await client.post("/report/", data=form)).status_code == 200
        answer = await client.post("/report/", data=form)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")

    walk(control_room, steps, per_message=1)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_database_that_is_away_is_said(
    control_room: ControlRoomForTests, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async def away(_self: object) -> None:
        raise UnavailableError("away")

    monkeypatch.setattr(type(control_room.room.organisations), "organisations", away)

    async def steps(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, f"/report/?code={CODE}", data={"code": CODE, "kind": "other"})
        assert answer.status_code == 503

    walk(control_room, steps)


@pytest.mark.parametrize(
    ("accepted", "home", "spoken"),
    [("de-CH, en;q=0.5", "fr", "de"), ("en;q=0.2, ja", "fr", "ja"), ("tlh", "es", "es"), ("", "fr", "fr"),
     ("*", "", "en"), ("de;q=0, fr;q=0.1", "en", "fr"), ("x" * 100_000, "de", "de"), ("en;q=nan,,;;", "ja", "ja")],
)  # fmt: skip
def test_it_speaks_the_readers_language(
    control_room: ControlRoomForTests, accepted: str, home: str, spoken: str
) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        await control_room.organisation("acme", language=home)
        code = report_code(observation_identifier(1.0, "x", "acme"), "acme", KEY)
        answer = await client.get("/report/", params={"code": code}, headers={"Accept-Language": accepted})
        assert answer.headers["content-language"] == spoken
        assert languages()[spoken].report["question"] in answer.text

    walk(control_room, steps)


def test_nothing_from_elsewhere_may_load_frame_or_script_it(control_room: ControlRoomForTests) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        answer = await client.get("/report/", params={"code": CODE})
        policy = answer.headers["content-security-policy"]
        for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
            assert part in policy
        assert answer.headers["referrer-policy"] == "no-referrer", "the code goes nowhere else"
        assert answer.headers["cache-control"] == "no-store"
        assert "<script" not in answer.text
        assert (await client.get("/report/", headers={"Host": "evil.example"})).status_code == 421
        hostile = await client.get("/report/", params={"code": HOSTILE})
        assert hostile.status_code == 404
        assert "<script" not in hostile.text

    walk(control_room, steps)


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    with tempfile.TemporaryDirectory() as home:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS], env={"HOME": home, "LANG": "C.UTF-8"}
            )
            try:
                yield browser
            finally:
                await browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_reports_by_keyboard_on_a_phone_without_scripts(
    control_room: ControlRoomForTests, requires: Callable[[str], str], tmp_path: Path, scheme: str
) -> None:
    requires("chromium")

    async def inside() -> None:
        async with http_room(_site(control_room)) as port, _browser() as browser:
            context = await browser.new_context(
                viewport={"width": 320, "height": 640},
                java_script_enabled=False,
                locale="fr-CA",
                color_scheme=scheme,
            )  # type: ignore[arg-type]
            page = await context.new_page()
            complaints: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(f"http://localhost:{port}/report/?code={CODE}")
            await page.screenshot(path=tmp_path / "form.png", full_page=True)
            for key in ("Tab", "ArrowDown", "Tab"):
                await page.keyboard.press(key)
            await page.keyboard.type("Il reste une image.")
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            thanks = languages()["fr"].report["thanks"]
            await page.get_by_role("status").filter(has_text=thanks).wait_for(timeout=60_000)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            assert complaints == []
            assert all(
                url.startswith(f"http://localhost:{port}/report/") for url in asked if "favicon" not in url
            )
        [made] = await _reports(control_room)
        assert (made.kind, made.text) == ("missed", "Il reste une image.")

    asyncio.run(asyncio.wait_for(inside(), 300))
