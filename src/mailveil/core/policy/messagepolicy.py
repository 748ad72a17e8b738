"""What the organisation's rules come down to for one message: what the engine is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from mailveil.core.policy.rules import (
    ACTION_STRICTNESS,
    Conditions,
    Level,
    ReferenceFacts,
    fits_reference,
    level_action,
)
from mailveil.core.policy.types import Action, CopyMode, Direction, PolicySettings
from mailveil.core.recognition.types import Recognition, recognition_of
from mailveil.core.verdicts.lists.types import Indication
from mailveil.core.verdicts.types import Finding, Kind, Risk


@dataclass(frozen=True, slots=True)
class BannerSettings:
    """The notice that readers get. ``least_risk`` is ``low``, ``medium`` or ``high``, ``language`` BCP 47.

    ``report_mailbox`` is where readers write to, ``report_link`` the page on which they tell, ``report_code`` what
    names the message there and in the subject of their mail; each ``""`` where there is none. None of them is fetched.
    """

    least_risk: str = "medium"
    language: str = "en"
    organisation: str = ""  # its name, for readers
    report_mailbox: str = ""
    report_link: str = ""
    report_code: str = ""


class ReferenceRule(NamedTuple):
    """A rule that fits the message and may fit its references; ``key`` is what records call it.

    ``claimed``: it names a sender, and that the message is his is merely its own claim. Such a rule holds only where it
    is no less strict than what holds without it, so that a forged sender gains nothing.
    """

    key: str
    action: Action
    when: Conditions
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Party:
    """Recipients for whom the same rules hold. ``rules`` are in order: the first that fits wins."""

    level: Level = Level.NORMAL
    rules: tuple[ReferenceRule, ...] = ()


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """The rules that can hold for one message. ``organisation`` is whose they are, ``banner`` what readers are told.

    ``organisation`` is ``""`` where the recipients belong to several. ``monitored``: the message leaves as it came in,
    and a report tells what would have been done. ``copies`` says how its safe copies reach the reader, ``None``: as the
    engine's settings have it. Of several ``parties`` in one message the strictest action holds for each reference;
    without any, the engine's settings decide alone. ``recognises``: readers are told when a known actor writes, and
    ``recognition`` is that one does. ``indications`` are indicators of others that name something in it.
    """

    organisation: str = ""
    banner: BannerSettings | None = None
    monitored: bool = False
    copies: CopyMode | None = None
    parties: tuple[Party, ...] = ()
    recognises: bool = True
    recognition: Recognition | None = None
    indications: tuple[Indication, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``message_policy_of`` makes it again."""
        return {
            "organisation": self.organisation,
            "banner": None if self.banner is None else asdict(self.banner),
            "monitored": self.monitored,
            "copies": self.copies,
            "parties": [
                {
                    "level": party.level,
                    "rules": [
                        [rule.key, rule.action, reference_conditions(rule.when), rule.claimed]
                        for rule in party.rules
                    ],
                }
                for party in self.parties
            ],
            "recognises": self.recognises,
            "recognition": None if self.recognition is None else self.recognition.record(),
            "indications": [list(each) for each in self.indications],
        }


def message_policy_of(record: Mapping[str, Any]) -> MessagePolicy:
    """Return what ``MessagePolicy.record`` wrote down."""
    banner, copies = record["banner"], record["copies"]
    return MessagePolicy(
        organisation=record["organisation"],
        banner=None if banner is None else BannerSettings(**banner),
        monitored=record["monitored"],
        copies=None if copies is None else CopyMode(copies),
        parties=tuple(
            Party(
                Level(party["level"]),
                tuple(
                    ReferenceRule(key, Action(action), conditions_of(when), claimed)
                    for key, action, when, claimed in party["rules"]
                ),
            )
            for party in record["parties"]
        ),
        recognises=record["recognises"],
        recognition=None if record["recognition"] is None else recognition_of(record["recognition"]),
        indications=tuple(Indication(*each) for each in record["indications"]),
    )


def reference_conditions(when: Conditions) -> dict[str, Any]:
    """Return what conditions say of references as a JSON object."""
    return {
        name: str(value) if name == "least_risk" else [str(each) for each in value]
        for name in when.reference_conditions
        for value in (getattr(when, name),)
    }


def conditions_of(record: Mapping[str, Any]) -> Conditions:
    """Return conditions out of a JSON object whose values are known to be right."""
    names = ("recipients", "groups", "senders", "sender_domains", "hosts", "operators")
    least = record.get("least_risk")
    return Conditions(
        **{name: tuple(record.get(name, ())) for name in names},
        directions=tuple(Direction(each) for each in record.get("directions", ())),
        kinds=tuple(Kind(each) for each in record.get("kinds", ())),
        risks=tuple(Risk(each) for each in record.get("risks", ())),
        least_risk=None if least is None else Risk(least),
        findings=tuple(Finding(each) for each in record.get("findings", ())),
    )


class Choice(NamedTuple):
    """An action and what chose it: ``rule:ID``, ``allow:ID`` or ``level:NAME``."""

    action: Action
    key: str


def choose(parties: Sequence[Party], facts: ReferenceFacts, settings: PolicySettings) -> Choice:
    """Return what is done about a reference: the strictest of what the parties' rules say, rules before levels.

    What has no safe copy is always taken out, whatever rules say: receipts, links that load, scripts of others.
    """
    chosen = [choose_for(party, facts, settings) for party in parties]
    return max(chosen, key=lambda each: (ACTION_STRICTNESS[each.action], not each.key.startswith("level:")))


def choose_for(party: Party, facts: ReferenceFacts, settings: PolicySettings) -> Choice:
    """Return what is done about a reference for one party."""
    level = f"level:{party.level}"
    if facts.is_script:
        return Choice(Action.REMOVE if settings.disable_attached_scripts else Action.KEEP, level)
    if not facts.has_copy:
        return Choice(Action.REMOVE, level)
    otherwise = Choice(level_action(party.level, facts.finding, settings), level)
    fitting = [rule for rule in party.rules if fits_reference(rule.when, rule.action, facts)]
    for rule in fitting:
        if not rule.claimed:
            otherwise = Choice(rule.action, rule.key)
            break
    for rule in fitting:
        if not rule.claimed or ACTION_STRICTNESS[rule.action] >= ACTION_STRICTNESS[otherwise.action]:
            return _possible(Choice(rule.action, rule.key))
    return _possible(otherwise)


def _possible(choice: Choice) -> Choice:
    """Return ``BLANK`` for ``REMOVE``: what is shown has a place in the layout, and that stays."""
    return Choice(Action.BLANK, choice.key) if choice.action is Action.REMOVE else choice
