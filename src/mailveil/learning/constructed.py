"""Constructed messages: trackers and honest content whose truth is known because we made them.

They stand for what collections of real mail hardly hold: newsletters of large mail services, fonts, style sheets,
sound and video that track, and honest look-alikes. The shapes follow what services document about themselves;
no address of any service or reader is in it.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from typing import Final

from mailveil.core.references.types import Vector
from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.learning.rows import CONTENT, TRACKER, Row

_ALPHANUMERIC: Final = string.ascii_letters + string.digits
_LOWER: Final = string.ascii_lowercase + string.digits
_SYLLABLES: Final = (
    "ba", "be", "co", "da", "do", "fe", "gra", "hi", "ka", "li", "lo", "ma", "mi", "no", "pa", "plo", "ra", "ri",
    "sa", "so", "sta", "ta", "ti", "tra", "vo", "wen", "xa", "zi",
)  # fmt: skip
_ENDINGS: Final = ("com", "net", "de", "io", "org", "co.uk", "fr", "shop", "info", "app")
_TRACKING_WORDS: Final = (
    "open", "track", "pixel", "o", "t", "beacon", "imp", "px", "trk", "opened", "read", "seen", "count", "e/o",
    "wf/open", "track/open", "email/open", "api/v1/open", "mo", "q", "v", "i", "tr/op", "op", "p", "c/o", "eo",
)  # fmt: skip
_TRACKING_FILES: Final = (
    "open.gif", "pixel.gif", "o.gif", "p.png", "open.php", "track.php", "t.aspx", "spacer.gif", "1x1.png", "b.gif",
    "image.png", "i.gif", "logo.png", "blank.gif", "o", "open", "",
)  # fmt: skip
_TRACKING_HOSTS: Final = (
    "track", "trk", "open", "click", "links", "email", "e", "t", "go", "mail", "news", "em", "r", "url1234", "ct",
    "m", "post", "info", "elink", "u12345.ct", "www", "",
)  # fmt: skip
_PARAMETERS: Final = (
    "id",
    "u",
    "m",
    "e",
    "t",
    "token",
    "uid",
    "mid",
    "cid",
    "s",
    "c",
    "r",
    "h",
    "upn",
    "d",
    "sid",
)
_PICTURES: Final = (
    "logo", "header", "hero", "banner", "footer", "facebook", "twitter", "instagram", "icon", "product", "team",
    "spring-sale", "arrow", "button", "bg", "divider", "avatar", "photo_1", "newsletter-2024-11", "IMG_20240312",
    "open-house", "read-more", "track-and-field", "pixel-art", "opening_hours", "counter-top",
)  # fmt: skip
_CONTENT_HOSTS: Final = (
    "cdn", "images", "img", "static", "assets", "media", "files", "content", "s3", "i", "d1a2b3c4d5e6f7", "www",
    "pics", "res", "email-assets", "image.mail", "",
)  # fmt: skip
_IMAGES: Final = frozenset({Vector.IMG_SRC, Vector.IMG_SRCSET})
_CONTENT_PATHS: Final = (
    "/images", "/img", "/assets", "/uploads/2024/11", "/wp-content/uploads/2023/05", "/media", "/newsletter",
    "/static/mail", "/emails/spring", "/accounts/8812/files", "", "/templates/default", "/logos",
)  # fmt: skip


class Maker:
    """Makes rows from one source of chance, so that the same seed makes the same rows."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"{seed} constructed")  # noqa: S311 - repeatable on purpose, no secret
        self.number = 0

    def one(self, choices: tuple[str, ...]) -> str:
        """Return one of several."""
        return self.chance.choice(choices)

    def domain(self) -> str:
        """Return a domain that sounds like one."""
        name = "".join(self.chance.choice(_SYLLABLES) for _ in range(self.chance.randint(2, 4)))
        return f"{name}{self.chance.choice(('', '', '-mail', 'shop', '24'))}.{self.one(_ENDINGS)}"

    def letters(self, alphabet: str, length: int) -> str:
        """Return random characters."""
        return "".join(self.chance.choice(alphabet) for _ in range(length))

    def token(self) -> str:
        """Return what tells one reader of one message from all others."""
        chance = self.chance
        kinds: tuple[Callable[[], str], ...] = (
            lambda: self.letters("0123456789abcdef", chance.choice((16, 24, 32, 40, 64))),
            lambda: self.letters(_ALPHANUMERIC + "-_", chance.randint(20, 120)),
            lambda: base64.b64encode(chance.randbytes(chance.randint(12, 60))).decode().rstrip("="),
            lambda: "-".join(self.letters("0123456789abcdef", length) for length in (8, 4, 4, 4, 12)),
            lambda: self.letters(_ALPHANUMERIC, chance.randint(8, 16)),
            lambda: self.letters(_LOWER, chance.randint(8, 14)),
            lambda: self.letters("123456789", chance.randint(6, 12)),
        )
        weights = (4, 5, 2, 3, 3, 2, 2)
        return chance.choices(kinds, weights)[0]()

    def host(self, labels: tuple[str, ...], domain: str) -> str:
        """Return a host name below a domain."""
        label = self.one(labels)
        return f"{label}.{domain}" if label else domain

    def tracking_url(self, domain: str) -> str:
        """Return the URL of an open tracker."""
        chance = self.chance
        host = self.host(_TRACKING_HOSTS, domain)
        word, file, token = self.one(_TRACKING_WORDS), self.one(_TRACKING_FILES), self.token()
        first, second = chance.sample(_PARAMETERS, 2)
        numbers = [self.letters("123456789", chance.randint(2, 8)) for _ in range(5)]
        shapes = (
            f"/{word}/{token}",
            f"/{word}/{token}/{file}",
            f"/{word}/{file}?{first}={token}",
            f"/{file or word}?{first}={token}&{second}={numbers[0]}",
            f"/{word}.gif?{first}={token}",
            f"/{token}.gif",
            f"/{token}",
            f"/{word}/{'/'.join(numbers)}",
            f"/{word}/{numbers[0]}/{numbers[1]}/{self.letters(_LOWER, 8)}",
            f"/{file or 'o.php'}?{first}={numbers[0]}&{second}={numbers[3]}{numbers[4]}",
            f"/{self.letters(_LOWER, 2)}/{word}/{token}/{self.token()}",
            f"/images/{token}/{file or 'logo.png'}",
            f"/{word}/{numbers[0]}_md/{numbers[1]}/{numbers[2]}/{numbers[3]}",
        )
        weights = (6, 4, 4, 4, 3, 2, 3, 2, 2, 2, 2, 2, 1)
        return f"{chance.choice(('https', 'https', 'https', 'http'))}://{host}{chance.choices(shapes, weights)[0]}"

    def content_url(self, domain: str, ending: str = "") -> str:
        """Return the URL of a picture that is the same for everybody."""
        chance = self.chance
        host, path, name = self.host(_CONTENT_HOSTS, domain), self.one(_CONTENT_PATHS), self.one(_PICTURES)
        ending = ending or chance.choice(("png", "png", "jpg", "jpeg", "gif", "webp"))
        code = self.letters("0123456789abcdef", chance.choice((16, 20, 32, 40)))
        uuid = "-".join(self.letters("0123456789abcdef", length) for length in (8, 4, 4, 4, 12))
        shapes = (
            f"{path}/{name}.{ending}",
            f"{path}/{code}.{ending}",
            f"{path}/{uuid}/{name}.{ending}",
            f"{path}/{code}/original.{ending}",
            f"{path}/{self.letters(_ALPHANUMERIC, 22)}/{name}.{ending}",
            f"/cdn-cgi/image/width={chance.choice((300, 600))},quality=85{path}/{name}.{ending}",
            f"/image/upload/w_600,c_limit/v{self.letters('123456789', 10)}/{name}.{ending}",
            f"{path}/{name}_{self.letters('0123456789', 8)}_600x.{ending}",
            f"{path}/{uuid}.{ending}",
            f"/{self.letters('0123456789', 7)}/{self.letters(_ALPHANUMERIC, 12)}/{name}.{ending}",
        )
        return f"https://{host}{chance.choices(shapes, (8, 3, 2, 2, 2, 2, 2, 2, 2, 1))[0]}"

    def unseen(self) -> dict[str, str]:
        """Return the attributes of a picture that nobody is to see, or that says nothing of its size."""
        return self.chance.choice((
            {"width": "1", "height": "1"}, {"width": "1", "height": "1", "alt": "", "border": "0"},
            {"width": "1px", "height": "1px", "style": "display:block"}, {"style": "display:none"},
            {"width": "0", "height": "0"}, {"style": "width:1px;height:1px"}, {"height": "1", "width": "1"},
            {"style": "max-height:1px;max-width:1px;opacity:0"}, {"alt": ""}, {}, {"width": "2", "height": "2"},
            {"style": "position:absolute;left:-9999px", "alt": ""}, {"height": "1"}, {"width": "3", "height": "3"},
        ))  # fmt: skip

    def seen(self) -> dict[str, str]:
        """Return the attributes of a picture that readers are to see."""
        width = self.chance.choice((16, 24, 32, 40, 64, 120, 150, 200, 280, 300, 560, 600, 640))
        text = self.one(("", "Logo", "Header", "Read more", "Product", "Facebook"))
        made = {"width": str(width), "alt": text, "border": "0", "style": "display:block"}
        if self.chance.random() < 0.5:
            made["height"] = str(max(16, width // self.chance.randint(1, 4)))
        for name in ("alt", "border", "style"):
            if self.chance.random() < 0.3:
                del made[name]
        if self.chance.random() < 0.25:
            made["class"] = "mobile-image"
        return made

    def trackers(self, vendor: str) -> tuple[str, Vector, str, dict[str, str]]:
        """Return a tracker: its family, vector, URL and attributes."""
        url = self.tracking_url(vendor)
        query = "&" if "?" in url else "?"
        choices: tuple[tuple[str, Vector, str, dict[str, str]], ...] = (
            ("pixel", Vector.IMG_SRC, url, self.unseen()),
            ("font", Vector.CSS_FONT, f"{url}{query}f=sans.woff2", {}),
            ("sheet", Vector.LINK_STYLESHEET, url, {"rel": "stylesheet"}),
            ("import", Vector.CSS_IMPORT, url, {}),
            ("background", Vector.CSS_URL, url, {"style": "width:1px;height:1px"}),
            ("sound", Vector.AUDIO_SRC, url, {"autoplay": "", "style": "display:none"}),
            ("video", Vector.VIDEO_SRC, url, {"autoplay": "", "muted": "", "width": "1", "height": "1"}),
            ("input", Vector.INPUT_SRC, url, {"type": "image", "width": "1", "height": "1"}),
            ("cell", Vector.BACKGROUND, url, {"width": "1", "height": "1"}),
        )
        return self.chance.choices(choices, (12, 1, 1, 1, 1, 1, 1, 1, 1))[0]

    def contents(self, domain: str) -> tuple[str, Vector, str, dict[str, str]]:
        """Return honest content: its family, vector, URL and attributes."""
        chance = self.chance
        url = self.content_url(domain)
        spacer = f"https://{self.host(_CONTENT_HOSTS, domain)}{self.one(_CONTENT_PATHS)}/" + self.one((
            "spacer.gif", "blank.gif", "pixel.gif", "shim.gif", "transparent.png", "dot.gif", "1x1.gif", "trans.gif",
            "space.png", "clear.gif", "line.gif", "corner_l.gif", "px.png",
        ))  # fmt: skip
        tiny = chance.choice(({"width": "1", "height": "1"}, {"width": "1", "height": str(chance.randint(4, 40))},
                              {"width": str(chance.randint(10, 600)), "height": "1"},
                              {"width": "1", "height": "1", "alt": "", "style": "display:block"}))  # fmt: skip
        until = chance.randint(1_700_000_000, 1_790_000_000)
        code = self.letters(_ALPHANUMERIC + "-~_", chance.choice((43, 86, 172)))
        code_of_store = self.letters("abcdef0123456789", 64)
        signature = chance.choice((
            f"?Expires={until}&Signature={code}&Key-Pair-Id=K{self.letters(string.ascii_uppercase, 13)}",
            f"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604800&X-Amz-Signature={code_of_store}",
            f"?sv=2022-11-02&se=2027-01-01&sr=b&sp=r&sig={code[:43]}%3D",
        ))  # fmt: skip
        service = self.host(("img", "images", "resize", "i0", "proxy", "ik"), domain)
        nested = f"https://{service}/{chance.choice(('fetch/w_600', 'resize', 'x600'))}/{url}"
        word = self.one(("barcode", "coupon", "qr", "countdown", "timer"))
        coupon = f"https://{service}/{word}" + chance.choice(
            (f".png?code={self.letters(string.ascii_uppercase + string.digits, 10)}",
             f"/{self.letters(_LOWER, 12)}.png", f"?text={self.letters('0123456789', 12)}&size=200")
        )  # fmt: skip
        font = f"https://{self.host(('fonts', 'static', 'cdn'), domain)}/{self.letters('abcdef0123456789', 32)}.woff2"
        choices: tuple[tuple[str, Vector, str, dict[str, str]], ...] = (
            ("picture", Vector.IMG_SRC, url, self.seen()),
            ("picture without size", Vector.IMG_SRC, url, chance.choice(({}, {"alt": ""}, {"border": "0"}))),
            ("spacer", Vector.IMG_SRC, spacer, tiny),
            ("versioned spacer", Vector.IMG_SRC, f"{spacer}?v={self.letters('0123456789', 8)}", tiny),
            ("signed", Vector.IMG_SRC, url + signature, self.seen()),
            ("resizing service", Vector.IMG_SRC, nested, self.seen()),
            ("resized", Vector.IMG_SRC, f"{url}?w={chance.choice((300, 600))}&q=80&fm=jpg", self.seen()),
            ("versioned", Vector.IMG_SRC, f"{url}?v={until}", self.seen()),
            ("coupon", Vector.IMG_SRC, coupon, {**self.seen(), "alt": "Your code"}),
            ("hidden for the phone", Vector.IMG_SRC, url, {**self.seen(), "style": "display:none"}),
            ("font", Vector.CSS_FONT, font, {}),
            ("sheet", Vector.LINK_STYLESHEET, f"https://{service}/css/mail.css?ver={self.letters('0123456789', 6)}",
             {"rel": "stylesheet"}),
            ("background", Vector.CSS_URL, url, {"class": "hero"}),
            ("cell", Vector.BACKGROUND, url, {"width": "600"}),
            ("dense", Vector.IMG_SRCSET, url.replace(".png", "@2x.png"), self.seen()),
            ("video", Vector.VIDEO_SRC, self.content_url(domain, "mp4"), {"controls": "", "width": "600"}),
            ("icon", Vector.LINK_ICON, f"https://{domain}/favicon.ico", {"rel": "icon"}),
        )  # fmt: skip
        return chance.choices(choices, (10, 3, 4, 2, 3, 2, 2, 3, 1, 1, 2, 1, 1, 1, 1, 1, 1))[0]

    def message(self) -> list[Row]:
        """Return one message: content of its sender, and in three of four a tracker."""
        chance = self.chance
        self.number += 1
        sender, store, vendor = self.domain(), self.domain(), self.domain()
        if chance.random() < 0.25:
            store = sender
        if chance.random() < 0.25:
            vendor = chance.choice((sender, store))
        found = [(CONTENT, *self.contents(store)) for _ in range(chance.randint(0, 12))]
        if chance.random() < 0.75:
            where = len(found) if chance.random() < 0.7 else chance.randint(0, len(found))
            for _ in range(chance.choice((1, 1, 1, 2))):
                found.insert(where, (TRACKER, *self.trackers(vendor)))
        size = int(2 ** chance.uniform(9, 17))
        known = sender if chance.random() < 0.85 else ""
        return [
            Row(
                url, vector, "img" if vector in _IMAGES else str(vector).partition("-")[0], attributes,
                f"made/{self.number}", order, known, size, label, "made", f"{label}:made:{family}",
                registrable_domain(take_apart(url).host), group=f"made:{self.number}",
            )
            for order, (label, family, vector, url, attributes) in enumerate(found)
        ]  # fmt: skip


def constructed_rows(messages: int, *, seed: int) -> list[Row]:
    """Return the rows of so many made-up messages."""
    maker = Maker(seed)
    return [row for _ in range(messages) for row in maker.message()]
