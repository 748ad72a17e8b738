"""References in CSS: style sheets and style attributes, in the union of what strict and lenient readers see.

A single pass over the tokens of CSS Syntax Level 3 finds every url(), every string in a loading place and
every import. Where readers differ about where a token ends, a second pass looks inside strings and comments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.references.css_report import CssReporter, EnoughError
from mailveil.core.references.css_tokens import (
    ESCAPE,
    NAME,
    NAME_CHARACTERS,
    PLAIN,
    SPACE,
    WHITE_SPACE,
    StringEnd,
    find_beginning,
    find_string_end,
    match_end,
    read_last_name,
    read_unquoted_url,
    strip_comments,
    unescape,
    unescape_with_origins,
)
from mailveil.core.references.types import Scope, Vector
from mailveil.core.references.url import resolve

# What strings mean inside a function, one character each, so that a deep stack stays small.
_TEXT: Final = "t"  # words
_LOADING: Final = "l"  # addresses
_UNKNOWN: Final = "u"  # an address where it is one without any doubt
_FILTER: Final = "f"  # parameters of an Internet Explorer filter

_LOADING_FUNCTIONS: Final = frozenset(
    {
        "image-set", "-webkit-image-set", "-moz-image-set", "image", "cross-fade", "-webkit-cross-fade",
        "src", "filter", "-webkit-filter", "-moz-image-rect",
    }
)  # fmt: skip
_TEXT_FUNCTIONS: Final = frozenset(
    {
        "type", "format", "local", "tech", "counter", "counters", "path", "symbols", "target-counter",
        "target-counters", "target-text", "leader", "string", "running", "url-prefix", "domain", "regexp",
        "media-document", "lang", "is", "where", "not", "has", "matches", "any", "-webkit-any", "-moz-any",
        "nth-child", "selector", "font-format", "font-tech", "contains", "style", "alpha",
    }
)  # fmt: skip
_BEHAVIOR_PROPERTIES: Final = frozenset({"behavior", "-ms-behavior", "-moz-binding"})
_STRING_PROPERTIES: Final = ("--", "initial-value")
_SHEET_TRIGGERS: Final = ("url", "src", "@import", "image", "expression", "@namespace", "\\", "\0")
_STYLE_TRIGGERS: Final = ("url", "src", "image", "expression", "\\", "\0", "/*", '"', "'")
# Beyond this, the rest of an address without quotes is left standing behind its replacement.
_MAX_DESCRIBED_BLOCKS: Final = 8
_MAX_PRELUDE: Final = 400
_MAX_BARE_IMPORT: Final = 1_024
# Words of the scripts that once stood in for max-width; a script of these alone can reach nobody.
_HARMLESS_WORDS: Final = frozenset(
    {
        "auto", "body", "clientheight", "clientwidth", "compatmode", "css1compat", "document",
        "documentelement", "em", "height", "max", "math", "min", "none", "null", "offsetheight",
        "offsetwidth", "parentelement", "parentnode", "parseint", "pt", "px", "round", "scrollheight",
        "scrollleft", "scrolltop", "scrollwidth", "this", "width", "e", "true", "false",
    }
)  # fmt: skip
_WORDS: Final = re.compile(r"[A-Za-z_$]++")
_ADDRESS: Final = re.compile(r"(?:[A-Za-z]{2,10}:)?+(?://|\\\\)[^\s\"'<>()\\]++")
_UNQUOTED_PARAMETER: Final = re.compile(r"([A-Za-z]++)\s*+=\s*+([^\s,'\"()]++)")


def find_in_css(
    text: Text, scope: Scope, *, element: str = "style", attributes: Mapping[str, str] | None = None
) -> None:
    """Append what a whole style sheet would fetch to ``scope.findings``.

    ``element`` and ``attributes`` describe where the sheet stands. Total; linear in the length of ``text``.
    """
    if _may_load(text.text):
        _find(text, scope, element, attributes or {})


def find_in_style(
    text: Text, scope: Scope, *, element: str = "", attributes: Mapping[str, str] | None = None
) -> None:
    """Append what the declarations of a style attribute would fetch to ``scope.findings``."""
    characters = text.text
    if "(" not in characters and "--" not in characters and "\\" not in characters and "@" not in characters:
        return
    lowered = characters.lower()
    if any(trigger in lowered for trigger in _STYLE_TRIGGERS):
        _find(text, scope, element, attributes or {})


def find_in_presentation_attribute(
    text: Text, name: str, scope: Scope, *, element: str = "", attributes: Mapping[str, str] | None = None
) -> None:
    """Append what the value of the CSS property ``name`` that stands in an attribute would fetch."""
    if "(" in text.text:
        _find(text, scope, element, attributes or {}, name)


def _may_load(characters: str) -> bool:
    lowered = characters.lower()
    if any(trigger in lowered for trigger in _SHEET_TRIGGERS):
        return True
    if ('"' in lowered or "'" in lowered) and ("//" in lowered or "http" in lowered or "--" in lowered):
        return True
    at = lowered.find("/*", 1)
    while at >= 0:
        if lowered[at - 1] in NAME_CHARACTERS or lowered[at - 1] in "@(":
            return True  # some readers join what a comment parts
        at = lowered.find("/*", at + 2)
    return False


def _find(
    text: Text, scope: Scope, element: str, attributes: Mapping[str, str], declared: str | None = None
) -> None:
    try:
        _scan_readings(text, scope, element, attributes, declared)
    except EnoughError:
        return  # the defect says so


def _scan_readings(
    text: Text, scope: Scope, element: str, attributes: Mapping[str, str], declared: str | None
) -> None:
    scanner = _Scanner(text, scope, element, attributes, declared)
    scanner.scan()
    if scanner.joined or "\0" in text.text:
        joined = _Scanner(text, scope, element, attributes, declared)
        joined.text, joined.origins = strip_comments(text.text)
        joined.covered = scanner.covered
        joined.scan()
        scanner.dubious |= joined.dubious
    if scanner.dubious:
        doubting = _Scanner(text, scope, element, attributes, declared)
        doubting.covered = scanner.covered
        doubting.doubting = True
        doubting.scan()


class _Scanner(CssReporter):
    """One pass over a reading.

    In a ``doubting`` pass no string or comment hides anything.
    """

    __slots__ = (
        "at_rule", "blocks", "doubting", "joined", "openings", "pending", "preludes", "region_end",
        "unclosed_expression",
    )  # fmt: skip

    def __init__(
        self,
        place: Text,
        scope: Scope,
        element: str,
        attributes: Mapping[str, str],
        declared: str | None = None,
    ) -> None:
        super().__init__(place, scope, element, attributes, declared)
        self.doubting = False
        self.joined = False  # a comment stands where some reader may join its neighbours
        self.openings: list[str] = []  # what strings mean in each open bracket
        self.blocks: list[tuple[str, int]] = []  # at-rule of each open block, brackets open before it
        self.preludes: list[tuple[int, int]] = []  # what stands before each open block: selector or condition
        self.at_rule = ""
        self.pending = False  # an import or namespace whose address is still to come
        self.region_end = 0  # unquoted filter parameters have been searched up to here
        self.unclosed_expression = False

    def scan(self) -> None:
        text = self.text
        length = len(text)
        plain = PLAIN.match
        at = mark = 0  # mark: where the stretch before a bracket starts
        while True:
            match = plain(text, at)
            at = match.end() if match else at
            if at >= length:
                return
            character = text[at]
            if character == "(":
                at = self.open_function(at, mark)
            elif character == "\\":
                at = max(match_end(ESCAPE, text, at), at + 1)
                continue
            elif character in "\"'":
                at = self.read_string(at)
            elif character == "/":
                at = self.skip_comment(at) if text.startswith("/*", at) else at + 1
            elif character == "@":
                at = self.read_at_keyword(at)
            else:
                self.read_punctuation(character, at)
                at += 1
            mark = at

    # Structure

    def read_punctuation(self, character: str, at: int) -> None:
        if character == "[":
            self.openings.append(_TEXT)
            return
        floor = self.blocks[-1][1] if self.blocks else 0
        if character in ")]":
            if len(self.openings) > floor:
                self.openings.pop()
            return
        if character == "{":
            self.blocks.append((self.at_rule, len(self.openings)))
            self.preludes.append((self.declaration, at))
        elif character == "}":
            if self.blocks:
                self.blocks.pop()
                self.preludes.pop()
            del self.openings[floor:]
        self.declaration = at + 1
        self.at_rule = ""
        self.pending = False

    def described(self) -> Mapping[str, str]:
        """Add under which media query and selector something is loaded: that tells print from screen."""
        if not self.preludes:
            return self.attributes
        media: list[str] = []
        selector = ""
        for start, end in self.preludes[-_MAX_DESCRIBED_BLOCKS:]:
            prelude = self.text[start : min(end, start + _MAX_PRELUDE)].strip(WHITE_SPACE)
            if prelude[:6].lower() == "@media":
                media.append(prelude[6:].strip(WHITE_SPACE))
            elif not prelude.startswith("@"):
                selector = f"{selector} {prelude}".strip()
        described = dict(self.attributes)
        if media:
            described["media"] = " and ".join((*media, described.get("media", ""))).removesuffix(" and ")
        if selector:
            described["selector"] = selector[:_MAX_PRELUDE]
        return described

    def skip_comment(self, at: int) -> int:
        text = self.text
        if self.doubting:
            return at + 2
        closing = text.find("*/", at + 2)
        after = len(text) if closing < 0 else closing + 2
        before = text[at - 1] if at else " "
        following = text[after : after + 1] or " "
        if closing < 0:
            self.dubious = True
        elif (before in NAME_CHARACTERS or before in "@(\\") and (
            following in NAME_CHARACTERS or following in "(\\/\"'"
        ):
            self.joined = True
        return after

    def read_at_keyword(self, at: int) -> int:
        end = match_end(NAME, self.text, at + 1)
        name = unescape(self.text[at + 1 : end]).lower()
        if not name:
            return at + 1
        self.at_rule = name
        self.pending = name in {"import", "namespace"}
        if name == "import":
            self.read_bare_import(end)
        return end

    def read_bare_import(self, at: int) -> None:
        """An import whose address is neither string nor url(): no standard has it, some reader may."""
        start, end = find_beginning(self.text, at, min(len(self.text), at + _MAX_BARE_IMPORT))
        if end > start and self.text[end : end + 1] != "(" and resolve(unescape(self.text[start:end])):
            self.report(start, end, Vector.CSS_IMPORT)

    # Functions

    def open_function(self, at: int, mark: int) -> int:
        stretch = self.text[mark:at]
        name = read_last_name(stretch)
        if name in {"url", "expression"}:
            before = stretch.rstrip(WHITE_SPACE).rstrip(NAME_CHARACTERS)[-1:]
            if before >= "\x80" or before == "#":
                self.dubious = True  # a longer name, or no function, for who knows the whole syntax
        if name == "url":
            return self.read_url(at + 1)
        if name == "expression":
            return self.read_expression(at + 1)
        if "image" in name and (name.endswith("imageloader") or "progid:" in stretch.lower()):
            self.read_filter_parameters(at + 1)
            self.openings.append(_FILTER)
        elif name in _LOADING_FUNCTIONS:
            self.openings.append(_LOADING)
        elif name in _TEXT_FUNCTIONS:
            self.openings.append(_TEXT)
        else:
            inherited = self.meaning()
            self.openings.append(inherited if inherited or not name else _UNKNOWN)
        return at + 1

    def meaning(self) -> str:
        """Return what strings mean in the innermost open bracket, or ``""`` outside any."""
        floor = self.blocks[-1][1] if self.blocks else 0
        return self.openings[-1] if len(self.openings) > floor else ""

    def read_url(self, at: int) -> int:
        text = self.text
        at = match_end(SPACE, text, at)
        vector = self.vector_of_url(at)
        if text[at : at + 1] in {'"', "'"}:
            self.openings.append(_TEXT)
            end, how = find_string_end(text, at)
            if how is StringEnd.CLOSED:
                self.report(at + 1, end, vector)
                return end + 1
            self.report_beginning(at + 1, end, vector)
            return at + 1 if self.doubting else end
        if self.doubting:
            # Not the whole contents: they may reach to the end from every url() of many.
            start, end = find_beginning(text, at, len(text))
            self.report(start, end, vector)
            return at
        url = read_unquoted_url(text, at)
        if "/*" in text[at : url.end]:
            self.joined = True
        if url.spread:
            self.dubious = True
            self.report_beginning(url.start, url.end, vector)
        else:
            self.report(url.start, url.end, vector)
        return url.after

    def vector_of_url(self, at: int) -> Vector:
        if self.pending:
            self.pending = False
            return Vector.CSS_IMPORT if self.at_rule == "import" else Vector.CSS_NAMESPACE
        if self.blocks and self.blocks[-1][0] == "font-face":
            return Vector.CSS_FONT
        if self.property(at) in _BEHAVIOR_PROPERTIES:
            return Vector.CSS_BEHAVIOR
        return Vector.CSS_URL

    def read_expression(self, at: int) -> int:
        """Find the end of an Internet Explorer expression and report it unless it can reach nobody."""
        text = self.text
        end = -1 if self.unclosed_expression else _closing_bracket(text, at)
        if end < 0:
            self.unclosed_expression = self.dubious = True
            end = at
            while end < len(text) and text[end] not in ";}":
                end += 1
            end = at + len(text[at:end].rstrip(WHITE_SPACE + ")"))
        script = text[at:end]
        if "//" in script or any(
            word not in _HARMLESS_WORDS for word in _WORDS.findall(unescape(script).lower())
        ):
            address = _ADDRESS.search(script)
            url = resolve(address[0]) if address else None
            if end > at and not self.is_covered(at, end):
                self.append(url or f"javascript:{script[:200]}", Vector.SCRIPT_INLINE, at, end)
        return end

    def read_filter_parameters(self, at: int) -> None:
        """Report addresses among a filter's parameters that stand there without quotes."""
        if at < self.region_end:
            return
        closing = self.text.find(")", at)
        self.region_end = len(self.text) if closing < 0 else closing
        for match in _UNQUOTED_PARAMETER.finditer(self.text, at, self.region_end):
            if match[1].lower() == "src" or resolve(match[2]):
                self.report(match.start(2), match.end(2), Vector.CSS_FILTER)

    # Strings

    def read_string(self, at: int) -> int:
        text = self.text
        end, how = find_string_end(text, at)
        vector = self.vector_of_string(at, end)
        if how is StringEnd.CLOSED:
            if vector is not None:
                self.report(at + 1, end, vector)
            elif "progid" in text[at + 1 : end].lower():
                self.look_into(at + 1, end)
            return at + 1 if self.doubting else end + 1
        self.dubious = True
        if vector is not None:
            self.report_beginning(at + 1, end, vector)
        return at + 1 if self.doubting else end

    def vector_of_string(self, at: int, end: int) -> Vector | None:
        """Return the vector that a string's address stands in, or ``None`` where the string is words."""
        if self.pending:
            self.pending = False
            return Vector.CSS_IMPORT if self.at_rule == "import" else Vector.CSS_NAMESPACE
        meaning = self.meaning()
        if meaning == _TEXT:
            return None
        if meaning == _LOADING:
            return Vector.CSS_URL
        value = self.text[at + 1 : end]
        if meaning == _FILTER:
            before = self.text[max(0, at - 40) : at].rstrip(WHITE_SPACE + "=").lower()
            return Vector.CSS_FILTER if before.endswith("src") or resolve(unescape(value)) else None
        if meaning == _UNKNOWN or self.property(at).startswith(_STRING_PROPERTIES):
            # With a remote base any word would resolve, so it has to look like a path as well.
            like_path = bool(self.scope.base) and any(mark in value for mark in "/.?")
            return Vector.CSS_URL if like_path or resolve(unescape(value)) else None
        return None

    def look_into(self, start: int, end: int) -> None:
        """Search a string that holds a filter, as ``-ms-filter`` has it."""
        characters, origins = unescape_with_origins(self.text[start:end])
        inner = _Scanner(self.place, self.scope, self.element, self.attributes, "filter")
        inner.text = characters
        inner.origins = origins.within(self.origins, start)
        inner.covered = self.covered
        inner.scan()
        self.covered = inner.covered


_SCRIPT_PLAIN: Final = re.compile(r"[^()\"'\\]*+")


def _closing_bracket(text: str, at: int) -> int:
    """Return where the bracket that was opened before ``at`` closes in a script, or -1."""
    depth = 1
    while True:
        at = match_end(_SCRIPT_PLAIN, text, at)
        if at >= len(text):
            return -1
        character = text[at]
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return at
        elif character == "\\":
            at += 1
        else:
            end, how = find_string_end(text, at)
            at = end if how is StringEnd.CLOSED else at
        at += 1
