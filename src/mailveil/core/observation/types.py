"""Types: an observation and its references, as JSON objects and back, and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MAX_REFERENCES = 200  # of a message that are kept one by one; the rest is counted


@dataclass(frozen=True, slots=True)
class ObservedReference:
    """One reference of a message: where it stood, what it is, and what was done about it.

    ``template`` is the URL with everything that may have been made for one recipient replaced by ``*``, ``host`` its
    host and ``domain`` the registrable domain of that. ``rule`` names what chose the action: ``rule:ID``,
    ``allow:ID`` or ``level:NAME``. By ``key`` the verdict is asked for anew (``ports.Memory.verdicts``), by ``token``
    the copy is found; each ``""`` where there is none. ``reasons`` are words, the weightiest first; ``evidence`` says
    by what the operator was known.
    """

    url: str
    template: str
    host: str
    domain: str
    vector: str
    finding: str
    action: str
    media: str = ""
    kind: str = ""
    kinds: tuple[str, ...] = ()
    score: float = 0.0
    risk: str = "none"
    operator: str = ""
    operator_confidence: float = 0.0
    evidence: str = ""
    rule: str = ""
    key: str = ""
    token: str = ""
    signals: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def is_tracker(self) -> bool:
        """Whether it is there to learn something about the reader."""
        return self.finding == "tracker"


@dataclass(frozen=True, slots=True)
class Observation:
    """One message as one organisation may know of it; no body.

    ``identifier`` sorts by time and is the same whenever the same passage is written down again. ``log_identifier`` is
    what the logs and the trace field call the message. ``sender`` is the reverse-path, ``author`` the address of the
    From field, ``author_domain`` the domain that provably answers for it (``""``: nobody proved anything),
    ``sender_domain`` the registrable domain of the author, else of the sender. ``recipients`` are the organisation's
    own, in clear or as pseudonyms. ``references`` are the first ones, trackers before content; ``total_references`` and
    ``total_trackers`` count all. ``delivered`` tells whether the next hop took it, ``monitored`` that a rule reports
    only, ``original`` the name under which the original is kept. ``header`` holds what tells mailings from letters
    (``list_id``, ``list_unsubscribe``, ``mail_service``, ``reply_to_domain`` …) and, as digests, by what later
    mail of the same sender is known again (``thread``, ``threads``, ``mailbox``); of mail of a known actor
    also by what it was known, which activity that is and in words why (``known_by``, ``recognised``,
    ``recognised_why``). ``authentication`` is what
    ``Authentication.record`` wrote down.
    """

    identifier: str
    organisation: str
    at: float
    log_identifier: str
    direction: str = "inbound"
    sender: str = ""
    author: str = ""
    author_domain: str = ""
    sender_domain: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""
    message_id: str = ""
    size_bytes: int = 0
    seconds: float = 0.0
    reply_code: int = 0
    reply: str = ""
    delivered: bool = True
    changed: bool = False
    examined: bool = True
    monitored: bool = False
    banner: bool = False
    risk: str = "none"
    total_references: int = 0
    total_trackers: int = 0
    text_characters: int = 0
    original: str = ""
    authentication: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)
    defects: tuple[str, ...] = ()
    references: tuple[ObservedReference, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``observation_of`` makes it again."""
        record = {name: getattr(self, name) for name in _OF_OBSERVATION}
        record["references"] = [
            {name: getattr(each, name) for name in _OF_REFERENCE} for each in self.references
        ]
        return record


_OF_OBSERVATION = tuple(each.name for each in fields(Observation))
_OF_REFERENCE = tuple(each.name for each in fields(ObservedReference))


def observation_of(record: Mapping[str, Any]) -> Observation:
    """Return what ``Observation.record`` wrote down; unknown members are ignored, missing ones have their defaults.

    Raises ``KeyError`` or ``TypeError`` where what makes an observation is missing.
    """
    values = _known(Observation, record)
    values["references"] = tuple(
        ObservedReference(**_known(ObservedReference, each)) for each in record.get("references", ())
    )
    return Observation(**values)


def _known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record.items()
        if name in names
    }


def observation_identifier(at: float, log_identifier: str, organisation: str) -> str:
    """Return the identifier of a passage: its time in milliseconds and a digest, 32 hexadecimal digits in all."""
    digest = hashlib.blake2b(f"{organisation}\n{log_identifier}\n{at!r}".encode(), digest_size=10)
    return f"{max(0, int(at * 1000)):012x}{digest.hexdigest()}"
