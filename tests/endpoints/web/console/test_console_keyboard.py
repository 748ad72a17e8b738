"""Somebody without a mouse: the first administrator's way in, in a real Chromium, by keyboard alone.

Setup: a console that nobody can sign in to yet, and a one-time link.
Test: typing, Tab, Space and Enter choose a password, sign in, set up a second factor, make a token, and sign out; each
page's policy refuses nothing, nothing is asked of elsewhere, and it all works without the script too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console_window import OpenConsole, browser_room, open_console
from mailveil.control.access import command_line_actor
from mailveil.control.secondfactor import code_at
from mailveil.control.users import first_administrator_link
from postgres_room import DatabasePlace

if TYPE_CHECKING:
    from playwright.sync_api import Page

PASSWORD = "wading heron at dusk"


def press_until(page: Page, what: str, key: str = "Tab", most: int = 60) -> None:
    """Press a key until what has the focus matches a selector."""
    for _ in range(most):
        if page.evaluate("what => document.activeElement?.matches(what) ?? false", what):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{what} cannot be reached by {key} on {page.url}")


def enter(page: Page) -> None:
    with page.expect_navigation():
        page.keyboard.press("Enter")


def picture(page: Page, folder: Path, name: str) -> None:
    page.screenshot(path=str(folder / f"{name}.png"), full_page=True)


def walk(page: Page, console: OpenConsole, folder: Path) -> None:
    made = console.run(first_administrator_link(console.room, command_line_actor("default", "test")))
    page.goto(f"{console.url}/link/{made.secret}")
    press_until(page, "[name=name]")
    picture(page, folder, "link")
    page.keyboard.type("anna")
    for name in ("password", "password_again"):
        press_until(page, f"[name={name}]")
        page.keyboard.type(PASSWORD)
    enter(page)
    assert "is set. Sign in with it" in page.inner_text("main")
    assert page.input_value("[name=name]") == "anna", "who has just chosen a password need not say who it is"
    press_until(page, "[name=password]")
    page.keyboard.type("not the password")
    enter(page)
    assert "do not belong together" in page.inner_text("[role=alert]")
    picture(page, folder, "sign-in-refused")
    assert page.input_value("[name=name]") == "anna"
    press_until(page, "[name=password]")
    page.keyboard.type(PASSWORD)
    enter(page)
    page.goto(f"{console.url}/account")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip", "the first stop skips the navigation"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    press_until(page, "a[href='/account/second-factor']")
    enter(page)
    picture(page, folder, "second-factor")
    secret = page.inner_text("#key").replace(" ", "")
    assert re.fullmatch("[A-Z2-7]{32}", secret)
    press_until(page, "[name=code]")
    page.keyboard.type(code_at(secret, int(console.room.clock.now() // 30)))
    enter(page)
    assert "signing in takes a code" in page.inner_text("main")
    picture(page, folder, "account")
    page.goto(f"{console.url}/tokens")
    press_until(page, "main [name=name]")
    page.keyboard.type("SIEM export")
    press_until(page, "[name=scopes]")
    page.keyboard.press("Space")
    press_until(page, "main form[action='/tokens'] button")
    enter(page)
    assert page.inner_text("#token").startswith("mvt_")
    picture(page, folder, "new-token")
    for path in ("users", "tokens", "audit", "organisations", "mailbox"):
        page.goto(f"{console.url}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), path
        picture(page, folder, path)
    page.goto(f"{console.url}/account")
    if page.is_visible(".menu-button"):
        press_until(page, ".menu-button")
        page.keyboard.press("Enter")
    press_until(page, "form[action='/sign-out'] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in")
    assert "signed out" in page.inner_text("main")
    picture(page, folder, "sign-in")


@pytest.mark.parametrize(
    ("scheme", "width", "scripts"),
    [("light", 1280, True), ("dark", 360, True), ("light", 360, False)],
    ids=["light", "dark-phone", "without-script"],
)
def test_the_first_administrator_comes_in_by_keyboard_alone(
    sqlite_database: DatabasePlace,
    tmp_path: Path,
    requires: Callable[[str], str],
    scheme: str,
    width: int,
    scripts: bool,
) -> None:
    requires("chromium")
    with open_console(sqlite_database) as console, browser_room() as browser:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 800}, java_script_enabled=True
        )
        context.set_default_timeout(60_000)
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((console.url, "data:")) else wrong.append(asked.url),
        )
        if not scripts:
            page.route("**/assets/console.js*", lambda route: route.abort())
        walk(page, console, tmp_path)
        assert not wrong
        context.close()
