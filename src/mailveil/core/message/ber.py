"""BER: a small, total walker over ASN.1 elements (X.690) that keeps the offset of everything it reads."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_ELEMENTS: Final = 500_000
MAX_NESTING: Final = 48

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31


class Element(NamedTuple):
    """One element: its identifier octet and where header, content and the whole of it stand.

    ``tag`` is the first identifier octet (class, constructed bit and number up to 30). ``content_end`` leaves
    out the end-of-contents octets of an indefinite length, ``end`` takes them in.
    """

    tag: int
    start: int
    content_start: int
    content_end: int
    end: int

    @property
    def constructed(self) -> bool:
        """Tell whether the content is made of elements."""
        return bool(self.tag & 0x20)


class BerReader:
    """Reads elements of ``data``, each end-of-contents searched for once, so that nesting stays cheap.

    ``clipped`` becomes true where something was longer than its surroundings; it was then read up to their
    end, as lenient clients do. ``exhausted`` becomes true once more elements were met than anything real has.
    """

    __slots__ = ("clipped", "data", "ends", "exhausted", "left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ends: dict[int, int] = {}  # start of an indefinite content → offset of its end-of-contents
        self.left = MAX_ELEMENTS
        self.clipped = False
        self.exhausted = False

    def element(self, at: int, end: int) -> Element | None:
        """Return the element that begins at ``at`` and stays before ``end``, or ``None``."""
        header = self._header(at, end)
        if header is None:
            return None
        tag, content, length = header
        if length >= 0:
            stop = content + length
            if stop > end:
                self.clipped = True
                stop = end
            return Element(tag, at, content, stop, stop)
        stop = self.ends.get(content, -1)
        if stop < 0:
            stop = self._find_end(content, end)
        if stop > end:
            self.clipped = True
            return Element(tag, at, content, end, end)
        return Element(tag, at, content, stop, min(stop + 2, end))

    def children(self, element: Element) -> list[Element]:
        """Return the elements that an element consists of; none where it is primitive."""
        found: list[Element] = []
        if not element.constructed:
            return found
        at = element.content_start
        while at < element.content_end:
            child = self.element(at, element.content_end)
            if child is None:
                self.clipped = True
                break
            found.append(child)
            at = child.end
        return found

    def octets(self, element: Element) -> bytes:
        """Return the value of an octet string, its segments joined (X.690 section 8.7)."""
        if not element.constructed:
            return self.data[element.content_start : element.content_end]
        pieces: list[bytes] = []
        stack = [(element, 0)]
        while stack:
            current, depth = stack.pop()
            if not current.constructed:
                pieces.append(self.data[current.content_start : current.content_end])
            elif depth < MAX_NESTING:
                stack.extend((child, depth + 1) for child in reversed(self.children(current)))
            else:
                self.clipped = True
        return b"".join(pieces)

    def _header(self, at: int, end: int) -> tuple[int, int, int] | None:
        """Return identifier octet, start of the content and its length (-1: indefinite)."""
        if self.left <= 0:
            self.exhausted = True
            return None
        self.left -= 1
        data = self.data
        if at + 2 > end:
            return None
        tag = data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            stop = min(at + 4, end)
            while at < stop and data[at] & 0x80:
                at += 1
            at += 1
            if at >= end:
                return None
        first = data[at]
        at += 1
        if first < 0x80:
            return tag, at, first
        if first == 0x80:
            return (tag, at, -1) if tag & 0x20 else None
        count = first & 0x7F
        if count > 8 or at + count > end:
            return None
        return tag, at + count, int.from_bytes(data[at : at + count], "big")

    def _find_end(self, content: int, end: int) -> int:
        """Return where the end-of-contents octets of an indefinite content stand (``end + 1``: nowhere)."""
        data = self.data
        opened = [content]
        at = content
        while opened:
            if data[at : at + 2] == b"\0\0" and at + 2 <= end:
                self.ends[opened.pop()] = at
                at += 2
                continue
            header = self._header(at, end)
            if header is None or len(opened) > MAX_NESTING:
                break
            _tag, at, length = header
            if length < 0:
                opened.append(at)
            else:
                at += length
        for start in opened:
            self.ends[start] = end + 1
        return self.ends[content]
