"""TNEF properties: what makes Outlook contact somebody without any document, such as a reminder's sound."""

from __future__ import annotations

from typing import Final

from mailveil.core.message.tnef import Property, Tnef
from mailveil.core.references.types import Reference, Scope, Vector
from mailveil.core.references.url import remote

# Properties that name a file which the client opens by itself (MS-OXPROPS): PidTagAttachPathname,
# PidTagAttachLongPathname, PidLidReminderFileParameter.
_OPENED: Final = frozenset({"0x3708", "0x370d", "0x851f"})
# PidTagBodyContentLocation, PidTagAttachContentBase: what relative addresses of the body resolve against.
_BASES: Final = frozenset({"0x1014", "0x3711"})
_SHARES: Final = ("\\\\", "//", "file:", "/\\", "\\/")
_RECEIPT_OFF: Final = "\0\0\0\0"


def find_in_tnef(tnef: Tnef, scope: Scope) -> None:
    """Append what the properties of a TNEF stream would make a client contact, and its receipt requests.

    A path on a foreign Windows share counts in any property: the client hands its credentials to that host.
    """
    for candidate in tnef.properties:
        if candidate.is_receipt:
            _append(candidate, scope, "mailto:", Vector.RECEIPT_FIELD, _RECEIPT_OFF)
            continue
        value = candidate.value.strip()
        is_share = value.lower().startswith(_SHARES) and len(value) > 4
        if not (is_share or candidate.name in _OPENED or candidate.name in _BASES):
            continue
        url = remote(value, scope)
        if url is not None:
            vector = Vector.CONTENT_BASE if candidate.name in _BASES else Vector.TNEF_PROPERTY
            _append(candidate, scope, url, vector, "about:blank")


def _append(candidate: Property, scope: Scope, url: str, vector: Vector, inert: str) -> None:
    # Lengths of neighbours hang on this one's, so the text is as long as what it replaces.
    width = 2 if candidate.encoding.startswith("utf-16") else 1
    length = (candidate.end - candidate.start) // width
    text = inert[:length].ljust(length)
    scope.findings.references.append(
        Reference(
            url,
            vector,
            scope.part,
            candidate.source,
            candidate.start,
            candidate.end,
            text,
            encoding=candidate.encoding,
            element=f"mapi:{candidate.name}",
        )
    )
