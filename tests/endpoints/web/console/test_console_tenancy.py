"""Organisations are kept apart, and rights hold, at every page that there is: the list of pages makes the tests.

Setup: two organisations, each with records of every kind; people of every role in the one.
Test: whatever page is asked for with what belongs to the other, nothing of that is told and nothing of it is changed.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from console_activities import activity_of_spy, spies, write_down
from console_room import Browser, ConsoleRoom, console_room
from control_room import NOW, ControlRoomForTests, actor
from mailveil.control.access import PERMISSIONS, Permission, Role
from mailveil.control.activities import mark_person, note_activity
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.auditing import audit
from mailveil.control.feeds import FeedOrder, make_feed
from mailveil.control.feedstores import FeedOutcome
from mailveil.control.records import AllowRecord, Cut, Feedback, FeedbackKind
from mailveil.control.room import ControlRoom
from mailveil.control.sharing import DestinationOrder, make_destination
from mailveil.control.sharingrecords import DeadLetter, DestinationKind, FeedKind, ImportedIndicator
from mailveil.control.tokens import make_token
from mailveil.core.intelligence.types import Target
from mailveil.endpoints.web.console.application import MODULES
from mailveil.endpoints.web.console.pages import Entry, Page

PAGES = [page for module in MODULES for page in module.all]
SIGNED_IN = [page for page in PAGES if page.need is not Entry.ANYBODY]
MARK = "zebrafinch"  # stands in everything of the other organisation, and nowhere else
DEED_FORM = {
    "role": "administrator",
    "organisation": MARK,
    "home": MARK,
    "typed": MARK,
    "name": "intruder",
    "identifier": "intruder",
    "password": "a quarter past the lighthouse",
    "password_again": "a quarter past the lighthouse",
    "scopes": "inspect",
    "days": "30",
    "reason": "because",
    "note": "because",
    "state": "confirmed",
    "comment": "because",
    "kind": "json-lines",
    "verdict": "benign",
    "text": "because",
    "person": "intruder@example.org",
    "function": "intruder",
    "address": "intruder.jsonl",
}


@dataclass
class Theirs:
    """What the other organisation has, by what its pages call the part of the path."""

    user: str
    token: str
    entry: str
    report: str
    destination: str
    activity: str
    feed: str

    def values(self) -> list[str]:
        return [
            self.user,
            self.token,
            self.entry,
            self.report,
            self.destination,
            self.activity,
            self.feed,
            MARK,
            "0" * 32,
            "1",
            "2",
        ]


async def furnish(room: ConsoleRoom) -> Theirs:
    control, stores = room.control, room.control.room
    await control.organisation(MARK, [f"{MARK}.example"])
    user = await room.user(f"{MARK}-admin", "administrator", MARK)
    token = await make_token(stores, actor(organisation=MARK), f"{MARK} token", ["inspect"], 30)
    entry = AllowRecord(
        identifier="a" * 32,
        organisation=MARK,
        author=f"{MARK}.partner.example",
        hosts=(),
        owner=MARK,
        reason=MARK,
        created_by=MARK,
        created_at=control.clock.now(),
    )
    await stores.policies.allow(entry)
    report = Feedback("b" * 32, MARK, control.clock.now(), FeedbackKind.MISSED, text=f"{MARK} wrote")
    await stores.feedback.report(report)
    await audit(stores, actor(organisation=MARK), "policy.change", f"{MARK} subject")
    destination = await furnish_sharing(stores)
    activity = await furnish_activity(control)
    return Theirs(
        user.identifier,
        token.token.identifier,
        entry.identifier,
        report.identifier,
        destination,
        activity,
        await furnish_feed(stores),
    )


async def furnish_feed(stores: ControlRoom) -> str:
    order = FeedOrder(f"{MARK} CERT", FeedKind.TAXII, f"https://cert.{MARK}.example/taxii2/")
    feed = (await make_feed(stores, actor(organisation=MARK), order)).feed
    told = ImportedIndicator(feed.identifier, "indicator--1", "domain", f"spy-of-{MARK}.example")
    assert stores.feeds is not None
    await stores.feeds.took(feed, FeedOutcome({"indicator--1": (told,)}, "", NOW, NOW + 9))
    return feed.identifier


async def furnish_activity(control: ControlRoomForTests) -> str:
    spy, now, who = spies()[0], control.clock.now(), actor(organisation=MARK)
    told = activity_of_spy(spy, now, MARK)
    theirs = replace(
        told,
        identifier="d" * 32,
        actor=f"{MARK}.spy.example",
        learned=(f"what {MARK} reads",),
        targets=(Target(f"anna@{MARK}.example", now, now, 3, MARK, is_high_value=True),),
    )
    await write_down(control, [theirs], MARK)
    await note_activity(control.room, who, theirs.identifier, f"{MARK} called")
    await mark_person(control.room, who, f"anna@{MARK}.example", function=MARK)
    return theirs.identifier


async def furnish_sharing(stores: ControlRoom) -> str:
    order = DestinationOrder(f"{MARK} SIEM", DestinationKind.SYSLOG, f"tls://siem.{MARK}.example:6514")
    made = (await make_destination(stores, actor(organisation=MARK), order)).view.destination
    assert stores.sharing is not None
    letter = DeadLetter(made.identifier, MARK, 1, 0, 0, "test", MARK, f"{MARK} refused", identifier="c" * 32)
    await stores.sharing.bury(made, letter)
    return made.identifier


async def everything(room: ConsoleRoom, theirs: Theirs) -> str:
    """Return all that the other organisation has, as text, to see whether it was changed."""
    stores, sharing, feeds = room.control.room, room.control.room.sharing, room.control.room.feeds
    assert sharing is not None
    assert feeds is not None
    return repr(
        [
            await stores.organisations.organisations(),
            await stores.accounts.users(MARK, Cut(200)),
            await stores.accounts.users("*", Cut(200)),
            await stores.accounts.tokens(MARK, Cut(200)),
            await stores.policies.allowed(MARK, Cut(200), all_states=True),
            await stores.policies.current(MARK),
            await stores.feedback.reports(MARK, Cut(200)),
            await stores.audit.entries(MARK, Cut(200)),
            await stores.activities.activities(MARK, ActivityQuery(NOW), Cut(200)),
            await stores.activities.notes(MARK, theirs.activity),
            await stores.activities.campaigns(MARK, Cut(200)),
            await stores.activities.marked(MARK),
            await feeds.feeds(MARK),
            await feeds.indicators(MARK, Cut(200), feed=theirs.feed),
            await sharing.destinations(MARK),
            await sharing.dead_letters(MARK, theirs.destination, Cut(200)),
        ]
    )


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[^}]*\}", value, path)


async def ask(browser: Browser, page: Page, value: str) -> Any:
    if page.method == "GET":
        return await browser.get(filled(page.path, value) + f"?organisation={MARK}&text={MARK}")
    await browser.get("/account")
    return await browser.post(filled(page.path, value), DEED_FORM)


def test_every_page_is_in_the_list_and_says_who_may_see_it() -> None:
    assert len(PAGES) >= 35
    assert len({(page.method, page.path) for page in PAGES}) == len(PAGES), "no page hides another"
    anybody = {page.path for page in PAGES if page.need is Entry.ANYBODY}
    assert anybody == {
        "/sign-in",
        "/sign-in/openid",
        "/sign-in/openid/back",
        "/link/{secret}",
        "/theme",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_nothing_of_another_organisation_is_told_or_changed(
    control_room: ControlRoomForTests, page: Page
) -> None:
    async def inside() -> None:
        async with console_room(control_room) as room:
            theirs = await furnish(room)
            browser = room.browser()
            await room.user("anna", "administrator", "default")
            before = await everything(room, theirs)
            for value in theirs.values():
                await browser.sign_in("anna")
                answer = await ask(browser, page, value)
                assert answer.status_code < 500, answer.text
                told = answer.text.replace(f"organisation={MARK}", "").replace(f"text={MARK}", "")
                told = re.sub(r'value="[^"]*"|<textarea[^>]*>[^<]*</textarea>', "", told)
                told = re.sub(rf"(/|%2F){value}\b", "", told)
                assert MARK not in told, (page, value)
                after = await everything(room, theirs)
                assert _theirs(after) == _theirs(before), (page, value)

    asyncio.run(asyncio.wait_for(inside(), 300))


def _theirs(text: str) -> list[str]:
    """Return what of the records names the other organisation; sign-ins of our own change the rest."""
    return [
        each
        for each in re.split(
            r"(?=\b(?:User|Token|AllowRecord|Feedback|AuditEntry|Organisation|Destination|DeadLetter|ActivityFile|ActivityNote|Campaign|MarkedPerson|Feed|ImportedIndicator)\()",
            text,
        )
        if MARK in each
    ]


@pytest.mark.parametrize("role", list(Role))
def test_rights_hold_at_every_page(control_room: ControlRoomForTests, role: Role) -> None:
    async def inside() -> None:
        async with console_room(control_room) as room:
            await room.user("anna", str(role), "default")
            browser = room.browser()
            await browser.sign_in("anna")
            refused = 0
            for page in SIGNED_IN:
                if not isinstance(page.need, Permission) or page.need in PERMISSIONS[role]:
                    continue
                answer = await ask(browser, page, "x")
                assert answer.status_code == 403, (page, answer.text)
                assert "lacks the permission" in answer.text
                refused += 1
            assert refused or role is Role.ADMINISTRATOR

    asyncio.run(asyncio.wait_for(inside(), 300))


def test_strangers_and_those_without_their_second_factor_see_nothing(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        async with console_room(control_room) as room:
            await room.user("anna", totp_secret="A" * 32)
            halfway, stranger = room.browser(), room.browser()
            await halfway.get("/sign-in")
            await halfway.post("/sign-in", {"name": "anna", "password": "wading heron at dusk"})
            for page in SIGNED_IN:
                path = filled(page.path, "x")
                for browser, place in ((stranger, "/sign-in"), (halfway, "/sign-in/code")):
                    if browser is halfway and page.need is Entry.HALFWAY:
                        continue
                    send = browser.get if page.method == "GET" else browser.post
                    answer = await send(path)
                    assert answer.status_code == 303, (page, answer.text)
                    assert answer.headers["location"].partition("?")[0] == place, page
                    assert answer.text == ""

    asyncio.run(asyncio.wait_for(inside(), 300))


def test_who_belongs_to_all_organisations_looks_at_one_at_a_time(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        async with console_room(control_room) as room:
            await furnish(room)
            await room.user("anna", "administrator", "*")
            browser = room.browser()
            await browser.sign_in("anna")
            assert f"{MARK} subject" not in (await browser.get("/audit")).text
            assert (await browser.post("/organisation", {"organisation": MARK})).status_code == 303
            assert f"{MARK} subject" in (await browser.get("/audit")).text
            await browser.post("/organisation", {"organisation": "nowhere"})
            assert f"{MARK} subject" in (await browser.get("/audit")).text
            await browser.get(f"/organisations/{MARK}")
            assert (await browser.post(f"/organisations/{MARK}/remove", {"typed": "no"})).status_code == 422
            await browser.get(f"/organisations/{MARK}")
            assert (await browser.post(f"/organisations/{MARK}/remove", {"typed": MARK})).status_code == 303
            page = await browser.get("/account")
            assert page.status_code == 200, "an organisation that is gone is looked at no more"
            made = {"identifier": MARK, "name": "again"}
            answer = await browser.post("/organisations", made)
            assert answer.status_code == 422, "nor does its audit trail become somebody else's"

    asyncio.run(asyncio.wait_for(inside(), 300))
