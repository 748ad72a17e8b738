"""Lists of people who are to be marked, as directories and spreadsheets export them: CSV with a head."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailveil.control.activities import read_address, read_function
from mailveil.control.failures import InvalidError

COLUMNS: Final[
    Mapping[str, tuple[str, ...]]
] = {  # by which names exports call them: mailveil, LDAP, spreadsheets
    "address": ("address", "mail", "email", "e-mail", "person", "userprincipalname"),
    "function": ("function", "department", "departmentnumber"),
    "high_value": ("high_value", "high value", "high-value"),
}
_YES: Final = frozenset(("yes", "y", "true", "1", "x"))
_NO: Final = frozenset(("", "no", "n", "false", "0"))


@dataclass(frozen=True, slots=True)
class Mark:
    """What a line says of somebody."""

    address: str
    function: str
    is_high_value: bool


def read_list(file: str) -> Sequence[Mark]:
    """Return whom a file names; ``-`` is standard input. Raises ``InvalidError``."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as error:
        raise InvalidError(f"{file}: {error.strerror}", "from") from error
    try:
        return read_marks(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file} is no UTF-8 text; export it as CSV UTF-8.", "from") from error


def read_marks(text: str) -> Sequence[Mark]:
    """Return whom a list names, each once; lines without an address, as of rooms and printers, name nobody.

    Columns are told by the head; they are parted by whatever parts the head: comma, semicolon or tab. Raises
    ``InvalidError``, with the line, for what cannot be meant.
    """
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    found: dict[str, Mark] = {}
    try:
        places = _places(next(rows, []))
        for row in rows:
            mark = _mark(row, places)
            if mark is not None and found.setdefault(mark.address.lower(), mark) != mark:
                raise InvalidError(f"{mark.address} stands there twice, with different words.")
    except csv.Error as error:
        raise InvalidError(f"Line {rows.line_num}: it is no CSV ({error}).", "from") from error
    except InvalidError as error:
        raise InvalidError(f"Line {rows.line_num}: {error}", "from") from error
    if not found:
        raise InvalidError("Nobody is in this list.", "from")
    return list(found.values())


def _places(head: Sequence[str]) -> dict[str, int]:
    """Return where which column stands."""
    names = [each.strip().lower() for each in head]
    places = {
        column: names.index(known[0])
        for column, called in COLUMNS.items()
        if (known := [each for each in called if each in names])
    }
    if "address" not in places or len(places) < 2:
        raise InvalidError(
            "The first line names the columns: address (or mail), and function (or department), high_value, or both."
        )
    return places


def _mark(row: Sequence[str], places: Mapping[str, int]) -> Mark | None:
    said = {column: row[place].strip() if place < len(row) else "" for column, place in places.items()}
    if not said["address"]:
        return None
    value = said.get("high_value", "").lower()
    if value not in _YES and value not in _NO:
        raise InvalidError(f"high_value is yes or no, and not {said['high_value']}.")
    return Mark(read_address(said["address"]), read_function(said.get("function", "")), value in _YES)
