"""Making: one passage of a message as observations, one for each organisation that it concerns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mailveil.core.observation.facts import DIGESTS, MAX_FIELD, MessageFacts, placed_at, shown_first
from mailveil.core.observation.privacy import HIDDEN, RecordSettings, UrlsKept, Veil
from mailveil.core.observation.types import Observation, ObservedReference, observation_identifier
from mailveil.core.policy import Direction, Envelope, direction_of
from mailveil.core.recognition.types import Recognition
from mailveil.core.verdicts.addresses import registrable_domain

MAX_RECIPIENTS: Final = 1_000
_MAX_ADDRESS: Final = 320  # RFC 5321 section 4.5.3.1
_MAX_SUBJECT: Final = 500
_MAX_MESSAGE_ID: Final = 1_000  # nearly what a line may have (RFC 5322 section 2.1.1)
_MAX_REPLY: Final = 300
_MAX_URL: Final = 2_000
_MAX_DEFECTS: Final = 30
_NAMED_BY_HOST: Final = frozenset({"list_id", "list_unsubscribe"})
_MAX_DOMAINS: Final = 20  # of those that a message was written to
_MAX_PROVEN: Final = 10  # signatures, domains


@dataclass(frozen=True, slots=True)
class Fared:
    """What the next hop said of a message, or of one recipient of it."""

    code: int = 0
    text: str = ""

    @property
    def is_delivered(self) -> bool:
        """Whether it took it (2yz)."""
        return 200 <= self.code < 300


@dataclass(frozen=True, slots=True)
class Passed:
    """One message that passed, as the gateway knows it. ``by_recipient`` is there where recipients fared differently.

    ``sealing`` says whether it was sealed, ``original`` is the name under which its original is kept, ``recognised``
    what each organisation knows of the actor whose mail it is.
    """

    at: float
    identifier: str
    envelope: Envelope
    size_bytes: int = 0
    seconds: float = 0.0
    fared: Fared = field(default_factory=Fared)
    by_recipient: tuple[tuple[str, Fared], ...] = ()
    found: tuple[ObservedReference, ...] = ()
    facts: MessageFacts = field(default_factory=MessageFacts)
    message_id: str = ""
    subject: str = ""
    defects: tuple[str, ...] = ()
    changed: bool = False
    examined: bool = True
    monitored: bool = False
    banner: bool = False
    original: str = ""
    sealing: tuple[str, ...] = ()
    recognised: Mapping[str, Recognition] = field(default_factory=dict)


def make_observations(
    passed: Passed, organisation_of: Callable[[str], str], settings: RecordSettings
) -> tuple[Observation, ...]:
    """Return what each organisation may know of a message, as ``settings`` have it.

    ``organisation_of`` tells whose an address is. Incoming mail concerns the recipients' organisations, each of which
    learns of its own recipients alone; submitted mail that of the sender.
    """
    shown = _shown(passed.found)
    made = []
    for organisation, recipients in _concerned(passed.envelope, organisation_of).items():
        made.append(_Making(passed, organisation, recipients, settings).observation(shown))
    return tuple(made)


def passages_of(passed: Passed, organisation_of: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    """Return the organisations that a message concerns, with the identifier of the observation that each has of it."""
    return tuple(
        (organisation, observation_identifier(passed.at, passed.identifier, organisation))
        for organisation in _concerned(passed.envelope, organisation_of)
    )


def _concerned(envelope: Envelope, organisation_of: Callable[[str], str]) -> Mapping[str, Sequence[str]]:
    recipients = tuple(dict.fromkeys(each.lower() for each in envelope.recipients))
    if direction_of(envelope) is Direction.SUBMITTED:
        return {organisation_of(envelope.sender or envelope.login): recipients}
    found: dict[str, list[str]] = {}
    for each in recipients:
        found.setdefault(organisation_of(each), []).append(each)
    return found or {organisation_of(""): []}


def _shown(found: Sequence[ObservedReference]) -> tuple[ObservedReference, ...]:
    return tuple(placed_at(found[number]) for number in shown_first([each.is_tracker for each in found]))


class _Making:
    """One organisation's observation of one passage."""

    def __init__(
        self, passed: Passed, organisation: str, recipients: Sequence[str], settings: RecordSettings
    ) -> None:
        self.passed = passed
        self.organisation = organisation
        self.recipients = recipients
        self.settings = settings
        envelope = passed.envelope
        self.is_ours = (
            direction_of(envelope) is Direction.SUBMITTED
        )  # the sender is one of the organisation's people
        if settings.are_pseudonyms:
            hidden = [*envelope.recipients, *((envelope.sender,) if self.is_ours and envelope.sender else ())]
        else:
            own = frozenset(recipients)
            hidden = [each for each in envelope.recipients if each.lower() not in own]
        self.veil = Veil(hidden, strict=settings.are_pseudonyms)

    def observation(self, shown: Sequence[ObservedReference]) -> Observation:
        passed, settings, veil = self.passed, self.settings, self.veil
        envelope, facts = passed.envelope, passed.facts
        proven = envelope.authentication
        fared = self._fared()
        author = facts.author or envelope.sender
        return Observation(
            identifier=observation_identifier(passed.at, passed.identifier, self.organisation),
            organisation=self.organisation,
            at=passed.at,
            log_identifier=_clean(passed.identifier, MAX_FIELD),
            direction=str(direction_of(envelope)),
            sender=self._sender(envelope.sender),
            author=self._sender(facts.author),
            author_domain=_clean(veil.domain(proven.author_domain if proven else ""), MAX_FIELD),
            sender_domain=_clean(veil.domain(_belongs_to(author.rpartition("@")[2].lower())), 255),
            recipients=tuple(
                _clean(settings.person(each, self.organisation), _MAX_ADDRESS)
                for each in self.recipients[:MAX_RECIPIENTS]
            ),
            subject=_clean(veil.text(passed.subject[: 2 * _MAX_SUBJECT]), _MAX_SUBJECT)
            if settings.subjects
            else "",
            message_id=self._message_id(),
            size_bytes=passed.size_bytes,
            seconds=round(passed.seconds, 6),
            reply_code=fared.code,
            reply=self._reply(fared.text[: 2 * _MAX_REPLY]),
            delivered=fared.is_delivered,
            changed=passed.changed,
            examined=passed.examined,
            monitored=passed.monitored,
            banner=passed.banner,
            risk=facts.risk,
            total_references=len(passed.found),
            total_trackers=sum(each.is_tracker for each in passed.found),
            text_characters=facts.text_characters,
            original=passed.original,
            authentication=self._authentication(),
            header=self._header(),
            defects=tuple(_clean(each, MAX_FIELD) for each in passed.defects[:_MAX_DEFECTS]),
            references=tuple(self._reference(each) for each in shown),
        )

    def _header_value(self, name: str, value: str) -> str:
        if name in DIGESTS or name in ("known_by", "recognised"):
            return value  # names nobody
        is_domain = "domain" in name or name in _NAMED_BY_HOST
        return self.veil.text(self.veil.domain(value) if is_domain else value)

    def _recognised(self) -> dict[str, str]:
        """Return what this organisation knows of whoever wrote; of what another knows there is nothing here."""
        recognition = self.passed.recognised.get(self.organisation)
        if recognition is None:
            return {}
        told = {
            "known_by": str(recognition.known_by),
            "recognised": recognition.activity,
            "recognised_why": recognition.words,
        }
        return {name: value for name, value in told.items() if value}

    def _header(self) -> dict[str, str]:
        facts = {**self.passed.facts.header, **self._recognised()}
        told = {name: _clean(self._header_value(name, value), MAX_FIELD) for name, value in facts.items()}
        if self.is_ours and self.settings.are_pseudonyms and (written_to := self._written_to()):
            told["recipient_domains"] = written_to
        return told

    def _written_to(self) -> str:
        """Return the domains that one of our people wrote to, which pseudonyms would hide; never one person's own."""
        domains = (_belongs_to(each.rpartition("@")[2].lower()) for each in self.recipients[:MAX_RECIPIENTS])
        told = dict.fromkeys(self._domain(self.veil.registrable(each)) for each in domains if each)
        return " ".join(each for each in list(told)[:_MAX_DOMAINS] if each and HIDDEN not in each)

    def _fared(self) -> Fared:
        """Return how it fared with the organisation's recipients; well where it did with one of them."""
        own = frozenset(self.recipients)
        replies = [fared for address, fared in self.passed.by_recipient if address.lower() in own]
        return next(
            (each for each in replies if each.is_delivered), replies[0] if replies else self.passed.fared
        )

    def _reply(self, text: str) -> str:
        """Return what a server said without whom it named: many repeat recipients, some tell of others."""
        named = [*self.passed.envelope.recipients, *filter(None, [self.passed.envelope.sender])]
        return _clean(Veil(named, strict=True).text(text), _MAX_REPLY)

    def _sender(self, address: str) -> str:
        if self.is_ours and self.settings.are_pseudonyms:
            return self.settings.person(address[:_MAX_ADDRESS], self.organisation)
        return _clean(self.veil.address(address[:_MAX_ADDRESS].lower()), _MAX_ADDRESS)

    def _message_id(self) -> str:
        written = _clean(self.passed.message_id, _MAX_MESSAGE_ID)
        if not self.settings.are_pseudonyms and self.veil.holds_somebody(written):
            return ""
        return self.settings.message_id(written, self.organisation)

    def _reference(self, found: ObservedReference) -> ObservedReference:
        domain = self.veil.registrable(found.domain) if found.domain else ""
        if domain != found.domain:
            told = ("url", "template", "host", "domain", "operator", "evidence")
            found = replace(
                found,
                reasons=tuple(each.replace(found.domain, domain) for each in found.reasons),
                **{name: getattr(found, name).replace(found.domain, domain) for name in told},
            )
        in_full = self.settings.urls is UrlsKept.FULL and not self.settings.are_pseudonyms
        url = found.url if in_full and not self.veil.holds_somebody(found.url) else found.template
        return replace(
            found,
            url=_clean(url, _MAX_URL),
            template=_clean(found.template, _MAX_URL),
            host=_clean(found.host, 255),
            domain=_clean(found.domain, 255),
            operator=_clean(found.operator, MAX_FIELD),
            evidence=_clean(found.evidence, MAX_FIELD),
            reasons=tuple(_clean(each, MAX_FIELD) for each in found.reasons),
        )

    def _authentication(self) -> dict[str, Any]:
        """Return what was proved of the sender; never selectors and signatures, which can be made for one recipient."""
        proven = self.passed.envelope.authentication
        told: dict[str, Any] = {}
        if proven is not None:
            told = proven.record()
            told["from_domains"] = [self._domain(each) for each in proven.from_domains[:_MAX_PROVEN]]
            told.pop("from_addresses")  # the author is told, veiled as settings have it
            told["dkim"] = [
                {**each, "domain": self._domain(each["domain"]), "selector": "", "signature_start": ""}
                for each in told["dkim"][:_MAX_PROVEN]
            ]
            told["arc"] = {**told["arc"], "sealer": self._domain(told["arc"]["sealer"])}
            for name in ("spf", "dmarc"):
                if told[name] is not None:
                    told[name] = {**told[name], "properties": self._properties(told[name]["properties"])}
        if self.passed.sealing:
            told["sealing"] = list(self.passed.sealing)
        return told

    def _properties(self, properties: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return what a server vouched for, of mail addresses the domain alone."""
        return [[name, self._domain(value.rpartition("@")[2])] for name, value in properties[:_MAX_PROVEN]]

    def _domain(self, domain: str) -> str:
        return _clean(self.veil.domain(domain), 255)


def _belongs_to(domain: str) -> str:
    """Return what a domain belongs to: below that its owner may have made one for each recipient."""
    return registrable_domain(domain) or domain


def _clean(text: str, most: int) -> str:
    """Return a text that every database takes: no NUL, no lone surrogate, no longer than may be."""
    if not text.isprintable():
        text = text.encode("utf-8", "replace").decode("utf-8").translate(_UNPRINTABLE)
    return text[:most]


_UNPRINTABLE: Final = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
