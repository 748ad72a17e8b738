"""ARC (RFC 8617): the chain that a message came with, and the set that we add after changing it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from mailveil.core.authentication.canonical import BodyForm, HeaderField, SignedHeader, relaxed_field
from mailveil.core.authentication.dkim import (
    Answers,
    BodyHashes,
    Signature,
    check_signature,
    read_signature,
    signed_bytes,
    without_signature,
)
from mailveil.core.authentication.keys import (
    KeyRecordError,
    choose_key,
    is_signed,
    is_weak,
    parse_tags,
    sign,
)
from mailveil.core.authentication.types import ArcState, Authentication, Result, VouchedResult

MAX_INSTANCE: Final = 50  # section 4.2.1
MAX_KEYS: Final = 20  # that one chain may make us ask for
SEALED_BODY: Final = BodyForm(relaxed=True)
LINE_CHARACTERS: Final = 72

AAR: Final = b"arc-authentication-results"
AMS: Final = b"arc-message-signature"
SEAL: Final = b"arc-seal"
# What a later server has no reason to change (section 4.1.2; RFC 6376 section 5.4.1). Trace fields,
# Authentication-Results and Return-Path are left out: others add and remove them.
SEALED_FIELDS: Final = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"sender", b"in-reply-to",
    b"references", b"mime-version", b"content-type", b"content-transfer-encoding", b"content-disposition",
    b"content-id", b"content-language", b"resent-date", b"resent-from", b"resent-to", b"resent-cc",
    b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe", b"list-post",
    b"list-owner", b"list-archive", b"feedback-id", b"auto-submitted", b"dkim-signature",
)  # fmt: skip

_AAR_INSTANCE: Final = re.compile(
    rb"[ \t\r\n]*+i[ \t\r\n]*+=[ \t\r\n]*+([0-9]{1,3})[ \t\r\n]*+;", re.IGNORECASE
)
_NUMBER: Final = re.compile(rb"[1-9][0-9]?")
_PLAIN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-./^_`{|}~@:\[\]]{1,255}")
_KEYWORD: Final = re.compile(r"[a-z][a-z0-9_.-]{0,60}")


class SealRefusedError(Exception):
    """A message cannot be sealed; the text says why."""


@dataclass(frozen=True, slots=True)
class Seal:
    """An ARC-Seal as it is written. ``defect`` says why it cannot be verified."""

    field: HeaderField
    instance: int = 0
    domain: str = ""
    status: bytes = b""  # cv=: what its maker found of the chain before
    signature: Signature | None = None
    defect: str = ""


@dataclass(frozen=True, slots=True)
class ArcSet:
    """The three fields of one instance."""

    results: HeaderField
    message: Signature
    seal: Seal


@dataclass(frozen=True, slots=True)
class ArcChain:
    """All sets of a message, the first one first. ``fault`` says what is wrong with their structure."""

    sets: tuple[ArcSet, ...] = ()
    highest: int = 0
    ended: bool = False
    fault: str = ""

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names in the DNS that it takes to verify the chain, without repeats; none if it cannot be."""
        if self.fault or not self.sets:
            return ()
        names = [self.sets[-1].message.key_name]
        names += [each.seal.signature.key_name for each in self.sets if each.seal.signature is not None]
        return tuple(dict.fromkeys(names))


def read_chain(header: SignedHeader) -> ArcChain:
    """Return the ARC sets of a message (section 5.2, steps 1 to 3). Total."""
    found: dict[bytes, dict[int, HeaderField]] = {AAR: {}, AMS: {}, SEAL: {}}
    highest, fault = 0, ""
    for field in header.fields:
        if field.name not in found:
            continue
        instance = _instance(field)
        if not 1 <= instance <= MAX_INSTANCE:
            fault = "a set without valid number"
            continue
        if instance in found[field.name]:
            fault = "two fields of one set"
        else:
            found[field.name][instance] = field
        highest = max(highest, instance)
    if not highest and not fault:
        return ArcChain()
    last = found[SEAL].get(highest)
    ended = last is not None and _read_seal(last).status == b"fail"
    numbers = set(range(1, highest + 1))
    if not fault and any(fields.keys() != numbers for fields in found.values()):
        fault = "an incomplete set"
    if fault:
        return ArcChain((), highest, ended, fault)
    sets = tuple(
        ArcSet(
            found[AAR][number],
            read_signature(found[AMS][number], arc=True),
            _read_seal(found[SEAL][number]),
        )
        for number in range(1, highest + 1)
    )
    chain = ArcChain(sets, highest, ended)
    return replace(chain, fault=_fault_of(chain))


def _fault_of(chain: ArcChain) -> str:
    if chain.ended:
        return "the chain was found broken before"
    for number, each in enumerate(chain.sets, 1):
        if each.seal.defect:
            return each.seal.defect
        if each.seal.status != (b"none" if number == 1 else b"pass"):
            return "a seal of invalid status"
    if chain.sets[-1].message.defect:
        return chain.sets[-1].message.defect
    return "keys of too many names" if len(chain.key_names) > MAX_KEYS else ""


def _instance(field: HeaderField) -> int:
    if field.name == AAR:
        match = _AAR_INSTANCE.match(field.value)
        return int(match[1]) if match else 0
    tags = parse_tags(field.value) or {}
    number = tags.get(b"i", b"")
    return int(number) if _NUMBER.fullmatch(number) else 0


def _read_seal(field: HeaderField) -> Seal:
    tags = parse_tags(field.value) or {}
    # What a seal has in common with a signature is read as one: it signs no body and lists no fields.
    common = HeaderField(field.name, field.raw + b"; bh=AA==; h=none; c=relaxed/relaxed")
    signature = replace(read_signature(common, arc=True), field=field)
    defect = signature.defect
    if {b"h", b"bh"} & tags.keys():
        defect = "a seal that lists fields"
    status = tags.get(b"cv", b"").lower()
    if status not in {b"none", b"pass", b"fail"}:
        defect = defect or "a seal of invalid status"
    return Seal(field, _instance(field), signature.domain, status, signature, defect)


def seal_bytes(sets: list[tuple[HeaderField, HeaderField, HeaderField]]) -> bytes:
    """Return the bytes that the last of some sets' seals signs (section 5.1.1)."""
    lines = [relaxed_field(field) for one in sets for field in one]
    lines[-1] = relaxed_field(without_signature(sets[-1][2]))
    return b"\r\n".join(lines)


def judge_chain(
    chain: ArcChain, header: SignedHeader, bodies: BodyHashes, answers: Answers, now: float
) -> ArcState:
    """Return the state of the chain (section 5.2, steps 4 to 7). Total."""
    if not chain.highest and not chain.fault:
        return ArcState()
    state = ArcState(
        Result.FAIL,
        chain.highest,
        chain.sets[-1].seal.domain if chain.sets else "",
        chain.ended,
        chain.fault,
    )
    if chain.fault:
        return state
    result, reason, _ = check_signature(chain.sets[-1].message, header, bodies, answers, now)
    if result is not Result.PASS:
        late = result is Result.TEMPERROR
        return replace(state, result=Result.TEMPERROR if late else Result.FAIL, reason=reason)
    fields = [(each.results, each.message.field, each.seal.field) for each in chain.sets]
    for number in range(chain.highest, 0, -1):
        signature = chain.sets[number - 1].seal.signature
        assert signature is not None
        records = answers.get(signature.key_name)
        if records is None:
            return replace(state, result=Result.TEMPERROR, reason="key not available now")
        try:
            key = choose_key(records, signature.algorithm)
        except KeyRecordError as error:
            return replace(state, reason=str(error))
        if is_weak(key) or not is_signed(key, signature.value, seal_bytes(fields[:number])):
            return replace(state, reason=f"seal {number} does not hold")
    return replace(state, result=Result.PASS)


# Sealing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealingKey:
    """What messages are sealed with; ``authserv_id`` names us in the results that we vouch for."""

    domain: str
    selector: str
    key: RSAPrivateKey
    authserv_id: str

    @property
    def record_name(self) -> str:
        """The name in the DNS under which receivers look for the public key."""
        return f"{self.selector}._domainkey.{self.domain}"


def why_unsealable(authentication: Authentication) -> str:
    """Say why a message's chain cannot be added to (section 5.1), ``""`` where it can."""
    arc = authentication.arc
    if arc.ended:
        return "its chain was found broken before"
    if arc.instance >= MAX_INSTANCE:
        return "its chain has no number left"
    if arc.result is Result.TEMPERROR:
        return "its chain could not be verified now"
    return ""


def seal_fields(
    header: SignedHeader, body_hash: bytes, sealing: SealingKey, authentication: Authentication, now: float
) -> bytes:
    """Return the three fields that go on top of a message (section 5.1), with CRLF.

    ``header`` and ``body_hash`` (in the form ``SEALED_BODY``) are those of the message as it goes on,
    ``authentication`` what was found of it as it came. Raises SealRefusedError.
    """
    if reason := why_unsealable(authentication):
        raise SealRefusedError(reason)
    instance = authentication.arc.instance + 1
    before = read_chain(header)
    if before.highest != authentication.arc.instance:
        raise SealRefusedError("its chain is not the one that it came with")
    results = _field(AAR, results_value(instance, sealing.authserv_id, authentication))
    names: list[bytes] = []
    for name in SEALED_FIELDS:
        names += [name] * len(header.named(name))
    names.append(b"from")  # one more than there are: none can be added
    common = f"a=rsa-sha256; d={sealing.domain}; s={sealing.selector}; t={int(now)};"
    listed = b":".join(names).decode("ascii").replace(":", ":\r\n\t ") if names else "from"
    hashed = base64.b64encode(body_hash).decode("ascii")
    unsigned = _field(
        AMS,
        f"i={instance}; {common}\r\n\tc=relaxed/relaxed; bh={hashed};\r\n\th={_folded(listed)};\r\n\tb=",
    )
    message = _with_value(unsigned, sign(sealing.key, _message_bytes(unsigned, header)))
    state = authentication.arc.result
    status = "none" if instance == 1 else ("pass" if state is Result.PASS else "fail")
    open_seal = _field(SEAL, f"i={instance}; cv={status}; {common}\r\n\tb=")
    fields = [(each.results, each.message.field, each.seal.field) for each in before.sets]
    if status == "fail":
        fields = []  # a broken chain is not vouched for: the seal covers its own set alone (section 5.1.2)
    covered = seal_bytes([*fields, (results, message, open_seal)])
    sealed = _with_value(open_seal, sign(sealing.key, covered))
    return b"".join(field.raw + b"\r\n" for field in (sealed, message, results))


def _message_bytes(unsigned: HeaderField, header: SignedHeader) -> bytes:
    signature = read_signature(_with_value(unsigned, b"\0"), arc=True)
    assert not signature.defect, signature.defect
    return signed_bytes(signature, header)


def _field(name: bytes, value: str) -> HeaderField:
    written = {AAR: b"ARC-Authentication-Results", AMS: b"ARC-Message-Signature", SEAL: b"ARC-Seal"}[name]
    return HeaderField(name, written + b": " + value.encode("ascii"))


def _folded(names: str) -> str:
    """Return a list of field names on lines of moderate length."""
    lines = [""]
    for name in names.split(":\r\n\t "):
        if len(lines[-1]) + len(name) > LINE_CHARACTERS:
            lines.append("")
        lines[-1] += name + ":"
    return "\r\n\t ".join(lines)[:-1]


def _with_value(field: HeaderField, signature: bytes) -> HeaderField:
    """Return a field that ends in ``b=`` with the signature in it, folded."""
    text = base64.b64encode(signature)
    lines = [text[at : at + LINE_CHARACTERS] for at in range(0, len(text), LINE_CHARACTERS)]
    return HeaderField(field.name, field.raw + b"\r\n\t ".join(lines))


def results_value(instance: int, authserv_id: str, authentication: Authentication) -> str:
    """Return the value of our ARC-Authentication-Results (section 4.1.1), folded."""
    found = [f"arc={_word(authentication.arc.result)}"]
    for each in authentication.dkim:
        properties = {
            "header.d": each.domain,
            "header.s": each.selector,
            "header.a": each.algorithm,
            "header.b": each.signature_start,
        }
        found.append(f"dkim={each.result}" + _properties(properties))
    if not authentication.dkim and not authentication.unverified:
        found.append("dkim=none")
    for method, vouched in (("spf", authentication.spf), ("dmarc", authentication.dmarc)):
        if vouched is not None:
            found.append(f"{method}={vouched.result}" + _properties(_chosen(vouched)))
    return f"i={instance}; {authserv_id}" + "".join(f";\r\n\t{each}" for each in found)


def _chosen(vouched: VouchedResult) -> dict[str, str]:
    return {
        name: value
        for name, value in reversed(vouched.properties)
        if "." in name and _KEYWORD.fullmatch(name)
    }


def _word(result: Result) -> Result:
    return Result.FAIL if result is Result.TEMPERROR else result


def _properties(properties: Mapping[str, str]) -> str:
    return "".join(
        f"\r\n\t {name}={value if _PLAIN.fullmatch(value) else _quoted(value)}"
        for name, value in properties.items()
        if value
    )


def _quoted(value: str) -> str:
    """Return any text as a quoted string of printable ASCII."""
    plain = "".join(c if 32 <= ord(c) < 127 and c not in '"\\' else "?" for c in value[:255])
    return f'"{plain}"'
