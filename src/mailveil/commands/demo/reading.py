"""Reading: both mailboxes are opened at the same time, message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from mailveil.commands.demo.browser import Browser, BrowserError
from mailveil.commands.demo.letters import Letter
from mailveil.commands.demo.readers import LAPTOP, PHONE, BrowserReader, Reader, SimulatedReader
from mailveil.commands.demo.webmail import WebMail
from mailveil.lab import Lab

PRINTED, READ_AGAIN = "invitation", "invoice"


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox with its two readers; ``messages`` in the order of the letters."""

    name: str
    messages: tuple[bytes, ...]
    laptop: Reader
    phone: Reader


async def open_boxes(
    stack: AsyncExitStack,
    lab: Lab,
    mailboxes: Mapping[str, tuple[bytes, ...]],
    browser_path: str,
    *,
    say: Callable[[str], None],
) -> tuple[tuple[Box, ...], str]:
    """Return the mailboxes with their readers, and the name of the browser (``""``: simulated clients).

    Each reader has an access line of its own, called after mailbox and device.
    """
    browser: Browser | None = None
    if browser_path:
        try:
            browser = await stack.enter_async_context(Browser(browser_path))
            say(f"{browser.product} opens both mailboxes")
        except BrowserError as error:
            say(str(error))
    if browser is None:
        say("No browser: a simulated mail client fetches what clients would")
    boxes = []
    for name, messages in mailboxes.items():
        readers: list[Reader] = []
        for device, kind in ((LAPTOP, "laptop"), (PHONE, "phone")):
            line = await lab.line(f"{name} {kind}", device.address)
            if browser is None:
                readers.append(SimulatedReader(line, device))
            else:
                profile = await browser.profile(f"socks5://{line.host}:{line.port}")
                readers.append(BrowserReader(browser, profile, device))
        boxes.append(Box(name, messages, readers[0], readers[1]))
    return tuple(boxes), browser.product if browser else ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the messages are read. ``pictures`` are what was to be seen, by mailbox and letter."""

    written: Sequence[Letter]
    mail: WebMail
    port: int
    seconds: float
    say: Callable[[str], None]
    pictures: dict[str, bytes] = field(default_factory=dict)

    async def read(self, boxes: Sequence[Box]) -> None:
        """Have every message read in all mailboxes at the same time. Raises ``BrowserError``."""
        for number, letter in enumerate(self.written):
            printing = letter.name == PRINTED
            self.say(
                f"Dana reads “{letter.subject}” for {self.seconds:g} s"
                + (", and prints it" if printing else "")
            )
            shown = await asyncio.gather(
                *(self._open(box, number, box.laptop, printing=printing) for box in boxes)
            )
            self.pictures.update(
                {
                    f"{box.name}/{letter.name}": picture
                    for box, picture in zip(boxes, shown, strict=True)
                    if picture
                }
            )
        number = next(number for number, letter in enumerate(self.written) if letter.name == READ_AGAIN)
        self.say(f"Dana reads “{self.written[number].subject}” once more, on the telephone in a hotel")
        await asyncio.gather(*(self._open(box, number, box.phone) for box in boxes))

    async def _open(self, box: Box, number: int, reader: Reader, *, printing: bool = False) -> bytes:
        path = f"/{box.name}/{number}"
        self.mail.put(path, box.messages[number])
        url = f"http://127.0.0.1:{self.port}{path}"
        return await reader.open(url, box.messages[number], self.seconds, printing=printing)
