"""Sight: what one message shows to whoever looks for reconnaissance, of bounded size. Total on hostile records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.recognition.freemail import is_free_mail
from mailveil.core.recognition.keys import mailbox_digest
from mailveil.core.recognition.shared import is_shared_domain
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain
from mailveil.core.verdicts.operators import ASSET_HOSTS

MAX_TRACKERS: Final = 4  # of a message that are looked at one by one
MAX_PEOPLE: Final = 50  # recipients of one message that are named
MAX_PLACES: Final = 6  # domains that a message refers to
MAX_THREADS: Final = 6  # messages that it answers
_MAX_REFERENCES: Final = 200
_MAX_HOST: Final = 253
_MAX_ADDRESS: Final = 320
_MAX_TEXT: Final = 300
_MAX_DOMAINS: Final = 4
_LATEST: Final = 32_503_680_000.0  # the year 3000; no mail comes from beyond it
_FEW: Final = 4  # references, or recipients, of a letter
_DOUBT: Final = 0.1  # the judge's score from which on a picture from elsewhere may be a tracker after all

# What is asked of readers, or fetched, in honest letters as well: it tells of the message, but is no probe by itself.
_HABITUAL: Final = frozenset({"receipt-field", "certificate-url", "bimi-field", "image-field"})
_RECEIPT: Final = "receipt-field"
_RISK: Final[Mapping[str, int]] = {
    "credential": 8, "dns": 6, "dwell": 5, "location": 4, "device": 4, "identity": 3, "interaction": 2, "open": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tracker:
    """One tracker of a message. ``certainty`` is the judge's score, 0 to 1."""

    host: str
    domain: str
    template: str
    vector: str
    kinds: tuple[str, ...]
    certainty: float
    reference: ObservedReference


@dataclass(frozen=True, slots=True)
class Sight:
    """What one message shows.

    ``sender`` is by what its sender is known again: the registrable domain, of free mail the mailbox, ``""`` where
    nobody can be told by it. ``proven`` tells whether that was proved, ``None`` that nobody looked.
    ``people`` are the first recipients, ``recipients`` counts all of them. ``trackers`` are those worth studying, the
    private and risky ones first; ``asks_receipt`` that there are only such as honest letters have too.
    ``places`` are the domains it refers to, ``thread`` is the digest of its Message-ID and ``threads`` those of what it
    answers, ``mailbox`` is a digest of its author's address where that is free mail. ``is_allowed``: an entry of the
    allow-list, which asks for proof of the sender, let each of its trackers through.
    """

    at: float
    message: str
    organisation: str
    submitted: bool
    sender: str
    sender_domain: str
    author: str
    is_free: bool
    proven: bool | None
    people: tuple[str, ...]
    recipients: int
    correspondents: tuple[str, ...]
    reply_domain: str
    is_list: bool
    mail_service: str
    signers: tuple[str, ...]
    characters: int
    references: int
    trackers: tuple[Tracker, ...]
    asks_receipt: bool
    places: tuple[str, ...]
    subject: str
    thread: str
    threads: tuple[str, ...]
    mailbox: str
    is_allowed: bool = False

    @property
    def is_letter(self) -> bool:
        """Whether it looks like a letter from one person to a few others."""
        return not self.is_list and self.recipients <= _FEW and self.references <= _FEW


def sight_of(observation: Observation) -> Sight:
    """Return what a message shows. Total."""
    domain = _domain(observation.sender_domain)
    author = _text(observation.author or observation.sender, _MAX_ADDRESS).lower().strip()
    free = is_free_mail(domain)
    header = observation.header if isinstance(observation.header, Mapping) else {}
    references = observation.references[:_MAX_REFERENCES]
    found = [each for each in references if each.is_tracker]
    trackers = _trackers([each for each in found if each.vector not in _HABITUAL])
    if (
        not trackers
        and not _is_list(header)
        and len(references) <= _FEW
        and len(observation.recipients) <= _FEW
    ):
        trackers = _trackers([each for each in references if _may_track(each, domain)])
    submitted = observation.direction == "submitted"
    people = tuple(dict.fromkeys(_person(each) for each in observation.recipients[:MAX_PEOPLE]))
    if trackers and any(each.vector == _RECEIPT for each in found):
        trackers = (replace(trackers[0], kinds=(*trackers[0].kinds, "receipt")), *trackers[1:])
    return Sight(
        at=moment(observation.at),
        message=_text(observation.identifier, 64),
        organisation=observation.organisation,
        submitted=submitted,
        sender=_identity(domain, author, free=free, mailbox=_text(header.get("mailbox", ""), 64)),
        sender_domain=domain,
        author=author,
        is_free=free,
        proven=_proven(observation, domain),
        people=tuple(each for each in people if each),
        recipients=len(observation.recipients),
        correspondents=_correspondents(observation, header) if submitted else (),
        reply_domain=_reply_domain(header),
        is_list=_is_list(header),
        mail_service=_text(header.get("mail_service", ""), 64).lower(),
        signers=signers_of(observation.authentication),
        characters=_count(observation.text_characters),
        references=max(len(observation.references), _count(observation.total_references)),
        trackers=trackers,
        asks_receipt=bool(found) and not trackers,
        places=_places(references),
        subject=_text(observation.subject, 200),
        thread=_text(header.get("thread", ""), 64),
        threads=tuple(dict.fromkeys(_text(header.get("threads", ""), 400).split()))[:MAX_THREADS],
        mailbox=_mailbox(header, author) if free else "",
        is_allowed=bool(trackers) and all(each.reference.rule.startswith("allow:") for each in trackers),
    )


def moment(at: Any) -> float:
    """Return a time that can be reckoned with, whatever a record says."""
    if not isinstance(at, int | float) or not math.isfinite(at):
        return 0.0
    return min(_LATEST, max(0.0, float(at)))


def risk_of(kinds: tuple[str, ...]) -> int:
    """Return how much the weightiest of some kinds of trackers would tell, 0 to 8."""
    return max((_RISK.get(each, 0) for each in kinds), default=0)


def is_nameable(domain: str) -> bool:
    """Tell whether a domain is somebody's, rather than a wildcard, a public suffix or nothing."""
    return bool(domain) and "*" not in domain and (is_ip_address(domain) or bool(registrable_domain(domain)))


def facts_at(host: str, infrastructure: Mapping[str, InfrastructureFacts]) -> InfrastructureFacts:
    """Return what is known of a host, nothing where nobody looked."""
    return infrastructure.get(host) or InfrastructureFacts(host)


def _trackers(found: list[ObservedReference]) -> tuple[Tracker, ...]:
    """Return the trackers worth studying: private and risky ones first, so that no crowd of others hides them."""
    grouped: dict[tuple[str, str], Tracker] = {}
    for each in found:
        host, domain = _host(each.host), _domain(each.domain)
        if host in ASSET_HOSTS or domain in ASSET_HOSTS:
            continue
        kinds = tuple(dict.fromkeys(_text(kind, 20) for kind in (each.kinds or (each.kind,))[:8] if kind))
        tracker = Tracker(
            host,
            domain,
            _text(each.template, _MAX_TEXT),
            _text(each.vector, 32),
            kinds,
            _share(each.score),
            each,
        )
        known = grouped.get((host, tracker.template))
        if known is None or _rank(tracker) > _rank(known):
            grouped[host, tracker.template] = tracker
    ordered = sorted(grouped.values(), key=lambda each: (_rank(each), each.host, each.template), reverse=True)
    return tuple(ordered[:MAX_TRACKERS])


def _may_track(reference: ObservedReference, domain: str) -> bool:
    """Tell whether what a letter has and the judge took for content, in doubt, may be there to track after all."""
    of, host = _domain(reference.domain), _domain(reference.host)
    if not is_nameable(of) or is_shared_domain(of) or reference.vector in _HABITUAL:
        return False
    is_website = of == domain and host in (of, f"www.{of}")
    return not is_website and _share(reference.score) >= _DOUBT


def _rank(tracker: Tracker) -> tuple[bool, int, float]:
    return not tracker.reference.operator, risk_of(tracker.kinds), tracker.certainty


def _identity(domain: str, author: str, *, free: bool, mailbox: str = "") -> str:
    if not is_nameable(domain):
        return ""
    if not free:
        return domain
    name, _, at = author.rpartition("@")
    if name and at and "*" not in author:
        return author
    return f"{mailbox}@{domain}" if mailbox else ""


def _mailbox(header: Mapping[str, Any], author: str) -> str:
    return _text(header.get("mailbox", ""), 64) or ("" if "*" in author else mailbox_digest(author))


def _proven(observation: Observation, domain: str) -> bool | None:
    if observation.author_domain:
        proved = _domain(observation.author_domain)
        return (registrable_domain(proved) or proved) == domain
    return False if observation.authentication else None


def _correspondents(observation: Observation, header: Mapping[str, Any]) -> tuple[str, ...]:
    """Return to whom one of the organisation's people wrote, named as senders are."""
    found: dict[str, None] = {}
    for each in observation.recipients[:MAX_PEOPLE]:
        address = _text(each, _MAX_ADDRESS).lower().strip()
        of = address.rpartition("@")[2] if "@" in address else ""
        domain = registrable_domain(of) if of else ""
        if name := _identity(domain, address, free=is_free_mail(domain)):
            found[name] = None
    for each in _text(header.get("recipient_domains", ""), 1_000).split():
        if is_nameable(domain := _domain(each)) and not is_free_mail(domain):
            found[domain] = None
    return tuple(found)[:MAX_PLACES]


def _reply_domain(header: Mapping[str, Any]) -> str:
    host = _domain(header.get("reply_to_domain", "")).removeprefix("*.")
    return registrable_domain(host) if host else ""


def _is_list(header: Mapping[str, Any]) -> bool:
    precedence = _text(header.get("precedence", ""), 20).lower()
    return bool(header.get("list_id") or header.get("list_unsubscribe")) or precedence in {"bulk", "list"}


def signers_of(authentication: Any) -> tuple[str, ...]:
    """Return the domains whose DKIM signatures were verified, of what ``Authentication.record`` wrote down."""
    dkim = authentication.get("dkim") if isinstance(authentication, Mapping) else None
    if not isinstance(dkim, list | tuple):
        return ()
    found = [
        _domain(each.get("domain", ""))
        for each in dkim[:10]
        if isinstance(each, Mapping) and each.get("result") == "pass"
    ]
    return tuple(dict.fromkeys(each for each in found if each))[:_MAX_DOMAINS]


def _places(references: tuple[ObservedReference, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in references:
        domain = _domain(each.domain)
        if is_nameable(domain) and domain not in ASSET_HOSTS:
            found[domain] = None
            if len(found) >= MAX_PLACES:
                break
    return tuple(found)


def _person(name: Any) -> str:
    return _text(name, _MAX_ADDRESS).strip().lower()


def _domain(name: Any) -> str:
    return _text(name, _MAX_HOST).strip().strip(".").lower()


_host = _domain


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str):
        return ""
    text = value[:most]
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _count(value: Any) -> int:
    return min(max(0, value), 1_000_000_000) if isinstance(value, int) else 0


def _share(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return min(1.0, max(0.0, float(value)))
