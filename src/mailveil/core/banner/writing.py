"""Writing: a notice as HTML that loads nothing and leans on nothing, and as lines of plain text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Final

from mailveil.core.banner.language import Language
from mailveil.core.banner.marks import CLOSING, NO_MARK, OPENING, RULE
from mailveil.core.banner.notice import Notice, sentences_of
from mailveil.core.references.html import PREFETCH_OFF
from mailveil.core.verdicts.types import Risk

_FOLD: Final = "\0"  # where the source may be folded; no text of ours has one
_BREAK: Final = f"<wbr{_FOLD}/>"  # where wide characters may be broken anyway
COLUMNS: Final = 72
_SPACES: Final = re.compile("( )")
_FONT: Final = (
    "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Hiragino Sans','Noto Sans CJK JP',sans-serif"
)
_NEVER_FIRST: Final = "、。，．：；）」』】〕？！ー…"
_NEVER_LAST: Final = "（「『【〔"


@dataclass(frozen=True, slots=True)
class _Colours:
    """Each as it is in light and in dark surroundings; contrast at least 4.5 to 1 in both (WCAG 2.2, 1.4.3)."""

    ground: tuple[str, str]
    edge: tuple[str, str]
    text: tuple[str, str]
    link: tuple[str, str]


_MEDIUM: Final = _Colours(
    ("#fff6dc", "#3a2f12"), ("#d9a400", "#d9a400"), ("#2b2410", "#f7ecd0"), ("#0b4f8a", "#9fd0ff")
)
_HIGH: Final = _Colours(
    ("#fdeaea", "#43191b"), ("#c62828", "#ef6a6a"), ("#331114", "#fbe3e3"), ("#0b4f8a", "#9fd0ff")
)


def write_html(notice: Notice, language: Language, newline: str) -> str:
    """Return the banner as HTML in ASCII, with an empty mark.

    Every declaration stands there twice: as it is, for Outlook, which passes over important ones, and with
    ``!important`` behind a reset, so that no style sheet of the message reaches it. Nothing in it is fetched:
    no picture, no style sheet, and host names of links are not looked up beforehand.
    """
    said = sentences_of(notice, language)
    colours = _HIGH if notice.risk is Risk.HIGH else _MEDIUM
    text, link = _colour(colours.text), _colour(colours.link)
    run = f"display:inline;font:inherit;text-decoration:none;{text}"
    strong = _style(f"display:inline;font:inherit;font-weight:bold;{text}")
    anchor = _style(f"display:inline;font:inherit;text-decoration:underline;{link}")
    lines = [f"<strong {strong}>{_text(said.title)}</strong>"]
    body = language.banner["join"].join(part for part in (said.told, said.behind, said.calm) if part)
    lines.append(f"<span {_style(run)}>{_running(body)}</span>")
    ways = []
    if said.mailto:
        ways.append(f'<a href="{escape(said.mailto)}" {anchor}>{_text(said.write)}</a>')
    if said.link:
        ways.append(
            f'<a href="{escape(said.link)}" target="_blank" rel="noopener noreferrer nofollow" {anchor}>'
            f"{_text(said.report)}</a>"
        )
    small = _style(f"display:inline;font:inherit;font-size:12px;{text}")
    last = [_text(said.ask), " &#183; ".join(ways)] if ways else []
    last.append(f"({_text(said.source)})")
    lines.append(f"<span {small}>{' '.join(last)}</span>")
    ground = f"background-color:{_pair(colours.ground)}"
    outer = _style(
        f"display:block;clear:both;width:auto;margin:0 0 12px 0;padding:0;color-scheme:light dark;text-align:left;"
        f"direction:ltr;unicode-bidi:isolate;visibility:visible;position:relative;{ground}"
    )
    table = _style(
        f"display:table;width:100%;margin:0;border-collapse:collapse;border-spacing:0;table-layout:fixed;{ground}"
    )
    cell = _style(
        f"display:table-cell;padding:10px 14px;border:0;border-left:6px solid {_pair(colours.edge)};"
        f"text-align:left;vertical-align:top;white-space:normal;overflow-wrap:anywhere;"
        f"font:normal 14px/20px {_FONT};{text};{ground}"
    )
    row = _style("display:table-row")
    group = _style("display:table-row-group")
    opening = f'{OPENING}{NO_MARK}" role="note" lang="{said.tag}" dir="ltr" aria-label="{_text(said.label)}" {outer}>'
    pieces = [
        opening,
        PREFETCH_OFF if said.link else "",
        '<table role="presentation" width="100%" border="0" cellpadding="0" cellspacing="0" ',
        f'dir="ltr" lang="{said.tag}" bgcolor="{colours.ground[0]}" {table}><tbody {group}><tr {row}>',
        f'<td align="left" valign="top" bgcolor="{colours.ground[0]}" {cell}>',
        f"<br{_FOLD}/>".join(lines),
        f"</td></tr></tbody></table>{CLOSING}",
    ]
    return _folded(_FOLD.join(pieces), newline) + newline


def write_plain(notice: Notice, language: Language, newline: str, *, in_ascii: bool = False) -> str | None:
    """Return the banner as lines of text, with an empty mark; ``None`` where ASCII cannot say it.

    No line ends in a space or begins with one, ``>`` or ``From``, so that format=flowed (RFC 3676) leaves them as
    they are; none begins with ``--``, so that none is a boundary.
    """
    said = sentences_of(notice, language)
    body = language.banner["join"].join(part for part in (said.told, said.behind, said.calm) if part)
    paragraphs = [said.title, "", body, ""]
    if said.ask:
        paragraphs += [part for part in (said.ask, said.write, said.code, said.page) if part]
    paragraphs.append(f"({said.source})")
    lines = [RULE]
    for paragraph in paragraphs:
        written = language.in_ascii(paragraph) if in_ascii else paragraph
        if written is None:
            return None
        lines += wrapped(written) or [""]
    lines += [f"{RULE} {NO_MARK}", "", ""]
    return newline.join(lines)


def wrapped(text: str, columns: int = COLUMNS) -> list[str]:
    """Return a paragraph as lines of at most so many columns, as far as it can be broken; wide characters take two."""
    lines: list[str] = []
    line, width = "", 0
    for piece in _pieces(text):
        size = _columns(piece)
        if line and width + size > columns and piece[0] not in _NEVER_FIRST and line[-1] not in _NEVER_LAST:
            lines.append(line.rstrip(" "))
            line, width = "", 0
            if piece == " ":
                continue
        line += piece
        width += size
    lines.append(line.rstrip(" "))
    return [_unmistakable(each) for each in lines if each]


def _pieces(text: str) -> list[str]:
    """Divide at spaces, and around every wide character."""
    if text.isascii():
        return [piece for piece in _SPACES.split(text) if piece]
    pieces: list[str] = []
    word = ""
    for letter in text:
        wide = unicodedata.east_asian_width(letter) in "WF"
        if letter == " " or wide:
            if word:
                pieces.append(word)
            pieces.append(letter)
            word = ""
        else:
            word += letter
    return [*pieces, word] if word else pieces


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _unmistakable(line: str) -> str:
    """Return a line that no program takes for a quotation, a signature, a boundary or the next message of a file."""
    line = line.lstrip(" ")
    return f"* {line}" if line.startswith((">", "--", "From ", ".")) else line


_DOT: Final = re.compile(r"(?<=[^\W_])\.(?=[^\W\d_])")


def _text(text: str) -> str:
    """Return a text as HTML in ASCII; a name with a dot in it does not become a link of some client's making."""
    held = _DOT.sub("\N{WORD JOINER}.", text) if "@" not in text else text
    return escape(held).encode("ascii", "xmlcharrefreplace").decode("ascii")


_PAUSE: Final = re.compile("(?<=[、。：])(?=.)")


def _running(text: str) -> str:
    """Return a text as HTML whose lines can be folded in the source even where it has no spaces."""
    return _BREAK.join(_text(piece) for piece in _PAUSE.split(text))


def _pair(colour: tuple[str, str]) -> str:
    return f"light-dark({colour[0]},{colour[1]})"


def _colour(colour: tuple[str, str]) -> str:
    return f"color:{_pair(colour)}"


_LIGHT_DARK: Final = re.compile(r"light-dark\((#[0-9a-f]{6}),#[0-9a-f]{6}\)")


@lru_cache(maxsize=64)
def _style(declarations: str) -> str:
    """Return a style attribute: each declaration for all, then each as one that nothing else overrides."""
    plain: list[str] = []
    important: list[str] = ["all:revert!important"]
    for declaration in declarations.split(";"):
        light = _LIGHT_DARK.sub(r"\1", declaration)
        plain.append(light)
        important.append(f"{light}!important")
        if light != declaration:
            important.append(f"{declaration}!important")
    return f'style="{f";{_FOLD}".join((*plain, *important))}"'


def _folded(html: str, newline: str) -> str:
    """Break lines within tags, so that none is long."""
    lines: list[str] = []
    line = ""
    for piece in html.split(_FOLD):
        if line and len(line) + len(piece) > 200:
            lines.append(line)
            line = piece
        else:
            line += piece
    lines.append(line)
    return newline.join(lines)
