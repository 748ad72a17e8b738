"""Rows: labelled references of a data set, and the references and messages that they describe."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mailveil.core.message.types import Source
from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.features import Surroundings, measure
from mailveil.core.verdicts.types import Measured, MessageContext

TRACKER: Final = "tracker"
CONTENT: Final = "content"
#: Sources of labels that rest on more than the structure of the reference.
GOLD: Final = frozenset({"pair", "rcpt", "list2", "list1+struct"})
#: What stands for the recipient in collections of mail that was made anonymous.
PLACEHOLDERS: Final = ("reader@example.org", "phishing@pot")
MAX_LINE_BYTES: Final = 1_000_000
MAX_DOCUMENT: Final = 20_000_000

_ATTRIBUTE: Final = re.compile(
    r"([a-zA-Z][a-zA-Z0-9\-]*+)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))"
)
_VECTORS: Final[Mapping[str, Vector]] = {
    "img": Vector.IMG_SRC,
    "img@srcset": Vector.IMG_SRCSET,
    "source@srcset": Vector.SOURCE_SRCSET,
    "input": Vector.INPUT_SRC,
    "css-inline": Vector.CSS_URL,
    "css-style": Vector.CSS_URL,
    "css-font": Vector.CSS_FONT,
    "css-import": Vector.CSS_IMPORT,
    "td": Vector.CSS_URL,
    "v:fill": Vector.VML_SRC,
    "link:stylesheet": Vector.LINK_STYLESHEET,
    "link:preconnect": Vector.LINK_PRECONNECT,
    "link:dns-prefetch": Vector.LINK_DNS_PREFETCH,
    "link:preload": Vector.LINK_PRELOAD,
    "link:icon": Vector.LINK_ICON,
    "link:shortcut icon": Vector.LINK_ICON,
    "link:apple-touch-icon": Vector.LINK_ICON,
    "link:apple-touch-icon-precomposed": Vector.LINK_ICON,
    "bgsound": Vector.BGSOUND_SRC,
    "audio": Vector.AUDIO_SRC,
    "video": Vector.VIDEO_SRC,
    "embed": Vector.EMBED_SRC,
    "script": Vector.SCRIPT_SRC,
    "iframe": Vector.IFRAME_SRC,
    "frame": Vector.FRAME_SRC,
    "meta-refresh": Vector.META_REFRESH,
}


class DataError(Exception):
    """A data set cannot be used; the text names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled reference. ``message`` groups those of one message, ``order`` is its place among them.

    ``family`` is the kind of URL that it belongs to, ``group`` what data splits keep together, ``template`` the
    template of the message. ``size`` is the length in bytes of the part that it stands in, ``weight`` what it
    counts for in training besides its family's share.
    """

    url: str
    vector: Vector
    element: str
    attributes: Mapping[str, str]
    message: str
    order: int
    sender: str
    size: int
    label: str
    source: str
    family: str
    domain: str
    owner: str = ""
    template: str = ""
    group: str = ""
    date: str = ""
    lists: tuple[str, ...] = ()
    invisible: bool = False
    has_token: bool = False
    recipients: tuple[str, ...] = PLACEHOLDERS
    weight: float = 1.0
    variant: str = field(default="", compare=False)

    @property
    def is_tracker(self) -> bool:
        """Whether the label says that it is a tracker."""
        return self.label == TRACKER

    @property
    def is_scored(self) -> bool:
        """Whether the label is one of the two that count."""
        return self.label in {TRACKER, CONTENT}


def read_rows(path: Path) -> list[Row]:
    """Read a data set, JSON Lines, compressed by gzip or not. Raises DataError and OSError."""
    rows = []
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if len(line) > MAX_LINE_BYTES:
                    raise DataError(f"{path}: line {number} is longer than {MAX_LINE_BYTES:,} bytes")
                if line.strip():
                    rows.append(_row(line, f"{path}: line {number}"))
        except (gzip.BadGzipFile, EOFError) as error:
            raise DataError(f"{path}: not a whole gzip file") from error
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return rows


def _row(line: bytes, where: str) -> Row:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON") from error
    if not isinstance(record, dict):
        raise DataError(f"{where} is no JSON object")
    try:
        return row_of(record)
    except KeyError as error:
        raise DataError(f"{where} has no field {error.args[0]!r}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where} has a field of the wrong kind: {error}") from error


def row_of(record: Mapping[str, Any]) -> Row:
    """Return the row that a record of a data set describes. Raises KeyError, TypeError and ValueError."""
    vector = str(record["vector"])
    attributes = _attributes(record)
    domain = str(record["regdom"] or "")
    return Row(
        url=str(record["url"]),
        vector=vector_of(vector),
        element=str(record.get("tag") or ""),
        attributes=attributes,
        message=f"{record.get('corpus', '')}/{record['file']}/{record.get('part', '')}",
        order=int(record.get("idx") or 0),
        sender=str(record.get("sender") or ""),
        size=min(max(int(record.get("html_size") or 0), 0), MAX_DOCUMENT),
        label=str(record["label"]),
        source=str(record.get("label_source") or ""),
        family=str(record.get("family") or f"d:{domain}"),
        domain=domain,
        owner=str(record.get("owner") or ""),
        template=str(record.get("tmpl") or ""),
        group=str(record.get("group") or f"d:{domain}"),
        date=str(record.get("date") or ""),
        lists=tuple(map(str, record.get("lists") or ())),
        invisible=bool(record.get("invisible")),
        has_token=bool(record.get("tokens")),
    )


def vector_of(name: str) -> Vector:
    """Return the construct that a data set means by a name."""
    name = name.removeprefix("comment-")
    if name.endswith("@background"):
        return Vector.BACKGROUND
    return _VECTORS.get(name, Vector.LINK_OTHER if name.startswith("link:") else Vector.HTML_OTHER)


def _attributes(record: Mapping[str, Any]) -> dict[str, str]:
    written = record.get("attrs") or "{}"
    given = json.loads(written) if isinstance(written, str) else written
    attributes = {str(name).lower(): str(value) for name, value in given.items() if name != "raw"}
    for match in _ATTRIBUTE.finditer(str(given.get("raw", ""))[:2_000]):
        attributes.setdefault(match[1].lower(), match[2] or match[3] or match[4] or "")
    if record.get("style"):
        attributes["style"] = str(record["style"])
    return attributes


def messages_of(rows: Iterable[Row]) -> list[list[Row]]:
    """Return the rows of each message, in the order of the message."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.message].append(row)
    return [sorted(each, key=lambda row: row.order) for each in found.values()]


def reference_of(row: Row, source: Source) -> Reference:
    """Return the reference that a row describes."""
    return Reference(
        row.url, row.vector, "1", source, 0, 0, "", element=row.element, attributes=row.attributes
    )


def measure_message(rows: Sequence[Row]) -> list[Measured]:
    """Measure the references of one message, just as those of a message that arrives."""
    first = rows[0]
    context = MessageContext(
        header_from=f"sender@{first.sender}" if first.sender else "",
        recipients=first.recipients,
        size=first.size,
    )
    source = Source(b"")
    references = [reference_of(row, source) for row in rows]
    surroundings = Surroundings(references, context)
    return [measure(reference, surroundings) for reference in references]


def measure_rows(rows: Sequence[Row]) -> list[Measured]:
    """Measure rows among the others of their messages; in the order of the rows."""
    place = {id(row): number for number, row in enumerate(rows)}
    found: list[Measured | None] = [None] * len(rows)
    for message in messages_of(rows):
        for row, measured in zip(message, measure_message(message), strict=True):
            found[place[id(row)]] = measured
    return [each for each in found if each is not None]


def measure_varied(rows: Sequence[Row], pairs: Sequence[tuple[Row, Row]]) -> list[Measured]:
    """Measure what a variation made of some of ``rows``, each in its message in the place of the original."""
    changed = {id(original): made for original, made in pairs}
    wanted = {original.message for original, _made in pairs}
    found: dict[int, Measured] = {}
    for message in messages_of(row for row in rows if row.message in wanted):
        now = [changed.get(id(row), row) for row in message]
        for row, measured in zip(message, measure_message(now), strict=True):
            if id(row) in changed:
                found[id(row)] = measured
    return [found[id(original)] for original, _made in pairs]
