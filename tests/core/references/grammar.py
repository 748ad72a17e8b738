"""What every test of a grammar needs: run a finder, apply what it says, look again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from mailveil.core.message.edits import splice
from mailveil.core.message.text import Text
from mailveil.core.message.types import Coding, Edit, Source
from mailveil.core.references.types import Findings, Reference, Scope

Finder = Callable[[Text, Scope], None]


def find(finder: Finder, data: bytes | str, **scope: object) -> list[Reference]:
    """Return the references of a document of its own."""
    raw = data.encode() if isinstance(data, str) else data
    findings = Findings()
    text = Text(raw.decode("latin-1"), Source(raw), charset="utf-8")
    finder(text, Scope(part="1", findings=findings, **scope))  # type: ignore[arg-type]
    return findings.references


def urls(finder: Finder, data: bytes | str, **scope: object) -> list[str]:
    """Return what would be contacted, each URL once, in order of place."""
    return list(dict.fromkeys(reference.url for reference in find(finder, data, **scope)))


def silence(finder: Finder, data: bytes | str, **scope: object) -> bytes:
    """Return the document with every reference replaced by what is inert."""
    raw = data.encode() if isinstance(data, str) else data
    return replace_all(raw, find(finder, raw, **scope))


def replace_all(raw: bytes, references: list[Reference], replacement: str = "") -> bytes:
    """Return ``raw`` with each reference replaced by ``replacement``, or by its own inert text."""
    edits: dict[int, tuple[Source, list[Edit]]] = {}
    for reference in references:
        new = (replacement or reference.inert).encode(reference.encoding)
        place = edits.setdefault(id(reference.source), (reference.source, []))
        place[1].append(Edit(reference.start, reference.end, new))
    while True:
        for key, (source, changes) in list(edits.items()):
            if source.within is None:
                continue
            del edits[key]
            assert source.coding is Coding.DATA_URL_BASE64
            encoded = b64encode(splice(source.data, changes))
            place = edits.setdefault(id(source.within), (source.within, []))
            place[1].append(Edit(source.span.start, source.span.end, encoded))
            break
        else:
            break
    for _source, changes in edits.values():
        raw = splice(raw, changes)
    return raw
