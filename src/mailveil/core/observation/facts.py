"""Facts: what an examined message tells of itself, for its record. Worked out where the message was parsed."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from mailveil.core.authentication.trust import author_addresses
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.types import Part
from mailveil.core.observation.templates import host_template, place_of_url, url_template
from mailveil.core.observation.types import MAX_REFERENCES, ObservedReference
from mailveil.core.protection import Plan
from mailveil.core.recognition.freemail import is_free_mail
from mailveil.core.recognition.keys import mailbox_digest, thread_digest
from mailveil.core.verdicts.addresses import registrable_domain
from mailveil.core.verdicts.judging import reasons_of
from mailveil.core.verdicts.record import key_of
from mailveil.core.verdicts.types import SERVICE_FIELDS, Verdict

MAX_FIELD: Final = 200
_MAX_ADDRESS: Final = 320  # RFC 5321 section 4.5.3.1
_MAX_TEXT_BYTES: Final = 256 * 1024  # of a message, looked at to estimate how much there is to read
_MAX_PARTS: Final = 50
_TAG: Final = re.compile(rb"<[^<>]*+>")
_SPACE: Final = re.compile(rb"(?:\s|&nbsp;|=\r?\n)++")
_MAX_REASONS: Final = 10
DIGESTS: Final = frozenset({"thread", "threads", "mailbox"})  # of the header fields that are kept
MAX_THREADS: Final = 10  # conversations that are kept of a message: as many digests as a field holds
MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,998})>")
_MAX_IDS_TEXT: Final = 16_384


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a record tells of a message besides its references.

    ``author`` is the address of the From field, ``text_characters`` about how much there is to read, ``header`` what
    tells mailings from letters.
    """

    author: str = ""
    risk: str = "none"
    text_characters: int = 0
    header: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``facts_from`` makes it again."""
        return asdict(self)


def facts_from(record: Mapping[str, Any]) -> MessageFacts:
    """Return what ``MessageFacts.record`` wrote down."""
    return MessageFacts(**record)


def facts_of(plan: Plan) -> MessageFacts:
    """Return what there is to put on record of a message."""
    root = plan.message.root
    return MessageFacts(
        author=author_of(root), risk=str(plan.risk), text_characters=_text_of(root), header=_header_of(root)
    )


def author_of(root: Part) -> str:
    """Return the address of the From field, in lower case with A-labels; the last one where it has several.

    Comments count for nothing, however long they are: readers see none. Of a mailbox that is quoted, or set apart from
    its ``@``, the domain alone is told.
    """
    found = author_addresses(root.field("from"))
    return found[-1][:_MAX_ADDRESS] if found else ""


def summary_of(plan: Plan) -> dict[str, Any]:
    """Return what the gateway needs of a message for its record, as a JSON object.

    Verdicts are there in a few words, since they are told in full elsewhere. ``place`` are template, host and domain of
    those references that will be kept.
    """
    root = plan.message.root
    kept = frozenset(shown_first([each.verdict.is_tracker for each in plan.decisions]))
    return {
        "message_id": root.field("message-id"),
        "subject": decode_header_text(root.field("subject")),
        "defects": [str(defect) for defect in plan.defects],
        "facts": facts_of(plan).record(),
        "references": [
            {
                "url": reference.url,
                "vector": str(reference.vector),
                "media": str(reference.media or ""),
                "verdict": str(verdict.kind_of_reference),
                "kind": None if verdict.kind is None else str(verdict.kind),
                "score": round(verdict.score, 3),
                "action": str(action),
                "rule": rule,
                "place": [url_template(reference.url), *place_of_url(reference.url)]
                if number in kept
                else None,
            }
            for number, (reference, verdict, action, _wanted, rule) in enumerate(plan.decisions)
        ],
    }


def observed(record: Mapping[str, Any], verdict: Verdict | None = None, token: str = "") -> ObservedReference:
    """Return one reference of a summary, with its verdict as far as that is known and the token of its copy."""
    template, host, domain = record["place"] or ("", "", "")
    found = ObservedReference(
        url=record["url"],
        template=template,
        host=host,
        domain=domain,
        vector=record["vector"],
        finding=record["verdict"],
        action=record["action"],
        media=record["media"],
        kind=record["kind"] or "",
        score=record["score"],
        rule=record["rule"],
        key=key_of(token),
        token=token,
    )
    return found if verdict is None else told_anew(found, verdict)


def placed_at(found: ObservedReference) -> ObservedReference:
    """Return a reference with its template, host and domain, worked out where it has none yet."""
    if found.template:
        return found
    host, domain = place_of_url(found.url)
    return replace(found, template=url_template(found.url), host=host, domain=domain)


def told_anew(found: ObservedReference, verdict: Verdict) -> ObservedReference:
    """Return what is told of a reference with another verdict."""
    operator = verdict.operator
    return replace(
        found,
        finding=str(verdict.kind_of_reference),
        kind=str(verdict.kind or ""),
        kinds=tuple(str(kind) for kind in verdict.kinds),
        score=round(verdict.score, 3),
        risk=str(verdict.risk),
        operator=operator.name if operator else "",
        operator_confidence=round(operator.confidence, 3) if operator else 0.0,
        evidence=operator.evidence if operator else "",
        signals=tuple(str(signal) for signal in verdict.signals),
        reasons=tuple(each.words for each in reasons_of(verdict))[:_MAX_REASONS],
    )


def shown_first(findings: list[bool]) -> list[int]:
    """Return the numbers of the references that are kept one by one: trackers before content, as many as may be."""
    order = sorted(range(len(findings)), key=lambda number: not findings[number])
    return order[:MAX_REFERENCES]


def _header_of(root: Part) -> dict[str, str]:
    found: dict[str, str] = {}
    if list_id := root.field("list-id"):
        found["list_id"] = (list_id.rpartition("<")[2].partition(">")[0] or list_id).strip().lower()
    if unsubscribe := root.field("list-unsubscribe"):
        found["list_unsubscribe"] = (
            place_of_url(unsubscribe.partition("<")[2].partition(">")[0].strip())[0] or "*"
        )
    if precedence := root.field("precedence"):
        found["precedence"] = precedence.strip().lower()
    names = {each[0] for each in root.fields}
    if service := next((name for name in SERVICE_FIELDS if name in names), ""):
        found["mail_service"] = service
    if reply_to := author_addresses(root.field("reply-to")):
        found["reply_to_domain"] = host_template(reply_to[-1].rpartition("@")[2])
    found.update(_kept_as_digests(root))
    return {name: value[:MAX_FIELD] for name, value in found.items()}


def _kept_as_digests(root: Part) -> dict[str, str]:
    """Return by what later mail of the same sender is known again, as digests that can be compared and not read.

    ``thread`` is the message's own Message-ID, ``threads`` are those that it answers to: the one that the conversation
    began with, and the latest. ``mailbox`` is the author's address where anybody may have one at its domain.
    """
    found: dict[str, str] = {}
    if own := MESSAGE_ID.findall(root.field("message-id")[:_MAX_IDS_TEXT]):
        found["thread"] = thread_digest(own[0])
    before = MESSAGE_ID.findall(root.field("references")[:_MAX_IDS_TEXT])
    answered = MESSAGE_ID.findall(root.field("in-reply-to")[:_MAX_IDS_TEXT])
    some = dict.fromkeys((*before[:1], *answered[:2], *reversed(before)))
    if some:
        found["threads"] = " ".join(thread_digest(each) for each in list(some)[:MAX_THREADS])
    author = author_of(root)
    if is_free_mail(registrable_domain(author.rpartition("@")[2])):
        found["mailbox"] = mailbox_digest(author)
    return found


def _text_of(root: Part) -> int:
    """Estimate how many characters there are to read: of the plain or the HTML text, whichever has more."""
    counts = {"text/plain": 0, "text/html": 0}
    left, stack = _MAX_TEXT_BYTES, [root]
    for _ in range(_MAX_PARTS):
        if not stack or left <= 0:
            break
        part = stack.pop()
        stack.extend(reversed(part.children))
        if part.children or part.media_type not in counts or part.disposition == "attachment":
            continue
        start, end = part.body_span
        raw = part.source.data[start : min(end, start + left)]
        left -= len(raw)
        counts[part.media_type] += _readable(raw, part)
    return max(counts.values())


def _readable(raw: bytes, part: Part) -> int:
    if part.transfer_encodings[0] == "base64":
        try:
            raw = binascii.a2b_base64(raw[: len(raw) // 4 * 4])
        except binascii.Error:
            return len(raw) * 3 // 4
    if part.media_type == "text/html":
        raw = _TAG.sub(b" ", _without(_without(raw, b"style"), b"script"))
    return len(_SPACE.sub(b" ", raw).strip())


def _without(raw: bytes, name: bytes) -> bytes:
    """Return markup without the elements of a name and all in them; linear, since nothing is looked at twice."""
    lowered = raw.lower()
    opening, closing = b"<" + name, b"</" + name
    kept, at = [], 0
    while (start := lowered.find(opening, at)) >= 0:
        kept.append(raw[at:start])
        at = lowered.find(closing, start)
        if at < 0:
            return b"".join(kept)
    return b"".join((*kept, raw[at:]))
