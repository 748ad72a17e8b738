"""The values that a parsed message consists of; every one points into bytes as they were received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple, cast


class Span(NamedTuple):
    """Half-open range of byte offsets ``[start, end)`` into a source's data."""

    start: int
    end: int


class Coding(StrEnum):
    """How a source's bytes stand encoded in the source that encloses it."""

    IDENTITY = "identity"
    QUOTED_PRINTABLE = "quoted-printable"
    BASE64 = "base64"
    UUENCODE = "x-uuencode"
    DATA_URL_BASE64 = "data-url-base64"
    GZIP = "gzip"
    TNEF = "tnef"
    RTF_COMPRESSED = "rtf-compressed"
    CMS_SIGNED = "cms-signed"
    OPENPGP = "openpgp"  # literal data that needs no key


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A run of decoded bytes that something stands in, and where its encoded form stands.

    ``data`` are the decoded bytes. ``within`` is the enclosing source, ``span`` the place of the encoded
    form in ``within.data``, ``coding`` how to get from one to the other. The message as received is the
    only source without ``within``. Identity matters (two equal runs are two sources), so sources hash by
    identity.
    """

    data: bytes
    within: Source | None = None
    span: Span = Span(0, 0)  # noqa: RUF009 - immutable
    coding: Coding = Coding.IDENTITY


class Defect(StrEnum):
    """What is wrong with a message; reported, never raised."""

    BARE_CR = "bare-cr"
    BARE_LF = "bare-lf"  # only where the message mixes LF with CRLF
    NUL = "nul"
    OVERLONG_LINE = "overlong-line"
    MALFORMED_FIELD = "malformed-field"
    HEADER_WITHOUT_BODY = "header-without-body"
    MISSING_BOUNDARY = "missing-boundary"
    BOUNDARY_NEVER_USED = "boundary-never-used"
    MISSING_END_BOUNDARY = "missing-end-boundary"
    AMBIGUOUS_BOUNDARY = "ambiguous-boundary"
    DUPLICATE_FIELD = "duplicate-field"
    MALFORMED_CONTENT_TYPE = "malformed-content-type"
    UNKNOWN_TRANSFER_ENCODING = "unknown-transfer-encoding"
    AMBIGUOUS_TRANSFER_ENCODING = "ambiguous-transfer-encoding"
    MALFORMED_QUOTED_PRINTABLE = "malformed-quoted-printable"
    MALFORMED_BASE64 = "malformed-base64"
    UNKNOWN_CHARSET = "unknown-charset"
    WRONG_CHARSET = "wrong-charset"
    MALFORMED_CONTAINER = "malformed-container"  # CMS or TNEF that cannot be read
    SNIFFED_TYPE = "sniffed-type"  # content that clients take for another type than declared
    TOO_MANY_PARTS = "too-many-parts"
    TOO_DEEP = "too-deep"
    TOO_MANY_REFERENCES = "too-many-references"
    TOO_LARGE = "too-large"
    TOO_AMBIGUOUS = "too-ambiguous"  # more ways to read the structure than are looked into


class Field(tuple[str, str, int, int, int, int]):
    """A header field (RFC 5322 section 2.2). Spans are offsets into the part's ``source.data``.

    ``name`` is lower-case ASCII; ``value`` the unfolded text (latin-1 decoded, surrounding white space
    and the folding line breaks removed); ``span`` covers name to final line break inclusive;
    ``value_span`` the raw value after the colon, without the final line break.

    A tuple of its parts rather than a dataclass: a message has some fifty fields, and making them took more
    time than everything else that parsing does. The value in it may still be folded (``written``), since
    hardly anybody looks at more than a few of them.
    """

    __slots__ = ()

    def __new__(cls, name: str, value: str, span: Span, value_span: Span) -> Field:
        """Make a field; the parser makes its fields by ``tuple.__new__`` from the six items."""
        return tuple.__new__(cls, (name, value, *span, *value_span))

    def __getnewargs__(self) -> tuple[str, str, Span, Span]:
        return (self.name, self.value, self.span, self.value_span)

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.value!r}, {self.span!r}, {self.value_span!r})"

    name = cast("str", property(itemgetter(0)))
    written = cast("str", property(itemgetter(1)))

    @property
    def value(self) -> str:
        """The unfolded text."""
        value = self[1]
        if "\n" in value:
            value = value.replace("\r\n", "").replace("\n", "")
        return value.strip(" \t\r")

    @property
    def span(self) -> Span:
        """Where the whole field stands."""
        return Span(self[2], self[3])

    @property
    def value_span(self) -> Span:
        """Where the value stands."""
        return Span(self[4], self[5])


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep hostile messages cheap. Beyond one, the offending part becomes inert text."""

    max_parts: int = 1_000
    max_nesting: int = 40
    max_references: int = 10_000
    max_part_bytes: int = 32 * 1024 * 1024  # decoded size of a part that must be searched
    max_header_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One entity (RFC 2045 section 2.4) of a message, as one client model reads it.

    ``section`` numbers it as IMAP does (RFC 9051 section 6.4.5.1: ``"1"``, ``"2.1"``); the body of a message
    that is not multipart is ``"1"``; a root multipart is ``""``. ``header_span`` ends after the empty line
    that ends the header; ``body_span`` excludes the line break that belongs to the following delimiter.
    All spans are offsets into ``source.data``. ``fields`` keeps order and duplicates.
    ``media_type`` is lower-case ``type/subtype`` (``"text/plain"`` where missing or malformed, in a digest
    ``"message/rfc822"``); ``parameters`` its parameters by lower-case name, RFC 2231 decoded; ``declared_types``
    every further type that some client might read from duplicate or malformed fields.
    ``transfer_encodings`` are the lower-case tokens that some client might honour, the likeliest first
    (``("7bit",)`` where there is none). ``examined`` is False for a part that a limit kept the parser out of.
    """

    section: str
    source: Source
    span: Span
    header_span: Span
    body_span: Span
    fields: tuple[Field, ...]
    media_type: str
    parameters: Mapping[str, str]
    declared_types: tuple[str, ...] = ()
    transfer_encodings: tuple[str, ...] = ("7bit",)
    disposition: str = ""  # "", "inline", "attachment", or what was declared, lower-case
    filename: str = ""  # from Content-Disposition filename or Content-Type name, decoded
    content_id: str = ""  # without angle brackets
    content_location: str = ""
    content_base: str = ""
    boundary: bytes = b""
    children: tuple[Part, ...] = ()
    defects: tuple[Defect, ...] = ()
    examined: bool = True

    def field(self, name: str) -> str:
        """Return the value of the first field called ``name`` (lower-case), or ``""``."""
        for candidate in self.fields:
            if candidate[0] == name:
                return candidate.value
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A parsed message: the raw bytes as a source and its root part under each reading.

    ``readings[0]`` is how most clients read it; further readings are there only where clients differ about
    the structure (duplicate or malformed boundaries and fields), and then cover what those clients see.
    ``defects`` are those of the whole message and all its parts, without repeats, in order of discovery.
    """

    source: Source
    readings: tuple[Part, ...]
    defects: tuple[Defect, ...] = ()
    newline: bytes = b"\r\n"  # the line break that the header uses

    @property
    def root(self) -> Part:
        """The root part under the likeliest reading."""
        return self.readings[0]

    def walk(self) -> list[Part]:
        """Return every part of every reading, parents before children, in document order."""
        found: list[Part] = []
        stack = list(reversed(self.readings))
        while stack:
            part = stack.pop()
            found.append(part)
            stack.extend(reversed(part.children))
        return found


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``source.data[start:end]`` by ``replacement``; ``start == end`` inserts."""

    start: int
    end: int
    replacement: bytes


@dataclass(slots=True)
class DefectLog:
    """Collects defects without repeats, in order of discovery."""

    found: dict[Defect, None] = field(default_factory=dict)

    def add(self, defect: Defect) -> None:
        """Note a defect once."""
        self.found[defect] = None

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.found)
