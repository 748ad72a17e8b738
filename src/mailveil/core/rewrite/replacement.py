"""A replacement: what shall stand in the place of some decoded bytes."""

from __future__ import annotations

from dataclasses import dataclass

from mailveil.core.message.types import Edit, Source, Span


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replace ``source.data[start:end]`` by ``text``; ``start == end`` inserts.

    ``moved`` are header fields of the same source that move to the end of ``text``, with whatever else is
    replaced in them, in ascending order; ``left`` stands in the place of the first. Only for insertions.
    """

    source: Source
    start: int
    end: int
    text: bytes
    moved: tuple[Span, ...] = ()
    left: bytes = b""

    @property
    def edit(self) -> Edit:
        """The replacement as an edit on its source's data."""
        return Edit(self.start, self.end, self.text)
