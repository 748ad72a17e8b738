"""DKIM (RFC 6376): the signatures of a message, and whether each of them holds."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.authentication.canonical import (
    SIMPLE_BODY,
    BodyForm,
    HeaderField,
    SignedHeader,
    relaxed_field,
    select,
    simple_field,
)
from mailveil.core.authentication.keys import (
    KeyRecordError,
    PublicKey,
    choose_key,
    decode_base64,
    is_signed,
    is_weak,
    parse_tags,
)
from mailveil.core.authentication.trust import ascii_domain
from mailveil.core.authentication.types import DkimResult, Result
from mailveil.core.verdicts.addresses import registrable_domain

MAX_SIGNATURES: Final = 5
CLOCK_SKEW_S: Final = 3600
MAX_LENGTH_DIGITS: Final = 76  # section 3.5
MAX_NAME_CHARACTERS: Final = 253

ALGORITHMS: Final = frozenset({b"rsa-sha256", b"ed25519-sha256"})
_LABELS: Final = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_DIGITS: Final = re.compile(rb"[0-9]+")
_METHODS: Final = {b"simple": False, b"relaxed": True}

# What each key name was answered: the TXT records, ``None`` where there was no answer for now.
Answers = Mapping[str, Sequence[bytes] | None]
# The SHA-256 of the body in each form, and whether there was as much of it as the form says.
BodyHashes = Mapping[BodyForm, tuple[bytes, bool]]


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM-Signature or ARC-Message-Signature as it is written. ``defect`` says why it cannot be verified."""

    field: HeaderField
    domain: str = ""
    selector: str = ""
    algorithm: bytes = b""
    identity: str = ""
    relaxed_header: bool = False
    body: BodyForm = SIMPLE_BODY
    signed: tuple[bytes, ...] = ()
    body_hash: bytes = b""
    value: bytes = b""
    made_at: int | None = None
    expires_at: int | None = None
    defect: str = ""

    @property
    def key_name(self) -> str:
        """The name in the DNS under which its key stands (section 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def find_signatures(header: SignedHeader) -> tuple[tuple[Signature, ...], int]:
    """Return the topmost DKIM signatures, and how many more there are than are looked at."""
    fields = header.named(b"dkim-signature")
    found = tuple(read_signature(field) for field in fields[:MAX_SIGNATURES])
    return found, max(0, len(fields) - MAX_SIGNATURES)


def read_signature(field: HeaderField, *, arc: bool = False) -> Signature:
    """Return what a signature field says. Total: what is wrong with it stands in ``defect``.

    An ARC-Message-Signature has no version and an instance number for ``i=`` (RFC 8617 section 4.1.2).
    """
    tags = parse_tags(field.value)
    if tags is None:
        return Signature(field, defect="signature malformed")
    domain = ascii_domain(tags.get(b"d", b"").decode("latin-1"))
    selector = ascii_domain(tags.get(b"s", b"").decode("latin-1"))
    header_method, _, body_method = tags.get(b"c", b"simple/simple").lower().partition(b"/")
    length = tags.get(b"l")
    signed = tuple(name.strip(b" \t\r\n").lower() for name in tags.get(b"h", b"").split(b":"))
    identity = "" if arc else ascii_domain(tags.get(b"i", b"").decode("latin-1").rpartition("@")[2])
    algorithm = tags.get(b"a", b"").lower()
    value, body_hash = decode_base64(tags.get(b"b", b"")), decode_base64(tags.get(b"bh", b""))
    made_at, expires_at = _time(tags.get(b"t")), _time(tags.get(b"x"))
    if (
        not (_is_name(domain) and _is_name(selector))
        or len(selector) + len(domain) > MAX_NAME_CHARACTERS - 13
    ):
        domain, selector = domain[:MAX_NAME_CHARACTERS] if _is_name(domain) else "", ""
        defect = "no valid domain and selector"
    elif not arc and tags.get(b"v") != b"1":
        defect = "signature of another version"
    elif algorithm not in ALGORITHMS:
        defect = "algorithm not accepted"  # rsa-sha1 among them (RFC 8301 section 3.1)
    elif not value or not body_hash:
        defect = "signature malformed"
    elif not any(signed) or (arc and b"arc-seal" in signed):
        defect = "signed fields malformed"
    elif not arc and b"from" not in signed:
        defect = "does not sign From"
    elif header_method not in _METHODS or (body_method or b"simple") not in _METHODS:
        defect = "canonicalisation unknown"
    elif length is not None and not (_DIGITS.fullmatch(length) and len(length) <= MAX_LENGTH_DIGITS):
        defect = "body length malformed"
    elif b"q" in tags and b"dns/txt" not in [each.strip().lower() for each in tags[b"q"].split(b":")]:
        defect = "key not in the DNS"
    elif identity and identity != domain and not identity.endswith("." + domain):
        defect = "identity of another domain"
    elif (b"t" in tags and made_at is None) or (b"x" in tags and expires_at is None):
        defect = "time malformed"
    elif made_at is not None and expires_at is not None and expires_at < made_at:
        defect = "expires before it was made"
    else:
        defect = ""
    return Signature(
        field=field,
        domain=domain,
        selector=selector,
        algorithm=algorithm,
        identity=identity,
        relaxed_header=_METHODS.get(header_method, False),
        body=BodyForm(
            _METHODS.get(body_method or b"simple", False), None if defect or length is None else int(length)
        ),
        signed=signed,
        body_hash=body_hash or b"",
        value=value or b"",
        made_at=made_at,
        expires_at=expires_at,
        defect=defect,
    )


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME_CHARACTERS and _LABELS.fullmatch(name) is not None


def _time(value: bytes | None) -> int | None:
    if value is None or len(value) > 12 or not _DIGITS.fullmatch(value):
        return None
    return int(value)


def without_signature(field: HeaderField) -> HeaderField:
    """Return a signature field with an empty ``b=``, as it signs itself (section 3.7)."""
    name, colon, value = field.raw.partition(b":")
    pieces = value.split(b";")
    for at, piece in enumerate(pieces):
        tag, equals, _ = piece.partition(b"=")
        if equals and tag.strip(b" \t\r\n") == b"b":
            pieces[at] = tag + equals
            break
    return HeaderField(field.name, name + colon + b";".join(pieces))


def signed_bytes(signature: Signature, header: SignedHeader) -> bytes:
    """Return the bytes that a signature signs (section 3.7)."""
    canonical = relaxed_field if signature.relaxed_header else simple_field
    # A signature does not sign itself where its list names its own field.
    others = SignedHeader(
        tuple(field for field in header.fields if field is not signature.field), header.body_start, b""
    )
    lines = [canonical(field) + b"\r\n" for field in select(others, signature.signed)]
    lines.append(canonical(without_signature(signature.field)))
    return b"".join(lines)


def check_signature(
    signature: Signature, header: SignedHeader, bodies: BodyHashes, answers: Answers, now: float
) -> tuple[Result, str, PublicKey | None]:
    """Return whether a signature holds, why not, and the key that it was checked with. Total."""
    if signature.defect:
        return Result.PERMERROR, signature.defect, None
    records = answers.get(signature.key_name)
    if records is None:
        return Result.TEMPERROR, "key not available now", None
    try:
        key = choose_key(records, signature.algorithm)
    except KeyRecordError as error:
        return Result.PERMERROR, str(error), None
    body = bodies.get(signature.body)
    if body is None:
        return Result.TEMPERROR, "not verified in time", key
    if key.strict and signature.identity and signature.identity != signature.domain:
        return Result.PERMERROR, "identity of a subdomain", key
    if signature.expires_at is not None and now > signature.expires_at + CLOCK_SKEW_S:
        return Result.FAIL, "expired", key
    digest, complete = body
    if not complete:
        return Result.PERMERROR, "body shorter than signed", key
    if digest != signature.body_hash:
        return Result.FAIL, "body changed", key
    if not is_signed(key, signature.value, signed_bytes(signature, header)):
        return Result.FAIL, "header changed or forged", key
    if is_weak(key):
        return Result.POLICY, "key too short", key
    return Result.PASS, "", key


def dkim_result(
    signature: Signature,
    header: SignedHeader,
    bodies: BodyHashes,
    answers: Answers,
    *,
    now: float,
    author: str,
) -> DkimResult:
    """Verify a signature; ``author`` is the domain of the one From address, ``""`` where there is not one."""
    result, reason, key = check_signature(signature, header, bodies, answers, now)
    organisation = registrable_domain(author) if author else ""
    signs_from = signature.signed.count(b"from") >= max(1, len(header.named(b"from")))
    return DkimResult(
        domain=signature.domain,
        selector=signature.selector,
        result=result,
        algorithm=signature.algorithm.decode("ascii") if signature.algorithm in ALGORITHMS else "",
        signs_from=signs_from,
        limited=signature.body.length is not None,
        testing=key is not None and key.testing,
        aligned=bool(signature.domain)
        and (
            signature.domain == author
            or (organisation != "" and registrable_domain(signature.domain) == organisation)
        ),
        signature_start=_start_of(signature.value),
        reason=reason,
    )


def _start_of(value: bytes) -> str:
    """Return the first eight characters of ``b=``, which tell signatures of one domain apart (RFC 6008)."""
    return base64.b64encode(value[:6]).decode("ascii")
