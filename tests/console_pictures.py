"""Pictures of the console for its documentation, made from a month of made-up mail: ``make pictures``.

Writes ``docs/images/console-*.png``, each at most 150 kB. Everything runs on this machine; nothing is contacted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from console_activities import furnish_feeds, furnish_sharing, furnish_spies, spies, spying_mail
from console_demo import demo_health, furnish, month_of_mail, prepare
from console_window import Look, OpenConsole, browser_room, looking, open_console, sqlite_place
from control_room import NOW, ControlRoomForTests
from mailveil.adapters.database import tables

IMAGES = Path(__file__).parent.parent / "docs" / "images"
MAX_BYTES = 150_000
COLOURS = 256


@dataclass(frozen=True)
class Picture:
    """One picture: ``name``, what stands in the address bar, and how the window is."""

    name: str
    path: str
    width: int = 1280
    height: int = 900
    scheme: str = "light"
    whole: bool = False
    opens: str = ""  # what is unfolded before
    shown: bool = False  # in the documentation; the others are for looking at what was built


def pictures(room: OpenConsole) -> Iterator[Picture]:
    """Give every picture that the documentation shows."""
    message = message_with_story(room)
    yield Picture("overview", "/?period=30d", height=1180, shown=True)
    yield Picture("overview-dark", "/?period=30d", height=1180, scheme="dark", shown=True)
    yield Picture("overview-phone", "/?period=7d", width=360, height=780, shown=True)
    loud = spies()[0].identifier
    yield Picture("watching", "/watching", height=1050, shown=True)
    yield Picture("watching-phone", "/watching", width=360, height=780, scheme="dark")
    yield Picture("activity", f"/watching/{loud}", height=1250, shown=True)
    yield Picture("activity-dark", f"/watching/{loud}", height=1250, scheme="dark")
    yield Picture("infrastructure", f"/watching/{loud}#infrastructure", height=620, shown=True)
    yield Picture("campaigns", "/campaigns")
    yield Picture("marked", "/people/marked")
    yield Picture("sharing", "/sharing", height=1000)
    yield Picture("destination", "/sharing/destinations/new?kind=syslog", height=1200)
    yield Picture("messages", "/messages?only=trackers")
    yield Picture("message", f"/messages/{message}", height=1200, shown=True)
    yield Picture("fetch", f"/messages/{message}#reference-0", height=1000, opens="details.story", shown=True)
    yield Picture("trackers", "/trackers")
    yield Picture("operator", "/operators/Mailchimp", height=1100)
    yield Picture("operators", "/operators")
    yield Picture("policy", "/policy", height=1150, shown=True)
    yield Picture("rule", "/policy/rules/board", height=1300)
    yield Picture("policy-document", "/policy/document")
    yield Picture("history", "/policy/history")
    yield Picture("explain", f"/policy/explain?message={message}&reference=0", height=1100)
    yield Picture("allow", "/allow")
    yield Picture("reports", "/reports")
    yield Picture("report", f"/reports/{report_waiting(room)}")
    yield Picture("try", "/policy/try", height=1150)
    yield Picture("health", "/health", shown=True)
    yield Picture("health-dark", "/health", scheme="dark")


def message_with_story(room: OpenConsole) -> str:
    """Return the identifier of a message of which the demonstration knows what fetching showed."""
    from mailveil.control.records import Cut, MessageQuery

    page = room.run(room.room.observations.messages("default", MessageQuery(text="briefing"), Cut(1)))
    return page.items[0].identifier


def report_waiting(room: OpenConsole) -> str:
    """Return the identifier of a report that nobody has decided about."""
    from mailveil.control.records import Cut

    return room.run(room.room.feedback.reports("default", Cut(1))).items[0].identifier


async def leave_nothing_to_study(made: ControlRoomForTests) -> None:
    """Have everything pass for studied: what studying finds was written down already."""
    async with made.database.write() as connection:
        await connection.execute(sa.delete(tables.unstudied))


@contextmanager
def demo_room(count: int = 1400) -> Iterator[OpenConsole]:
    """Open a console with the demonstration's mail, people and rules."""
    with tempfile.TemporaryDirectory() as folder:
        place = sqlite_place(Path(folder))
        with open_console(place, health=demo_health, **prepare()) as room:
            room.observe([*month_of_mail(NOW, count), *spying_mail(NOW)])
            for work in (furnish, furnish_spies, furnish_sharing, furnish_feeds, leave_nothing_to_study):
                room.run(work(room.made))
            yield room


def take(look: Look, room: OpenConsole, picture: Picture, path: Path) -> None:
    """Take one picture and make its file small."""
    look.page.goto(room.url + picture.path)
    if picture.opens:
        for each in look.page.locator(picture.opens).all():
            each.evaluate("each => { each.open = true; }")
    look.page.screenshot(path=path, full_page=picture.whole)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    """Take the pictures of the documentation, all, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="pictures to take; those of the documentation without")
    parser.add_argument("--all", action="store_true", help="those that the documentation does not show, too")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder to write to")
    wanted = parser.parse_args()
    wanted.to.mkdir(parents=True, exist_ok=True)
    too_large = []
    with demo_room() as room, browser_room() as browser:
        for picture in pictures(room):
            if picture.name not in wanted.names if wanted.names else not (picture.shown or wanted.all):
                continue
            path = wanted.to / f"console-{picture.name}.png"
            shape = {"width": picture.width, "height": picture.height, "scheme": picture.scheme}
            with looking(browser, room, **shape) as look:  # type: ignore[arg-type]
                take(look, room, picture, path)
                if not look.is_clean:
                    print(f"{picture.name}: {look.elsewhere} {look.complaints}", file=sys.stderr)
            print(f"{path}  {path.stat().st_size:,} bytes")
            if path.stat().st_size > MAX_BYTES:
                too_large.append(picture.name)
    if too_large:
        print(f"larger than {MAX_BYTES:,} bytes: {', '.join(too_large)}", file=sys.stderr)
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
