"""Tracking: what senders put into their mail to learn who reads it: bought, hosted, or built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailveil.core.verdicts.operators import Category
from mailveil.learning.simulation.chance import BASE62, Chance
from mailveil.learning.simulation.letters import Image, pixel
from mailveil.learning.simulation.vendors import Vendor, vendors
from mailveil.learning.simulation.world import named_host

_HOST_WORDS: Final = ("track", "open", "click", "links", "email", "go", "trk", "t", "e", "news", "mail")
#: How people who write a tracker of their own shape its address; ``{}`` is the token.
_GRAMMARS: Final = (
    "/o/{}.gif", "/open/{}", "/p.png?id={}", "/img/{}.png", "/t?u={}", "/track/open?m={}", "/static/{}/logo.png",
    "/api/v1/read/{}", "/pixel.gif?uid={}", "/v/{}/1x1.gif", "/assets/sig/{}.jpg", "/x.php?i={}", "/beacon?b={}",
    "/r/{}.png", "/mail/{}/header.png", "/count/{}.gif", "/view?d={}", "/e/{}/p.gif",
)  # fmt: skip


#: Of what is bought, so much comes from vendors whom the catalogue does not know, of which there are so many: an
#: assumption, since nobody can count whom nobody lists.
UNLISTED: Final = 0.12
_UNLISTED_VENDORS: Final = 80


@dataclass(frozen=True, slots=True)
class Tracking:
    """A tracker with the tokens that each message has anew, and what its host is an alias for."""

    image: Image
    marks: tuple[str, ...]
    cname: str = ""
    field: str = ""


def bought(chance: Chance, domain: str, *categories: Category, own_name: float = 0.35) -> Tracking:
    """Return a vendor's tracker, under the vendor's name or one of the customer's that leads there."""
    if chance.often(UNLISTED):
        return _unlisted(chance, domain, own_name=own_name)
    choices = vendors(*categories)
    hosted = [each for each in choices if each.host]
    nameless = [each for each in choices if not each.host]
    if nameless and chance.often(own_name):
        vendor = nameless[chance.skewed(len(nameless))]
        host = named_host(chance.pick(_HOST_WORDS), domain)
    else:
        vendor, host = _preferred(chance, hosted), ""
    url, marks = vendor.tracker(chance, host)
    cname = vendor.cname or f"customers.{_slug(vendor.name)}.example"
    return Tracking(pixel(url), marks, cname if host else "", vendor.field)


def _unlisted(chance: Chance, domain: str, *, own_name: float) -> Tracking:
    """Return the tracker of a vendor whom the catalogue does not know, under its own name or the customer's."""
    number = chance.skewed(_UNLISTED_VENDORS)
    vendor = f"mailer{number}.example"
    shape = Chance(1, vendor).pick(_GRAMMARS)
    if domain and chance.often(own_name):
        made = built(chance, named_host(chance.pick(_HOST_WORDS), domain), grammar=shape)
        return Tracking(made.image, made.marks, f"customers.{vendor}")
    return built(chance, named_host("track", vendor), grammar=shape)


def built(chance: Chance, host: str, *, grammar: str = "") -> Tracking:
    """Return a tracker that somebody wrote, at a host of theirs."""
    token = chance.token(chance.pick((16, 20, 24, 32))) if chance.often(0.6) else chance.token(22, BASE62)
    url = f"https://{host}{(grammar or chance.pick(_GRAMMARS)).format(token)}"
    return Tracking(pixel(url), (token,))


def grammar(chance: Chance) -> str:
    """Return the shape of the addresses of somebody's own tracker."""
    return chance.pick(_GRAMMARS)


def host_word(chance: Chance) -> str:
    """Return what a tracker's host may begin with."""
    return chance.pick(_HOST_WORDS)


def _preferred(chance: Chance, choices: list[Vendor]) -> Vendor:
    """Return a vendor: some are met daily and most hardly ever, the same ones in every simulation."""
    order = sorted(choices, key=lambda each: (Chance(1, each.name).share(), each.url))
    return order[chance.skewed(len(order))]


def _slug(name: str) -> str:
    return "".join(each for each in name.lower() if each.isascii() and each.isalnum()) or "vendor"
