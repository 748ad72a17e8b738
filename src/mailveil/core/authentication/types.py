"""What is known of who sent a message: the values that verification and trusted servers give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from mailveil.core.verdicts.addresses import registrable_domain


class Result(StrEnum):
    """The result of a method, in the words of RFC 8601 section 2.7."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    POLICY = "policy"  # it verifies, but not well enough for us
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class DkimResult:
    """What came of one DKIM signature (RFC 6376). ``reason`` says in words why it did not pass.

    ``signs_from``: it covers every From field. ``limited``: it has an ``l=`` tag, so that anybody may have
    added to the body. ``testing``: its domain says that failures mean nothing. ``aligned``: its domain has
    the registrable domain of the one From address (RFC 7489 section 3.1.1, relaxed).

    A selector may have been made for one recipient alone: it stands in no log and no record.
    """

    domain: str
    selector: str
    result: Result
    algorithm: str = ""
    signs_from: bool = False
    limited: bool = False
    testing: bool = False
    aligned: bool = False
    signature_start: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VouchedResult:
    """A result that a trusted server wrote down (RFC 8601); ``source`` is that server's authserv-id.

    ``properties`` are pairs such as ``("smtp.mailfrom", "example.org")``.
    """

    result: Result
    source: str
    properties: tuple[tuple[str, str], ...] = ()

    def property(self, name: str) -> str:
        """Return the first property of this name, ``""`` if there is none."""
        return next((value for given, value in self.properties if given == name), "")


@dataclass(frozen=True, slots=True)
class ArcState:
    """The state of the ARC chain as it was received (RFC 8617 section 5.2).

    ``result`` is none, pass, fail, or temperror where a key could not be asked for. ``instance`` is the
    highest number of a set, 0 where there is none. ``ended``: the chain says itself that it has failed, and
    nobody may add to it.
    """

    result: Result = Result.NONE
    instance: int = 0
    sealer: str = ""
    ended: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Authentication:
    """All that is known of who sent a message, found out before anything in it was changed.

    ``from_fields`` counts From fields, ``from_domains`` are the domains of all addresses in them, ``from_addresses``
    the addresses themselves as far as they are plain.
    ``disputed``: clients differ about where the header's fields begin and end, so that some may show another
    author. ``unverified`` counts signatures beyond those that are looked at.
    """

    from_fields: int = 0
    from_domains: tuple[str, ...] = ()
    disputed: bool = False
    dkim: tuple[DkimResult, ...] = ()
    unverified: int = 0
    spf: VouchedResult | None = None
    dmarc: VouchedResult | None = None
    arc: ArcState = ArcState()
    from_addresses: tuple[str, ...] = ()

    @property
    def author_address(self) -> str:
        """Return the address that ``author_domain`` answers for, ``""`` where there is not exactly one."""
        domain = self.author_domain
        if not domain or len(self.from_addresses) != 1:
            return ""
        address = self.from_addresses[0]
        mailbox, _, of = address.rpartition("@")
        return address if mailbox and of == domain else ""

    @property
    def author_domain(self) -> str:
        """Return the domain that provably answers for what the reader sees as the author, else ``""``.

        There has to be exactly one From field with one address, and either a DKIM signature of its own that
        verifies, covers the field and the whole body, or a trusted server's word that DMARC passes.
        """
        if self.from_fields != 1 or len(self.from_domains) != 1 or self.disputed:
            return ""
        signed = any(
            each.result is Result.PASS and each.aligned and each.signs_from and not each.limited
            for each in self.dkim
        )
        vouched = self.dmarc is not None and self.dmarc.result is Result.PASS
        return self.from_domains[0] if signed or vouched else ""

    @property
    def signers(self) -> tuple[str, ...]:
        """The domains whose signatures verify, whoever they are."""
        return tuple(each.domain for each in self.dkim if each.result is Result.PASS)

    def summary(self) -> tuple[str, ...]:
        """Return it in a few lines for an administrator; names no person and nothing made for one."""
        lines = [
            f"DKIM {each.result} by {_organisation(each.domain)}"
            + (", as the author" if each.aligned else "")
            + (", part of the body only" if each.limited else "")
            + (f" ({each.reason})" if each.reason else "")
            for each in self.dkim
        ]
        for name, vouched in (("SPF", self.spf), ("DMARC", self.dmarc)):
            if vouched is not None:
                lines.append(f"{name} {vouched.result} says {vouched.source or 'a server without name'}")
        if self.arc.result is not Result.NONE:
            by = f" by {_organisation(self.arc.sealer)}" if self.arc.sealer else ""
            lines.append(f"ARC {self.arc.result}{by}" + (f" ({self.arc.reason})" if self.arc.reason else ""))
        if self.unverified:
            lines.append(f"{self.unverified} more DKIM signatures were not looked at")
        if self.from_fields != 1 or len(self.from_domains) != 1:
            lines.append(f"{self.from_fields} From fields, {len(self.from_domains)} author domains")
        return tuple(lines)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``authentication_of`` makes it again."""
        return asdict(self)


def authentication_of(record: Mapping[str, Any]) -> Authentication:
    """Return what ``Authentication.record`` wrote down."""
    return Authentication(
        from_fields=record["from_fields"],
        from_domains=tuple(record["from_domains"]),
        disputed=record["disputed"],
        dkim=tuple(DkimResult(**{**each, "result": Result(each["result"])}) for each in record["dkim"]),
        unverified=record["unverified"],
        spf=_vouched_of(record["spf"]),
        dmarc=_vouched_of(record["dmarc"]),
        arc=ArcState(**{**record["arc"], "result": Result(record["arc"]["result"])}),
        from_addresses=tuple(record.get("from_addresses", ())),
    )


def _vouched_of(record: Mapping[str, Any] | None) -> VouchedResult | None:
    if record is None:
        return None
    properties = tuple((name, value) for name, value in record["properties"])
    return VouchedResult(Result(record["result"]), record["source"], properties)


def _organisation(domain: str) -> str:
    """Return the registrable domain: what stands before it may have been made for one recipient."""
    return registrable_domain(domain) or "a domain without registrar"
