"""Evidence: what one fetch of a reference showed, kept for the judge. No bodies, nothing about any reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_FIELDS = 60
MAX_FIELD_NAME = 100
MAX_FIELD_VALUE = 1000


class FetchOutcome(StrEnum):
    """How a fetch ended. Values are permanent: reports carry them."""

    FETCHED = "fetched"
    # Not one byte was sent to the origin.
    REFUSED_ADDRESS = (
        "refused-address"  # it must not be contacted: a private address, another port, no http URL
    )
    UNREACHABLE = "unreachable"  # no connection, or no answer from the DNS in time
    NO_SUCH_NAME = "no-such-name"  # the DNS says that the name or its address does not exist
    NO_EXIT = "no-exit"  # exits are configured and none of them works
    BUSY = "busy"  # as many connections to its address as are allowed at once
    OVER_BUDGET = "over-budget"  # its address has had its share of the hour
    # It was contacted.
    HTTP_ERROR = "http-error"
    ASKED_TO_WAIT = "asked-to-wait"  # 429 or 503 (RFC 6585, RFC 9110)
    TOO_LARGE = "too-large"
    DECOMPRESSION_BOMB = "decompression-bomb"  # few bytes that become very many
    TOO_MANY_FIELDS = "too-many-fields"  # header fields without end, or interim answers without end
    TOO_SLOW = "too-slow"  # no answer, or not all of it in time
    DRIP_FED = "drip-fed"  # a body a few bytes at a time: one way to measure how long a message stays open
    TOO_MANY_REDIRECTS = "too-many-redirects"
    REDIRECT_LOOP = "redirect-loop"
    LINKED = "linked"  # a redirect to what the message links to: it could confirm or unsubscribe
    KNOWN = "known"  # a redirect to what another fetch has brought today: its copy is used
    BAD_CERTIFICATE = "bad-certificate"
    MALFORMED = "malformed"  # no valid HTTP, or a body shorter than announced
    FAILED = "failed"
    LOST = "lost"  # our HTTP client was lost over it; whether the origin answered is not known

    @property
    def sent_nothing(self) -> bool:
        """Tell whether the origin that ended the fetch saw no byte of a request."""
        return self in _SENT_NOTHING


_SENT_NOTHING = frozenset(
    {
        FetchOutcome.REFUSED_ADDRESS,
        FetchOutcome.UNREACHABLE,
        FetchOutcome.NO_SUCH_NAME,
        FetchOutcome.NO_EXIT,
        FetchOutcome.BUSY,
        FetchOutcome.OVER_BUDGET,
    }
)


@dataclass(frozen=True, slots=True)
class NameRecord:
    """One record of an answer of the DNS (RFC 1035), names without the final dot."""

    name: str
    kind: str
    ttl_s: int
    value: str


@dataclass(frozen=True, slots=True)
class NameAnswer:
    """What the DNS answered about a host name.

    ``records`` hold the chain of CNAMEs and the addresses with their times to live, ``servers`` the name servers
    of its registrable domain. ``defect`` is ``""``, ``nxdomain``, ``nodata``, ``timeout`` or ``failed``.
    """

    name: str
    records: tuple[NameRecord, ...] = ()
    servers: tuple[str, ...] = ()
    defect: str = ""
    seconds: float = 0.0
    cached: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses, in the order in which they came."""
        return tuple(each.value for each in self.records if each.kind in ("A", "AAAA"))

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names that it is an alias for, in order."""
        return tuple(each.value for each in self.records if each.kind == "CNAME")


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a fetch and what answered it; header fields in lower case, bounded.

    ``address`` is what was connected to, ``sent_bytes`` and ``received_bytes`` are those of the connection
    (TLS included), ``http`` the version such as ``2``. ``status`` is 0 where there was no answer.
    ``certificate`` is the SHA-256 of the certificate that was shown, ``""`` without TLS.
    """

    url: str
    status: int
    fields: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    address: str = ""
    http: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    connect_s: float = 0.0
    name: NameAnswer | None = None
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class BodyFacts:
    """What is known of the last body: never the body.

    ``profile`` tells how it came: pairs of seconds since the request and bytes so far, at most 32. ``width`` and
    ``height`` are those of a picture in pixels (0: none), ``is_silent`` whether a sound holds nothing that can be
    heard, ``None`` for what is no sound.
    """

    size_bytes: int = 0
    sha256: str = ""
    declared_type: str = ""
    sniffed_type: str = ""
    declared_bytes: int = -1
    encoded_bytes: int = 0
    complete: bool = False
    profile: tuple[tuple[float, int], ...] = ()
    width: int = 0
    height: int = 0
    is_silent: bool | None = None


@dataclass(frozen=True, slots=True)
class FetchEvidence:
    """Everything that a fetch showed. ``exit`` is where it went out: ``""`` for this machine itself."""

    outcome: FetchOutcome
    detail: str = ""
    hops: tuple[Hop, ...] = ()
    body: BodyFacts = field(default_factory=BodyFacts)
    exit: str = ""
    seconds: float = 0.0


def evidence_record(evidence: FetchEvidence) -> dict[str, Any]:
    """Return evidence as what JSON can hold."""
    return dataclasses.asdict(evidence)


def parse_evidence(record: Mapping[str, Any]) -> FetchEvidence:
    """Return the evidence that ``evidence_record`` wrote; raise ValueError where that is not what it is."""
    try:
        hops = tuple(_hop(each) for each in record["hops"])
        body = dict(record["body"])
        body["profile"] = tuple((float(at), int(size)) for at, size in body["profile"])
        return FetchEvidence(
            outcome=FetchOutcome(record["outcome"]),
            detail=str(record["detail"]),
            hops=hops,
            body=BodyFacts(**body),
            exit=str(record["exit"]),
            seconds=float(record["seconds"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("no evidence of a fetch") from error


def _hop(record: Mapping[str, Any]) -> Hop:
    name = record["name"]
    answer = None
    if name is not None:
        records = tuple(NameRecord(**each) for each in name["records"])
        answer = NameAnswer(**{**name, "records": records, "servers": tuple(name["servers"])})
    fields = tuple((str(key), str(value)) for key, value in record["fields"])
    return Hop(**{**record, "fields": fields, "name": answer})


def bounded_fields(fields: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return header fields as evidence keeps them: names in lower case, both cut, at most 60."""
    return tuple(
        (name.lower()[:MAX_FIELD_NAME], value[:MAX_FIELD_VALUE]) for name, value in fields[:MAX_FIELDS]
    )
