"""Letters: what a sender's messages look like, and the raw bytes of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from mailveil.core.authentication import Authentication, DkimResult, Result, VouchedResult

PROSE = (
    "Thank you for your message of last week. We have gone through the figures with our people and think that the "
    "second proposal suits both sides better. Please let me know by Friday whether the dates are fine for you, and "
    "who else should be there. The drawings are in the folder that you know. We would then order the parts so that "
    "they are here in time. "
)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message. ``look`` is its attributes."""

    url: str
    look: str = 'width="160" height="48" alt="Logo"'


def pixel(url: str) -> Image:
    """Return a picture that nobody is to see."""
    return Image(url, 'width="1" height="1" alt=""')


@dataclass(frozen=True, slots=True)
class Letter:
    """What the messages of one sender have in common.

    ``author`` is the address of the From field, ``sender`` the reverse-path, ``signer`` the domain that signs
    (``""``: nobody). ``head`` holds further header fields, ``markup`` further HTML before the images. ``marks`` are the
    texts in it that each message has anew.
    """

    author: str
    sender: str = ""
    signer: str = ""
    images: tuple[Image, ...] = ()
    markup: str = ""
    text_characters: int = 600
    head: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()

    @property
    def reverse_path(self) -> str:
        """The address that bounces go to."""
        return self.sender or self.author


def render(letter: Letter, reader: str, subject: str) -> bytes:
    """Return a message as it would come in."""
    body = (PROSE * (letter.text_characters // len(PROSE) + 1))[: letter.text_characters].replace(
        ". ", ".\r\n"
    )
    images = "\r\n".join(f'<img src="{escape(each.url)}" {each.look}>' for each in letter.images)
    head = "".join(f"{name}: {value}\r\n" for name, value in letter.head.items())
    return (
        f"From: {letter.author}\r\nTo: {reader}\r\nSubject: {subject}\r\n"
        f"Message-ID: <made@{letter.author.rpartition('@')[2]}>\r\n{head}"
        "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        f"<html><body><p>{body}</p>{letter.markup}\r\n{images}</body></html>\r\n"
    ).encode()


def proof_of(letter: Letter) -> Authentication:
    """Return what authentication found out about who sent a letter."""
    domain = letter.author.rpartition("@")[2]
    if not letter.signer:
        return Authentication(1, (domain,), from_addresses=(letter.author,))
    aligned = letter.signer == domain or domain.endswith(f".{letter.signer}")
    signature = DkimResult(letter.signer, "", Result.PASS, "rsa-sha256", signs_from=True, aligned=aligned)
    spf = VouchedResult(Result.PASS, "mx.office.example", (("smtp.mailfrom", letter.reverse_path),))
    return Authentication(
        1, (domain,), dkim=(signature,), spf=spf, from_addresses=(letter.author,),
        dmarc=VouchedResult(Result.PASS if aligned else Result.NONE, "mx.office.example"),
    )  # fmt: skip
