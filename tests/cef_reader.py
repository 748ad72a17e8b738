"""A reader of CEF, written from its implementation standard, so that tests see what a SIEM does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Cef:
    """One event: the seven fields of its header, and its values by key."""

    header: list[str]
    values: dict[str, str] = field(default_factory=dict)


def read_cef(text: str) -> Cef:
    """Read one line; AssertionError for what is none."""
    assert "\n" not in text
    assert "\r" not in text
    text = text.removeprefix("\ufeff")
    assert text.startswith("CEF:0|")
    header, rest = [""], iter(text)
    for each in rest:
        if each == "\\":
            escaped = next(rest)
            assert escaped in "\\|", "in the header nothing else is escaped"
            header[-1] += escaped
        elif each == "|":
            if len(header) == 7:
                break
            header.append("")
        else:
            header[-1] += each
    assert len(header) == 7
    return Cef(header, _values("".join(rest)))


def _values(extension: str) -> dict[str, str]:
    # An equals sign that is not escaped ends a key; what stands before it up to a blank is that key.
    marks = [
        place for place, each in enumerate(extension) if each == "=" and not _is_escaped(extension, place)
    ]
    found: dict[str, str] = {}
    starts = [extension.rfind(" ", 0, mark) + 1 for mark in marks]
    for place, mark in enumerate(marks):
        end = starts[place + 1] - 1 if place + 1 < len(marks) else len(extension)
        key = extension[starts[place] : mark]
        assert re.fullmatch(r"[A-Za-z0-9]+", key), key
        assert key not in found
        found[key] = re.sub(r"\\([\\=])", r"\1", extension[mark + 1 : end])
    return found


def _is_escaped(text: str, place: int) -> bool:
    before = len(text[:place]) - len(text[:place].rstrip("\\"))
    return before % 2 == 1
