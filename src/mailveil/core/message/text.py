"""Text: decoded characters that know which bytes of their source each of them came from."""

from __future__ import annotations

from collections.abc import Sequence

from mailveil.core.message.types import Source, Span


class Text:
    """A run of characters with a way back to the bytes of its source.

    ``text`` are the characters. Where one character is one byte (any ASCII-compatible charset is searched
    as latin-1), ``starts`` and ``ends`` are ``None`` and character ``i`` is byte ``offset + i``. Otherwise
    character ``i`` came from bytes ``[starts[i], ends[i])``. ``encoding`` is the codec in which a replacement
    has to be written (``"ascii"``, or for example ``"utf-16-le"``). ``charset`` is the codec in which
    characters above U+007F of a latin-1 text really are meant (``"utf-8"``, ``"windows-1252"`` …), for
    reporting URLs; ``""`` where ``text`` already holds the real characters.
    """

    __slots__ = ("charset", "encoding", "ends", "offset", "source", "starts", "text")

    def __init__(
        self,
        text: str,
        source: Source,
        *,
        offset: int = 0,
        starts: Sequence[int] | None = None,
        ends: Sequence[int] | None = None,
        encoding: str = "ascii",
        charset: str = "",
    ) -> None:
        self.text = text
        self.source = source
        self.offset = offset
        self.starts = starts
        self.ends = ends
        self.encoding = encoding
        self.charset = charset

    def span(self, start: int, end: int) -> Span:
        """Return the bytes of ``source.data`` that characters ``[start, end)`` came from."""
        if self.starts is None or self.ends is None:
            return Span(self.offset + start, self.offset + end)
        if start < end:
            return Span(self.starts[start], self.ends[end - 1])
        if start < len(self.starts):
            return Span(self.starts[start], self.starts[start])
        at = self.ends[-1] if self.ends else self.offset
        return Span(at, at)

    def sub(self, start: int, end: int) -> Text:
        """Return characters ``[start, end)`` as a text of their own."""
        return self.derive(self.text[start:end], None, start)

    def derive(self, text: str, places: Sequence[tuple[int, int]] | None, start: int = 0) -> Text:
        """Return a text made from this one, such as an attribute value with its entities decoded.

        ``places[i]`` is the range of characters of *this* text (counted from ``start``) that character ``i``
        of the new text came from; ``None`` means one for one, beginning at ``start``.
        """
        if places is None:
            if self.starts is None or self.ends is None:
                return Text(
                    text,
                    self.source,
                    offset=self.offset + start,
                    encoding=self.encoding,
                    charset=self.charset,
                )
            stop = start + len(text)
            return Text(
                text,
                self.source,
                offset=self.starts[start] if start < len(self.starts) else self.offset,
                starts=self.starts[start:stop],
                ends=self.ends[start:stop],
                encoding=self.encoding,
                charset=self.charset,
            )
        starts: list[int] = []
        ends: list[int] = []
        for first, last in places:
            span = self.span(start + first, start + last)
            starts.append(span.start)
            ends.append(span.end)
        return Text(
            text,
            self.source,
            offset=self.span(start, start).start,
            starts=starts,
            ends=ends,
            encoding=self.encoding,
            charset=self.charset,
        )
