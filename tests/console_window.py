"""A window onto the console: it listens on loopback, people are signed in, and a real browser looks at it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from control_room import ControlRoomForTests, opened_room
from postgres_room import DatabasePlace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from mailveil.control.health import HealthCheck
    from mailveil.control.room import ControlRoom
    from mailveil.core.observation import Observation
    from mailveil.endpoints.web.console.application import Console

Result = TypeVar("Result")
PATIENCE_S = 60
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--font-render-hinting=none",
)  # fmt: skip


@dataclass
class OpenConsole:
    """A console that answers. ``run`` runs a coroutine in its event loop, from the test's thread."""

    made: ControlRoomForTests
    console: Console
    port: int
    loop: asyncio.AbstractEventLoop
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def room(self) -> ControlRoom:
        return self.console.room

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def secret_of(self, role: str = "administrator", home: str = "default") -> str:
        """Return the session secret of somebody of this role, who is made if need be."""
        name = f"{role}-{home.replace('*', 'all')}"
        if name not in self.secrets:
            self.secrets[name] = self.run(self._sign_in(name, role, home))
        return self.secrets[name]

    async def _sign_in(self, name: str, role: str, home: str) -> str:
        # No password stands there: how people sign in is another test's business.
        user = await self.made.user(name, role, home)
        return (await self.console.signing_in.welcome(user, "127.0.0.1", "test")).secret

    def observe(self, observations: Sequence[Observation]) -> None:
        """Put messages on record."""
        self.run(self._observe(observations))

    async def _observe(self, observations: Sequence[Observation]) -> None:
        for start in range(0, len(observations), 500):
            await self.room.observations.add(observations[start : start + 500])


@contextlib.contextmanager
def open_console(
    place: DatabasePlace,
    *,
    health: HealthCheck | None = None,
    alarms: Callable[[], Sequence[str]] = tuple,
    now: float = 0.0,
    **parts: Any,
) -> Iterator[OpenConsole]:
    """Open a console over a database; ``parts`` replace members of its control room, such as ``fetches``."""
    ready: list[OpenConsole] = []
    problems: list[BaseException] = []
    is_ready = threading.Event()
    stop: list[Callable[[], None]] = []

    async def live() -> None:
        from dataclasses import replace

        from mailveil.control.passwords import Passwords
        from mailveil.control.signing_in import SessionRules, SigningIn
        from mailveil.endpoints.web.console.application import Console
        from mailveil.endpoints.web.listener import HttpListener
        from mailveil.endpoints.web.site import build_site

        loop, done = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(done.set))
        async with opened_room(place) as made:
            if now:
                made.clock.moment = now
            room = replace(made.room, **parts)
            facts = facts_for_tests()
            signing_in = SigningIn(room, Passwords(), SessionRules(10 * 86_400, 10 * 86_400))
            console = Console(room, facts, signing_in, health=health, alarms=alarms)
            listener = HttpListener(build_site(facts.host_names, console.application()))
            await listener.start("127.0.0.1", 0)
            ready.append(OpenConsole(made, console, listener.port, loop))
            is_ready.set()
            try:
                await done.wait()
            finally:
                await listener.stop()

    def work() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # told to the test, in whose thread it belongs
            problems.append(error)
            is_ready.set()

    thread = threading.Thread(target=work, name="console")
    thread.start()
    try:
        assert is_ready.wait(PATIENCE_S)
        if problems:
            raise problems[0]
        yield ready[0]
    finally:
        for each in stop:
            each()
        thread.join(PATIENCE_S)


def facts_for_tests() -> Any:
    """Return what a console knows of the process that it is in."""
    from mailveil import __version__
    from mailveil.endpoints.web.console.facts import ConsoleFacts, Listening

    return ConsoleFacts(
        version=__version__,
        listening=(
            Listening("gateway", "127.0.0.1:2525", "takes mail by SMTP and makes it silent"),
            Listening("copies", "127.0.0.1:8081", "serves safe copies to readers' mail clients"),
        ),
        next_hop="smtp:127.0.0.1:10026",
        copies_url="http://copies.example:8081",
        copies_mode="hosted",
        fetching=True,
        try_command="mailveil try",
        postfix_recipe="postconf -e 'smtpd_milters = inet:127.0.0.1:2526'",
        directory="/var/lib/mailveil",
        host_names=frozenset({"localhost", "127.0.0.1"}),
        console_url="http://localhost:8080",
    )


@contextlib.contextmanager
def browser_room() -> Iterator[Browser]:
    """Start Debian's Chromium. Nothing outside this machine is asked for anything."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS],
            env={"HOME": home, "TZ": "Europe/Berlin", "LANG": "C.UTF-8"},
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Look:
    """What a browser did while it looked: requests elsewhere, complaints of the console, refusals of the policy."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.elsewhere and not self.complaints


@contextlib.contextmanager
def looking(
    browser: Browser,
    room: OpenConsole,
    role: str = "administrator",
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    home: str = "default",
    script: bool = True,
    scale: float = 1,
) -> Iterator[Look]:
    """Open a window in which somebody of this role is signed in; ``role`` ``""``: nobody."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=script,
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    try:
        if role:
            secret = room.secret_of(role, home)
            context.add_cookies([{"name": "mailveil-session", "value": secret, "url": room.url}])
        page = context.new_page()
        look = Look(page)
        page.on("console", lambda said: look.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: look.complaints.append(str(error)))
        page.on("requestfailed", lambda request: look.complaints.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((room.url, "data:")) else look.elsewhere.append(request.url)
            ),
        )
        page.set_default_timeout(PATIENCE_S * 1000)
        yield look
    finally:
        context.close()


def sqlite_place(folder: Path) -> DatabasePlace:
    """Make an SQLite database outside of a test's fixtures, with all tables."""
    from sqlalchemy import create_engine

    from mailveil.adapters.database.tables import metadata

    path = folder / "mailveil.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return DatabasePlace(f"sqlite:///{path}", "sqlite")
