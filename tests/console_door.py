"""The door of a console that really runs: somebody who signs in over HTTP, the way that the first one does."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from html import unescape
from typing import TYPE_CHECKING

import httpx

from mailveil.app.controlling import opened_room
from mailveil.control.access import command_line_actor
from mailveil.control.users import first_administrator_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailveil.config import Settings

NAME = "anna"
PASSWORD = "wading heron at dusk"


@asynccontextmanager
async def administrator(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Make the first administrator with a link from the command line, and give its browser, signed in."""
    async with opened_room(settings) as room:
        made = await first_administrator_link(room, command_line_actor("default", "test"))
    origin = f"http://127.0.0.1:{settings.console.listen.port}"
    async with httpx.AsyncClient(base_url=origin, headers={"Origin": origin}, timeout=120) as browser:
        form = {"name": NAME, "password": PASSWORD, "password_again": PASSWORD}
        answer = await browser.post(f"/link/{made.secret}", data=form)
        assert answer.status_code == 303, answer.text
        answer = await browser.post("/sign-in", data={"name": NAME, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        yield browser


async def token_of(browser: httpx.AsyncClient, path: str) -> str:
    """Return the token that forms on a page have."""
    found = re.search(r'name="csrf" value="([^"]*)"', (await browser.get(path)).text)
    assert found
    return unescape(found[1])
