"""Variations: what somebody would do to a tracker to escape, and to honest content to have it accused.

Each is a change to one row that keeps its label. Training and evaluation draw from two vocabularies that share no
word, so that a figure says how well a lesson carries over and not how well a list was learned by heart.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.core.verdicts.words import TRACKING_LABELS, TRACKING_PATH
from mailveil.learning.rows import Row

_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-]{12,}")
_URL: Final = re.compile(r"([a-z]+://)([^/?#]*)([^?]*)(\??.*)", re.IGNORECASE | re.DOTALL)
_SIZES: Final = ("width", "height", "style", "hidden")
_ALPHANUMERIC: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Words:
    """A vocabulary: words that say nothing, in paths, in queries, in host names, for files and for pictures."""

    paths: tuple[str, ...]
    parameters: tuple[str, ...]
    labels: tuple[str, ...]
    files: tuple[str, ...]
    texts: tuple[str, ...]


TRAINING: Final = Words(
    paths=("a", "go", "v1", "mail", "x", "asset-view", "data", "e", "cnt", "render"),
    parameters=("k", "d", "ref", "x", "data", "c"),
    labels=("mail", "e", "news", "go", "em", "hello"),
    files=("logo.png", "header.jpg", "bg.gif", "icon.png", "top.png"),
    texts=("Logo", "Header", "Company", "Our shop"),
)
EVALUATION: Final = Words(
    paths=("b", "m", "view-item", "s2", "campaign", "q7", "letter", "gate", "h"),
    parameters=("z", "t1", "item", "w8", "key"),
    labels=("info", "post", "reply", "m2", "box"),
    files=("brand.png", "hero.jpg", "divider.gif", "facebook.png", "footer.jpg"),
    texts=("Brand", "Facebook", "Hero", "Read on"),
)

Variation = Callable[[Row, random.Random, Words], Row | None]


def _split(row: Row) -> tuple[str, str, str, str] | None:
    match = _URL.fullmatch(row.url)
    return None if match is None else (match[1], match[2], match[3], match[4])


def _with_url(row: Row, url: str) -> Row:
    host = take_apart(url).host
    return replace(row, url=url, domain=registrable_domain(host), lists=())


def _resized(row: Row, sizes: Mapping[str, str]) -> Row:
    kept = {name: value for name, value in row.attributes.items() if name not in _SIZES}
    return replace(row, attributes={**kept, **sizes})


def false_size(row: Row, chance: random.Random, words: Words) -> Row | None:
    """Two pixels, five, or a line: no longer the one pixel that everybody looks for."""
    del words
    width, height = chance.choice((("2", "2"), ("2", "2"), ("3", "3"), ("5", "5"), ("10", "2"), ("20", "1")))
    return _resized(row, {"width": width, "height": height})


def no_size(row: Row, chance: random.Random, words: Words) -> Row | None:
    """No declared size at all; the picture itself is one pixel."""
    del chance, words
    return _resized(row, {})


def visible_logo(row: Row, chance: random.Random, words: Words) -> Row | None:
    """The logo itself tracks: of a visible size, with an alternative text."""
    width = chance.choice((32, 80, 120, 160, 200, 300, 600))
    sizes = {"width": str(width), "alt": chance.choice(words.texts)}
    if chance.random() < 0.5:
        sizes["height"] = str(max(16, width // chance.choice((1, 2, 3))))
    return _resized(row, sizes)


def renamed(row: Row, chance: random.Random, words: Words) -> Row | None:
    """Words for tracking in host, path and query become words that say nothing."""
    pieces = _split(row)
    if pieces is None:
        return None
    scheme, host, path, query = pieces
    first, _, rest = host.partition(".")
    if first.lower().rstrip("0123456789") in TRACKING_LABELS and rest:
        host = f"{chance.choice(words.labels)}.{rest}"
    for _ in range(4):
        match = TRACKING_PATH.search(path.lower())
        if match is None:
            break
        kept = match[0][:1] if match[0][:1] in "/_.?&=-" else ""
        path = f"{path[: match.start()]}{kept}{chance.choice(words.paths)}{path[match.end() :]}"
    if query:
        names = iter(chance.sample(words.parameters, len(words.parameters)))
        query = re.sub(r"(?<=[?&])[A-Za-z_]{3,20}(?==)", lambda found: next(names, found[0]), query)
    return _with_url(row, scheme + host + path + query)


def short_tokens(row: Row, chance: random.Random, words: Words) -> Row | None:
    """Long tokens become eight to eleven characters: enough for every reader there is."""
    del words
    pieces = _split(row)
    if pieces is None:
        return None

    def short(_found: re.Match[str]) -> str:
        return "".join(chance.choice(_ALPHANUMERIC) for _ in range(chance.randint(8, 11)))

    path, query = _TOKEN.sub(short, pieces[2]), _TOKEN.sub(short, pieces[3])
    if path == pieces[2] and query == pieces[3]:
        return None
    return _with_url(row, pieces[0] + pieces[1] + path[:80] + query[:80])


def token_in_path(row: Row, chance: random.Random, words: Words) -> Row | None:
    """What stood in the query stands in the path."""
    pieces = _split(row)
    if pieces is None or "=" not in pieces[3]:
        return None
    values = [quote(each.partition("=")[2], safe="~-_.%") for each in pieces[3][1:].split("&")]
    path = pieces[2].rpartition(".")[0] if "." in pieces[2].rpartition("/")[2] else pieces[2]
    steps = "/".join(each for each in values if each)
    return _with_url(row, f"{pieces[0]}{pieces[1]}{path.rstrip('/')}/{chance.choice(words.paths)}/{steps}")


def static_name(row: Row, chance: random.Random, words: Words) -> Row | None:
    """The address ends as a picture's does, whatever stands before."""
    pieces = _split(row)
    if pieces is None:
        return None
    scheme, host, path, query = pieces
    tokens = [quote(each.partition("=")[2] or each, safe="~-_.%") for each in query[1:].split("&") if each]
    steps = "/".join(each for each in (path.strip("/"), *tokens) if each)
    return _with_url(row, f"{scheme}{host}/{steps}/{chance.choice(words.files)}")


def first_party(row: Row, chance: random.Random, words: Words) -> Row | None:
    """A host name of the sender's own leads to the vendor."""
    pieces = _split(row)
    if pieces is None or "." not in row.sender or registrable_domain(row.sender) != row.sender:
        return None
    return _with_url(row, f"{pieces[0]}{chance.choice(words.labels)}.{row.sender}{pieces[2]}{pieces[3]}")


#: What is done to trackers.
ATTACKS: Final[Mapping[str, Variation]] = {
    "false size": false_size,
    "no size": no_size,
    "visible logo": visible_logo,
    "renamed": renamed,
    "short tokens": short_tokens,
    "token in path": token_in_path,
    "static-looking name": static_name,
    "first-party host": first_party,
}


def _hexadecimal(chance: random.Random, length: int) -> str:
    return "".join(chance.choice("0123456789abcdef") for _ in range(length))


def cache_buster(row: Row, chance: random.Random, words: Words) -> Row | None:
    """A version or a time at the end, the same for everybody."""
    del words
    if "?" in row.url or "#" in row.url:
        return None
    value = chance.choice((str(chance.randint(1_500_000_000, 1_790_000_000)), _hexadecimal(chance, 8),
                           f"{chance.randint(1, 9)}.{chance.randint(0, 20)}", _hexadecimal(chance, 32)))  # fmt: skip
    return replace(row, url=f"{row.url}?{chance.choice(('v', 'ver', 't', '_', 'rev', 'cb', 'ts'))}={value}")


def signed(row: Row, chance: random.Random, words: Words) -> Row | None:
    """An address signed by its store of content, good for some weeks."""
    del words
    if "?" in row.url or "#" in row.url:
        return None
    until = chance.randint(1_700_000_000, 1_790_000_000)
    code = "".join(chance.choice(_ALPHANUMERIC + "-~_") for _ in range(chance.choice((43, 86, 172, 342))))
    query = chance.choice((
        f"Expires={until}&Signature={code}&Key-Pair-Id=K{_hexadecimal(chance, 13).upper()}",
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604800&X-Amz-Signature={_hexadecimal(chance, 64)}",
        f"sv=2022-11-02&se=2027-01-01T00%3A00%3A00Z&sr=b&sp=r&sig={code[:43]}%3D",
        f"GoogleAccessId=pictures&Expires={until}&Signature={code}",
        f"__token__=exp={until}~hmac={_hexadecimal(chance, 64)}",
    ))  # fmt: skip
    return replace(row, url=f"{row.url}?{query}")


def resized(row: Row, chance: random.Random, words: Words) -> Row | None:
    """A service gives the picture in the size and quality that is asked for."""
    del words
    if "?" in row.url or "#" in row.url:
        return None
    width = chance.choice((64, 300, 600, 1200))
    query = chance.choice((
        f"w={width}&q=80&auto=format", f"width={width}&height={width // 2}&fit=crop", f"imwidth={width}",
        f"wid={width}&hei={width // 3}&fmt=png-alpha", f"auto=format,compress&w={width}&dpr=2",
    ))  # fmt: skip
    return replace(row, url=f"{row.url}?{query}")


def as_spacer(row: Row, chance: random.Random, words: Words) -> Row | None:
    """A layout's spacer: a static picture of one pixel, the same for everybody."""
    del words
    pieces = _split(row)
    if pieces is None or row.source != "spacer":
        return None
    size = chance.choice(({"width": "1", "height": "1"}, {"width": "1", "height": "1", "style": "display:block"},
                          {"width": "1", "height": "1", "alt": "", "border": "0"}, {"width": "3", "height": "1"},
                          {"width": "1", "height": str(chance.randint(5, 60))}))  # fmt: skip
    return _resized(row, size)


#: What is done to honest content.
LOOK_ALIKES: Final[Mapping[str, Variation]] = {
    "spacer": as_spacer,
    "cache buster": cache_buster,
    "signed": signed,
    "resizing service": resized,
}


def vary(
    rows: Sequence[Row], name: str, change: Variation, words: Words, *, seed: int
) -> list[tuple[Row, Row]]:
    """Return what a variation makes of rows, each behind the row that it was made of; others are left out."""
    chance = random.Random(f"{seed} {name}")  # noqa: S311 - a seed that can be repeated, no secret
    found = []
    for row in rows:
        changed = change(row, chance, words)
        if changed is not None:
            found.append((row, replace(changed, variant=name)))
    return found
