"""Rewrite: replacements in any source of a message become one splice of its raw bytes."""

from __future__ import annotations

from collections.abc import Sequence

from mailveil.core.message.edits import drop_idle, merge_edits, newline_of, splice
from mailveil.core.message.quoted_printable import encode_quoted_printable
from mailveil.core.message.transfer import depth_of, encode_edits
from mailveil.core.message.types import Coding, Edit, Message, Part, Source, Span
from mailveil.core.rewrite.lines import find_overlong, fold_overlong
from mailveil.core.rewrite.parts import set_field
from mailveil.core.rewrite.replacement import Replacement


def rewrite(message: Message, replacements: Sequence[Replacement]) -> bytes:
    """Return the raw message with all replacements made; the very same object where nothing changes.

    Replacements may stand in any source that leads back to ``message.source``; equal ones count once, where
    some overlap the widest wins (see :func:`merge_edits`), which is how several readings of the same bytes
    are brought together. Bytes outside of them stay as they are, and no line becomes longer than 998 octets:
    where one would, the body it stands in is written anew as quoted-printable. Raises ``ValueError`` for a
    replacement outside of its source or of the message, which are errors of the caller.
    """
    if not replacements:
        return message.source.data
    rewriting = _Rewriting(message)
    for replacement in replacements:
        rewriting.add(replacement)
    return rewriting.finish()


class _Rewriting:
    """The edits of one rewrite, by the source they are on, from the deepest source up."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.edits: dict[Source, list[Edit]] = {}
        self.direct: list[Edit] = []  # on the raw message itself: header fields and structure
        self.moves: dict[Source, list[Replacement]] = {}
        self.same: dict[Source, Source] = {message.source: message.source}
        self.by_place: dict[tuple[Source, Span, Coding], list[Source]] = {}
        self.levels: list[list[Source]] = []
        self.bodies: dict[tuple[Source, Span], list[Part]] | None = None

    def add(self, replacement: Replacement) -> None:
        """Take in one replacement."""
        source = self.canonical(replacement.source)
        if not 0 <= replacement.start <= replacement.end <= len(source.data):
            raise ValueError(f"a replacement outside its source: [{replacement.start}, {replacement.end})")
        edits = self.enter(source)
        if replacement.moved:
            self.moves.setdefault(source, []).append(replacement)
        elif source is self.message.source:
            self.direct.append(replacement.edit)
        else:
            edits.append(replacement.edit)

    def canonical(self, source: Source) -> Source:
        """Return the one source that stands for all that several readings made of the same bytes."""
        chain: list[Source] = []
        known = self.same.get(source)
        while known is None:
            chain.append(source)
            if source.within is None:
                raise ValueError("a replacement in a source that is not of this message")
            source = source.within
            known = self.same.get(source)
        for inner in reversed(chain):
            candidates = self.by_place.setdefault((known, inner.span, inner.coding), [])
            for candidate in candidates:
                if type(candidate) is type(inner) and candidate.data == inner.data:
                    known = candidate
                    break
            else:
                candidates.append(inner)
                known = inner
            self.same[inner] = known
        return known

    def enter(self, source: Source) -> list[Edit]:
        """Return the list of edits on a canonical source."""
        found = self.edits.get(source)
        if found is None:
            found = self.edits[source] = []
            depth = depth_of(source)
            while len(self.levels) <= depth:
                self.levels.append([])
            self.levels[depth].append(source)
        return found

    def finish(self) -> bytes:
        """Encode everything outwards and splice."""
        for depth in range(len(self.levels) - 1, 0, -1):
            for source in self.levels[depth]:
                self.encode(source)
        raw = self.message.source
        self.edits[raw] = fold_overlong(raw.data, self.direct, self.message.newline) + self.enter(raw)
        return splice(raw.data, self.settle(raw))

    def encode(self, source: Source) -> None:
        """Turn the edits on one source into edits on the one that encloses it."""
        edits = self.settle(source)
        if not edits or source.within is None:
            return
        outer = self.enter(self.same[source.within])
        if source.coding is Coding.IDENTITY and find_overlong(source.data, edits):
            parts = self.parts_of(source)
            if parts:
                newline = newline_of(source.within.data, *source.span)
                body = encode_quoted_printable(splice(source.data, edits), newline)
                outer.append(Edit(*source.span, body))
                for part in parts:
                    outer.extend(set_field(part, "Content-Transfer-Encoding", b"quoted-printable", newline))
                return
        outer.extend(encode_edits(source, edits))

    def settle(self, source: Source) -> list[Edit]:
        """Return the merged edits on a source: header fields moved, and nothing done twice."""
        edits = drop_idle(source.data, self.edits[source])
        for move in self.moves.get(source, ()):
            edits = _move(move, edits)
        if source.within is not None:
            place = (self.same[source.within], source.span, source.coding)
            for rival in self.by_place[place]:
                if rival is source:
                    break
                # Where two readings of one encoding agree, the likelier one's edits serve both.
                agreed = _agreement(rival.data, source.data)
                taken = {edit for edit in self.edits.get(rival, ()) if edit.end <= agreed}
                edits = [edit for edit in edits if edit not in taken]
        return merge_edits(edits)

    def parts_of(self, source: Source) -> list[Part]:
        """Return the leaves, one for each reading, that a source is the body of."""
        if self.bodies is None:
            self.bodies = {}
            for part in self.message.walk():
                if not part.children:
                    key = (self.same.get(part.source, part.source), part.body_span)
                    self.bodies.setdefault(key, []).append(part)
        assert source.within is not None
        return self.bodies.get((self.same[source.within], source.span), [])


def _move(move: Replacement, edits: list[Edit]) -> list[Edit]:
    """Carry out a move of header fields, with the edits that fall in them; returns all edits of the source.

    What is inserted at the end of a field goes with it, what is inserted before it does not.
    """
    last = move.moved[-1].end
    inside: dict[Span, list[Edit]] = {span: [] for span in move.moved}
    others: list[Edit] = []
    for edit in edits:
        if edit.end <= last:
            for span in move.moved:
                if span.start <= edit.start and edit.end <= span.end and edit.end > span.start:
                    inside[span].append(
                        Edit(edit.start - span.start, edit.end - span.start, edit.replacement)
                    )
                    break
            else:
                others.append(edit)
        else:
            others.append(edit)
    data = move.source.data
    text = move.text + b"".join(splice(data[span.start : span.end], inside[span]) for span in move.moved)
    gone = [Edit(*span, move.left if span is move.moved[0] else b"") for span in move.moved]
    return [Edit(move.start, move.end, text), *gone, *others]


def _agreement(one: bytes, other: bytes) -> int:
    """Return how many bytes two runs have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
