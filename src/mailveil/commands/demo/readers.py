"""Readers: whoever opens the mail of the demonstration, in a real browser or in a simulated mail client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from mailveil.commands.demo.browser import Browser, Page
from mailveil.core.message.parse import parse_message
from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references.css import find_in_css
from mailveil.core.references.search import SearchSettings, find_references
from mailveil.core.references.types import COPYABLE, Findings, Scope, Vector
from mailveil.lab.line import Line

LOOK_UPS = frozenset({Vector.LINK_DNS_PREFETCH, Vector.LINK_PRECONNECT})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_BODY_BYTES = 1 << 20
MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Device:
    """What somebody reads mail on: what it calls itself, its screen, and the address it comes from."""

    name: str
    agent: str
    address: str
    size: tuple[int, int]
    mobile: bool = False


LAPTOP = Device(
    "laptop",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "198.51.100.23",
    (720, 640),
)
PHONE = Device(
    "telephone",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "203.0.113.99",
    (390, 640),
    mobile=True,
)
# The demonstration's geography. The addresses are of those reserved for documentation (RFC 5737).
PLACES = {
    LAPTOP.address: "office network, Hamburg",
    PHONE.address: "hotel network, Lisbon",
    "192.0.2.25": "mail gateway",
}


class Reader(Protocol):
    """Somebody with a device."""

    async def open(self, url: str, raw: bytes, seconds: float, *, printing: bool = False) -> bytes:
        """Read the message ``raw``, which the web mail shows at ``url``, for so long; return a picture of it."""
        ...


class BrowserReader:
    """Reads in the browser, through the device's own line."""

    def __init__(self, browser: Browser, profile: str, device: Device) -> None:
        self._browser = browser
        self._profile = profile
        self._device = device

    async def open(self, url: str, raw: bytes, seconds: float, *, printing: bool = False) -> bytes:
        """Show the message in a new page, keep it open, print it perhaps, and close it."""
        del raw
        device = self._device
        page: Page = await self._browser.page(self._profile, device.agent, device.size, mobile=device.mobile)
        await page.show(url)
        await asyncio.sleep(seconds)
        picture = await page.picture()
        if printing:
            await page.print()
            await asyncio.sleep(1)
        await page.close()
        return picture


class SimulatedReader:
    """Fetches what mail clients would, found by mailveil's own engine, as long as the message is open.

    It knows no difference between showing and printing: what style sheets refer to is fetched, all of it.
    """

    def __init__(self, line: Line, device: Device) -> None:
        self._line = line
        self._device = device

    async def open(self, url: str, raw: bytes, seconds: float, *, printing: bool = False) -> bytes:
        """Fetch and keep fetching; there is no picture."""
        del url, printing
        found = find_references(parse_message(raw), SearchSettings()).findings.references
        looked_up = {host_of(each.url) for each in found if each.vector in LOOK_UPS}
        fetched = {each.url for each in found if each.vector in COPYABLE}
        work = [*(self._look_up(host) for host in looked_up), *(self._fetch(each) for each in fetched)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*work)
                await asyncio.sleep(seconds)
        return b""

    async def _look_up(self, host: str) -> None:
        if host:
            await self._line.look_up(host)

    async def _fetch(self, url: str, *, nested: bool = True) -> None:
        for _ in range(MAX_REDIRECTS):
            try:
                status, fields, body = await self._get(url)
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                return
            if status in REDIRECTS and "location" in fields:
                url = urljoin(url, fields["location"])
                continue
            if nested and "css" in fields.get("content-type", ""):
                await asyncio.gather(*(self._fetch(each, nested=False) for each in references_of(body, url)))
            return

    async def _get(self, url: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        if parts.scheme != "http":
            raise ValueError("the demonstration's mail refers to http alone")
        connect: Callable[[str, int], object] = (
            asyncio.open_connection if is_loopback(host) else self._line.connect
        )
        reader, writer = await connect(host, port)  # type: ignore[misc]
        try:
            target = url[url.index(parts.netloc) + len(parts.netloc) :] or "/"
            head = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: {self._device.agent}\r\n"
            writer.write(f"{head}Accept: */*\r\nConnection: close\r\n\r\n".encode())
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = {
                name.lower(): value.strip()
                for name, colon, value in (line.partition(":") for line in lines)
                if colon
            }
            body = bytearray()
            while data := await reader.read(65536):
                body += data[: MAX_BODY_BYTES - len(body)]
            return int(lines[0].split(" ")[1]), fields, bytes(body)
        finally:
            writer.transport.abort()


def references_of(sheet: bytes, url: str) -> Iterable[str]:
    """Return the addresses that a style sheet refers to."""
    findings = Findings()
    find_in_css(Text(sheet.decode("latin-1"), Source(sheet)), Scope("1", findings, base=url))
    return {each.url for each in findings.references}


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: our own copies server."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host of a URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
