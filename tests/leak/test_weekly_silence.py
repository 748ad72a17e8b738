"""Setup: a weekly report full of hostile texts, as one HTML file, in a browser whose whole network is a trap.

Test: it is scrolled, hovered over and printed, in light and dark, and contacts nobody; without its escaping it would.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from leak.reader import Document
from mailveil.endpoints.web.weekly import Form, write_report
from weekly_room import hostile_report

if TYPE_CHECKING:
    from control_room import ControlRoomForTests
    from leak.sealed_room import SealedRoom

LURE = b'<img src="https://evil.example/x.png">'


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_report_in_a_file_contacts_nobody(
    room: SealedRoom, control_room: ControlRoomForTests, *, dark: bool
) -> None:
    body = write_report(asyncio.run(hostile_report(control_room)), Form.HTML).body

    def contacts(shown: bytes) -> list[object]:
        job = Document(shown, "text/html; charset=utf-8").job("weekly", dark=dark, scripts=True, wait_ms=120)
        return list(room.show(job)["contacts"])

    assert contacts(body) == []
    # Its own policy holds back even what its escaping would have let through.
    assert contacts(body.replace(b"<main>", b"<main>" + LURE)) == []
    start, end = body.index(b"<meta http-equiv"), body.index(b'<meta name="viewport"')
    assert contacts((body[:start] + body[end:]).replace(b"<main>", b"<main>" + LURE)) != []
