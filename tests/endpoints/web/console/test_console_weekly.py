"""The weekly report in the console and as a file, in a real Chromium.

Setup: a week that was counted by hand. Test: who may see what, files behind the buttons, and a file that fits.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pypdf
import pytest

from console_window import OpenConsole, browser_room, looking, open_console, sqlite_place
from control_room import actor
from mailveil.control.weekly import weekly_report
from mailveil.control.weeks import Week
from mailveil.endpoints.web.weekly import Form, write_report
from weekly_room import AFTER, put_week

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Debian's Chromium is driven")
AUDIT = (Path(__file__).parent / "accessibility.js").read_text("utf-8")
WEEK = "/weekly?week=2026-W47"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as found:
        yield found


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    with open_console(sqlite_place(tmp_path_factory.mktemp("weekly")), now=AFTER) as room:
        room.run(put_week(room.made))
        yield room


def test_the_page_shows_the_week_and_its_buttons_give_files(
    browser: Browser, console: OpenConsole, tmp_path: Path
) -> None:
    with looking(browser, console) as look:
        look.page.goto(console.url + WEEK)
        main = look.page.locator("main").inner_text()
        for each in (
            "Week 2026-W47",
            "10 messages were protected",
            "fresh.example",
            "Mailchimp",
            "newsroom.example",
        ):
            assert each in main
        assert "anna" not in main
        names = []
        for title in ("PDF", "HTML", "CSV, by day", "CSV, activities"):
            with look.page.expect_download() as begun:
                look.page.get_by_role("link", name=title, exact=True).click()
            begun.value.save_as(tmp_path / title)
            names.append(begun.value.suggested_filename)
        assert names == [
            f"mailveil-default-2026-W47{end}" for end in (".pdf", ".html", "-days.csv", "-activities.csv")
        ]
        pages = pypdf.PdfReader(io.BytesIO((tmp_path / "PDF").read_bytes())).pages
        assert "10 messages were protected" in pages[0].extract_text()
        look.page.get_by_role("link", name="With people").click()
        assert "anna.schmidt@acme.example" in look.page.locator("main").inner_text()
        assert "people=yes" in str(
            look.page.get_by_role("link", name="PDF", exact=True).get_attribute("href")
        )
        look.page.get_by_role("link", name="Week before").click()
        assert "2026-W46" in look.page.locator("h1").inner_text()
        assert look.elsewhere == []


def test_a_viewer_sees_no_people_and_cannot_ask_for_them(browser: Browser, console: OpenConsole) -> None:
    with looking(browser, console, "viewer") as look:
        look.page.goto(console.url + WEEK)
        assert "fresh.example" in look.page.locator("main").inner_text()
        assert look.page.get_by_role("link", name="With people").count() == 0
        for path in ("/weekly?people=yes", "/weekly/file?people=yes&format=csv&table=activities"):
            answer = look.page.goto(console.url + path)
            assert answer is not None
            assert answer.status == 403
            assert "anna" not in look.page.content()


@pytest.mark.parametrize("query", ["week=2026-W99", "week=2199-W01", "format=docx", "table=x&format=csv"])
def test_what_there_is_not_is_said(browser: Browser, console: OpenConsole, query: str) -> None:
    with looking(browser, console) as look:
        answer = look.page.goto(f"{console.url}/weekly/file?{query}")
        assert answer is not None
        assert answer.status == 422


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_file_fits_its_window_and_is_usable_by_everybody(
    browser: Browser, console: OpenConsole, tmp_path: Path, width: int, scheme: str
) -> None:
    report = console.run(weekly_report(console.room, actor(), Week(2026, 47), with_people=True))
    (tmp_path / "week.html").write_bytes(write_report(report, Form.HTML).body)
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        offline=True,
    )
    try:
        page = context.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: complaints.append(said.text))
        page.goto((tmp_path / "week.html").as_uri())
        assert page.evaluate(AUDIT) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(14, 20, 25)") == (scheme == "dark")
        assert [each for each in asked if not each.startswith(("file:", "data:"))] == []
        assert complaints == []
        assert page.pdf().startswith(b"%PDF-")  # as it is printed
    finally:
        context.close()
