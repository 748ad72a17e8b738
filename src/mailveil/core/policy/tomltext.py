"""TOML text: writes what JSON objects of a policy say in the way that people write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ROW: Final = 100  # characters; a longer list takes a line for each item


def write_toml(record: Mapping[str, Any]) -> str:
    """Return a table as TOML: plain values first, then tables, then lists of tables; ``None`` is left out.

    Values are texts, numbers, truth values, lists and tables; ``tomllib`` reads the very same back.
    """
    lines: list[str] = []
    _write_table(record, "", lines)
    return "\n".join(lines).strip("\n") + "\n"


def _write_table(table: Mapping[str, Any], path: str, lines: list[str]) -> None:
    later: list[tuple[str, Any]] = []
    for name, value in table.items():
        if value is None:
            continue
        if isinstance(value, Mapping) or _is_list_of_tables(value):
            later.append((name, value))
        else:
            lines.append(f"{_key(name)} = {_value(value)}")
    for name, value in later:
        place = f"{path}.{_key(name)}" if path else _key(name)
        if isinstance(value, Mapping):
            lines += ["", f"[{place}]"]
            _write_table(value, place, lines)
        else:
            for each in value:
                lines += ["", f"[[{place}]]"]
                _write_row(each, place, lines)


def _write_row(table: Mapping[str, Any], path: str, lines: list[str]) -> None:
    """Write the table of a list: a small table within it on its line, a large one below."""
    later: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in table.items():
        if value is None:
            continue
        line = f"{_key(name)} = {_value(value)}"
        if isinstance(value, Mapping) and len(line) > _ROW:
            later.append((name, value))
        else:
            lines.append(line)
    for name, value in later:
        lines.append(f"[{path}.{_key(name)}]")
        lines += [f"{_key(each)} = {_value(inner)}" for each, inner in value.items() if inner is not None]


def _is_list_of_tables(value: object) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return False
    return all(isinstance(each, Mapping) for each in value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inside = ", ".join(
            f"{_key(name)} = {_inline(each)}" for name, each in value.items() if each is not None
        )
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence):
        row = _inline(value)
        if len(row) <= _ROW:
            return row
        return "[\n" + "".join(f"    {_inline(each)},\n" for each in value) + "]"
    raise TypeError(f"{type(value).__name__} cannot be written")


def _inline(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    return _value(value)


def _text(value: str) -> str:
    # A basic string of TOML escapes as JSON does, apart from DEL, which has to be escaped as well.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
