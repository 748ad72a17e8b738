"""Media type: Content-Type, its parameters and Content-Transfer-Encoding, in every way of reading them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mailveil.core.message.charset_names import codec_of, decode_lossily
from mailveil.core.message.header import decode_header_text

# What nearly every field looks like; all clients read it alike.
_CLEAN = re.compile(
    r"([A-Za-z0-9_.+\-]++/[A-Za-z0-9_.+\-]++)\s*+"
    r"((?:;\s*+[A-Za-z0-9_\-]++=(?:\"[^\"\\()]*+\"|[A-Za-z0-9_.+\-=?/:]++)\s*+)*+);?\s*+"
)
_CLEAN_PARAMETER = re.compile(r";\s*+([A-Za-z0-9_\-]++)=(?:\"([^\"]*+)\"|([^\s;\"]++))")

_TYPE = re.compile(r"[\s\"']*+([^\s/;,\"'()=]++)\s*+/\s*+([^\s/;,\"'()=]++)[\"']?+\s*+")
_WORD = re.compile(r"[\s\"']*+([A-Za-z]++)[\"'/]*+\s*+")
# The look-behind keeps a long word without an equals sign from being tried again from each of its letters.
_PARAMETER = re.compile(
    r"(?<![^\s;,\"()<>/])([^\s;=,\"()<>/]++)\s*+=\s*+(?:\"((?:[^\"\\]++|\\.|\\\Z)*+)(\"?+)|([^;]*+))",
    re.DOTALL,
)
_SECTION = re.compile(r"([^*]++)\*([0-9]{1,4}+)?(\*?+)\Z")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_WORDS = re.compile(r"[a-z0-9\-]++")
MAX_READINGS_OF_A_PARAMETER = 6

IDENTITY_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
CODED_ENCODINGS = frozenset({
    "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue", "x-uu", "x-gzip64", "x-binhex",
    "x-yenc",
})  # fmt: skip
_KNOWN_ENCODINGS = IDENTITY_ENCODINGS | CODED_ENCODINGS


class Parameters(NamedTuple):
    """Parameters of a field: ``values`` by lower-case name as most clients read them, and the ``others``.

    ``others`` are further (name, value) pairs, from repeated parameters and from values that clients take
    apart differently (comments, quotes, white space, RFC 2231 sections beside a plain value).
    """

    values: dict[str, str]
    others: tuple[tuple[str, str], ...] = ()

    def readings(self, name: str) -> list[str]:
        """Return every distinct value that some client may read for a parameter, the likeliest first."""
        found = dict.fromkeys([self.values[name]] if name in self.values else [])
        found.update(dict.fromkeys(value for other, value in self.others if other == name))
        return list(found)


class ContentType(NamedTuple):
    """A Content-Type field. ``media_type`` is ``""`` if it cannot be read; ``others`` may be meant too."""

    media_type: str
    parameters: Parameters
    others: tuple[str, ...] = ()
    malformed: bool = False


def parse_parameters(value: str) -> Parameters:
    """Return the parameters of a structured field's value (RFC 2045 section 5.1, RFC 2231). Total and linear.

    What stands before the first ``;``, such as the media type or disposition, is left out.
    """
    return _read_parameters(value[value.find(";") :] if ";" in value else "")


def parse_content_type(value: str) -> ContentType:
    """Return a Content-Type field's value (RFC 2045 section 5.1) in every way that clients read it."""
    clean = _CLEAN.fullmatch(value)
    if clean is not None:
        media_type, rest = clean.groups()
        if not rest:
            return ContentType(media_type.lower(), Parameters({}))
        found = _CLEAN_PARAMETER.findall(rest)
        values = {name.lower(): quoted or token for name, quoted, token in found}
        if len(values) == len(found):
            return ContentType(media_type.lower(), Parameters(values))
    if "=?" in value.partition(";")[0]:
        value = decode_header_text(value)
    plain = _without_comments(value) if "(" in value else value
    typed = _TYPE.match(plain)
    if typed is None:
        return _parse_untyped(value, plain)
    media_type = f"{typed[1]}/{typed[2]}".lower()
    rest = plain[typed.end() :]
    parameters = _read_parameters(rest, value if plain is not value else "")
    return ContentType(media_type, parameters, (), bool(rest) and not rest.startswith(";"))


def _parse_untyped(value: str, plain: str) -> ContentType:
    """Read a field without ``type/subtype``: clients fall back on text, on a default subtype, or guess."""
    word = _WORD.match(plain)
    name = word[1].lower() if word else ""
    parameters = _read_parameters(plain[word.end() :] if word else plain, value if plain is not value else "")
    if "boundary" in parameters.values and name not in ("text", "message"):
        return ContentType("multipart/mixed", parameters, ("text/plain",), True)
    if name == "boundary":
        parameters = _read_parameters(plain)
        return ContentType("multipart/mixed", parameters, ("text/plain",), True)
    if name == "multipart":
        return ContentType("multipart/mixed", parameters, ("text/plain",), True)
    others = ("text/html",) if "htm" in value.lower() else ()
    return ContentType("", parameters, others, True)


def _without_comments(value: str) -> str:
    """Remove comments, nested ones too, outside quoted strings (RFC 5322 section 3.2.2)."""
    kept: list[str] = []
    depth = at = 0
    quoted = False
    for special in re.finditer(r"\\.|[()\"]", value, re.DOTALL):
        character = special[0]
        if character == '"' and depth == 0:
            quoted = not quoted
        elif character == "(" and not quoted:
            if depth == 0:
                kept.append(value[at : special.start()])
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            at = special.end()
    if depth == 0:
        kept.append(value[at:])
    return "".join(kept)


def _read_parameters(text: str, commented: str = "") -> Parameters:
    """Read ``text``; ``commented`` is what it was with its comments, for clients that know of none."""
    values: dict[str, str] = {}
    others: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}

    def offer(name: str, value: str) -> None:
        if values.setdefault(name, value) != value and counts.get(name, 0) < MAX_READINGS_OF_A_PARAMETER:
            if (name, value) not in others:
                counts[name] = counts.get(name, 0) + 1
            others[name, value] = 0

    for found in _PARAMETER.finditer(text):
        name = found[1].lower()
        readings = _value_readings(found[2], found[3], found[4])
        section = _SECTION.match(name) if "*" in name else None
        if section is None:
            for value in readings:
                offer(name, value)
            if found[4] and "=" in found[4]:
                # A semicolon forgotten: what follows a space may be the next parameter.
                for word in found[4].split(None, 16)[1:16]:
                    later, equals, value = word.partition("=")
                    if equals:
                        offer(later.lower(), value.strip('"'))
        else:
            number = int(section[2]) if section[2] else 0
            encoded = bool(section[3]) or section[2] is None
            sections.setdefault(section[1], {}).setdefault(number, (encoded, readings[0]))
    for name, numbered in sections.items():
        offer(name, _join_sections(numbered))
    if commented:
        for name, value in _read_parameters(commented).values.items():
            if name in values:
                offer(name, value)
    return Parameters(values, tuple(others))


def _value_readings(quoted: str | None, closing: str | None, bare: str | None) -> list[str]:
    """Return the ways to read one value, the likeliest first."""
    if quoted is not None:
        readings = [quoted]
        if "\\" in quoted:
            readings.insert(0, _QUOTED_PAIR.sub(r"\1", quoted))
        if not closing or ";" in quoted:
            readings.append(quoted.partition(";")[0].rstrip())
        if quoted != quoted.strip():
            readings.append(quoted.strip())
        return readings
    value = (bare or "").strip()
    readings = [value]
    if '"' in value or "'" in value:
        readings.append(value.replace('"', "").strip("'"))
    words = value.split(None, 1)
    if len(words) > 1:
        readings.append(words[0])
    if "," in value:
        readings.append(value.partition(",")[0])
    return readings


def _join_sections(numbered: dict[int, tuple[bool, str]]) -> str:
    """Join the sections of one parameter and decode the encoded ones (RFC 2231 sections 3 and 4)."""
    codec = ""
    data = b""
    pieces: list[bytes] = []
    for place in range(len(numbered)):
        if place not in numbered:
            break
        encoded, value = numbered[place]
        if encoded and place == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
            codec = codec_of(charset)
        raw = value.encode("latin-1", "replace")
        pieces.append(unquote_to_bytes(raw) if encoded else raw)
    data = b"".join(pieces)
    if not codec:
        return data.decode("latin-1")
    return decode_lossily(data, codec)


def boundary_bytes(value: str) -> bytes:
    """Return a boundary as the bytes after the ``--`` of its lines; trailing white space never counts."""
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raw = value.encode("utf-8", "replace")
    return raw.rstrip(b" \t\r\n")


class TransferEncodings(NamedTuple):
    """The tokens that some client might honour, the likeliest first, and what is wrong with the fields."""

    tokens: tuple[str, ...]
    unknown: bool = False
    ambiguous: bool = False


_UNENCODED = TransferEncodings(("7bit",))


def parse_transfer_encodings(values: Sequence[str]) -> TransferEncodings:
    """Return the transfer encodings that Content-Transfer-Encoding fields name (RFC 2045 section 6)."""
    if not values:
        return _UNENCODED
    found: dict[str, None] = {}
    unknown = False
    for value in (*values[:4], *values[-1:]):
        token = value.lower()
        if token in _KNOWN_ENCODINGS:
            found[token] = None
            continue
        words = _WORDS.findall((_without_comments(token) if "(" in token else token)[:1000])
        known = [word for word in words if word in _KNOWN_ENCODINGS]
        unknown = unknown or len(words) != 1 or not known
        # A client that takes nothing but the exact token leaves the body as it stands.
        if not known:
            found[token.strip()[:100] or "7bit"] = None
        found.update(dict.fromkeys(known[:4]))
        if token.strip() not in known:
            found.setdefault("7bit")
    tokens = tuple(found)
    coded = [token for token in tokens if token in CODED_ENCODINGS]
    return TransferEncodings(tokens, unknown, bool(coded) and len(tokens) > 1)
