"""Who is watching us now: what an analyst sees, decides and takes along, in a real browser.

Setup: a company with six spies of very different kinds (``console_activities``), their mail, and what was decided.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console_activities import (
    MERGED,
    activity_of_spy,
    furnish_spies,
    probes_of,
    spies,
    spying_mail,
    write_down,
)
from console_demo import month_of_mail
from console_window import Look, OpenConsole, browser_room, looking, open_console, sqlite_place
from control_room import NOW, actor
from mailveil.control.activities import activity
from mailveil.core.intelligence.types import AnalystVerdict
from mailveil.endpoints.web.console import watchdeeds
from mailveil.endpoints.web.console.watchdeeds import table_of
from mailveil.endpoints.web.console.watching import asked_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Debian's Chromium is driven")
LOUD, PORTAL, CROWD, TALENT, SCRIPTS, PARTNER = spies()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as found:
        yield found


@pytest.fixture(scope="module")
def spied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    with open_console(sqlite_place(tmp_path_factory.mktemp("spied"))) as room:
        room.observe([*month_of_mail(NOW, 40), *spying_mail(NOW)])
        room.run(furnish_spies(room.made))
        yield room


@pytest.fixture
def look(browser: Browser, spied: OpenConsole) -> Iterator[Look]:
    with looking(browser, spied, "analyst") as found:
        yield found
        assert found.elsewhere == []
        assert [each for each in found.complaints if "422" not in each] == []


def senders(look: Look) -> list[str]:
    return look.page.locator("table.activities tbody th a").all_inner_texts()


def audited(room: OpenConsole, action: str) -> list[str]:
    return [each.subject for each in room.run(room.made.audit_trail(action=action))]


# --- the list -----------------------------------------------------------------------------------------------------


def test_the_surest_stand_first_with_people_functions_and_what_was_decided(
    look: Look, spied: OpenConsole
) -> None:
    page = look.page
    page.goto(spied.url + "/watching")
    assert senders(look) == [LOUD.actor, CROWD.actor, SCRIPTS.actor, PORTAL.actor]
    row = page.locator("table.activities tbody tr").first.inner_text()
    for told in ("94%", "5 people", "2 high-value", "finance, IT and board", "13 probes", "acknowledged"):
        assert told in row
    assert "confirmed" in page.locator("tr", has_text=CROWD.actor).inner_text()
    assert "91 probes, 417 in all" in page.locator("tr", has_text=CROWD.actor).inner_text()
    assert page.locator(".side nav a").first.inner_text().strip() == "Watching", (
        "the page that is opened first"
    )


def test_alerts_of_the_last_days_stand_above_and_lead_to_activity_and_message(
    look: Look, spied: OpenConsole
) -> None:
    page = look.page
    page.goto(spied.url + "/watching")
    alerts = page.locator("section", has_text="Alerts of the last 7 days").locator("li")
    assert "writes to ben without a tracker" in alerts.first.inner_text()
    assert "first seen 7 Jan 2027" in alerts.first.inner_text()
    assert "aimed at ben@acme.example" in alerts.first.inner_text(), "who it is about is seen at once"
    alerts.first.get_by_role("link", name="the message").click()
    assert "/messages/" in page.url
    page.go_back()
    alerts.first.get_by_role("link", name="Look at it").click()
    assert page.url == f"{spied.url}/watching/{LOUD.identifier}"


def test_filters_are_in_the_address_and_hold_together(look: Look, spied: OpenConsole) -> None:
    page = look.page
    page.goto(spied.url + "/watching?state=all")
    assert len(senders(look)) == 6, "what was merged is not there twice"
    page.get_by_label("Person").fill("Farah@acme.example")
    page.get_by_role("button", name="Show").click()
    assert senders(look) == [TALENT.actor]
    page.goto(spied.url + "/watching?state=all&verdict=benign")
    assert senders(look) == [PARTNER.actor]
    page.goto(spied.url + f"/watching?state=all&actor={PORTAL.actor.upper()}")
    assert senders(look) == [PORTAL.actor]
    page.goto(spied.url + "/watching?state=all&period=7d&order=last")
    assert set(senders(look)) == {LOUD.actor, PORTAL.actor, CROWD.actor, SCRIPTS.actor}
    page.goto(spied.url + "/watching?actor=nobody.example")
    assert "Nothing fits" in page.inner_text("main")
    page.get_by_role("link", name="Take all filters away").click()
    assert senders(look)
    page.get_by_role("link", name="Quiet 1", exact=True).click()
    assert senders(look) == [TALENT.actor]
    page.get_by_role("link", name="Closed 1", exact=True).click()
    assert senders(look) == [PARTNER.actor]


def test_what_cannot_be_shown_is_told_in_sentences(browser: Browser, spied: OpenConsole) -> None:
    told = {
        "/watching/nowhere": ("Not found", "There is no such activity."),
        "/weekly?week=2099-W10": ("That cannot be shown", "The week 2099-W10 has not begun."),
    }
    with looking(browser, spied, "analyst") as look:
        for place, (title, words) in told.items():
            look.page.goto(spied.url + place)
            assert look.page.locator("h1").inner_text() == title
            assert look.page.locator("main p").first.inner_text() == words


def test_what_was_asked_for_and_is_none_of_the_choices_is_as_if_it_had_not_been() -> None:
    asked = asked_of({"state": "odd", "verdict": "odd", "period": "odd", "order": "odd", "person": " p "})
    assert (asked.state, asked.verdict, asked.period, asked.order, asked.person) == (
        "active",
        "",
        "",
        "score",
        "p",
    )
    assert asked.is_filtered
    assert asked.query(NOW).since == 0


def test_where_nobody_watches_it_is_said_what_would_stand_there_and_since_when_mail_is_observed(
    browser: Browser, tmp_path: Path
) -> None:
    with open_console(sqlite_place(tmp_path)) as room, looking(browser, room, "analyst") as look:
        look.page.goto(room.url + "/watching")
        assert "Nobody is watching, as far as can be told" in look.page.inner_text("main")
        assert "No mail has been observed yet." in look.page.inner_text("main")
        mail = [each for each in month_of_mail(NOW, 400) if each.at > NOW - 5.5 * 86_400]
        room.observe(mail)
        look.page.goto(room.url + "/watching")
        assert "Mail has been observed for 5 days." in look.page.inner_text("main")
        assert "every sender is new" in look.page.inner_text("main")


# --- one activity -------------------------------------------------------------------------------------------------


def test_the_page_says_in_plain_words_who_watches_whom_since_when_and_how_sure_that_is(
    look: Look, spied: OpenConsole
) -> None:
    page = look.page
    page.goto(f"{spied.url}/watching/{LOUD.identifier}")
    assert page.inner_text("h1") == "invoice-desk.example is watching 5 people"
    head = page.locator(".head").inner_text()
    for told in ("since 6 Jan 2027", "13 probes", "mailveil is 94% sure", "acknowledged by jana"):
        assert told in head
    text = page.inner_text("main")
    for told in (
        "Its tracker is of its own making",
        "+1.9",
        "−0.5",
        "The public address of the office",
        "T1598.003",
        "They built their tracking themselves.",
        "own:/{8}/{22}.gif?c={4}",
        "Called ben: he opened none of them.",
        "He forwarded one to accounting.",
    ):
        assert told in text
    page.goto(f"{spied.url}/watching/{PORTAL.identifier}")
    assert page.inner_text("h1") == "acme-portal.example is watching elif@acme.example"
    page.goto(f"{spied.url}/watching/{TALENT.identifier}")
    assert page.inner_text("h1") == "talent-research.example watched farah@acme.example"
    assert "portal 8842193" in page.inner_text("main")
    page.get_by_role("link", name="HubSpot").first.click()
    assert "/operators/HubSpot" in page.url


def test_a_technique_leads_to_where_it_is_explained_and_tells_nobody_where_from(
    look: Look, spied: OpenConsole
) -> None:
    look.page.goto(f"{spied.url}/watching/{LOUD.identifier}")
    link = look.page.get_by_role("link", name="T1590.005")
    assert link.get_attribute("href") == "https://attack.mitre.org/techniques/T1590/005/"
    assert link.get_attribute("rel") == "noreferrer noopener"


def test_drawings_say_in_words_and_in_tables_what_they_show(look: Look, spied: OpenConsole) -> None:
    page = look.page
    page.goto(f"{spied.url}/watching/{LOUD.identifier}")
    drawing = page.get_by_role("img", name="Probes by person")
    assert "13 probes of 5 people from 6 Jan 2027 to 15 Jan 2027" in (drawing.text_content() or "")
    assert drawing.locator("circle").count() == 13
    assert drawing.locator("path").count() == 2, "later messages are marked otherwise"
    page.locator("summary", has_text="As a table").click()
    rows = page.get_by_role("region", name="Probes one by one").locator("tbody tr")
    assert rows.count() == 15
    rows.first.get_by_role("link", name="Later message").click()
    assert "/messages/" in page.url
    page.go_back()
    network = page.get_by_role("img", name="What it was carried out with")
    assert network.locator("svg.node").count() == len(LOUD.behind) + 3
    page.locator("summary", has_text="As a list").click()
    listed = page.get_by_role("region", name="What it was carried out with, as a list").inner_text()
    for value in ("invoice-desk-billing.example", "mailbox-eu.example", "2001:db8:4:1::77"):
        assert value in listed


@pytest.mark.parametrize("width", [1280, 360])
def test_no_node_and_no_mark_covers_another_and_no_name_leaves_its_node(
    browser: Browser, spied: OpenConsole, width: int
) -> None:
    overlap = """(selector) => {
      const boxes = [...document.querySelectorAll(selector)].map((each) => each.getBoundingClientRect());
      let found = 0;
      boxes.forEach((one, place) => boxes.slice(place + 1).forEach((other) => {
        const across = one.left < other.right - 1 && other.left < one.right - 1;
        const down = one.top < other.bottom - 1 && other.top < one.bottom - 1;
        if (across && down) found += 1;
      }));
      return found;
    }"""
    with looking(browser, spied, width=width) as look:
        for spy in spies():
            look.page.goto(f"{spied.url}/watching/{spy.identifier}")
            assert look.page.locator("svg.node rect.ground").count() > 0
            assert look.page.evaluate(overlap, "svg.node rect.ground") == 0, spy.actor
            assert look.page.evaluate(overlap, ".lanes text.who") == 0, spy.actor
            labels = ".lanes text:not(.who):not(.minor)" if width < 500 else ".lanes text:not(.who)"
            assert look.page.evaluate(overlap, labels) == 0, spy.actor


def test_on_a_phone_every_value_stands_in_the_column_of_values_and_every_name_in_its_drawing(
    browser: Browser, spied: OpenConsole
) -> None:
    astray = """() => [...document.querySelectorAll('table.stack td[data-label]')].flatMap((cell) => {
      const values = cell.getBoundingClientRect().left + 100;
      return [...cell.children].filter((each) => {
        const box = each.getBoundingClientRect();
        const wide = each.matches('.tag') && getComputedStyle(each).justifySelf !== 'start';
        return box.width && (box.left < values || wide);
      }).map((each) => `${cell.dataset.label}: ${each.textContent}`);
    })"""
    leaving = """() => [...document.querySelectorAll('.lanes text.who')].filter((each) =>
      each.getBoundingClientRect().right > each.closest('.card').getBoundingClientRect().right - 8
    ).map((each) => each.textContent)"""
    places = ["/campaigns", "/people/marked", "/weekly?people=yes", "/watching?state=all", "/sharing"]
    with looking(browser, spied, width=390) as look:
        for place in [*places, *(f"/watching/{spy.identifier}" for spy in spies())]:
            look.page.goto(spied.url + place)
            assert look.page.evaluate(astray) == [], place
            assert look.page.evaluate(leaving) == [], place
            assert look.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


@pytest.mark.parametrize("width", [1280, 390])
def test_people_who_got_later_mail_are_named_and_nothing_of_them_is_cut(
    browser: Browser, spied: OpenConsole, width: int
) -> None:
    with looking(browser, spied, "analyst", width=width) as look:
        page = look.page
        page.goto(f"{spied.url}/watching/{LOUD.identifier}")
        row = page.locator("#people tbody tr", has_text="ben@acme.example")
        assert row.locator("td").all_inner_texts() == ["5", "2"]
        assert "finance, last" in row.inner_text()
        assert page.evaluate(
            "(() => { const box = document.querySelector('#people .scroll');"
            " return box.scrollWidth <= box.clientWidth; })()"
        )
        lede = page.locator("p.lede").inner_text()
        assert "Then 2 messages without a tracker, the last one" in lede


def test_two_hundred_probes_are_few_marks_and_the_latest_messages_are_paged(
    look: Look, spied: OpenConsole
) -> None:
    page = look.page
    page.goto(f"{spied.url}/watching/{CROWD.identifier}")
    assert page.locator(".lanes text.who").count() == 14
    assert "13 other people" in (page.locator(".lanes text.who").last.text_content() or "")
    assert "417 were counted" in (page.locator("main").text_content() or "")
    seen: list[str] = []
    while True:
        seen += page.locator(".lines .subject").evaluate_all("all => all.map(each => each.href)")
        following = page.get_by_role("link", name="Next page")
        if not following.count():
            break
        following.click()
    assert len(seen) <= 200
    assert len(seen) == len(set(seen))


def test_an_activity_that_became_part_of_another_leads_there(look: Look, spied: OpenConsole) -> None:
    look.page.goto(f"{spied.url}/watching/{MERGED}")
    assert look.page.url == f"{spied.url}/watching/{LOUD.identifier}"


def test_a_message_and_a_tracker_lead_back_to_the_activity(look: Look, spied: OpenConsole) -> None:
    from mailveil.control.records import Cut, TrackerQuery

    page = look.page
    page.goto(f"{spied.url}/messages/{probes_of(LOUD, NOW)[0].message}")
    banner = page.locator("p.belonging")
    assert banner.inner_text() == (
        "This message belongs to an activity: invoice-desk.example is watching 5 people (94% sure)."
    )
    banner.get_by_role("link").click()
    assert page.url == f"{spied.url}/watching/{LOUD.identifier}"
    query = TrackerQuery(text=LOUD.host)
    (tracker,) = spied.run(spied.room.observations.trackers("default", query, Cut(1))).items
    page.goto(f"{spied.url}/trackers/{tracker.identifier}")
    assert "This tracker belongs to an activity: invoice-desk.example" in page.inner_text("main")
    page.goto(f"{spied.url}/messages?q=briefing")
    page.locator(".lines .subject").first.click()
    assert page.locator("p.belonging").count() == 0


def test_the_overview_tells_whoever_may_know(browser: Browser, spied: OpenConsole) -> None:
    with looking(browser, spied, "analyst") as look:
        look.page.goto(spied.url + "/")
        assert LOUD.actor in look.page.locator(".watchers").inner_text()
    with looking(browser, spied, "viewer") as look:
        look.page.goto(spied.url + "/")
        assert look.page.locator(".watchers").count() == 0
        for path in ("/watching", f"/watching/{LOUD.identifier}", "/campaigns", "/people/marked"):
            answer = look.page.goto(spied.url + path)
            assert answer is not None
            assert answer.status == 403


# --- deeds ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[OpenConsole]:
    """The same spies, of whom nobody has decided anything yet."""
    with open_console(sqlite_place(tmp_path)) as room:
        room.observe(list(spying_mail(NOW)))
        room.run(write_down(room.made, [activity_of_spy(each, NOW) for each in spies()]))
        yield room


def test_an_activity_is_acknowledged_noted_confirmed_closed_and_opened_again(
    browser: Browser, fresh: OpenConsole
) -> None:
    with looking(browser, fresh, "analyst", script=False) as look:
        page = look.page
        page.goto(f"{fresh.url}/watching/{LOUD.identifier}")
        page.get_by_role("button", name="Acknowledge").click()
        assert "acknowledged by analyst-default" in page.locator(".head").inner_text()
        assert page.get_by_role("button", name="Acknowledge").count() == 0
        page.get_by_role("button", name="Add the note").click()
        assert "Say something" in page.locator("#text-error").inner_text()
        page.get_by_label("Add a note").fill("Asked <b>finance</b>\nto wait")
        page.get_by_role("button", name="Add the note").click()
        assert "Asked <b>finance</b>" in page.locator("#notes").inner_text()
        page.get_by_label("Reconnaissance").check()
        page.get_by_role("button", name="Save the verdict").click()
        assert "analyst-default confirmed that this is reconnaissance" in page.locator(".head").inner_text()
        page.get_by_role("button", name="Close it").click()
        assert "closed" in page.locator(".head .tags").inner_text()
        assert page.inner_text("h1").startswith("invoice-desk.example watched")
        page.get_by_role("button", name="Reopen it").click()
        assert "active" in page.locator(".head .tags").inner_text()
        for action in ("acknowledge", "note", "decide", "close", "reopen"):
            assert audited(fresh, f"activity.{action}") == [LOUD.identifier]


def test_what_is_dismissed_is_closed_stays_so_and_the_verdict_can_be_taken_back(
    browser: Browser, fresh: OpenConsole
) -> None:
    with looking(browser, fresh, "analyst") as look:
        page = look.page
        page.goto(f"{fresh.url}/watching/{PARTNER.identifier}")
        assert "weighs a little less from now on" in page.locator("#decide").inner_text()
        page.get_by_label("Harmless").check()
        page.get_by_role("button", name="Save the verdict").click()
        assert "scoring learns from it" in page.get_by_role("status").inner_text()
        assert "stays closed as long as" in page.locator("#decide").inner_text()
        page.get_by_label("Not decided yet").check()
        page.get_by_role("button", name="Save the verdict").click()
        assert "active" in page.locator(".head .tags").inner_text()
    file = fresh.run(fresh.room.activities.activity("default", PARTNER.identifier))
    assert file is not None
    assert file.verdict is AnalystVerdict.OPEN


def test_only_who_may_change_the_policy_blocks_and_the_rules_stand_in_it(
    browser: Browser, fresh: OpenConsole
) -> None:
    with looking(browser, fresh, "analyst") as look:
        look.page.goto(f"{fresh.url}/watching/{LOUD.identifier}")
        assert look.page.get_by_role("button", name="Block it").count() == 0
    with looking(browser, fresh) as look:
        page = look.page
        page.goto(f"{fresh.url}/watching/{LOUD.identifier}")
        assert "The mail itself is still delivered" in page.locator("#decide").inner_text()
        page.get_by_role("button", name="Block it").click()
        page.wait_for_url(f"**/watching/{LOUD.identifier}#block")
        assert "blocks 2 domains that it sends from" in page.get_by_role("status").inner_text()
        assert page.get_by_role("heading", name="It is blocked").count() == 1
        assert page.get_by_role("button", name="Block it again").count() == 1
        page.locator("#block").get_by_role("link").first.click()
        assert "invoice-desk-billing.example" in page.locator("main").inner_html()
    with looking(browser, fresh, "analyst") as look:
        look.page.goto(f"{fresh.url}/watching/{LOUD.identifier}")
        assert look.page.get_by_role("heading", name="It is blocked").count() == 1
        assert look.page.get_by_role("button", name="Block it again").count() == 0


def test_what_serves_everybody_is_not_blocked_and_that_is_told_at_the_button(
    browser: Browser, fresh: OpenConsole
) -> None:
    shared = activity_of_spy(TALENT, NOW)
    pieces = tuple(replace(each, shared=True) for each in shared.infrastructure)
    fresh.run(write_down(fresh.made, [replace(shared, infrastructure=pieces)]))
    with looking(browser, fresh) as look:
        look.page.goto(f"{fresh.url}/watching/{TALENT.identifier}")
        look.page.get_by_role("button", name="Block it").click()
        assert "serves others, too" in look.page.locator("#block-error").inner_text()


# --- files ----------------------------------------------------------------------------------------------------------


def test_it_is_taken_along_as_json_csv_and_stix_and_that_stands_in_the_audit_trail(
    look: Look, spied: OpenConsole
) -> None:
    look.page.goto(f"{spied.url}/watching/{LOUD.identifier}")
    files: dict[str, Any] = {}
    for name in ("JSON", "CSV of the probes", "STIX 2.1"):
        href = look.page.get_by_role("link", name=name).get_attribute("href")
        files[name] = look.page.context.request.get(f"{spied.url}{href}")
        assert files[name].status == 200
        assert files[name].headers["content-disposition"].startswith('attachment; filename="activity-')
        assert files[name].headers["x-content-type-options"] == "nosniff"
    record = json.loads(files["JSON"].text())
    assert record["activity"]["actor"] == LOUD.actor
    assert record["notes"][0]["by"] == "jana"
    rows = list(csv.DictReader(io.StringIO(files["CSV of the probes"].text().removeprefix("\ufeff"))))
    assert len(rows) == 15
    assert (rows[0]["kind"], rows[0]["person"], rows[0]["high_value"]) == (
        "later message",
        "ben@acme.example",
        "yes",
    )
    bundle = json.loads(files["STIX 2.1"].text())
    assert bundle["type"] == "bundle"
    assert "@acme.example" not in files["STIX 2.1"].text(), "nobody is named to others"
    assert LOUD.identifier in audited(spied, "activity.export")


def test_no_cell_of_the_table_is_calculated() -> None:
    made = activity_of_spy(LOUD, NOW)
    evil = tuple(
        replace(each, person="=cmd|' /C calc'!A0", host="@SUM(1)", template="-1+1", kinds=("+1",))
        for each in made.probes
    )
    rows = list(csv.reader(io.StringIO(table_of(replace(made, probes=evil)).decode("utf-8-sig"))))
    assert all(cell[:1] not in ("=", "@", "+", "-") for row in rows for cell in row)
    assert "cmd" in rows[2][2]


# --- campaigns, marked people -----------------------------------------------------------------------------------------


def test_campaigns_say_what_they_are_and_why(look: Look, spied: OpenConsole) -> None:
    page = look.page
    page.goto(spied.url + "/campaigns")
    assert page.locator("tbody tr").count() == 4
    row = page.locator("tr", has_text="gardenshop.example")
    for told in ("mailing", "Mailchimp", "bought", "214", "Your spring garden starts here"):
        assert told in row.inner_text()
    row.locator("summary").click()
    assert "header fields of a mailing list" in row.inner_text()
    page.get_by_role("link", name="Targeted", exact=True).click()
    assert page.locator("tbody tr").count() == 1
    page.goto(spied.url + "/campaigns?sender=Partner-logistics.example")
    assert "letters" in page.locator("tbody tr").inner_text()


def test_whoever_decides_from_an_old_page_is_told_what_a_colleague_decided(
    browser: Browser, fresh: OpenConsole
) -> None:
    with looking(browser, fresh, "analyst") as mine, looking(browser, fresh, "administrator") as other:
        for page in (mine.page, other.page):
            page.goto(f"{fresh.url}/watching/{PORTAL.identifier}")
        other.page.get_by_label("Reconnaissance").check()
        other.page.get_by_role("button", name="Save the verdict").click()
        mine.page.get_by_label("Harmless").check()
        mine.page.get_by_role("button", name="Save the verdict").click()
        told = mine.page.locator("#verdict-error").inner_text()
        assert told == (
            "administrator-default has decided meanwhile: confirmed. If you see it otherwise, save yours again."
        )
        dossier = fresh.run(activity(fresh.room, actor("analyst"), PORTAL.identifier))
        assert dossier.file.verdict is AnalystVerdict.CONFIRMED
        mine.page.get_by_label("Harmless").check()
        mine.page.get_by_role("button", name="Save the verdict").click()
        assert "Found harmless" in mine.page.inner_text("main")


def test_whoever_acknowledges_what_a_colleague_has_is_told_so(browser: Browser, fresh: OpenConsole) -> None:
    with looking(browser, fresh, "analyst") as mine, looking(browser, fresh, "administrator") as other:
        for page in (mine.page, other.page):
            page.goto(f"{fresh.url}/watching/{PORTAL.identifier}")
        other.page.get_by_role("button", name="Acknowledge").click()
        mine.page.get_by_role("button", name="Acknowledge").click()
        told = mine.page.locator("main, [role=status]").all_inner_texts()
        assert any("administrator-default was first: it is acknowledged already." in each for each in told)


def test_of_two_verdicts_at_the_same_instant_the_later_one_is_told(
    browser: Browser, fresh: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = watchdeeds.decide_activity

    async def overtaken(room: Any, who: Any, identifier: str, verdict: Any, **more: Any) -> Any:
        await decide(room, actor("analyst", name="jana"), identifier, AnalystVerdict.CONFIRMED)
        return await decide(room, who, identifier, verdict, **more)

    monkeypatch.setattr(watchdeeds, "decide_activity", overtaken)
    with looking(browser, fresh, "analyst") as mine:
        mine.page.goto(f"{fresh.url}/watching/{SCRIPTS.identifier}")
        mine.page.get_by_label("Harmless").check()
        mine.page.get_by_role("button", name="Save the verdict").click()
        told = mine.page.locator("#verdict-error").inner_text()
        assert told.startswith("jana has decided meanwhile: confirmed.")


def test_what_is_closed_by_itself_is_not_offered_to_be_opened(browser: Browser, fresh: OpenConsole) -> None:
    with looking(browser, fresh, "analyst") as look:
        page = look.page
        page.goto(f"{fresh.url}/watching/{PORTAL.identifier}")
        page.get_by_role("button", name="Close it").click()
        assert page.get_by_role("button", name="Reopen it").count() == 1
        fresh.made.clock.advance(9 * 86_400)
        fresh.run(write_down(fresh.made, [replace(activity_of_spy(PORTAL, NOW), last_at=NOW - 100 * 86_400)]))
        page.goto(f"{fresh.url}/watching/{PORTAL.identifier}")
        assert "It closed by itself" in page.locator("#decide").inner_text()
        assert page.get_by_role("button", name="Reopen it").count() == 0


def test_while_mail_waits_to_be_studied_nobody_is_told_that_nobody_watches(
    browser: Browser, tmp_path: Path
) -> None:
    with open_console(sqlite_place(tmp_path)) as room, looking(browser, room, "analyst") as look:
        room.observe([*month_of_mail(NOW, 30)])
        look.page.goto(room.url + "/watching")
        told = look.page.inner_text("main")
        assert "wait to be studied" in told
        assert "What came is still being studied" in told
        assert "Nobody is watching" not in told


def test_a_vendor_that_is_no_longer_kept_is_told_without_a_way_that_leads_nowhere(
    browser: Browser, tmp_path: Path
) -> None:
    with open_console(sqlite_place(tmp_path)) as room, looking(browser, room, "analyst") as look:
        unknown = replace(TALENT, operator="Nobody <b>knows", actor="odd.example")
        found = [activity_of_spy(each, NOW) for each in (TALENT, unknown)]
        room.run(write_down(room.made, found))
        page = look.page
        page.goto(f"{room.url}/watching/{unknown.identifier}")
        assert "Nobody <b>knows" in page.inner_text("main")
        assert page.get_by_role("link", name="Nobody").count() == 0
        page.goto(f"{room.url}/watching/{TALENT.identifier}")
        page.get_by_role("link", name="HubSpot", exact=True).click()
        assert "By what it is known" in page.inner_text("main"), "the catalogue knows it all the same"


def test_people_are_marked_and_no_more(look: Look, spied: OpenConsole) -> None:
    page = look.page
    page.goto(spied.url + "/people/marked")
    assert page.locator("tbody tr").count() == 6
    assert "★ high" in page.locator("tbody tr").first.inner_text()
    page.get_by_label("Mail address").fill("Georg@Acme.example")
    page.get_by_label("Function").fill("Legal")
    page.get_by_label("Of high value").check()
    page.get_by_role("button", name="Mark this person").click()
    row = page.locator("tr", has_text="georg@acme.example")
    assert "Legal" in row.inner_text()
    assert "★ high" in row.inner_text()
    row.get_by_role("button", name="Remove the mark of georg@acme.example").click()
    assert page.locator("tr", has_text="georg@acme.example").count() == 0
    page.get_by_label("Mail address").fill("not one")
    page.get_by_label("Function").fill("kept")
    page.get_by_role("button", name="Mark this person").click()
    assert page.locator("#person-error").inner_text() == "It is no address, such as ann@example.org."
    assert page.get_by_label("Function").input_value() == "kept"
