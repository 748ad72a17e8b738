"""Infrastructure: what the one fetch of a host's content tells of whoever runs it. Pure."""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import urlsplit

from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.observation import host_template
from mailveil.core.verdicts.evidence import FetchEvidence

MAX_OF_EACH: Final = 8
_DIGEST_BYTES: Final = 16
# Fields that come and go with caches and with what is fetched, whoever answers.
_PASSING: Final = frozenset(
    {"age", "date", "expires", "last-modified", "etag", "content-length", "transfer-encoding", "location",
     "retry-after", "set-cookie", "cf-ray", "x-cache", "via"}
)  # fmt: skip


def facts_of_fetch(url: str, evidence: FetchEvidence) -> InfrastructureFacts | None:
    """Return what a fetch tells of the host of ``url``, ``None`` where nobody was reached.

    Only the first request counts: where it redirects to is other people's infrastructure as often as not.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    if not host or not evidence.hops:
        return None
    hop, name = evidence.hops[0], evidence.hops[0].name
    if not hop.status and not hop.certificate and (name is None or not name.records):
        return None
    order = [each for each, _ in hop.fields if each not in _PASSING]
    is_own_body = len(evidence.hops) == 1
    return InfrastructureFacts(
        host=host_template(host),
        canonical_names=tuple(dict.fromkeys(map(host_template, name.aliases)))[:MAX_OF_EACH] if name else (),
        name_servers=tuple(sorted({each.lower().rstrip(".") for each in name.servers}))[:MAX_OF_EACH]
        if name
        else (),
        addresses=tuple(sorted(set(name.addresses)))[:MAX_OF_EACH] if name else (),
        certificate=hop.certificate,
        header_order=_digest("\n".join(order)) if order else "",
        body=evidence.body.sha256[: 2 * _DIGEST_BYTES] if is_own_body else "",
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()
