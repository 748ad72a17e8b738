"""Opening: what of a message has to be asked and hashed to know who sent it, and the judgement once it is.

In between lies the only wait: `open_message` names the keys to look up and the forms in which to hash the
body; `judge` takes the answers. Both are pure and total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailveil.core.authentication.arc import ArcChain, judge_chain, read_chain
from mailveil.core.authentication.canonical import BodyForm, SignedHeader, read_signed_header
from mailveil.core.authentication.dkim import Answers, BodyHashes, Signature, dkim_result, find_signatures
from mailveil.core.authentication.trust import (
    TrustedServers,
    ascii_domain,
    author_addresses,
    author_domains,
    vouched,
)
from mailveil.core.authentication.types import ArcState, Authentication, Result, VouchedResult
from mailveil.core.message.header import parse_header

MAX_HEADER_BYTES: Final = 1024 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"  # before the first field: some clients pass over it


@dataclass(frozen=True, slots=True)
class Opened:
    """A message before its keys are known. ``known`` is what its header alone tells."""

    header: SignedHeader | None
    signatures: tuple[Signature, ...]
    chain: ArcChain
    known: Authentication

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names in the DNS to ask for TXT records, without repeats."""
        names = [each.key_name for each in self.signatures if not each.defect]
        return tuple(dict.fromkeys((*names, *self.chain.key_names)))

    @property
    def body_forms(self) -> frozenset[BodyForm]:
        """The forms in which the body has to be hashed."""
        forms = {each.body for each in self.signatures if not each.defect}
        if self.chain.key_names:
            forms.add(self.chain.sets[-1].message.body)
        return frozenset(forms)


def open_message(raw: bytes, trust: TrustedServers, max_header_bytes: int = MAX_HEADER_BYTES) -> Opened:
    """Return what there is to verify in a message. Total; linear in the header's length."""
    header = read_signed_header(raw, max_header_bytes)
    seen = parse_header(raw, 0, len(raw), max_bytes=max_header_bytes)
    authors = [field.value for field in seen.fields if field.name == "from"]
    dmarc = vouched(seen.fields, trust, "dmarc")
    known = Authentication(
        from_fields=len(authors),
        from_domains=tuple(dict.fromkeys(domain for each in authors[:50] for domain in author_domains(each))),
        from_addresses=tuple(
            dict.fromkeys(address for each in authors[:50] for address in author_addresses(each))
        ),
        disputed=header is None
        or seen.disputed
        or seen.bare_cr
        or seen.mixed
        or seen.overlong
        or raw.startswith(BYTE_ORDER_MARK)
        or len(header.named(b"from")) != len(authors),
        spf=vouched(seen.fields, trust, "spf"),
        dmarc=dmarc,
    )
    if known.disputed:
        # What one server takes for a field in its name, and removes, may be none to it in such a header.
        known = replace(known, spf=None, dmarc=None)
    elif dmarc is not None and not _speaks_of(dmarc, known.from_domains):
        known = replace(known, dmarc=None)
    if header is None:
        return Opened(None, (), ArcChain(), known)
    signatures, more = find_signatures(header)
    return Opened(header, signatures, read_chain(header), replace(known, unverified=more))


def _speaks_of(dmarc: VouchedResult, domains: Sequence[str]) -> bool:
    """Tell whether a DMARC result is about this author, as far as it names one."""
    named = dmarc.property("header.from")
    return not named or ascii_domain(named.rpartition("@")[2]) in domains


def leave_unverified(opened: Opened) -> Authentication:
    """Return what a message's header tells where nobody is to be asked for keys. Total."""
    known, chain = opened.known, opened.chain
    arc = known.arc
    if chain.highest or chain.fault:
        arc = ArcState(Result.TEMPERROR, chain.highest, reason="not verified")
    return replace(known, unverified=known.unverified + len(opened.signatures), arc=arc)


def judge(opened: Opened, bodies: BodyHashes, answers: Answers, now: float) -> Authentication:
    """Return who sent a message, given the TXT records of its keys and the hashes of its body. Total."""
    known, header = opened.known, opened.header
    if header is None:
        return known
    one = known.from_fields == 1 and len(known.from_domains) == 1
    author = known.from_domains[0] if one else ""
    return replace(
        known,
        dkim=tuple(
            dkim_result(each, header, bodies, answers, now=now, author=author) for each in opened.signatures
        ),
        arc=judge_chain(opened.chain, header, bodies, answers, now),
    )
