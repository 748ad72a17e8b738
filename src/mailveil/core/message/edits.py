"""Sorted, non-overlapping edits on a run of bytes, and what they make of it."""

from __future__ import annotations

from collections.abc import Sequence

from mailveil.core.message.types import Edit


def merge_edits(edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits sorted and without overlaps, ready to be spliced.

    Where edits overlap, one edit over the union of their spans is left, with the text of the widest (of the
    first, where several are as wide): overlapping edits are there because clients differ about the same
    bytes, and each of the texts is harmless. An insertion strictly inside a replaced span is dropped, several
    at one place stay in the order given, equal ones count once. Time: that of sorting.
    """
    merged: list[Edit] = []
    stop = -1  # end of the last non-empty span in ``merged``
    place = -1  # index of that span in ``merged``
    width = 0  # of the edit whose text it carries
    inserted: set[bytes] = set()
    inserted_at = -1
    for edit in sorted(edits, key=_order):
        start, end, text = edit.start, edit.end, edit.replacement
        if start == end:
            if start < stop or not text:
                continue
            if inserted_at != start:
                inserted_at = start
                inserted.clear()
            if text not in inserted:
                inserted.add(text)
                merged.append(edit)
            continue
        if start < stop:
            standing = merged[place]
            if end - start > width:
                width = end - start
                merged[place] = Edit(standing.start, max(end, stop), text)
            elif end > stop:
                merged[place] = Edit(standing.start, end, standing.replacement)
            stop = max(stop, end)
            continue
        place, stop, width = len(merged), end, end - start
        merged.append(edit)
    return merged


def _order(edit: Edit) -> tuple[int, bool]:
    """Sort by place; what is inserted at a place comes before what is replaced from there on."""
    return edit.start, edit.end > edit.start


def drop_idle(data: bytes, edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits that change something in ``data``."""
    return [edit for edit in edits if data[edit.start : edit.end] != edit.replacement]


def splice(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Return ``data`` with the edits made; the very same object where there is none.

    The edits may come in any order and overlap (see :func:`merge_edits`). Time: linear in ``data``, plus
    sorting.
    """
    if not edits:
        return data
    pieces: list[bytes] = []
    at = 0
    for edit in merge_edits(edits):
        pieces.append(data[at : edit.start])
        pieces.append(edit.replacement)
        at = edit.end
    pieces.append(data[at:])
    return b"".join(pieces)


def newline_of(data: bytes, start: int = 0, end: int | None = None) -> bytes:
    """Return the line break used first in ``data[start:end]``, failing that in all of ``data``, else CRLF."""
    stop = len(data) if end is None else end
    at = data.find(b"\n", start, stop)
    if at < 0:
        at = data.find(b"\n")
        if at < 0:
            return b"\r\n"
    return b"\r\n" if data[at - 1 : at] == b"\r" else b"\n"
