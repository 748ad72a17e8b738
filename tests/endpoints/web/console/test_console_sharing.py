"""Sharing on pages: a destination is made, tried, changed, paused and removed; secrets go in and never come out.

Setup: a console whose events can really be delivered, and an HTTP server of the test's own to deliver them to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console_activities import furnish_feeds, furnish_sharing
from console_window import Look, OpenConsole, browser_room, looking, open_console, sqlite_place
from sharing_room import Destinations, maker

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECRET = "sesame-that-nobody-may-read-4711"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharing")


@pytest.fixture(scope="module")
def open_room(folder: Path) -> Iterator[OpenConsole]:
    with open_console(sqlite_place(folder), publishers=maker(folder)) as room:
        yield room


@pytest.fixture
def look(browser: Browser, open_room: OpenConsole) -> Iterator[Look]:
    with looking(browser, open_room) as found:
        yield found
        assert found.elsewhere == []
        assert [each for each in found.complaints if "422" not in each] == []


@pytest.fixture(scope="module")
def listening(open_room: OpenConsole) -> Iterator[Destinations]:
    """A destination over HTTP, which takes everything at ``/good`` and nothing at ``/bad``."""
    from sharing_room import destinations_at_work

    def answer(received: object) -> tuple[int, dict[str, str], bytes]:
        return (204 if getattr(received, "path", "") == "/good" else 403), {}, b""

    context = destinations_at_work(answer=answer)
    made = open_room.run(context.__aenter__())
    try:
        yield made
    finally:
        open_room.run(context.__aexit__(None, None, None))


def audited(room: OpenConsole, action: str) -> list[str]:
    return [each.subject for each in room.run(room.made.audit_trail(action=action))]


def test_a_file_is_told_tried_changed_paused_and_removed(
    look: Look, open_room: OpenConsole, folder: Path
) -> None:
    page = look.page
    page.goto(open_room.url + "/sharing")
    page.get_by_role("link", name="File").click()
    page.get_by_label("Name (needed)").fill("Log shipper")
    page.get_by_label("Name of the file").fill("events.jsonl")
    page.get_by_label("an alert is raised").check()
    page.get_by_label("Pseudonyms").check()
    page.get_by_role("button", name="Add the destination").click()
    assert "Log shipper is told from now on" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Send a test").click()
    assert page.get_by_role("status").inner_text() == "The test arrived."
    (line,) = (folder / "shared" / "default" / "events.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["type"] == "test"
    assert page.get_by_label("an alert is raised").is_checked()
    assert page.get_by_label("Pseudonyms").is_checked()
    page.get_by_label("Only activities of which").fill("62.5")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_label("Only activities of which").input_value() == "62.5"
    page.get_by_role("button", name="Pause").click()
    assert "Paused" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Send it again").click()
    assert "sent again" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Remove this destination").click()
    assert "Log shipper is told nothing any more" in page.get_by_role("status").inner_text()
    for action in ("create", "test", "change", "replay", "remove"):
        assert "Log shipper" in audited(open_room, f"destination.{action}")


def test_what_is_wrong_is_told_at_its_field_and_nothing_but_the_secret_is_lost(
    look: Look, open_room: OpenConsole
) -> None:
    page = look.page
    page.goto(open_room.url + "/sharing/destinations/new?kind=splunk")
    page.get_by_label("Name (needed)").fill("Collector")
    page.get_by_label("Address (needed)").fill("http://splunk.example.org:8088")
    page.get_by_label("Token of the collector").fill(SECRET)
    page.get_by_label("Mail addresses").check()
    page.get_by_label("a tracker that somebody built").check()
    page.get_by_role("button", name="Add the destination").click()
    assert "Write https://" in page.locator("#address-error").inner_text()
    assert page.get_by_label("Address (needed)").input_value() == "http://splunk.example.org:8088"
    assert page.get_by_label("Mail addresses").is_checked()
    assert page.get_by_label("a tracker that somebody built").is_checked()
    assert SECRET not in page.content()
    page.goto(open_room.url + "/sharing/destinations/new?kind=syslog")
    page.get_by_label("Name (needed)").fill("SIEM")
    page.get_by_label("Address (needed)").fill("tls://siem.example.org")
    page.locator("summary", has_text="More settings").click()
    page.get_by_label("Most bytes of a message").fill("many")
    page.get_by_role("button", name="Add the destination").click()
    assert page.locator("#option-max_bytes-error").inner_text() == "Write a whole number."
    assert page.locator("#option-max_bytes-error").is_visible(), "what is wrong is not folded away"


def test_the_secret_of_a_webhook_is_shown_once_and_another_one_can_be_made(
    look: Look, open_room: OpenConsole, listening: Destinations
) -> None:
    page = look.page
    page.goto(open_room.url + "/sharing/destinations/new?kind=webhook")
    page.get_by_label("Name (needed)").fill("Hook")
    page.get_by_label("Address (needed)").fill(f"http://127.0.0.1:{listening.port}/good")
    page.locator("summary", has_text="More settings").click()
    page.get_by_label("Allow http://").check()
    page.get_by_role("button", name="Add the destination").click()
    first = page.inner_text("#secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", first)
    page.get_by_role("link", name="Go on").click()
    assert first not in page.content()
    page.get_by_role("button", name="Send a test").click()
    assert page.get_by_role("status").inner_text() == "The test arrived."
    assert json.loads(listening.at("/good")[-1].body)["type"].endswith("test")
    page.get_by_role("button", name="Make a new secret").click()
    second = page.inner_text("#secret")
    assert second not in ("", first)
    page.get_by_role("link", name="Go on").click()
    page.get_by_label("Address (needed)").fill(f"http://127.0.0.1:{listening.port}/bad")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Send a test").click()
    assert "did not arrive" in page.get_by_role("status").inner_text()
    assert "403" in page.get_by_role("status").inner_text()
    assert second not in page.content()


def test_what_was_not_taken_is_listed_tried_again_and_deleted(browser: Browser, tmp_path: Path) -> None:
    with open_console(sqlite_place(tmp_path)) as room, looking(browser, room) as look:
        room.run(furnish_sharing(room.made))
        page = look.page
        page.goto(room.url + "/sharing")
        assert "switched off" in page.get_by_role("status").inner_text()
        misp = page.locator("tr", has_text="Partners’ MISP")
        assert "does not take anything" in misp.inner_text()
        assert "this key may not add events" in misp.inner_text()
        assert "1,204" in page.locator("tr", has_text="SIEM").inner_text()
        page.get_by_role("link", name="Chat of the team").click()
        rows = page.locator("section", has_text="What it did not take").locator("tbody tr")
        assert rows.count() == 2
        assert "An alert is raised" in rows.first.inner_text()
        assert "413: too large" in rows.first.inner_text()
        page.get_by_role("button", name="Try again number 2").click()
        assert page.get_by_role("status").inner_text() == "1 will be tried again."
        page.get_by_role("button", name="Delete all").click()
        assert page.locator("h2", has_text="What it did not take").count() == 0


@pytest.mark.parametrize("role", ["analyst", "viewer"])
def test_analysts_read_and_viewers_do_not(browser: Browser, open_room: OpenConsole, role: str) -> None:
    with looking(browser, open_room, role) as look:
        answer = look.page.goto(open_room.url + "/sharing")
        assert answer is not None
        assert answer.status == (200 if role == "analyst" else 403)
        assert look.page.get_by_role("link", name="Syslog").count() == 0
        answer = look.page.goto(open_room.url + "/sharing/destinations/new?kind=syslog")
        assert answer is not None
        assert answer.status == 403


def test_a_stored_secret_stands_on_no_page(look: Look, open_room: OpenConsole) -> None:
    from mailveil.control.sharingrecords import Destination, DestinationKind

    store = open_room.room.sharing
    assert store is not None
    kind = DestinationKind.MISP
    stored = Destination("misp-1", "default", "Partners", kind, "https://misp.example", secret=SECRET)
    open_room.run(store.put_destination(stored))
    page = look.page
    for path in ("/sharing", "/sharing/destinations/misp-1"):
        page.goto(open_room.url + path)
        assert "Partners" in page.inner_text("main")
        assert SECRET not in page.content()
    page.get_by_label("Name (needed)").fill("Other partners")
    page.get_by_role("button", name="Save").click()
    kept = open_room.run(store.destination("default", "misp-1"))
    assert kept is not None
    assert kept.secret == SECRET, "what is left empty stays"


def test_a_feed_is_made_searched_changed_paused_and_removed(browser: Browser, tmp_path: Path) -> None:
    with open_console(sqlite_place(tmp_path)) as room, looking(browser, room) as look:
        room.run(furnish_feeds(room.made))
        page = look.page
        page.goto(room.url + "/sharing")
        assert "401: the key is not taken" in page.locator("tr", has_text="Partners’ MISP").inner_text()
        page.get_by_role("link", name="National CERT").click()
        assert "Passed over: your own domain" in page.inner_text("main")
        page.get_by_label("Begins with").fill("pixel")
        page.get_by_role("button", name="Search").click()
        rows = page.get_by_role("region", name="Indicators").locator("tbody tr")
        assert rows.count() == 3
        assert "TLP:GREEN" in rows.first.inner_text()
        page.get_by_role("button", name="Read it now").click()
        assert "Sharing is switched off" in page.get_by_role("alert").inner_text()
        page.get_by_role("button", name="Pause").click()
        assert "What it told stays" in page.get_by_role("status").inner_text()
        page.get_by_role("button", name="Go on").click()
        page.goto(room.url + "/sharing/feeds/new?kind=taxii")
        page.get_by_label("Name (needed)").fill("Another CERT")
        page.get_by_label("Address (needed)").fill("http://cert.example/taxii2/")
        page.get_by_label("Password or token").fill(SECRET)
        page.get_by_role("button", name="Add the feed").click()
        assert "Write https://" in page.locator("#address-error").inner_text()
        assert SECRET not in page.content()
        page.get_by_label("Address (needed)").fill("https://cert.example/taxii2/")
        page.get_by_role("button", name="Add the feed").click()
        assert "is read within a minute" in page.get_by_role("status").inner_text()
        page.locator("summary", has_text="More settings").click()
        page.get_by_label("Least confidence").fill("70")
        page.get_by_role("button", name="Save").click()
        assert page.get_by_label("Least confidence").input_value() == "70"
        page.get_by_role("button", name="Remove this feed").click()
        assert page.locator("tr", has_text="Another CERT").count() == 0
        trail = {each.action for each in room.run(room.made.audit_trail())}
        assert {"feed.create", "feed.change", "feed.remove"} <= trail
