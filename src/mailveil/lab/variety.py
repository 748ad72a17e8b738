"""Variety: what generated origins are drawn from, so that a lesson is not learned of a few names by heart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from mailveil.lab.content import PIXEL_GIF, hero_jpeg, logo_png, plain_png
from mailveil.lab.exchange import Answer, Exchange
from mailveil.lab.origin import TOKEN, Origin, OriginKind

Fields = tuple[tuple[str, str], ...]

_WORDS = (
    "amber anchor apple aspen atlas autumn bamboo basalt beech birch bloom bridge brook candle "
    "canyon cedar cherry cliff cloud clover coast comet copper coral cotton crane crystal dawn delta "
    "drift dune ember falcon fern field flint forest fox garden ginger glacier grove gull harbour "
    "hazel heron hill indigo iris island ivory jade jasper juniper kelp lake lantern larch lark "
    "lemon lilac linden lotus lunar maple marble marsh meadow mint mirror moss north oak ocean olive "
    "onyx opal orchid otter pearl pebble pepper pine plum poppy prairie quartz quill rain raven reef "
    "ridge river robin rose sage sail salt sand shore silver sky slate snow spruce star stone summit "
    "swan thistle tide timber topaz tulip valley velvet violet walnut wave willow winter wren "
)
WORDS = tuple(_WORDS.split())
TRADES = (
    "shop",
    "travel",
    "bank",
    "books",
    "news",
    "foods",
    "games",
    "wear",
    "tools",
    "homes",
    "music",
    "cars",
)
SERVICES = (
    "metrics",
    "mail",
    "reach",
    "engage",
    "pulse",
    "signal",
    "crm",
    "loop",
    "desk",
    "cast",
    "flow",
    "send",
)
SERVERS = (
    "nginx",
    "nginx/1.24.0",
    "Apache",
    "Apache/2.4.57 (Debian)",
    "cloudflare",
    "openresty",
    "Microsoft-IIS/10.0",
)
VENDORS = ("sendgrid.net", "mailgun.org", "mandrillapp.com", "list-manage.com")
PATHS = ("img", "images", "assets", "static", "media", "files", "content", "u", "pub", "res")
NAMES = (
    "logo",
    "header",
    "hero",
    "banner",
    "footer",
    "offer",
    "team",
    "product",
    "photo",
    "icon",
    "map",
    "badge",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A body with its media type and the end of its name."""

    body: bytes
    media_type: str
    ending: str


PIXELS = (
    Picture(PIXEL_GIF, "image/gif", "gif"),
    Picture(plain_png(1, 1, (255, 255, 255)), "image/png", "png"),
    Picture(plain_png(2, 2, (255, 255, 255)), "image/png", "png"),
    Picture(plain_png(3, 1, (250, 250, 250)), "image/png", "png"),
)


class Draw:
    """Everything random about one origin; the same seed and number draw the same."""

    def __init__(self, seed: int, family: str, number: int) -> None:
        self.family = family
        self.number = number
        # Not for secrets: for reproducing them.
        self.random = Random(f"{seed} {family} {number}")  # noqa: S311
        self.word = f"{self.pick(WORDS)}{self.pick(WORDS)}"

    def pick(self, choices: Sequence[str]) -> str:
        """Return one of several."""
        return self.random.choice(choices)

    def often(self, share: float) -> bool:
        """Tell whether something is so that is so this often."""
        return self.random.random() < share

    def owner(self, kinds: Sequence[str] = TRADES) -> str:
        """Return a registrable domain that no other origin has."""
        return f"{self.word}-{self.pick(kinds)}{self.number}.example"

    def hexadecimal(self, digits: int) -> str:
        """Return random hexadecimal digits."""
        return f"{self.random.getrandbits(4 * digits):0{digits}x}"

    def picture(self) -> Picture:
        """Return something to look at."""
        width, height = self.random.randrange(200, 400, 20), self.random.randrange(24, 120, 8)
        hue = self.random.randrange(360)
        if self.often(0.5):
            return Picture(logo_png(width, height, hue), "image/png", "png")
        return Picture(hero_jpeg(width + 40, height + 40, hue), "image/jpeg", "jpg")

    def small(self) -> Picture:
        """Return something that is not there to be looked at."""
        return self.random.choice(PIXELS)

    def server(self) -> Fields:
        """Return who says to be answering."""
        return (("Server", self.pick(SERVERS)),) if self.often(0.8) else ()

    def date(self) -> str:
        """Return a date of change."""
        day, month = self.random.randrange(1, 29), self.pick(("Jan", "Mar", "May", "Jul", "Sep", "Nov"))
        return f"Tue, {day:02} {month} {self.random.randrange(2019, 2026)} {self.random.randrange(24):02}:12:07 GMT"

    def stored(self) -> Fields:
        """Return what is said of a file in a store: a date, a tag, for how long it may be kept."""
        fields: list[tuple[str, str]] = []
        if self.often(0.85):
            fields.append(("Last-Modified", self.date()))
        if self.often(0.8):
            fields.append(("ETag", f'"{self.hexadecimal(8)}-{self.hexadecimal(4)}"'))
        if self.often(0.75):
            age = self.pick(("3600", "86400", "604800", "31536000"))
            fields.append(("Cache-Control", self.pick(("max-age={}", "public, max-age={}")).format(age)))
        if self.often(0.5):
            fields.append(("Accept-Ranges", "bytes"))
        return (*fields, *self.server())

    def unkept(self) -> Fields:
        """Return what is said of an answer that is to be asked for again each time."""
        ways: tuple[Fields, ...] = (
            (("Cache-Control", "no-store, no-cache, must-revalidate, max-age=0"), ("Pragma", "no-cache")),
            (("Cache-Control", "no-cache, no-store, private"), ("Expires", "0")),
            (
                ("Cache-Control", "private, no-cache, proxy-revalidate"),
                ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ),
            (("Cache-Control", "max-age=0, private"),),
            (("Expires", "Mon, 26 Jul 1997 05:00:00 GMT"), ("Pragma", "no-cache")),
        )
        return (*self.random.choice(ways), *self.server())

    def image_tag(self, *, seen: bool, width: int = 0, height: int = 0) -> str:
        """Return the markup of a picture that is shown, or of one that is not."""
        if not seen:
            return self.pick(
                (
                    '<img src="{url}" width="1" height="1" alt="" border="0">',
                    '<img src="{url}" alt="" style="display:none">',
                    '<img src="{url}" width="1" height="1" style="display:block;width:1px;height:1px">',
                    '<img alt="" src="{url}" height="0" width="0">',
                    '<img src="{url}" style="max-height:1px;opacity:0" alt="">',
                    '<img src="{url}">',
                )
            )
        if width and height:
            return f'<img src="{{url}}" width="{width}" height="{height}" alt="{self.pick(NAMES).title()}">'
        return self.pick(
            ('<img src="{url}" alt="Picture">', '<img src="{url}" style="width:100%">', '<img src="{url}">')
        )

    def personal_path(self, ending: str) -> str:
        """Return a path or query that holds what tells recipients apart."""
        word = self.pick(("o", "open", "t", "e", "px", "r", "view", "img", "v2", "l", "w"))
        name = self.pick(NAMES)
        return self.random.choice(
            (
                f"/{word}/{TOKEN}.{ending}",
                f"/{word}/{self.number}/{TOKEN}",
                f"/{word}?id={TOKEN}",
                f"/{word}.php?c={self.random.randrange(9999)}&u={TOKEN}",
                f"/{self.pick(PATHS)}/{TOKEN}/{name}.{ending}",
                f"/{self.pick(PATHS)}/{name}.{ending}?r={TOKEN}",
                f"/{self.pick(PATHS)}/{name}-{TOKEN}.{ending}",
            )
        )

    def common_path(self, ending: str, *, name: str = "") -> str:
        """Return a path that is the same for everybody."""
        name = name or self.pick(NAMES)
        folder = self.pick(PATHS)
        return self.random.choice(
            (
                f"/{folder}/{name}.{ending}",
                f"/{folder}/{self.random.randrange(2022, 2027)}/{self.random.randrange(1, 13):02}/{name}.{ending}",
                f"/{folder}/{self.hexadecimal(16)}/{name}.{ending}",
                f"/{folder}/{self.hexadecimal(32)}.{ending}",
                f"/{folder}/{name}@2x.{ending}",
            )
        )

    def origin(
        self, kind: OriginKind, hosts: tuple[str, ...], path: str, answer: Answer, **more: object
    ) -> Origin:
        """Return the origin drawn."""
        scheme = str(more.pop("scheme", "https" if self.often(0.3) else "http"))
        return Origin(
            name=f"{self.family}-{self.number}",
            kind=kind,
            family=self.family,
            does=f"one of many: {self.family}",
            hosts=hosts,
            path=path,
            answer=answer,
            scheme=scheme,
            **more,  # type: ignore[arg-type]
        )


def replies(picture: Picture, fields: Fields, status: int = 200) -> Answer:
    """Return what answers everybody alike."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(picture.body, picture.media_type, fields, status)

    return answer


def token_in(exchange: Exchange) -> str:
    """Return what stands for the reader in a request: the longest run of hexadecimal digits of host and target."""
    text = f"{exchange.request.host} {exchange.request.target}"
    runs = "".join(each if each in "0123456789abcdef" else " " for each in text).split()
    return max(runs, key=len, default="")


def hue_of(token: str) -> int:
    """Return a colour that belongs to a reader."""
    return hashlib.sha256(token.encode()).digest()[0]
