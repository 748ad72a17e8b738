"""Deciding: what a message's policy does about one reference, as the engine found and judged it."""

from __future__ import annotations

import re
from typing import Final

from mailveil.core.policy.messagepolicy import Choice, MessagePolicy, choose
from mailveil.core.policy.patterns import host_of
from mailveil.core.policy.rules import ReferenceFacts
from mailveil.core.policy.types import PolicySettings, decide
from mailveil.core.references.types import Media, Reference, Vector
from mailveil.core.verdicts.types import Verdict

SCRIPTS: Final = frozenset({Vector.SCRIPT_INLINE, Vector.EVENT_HANDLER})
# Lists of addresses, which older clients divide at every comma.
LISTS: Final = frozenset({Vector.IMG_SRCSET, Vector.SOURCE_SRCSET})
_PLAIN: Final = re.compile(
    r"(https?://[a-z0-9_-]++(?:\.[a-z0-9_-]++)*+(?::[0-9]{1,5})?)(?:[/?#][\x21-\x7e]*+)?"
)


def decide_by(
    policy: MessagePolicy | None, reference: Reference, verdict: Verdict, settings: PolicySettings
) -> Choice:
    """Return the action for one reference and what chose it; without a policy the settings alone do."""
    if policy is None or not policy.parties:
        return Choice(decide(reference, verdict, settings), "")
    return choose(policy.parties, reference_facts(reference, verdict), settings)


def reference_facts(reference: Reference, verdict: Verdict) -> ReferenceFacts:
    """Return what rules may know of a reference."""
    return ReferenceFacts(
        host=host_of(reference.url),
        operator=verdict.operator.name if verdict.operator else "",
        kinds=verdict.kinds,
        risk=verdict.risk,
        finding=verdict.kind_of_reference,
        has_copy=reference.media is not None,
        is_script=reference.vector in SCRIPTS,
        is_plain=_is_plain(reference),
        leads_on=reference.media is Media.STYLESHEET,
    )


def is_plain_url(url: str) -> bool:
    """Tell whether a URL is an http or https address whose host every client reads alike."""
    return _PLAIN.fullmatch(url) is not None


def _is_plain(reference: Reference) -> bool:
    """Tell whether a reference is written in the message as what it means, so that no client reads another host."""
    plain = _PLAIN.fullmatch(reference.url)
    if plain is None or (reference.vector in LISTS and "," in reference.url):
        return False
    written = reference.source.data[
        reference.start : min(reference.end, reference.start + len(plain[1]) + 65)
    ]
    given = written.lstrip(b" \t\r\n")
    origin = plain[1].encode("ascii")
    following = given[len(origin) : len(origin) + 1]
    return given[: len(origin)].lower() == origin and following in (b"", b"/", b"?", b"#")
