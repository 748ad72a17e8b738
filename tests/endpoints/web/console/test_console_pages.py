"""Every page in a real Chromium: nothing outside is asked, nothing is refused, everybody can use it, and it fits."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console_activities import furnish_feeds, furnish_sharing, furnish_spies, spies
from console_demo import demo_health, furnish, month_of_mail, odd_mail, prepare
from console_window import OpenConsole, browser_room, looking, open_console, sqlite_place
from control_room import NOW
from mailveil.core.intelligence.types import InfrastructureFacts

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Debian's Chromium is driven")
AUDIT = (Path(__file__).parent / "accessibility.js").read_text("utf-8")
WIDE = """[...document.querySelectorAll("main *")]
  .filter((each) => each.getBoundingClientRect().right > window.innerWidth)
  .map((each) => each.outerHTML.slice(0, 90)).slice(0, 6)"""
CSS = Path(__file__).parents[4] / "src/mailveil/endpoints/web/assets/console.css"
LARGE = 260


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as found:
        yield found


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    """A console with mail, odd mail among it."""
    place = sqlite_place(tmp_path_factory.mktemp("full"))
    with open_console(place, health=demo_health, alarms=lambda: ["a made-up alarm"], **prepare()) as room:
        room.observe([*month_of_mail(NOW, LARGE), *odd_mail(NOW)])
        room.run(furnish_spies(room.made))
        room.run(furnish(room.made))
        room.run(furnish_sharing(room.made))
        room.run(furnish_feeds(room.made))
        yield room


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    """A console that nothing has come to yet."""
    with open_console(sqlite_place(tmp_path_factory.mktemp("bare"))) as room:
        yield room


def pages_of(room: OpenConsole) -> list[str]:
    """Return every page that an administrator can open, filled in with what there is."""
    from mailveil.control.records import Cut, MessageQuery, TrackerQuery

    stores = room.room.observations
    messages = room.run(stores.messages("default", MessageQuery(), Cut(1))).items
    odd = room.run(stores.messages("default", MessageQuery(text="odd"), Cut(50))).items
    trackers = room.run(stores.trackers("default", TrackerQuery(), Cut(1))).items
    operators = room.run(stores.operators("default", 0, Cut(1))).items
    allowed = room.run(room.room.policies.allowed("default", Cut(1))).items
    reports = room.run(room.room.feedback.reports("default", Cut(1))).items
    assert room.room.sharing is not None
    destinations = room.run(room.room.sharing.destinations("default"))
    assert room.room.feeds is not None
    feeds = room.run(room.room.feeds.feeds("default"))
    known: dict[tuple[str, str], list[str]] = {
        ("/sharing/feeds/{identifier}", "identifier"): [each.identifier for each in feeds],
        ("/watching/{identifier}", "identifier"): [each.identifier for each in spies()] if allowed else [],
        ("/sharing/destinations/{identifier}", "identifier"): [each.identifier for each in destinations],
        ("/messages/{identifier}", "identifier"): [each.identifier for each in (*messages, *odd)],
        ("/trackers/{identifier}", "identifier"): [each.identifier for each in trackers],
        ("/allow/{identifier}", "identifier"): [each.identifier for each in allowed],
        ("/reports/{identifier}", "identifier"): [each.identifier for each in reports],
        ("/policy/rules/{identifier}", "identifier"): ["board"] if allowed else [],
        ("/operators/{name:path}", "name"): [each.name.replace(" ", "%20") for each in operators],
    }
    found = ["/?period=24h", "/?period=30d", "/messages?only=trackers&risk=high", "/trackers?order=people"]
    found += [
        f"/policy/explain?message={each.identifier}&reference=0" for each in odd if each.total_references
    ]
    found.append("/policy/explain?sender=news%40gardenshop.example&proven=yes&host=a.example&kind=open")
    found += [f"/sharing/destinations/new?kind={each}" for each in ("syslog", "misp", "webhook")]
    found.append("/sharing/feeds/new?kind=taxii")
    for page in room.console.pages:
        if page.method != "GET" or page.path in DOWNLOADS:
            continue
        name = re.search(r"\{(\w+)", page.path)
        if name is None:
            found.append(page.path)
        else:
            found += [re.sub(r"\{[^}]*\}", each, page.path) for each in known.get((page.path, name[1]), [])]
    return found


DOWNLOADS = ("/policy/export", "/weekly/file")
SEEN_BY_NOBODY_SIGNED_IN = ("/sign-in", "/link", "/oidc", "/report")


@pytest.mark.parametrize("kind", ["full", "bare"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_page_is_whole_by_itself_usable_by_everybody_and_fits_its_window(
    request: pytest.FixtureRequest, browser: Browser, kind: str, width: int, scheme: str
) -> None:
    room: OpenConsole = request.getfixturevalue(kind)
    with looking(browser, room, home="*", width=width, height=800, scheme=scheme) as look:
        paths = [each for each in pages_of(room) if not each.startswith(SEEN_BY_NOBODY_SIGNED_IN)]
        assert len(paths) >= 8
        for path in paths:
            answer = look.page.goto(room.url + path)
            assert answer is not None
            assert answer.status == 200, path
            for each in look.page.locator("details").all():
                each.evaluate("each => { each.open = true; }")
            assert look.page.evaluate(AUDIT) == [], path
            overflow = look.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            wide = look.page.evaluate(WIDE) if overflow > 0 else ""
            assert overflow <= 0, f"{path} is {overflow} pixels too wide at {width}: {wide}"
        assert look.elsewhere == []
        assert look.complaints == []


def test_what_needs_somebody_reads_as_a_sentence(browser: Browser, full: OpenConsole) -> None:
    with looking(browser, full, home="*") as look:
        look.page.goto(full.url + "/")
        told = look.page.locator(".attention").inner_text()
        assert "Block lists are 47 days old" in told
        assert "Exit socks5://10.8.0.4:1080 refuses connections" in told
        look.page.goto(full.url + "/policy")
        assert "found to be a tracker" in look.page.locator("main").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_way_in_stands_right_under_the_name(browser: Browser, bare: OpenConsole, width: int) -> None:
    with looking(browser, bare, "", width=width) as look:
        look.page.goto(bare.url + "/sign-in")
        left = "what => document.querySelector(what).getBoundingClientRect().left"
        assert look.page.evaluate(left, ".brand svg") == pytest.approx(
            look.page.evaluate(left, ".card"), abs=2
        )


def test_everything_works_without_script(browser: Browser, full: OpenConsole) -> None:
    with looking(browser, full, script=False) as look:
        look.page.goto(full.url + "/messages")
        look.page.get_by_label("Words in subject or sender").fill("briefing")
        look.page.get_by_role("button", name="Search").click()
        assert "q=briefing" in look.page.url
        assert look.page.locator(".lines > li").count() > 0
        assert look.page.locator(".lines .from", has_text="dailyherald").count() > 0
        look.page.locator(".lines .subject").first.click()
        assert "/messages/" in look.page.url
        look.page.get_by_role("button", name="Dark").click()
        assert look.page.locator("html").get_attribute("data-theme") == "dark"
        assert look.is_clean


def test_a_list_goes_on_from_page_to_page_and_never_shows_a_message_twice(
    browser: Browser, full: OpenConsole
) -> None:
    seen: list[str] = []
    with looking(browser, full) as look:
        look.page.goto(full.url + "/messages")
        while True:
            seen += look.page.locator(".lines .subject").evaluate_all("all => all.map(each => each.href)")
            following = look.page.get_by_role("link", name="Next page")
            if not following.count():
                break
            following.click()
    assert len(seen) == len(set(seen)) == LARGE + len(list(odd_mail(NOW)))


def test_the_way_of_the_keyboard_begins_with_the_content_and_always_shows_where_it_is(
    browser: Browser, full: OpenConsole
) -> None:
    with looking(browser, full) as look:
        look.page.goto(full.url + "/")
        look.page.keyboard.press("Tab")
        assert look.page.evaluate("document.activeElement.className") == "skip"
        for _ in range(12):
            look.page.keyboard.press("Tab")
            style = look.page.evaluate(
                "(() => { const s = getComputedStyle(document.activeElement);"
                " return [s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
            )
            assert style[0] != "none"
            assert style[1] >= 2


def test_the_menu_of_a_phone_opens_and_closes_without_script(browser: Browser, full: OpenConsole) -> None:
    with looking(browser, full, width=360, height=700, script=False) as look:
        look.page.goto(full.url + "/")
        link = look.page.get_by_role("link", name="Trackers", exact=True)
        assert not link.is_visible()
        look.page.get_by_role("button", name="Menu").click()
        link.click()
        assert look.page.url.endswith("/trackers")
        assert not link.is_visible()


def test_what_stands_in_mail_is_shown_and_does_nothing(browser: Browser, full: OpenConsole) -> None:
    from mailveil.control.records import Cut, MessageQuery

    lines = full.run(full.room.observations.messages("default", MessageQuery(text="odd"), Cut(50))).items
    with looking(browser, full) as look:
        for line in lines:
            look.page.goto(f"{full.url}/messages/{line.identifier}")
            assert look.page.locator("main script, main img, main iframe[srcdoc]").count() == 0
            hrefs = look.page.locator("main a").evaluate_all("all => all.map(each => each.href)")
            assert all(each.startswith(full.url) for each in hrefs)
        page = look.page.goto(full.url + "/messages?q=odd")
        assert page is not None
        text = look.page.locator("main").inner_text()
        assert "U+202E" in text
        assert "<script>alert(1)</script>" in text
        assert look.is_clean


def test_the_story_of_a_fetch_is_told_hop_by_hop_and_no_value_of_a_cookie(
    browser: Browser, full: OpenConsole
) -> None:
    from mailveil.control.records import Cut, MessageQuery

    (line,) = full.run(
        full.room.observations.messages("default", MessageQuery(text="briefing"), Cut(1))
    ).items
    with looking(browser, full) as look:
        look.page.goto(f"{full.url}/messages/{line.identifier}")
        story = look.page.locator("details.story").first
        story.locator("summary").click()
        text = story.inner_text()
        for told in (
            "302 Found",
            "sync.adpartner.example",
            "198.51.100.20:443",
            "tuuid",
            "730 days",
            "HTTP/2",
            "Fetched",
        ):
            assert told in text
        assert "5a1e" not in look.page.content()


class TestViewers:
    """Viewers see figures, and neither people nor subjects."""

    def test_they_see_figures_and_trackers(self, browser: Browser, full: OpenConsole) -> None:
        with looking(browser, full, "viewer") as look:
            for path in ("/", "/trackers", "/operators"):
                answer = look.page.goto(full.url + path)
                assert answer is not None
                assert answer.status == 200
                text = look.page.content()
                assert "@acme.example" not in text
                assert "briefing" not in text.lower()
                assert look.page.locator(".side a[href='/messages']").count() == 0

    def test_they_are_refused_messages_in_the_same_design(self, browser: Browser, full: OpenConsole) -> None:
        with looking(browser, full, "viewer") as look:
            answer = look.page.goto(full.url + "/messages")
            assert answer is not None
            assert answer.status == 403
            assert look.page.locator(".side").count() == 1
            assert look.page.evaluate(AUDIT) == []


@pytest.mark.parametrize(
    "path", ["/nothing-here", "/messages/ffff", "/trackers/ffff", "/operators/Nobody%2FKnows"]
)
def test_what_is_not_there_is_told_in_the_same_design(browser: Browser, full: OpenConsole, path: str) -> None:
    with looking(browser, full) as look:
        answer = look.page.goto(full.url + path)
        assert answer is not None
        assert answer.status == 404
        assert look.page.locator(".side").count() == 1
        assert look.page.evaluate(AUDIT) == []
        assert look.elsewhere == []


def test_stores_that_do_not_answer_leave_the_rest_of_a_message_standing(
    browser: Browser, tmp_path: Path
) -> None:
    from mailveil.ports import UnavailableError

    class Away:
        async def evidence_of(self, url: str) -> list[Any]:
            raise UnavailableError("locked")

        async def describe(self, tokens: list[str]) -> list[Any]:
            raise UnavailableError("locked")

    with open_console(sqlite_place(tmp_path), fetches=Away(), copies=Away()) as room:
        mail = [each for each in month_of_mail(NOW, 40) if each.total_trackers][:1]
        room.observe(mail)
        with looking(browser, room) as look:
            answer = look.page.goto(f"{room.url}/messages/{mail[0].identifier}")
            assert answer is not None
            assert answer.status == 200
            assert look.page.get_by_text("What fetches showed cannot be told now").count() == 1
            assert look.page.get_by_text("What became of the copies cannot be told now").count() == 1


def test_a_database_that_is_away_is_told_and_so_is_that_mail_flows(browser: Browser, tmp_path: Path) -> None:
    place = sqlite_place(tmp_path)
    with open_console(place) as room:
        assert room.secret_of("administrator")
        Path(place.address.removeprefix("sqlite:///")).write_bytes(b"no database any more" * 500)
        with looking(browser, room) as look:
            answer = look.page.goto(room.url + "/")
            assert answer is not None
            assert answer.status == 503
            assert "Mail flows" in look.page.inner_text("body")
            assert look.page.evaluate(AUDIT) == []


# --- colours --------------------------------------------------------------------------------------------------


def palette(scheme: int) -> dict[str, str]:
    """Return the colours of the style sheet: ``scheme`` is 0 for light and 1 for dark."""
    found = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS.read_text("utf-8"))
    return {name: (light, dark)[scheme] for name, light, dark in found}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


LETTERS = [
    *((ink, ground) for ink in ("ink", "soft", "accent", "alarm", "note") for ground in ("paper", "card", "raised")),
    *((tone, f"{tone}-soft") for tone in ("accent", "alarm", "note", "good", "second")),
    ("on-accent", "accent"),
    ("side-ink", "side"), ("side-soft", "side"), ("side-ink", "side-here"), ("side-mark", "side"),
]  # fmt: skip
SHAPES = [
    *((bar, "card") for bar in ("bar-alarm", "bar-accent", "bar-note", "bar-second", "bar-quiet")),
    ("edge", "card"), ("edge", "paper"), ("accent", "card"),
]  # fmt: skip


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_letters_and_shapes_stand_out_from_every_ground_that_they_stand_on(scheme: int) -> None:
    colours = palette(scheme)
    weak = [
        f"{ink} on {ground}: {contrast(colours[ink], colours[ground]):.2f}"
        for pairs, least in ((LETTERS, 4.5), (SHAPES, 3.0))
        for ink, ground in pairs
        if contrast(colours[ink], colours[ground]) < least
    ]
    assert weak == []


def test_no_colour_stands_outside_the_palette() -> None:
    text = re.sub(r"/\*.*?\*/", "", CSS.read_text("utf-8"), flags=re.DOTALL)
    rest = text[text.index("}") :]
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", rest)) <= {"#ffffff", "#06211f"}


def test_a_tracker_tells_what_lies_behind_it_and_what_else_does(browser: Browser, tmp_path: Path) -> None:
    hosts = ("px.spy.example", "px.other.example")
    with open_console(sqlite_place(tmp_path)) as room:
        mail = next(each for each in month_of_mail(NOW, 40) if each.total_trackers)
        reference = replace(mail.references[0], finding="tracker", operator="", domain="spy.example")
        own = [
            replace(reference, host=each, template=f"https://{each}/open/track.gif?user=*") for each in hosts
        ]
        room.observe([replace(mail, references=tuple(own), total_trackers=2)])
        facts = InfrastructureFacts("", ("edge.hosting.example",), ("ns1.<b>spy</b>.example",), (), "ab" * 32)
        both = {each: replace(facts, host=each) for each in hosts}
        assert room.run(room.room.infrastructure.found("default", both, mail.at)) == 2
        with looking(browser, room, "viewer") as look:
            look.page.goto(f"{room.url}/trackers")
            with look.page.expect_navigation():
                look.page.get_by_role("link", name=hosts[0]).first.click()
            text = look.page.locator("main").inner_text()
            assert "Whose it is, and what lies behind it" in text
            assert "built by whoever uses it" in text
            assert "ns1.<b>spy</b>.example" in text
            assert "ab" * 32 in text
            assert "px.other.example" in text
            assert "Addresses made in the same way: px.other.example" in text
            assert look.page.evaluate(AUDIT) == []
