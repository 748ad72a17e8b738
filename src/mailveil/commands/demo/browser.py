"""Browser: Chromium, found on this machine and told over a pair of pipes what to show (DevTools protocol)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from typing import Any

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "brave-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--metrics-recording-only",
    "--mute-audio",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features="
    + ",".join(
        (
            "HttpsUpgrades",
            "HttpsFirstBalancedModeAutoEnable",
            "OptimizationHints",
            "MediaRouter",
            "Translate",
            "AutofillServerCommunication",
            "DnsOverHttps",
            "LocalNetworkAccessChecks",
        )
    ),
)
# The browser reads commands on descriptor 3 and answers on 4, whatever ours are called.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
IS_THERE = """(() => {
  const shown = document.querySelector("iframe")?.contentDocument;
  return !!shown && shown.URL.endsWith("/body") && shown.readyState !== "loading";
})()"""
START_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 30.0
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class BrowserError(Exception):
    """The browser does not start, has ended, or refuses a command."""


def find_browser() -> str:
    """Return the path of a browser that can be told what to show, ``""`` where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), "")


class Browser:
    """One browser process with a profile of its own. Use as ``async with``. Raises ``BrowserError``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.product = ""
        self._profile = tempfile.TemporaryDirectory(prefix="mailveil-browser-", ignore_cleanup_errors=True)
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._serial = 0

    async def __aenter__(self) -> Browser:
        try:
            await self._start()
            async with asyncio.timeout(START_TIMEOUT_S):
                version = await self.command("Browser.getVersion")
        except (OSError, TimeoutError, BrowserError) as error:
            await self.__aexit__()
            raise BrowserError(f"{self.path} does not start: {error or 'no answer'}") from error
        name = self.path.rpartition("/")[2].replace("-", " ").capitalize()
        self.product = f"{name} {str(version['product']).rpartition('/')[2]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None and not self._writer.transport.is_closing():
            self._writer.transport.abort()
        self._profile.cleanup()

    async def _start(self) -> None:
        commands, tell = (_high(each) for each in os.pipe())
        listen, answers = (_high(each) for each in os.pipe())
        flags = [*FLAGS, f"--user-data-dir={self._profile.name}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            flags.append(
                "--no-sandbox"
            )  # Chromium refuses to start with it for root; it only shows our own letters
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", LAUNCH, str(commands), str(answers), self.path),
                *flags,
                "about:blank",
                pass_fds=(commands, answers),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(commands)
            os.close(answers)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(tell, "wb", 0)
        )
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(listen, "rb", 0))
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                message = json.loads((await reader.readuntil(b"\0"))[:-1])
                waiting = self._waiting.pop(message.get("id", 0), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrowserError("it has ended"))

    async def command(
        self, method: str, parameters: dict[str, Any] | None = None, session: str = ""
    ) -> dict[str, Any]:
        """Send one command and return its result."""
        if self._writer is None or (self._reading is not None and self._reading.done()):
            raise BrowserError("it has ended")
        self._serial += 1
        message: dict[str, Any] = {"id": self._serial, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        waiting = self._waiting[self._serial] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                answer = await waiting
        except TimeoutError as error:
            raise BrowserError(f"no answer to {method}") from error
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message', 'refused')}")
        result: dict[str, Any] = answer["result"]
        return result

    async def profile(self, proxy: str) -> str:
        """Make a profile apart, whose network is behind a proxy; return its name."""
        made = await self.command(
            "Target.createBrowserContext", {"proxyServer": proxy, "disposeOnDetach": False}
        )
        return str(made["browserContextId"])

    async def page(self, profile: str, agent: str, size: tuple[int, int], *, mobile: bool) -> Page:
        """Open an empty page that calls itself ``agent``."""
        target = await self.command(
            "Target.createTarget", {"url": "about:blank", "browserContextId": profile}
        )
        identifier = str(target["targetId"])
        attached = await self.command("Target.attachToTarget", {"targetId": identifier, "flatten": True})
        page = Page(self, identifier, str(attached["sessionId"]))
        await page.command("Emulation.setUserAgentOverride", {"userAgent": agent})
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": mobile}
        await page.command("Emulation.setDeviceMetricsOverride", screen)
        await page.command("Page.enable")
        return page


class Page:
    """One open page."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    async def command(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command about this page."""
        return await self._browser.command(method, parameters, self._session)

    async def show(self, url: str) -> None:
        """Go to an address, until the document in its frame is there; what that loads goes on loading."""
        await self.command("Page.navigate", {"url": url})
        end = time.monotonic() + COMMAND_TIMEOUT_S
        while time.monotonic() < end:
            found = await self.command("Runtime.evaluate", {"expression": IS_THERE, "returnByValue": True})
            if found["result"].get("value") is True:
                return
            await asyncio.sleep(0.1)
        raise BrowserError("the message does not load")

    async def picture(self) -> bytes:
        """Return what is to be seen, as PNG."""
        taken = await self.command("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(taken["data"])

    async def print(self) -> None:
        """Print it, to nowhere."""
        await self.command("Page.printToPDF", {})

    async def close(self) -> None:
        """Close it, and with it every connection that it has."""
        await self._browser.command("Target.closeTarget", {"targetId": self._target})


def _high(descriptor: int) -> int:
    """Return the same pipe under a number that is in nobody's way."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return moved
