"""The words for what observations mean: trackers' owners, campaigns, activities of reconnaissance, alerts. Values only.

Times are seconds since the epoch, UTC. Everything here is bounded: what a message may add to it is cut, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

DAY_S: Final = 86_400.0
ONE_FUNCTION: Final = "have one function"  # in words, before ":" and its name; veils look for it
MAX_PROBES: Final = 200  # of an activity that are kept one by one; the rest is counted
MAX_TARGETS: Final = 200
MAX_INFRASTRUCTURE: Final = 100
MAX_THREADS: Final = 200


class Tooling(StrEnum):
    """Whether tracking was bought from a vendor or built by whoever uses it. Values are permanent."""

    BOUGHT = "bought"
    BUILT = "built"
    UNKNOWN = "unknown"


class Nature(StrEnum):
    """What a campaign is. Values are permanent."""

    BULK = "bulk"  # mailings: many recipients, list header fields, known vendors, a consistent history
    PERSONAL = "personal"  # letters between people
    TARGETED = "targeted"  # tracking aimed at few people by somebody without a history of mailing them
    UNKNOWN = "unknown"


class Technique(StrEnum):
    """Techniques of MITRE ATT&CK (Enterprise) that an activity may show. Values are ATT&CK's identifiers."""

    PHISHING_FOR_INFORMATION = "T1598"
    SPEARPHISHING_LINK = "T1598.003"  # names web beacons
    VICTIM_IDENTITY = "T1589"
    VICTIM_NETWORK = "T1590.005"  # IP addresses
    VICTIM_HOST = "T1592"


class ActivityState(StrEnum):
    """How an activity stands; by its last probe and by what an analyst said. Values are permanent."""

    ACTIVE = "active"
    QUIET = "quiet"
    CLOSED = "closed"


class AnalystVerdict(StrEnum):
    """What an analyst found. Values are permanent."""

    OPEN = "open"  # nobody has said anything yet
    CONFIRMED = "confirmed"
    BENIGN = "benign"


class AlertKind(StrEnum):
    """Why people are told. Values are permanent."""

    RECONNAISSANCE = "reconnaissance"  # an activity has become worth looking at
    ESCALATION = "escalation"  # one that is known has become clearly worse
    FOLLOW_UP = "follow-up"  # mail of a known actor, with or without a tracker


class Role(StrEnum):
    """What a piece of infrastructure is to an activity. Values are permanent."""

    SENDER_DOMAIN = "sender-domain"
    REPLY_DOMAIN = "reply-domain"
    TRACKER_DOMAIN = "tracker-domain"
    TRACKER_HOST = "tracker-host"
    CANONICAL_NAME = "canonical-name"
    NAME_SERVER = "name-server"
    ADDRESS = "address"
    CERTIFICATE = "certificate"
    SENDER_MAILBOX = "sender-mailbox"  # a digest of an address of free mail (recognition.keys.mailbox_digest)
    FINGERPRINT = "fingerprint"  # of tracking that somebody built: URL grammar and how the server answers


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for an activity, or against it. ``code`` is permanent, ``weight`` in log-odds."""

    code: str
    weight: float
    words: str


@dataclass(frozen=True, slots=True)
class TechniqueShown:
    """A technique with what shows it, in words."""

    technique: Technique
    because: str


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whose a tracker is. ``confidence`` is 0 to 1; ``evidence`` is in words, the strongest first.

    ``customer`` is for whom a vendor's tracker reports, ``fingerprint`` finds technology of somebody's own again
    (``""`` where there is too little to tell it by).
    """

    tooling: Tooling = Tooling.UNKNOWN
    operator: str = ""
    owner: str = ""
    customer: str = ""
    confidence: float = 0.0
    fingerprint: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """Something that an activity was carried out with. ``shared`` says that it serves everybody, such as a vendor."""

    role: Role
    value: str
    first_at: float
    last_at: float
    messages: int = 1
    shared: bool = False


@dataclass(frozen=True, slots=True)
class InfrastructureFacts:
    """What is known of the infrastructure behind a host, from the DNS and from the one fetch of its content.

    ``host`` is a host's template. ``header_order`` is a digest of the names of the header fields in the order in which
    they came, ``body`` one of the content, ``certificate`` one of the certificate; ``""`` where it is not known.
    ``identifier``, ``organisation`` and ``at`` are there once it was put on record, as something to study.
    """

    host: str
    canonical_names: tuple[str, ...] = ()
    name_servers: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    certificate: str = ""
    header_order: str = ""
    body: str = ""
    identifier: str = ""
    organisation: str = ""
    at: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``infrastructure_facts_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probe:
    """One message of an activity as one person got it. ``person`` is what records call them."""

    at: float
    message: str
    person: str
    sender_domain: str
    kinds: tuple[str, ...] = ()
    template: str = ""
    host: str = ""
    vector: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A person whom an activity was aimed at."""

    person: str
    first_at: float
    last_at: float
    probes: int = 1
    function: str = ""
    is_high_value: bool = False


@dataclass(frozen=True, slots=True)
class Activity:
    """Reconnaissance by one actor: explained, scored, with a beginning, targets and a timeline.

    ``score`` is 0 to 1, ``actor`` what the actor goes by (its first sender domain), ``learned`` in words what the spy
    would have learned without us. ``probes`` are the latest, oldest first; ``total_probes`` and ``total_people`` count
    all. ``follow_ups`` are messages of the same actor that carry no tracker. ``merged_into`` names the activity that
    this one turned out to be part of. ``threads`` are digests of the Message-IDs of its messages, the latest
    ``MAX_THREADS``. ``claimed_domains`` are sender domains of which proof was looked for and never found, since whoever
    forges a sender is not that sender, and domains that answers were to go to without more that tells that they are the
    actor's, since anybody can name any. ``personal_names`` are domains and mailboxes that spell one of the people, and
    ``named_function`` is the function that reasons name: others are not told, even once the people are forgotten.
    What an analyst decided stands beside it, not in it (``control.records``).
    """

    identifier: str
    organisation: str
    actor: str
    first_at: float
    last_at: float
    score: float = 0.0
    risk: str = "low"
    reasons: tuple[Reason, ...] = ()
    techniques: tuple[TechniqueShown, ...] = ()
    learned: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    attribution: Attribution = field(default_factory=Attribution)
    infrastructure: tuple[Infrastructure, ...] = ()
    targets: tuple[Target, ...] = ()
    probes: tuple[Probe, ...] = ()
    follow_ups: tuple[Probe, ...] = ()
    total_messages: int = 0
    total_probes: int = 0
    total_people: int = 0
    alerted_at: float = 0.0
    merged_into: str = ""
    threads: tuple[str, ...] = ()
    claimed_domains: tuple[str, ...] = ()
    personal_names: tuple[str, ...] = ()
    named_function: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``activity_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Campaign:
    """Messages of one sender, template and time. ``identifier`` is the same whenever it is worked out again.

    ``is_personal`` says that the sender's domain spells one of those to whom it wrote.
    """

    identifier: str
    organisation: str
    sender_domain: str
    template: str
    first_at: float
    last_at: float
    nature: Nature = Nature.UNKNOWN
    reasons: tuple[str, ...] = ()
    messages: int = 0
    people: int = 0
    operator: str = ""
    tooling: Tooling = Tooling.UNKNOWN
    subject: str = ""
    is_personal: bool = False

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``campaign_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that people should be told now. ``earlier`` is when the actor was first seen, for follow-ups.

    ``personal_names`` and ``named_function`` are those of the activity: its words may name both.
    """

    identifier: str
    organisation: str
    at: float
    kind: AlertKind
    activity: str
    message: str
    words: str
    score: float = 0.0
    sender_domain: str = ""
    people: tuple[str, ...] = ()
    earlier: float = 0.0
    personal_names: tuple[str, ...] = ()
    named_function: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``alert_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LearnedTracker:
    """Tracking that somebody built, as it was met: found again by ``template`` and ``attribution.fingerprint``.

    ``people`` are those whom it was aimed at, as records call them; they tell what has to be veiled.
    """

    identifier: str
    organisation: str
    template: str
    host: str
    domain: str
    first_at: float
    last_at: float
    kinds: tuple[str, ...] = ()
    vector: str = ""
    attribution: Attribution = field(default_factory=Attribution)
    messages: int = 1
    people: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``learned_tracker_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MarkedPerson:
    """What an organisation says of one of its people: a function, such as ``finance``, and whether they weigh more."""

    person: str
    function: str = ""
    is_high_value: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """An analyst's verdict on an activity, from which scoring learns. ``identifier`` sorts by time."""

    identifier: str
    organisation: str
    at: float
    activity: str
    verdict: AnalystVerdict


def activity_of(record: Mapping[str, Any]) -> Activity:
    """Return what ``Activity.record`` wrote down; unknown members are ignored. Raises ``KeyError`` or ``TypeError``."""
    values = _known(Activity, record)
    values["reasons"] = tuple(Reason(**_known(Reason, each)) for each in record.get("reasons", ()))
    values["techniques"] = tuple(
        TechniqueShown(Technique(each["technique"]), each["because"]) for each in record.get("techniques", ())
    )
    values["attribution"] = attribution_of(record.get("attribution", {}))
    values["infrastructure"] = tuple(
        Infrastructure(**{**_known(Infrastructure, each), "role": Role(each["role"])})
        for each in record.get("infrastructure", ())
    )
    values["targets"] = tuple(Target(**_known(Target, each)) for each in record.get("targets", ()))
    for name in ("probes", "follow_ups"):
        values[name] = tuple(Probe(**_known(Probe, each)) for each in record.get(name, ()))
    return Activity(**values)


def infrastructure_facts_of(record: Mapping[str, Any]) -> InfrastructureFacts:
    """Return what ``InfrastructureFacts.record`` wrote down. Raises ``KeyError`` or ``TypeError``."""
    return InfrastructureFacts(**_known(InfrastructureFacts, record))


def learned_tracker_of(record: Mapping[str, Any]) -> LearnedTracker:
    """Return what ``LearnedTracker.record`` wrote down. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    values = _known(LearnedTracker, record)
    values["attribution"] = attribution_of(record.get("attribution", {}))
    return LearnedTracker(**values)


def attribution_of(record: Mapping[str, Any]) -> Attribution:
    """Return an attribution from its JSON object."""
    values = _known(Attribution, record)
    values["tooling"] = Tooling(record.get("tooling", Tooling.UNKNOWN))
    return Attribution(**values)


def campaign_of(record: Mapping[str, Any]) -> Campaign:
    """Return what ``Campaign.record`` wrote down. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    values = _known(Campaign, record)
    values["nature"] = Nature(record.get("nature", Nature.UNKNOWN))
    values["tooling"] = Tooling(record.get("tooling", Tooling.UNKNOWN))
    return Campaign(**values)


def alert_of(record: Mapping[str, Any]) -> Alert:
    """Return what ``Alert.record`` wrote down. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    return Alert(**{**_known(Alert, record), "kind": AlertKind(record["kind"])})


def _known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record.items()
        if name in names
    }
