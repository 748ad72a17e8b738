"""Wording: how pages say numbers, times and what stands in mail, which is hostile all of it.

What comes from a message may try to look like something else: control characters, and those that turn the direction of
writing, are shown by their names, and nothing spills out of its own ``<bdi>``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from markupsafe import Markup, escape

from mailveil.ports import CopyState

CUT = 90  # characters of a text from outside that a line shows
# Joiners that scripts and emoji need; whatever else is of the category Cf is shown by its name.
_HARMLESS = frozenset("\u200c\u200d\ufe0f")
_HIDDEN = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters that show nothing
_MARKS = ("Mn", "Me")
_MOST_MARKS = 8  # on one letter: more than any script has, and few enough not to reach into other lines
_UNITS = ("kB", "MB", "GB", "TB", "PB")

RISK_WORDS: Mapping[str, str] = {
    "none": "no risk",
    "low": "low risk",
    "medium": "medium risk",
    "high": "high risk",
}
ACTION_WORDS: Mapping[str, str] = {
    "copy": "safe copy",
    "blank": "placeholder",
    "remove": "removed",
    "keep": "kept",
}
ACTION_SENTENCES: Mapping[str, str] = {
    "copy": "A safe copy stands in its place",
    "blank": "A placeholder stands in its place",
    "remove": "It was taken out",
    "keep": "It was left as it is",
}
KIND_WORDS: Mapping[str, str] = {
    "open": "that and when it is opened",
    "dwell": "how long it stays open",
    "location": "where the reader is",
    "device": "which device or client",
    "identity": "who the reader is",
    "dns": "an opening, by a name look-up alone",
    "credential": "the reader’s log-in",
    "interaction": "what the reader does with it",
    "receipt": "an answer by mail",
}
KIND_NAMES: Mapping[str, str] = {
    "open": "opening",
    "dwell": "reading time",
    "location": "location",
    "device": "device",
    "identity": "identity",
    "dns": "name look-up",
    "credential": "credentials",
    "interaction": "interaction",
    "receipt": "receipt",
}
CATEGORY_WORDS: Mapping[str, str] = {
    "mail-service": "sends mail for others",
    "sales": "tells sellers who reads",
    "read-tracker": "tells anybody when mail is read",
    "analytics": "measures others’ mail",
    "advertising": "sells advertisements",
    "software": "software that anybody installs",
    "phishing": "software for deceiving people",
    "sender": "counts the openings of its own mail",
}
OUTCOME_WORDS: Mapping[str, str] = {
    "fetched": "fetched",
    "refused-address": "not contacted: its address is not allowed",
    "unreachable": "could not be reached",
    "no-such-name": "its name does not exist",
    "no-exit": "not contacted: no exit works",
    "busy": "not contacted: too many connections at once",
    "over-budget": "not contacted: it had its share of the hour",
    "http-error": "answered with an error",
    "asked-to-wait": "asked to come again later",
    "too-large": "cut off: too large",
    "decompression-bomb": "cut off: few bytes that become very many",
    "too-many-fields": "cut off: header fields without end",
    "too-slow": "cut off: too slow",
    "drip-fed": "cut off: fed a few bytes at a time",
    "too-many-redirects": "given up: too many redirects",
    "redirect-loop": "given up: redirects in a circle",
    "linked": "stopped: leads to a link of the message",
    "known": "leads to what another fetch has brought",
    "bad-certificate": "stopped: its certificate is not valid",
    "malformed": "answered with nonsense",
    "failed": "failed",
    "lost": "our client was lost over it",
}


def visible(text: object) -> Markup:
    """Return a text from outside, escaped, what would not be seen in it shown by its number and name."""
    shown, marks = [], 0
    for character in str(text):
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS and character not in _HARMLESS else 0
        if marks > _MOST_MARKS:
            continue
        if character in _BLANK or (category in _HIDDEN and character not in _HARMLESS):
            shown.append(_named(character))
        else:
            shown.append(str(escape(character)))
        if marks == _MOST_MARKS:
            shown.append('<span class="unseen" title="more marks on one letter are not shown">…</span>')
    return Markup(f"<bdi>{''.join(shown)}</bdi>")  # noqa: S704 - every character is escaped above


def _named(character: str) -> str:
    number = f"U+{ord(character):04X}"
    name = escape(unicodedata.name(character, "control character").lower())
    return f'<span class="unseen" title="{name}">{number}</span>'


def cut(text: object, most: int = CUT) -> Markup:
    """Return a text from outside that takes one line; whoever points at it reads all of it, up to 1,000 characters."""
    whole = str(text)
    if len(whole) <= most:
        return visible(whole)
    title = "".join(_plain(character) for character in whole[:1000])
    return Markup('<span class="cut" title="{}">{}…</span>').format(title, visible(whole[: most - 1]))


def plain(text: object, most: int = CUT) -> str:
    """Return a text from outside for a drawing, in which no markup stands: cut, and nothing in it unseen."""
    shown, marks = [], 0
    for character in str(text)[: 4 * most]:
        marks = marks + 1 if unicodedata.category(character) in _MARKS and character not in _HARMLESS else 0
        if marks <= _MOST_MARKS:
            shown.append(_plain(character) if character not in _BLANK else f"[U+{ord(character):04X}]")
    whole = "".join(shown)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def _plain(character: str) -> str:
    hidden = unicodedata.category(character) in _HIDDEN and character not in _HARMLESS
    return f"[U+{ord(character):04X}]" if hidden else character


def told(value: object) -> object:
    """Return what a template writes out, with the numbers of characters that would not be seen, or turn the writing.

    Whatever no template thought of goes through here; lines may end, and markup has been seen to.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(each if each in "\t\r\n" else _plain(each) for each in value)


def defanged(url: object) -> str:
    """Return an address that no program turns into a link: ``hxxps://example[.]org``."""
    text = str(url)
    head, separator, rest = text.partition("://")
    if not separator:
        return text.replace(".", "[.]")
    host, slash, path = rest.partition("/")
    return f"{head.replace('tt', 'xx', 1)}://{host.replace('.', '[.]')}{slash}{path}"


def number(value: float) -> str:
    """Return a number to read, thousands apart."""
    return f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """Return a share to read; what is there but less than one in a thousand is not nothing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    return f"{share:.0f}%" if share >= 10 or share == 0 else f"{share:.1f}%"


def probability(value: float) -> str:
    """Return how sure a verdict is: never 0 or 100 percent, which no model can be."""
    if value >= 0.995:
        return ">99%"
    return "<1%" if value < 0.005 else f"{value:.0%}"


def in_bytes(count: float) -> str:
    """Return a number of bytes to read."""
    if count < 1000:
        return f"{count:.0f} B"
    value, unit = float(count), ""
    for unit in _UNITS:  # noqa: B007 - the last one is wanted
        value /= 1000
        if value < 999.5:
            break
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def in_time(seconds: float) -> str:
    """Return a span of time to read."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 or seconds == 0 else f"{seconds * 1000:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return ""


def relative(at: float, now: float) -> str:
    """Return how long ago that is, or how long until then, in one unit."""
    seconds = now - at
    if abs(seconds) < 60:
        return "just now" if seconds >= 0 else "within a minute"
    for size, unit in ((86_400 * 365, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            return f"{count} {unit} ago" if seconds > 0 else f"in {count} {unit}"
    return ""


class Times:
    """Says times in a time zone (``None``: this machine's), seen from now."""

    def __init__(self, now: float, zone: tzinfo | None = None) -> None:
        self.now = now
        self.zone = zone

    def ago(self, at: float) -> Markup:
        """Return how long ago that was, with the time itself for whoever points at it; a dash for never."""
        if not at:
            return Markup('<span class="soft">–</span>')
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            _standard(at), self.text(at), relative(at, self.now)
        )

    def moment(self, at: float) -> Markup:
        """Return the time with how long ago that was; a dash for never."""
        if not at:
            return Markup('<span class="soft">–</span>')
        return Markup('<time datetime="{}">{}</time> <span class="soft">({})</span>').format(
            _standard(at), self.text(at), relative(at, self.now)
        )

    def day(self, at: float) -> Markup:
        """Return the day alone; a dash for never."""
        if not at:
            return Markup('<span class="soft">–</span>')
        local = self._local(at)
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            _standard(at), self.text(at), f"{local.day} {local:%b %Y}"
        )

    def last_day(self, at: float) -> Markup:
        """Return the last day of what ends at ``at``; days that somebody names end in UTC, at midnight."""
        if not at or at % 86_400:
            return self.day(at)
        last = datetime.fromtimestamp(at - 86_400, UTC)
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            _standard(at), self.text(at), f"{last.day} {last:%b %Y}"
        )

    def text(self, at: float) -> str:
        """Return a time with its zone."""
        local = self._local(at)
        return f"{local.day} {local:%b %Y, %H:%M:%S} {local.tzname() or ''}".strip()

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(self.zone)


def _standard(at: float) -> str:
    """Return a time as HTML wants it (RFC 3339)."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def plural(count: float, one: str, many: str = "") -> str:
    """Return a number with what is counted."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def sentence(text: object) -> str:
    """Return words as a sentence begins."""
    words = str(text)
    first = words.split(maxsplit=1)[0] if words.strip() else ""
    if "." in first.rstrip(".,:;") or "@" in first:
        return words  # a domain or an address is written as it is
    return words[:1].upper() + words[1:]


def copy_words(copy: CopyState) -> str:
    """Return what became of a copy."""
    match copy.state:
        case "stored":
            size = f", {copy.facts.width} × {copy.facts.height} pixels" if copy.facts.width else ""
            late = ", as of delivery" if copy.facts.as_of_delivery else ""
            return f"The copy: {copy.media_type}, {in_bytes(copy.size_bytes)}{size}{late}"
        case "pending":
            return "The copy is still to come"
        case "placeholder":
            return "A placeholder is all there is"
        case _:
            return "Its copy is not kept any more"
