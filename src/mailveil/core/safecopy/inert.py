"""Inert: documents in which nothing is left that anyone would fetch or run."""

from __future__ import annotations

from collections.abc import Callable

from mailveil.core.message.edits import merge_edits, splice
from mailveil.core.message.text import Text
from mailveil.core.message.types import Edit, Source
from mailveil.core.references.types import Findings, Reference, Scope, nothing_is_ours

MAX_SANITISE_ROUNDS = 4
Grammar = Callable[[Text, Scope], None]


def inert_of(found: Reference) -> str:
    """Return what stands for a reference where nothing may be fetched."""
    return found.inert


def make_inert(
    body: bytes,
    *grammars: Grammar,
    base: str = "",
    ours: Callable[[str], bool] = nothing_is_ours,
    replacement: Callable[[Reference], str] = inert_of,
) -> bytes | None:
    """Return a document with every reference replaced; ``None`` if that does not come to an end.

    One grammar after the other, since what each of them writes must make sense to the next. What is ``ours``
    stays, so that a ``replacement`` is not replaced in turn.
    """
    for _ in range(MAX_SANITISE_ROUNDS):
        before = body
        for find in grammars:
            body = _replaced(body, find, base, ours, replacement)
        if body == before:
            return body
    return None


def _replaced(
    body: bytes,
    find: Grammar,
    base: str,
    ours: Callable[[str], bool],
    replacement: Callable[[Reference], str],
) -> bytes:
    source = Source(body)
    findings = Findings()
    find(
        Text(body.decode("latin-1"), source, charset="utf-8"),
        Scope(part="", findings=findings, base=base, ours=ours, attached=True),
    )
    edits = [
        Edit(found.start, found.end, replacement(found).encode(found.encoding))
        for found in findings.references
        if found.source is source
    ]
    # Whatever hides in a container of its own (a base64 data: URL) goes as a whole.
    containers = {_outermost(found.source, source) for found in findings.references} - {source}
    edits += [Edit(container.span.start, container.span.end, b"") for container in containers]
    return splice(body, merge_edits(edits)) if edits else body


def _outermost(source: Source, whole: Source) -> Source:
    """Return the container that stands in ``whole`` itself and holds ``source``."""
    while source.within is not None and source.within is not whole:
        source = source.within
    return source
