"""The corpus: cases that a mail administrator can read, and the variants that each of them also runs as."""

from __future__ import annotations

import base64
import json
import quopri
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.message.parse import parse_message
from mailveil.core.message.types import Edit, Part
from mailveil.core.policy import Envelope
from mailveil.core.protection import CopyMode, EngineSettings
from mailveil.core.rewrite import splice

CORPUS = Path(__file__).parent / "corpus"
KEY = b"a key that only the corpus knows"
ADDRESSES = CopyAddresses("https://copies.test", KEY)
ENCODABLE = ("text/", "application/xhtml", "image/svg", "application/xml")


@dataclass(frozen=True)
class Case:
    """One folder of the corpus: ``message.eml``, ``README.md``, ``settings.toml``, ``expected/``."""

    folder: Path
    settings_table: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def raw(self) -> bytes:
        return (self.folder / "message.eml").read_bytes()

    @property
    def envelope(self) -> Envelope:
        return Envelope(recipients=tuple(self.settings_table.get("recipients", ["reader@example.org"])))

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.settings_table.get("variants", ["lf", "crlf", "quoted-printable", "base64"]))

    @property
    def silent_already(self) -> bool:
        """Tell whether no browser would contact anyone even for the original (header fields, calendars …)."""
        return bool(self.settings_table.get("silent_in_browser", False))

    def settings(self, mode: CopyMode = CopyMode.NONE) -> EngineSettings:
        return EngineSettings(mode=mode, addresses=ADDRESSES)

    def expected(self, name: str) -> Path:
        return self.folder / "expected" / name


def cases() -> Iterator[Case]:
    """Yield every case, the private ones of this machine included."""
    for message in sorted([*CORPUS.glob("[0-9]*/message.eml"), *CORPUS.glob("private/*/message.eml")]):
        settings = message.parent / "settings.toml"
        table = tomllib.loads(settings.read_text()) if settings.exists() else {}
        yield Case(message.parent, table)


def variant(raw: bytes, name: str) -> bytes:
    """Return the message with other line breaks, or with its text bodies in another transfer encoding."""
    if name == "lf":
        return raw.replace(b"\r\n", b"\n")
    if name == "crlf":
        return re.sub(rb"(?<!\r)\n", b"\r\n", raw)
    message = parse_message(raw)
    edits: list[Edit] = []
    for part in _parts(message.root):
        if part.children or not part.media_type.startswith(ENCODABLE) or part.source is not message.source:
            continue
        if (
            part.transfer_encodings[0] not in ("7bit", "8bit", "binary")
            or part.header_span.end == part.span.start
        ):
            continue
        edits += _encoded(raw, part, name, message.newline)
    return splice(raw, edits)


def _parts(root: Part) -> list[Part]:
    found, stack = [], [root]
    while stack:
        part = stack.pop()
        found.append(part)
        stack.extend(part.children)
    return found


def _encoded(raw: bytes, part: Part, coding: str, newline: bytes) -> list[Edit]:
    body = raw[part.body_span.start : part.body_span.end]
    if coding == "base64":
        encoded = base64.encodebytes(body).rstrip(b"\n").replace(b"\n", newline)
    else:
        encoded = quopri.encodestring(body.replace(b"\r\n", b"\n"), quotetabs=False).replace(b"\n", newline)
    edits = [Edit(part.body_span.start, part.body_span.end, encoded)]
    edits += [
        Edit(found.span.start, found.span.end, b"")
        for found in part.fields
        if found.name == "content-transfer-encoding"
    ]
    # In front of the first field: a fixed place that no folding can reach.
    first = part.fields[0].span.start if part.fields else part.header_span.start
    edits.append(Edit(first, first, b"Content-Transfer-Encoding: " + coding.encode() + newline))
    return edits


def to_json(record: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Return a record as it is written into ``expected/``."""
    return json.dumps(record, indent=1, ensure_ascii=True, sort_keys=False) + "\n"
