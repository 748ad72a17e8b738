"""Reading: one way to take the structure of a message apart, given an answer to each point of doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mailveil.core.message.doubts import CHOICES, NO_DOUBT, Doubt
from mailveil.core.message.header import Header, decode_header_text, parse_header
from mailveil.core.message.media_type import (
    CODED_ENCODINGS,
    ContentType,
    Parameters,
    TransferEncodings,
    boundary_bytes,
    parse_content_type,
    parse_parameters,
    parse_transfer_encodings,
)
from mailveil.core.message.types import Defect, DefectLog, Field, Limits, Part, Source, Span

MAX_PASSES = 200  # how often, in all readings together, every byte may be looked at for delimiters
MESSAGE_TYPES = frozenset({"message/rfc822", "message/global", "message/news"})

_DELIMITER_TAIL = re.compile(rb"(--)?+[ \t\r\f\v]*+(?:\n|\Z)")
_GUESSED_DELIMITER = re.compile(rb"(?<![^\n])--([^\s-][^\r\n]{0,199}+|-[^\r\n]{1,199}+)(?=\r*+(?:\n|\Z))")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LF, _CR = 10, 13


class Place(NamedTuple):
    """The section numbers that an entity has as a leaf or as a multipart; what its children's begin with."""

    leaf: str
    multipart: str
    prefix: str


WHOLE_MESSAGE = Place("1", "", "")


def beneath(section: str) -> Place:
    """Return the place of the one entity that a message part holds (RFC 9051 section 6.4.5.1)."""
    return Place(f"{section}.1", f"{section}.TEXT", section)


class Region(NamedTuple):
    """Where something is to be read, and how deep it is nested."""

    start: int
    end: int
    place: Place
    depth: int


class _Structure(NamedTuple):
    """One way to take an entity's Content-Type: ``boundary`` is None for what is no multipart."""

    media_type: str
    parameters: Parameters
    boundary: bytes | None = None
    defects: tuple[Defect, ...] = ()
    others: tuple[str, ...] = ()


class _Mime(NamedTuple):
    """What the Content-* fields of one header say."""

    structures: list[_Structure]
    types: list[str]
    encodings: TransferEncodings
    defects: list[Defect]


class Reader:
    """One pass over a source with one set of answers. ``doubts`` are those that came up."""

    __slots__ = (
        "answers", "boundaries", "count", "crlf", "data", "doubts", "inner_first", "limits", "log", "prefix",
        "source", "strict", "undecided", "work",
    )  # fmt: skip

    def __init__(self, source: Source, limits: Limits, answers: Doubt) -> None:
        self.source = source
        self.limits = limits
        self.answers = answers
        self.doubts = NO_DOUBT
        self.undecided = False
        self.log = DefectLog()
        self.count = 0
        self.work = 0  # bytes looked at for delimiters
        self.boundaries: list[bytes] = []
        self.strict = self.prefix = self.inner_first = False
        data = source.data
        first = data.find(b"\n")
        self.crlf = first > 0 and data[first - 1] == _CR
        if answers is not NO_DOUBT:
            self.strict = Doubt.HEADER in answers
            self.prefix = Doubt.PREFIX in answers
            self.inner_first = Doubt.INNER_FIRST in answers
            # Other line breaks are a matter of looking at other bytes of the same length.
            if Doubt.BARE_LF in answers:
                data = _BARE_LF.sub(b" ", data)
            if Doubt.BARE_CR in answers:
                data = _BARE_CR.sub(b"\n", data)
                self.crlf = False
        self.data = data

    def entity(self, region: Region, default_type: str = "text/plain") -> Part:
        """Return the entity in a region with everything in it."""
        self.count += 1
        start, end = region.start, region.end
        limit = self.limits.max_header_bytes
        header = parse_header(self.data, start, end, strict=self.strict, max_bytes=limit)
        if header.disputed:
            if default_type in MESSAGE_TYPES and self.data.startswith((b"\r\n", b"\n"), start):
                # What follows the empty line is the header of a message in a digest, to every client.
                header = parse_header(self.data, start, end, max_bytes=limit)
            else:
                self.doubts |= Doubt.HEADER
        if header.bare_cr:
            self.doubts |= Doubt.BARE_CR
        if header.mixed:
            self.doubts |= Doubt.BARE_LF
        mime = self.read_mime(header.mime, header.end, end, default_type)
        return self.finish(region, header, mime)

    def body_of(self, part: Part, region: Region) -> Part:
        """Read a region as the body that ``part``'s header belongs to, which stands elsewhere."""
        self.count += 1
        mime_fields = tuple(field for field in part.fields if field.name == "content-type")
        mime = self.read_mime(mime_fields, region.start, region.end, part.media_type)
        return self.finish(region, Header((), (), region.start), mime)

    def read_mime(self, fields: tuple[Field, ...], body: int, end: int, default_type: str) -> _Mime:
        """Return what a header's MIME fields say about its body ``[body, end)``."""
        types = [field.value for field in fields if field.name == "content-type"]
        encodings = [field.value for field in fields if field.name == "content-transfer-encoding"]
        transfer = parse_transfer_encodings(encodings)
        defects: list[Defect] = []
        if len(types) > 1 or len(encodings) > 1:
            defects.append(Defect.DUPLICATE_FIELD)
        if transfer.unknown:
            defects.append(Defect.UNKNOWN_TRANSFER_ENCODING)
        if transfer.ambiguous:
            defects.append(Defect.AMBIGUOUS_TRANSFER_ENCODING)
        if not types:
            return _Mime([_Structure(default_type, Parameters({}))], [default_type], transfer, defects)
        structures: list[_Structure] = []
        names: dict[str, None] = {}
        for value in types if len(types) == 1 else dict.fromkeys((*types[:3], types[-1])):
            content_type = parse_content_type(value)
            name = content_type.media_type or default_type
            names[name] = None
            if name.startswith("multipart/"):
                structures.extend(self.multipart_structures(name, content_type, body, end))
            else:
                structures.append(_Structure(name, content_type.parameters))
            if content_type.malformed:
                defects.append(Defect.MALFORMED_CONTENT_TYPE)
                names.update(dict.fromkeys(content_type.others))
                structures.append(_Structure("text/plain", content_type.parameters))
        if len(structures) > 1:
            structures = _distinct(structures)
        return _Mime(structures, list(names), transfer, defects)

    def multipart_structures(
        self, name: str, content_type: ContentType, body: int, end: int
    ) -> list[_Structure]:
        """Return the ways to take a multipart: by each boundary that is really there, or as text without."""
        parameters = content_type.parameters
        candidates = list(dict.fromkeys(map(boundary_bytes, parameters.readings("boundary"))))
        self.work += (end - body) * (len(candidates) + 2)
        if self.boundaries and any(boundary in self.boundaries for boundary in candidates):
            self.doubts |= Doubt.INNER_FIRST
        present = [
            _Structure(name, parameters, boundary)
            for boundary in candidates
            if boundary and self.has_delimiter(boundary, body, end)
        ]
        if present and len(present) == len(candidates):
            return present
        defect = Defect.BOUNDARY_NEVER_USED if any(candidates) else Defect.MISSING_BOUNDARY
        text = _Structure("text/plain", parameters, None, (defect,), ("text/html", name))
        if present:
            return [*present, text]
        # Nothing to go by. Some clients show the body as it stands, some take the first line that looks like
        # a delimiter for one.
        found = [text]
        if b"" in candidates and self.has_delimiter(b"", body, end):
            found.append(_Structure(name, parameters, b"", (defect,)))
        guessed = _GUESSED_DELIMITER.search(self.data, body, end)
        if guessed is not None:
            boundary = guessed[1].rstrip()
            if boundary.endswith(b"--") and len(boundary) > 2:
                boundary = boundary[:-2]
            found.append(_Structure(name, parameters, boundary, (defect,)))
        return found

    def has_delimiter(self, boundary: bytes, start: int, end: int) -> bool:
        """Tell whether any line of ``[start, end)`` is a delimiter line of this boundary."""
        return next(self.delimiters(boundary, start, end), None) is not None

    def finish(self, region: Region, header: Header, mime: _Mime) -> Part:
        """Return the part whose header has been read."""
        structure = mime.structures[0] if len(mime.structures) == 1 else self.choose(mime.structures)
        media_type, parameters, boundary, structure_defects, others = structure
        defects = mime.defects
        defects.extend(structure_defects)
        if not header.ended and not header.overlong:
            defects.append(Defect.HEADER_WITHOUT_BODY)
        place = region.place
        body = header.end
        children: tuple[Part, ...] = ()
        opens = boundary is not None or (
            media_type in MESSAGE_TYPES and self.holds_message(mime.encodings, body, region.end)
        )
        barred = self.barred(region, header, opens)
        if barred is not None:
            defects.append(barred)
        elif boundary is not None:
            children = self.multipart(boundary, region._replace(start=body), media_type, defects)
        elif opens:
            children = (self.entity(Region(body, region.end, beneath(place.leaf), region.depth + 1)),)
        declared: tuple[str, ...] = ()
        if others or len(mime.types) > 1 or mime.types[0] != media_type:
            declared = tuple(name for name in dict.fromkeys((*mime.types, *others)) if name != media_type)
        disposition, filename, more = _describe(header.mime, parameters)
        for defect in defects:
            self.log.add(defect)
        return Part(
            section=place.leaf if boundary is None else place.multipart,
            source=self.source,
            span=Span(region.start, region.end),
            header_span=Span(region.start, body),
            body_span=Span(body, region.end),
            fields=header.fields,
            media_type=media_type,
            parameters=parameters.values,
            declared_types=declared,
            transfer_encodings=mime.encodings.tokens,
            disposition=disposition,
            filename=filename,
            content_id=more.get("content-id", "").strip("<> \t"),
            content_location=more.get("content-location", ""),
            content_base=more.get("content-base", ""),
            boundary=boundary or b"",
            children=children,
            defects=tuple(defects),
            examined=barred is None,
        )

    def barred(self, region: Region, header: Header, opens: bool) -> Defect | None:
        """Return the limit that keeps the reader out of a part, None where it may go on."""
        if header.overlong:
            return Defect.TOO_LARGE
        if not opens:
            return None
        if region.depth >= self.limits.max_nesting or self.work > MAX_PASSES * len(self.data):
            return Defect.TOO_DEEP
        return Defect.TOO_MANY_PARTS if self.count >= self.limits.max_parts else None

    def choose(self, structures: list[_Structure]) -> _Structure:
        """Return the structure that this reading's answers pick, and note that there were others."""
        for doubt in CHOICES[: len(structures) - 1]:
            self.doubts |= doubt
        if len(structures) > len(CHOICES) + 1:
            self.undecided = True
        wanted = 0
        for number, doubt in enumerate(CHOICES, 1):
            if doubt in self.answers:
                wanted = number
        return structures[min(wanted, len(structures) - 1)]

    def holds_message(self, encodings: TransferEncodings, body: int, end: int) -> bool:
        """Tell whether a message part's body is to be read as it stands."""
        if any(token not in CODED_ENCODINGS for token in encodings.tokens):
            return True
        if not parse_header(self.data, body, min(end, body + 4096)).fields:
            return False
        self.doubts |= Doubt.ENCODED_MESSAGE
        return Doubt.ENCODED_MESSAGE in self.answers

    def delimiters(self, boundary: bytes, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (start of line, start of next line, whether an end delimiter) of each delimiter line."""
        data = self.data
        mark = b"--" + boundary
        length = len(mark)
        at = data.find(mark, start, end)
        while at >= 0:
            after = at + length
            if at == start or data[at - 1] == _LF:
                if self.crlf and at > 1 and data[at - 2] != _CR:
                    self.doubts |= Doubt.BARE_LF
                tail = _DELIMITER_TAIL.match(data, after, end)
                if tail is not None:
                    yield at, tail.end(), tail[1] is not None
                else:
                    self.doubts |= Doubt.PREFIX
                    if data[after : after + 3].lstrip(b"-")[:1] == b"\r":
                        self.doubts |= Doubt.BARE_CR
                    if self.prefix:
                        closing = data.startswith(b"--", after)
                        newline = data.find(b"\n", after, end)
                        after = end if newline < 0 else newline + 1
                        yield at, after, closing
            elif data[at - 1] == _CR:
                self.doubts |= Doubt.BARE_CR
            at = data.find(mark, after, end)

    def multipart(
        self, boundary: bytes, region: Region, media_type: str, defects: list[Defect]
    ) -> tuple[Part, ...]:
        """Return the parts of a multipart's body, which the region is."""
        start, end, place, depth = region
        default = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
        self.boundaries.append(boundary)
        children: list[Part] = []

        def add(content: int, stop: int) -> None:
            inner = Region(content, stop, _child(place, len(children) + 1), depth + 1)
            children.append(self.entity(inner, default))

        opened = first = closed = -1
        lines = self.delimiters(boundary, start, end)
        while (line := next(lines, None)) is not None:
            line_start, line_end, closing = line
            if first < 0:
                first = line_start
                if closing:
                    # An end before any beginning: to clients that look no further than the boundary, a part.
                    self.doubts |= Doubt.PREFIX
                    closing = not self.prefix
            if opened >= 0:
                inner_end = self.end_of_inner(boundary, opened, line_start, end) if self.inner_first else -1
                if inner_end >= 0:
                    add(opened, inner_end)
                    opened = -1
                    lines = self.delimiters(boundary, inner_end, end)
                    continue
                add(opened, self.before_break(opened, line_start))
                opened = -1
            elif closed >= 0:
                self.doubts |= Doubt.PAST_END
                if Doubt.PAST_END not in self.answers:
                    break
            if closing:
                closed = line_end
                continue
            opened = line_end
            if self.count >= self.limits.max_parts:
                section = _child(place, len(children) + 1).leaf
                children.append(self.bare_leaf(opened, end, section, Defect.TOO_MANY_PARTS))
                defects.append(Defect.TOO_MANY_PARTS)
                opened, closed = -1, end
                break
        if opened >= 0:
            add(opened, end)
            closed = -1
        if closed < 0:
            defects.append(Defect.MISSING_END_BOUNDARY)
            closed = end
        self.boundaries.pop()
        self.outside(region, first, closed, children)
        return tuple(children)

    def before_break(self, start: int, line_start: int) -> int:
        """Return where a part ends before a delimiter line, whose line break in front is not the part's."""
        stop = line_start
        if stop > start and self.data[stop - 1] == _LF:
            stop -= 1
            if stop > start and self.data[stop - 1] == _CR:
                stop -= 1
        return stop

    def end_of_inner(self, boundary: bytes, start: int, stop: int, end: int) -> int:
        """Return where a multipart at ``start`` ends that shares its parent's boundary, -1 without one."""
        header = parse_header(self.data, start, stop, max_bytes=self.limits.max_header_bytes)
        for field in header.mime:
            if field.name == "content-type":
                content_type = parse_content_type(field.value)
                values = content_type.parameters.readings("boundary")
                if content_type.media_type.startswith("multipart/") and boundary in map(
                    boundary_bytes, values
                ):
                    for _, line_end, closing in self.delimiters(boundary, header.end, end):
                        if closing:
                            return line_end
                    return end
        return -1

    def outside(self, region: Region, first: int, closed: int, children: list[Part]) -> None:
        """Add preamble and epilogue as parts where this reading shows them, unless they have no markup."""
        before = self.data.find(b"<", region.start, first) >= 0
        after = self.data.find(b"<", closed, region.end) >= 0
        if not before and not after:
            return
        self.doubts |= Doubt.OUTSIDE
        if Doubt.OUTSIDE not in self.answers:
            return
        if after:
            section = _child(region.place, len(children) + 1).leaf
            children.append(self.bare_leaf(closed, region.end, section))
        if before:
            section = _child(region.place, 0).leaf
            children.insert(0, self.bare_leaf(region.start, self.before_break(region.start, first), section))

    def bare_leaf(self, start: int, end: int, section: str, barred: Defect | None = None) -> Part:
        """Return a part without a header."""
        self.count += 1
        return Part(
            section=section,
            source=self.source,
            span=Span(start, end),
            header_span=Span(start, start),
            body_span=Span(start, end),
            fields=(),
            media_type="text/plain",
            parameters={},
            declared_types=("text/html",),
            defects=(barred,) if barred else (),
            examined=barred is None,
        )


def _child(place: Place, number: int) -> Place:
    """Return the place of a multipart's child."""
    section = f"{place.prefix}.{number}" if place.prefix else str(number)
    return Place(section, section, section)


def _distinct(structures: list[_Structure]) -> list[_Structure]:
    """Leave out ways that come to the same: only a boundary, or a message to be read, makes a difference."""
    found: dict[tuple[bytes | None, bool], _Structure] = {}
    for structure in structures:
        message = structure.boundary is None and structure.media_type in MESSAGE_TYPES
        found.setdefault((structure.boundary, message), structure)
    return list(found.values())


def _describe(mime: tuple[Field, ...], parameters: Parameters) -> tuple[str, str, dict[str, str]]:
    """Return disposition, file name and the fields that parts are referred to by."""
    more: dict[str, str] = {}
    for field in mime:
        more.setdefault(field.name, field.value)
    disposition, semicolon, _ = more.get("content-disposition", "").partition(";")
    filename = parse_parameters(more["content-disposition"]).values.get("filename", "") if semicolon else ""
    filename = filename or parameters.values.get("name", "")
    if filename and ("=?" in filename or not filename.isascii()):
        filename = decode_header_text(filename)
    return disposition.strip().lower(), filename, more
