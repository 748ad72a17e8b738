"""Language: the words for readers, by BCP 47 tag, with plural forms and a form in ASCII."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

FALLBACK = "en"
MAX_TAG = 35  # RFC 5646 section 4.4.1
_TYPOGRAPHY = {"’": "'", "‘": "'", "“": '"', "”": '"', "…": "...", "–": "-", "—": "-", "\u00a0": " "}


@dataclass(frozen=True, slots=True)
class Language:
    """One language's words. ``ascii`` says how to write them in ASCII, ``None`` where that cannot be read."""

    tag: str
    singular: tuple[int, ...]
    banner: Mapping[str, str]
    kinds: Mapping[str, str]
    report: Mapping[str, str]
    mail: Mapping[str, Sequence[str]]
    ascii: Mapping[str, str] | None

    def title(self, count: int) -> str:
        """Return how many trackers were stopped, in the form that the number takes."""
        return self.banner["title_one" if count in self.singular else "title_other"].format(count=count)

    def enumerated(self, items: Sequence[str]) -> str:
        """Return things as a list within a sentence."""
        if len(items) < 2:
            return "".join(items)
        return self.banner["and"].format(first=self.banner["comma"].join(items[:-1]), last=items[-1])

    def in_ascii(self, text: str) -> str | None:
        """Return a text in ASCII, ``None`` where nobody could read it so."""
        if self.ascii is None:
            return None
        for written, plain in self.ascii.items():
            text = text.replace(written, plain)
        for written, plain in _TYPOGRAPHY.items():
            text = text.replace(written, plain)
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


@cache
def languages() -> Mapping[str, Language]:
    """Return every language that there are words for, by its tag; read once."""
    folder = resources.files("mailveil.core.banner.words")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        tag, _, ending = file.name.partition(".")
        if ending == "toml":
            table = tomllib.loads(file.read_text("utf-8"))
            written = table.get("ascii", {} if tag == FALLBACK else None)
            singular = tuple(table["singular"])
            found[tag] = Language(
                tag, singular, table["banner"], table["kinds"], table["report"], table["mail"], written
            )
    return found


def language_of(*tags: str) -> Language:
    """Return the words for the first tag that there are any for, shortened as need be (``fr-CA`` → ``fr``), or English.

    Source: RFC 4647 section 3.4.
    """
    known = languages()
    for wanted in tags:
        tag = wanted[:MAX_TAG].replace("_", "-").strip().lower()
        while tag:
            if tag in known:
                return known[tag]
            tag = tag.rpartition("-")[0]
    return known[FALLBACK]
