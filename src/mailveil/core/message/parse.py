"""Parse: raw bytes to parts with byte spans, under every reading that clients have of them (RFC 5322, 2046).

Where clients differ, each point of difference is a `Doubt`. The message is read once as most clients do;
every doubt that came up is then answered the other way, alone and together with others, and readings that
differ are kept. Their number is bounded; a message with more is given a last reading that nobody has looked
into (``examined=False``), so that it can never pass as harmless.
"""

from __future__ import annotations

from collections.abc import Callable

from mailveil.core.message.doubts import DEFECT_OF, EXCLUSIVE, NO_DOUBT
from mailveil.core.message.reading import (
    MAX_PASSES,
    MESSAGE_TYPES,
    WHOLE_MESSAGE,
    Place,
    Reader,
    Region,
    beneath,
)
from mailveil.core.message.types import Defect, DefectLog, Limits, Message, Part, Source, Span

MAX_READINGS = 8
MAX_ATTEMPTS = 20
MAX_LINE_BYTES = 1_000  # RFC 5322 section 2.1.1, with the line break

_DEFAULT_LIMITS = Limits()


def parse_message(raw: bytes, limits: Limits = _DEFAULT_LIMITS) -> Message:
    """Return the message that these bytes are, under every reading. Total; linear in ``len(raw)``."""
    return parse_entity(Source(raw), "", limits)


def parse_entity(
    source: Source,
    section: str = "",
    limits: Limits = _DEFAULT_LIMITS,
    *,
    default_type: str = "text/plain",
    depth: int = 0,
) -> Message:
    """Return the entity (header and body) that a source holds, under every reading. Total and linear.

    ``section`` is that of the part in which the entity stands, its own number goes beneath; ``""`` for a
    whole message. ``depth`` is how deep it is nested already.
    """
    place = beneath(section) if section else WHOLE_MESSAGE
    region = Region(0, len(source.data), place, depth)
    return _Exploration(source, limits, place, lambda reader: reader.entity(region, default_type)).run()


def parse_decoded(source: Source, part: Part, limits: Limits = _DEFAULT_LIMITS, *, depth: int = 0) -> Message:
    """Return what a multipart or message part holds whose body had to be decoded first. Total and linear.

    ``source`` is the decoded body of ``part``. RFC 2045 section 6.4 forbids to encode such parts, yet some
    clients decode them. For a multipart the root of every reading is ``part`` again, but without its fields,
    which stand elsewhere.
    """
    if any(media_type in MESSAGE_TYPES for media_type in (part.media_type, *part.declared_types)):
        return parse_entity(source, part.section, limits, depth=depth)
    place = Place(part.section or "1", part.section, part.section)
    region = Region(0, len(source.data), place, depth)
    return _Exploration(source, limits, place, lambda reader: reader.body_of(part, region)).run()


class _Exploration:
    """The search for all readings of one source."""

    def __init__(self, source: Source, limits: Limits, place: Place, read: Callable[[Reader], Part]) -> None:
        self.source = source
        self.limits = limits
        self.place = place
        self.read = read
        self.readings: list[Part] = []
        self.log = DefectLog()

    def run(self) -> Message:
        data = self.source.data
        first = Reader(self.source, self.limits, NO_DOUBT)
        self.readings.append(self.read(first))
        self.log = first.log
        if first.doubts is not NO_DOUBT:
            complete = self.answer(first)
            if not complete:
                self.readings.append(self.unexamined())
                self.log.add(Defect.TOO_AMBIGUOUS)
        _note_damage(data, self.log)
        newline = data.find(b"\n")
        bare = newline >= 0 and data[newline - 1 : newline] != b"\r"
        return Message(self.source, tuple(self.readings), tuple(self.log.found), b"\n" if bare else b"\r\n")

    def answer(self, first: Reader) -> bool:
        """Add every further reading. Return whether that were all.

        A doubt whose other answer alone changes nothing is not combined with others.
        """
        known = {_shape(self.readings[0])}
        tried = {NO_DOUBT}
        noticed, material = first.doubts, NO_DOUBT
        waiting = [*noticed]
        complete, combined = not first.undecided, False
        work = first.work
        while waiting or not combined:
            if not waiting:
                combined = True
                waiting.append(material)
                continue
            answers = waiting.pop(0)
            if answers in tried or any(answers & pair == pair for pair in EXCLUSIVE):
                continue
            too_much = work > MAX_PASSES * len(self.source.data)
            if too_much or len(tried) > MAX_ATTEMPTS or len(self.readings) == MAX_READINGS:
                complete = False
                break
            tried.add(answers)
            reader = Reader(self.source, self.limits, answers)
            root = self.read(reader)
            work += reader.work
            complete = complete and not reader.undecided
            for defect in reader.log.found:
                self.log.add(defect)
            new = reader.doubts & ~noticed
            noticed |= new
            shape = _shape(root)
            if shape in known:
                continue
            known.add(shape)
            self.readings.append(root)
            waiting.extend(answers | doubt for doubt in (*(material & ~answers), *new))
            if len([*answers]) == 1:
                material |= answers
        for doubt in noticed:
            if doubt in DEFECT_OF:
                self.log.add(DEFECT_OF[doubt])
        return complete

    def unexamined(self) -> Part:
        """Return the reading that stands for all those that were not tried."""
        root = self.readings[0]
        end = len(self.source.data)
        return Part(
            section=root.section or self.place.leaf,
            source=self.source,
            span=Span(0, end),
            header_span=root.header_span,
            body_span=Span(root.header_span.end, end),
            fields=root.fields,
            media_type="text/plain",
            parameters={},
            defects=(Defect.TOO_AMBIGUOUS,),
            examined=False,
        )


def _shape(root: Part) -> tuple[object, ...]:
    """Return what tells one reading from another."""
    found: list[object] = []
    stack = [root]
    while stack:
        part = stack.pop()
        spans = (part.span, part.header_span, part.body_span)
        kind = (part.media_type, part.declared_types, part.transfer_encodings, part.examined)
        found.append((spans, kind, part.fields, len(part.children)))
        stack.extend(part.children)
    return tuple(found)


def _note_damage(data: bytes, log: DefectLog) -> None:
    if b"\0" in data:
        log.add(Defect.NUL)
    at, last = 0, len(data) - MAX_LINE_BYTES
    find = data.rfind
    while at <= last:
        # The last line break in the next thousand bytes: a hop over many lines at once.
        newline = find(b"\n", at, at + MAX_LINE_BYTES)
        if newline < 0:
            log.add(Defect.OVERLONG_LINE)
            return
        at = newline + 1
