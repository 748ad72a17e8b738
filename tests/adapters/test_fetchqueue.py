"""The fetch queue: what may be fetched, in whose turn, once for all kinds of copies; and what is remembered."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.fetchqueue import Budgets
from mailveil.core.references.links import link_digest
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import (
    BodyFacts,
    FetchEvidence,
    FetchOutcome,
    Hop,
    NameAnswer,
    NameRecord,
)
from mailveil.ports import CopyFacts, FetchJob, Requester, Step, UnavailableError, WantedCopy

HOUR, DAY = 3600.0, 86_400.0


class Room:
    def __init__(self, directory: Path, **settings: object) -> None:
        self.clock = 1_000_000_000.0
        self.directory = directory
        self.store = SqliteCopyStore(StoreSettings(directory, **settings), lambda: self.clock)  # type: ignore[arg-type]
        self.count = 0

    def do(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run(coroutine)

    def want(self, url: str, media: Media = Media.IMAGE) -> WantedCopy:
        self.count += 1
        return WantedCopy(f"token-{self.count}", url, media)

    def ask(self, urls: list[str], requester: Requester, media: Media = Media.IMAGE) -> list[WantedCopy]:
        """Have a message want copies, and be delivered."""
        wanted = [self.want(url, media) for url in urls]
        self.do(self.store.reserve(wanted, requester))
        self.do(self.store.release(wanted))
        return wanted

    def claims(self) -> list[FetchJob]:
        found = []
        while (job := self.do(self.store.claim())) is not None:
            found.append(job)
        return found

    def pending(self, wanted: list[WantedCopy]) -> list[bool]:
        return [self.do(self.store.get(each.token)).pending for each in wanted]


@pytest.fixture
def make(tmp_path: Path):  # type: ignore[no-untyped-def]
    rooms: list[Room] = []

    def make(**settings: object) -> Room:
        rooms.append(Room(tmp_path / f"copies-{len(rooms)}", **settings))
        return rooms[-1]

    yield make
    for room in rooms:
        room.store.close()


def urls(count: int, host: str = "origin.example", path: str = "") -> list[str]:
    return [f"https://{host}/{path}{number}" for number in range(count)]


# --- budgets -----------------------------------------------------------------------------------------------------


def test_one_message_has_only_so_many_urls_fetched(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(per_message=3))
    wanted = room.ask(urls(5), Requester("m", "a.example", "org.example"))
    assert room.pending(wanted) == [True] * 3 + [False] * 2, "beyond the budget there are placeholders"
    assert len(room.claims()) == 3
    assert len(room.ask(urls(5, path="x"), Requester("n", "a.example", "org.example"))) == 5
    assert len(room.claims()) == 3, "the next message has a budget of its own"


def test_one_senders_domain_has_only_so_many_a_day(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(per_sender=4))
    for message in range(3):
        room.ask(urls(3, path=f"{message}-"), Requester(str(message), "flood.example", "org.example"))
    assert len(room.claims()) == 4
    room.ask(urls(3, path="other-"), Requester("o", "other.example", "org.example"))
    assert len(room.claims()) == 3, "another sender is not kept waiting"
    room.clock += DAY
    room.ask(urls(3, path="next-"), Requester("p", "flood.example", "org.example"))
    assert len(room.claims()) == 3


def test_one_registrable_domain_is_asked_for_only_so_many_an_hour(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(per_domain=4))
    for number in range(6):  # a name for each, and a sender for each
        room.ask(
            [f"https://n{number}.victim.co.uk/x"], Requester(str(number), f"s{number}.example", "org.example")
        )
    room.ask(["https://bystander.co.uk/x"], Requester("b", "b.example", "org.example"))
    hosts = Counter(job.url.split("/")[2].split(".", 1)[-1] for job in room.claims())
    assert hosts == {"victim.co.uk": 4, "co.uk": 1}
    room.clock += HOUR
    room.ask(["https://n9.victim.co.uk/x"], Requester("z", "z.example", "org.example"))
    assert len(room.claims()) == 1


def test_one_address_is_contacted_only_so_often_an_hour(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(per_address=2))
    answers = [room.do(room.store.may_contact("203.0.113.7")) for _ in range(3)]
    assert answers == [True, True, False]
    assert room.do(room.store.may_contact("203.0.113.8"))
    room.clock += HOUR
    assert room.do(room.store.may_contact("203.0.113.7"))


def test_budgets_outlive_the_process_and_name_nobody(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(per_sender=2))
    room.ask(urls(2), Requester("m", "sender.example", "org.example"))
    room.store.close()
    room.store = SqliteCopyStore(room.store.settings, lambda: room.clock)
    wanted = room.ask(urls(1, path="x"), Requester("n", "sender.example", "org.example"))
    assert room.pending(wanted) == [False]
    room.store.close()
    raw = b"".join(path.read_bytes() for path in room.directory.glob("copies.sqlite3*"))
    assert b"sender.example" not in raw
    assert b"org.example" not in raw
    room.store = SqliteCopyStore(room.store.settings, lambda: room.clock)


def test_who_asks_for_no_message_has_no_budget_of_one(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(per_message=1))
    room.ask(urls(5), Requester())
    assert len(room.claims()) == 5


def test_a_full_queue_gives_placeholders(make) -> None:  # type: ignore[no-untyped-def]
    room = make(budgets=Budgets(max_queued=3))
    wanted = room.ask(urls(5), Requester("m", "a.example", "org.example"))
    assert room.pending(wanted) == [True] * 3 + [False] * 2
    room.claims()
    room.clock += 60
    assert room.pending(room.ask(urls(1, path="x"), Requester("n", "a.example", "o.example"))) == [True]


# --- turns -------------------------------------------------------------------------------------------------------


def test_the_flood_of_one_organisation_keeps_no_other_waiting(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    for number in range(20):
        room.ask(urls(20, path=f"{number}-"), Requester(f"f{number}", "flood.example", "flooded.example"))
    room.ask(urls(3, path="a-"), Requester("a", "a.example", "first.example"))
    room.ask(urls(3, path="b-"), Requester("b", "b.example", "second.example"))
    first = [room.do(room.store.claim()) for _ in range(9)]
    origins = Counter(job.url.split("/")[3].split("-")[0] for job in first)
    assert origins["a"] == 3
    assert origins["b"] == 3
    assert len(room.claims()) == 400 - 3, "and nothing is forgotten"


def test_turns_wait_for_nobody_that_is_not_due(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    waiting = [room.want(url) for url in urls(3, path="later-")]
    room.do(room.store.reserve(waiting, Requester("m", "a.example", "early.example")))
    room.do(room.store.release(waiting, after_s=100))
    room.ask(urls(2), Requester("n", "b.example", "late.example"))
    assert len(room.claims()) == 2
    room.clock += 101
    assert len(room.claims()) == 3


def test_fetches_of_one_message_begin_in_no_order(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    room.ask(urls(50), Requester("m", "a.example", "org.example"))
    assert [job.url for job in room.claims()] != urls(50)


def test_claims_take_no_longer_for_a_long_queue(make) -> None:  # type: ignore[no-untyped-def]
    """With a linear search a claim of 50,000 rows would take as long as reading them all; counted in steps."""
    room = make()
    room.ask(urls(1), Requester("m", "a.example", "org.example"))

    def steps() -> int:
        count = 0

        def work(database: sqlite3.Connection) -> int:
            nonlocal count

            def step() -> int:
                nonlocal count
                count += 1
                return 0

            database.set_progress_handler(step, 100)
            assert room.store._whose_turn(database, room.clock + 1) is not None
            database.set_progress_handler(None, 0)
            return count

        return room.do(room.store._write_with(work))

    few = steps()
    room.store.close()
    database = sqlite3.connect(room.directory / "copies.sqlite3")
    database.executemany(
        "INSERT INTO fetches (url_digest, url, media, state, created, organisation) "
        "VALUES (randomblob(32), 'https://a.example/' || ?, 'image', 'released', 1e9, ?)",
        ((number, number.to_bytes(4, "big")[2:]) for number in range(50_000)),
    )
    database.commit()
    database.close()
    room.store = SqliteCopyStore(room.store.settings, lambda: room.clock)
    assert steps() <= few + 5


# --- one fetch for one URL ---------------------------------------------------------------------------------------


def test_a_url_wanted_as_several_things_is_fetched_once_for_all(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    url = "https://origin.example/thing"
    image = room.want(url)
    font = room.want(url + "#part", Media.FONT)
    room.do(room.store.reserve([image, font], Requester("m", "a.example", "org.example")))
    room.do(room.store.release([image, font]))
    (job,) = room.claims()
    assert job.url == url
    (sibling,) = job.siblings
    assert {job.media, sibling.media} == {Media.IMAGE, Media.FONT}
    by_media = {job.media: job, sibling.media: sibling}
    assert room.do(room.store.put(by_media[Media.IMAGE], b"picture", "image/png"))
    room.do(room.store.settle(by_media[Media.FONT]))
    assert room.do(room.store.get(image.token)).body == b"picture"
    assert room.pending([font]) == [False]


def test_a_url_that_was_asked_for_today_is_not_asked_for_as_something_else(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    url = "https://origin.example/thing"
    room.ask([url], Requester("m", "a.example", "org.example"))
    assert len(room.claims()) == 1
    assert room.pending(room.ask([url], Requester("n", "a.example", "org.example"), Media.FONT)) == [False]
    assert room.claims() == []
    room.clock += DAY + 1
    room.ask([url], Requester("o", "a.example", "org.example"), Media.FONT)
    assert len(room.claims()) == 1


def test_what_is_given_back_comes_again_with_its_siblings_and_its_count(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    url = "https://origin.example/thing"
    for media in (Media.IMAGE, Media.STYLESHEET):
        room.ask([url], Requester("m", "a.example", "org.example"), media)
    (job,) = room.claims()
    room.do(room.store.give_back(job, room.clock + 10, again_at="https://elsewhere.example/y"))
    assert room.claims() == []
    room.store.close()
    room.store = SqliteCopyStore(room.store.settings, lambda: room.clock)  # a restart in between
    room.clock += 11
    (again,) = room.claims()
    assert again.url == "https://elsewhere.example/y"
    assert again.asked_again
    assert again.retries == 1
    assert len(again.siblings) == 1


# --- evidence ----------------------------------------------------------------------------------------------------

EVIDENCE = FetchEvidence(
    FetchOutcome.DRIP_FED,
    "drip",
    (
        Hop("https://t.example/?who=anna", 302, (("location", "/x"),), 0.25, "203.0.113.7", "2", 600, 4000, 0.1,
            NameAnswer("t.example", (NameRecord("t.example", "CNAME", 60, "v.example"),
                                     NameRecord("v.example", "A", 30, "203.0.113.7")), ("ns.v.example",))),
        Hop("https://t.example/x", 200),
    ),
    BodyFacts(7, "00", "audio/wav", "", 9, 7, False, ((0.5, 1), (1.5, 2))),
    "socks5://exit.example:1080",
    4.5,
)  # fmt: skip


def test_evidence_is_kept_as_it_was_for_its_days_and_cannot_be_read_from_the_disk(make) -> None:  # type: ignore[no-untyped-def]
    room = make(evidence_days=30)
    url = "https://t.example/?who=anna"
    room.ask([url], Requester("m", "a.example", "org.example"))
    (job,) = room.claims()
    room.do(room.store.testify(job, EVIDENCE))
    room.do(room.store.settle(job))
    (past,) = room.do(room.store.evidence_of(url + "#x"))
    assert past.evidence == EVIDENCE
    assert past.url == url
    assert room.do(room.store.past_fetches()) == [past]
    raw = b"".join(path.read_bytes() for path in room.directory.glob("copies.sqlite3-wal"))
    assert b"203.0.113.7" not in raw
    room.do(room.store.prune(room.clock + 31 * DAY))
    assert room.do(room.store.past_fetches()) == []


def test_evidence_under_another_key_is_said_to_be_unreadable(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    room.ask(urls(1), Requester("m", "a.example", "org.example"))
    (job,) = room.claims()
    room.do(room.store.testify(job, EVIDENCE))
    room.store.close()
    (room.directory / "queue.key").unlink()
    room.store = SqliteCopyStore(room.store.settings, lambda: room.clock)
    with pytest.raises(UnavailableError, match=r"queue\.key"):
        room.do(room.store.past_fetches())


def test_a_store_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    directory = tmp_path / "copies"
    directory.mkdir(mode=0o700)
    database = sqlite3.connect(directory / "copies.sqlite3")
    database.executescript(
        "CREATE TABLE fetches (id INTEGER PRIMARY KEY, url_digest BLOB NOT NULL, url TEXT NOT NULL, "
        "media TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, not_before REAL NOT NULL DEFAULT 0, "
        "sha256 TEXT, media_type TEXT NOT NULL DEFAULT '');"
    )
    database.execute(
        "INSERT INTO fetches (url_digest, url, media, state, created) VALUES (x'00', 'https://a/', 'image', "
        "'released', ?)",
        (time.time(),),
    )
    database.commit()
    database.close()
    store = SqliteCopyStore(StoreSettings(directory))
    try:
        job = asyncio.run(store.claim())
        assert job is not None
        assert job.url == "https://a/"
    finally:
        store.close()


def test_what_waited_for_longer_than_a_day_is_still_asked_for_once(make) -> None:  # type: ignore[no-untyped-def]
    """The fetcher was down for two days: what is due then goes together, with what is wanted since."""
    room = make()
    url = "https://origin.example/a"
    first = room.ask([url], Requester("m1", "a.example", "org.example"))
    other = room.ask([url], Requester("m2", "a.example", "org.example"), Media.FONT)
    room.clock += 2 * DAY
    later = room.ask([url], Requester("m3", "a.example", "org.example"))
    (job,) = room.claims()
    jobs = {each.media: each for each in (job, *job.siblings)}
    assert jobs.keys() == {Media.IMAGE, Media.FONT}
    assert room.do(room.store.put(jobs[Media.IMAGE], b"body", "image/png"))
    assert room.do(room.store.get(later[0].token)).body == b"body"
    assert room.do(room.store.get(first[0].token)).body == b"body"
    assert room.pending(other) == [True]


def test_a_day_begins_when_an_origin_is_asked(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    url = "https://origin.example/a"
    room.ask([url], Requester("m1", "a.example", "org.example"))
    room.clock += 0.9 * DAY
    (job,) = room.claims()
    assert room.do(room.store.put(job, b"body", "image/png"))
    room.clock += 0.2 * DAY
    again = room.ask([url], Requester("m2", "a.example", "org.example"))
    assert room.claims() == []
    assert room.do(room.store.get(again[0].token)).body == b"body"
    room.clock += 0.9 * DAY
    room.ask([url], Requester("m3", "a.example", "org.example"))
    assert len(room.claims()) == 1


def test_what_sheets_lead_to_is_on_the_account_of_message_and_sender(make) -> None:  # type: ignore[no-untyped-def]
    """One message with many sheets, each of them with many references, is no way around its budget."""
    room = make(budgets=Budgets(per_message=10, per_sender=14))
    requester = Requester("m", "a.example", "org.example")
    sheets = [f"https://sheets{number}.example/s.css" for number in range(4)]
    room.ask(sheets, requester, Media.STYLESHEET)
    for number, job in enumerate(room.claims()):
        nested = tuple((f"https://victim.example/{number}-{at}", Media.IMAGE) for at in range(5))
        assert room.do(room.store.put(job, b"x", "text/css", CopyFacts(nested=nested)))
    assert len(room.claims()) == 6
    room.ask(urls(10, "others.example"), Requester("m2", "a.example", "org.example"))
    assert len(room.claims()) == 4


# --- redirects ---------------------------------------------------------------------------------------------------


ORG = Requester("m", "a.example", "org.example")
TARGET = "https://cdn.example/logo.png"


def test_where_redirects_lead_is_asked_once_a_day_and_shared(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    wanted = room.ask(urls(3), ORG)
    first, second, third = sorted(room.claims(), key=lambda job: job.url)
    assert room.do(room.store.follow(first, TARGET)).step is Step.GO
    assert room.do(room.store.follow(first, TARGET)).step is Step.ASKED  # in a circle
    assert room.do(room.store.follow(second, TARGET)).step is Step.WAIT
    direct = room.ask([TARGET], ORG)
    assert room.claims() == []
    assert room.do(room.store.put(first, b"logo", "image/png", CopyFacts(width=7)))
    followed = room.do(room.store.follow(second, TARGET))
    assert followed.step is Step.KNOWN
    room.do(room.store.adopt(second, followed.known))
    for each in (*wanted[:2], *direct):
        copy = room.do(room.store.get(each.token))
        assert (copy.body, copy.media_type) == (b"logo", "image/png")
    assert [each.facts.width for each in room.do(room.store.describe([wanted[1].token]))] == [7]
    font = room.ask([TARGET], ORG, Media.FONT)
    assert room.claims() == []
    assert room.pending(font) == [False]
    room.clock += DAY + 1
    assert room.do(room.store.follow(third, TARGET)).step is Step.GO
    room.do(room.store.prune(room.clock + DAY + 1))


def test_a_redirect_takes_along_what_is_due_for_where_it_leads(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    room.ask(urls(1), ORG)
    (job,) = room.claims()
    direct = room.ask([TARGET], ORG) + room.ask([TARGET], ORG, Media.FONT)
    followed = room.do(room.store.follow(job, TARGET))
    assert followed.step is Step.GO
    assert {each.media for each in followed.along} == {Media.IMAGE, Media.FONT}
    assert room.claims() == []
    room.do(room.store.put(followed.along[0], b"body", "image/png"))
    assert room.do(room.store.get(direct[0].token)).body == b"body"


def test_a_redirect_to_what_brought_nothing_or_leads_back_is_not_followed(make) -> None:  # type: ignore[no-untyped-def]
    room = make()
    room.ask(["https://a.example/", "https://b.example/"], ORG)
    jobs = {job.url: job for job in room.claims()}
    room.do(room.store.settle(jobs["https://b.example/"]))
    assert room.do(room.store.follow(jobs["https://a.example/"], "https://b.example/")).step is Step.ASKED
    assert room.do(room.store.follow(jobs["https://a.example/"], "https://a.example/")).step is Step.ASKED


def test_redirects_are_on_the_account_of_the_domain_that_they_lead_to(make) -> None:  # type: ignore[no-untyped-def]
    """Many names of one's own that redirect to a victim are no way around its budget."""
    room = make(budgets=Budgets(per_domain=3))
    room.ask([f"https://mine{number}.example/" for number in range(5)], ORG)
    steps = [
        room.do(room.store.follow(job, f"https://victim.example/{number}")).step
        for number, job in enumerate(room.claims())
    ]
    assert steps == [Step.GO] * 3 + [Step.OVER_BUDGET] * 2


@pytest.mark.parametrize(
    "target",
    [
        "https://list.example/leave?r=1",
        "HTTP://LIST.example:80/leave?r=1#x",
        "http://list.example/%6ceave?r=1",
    ],
)
def test_a_redirect_to_what_the_message_links_to_is_not_followed(make, target: str) -> None:  # type: ignore[no-untyped-def]
    room = make()
    links = link_digest("https://list.example/leave?r=1") + link_digest("https://shop.example/")
    wanted = [WantedCopy("token", "https://origin.example/a", Media.IMAGE, links=links)]
    room.do(room.store.reserve(wanted, ORG))
    room.do(room.store.release(wanted))
    (job,) = room.claims()
    assert room.do(room.store.follow(job, target)).step is Step.LINKED
    assert room.do(room.store.follow(job, "https://list.example/other")).step is Step.GO
    room.do(room.store.settle(job))
    room.do(room.store.prune(room.clock))
    database = sqlite3.connect(room.directory / "copies.sqlite3")
    try:
        assert database.execute("SELECT count(*) FROM link_sets").fetchone() == (0,)
    finally:
        database.close()
