"""Content that attacks whoever looks at it: every page, view and file in a real Chromium, with hostile records."""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from console_demo import demo_health
from console_window import Look, OpenConsole, browser_room, looking, open_console, sqlite_place
from control_room import NOW
from hostile_records import put_hostility
from mailveil.app.building import build_examiner
from mailveil.config import load
from mailveil.control.records import Cut, MessageQuery
from mailveil.ports import MailboxEntry

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Debian's Chromium is driven")
FILES = ("/policy/export", "/weekly/file")
ALIKE = 10  # pages of one kind that are looked at
FOUND = """() => {
  const fails = [];
  if (window.evil) fails.push("a script ran");
  for (const each of document.querySelectorAll("[data-evil]"))
    fails.push("made of content: " + each.outerHTML.slice(0, 90));
  for (const each of document.querySelectorAll("[href], [src], [action], [formaction]"))
    for (const name of ["href", "src", "action", "formaction"]) {
      const value = each.getAttribute(name);
      if (value === null || value === "data:,") continue;
      if (each.className === "qr" && value.startsWith("data:image/png;base64,")) continue;
      const url = new URL(value, location.href);
      const cited = each.rel === "noreferrer noopener" && url.protocol === "https:";
      if (url.origin !== location.origin && !cited) fails.push(each.tagName + " leads to " + url.href.slice(0, 90));
    }
  for (const each of document.querySelectorAll("*"))
    for (const one of each.attributes) if (one.name.startsWith("on")) fails.push("handler " + one.name);
  const names = Array.from(document.querySelectorAll("[id]"), (each) => each.id);
  if (new Set(names).size !== names.length) fails.push("one id twice");
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) fails.push(wide + " pixels too wide: " + Array.from(document.querySelectorAll("body *"))
    .filter((each) => each.getBoundingClientRect().right > innerWidth)
    .map((each) => each.outerHTML.slice(0, 60)).slice(0, 4).join(" | "));
  const text = document.body.innerText + document.title;
  const bare = /[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\u0000\\u001b]/.exec(text);
  if (bare) fails.push("bare control character after " + text.slice(Math.max(0, bare.index - 30), bare.index));
  return fails;
}"""
LINKS = """() => Array.from(document.querySelectorAll("a[href]"), (each) => each.href)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as found:
        yield found


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    with open_console(sqlite_place(tmp_path_factory.mktemp("hostile")), health=demo_health) as room:
        put_hostility(room)
        yield room


def shape_of(room: OpenConsole, address: str) -> str:
    """Return which page of the registry an address belongs to, with the names of its query."""
    path = urlsplit(address).path
    for page in sorted(room.console.pages, key=lambda each: each.path.count("{")):
        pattern = re.sub(r"\{\w+:path\}", ".+", page.path)
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and page.method == "GET":
            names = sorted(each.partition("=")[0] for each in urlsplit(address).query.split("&"))
            return page.path + "?" + "&".join(names)
    return path


def walk(room: OpenConsole, look: Look, start: list[str]) -> tuple[set[str], list[str]]:
    """Follow every link from pages to begin with; return the pages that were seen, and what was wrong."""
    dialogs: list[str] = []
    look.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    ahead = [room.url + each for each in start]
    met, known, seen, wrong = Counter[str](), set(ahead), set[str](), []
    while ahead:
        address = ahead.pop(0)
        path = urlsplit(address).path
        if (
            path in FILES
            or "/export." in path
            or path.startswith(("/sign-in", "/link", "/api/"))
            or path.endswith("/source")
        ):
            continue
        shape = shape_of(room, address)
        met[shape] += 1
        if met[shape] > ALIKE:
            continue
        before = len(look.complaints)
        answer = look.page.goto(address)
        assert answer is not None
        seen.add(shape.partition("?")[0])
        problems = list(look.page.evaluate(FOUND))
        if answer.status != 200 and "/original" not in path:
            problems.append(f"answered {answer.status}: {look.page.inner_text('body')[:150]}")
        if answer.status == 200:
            problems += look.complaints[before:]
        else:
            del look.complaints[before:]
        if answer.headers.get("x-content-type-options") != "nosniff":
            problems.append("may be sniffed")
        wrong += [f"{unquote(address)[len(room.url) :][:70]}: {each}" for each in problems]
        for each in look.page.evaluate(LINKS):
            link = each.partition("#")[0]
            if link.startswith(room.url + "/") and link not in known:
                known.add(link)
                ahead.append(link)
    assert dialogs == []
    assert look.elsewhere == []
    return seen, wrong


@pytest.mark.parametrize("role", ["administrator", "analyst"])
def test_no_page_does_what_stands_on_record(browser: Browser, hostile: OpenConsole, role: str) -> None:
    start, home = ["/"], "default"
    if role == "administrator":
        pages = hostile.console.pages
        start, home = [each.path for each in pages if each.method == "GET" and "{" not in each.path], "*"
    with looking(browser, hostile, role, home=home, width=360) as look:
        seen, wrong = walk(hostile, look, start)
    assert not wrong, "\n".join(wrong)
    assert {
        "/", "/messages/{identifier}", "/trackers/{identifier}", "/operators/{name:path}",
        "/policy/rules/{identifier}", "/sharing/destinations/{identifier}", "/sharing/feeds/{identifier}",
        "/watching", "/watching/{identifier}", "/campaigns", "/people/marked", "/policy/explain",
        "/allow/{identifier}", "/reports/{identifier}",
    } <= seen  # fmt: skip
    if role == "administrator":
        assert {"/users/{identifier}", "/organisations/{identifier}", "/audit", "/tokens"} <= seen


# --- messages themselves ---------------------------------------------------------------------------------------

HOSTILE_MESSAGE = (
    b'From: "</title><script data-evil>window.evil=1</script>" <a@evil.example>\r\n'
    b"To: <img/src=x/onerror=top.evil=1>@acme.example\r\n"
    b"Subject: =?utf-8?Q?=E2=80=AE</title><script data-evil>window.evil=3D1</script>=00=0D=0AX: y?=\r\n"
    b"Date: <svg data-evil onload=window.evil=1>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n'
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    b"<base href=https://evil.example/><meta http-equiv=refresh content='0;url=https://evil.example/r'>"
    b"<link rel=preconnect href=https://evil.example><link rel=dns-prefetch href=//evil.example>"
    b"<link rel=stylesheet href=https://evil.example/s.css><style>@import url(https://evil.example/i.css);"
    b"body{background:url(https://evil.example/b.png)}</style><p>words</p>"
    b"<script>top.evil=1;window.evil=1;alert(1)</script><img src=https://evil.example/o.gif onerror=top.evil=1>"
    b"<img src=x onerror=top.evil=1><svg onload=top.evil=1><image href=https://evil.example/v.png /></svg>"
    b"<math><mtext><a href=javascript:top.evil=1>go</a></mtext></math><iframe src=https://evil.example/f></iframe>"
    b"<iframe srcdoc='<script>top.evil=1</script>'></iframe><object data=https://evil.example/x></object>"
    b"<embed src=https://evil.example/e><form action=https://evil.example/p><button autofocus>send</button></form>"
    b"<video src=https://evil.example/m.mp4 poster=https://evil.example/p.png autoplay></video>"
    b"<a href=https://evil.example/ping target=_top ping=https://evil.example/ping>look</a>\r\n--x\r\n"
    b"Content-Type: text/plain\r\nContent-Disposition: attachment;\r\n"
    b" filename*=utf-8''%E2%80%AE%3Cscript%20data-evil%3Ewindow.evil=1%3C%2Fscript%3E.exe\r\n\r\nx\r\n--x--\r\n"
)


class OneMessage:
    """A mailbox and a store of originals that hold nothing but that message."""

    async def entries(self, limit: int = 50) -> list[MailboxEntry]:
        return [MailboxEntry("1.M2:2,S", NOW, len(HOSTILE_MESSAGE), HOSTILE_MESSAGE[:600])]

    async def read(self, name: str) -> bytes | None:
        return HOSTILE_MESSAGE

    async def forget(self, name: str, are_all: object) -> bool:
        return False


@pytest.fixture(scope="module")
def viewing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenConsole]:
    """A console that shows messages, as they came and as readers get them."""
    folder = tmp_path_factory.mktemp("viewing")
    config = folder / "mailveil.toml"
    config.write_text(
        f'[storage]\ndirectory = "{folder}"\n[copies]\npublic_url = "http://copies.example:8081"\n'
    )
    engine = build_examiner(load(config, environment={}))
    try:
        with open_console(sqlite_place(folder), engine=engine, originals=OneMessage()) as room:
            put_hostility(room)
            room.console.mailbox = OneMessage()
            yield room
    finally:
        engine.close()


def test_a_message_that_is_looked_at_runs_nothing_asks_nobody_and_stays_in_its_frame(
    browser: Browser, viewing: OpenConsole
) -> None:
    lines = viewing.run(viewing.room.observations.messages("default", MessageQuery(), Cut(1))).items
    pages = ("/mailbox", "/mailbox/1.M2%3A2%2CS", f"/messages/{lines[0].identifier}/original")
    with looking(browser, viewing, home="*", width=360) as look:
        dialogs: list[str] = []
        look.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        for path in pages:
            answer = look.page.goto(viewing.url + path, wait_until="load")
            assert answer is not None
            assert answer.status == 200, (path, look.page.inner_text("main"))
            assert look.page.evaluate(FOUND) == [], path
            assert look.page.url == viewing.url + path, "nothing in a frame leads the page away"
            frames = [each for each in look.page.frames if each.parent_frame is look.page.main_frame]
            assert len(frames) == {"/mailbox": 0, pages[1]: 1, pages[2]: 2}[path]
            for frame in frames:
                assert "words" in frame.inner_text("body")
        assert dialogs == []
        assert look.elsewhere == []
        refused = [
            each for each in look.complaints
            if "sandboxed" not in each and "Content Security Policy" not in each and "/c/" not in each
        ]  # fmt: skip
        assert refused == [], "the frames complain of what they are not let do, and of nothing else"
        assert not look.page.evaluate("window.evil")


def test_files_are_files_and_the_source_of_a_message_is_text(browser: Browser, viewing: OpenConsole) -> None:
    line = viewing.run(viewing.room.observations.messages("default", MessageQuery(), Cut(1))).items[0]
    sources = ("/mailbox/1.M2%3A2%2CS/source", f"/messages/{line.identifier}/original/source")
    with looking(browser, viewing, home="*") as look:
        for path in sources:
            answer = look.page.goto(viewing.url + path)
            assert answer is not None
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]
            assert look.page.locator("[data-evil], script, img").count() == 0
        file = look.page.context.request.get(viewing.url + "/policy/export")
        assert file.status == 200
        assert file.headers["content-disposition"] == 'attachment; filename="policy-default.toml"'
        assert file.headers["content-type"].startswith("application/toml")
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in file.headers
        names = [each["name"] for each in tomllib.loads(file.text())["rules"]]
        assert any("<script data-evil>" in each for each in names), "a file says what was written"
        assert look.is_clean
