"""What people do on the pages: policy, allow-list, reports and originals, each with its trail and its mistakes told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from console_demo import furnish, month_of_mail
from console_window import Look, OpenConsole, browser_room, looking, open_console, sqlite_place
from control_room import NOW

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RAW = (
    b"From: news@shop.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n"
    b'<h1>Hello</h1><script>document.title = "taken"</script>'
    b'<img src="https://t.shop.example/open/8f3a9c07d51e8b22.gif" width=1 height=1>\r\n'
    b'<img src="https://shop.example/hat.png" width=300 height=200><style>h1{color:red}</style>'
    b'<form action="https://shop.example/steal"><button>Press</button></form>\r\n'
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as found:
        yield found


@pytest.fixture(scope="module")
def open_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    from mailveil.adapters.originals import OriginalFacts, OriginalReader, OriginalStore
    from mailveil.adapters.workers import WorkerPool
    from mailveil.core.copyaddress import CopyAddresses
    from mailveil.core.protection import CopyMode, EngineSettings

    folder = tmp_path_factory.mktemp("deeds")
    originals = OriginalStore(folder / "originals", b"o" * 32, max_age_days=30)
    settings = EngineSettings(
        mode=CopyMode.HOSTED, addresses=CopyAddresses("http://copies.example:8081", b"k" * 32)
    )
    with (
        WorkerPool(settings, processes=1) as engine,
        open_console(sqlite_place(folder), engine=engine, originals=OriginalReader(originals)) as room,
    ):
        mail = list(month_of_mail(NOW, 60))
        mail[-1] = replace(mail[-1], original=originals.keep(RAW, OriginalFacts()), subject="the kept one")
        room.observe(mail)
        room.run(furnish(room.made))
        yield room


@pytest.fixture
def look(browser: Browser, open_room: OpenConsole) -> Iterator[Look]:
    with looking(browser, open_room) as found:
        yield found
        assert found.elsewhere == []
        assert [each for each in found.complaints if "422" not in each and "409" not in each] == []


def actions(room: OpenConsole, action: str) -> list[str]:
    return [each.subject for each in room.run(room.made.audit_trail(action=action))]


class TestPolicy:
    def test_a_rule_is_added_switched_off_moved_and_removed_each_as_a_version(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        before = len(actions(open_room, "policy.change"))
        page.goto(open_room.url + "/policy/rules/new")
        page.get_by_label("Identifier").fill("quiet-partner")
        page.get_by_label("Name", exact=True).fill("Pictures of a partner")
        page.get_by_label("Hosts").fill("cdn.partner.example\n.img.partner.example")
        page.get_by_label("References", exact=True).select_option("blank")
        page.get_by_role("button", name="Add the rule").click()
        assert page.get_by_role("status").inner_text() == "Rule quiet-partner added."
        row = page.locator("#rule-quiet-partner")
        assert "cdn.partner.example or .img.partner.example" in row.inner_text()
        row.get_by_role("button", name="Switch off").click()
        assert "switched off" in page.locator("#rule-quiet-partner").inner_text()
        page.get_by_role("button", name="Move up: quiet-partner").click()
        rules = page.locator("tbody tr[id]").evaluate_all("all => all.map(each => each.id)")
        assert rules.index("rule-quiet-partner") == len(rules) - 2
        page.get_by_role("link", name="Pictures of a partner").first.click()
        page.get_by_role("button", name="Remove the rule").click()
        assert page.locator("#rule-quiet-partner").count() == 0
        assert len(actions(open_room, "policy.change")) == before + 4

    def test_what_is_wrong_is_told_at_its_field_and_nothing_that_was_typed_is_lost(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        page.goto(open_room.url + "/policy/rules/new")
        page.get_by_label("Identifier").fill("Not Good")
        page.get_by_label("Hosts").fill("https://cdn.example.org/picture")
        page.get_by_label("opening").check()
        page.get_by_label("References", exact=True).select_option("keep")
        page.get_by_role("button", name="Add the rule").click()
        assert page.locator("#hosts-error").count() == 1
        assert page.locator("#id-error").count() == 1
        assert page.get_by_label("Hosts").get_attribute("aria-invalid") == "true"
        assert page.get_by_label("Hosts").input_value() == "https://cdn.example.org/picture"
        assert page.get_by_label("opening").is_checked()

    def test_a_level_is_chosen_and_an_earlier_version_restored(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        page.goto(open_room.url + "/policy")
        page.get_by_label("Strict").check()
        page.get_by_role("button", name="Choose this level").click()
        assert page.get_by_label("Strict").is_checked()
        page.goto(open_room.url + "/policy/history")
        assert "level: normal becomes strict" in page.locator(".past").first.inner_text()
        page.get_by_role("button", name="Restore version").first.click()
        assert page.get_by_label("Normal").is_checked()

    def test_the_document_is_checked_before_it_is_applied(self, look: Look, open_room: OpenConsole) -> None:
        page = look.page
        page.goto(open_room.url + "/policy/document")
        good = page.get_by_label("The policy, as TOML or JSON").input_value()
        page.get_by_label("The policy, as TOML or JSON").fill(good + '\n[[rules]]\nid = "x"\n')
        page.get_by_role("button", name="Only check it").click()
        assert "then: is missing" in page.get_by_role("alert").inner_text()
        page.get_by_label("The policy, as TOML or JSON").fill(good.replace('"normal"', '"strict"', 1))
        page.get_by_role("button", name="Only check it").click()
        assert "level: normal becomes strict" in page.locator("main").inner_text()
        page.goto(open_room.url + "/policy")
        assert page.get_by_label("Normal").is_checked()

    def test_two_who_change_at_once_do_not_overwrite_each_other(
        self, browser: Browser, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        page.goto(open_room.url + "/policy")
        with looking(browser, open_room) as other:
            other.page.goto(open_room.url + "/policy")
            other.page.get_by_label("Gentle").check()
            other.page.get_by_role("button", name="Choose this level").click()
        page.get_by_label("Strict").check()
        page.get_by_role("button", name="Choose this level").click()
        assert "changed meanwhile" in page.get_by_role("alert").inner_text()
        assert page.get_by_label("Gentle").is_checked()

    def test_a_level_is_tried_on_the_last_days_and_changes_nothing(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        before = len(actions(open_room, "policy.change"))
        page.goto(open_room.url + "/policy/try")
        page.get_by_label("Over").select_option("30")
        page.get_by_label("With the level").select_option("strict")
        page.get_by_role("button", name="Try it").click()
        table = page.locator("table").first.inner_text()
        assert "placeholder" in table
        assert "level:strict" in table
        assert page.get_by_role("heading", name="Examples").count() == 1
        assert len(actions(open_room, "policy.change")) == before

    def test_why_names_the_rule(self, look: Look, open_room: OpenConsole) -> None:
        page = look.page
        page.goto(open_room.url + "/messages?only=trackers")
        page.locator(".lines .subject").first.click()
        page.get_by_role("link", name="Why?").first.click()
        assert "At that time" in page.locator("main").inner_text()
        assert "the level normal held" in page.locator("main").inner_text()


class TestAllowList:
    def test_a_partner_is_added_from_a_message_extended_and_revoked(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        page.goto(open_room.url + "/messages?sender=city-library.example")
        page.locator(".lines .subject").first.click()
        page.get_by_role("link", name="Allow this sender").click()
        assert page.get_by_label("Partner").input_value() == "city-library.example"
        page.get_by_label("Why").fill("Loans show covers of books")
        page.get_by_label("Last day").fill("2027-06-30")
        page.get_by_role("button", name="Add the partner").click()
        row = page.locator("tr", has_text="city-library.example")
        assert "30 Jun 2027" in row.inner_text() or "1 Jul 2027" in row.inner_text()
        row.get_by_role("link").click()
        page.get_by_label("Last day").fill("2020-01-01")
        page.get_by_role("button", name="Extend it").click()
        assert "would have expired already" in page.locator("#expires_at-error").inner_text()
        page.get_by_label("Last day").fill("2028-06-30")
        page.get_by_role("button", name="Extend it").click()
        page.locator("tr", has_text="city-library.example").get_by_role("link").click()
        page.get_by_role("button", name="Revoke it").click()
        assert page.locator("tr", has_text="city-library.example").count() == 0
        page.get_by_role("link", name="All, with those that ended").click()
        assert "revoked" in page.locator("tr", has_text="city-library.example").inner_text()
        for action in ("allow.add", "allow.extend", "allow.revoke"):
            assert actions(open_room, action)

    def test_a_domain_below_which_anybody_can_register_is_refused_at_its_field(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        page.goto(open_room.url + "/allow/new?author=co.uk")
        page.get_by_label("Why").fill("x")
        page.get_by_role("button", name="Add the partner").click()
        assert "nobody in particular" in page.locator("#author-error").inner_text()


class TestReports:
    def test_a_report_is_decided_with_a_note(self, look: Look, open_room: OpenConsole) -> None:
        page = look.page
        page.goto(open_room.url + "/reports")
        waiting = page.locator(".lines > li").count()
        page.locator(".lines .subject").first.click()
        page.get_by_label("The reader is right").check()
        page.get_by_label("Note for your colleagues").fill("The host is now in the list.")
        page.get_by_role("button", name="Save the decision").click()
        assert page.get_by_role("status").inner_text() == "The report is confirmed."
        assert page.locator(".lines > li").count() == waiting - 1
        assert actions(open_room, "feedback.decide")

    def test_who_looks_at_a_message_reports_it_there(self, look: Look, open_room: OpenConsole) -> None:
        page = look.page
        page.goto(open_room.url + "/messages?sender=partner-logistics.example")
        page.locator(".lines .subject").first.click()
        page.get_by_label("A missed spy").check()
        page.get_by_label("In your words").fill("They called five minutes after I read it.")
        with page.expect_navigation():
            page.get_by_role("button", name="Put it in the queue").click()
        page.goto(open_room.url + "/reports")
        assert "five minutes" in page.locator(".lines").inner_text()


class TestOriginals:
    def test_an_original_is_read_with_leave_alone_and_asks_nobody(
        self, look: Look, open_room: OpenConsole
    ) -> None:
        page = look.page
        page.goto(open_room.url + "/messages?q=kept")
        page.locator(".lines .subject").first.click()
        address = page.url
        assert page.get_by_role("link", name="See before and after").count() == 0
        page.get_by_label("Why somebody has to read it").fill("A reader misses a picture")
        page.get_by_role("button", name="Give leave to read it").click()
        assert "A reader misses a picture" in page.locator("#original").inner_text()
        page.get_by_role("link", name="See before and after").click()
        for name in ("As it came", "As readers get it"):
            frame = page.frame_locator(f"iframe[title='{name}']")
            assert frame.locator("h1").inner_text() == "Hello"
        assert "shop.example" in page.locator("table").inner_text()
        assert page.title().startswith("Before and after")
        # The copies server is not there in this test: that a copy is asked of it is how it should be.
        assert all(each.startswith("http://copies.example:8081/c/") for each in look.elsewhere)
        look.elsewhere.clear()
        look.complaints.clear()
        assert len(actions(open_room, "original.view")) == 1
        answer = page.goto(address + "/original/source")
        assert answer is not None
        assert answer.headers["content-type"].startswith("text/plain")
        assert "sandbox" in answer.headers["content-security-policy"]

    def test_without_leave_it_is_refused(self, browser: Browser, open_room: OpenConsole) -> None:
        from mailveil.control.records import Cut, MessageQuery

        (line,) = open_room.run(
            open_room.room.observations.messages("default", MessageQuery(text="kept"), Cut(1))
        ).items
        with looking(browser, open_room, "viewer") as look:
            for path in ("original", "original/before", "original/source"):
                answer = look.page.goto(f"{open_room.url}/messages/{line.identifier}/{path}")
                assert answer is not None
                assert answer.status == 403
        with looking(browser, open_room, "analyst") as look:
            # The frames are for the session that was shown the page, and nobody else's.
            answer = look.page.goto(f"{open_room.url}/messages/{line.identifier}/original/before")
            assert answer is not None
            assert answer.status == 404
