"""Letters: the messages of the demonstration, as ordinary as those that spies write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from importlib import resources

from mailveil.lab import Lab

RECIPIENT = "dana.keller@riverside.example"
PLACE = re.compile(r"\[\[([a-z-]+)\]\]")


@dataclass(frozen=True, slots=True)
class Letter:
    """A message: ``origins`` are the lab's names of everything remote in it, in the order of the markup."""

    name: str
    title: str
    story: str
    sender: str
    subject: str
    html: str
    text: str

    @property
    def origins(self) -> tuple[str, ...]:
        """The lab's names of all that is remote in it."""
        return tuple(PLACE.findall(self.html))

    @property
    def envelope_sender(self) -> str:
        """The reverse-path."""
        return self.sender.rpartition("<")[2].rstrip(">")

    def raw(self, lab: Lab) -> bytes:
        """Return the message to the one recipient."""
        message = EmailMessage(policy=SMTP)
        message["From"] = self.sender
        message["To"] = f"Dana Keller <{RECIPIENT}>"
        message["Subject"] = self.subject
        message["Date"] = formatdate(localtime=True)
        message["Message-ID"] = f"<{self.name}.{id(self):x}@{self.envelope_sender.rpartition('@')[2]}>"
        message.set_content(self.text)
        html = PLACE.sub(lambda found: lab.html(found[1], RECIPIENT), self.html)
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        return message.as_bytes()


def letters() -> tuple[Letter, ...]:
    """Return all of them."""
    folder = resources.files("mailveil.commands.demo").joinpath("letters")

    def html(name: str) -> str:
        return folder.joinpath(f"{name}.html").read_text("utf-8")

    return (
        Letter(
            name="newsletter",
            title="A newsletter",
            story="Its logo, a pixel, a pixel under the sender's own name and a redirect through three companies.",
            sender="Harbour & Hill <news@harbourhill.example>",
            subject="Your August picks are here",
            html=html("newsletter"),
            text="Your August picks: https://shop.harbourhill.example/august\n",
        ),
        Letter(
            name="invoice",
            title="A fraudster's first mail",
            story="A silent sound that never ends: it tells how long the message is read, before the fraud is tried.",
            sender="Martin Vogel <m.vogel@northgate-supplies.example>",
            subject="Invoice 4471, new bank details",
            html=html("invoice"),
            text="Hello Dana, are you at the office this week? Kind regards, Martin Vogel\n",
        ),
        Letter(
            name="invitation",
            title="An invitation",
            story="No pixel that could be blocked: a style sheet, a font, a rule for the printer, and a host name "
            "that is the recipient's own.",
            sender="Customs House Events <events@customshouse.example>",
            subject="Supplier day, 12 October",
            html=html("invitation"),
            text="You are invited to our supplier day on 12 October.\n",
        ),
        Letter(
            name="parcel",
            title="A parcel notice",
            story="A picture made for the place where it is opened, one that marks the reader's cache, and an "
            "animation without end.",
            sender="Swiftpost <notice@swiftpost.example>",
            subject="Your parcel arrives tomorrow",
            html=html("parcel"),
            text="Your parcel arrives tomorrow: https://parcels.swiftpost.example/track\n",
        ),
    )
