"""Forged fields: what came in with a message as if we, or a server that is trusted, had written it."""

from __future__ import annotations

from collections.abc import Sequence

from mailveil.core.authentication.results import parse_authentication_results
from mailveil.core.authentication.trust import (
    MAX_VALUE_CHARACTERS,
    TrustedServers,
    field_text,
    trusted_fields,
)
from mailveil.core.message.types import Field, Message, Part
from mailveil.core.rewrite import Replacement

OWN_PREFIX = "x-mailveil-"
# Stands in a field that cannot be taken out whole without moving the line between header and body.
NEUTRAL_FIELD = b"X-Removed: yes"


def forged_fields(
    message: Message, authserv_id: str, trust: TrustedServers
) -> tuple[tuple[Part, Field], ...]:
    """Return the fields of the message's header, under every reading, that may not go on.

    Those are all ``X-Mailveil-`` fields, and the Authentication-Results fields with our own authserv-id
    (RFC 8601 section 5), except where it is also a trusted server's and the field stands where only that
    server can have put it. Total and linear.
    """
    found: list[tuple[Part, Field]] = []
    for root in message.readings:
        suspects = [
            field
            for field in root.fields
            if field.name.startswith(OWN_PREFIX)
            or (field.name == "authentication-results" and _is_ours(field, authserv_id))
        ]
        if suspects:
            genuine = (
                {field.span for field, _ in trusted_fields(root.fields, trust)}
                if authserv_id == trust.authserv_id and len(message.readings) == 1
                else set()
            )
            found += [(root, field) for field in suspects if field.span not in genuine]
    return tuple(found)


def _is_ours(field: Field, authserv_id: str) -> bool:
    if not authserv_id:
        return False
    value = field.value
    if len(value) > MAX_VALUE_CHARACTERS:
        return True  # nobody writes so long a one, and behind so much of a comment our id could stand
    results = parse_authentication_results(field_text(value))
    return results.authserv_id == authserv_id


def removals(forged: Sequence[tuple[Part, Field]]) -> list[Replacement]:
    """Return what takes fields out, their line breaks included.

    Something has to stay where the line between header and body would move: where a header would be empty,
    and where no empty line ends it.
    """
    gone = {(id(part.source), field.span) for part, field in forged}
    found: list[Replacement] = []
    for part, field in forged:
        start, end = field.span
        at_seam = end >= part.header_span.end and end < part.body_span.end
        emptied = field.span == part.fields[0].span and all(
            (id(part.source), each.span) in gone for each in part.fields
        )
        if at_seam or emptied:
            found.append(Replacement(part.source, start, field.value_span.end, NEUTRAL_FIELD))
        else:
            found.append(Replacement(part.source, start, end, b""))
    return found
