"""Network rules: the subset of Adblock Plus's syntax that says something about what mail loads.

A rule is text with ``*`` (anything) and ``^`` (a separator or the end), which may be held at the host (``||``), at
the beginning or at the end (``|``). What mail loads is always another party's, and there is no page that it stands
in. Rules are looked up by host or by a word; matching takes a time bounded by the lengths of rule and address.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

MAX_RULE: Final = 512
_SEPARATOR: Final = re.compile(r"[^A-Za-z0-9_.%-]")
_HOST: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z0-9-]{2,}")
_WORD: Final = re.compile(r"[a-z0-9%]{2,}")
_OPTIONS: Final = re.compile(
    r"\$([~a-z0-9_-]++(?:=[^,]*+)?(?:,[~a-z0-9_-]++(?:=[^,]*+)?)*+)\Z", re.IGNORECASE
)
_COSMETIC: Final = re.compile(r"#(?:@|\?|\$|%|@\?|@\$|@%|\$\?)?#")
_TYPES: Final = frozenset(
    {"image", "script", "stylesheet", "font", "media", "object", "subdocument", "document", "xmlhttprequest",
     "ping", "websocket", "other", "popup", "webrtc"}
)  # fmt: skip
_NAMES: Final = {
    "css": "stylesheet", "frame": "subdocument", "doc": "document", "xhr": "xmlhttprequest", "beacon": "ping",
    "object-subrequest": "object", "popunder": "popup",
}  # fmt: skip
# What a mail client may load; the other types of requests come from scripts, which it does not run.
LOADABLE: Final = frozenset({"image", "stylesheet", "font", "media", "object", "subdocument", "other"})
_WITHOUT_EFFECT: Final = frozenset({"third-party", "3p", "important", "match-case", "all", "strict3p"})
_COMMON: Final = frozenset(
    {"http", "https", "www", "com", "net", "org", "gif", "png", "jpg", "js", "php", "html"}
)


class Skip(StrEnum):
    """Why a line of a list is not used. Values are what people are told."""

    COSMETIC = "hides elements of pages"
    REGEX = "a regular expression"
    PAGE = "holds only on named pages"
    FIRST_PARTY = "only for what a page loads from itself"
    TYPE = "only for what mail does not load"
    OPTION = "an option that says nothing about mail"
    TOO_LONG = "too long"
    NO_WORD = "too general to be looked up"
    NO_NAME = "no host name"
    CATEGORY = "a category that is not about tracking"


class NetworkRule(NamedTuple):
    """One rule. ``host`` is where it is held by its host, ``word`` what it is looked up by otherwise."""

    text: str
    pieces: tuple[str, ...]
    host: str = ""
    word: str = ""
    at_start: bool = False
    at_end: bool = False
    types: frozenset[str] = LOADABLE

    def fits(self, url: str, after_host: int, kind: str) -> bool:
        """Tell whether an address (in lower case) has the rule's shape; ``after_host`` is where its host ends."""
        if kind not in self.types:
            return False
        at = after_host if self.host else 0
        held = bool(self.host) or self.at_start
        last = len(self.pieces) - 1
        for number, piece in enumerate(self.pieces):
            if number == last and self.at_end:
                return _ends_with(url, piece, at, held=held and number == 0)
            end = _fits_at(url, piece, at) if held and number == 0 else _find(url, piece, at)
            if end is None:
                return False
            at = end
        return not self.at_end or at >= len(url)


def _ends_with(url: str, piece: str, at: int, *, held: bool) -> bool:
    """Tell whether an address ends in a piece that begins at ``at`` or, if it is not held there, later."""
    for start in (len(url) - len(piece), len(url) - len(piece) + 1):  # a separator may be the end itself
        if (start == at if held else start >= at) and _fits_at(url, piece, start) == len(url):
            return True
    return False


def _fits_at(url: str, piece: str, at: int) -> int | None:
    """Return where a piece ends that begins at ``at``, ``None`` where it does not stand there."""
    if at < 0:
        return None
    if "^" not in piece:
        return at + len(piece) if url.startswith(piece, at) else None
    for character in piece:
        if at >= len(url):
            if character != "^":
                return None
            continue  # the end is a separator, too
        if character == "^":
            if _SEPARATOR.match(url, at) is None:
                return None
        elif url[at] != character:
            return None
        at += 1
    return at


def _find(url: str, piece: str, at: int) -> int | None:
    """Return where a piece ends that begins at ``at`` or later."""
    if "^" not in piece:
        found = url.find(piece, at)
        return None if found < 0 else found + len(piece)
    before, _, rest = piece.partition("^")
    for start in range(at, len(url) + 1):
        if (
            url.startswith(before, start)
            and (end := _fits_at(url, f"^{rest}", start + len(before))) is not None
        ):
            return end
    return None


def parse_rule(line: str) -> tuple[NetworkRule, bool] | Skip:
    """Return a rule and whether it is an exception, or why the line is not used. Comments are not for here."""
    if _COSMETIC.search(line):
        return Skip.COSMETIC
    if len(line) > MAX_RULE:
        return Skip.TOO_LONG
    exception = line.startswith("@@")
    body = line[2:] if exception else line
    found = _OPTIONS.search(body)
    pattern, options = (body[: found.start()], found.group(1)) if found else (body, "")
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        return Skip.REGEX
    types = _types(options)
    if isinstance(types, Skip):
        return types
    rule = _rule(line, pattern.lower(), types)
    return rule if isinstance(rule, Skip) else (rule, exception)


def _types(options: str) -> frozenset[str] | Skip:
    """Return for what kinds of requests the options leave a rule."""
    wanted: set[str] = set()
    unwanted: set[str] = set()
    for option in filter(None, (each.strip().lower() for each in options.split(","))):
        name, _, value = option.partition("=")
        if name in ("domain", "from"):
            if any(not each.startswith("~") for each in value.split("|")):
                return Skip.PAGE
            continue
        if name in ("~third-party", "1p", "first-party", "~3p", "strict1p"):
            return Skip.FIRST_PARTY
        if name in _WITHOUT_EFFECT:
            continue
        negative = name.startswith("~")
        kind = _NAMES.get(name.lstrip("~"), name.lstrip("~"))
        if kind not in _TYPES or value:
            return Skip.OPTION
        (unwanted if negative else wanted).add(kind)
    left = (LOADABLE & wanted if wanted else LOADABLE) - unwanted
    return frozenset(left) if left else Skip.TYPE


def _rule(text: str, pattern: str, types: frozenset[str]) -> NetworkRule | Skip:
    host = ""
    if pattern.startswith("||"):
        match = _HOST.match(pattern, 2)
        if match is None or pattern[match.end() : match.end() + 1] not in ("", "^", "/", "*", "?", ":", "|"):
            return Skip.NO_WORD
        host, pattern = match.group(), pattern[match.end() :]
    at_start = pattern.startswith("|") and not host
    pattern = pattern.removeprefix("|") if at_start else pattern
    at_end = pattern.endswith("|")
    pattern = pattern.removesuffix("|") if at_end else pattern
    held = bool(host) or at_start
    pieces = [*filter(None, pattern.split("*"))]
    if held and pattern.startswith("*"):
        pieces.insert(0, "")
    if pattern.endswith("*"):
        at_end = False
    word = ""
    if not host:
        word = _index_word(pattern)
        if not word:
            return Skip.NO_WORD
    return NetworkRule(text, tuple(pieces), host, word, at_start, at_end, types)


def _index_word(pattern: str) -> str:
    """Return the longest word that stands whole in every address of this shape, ``""`` for none."""
    best = ""
    for match in _WORD.finditer(pattern):
        before, after = pattern[match.start() - 1 : match.start()], pattern[match.end() : match.end() + 1]
        whole = before not in ("", "*") and after not in ("", "*")
        if whole and match.group() not in _COMMON and len(match.group()) > len(best):
            best = match.group()
    return best


def words_of(url: str) -> list[str]:
    """Return the words of an address, by which rules are looked up."""
    return _WORD.findall(url)
