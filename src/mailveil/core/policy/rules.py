"""Rules: for whom, from whom and about what, and what holds there; and the order in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final, NamedTuple

from mailveil.core.policy.patterns import covers_domain, covers_recipient
from mailveil.core.policy.types import Action, CopyMode, Direction, PolicySettings
from mailveil.core.verdicts.types import Finding, Kind, Risk


class Level(StrEnum):
    """A ready-made policy, for those who want no rules. On each, every remote reference is replaced."""

    STRICT = "strict"
    NORMAL = "normal"
    GENTLE = "gentle"


class Banner(StrEnum):
    """From which risk of a message on its readers get a notice."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Effect(StrEnum):
    """What a rule can settle, each on its own."""

    ACTION = "action"
    COPIES = "copies"
    BANNER = "banner"
    MONITOR = "monitor"
    LANGUAGE = "language"
    RECOGNISE = "recognise"


LEVEL_WORDS: Final = {
    Level.STRICT: "Trackers become blank and nobody ever contacts where they lead; other remote content becomes safe "
    "copies. Readers get a notice from medium risk on.",
    Level.NORMAL: "Every remote reference becomes a safe copy, or what the configuration file says instead. Readers "
    "get a notice on messages of high risk.",
    Level.GENTLE: "Every remote reference becomes a safe copy, or what the configuration file says instead. Nothing "
    "is added to a message: it looks as it was sent.",
}
LEVEL_BANNERS: Final = {Level.STRICT: Banner.MEDIUM, Level.NORMAL: Banner.HIGH, Level.GENTLE: Banner.NONE}

# What is stricter has the higher number.
ACTION_STRICTNESS: Final = {Action.KEEP: 0, Action.COPY: 1, Action.BLANK: 2, Action.REMOVE: 3}
BANNER_STRICTNESS: Final = {Banner.NONE: 0, Banner.HIGH: 1, Banner.MEDIUM: 2, Banner.LOW: 3}
RISK_ORDER: Final = {risk: number for number, risk in enumerate(Risk)}


@dataclass(frozen=True, slots=True)
class Conditions:
    """When a rule holds: everything that is named has to fit, and of a list one suffices. Nothing named: always.

    ``recipients`` and ``groups`` say for whom, ``senders`` (addresses) and ``sender_domains`` from whom; the rest says
    about which references: ``hosts``, ``operators`` (by name, whatever its case), ``kinds``, ``risks`` and
    ``least_risk`` of the reference itself, ``findings``. Patterns are as ``patterns`` reads them.
    """

    recipients: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    sender_domains: tuple[str, ...] = ()
    directions: tuple[Direction, ...] = ()
    hosts: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    risks: tuple[Risk, ...] = ()
    least_risk: Risk | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def names_senders(self) -> bool:
        """Whether it matters from whom a message is."""
        return bool(self.senders or self.sender_domains)

    @property
    def names_recipients(self) -> bool:
        """Whether it matters for whom a message is."""
        return bool(self.recipients or self.groups)

    @property
    def names_references(self) -> bool:
        """Whether it matters what a reference is."""
        return bool(self.reference_conditions)

    @property
    def reference_conditions(self) -> tuple[str, ...]:
        """The names of the conditions on references that are there."""
        return tuple(name for name in REFERENCE_CONDITIONS if getattr(self, name))

    def about_references(self) -> Conditions:
        """Return what is said of references alone."""
        return Conditions(
            hosts=self.hosts,
            operators=self.operators,
            kinds=self.kinds,
            risks=self.risks,
            least_risk=self.least_risk,
            findings=self.findings,
        )


REFERENCE_CONDITIONS: Final = ("hosts", "operators", "kinds", "risks", "least_risk", "findings")
CONDITION_NAMES: Final = tuple(each.name for each in fields(Conditions))


@dataclass(frozen=True, slots=True)
class Effects:
    """What a rule settles; ``None``: it says nothing of that. ``language`` is the notice's, as BCP 47 writes it."""

    action: Action | None = None
    copies: CopyMode | None = None
    banner: Banner | None = None
    monitor: bool | None = None
    language: str | None = None
    recognise: bool | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``expires_at`` are seconds since the epoch from which on it does not hold any more, 0: it always does.

    ``origin`` tells a rule of the document (``rule``) from what stands for an entry of the allow-list (``allow``).
    """

    identifier: str
    name: str = ""
    enabled: bool = True
    when: Conditions = field(default_factory=Conditions)
    then: Effects = field(default_factory=Effects)
    comment: str = ""
    expires_at: float = 0.0
    origin: str = "rule"

    @property
    def key(self) -> str:
        """What records call it: ``rule:ID`` or ``allow:ID``."""
        return f"{self.origin}:{self.identifier}"

    def holds_at(self, now: float) -> bool:
        """Tell whether it is in force."""
        return self.enabled and not 0 < self.expires_at <= now


@dataclass(frozen=True, slots=True)
class AllowEntry:
    """A partner whose references stay, where it is proven that a message is his.

    ``author`` is ``domain``, ``.domain`` or an address, ``hosts`` narrow it to references there (empty: all).
    """

    identifier: str
    author: str
    hosts: tuple[str, ...] = ()
    expires_at: float = 0.0

    def rule(self) -> Rule:
        """Return the rule that it stands for."""
        by_address = "@" in self.author
        return Rule(
            identifier=self.identifier,
            name=f"allow-list: {self.author}",
            when=Conditions(
                senders=(self.author,) if by_address else (),
                sender_domains=() if by_address else (self.author,),
                hosts=self.hosts,
            ),
            then=Effects(action=Action.KEEP),
            expires_at=self.expires_at,
            origin="allow",
        )


class Specificity(NamedTuple):
    """How narrowly a rule is drawn, place by place; what is narrower compares as greater.

    A rule is as specific as the widest thing that it names in a place. First counts for whom, then from whom, then
    about what, at last in which direction.
    """

    recipient: int
    sender: int
    reference: int
    direction: int


def specificity(when: Conditions) -> Specificity:
    """Return how narrowly conditions are drawn."""
    recipient = 1 if when.groups else 0
    if when.recipients:
        recipient = min(
            2 if each.startswith("@.") else 3 if each.startswith("@") else 4 for each in when.recipients
        )
    sender = 0
    if when.sender_domains:
        sender = min(1 if each.startswith(".") else 2 for each in when.sender_domains)
    if when.senders:
        sender = 3
    reference = 0
    for rank, given in enumerate(
        (when.findings, when.risks or when.least_risk, when.kinds, when.operators), 1
    ):
        if given:
            reference = rank
    if when.hosts:
        reference = min(5 if each.startswith(".") else 6 for each in when.hosts)
    return Specificity(recipient, sender, reference, 1 if when.directions else 0)


def strictness(then: Effects, effect: Effect) -> int:
    """Return how strict a rule is in what it says of ``effect``; what is stricter compares as greater."""
    match effect:
        case Effect.ACTION:
            return -1 if then.action is None else ACTION_STRICTNESS[then.action]
        case Effect.BANNER:
            return -1 if then.banner is None else BANNER_STRICTNESS[then.banner]
        case Effect.MONITOR:
            return -1 if then.monitor is None else int(not then.monitor)
        case Effect.RECOGNISE:
            return -1 if then.recognise is None else int(then.recognise)
        case Effect.COPIES | Effect.LANGUAGE:
            return 0  # none is stricter than the other


def in_order(rules: Sequence[Rule], effect: Effect) -> tuple[Rule, ...]:
    """Return the rules that settle ``effect``, first the one that wins over all others where it holds.

    The order is total: the more specific one is first, of equally specific ones the stricter, then the one that stands
    earlier.
    """
    settling = [
        (specificity(rule.when), strictness(rule.then, effect), -number, rule)
        for number, rule in enumerate(rules)
        if settles(rule.then, effect)
    ]
    settling.sort(key=lambda each: each[:3], reverse=True)
    return tuple(each[3] for each in settling)


def settles(then: Effects, effect: Effect) -> bool:
    """Tell whether a rule says something of ``effect``."""
    return getattr(then, effect.value) is not None


# --- what is asked of a rule --------------------------------------------------------------------------------


class Fit(StrEnum):
    """How a message fits what a rule says of its sender."""

    NO = "no"
    CLAIMED = "claimed"  # it says so itself, and anybody can say that
    PROVEN = "proven"  # it is, or the rule asks for no sender


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What rules may know of a message. All names are lower-case, domains in A-labels.

    ``author_domain`` and ``author_address`` are proven (``Authentication``), ``claimed`` are all addresses that it
    names as its sender, ``claimed_domains`` their domains. ``at`` are seconds since the epoch. ``concerned`` is the
    address whose organisation's rules hold: the recipient's, or of submitted mail the sender's.
    """

    recipient: str = ""
    concerned: str = ""
    direction: Direction = Direction.INBOUND
    author_domain: str = ""
    author_address: str = ""
    claimed: tuple[str, ...] = ()
    claimed_domains: tuple[str, ...] = ()
    at: float = 0.0


class ReferenceFacts(NamedTuple):
    """What rules may know of a reference. ``has_copy``: a safe copy can take its place; ``is_script``: it is one.

    ``is_plain``: it is an http or https address that every client reads alike; no other may ever be kept. ``leads_on``:
    what is there may name other hosts, and the reader's client would ask those as well.
    """

    host: str = ""
    operator: str = ""
    kinds: tuple[Kind, ...] = ()
    risk: Risk = Risk.NONE
    finding: Finding = Finding.CONTENT
    has_copy: bool = True
    is_script: bool = False
    is_plain: bool = True
    leads_on: bool = False


def fits_recipient(when: Conditions, groups: Mapping[str, Sequence[str]], recipient: str) -> bool:
    """Tell whether a rule is for a recipient, as ``normal_address`` gives it."""
    if when.recipients and not any(covers_recipient(each, recipient) for each in when.recipients):
        return False
    if when.groups:
        return any(
            covers_recipient(each, recipient) for group in when.groups for each in groups.get(group, ())
        )
    return True


def fits_sender(when: Conditions, facts: MessageFacts) -> Fit:
    """Tell whether a message is from whom a rule names, and whether that is proven or merely claimed."""
    if not when.names_senders:
        return Fit.PROVEN
    if _is_from(when, (facts.author_address,), (facts.author_domain,)):
        return Fit.PROVEN
    return Fit.CLAIMED if _is_from(when, facts.claimed, facts.claimed_domains) else Fit.NO


def _is_from(when: Conditions, addresses: tuple[str, ...], domains: tuple[str, ...]) -> bool:
    if when.senders and not any(each and each in when.senders for each in addresses):
        return False
    return not when.sender_domains or any(
        covers_domain(pattern, domain) for pattern in when.sender_domains for domain in domains if domain
    )


def fits_reference(when: Conditions, action: Action, facts: ReferenceFacts) -> bool:
    """Tell whether a reference is what a rule is about; to keep one is about plain addresses alone.

    A rule that keeps what is on certain hosts keeps nothing that leads on to others.
    """
    if action is Action.KEEP and (not facts.is_plain or (facts.leads_on and when.names_references)):
        return False
    if when.hosts and not any(covers_domain(each, facts.host) for each in when.hosts):
        return False
    if when.operators and facts.operator.casefold() not in {each.casefold() for each in when.operators}:
        return False
    if when.kinds and not any(kind in when.kinds for kind in facts.kinds):
        return False
    if when.risks and facts.risk not in when.risks:
        return False
    if when.least_risk is not None and RISK_ORDER[facts.risk] < RISK_ORDER[when.least_risk]:
        return False
    return not when.findings or facts.finding in when.findings


def level_action(level: Level, finding: Finding, settings: PolicySettings) -> Action:
    """Return what a level does with what has a safe copy: never less than the configuration file says.

    Never ``KEEP``: what the file may say is how references are replaced, not whether.
    """
    said = settings.trackers if finding is Finding.TRACKER else settings.content
    own = Action.BLANK if level is Level.STRICT and finding is Finding.TRACKER else Action.COPY
    return max(own, said, key=ACTION_STRICTNESS.__getitem__)
