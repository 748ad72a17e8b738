"""A room with the console over a real database, and browsers that walk through it by HTTP without a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from html import unescape
from typing import TYPE_CHECKING, Any

import httpx

from control_room import ControlRoomForTests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailveil.control.records import User
    from mailveil.endpoints.web.console.application import Console
    from mailveil.endpoints.web.console.facts import ConsoleFacts

PASSWORD = "wading heron at dusk"
COST = {"memory_kib": 64, "rounds": 1}  # cheap: what is tried is not Argon2


def console_facts(**changes: Any) -> ConsoleFacts:
    from mailveil.endpoints.web.console.facts import ConsoleFacts, Listening

    facts = ConsoleFacts(
        version="9.9",
        listening=(Listening("gateway", "127.0.0.1:2525", "takes mail"),),
        next_hop="maildir:/somewhere",
        copies_url="http://copies.example:8081",
        copies_mode="hosted",
        fetching=True,
        try_command="mailveil try",
        postfix_recipe="postconf -e <x>",
        directory="/state",
        host_names=frozenset({"localhost", "127.0.0.1", "::1", "console.example.org"}),
        console_url="http://localhost:8080",
    )
    return replace(facts, **changes)


@dataclass
class Browser:
    """A browser with its own cookies, at one address. It sends what browsers send with a form."""

    client: httpx.AsyncClient
    origin: str
    page: str = ""

    async def get(self, path: str, **fields: str) -> httpx.Response:
        answer = await self.client.get(path, headers={"Sec-Fetch-Site": "none", **fields})
        self.page = answer.text
        return answer

    async def post(self, path: str, form: Mapping[str, Any] | None = None, **fields: str) -> httpx.Response:
        """Send a form as it stands on the page looked at, its token included."""
        token = self.token()
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **fields}
        answer = await self.client.post(
            path, data={**({"csrf": token} if token else {}), **(form or {})}, headers=headers
        )
        self.page = answer.text
        return answer

    async def follow(self, answer: httpx.Response) -> httpx.Response:
        """Go where an answer leads."""
        while answer.is_redirect:
            answer = await self.get(answer.headers["location"])
        return answer

    def token(self) -> str:
        found = re.search(r'name="csrf" value="([^"]*)"', self.page)
        return unescape(found[1]) if found else ""

    async def sign_in(
        self, name: str, password: str = PASSWORD, next_path: str = "/account"
    ) -> httpx.Response:
        await self.get("/sign-in")
        answer = await self.post("/sign-in", {"name": name, "password": password, "next": next_path})
        return await self.follow(answer)


@dataclass
class ConsoleRoom:
    """A console with its control room."""

    control: ControlRoomForTests
    console: Console
    app: Any
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self, address: str = "192.0.2.7", origin: str = "") -> Browser:
        origin = origin or self.console.facts.console_url
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=(address, 40_000)), base_url=origin, timeout=60
        )
        self.clients.append(client)
        return Browser(client, origin)

    async def user(self, name: str, role: str = "administrator", home: str = "*", **more: Any) -> User:
        hashed = await self.console.signing_in.passwords.hash(PASSWORD)
        return await self.control.user(name, role, home, password_hash=hashed, **more)


@asynccontextmanager
async def console_room(
    control: ControlRoomForTests, *, modules: Sequence[Any] | None = None, openid: Any = None, **facts: Any
) -> AsyncIterator[ConsoleRoom]:
    """Open the console of a control room, behind the guard that it has in earnest."""
    from mailveil.control.passwords import Passwords
    from mailveil.control.signing_in import SigningIn
    from mailveil.endpoints.web.console.application import MODULES, Console
    from mailveil.endpoints.web.site import build_site

    known = console_facts(**facts)
    signing_in = SigningIn(control.room, Passwords(**COST))
    console = Console(
        control.room, known, signing_in, modules=MODULES if modules is None else modules, openid=openid
    )
    made = ConsoleRoom(
        control, console, build_site(known.host_names, console.application(), is_https=known.is_https)
    )
    try:
        yield made
    finally:
        await asyncio.gather(*(each.aclose() for each in made.clients))
