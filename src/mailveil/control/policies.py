"""Policies: an organisation's rules read, changed, and told how they came to be and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailveil.control.access import Actor, Permission
from mailveil.control.allowing import read_entries
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import Cut, Page, PolicyVersion
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError
from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.policy.deciding import is_plain_url
from mailveil.core.policy.differences import describe_rule, differences
from mailveil.core.policy.document import PolicyDocument, PolicyDocumentError, document_of
from mailveil.core.policy.explaining import Explanation, entries_that_fit, explain
from mailveil.core.policy.patterns import domain_of, normal_address
from mailveil.core.policy.rules import (
    LEVEL_WORDS,
    Effect,
    Level,
    MessageFacts,
    ReferenceFacts,
    Rule,
    in_order,
)
from mailveil.core.policy.types import Direction, PolicySettings
from mailveil.core.references.types import Media
from mailveil.core.verdicts.types import Finding, Kind, Risk

MAX_COMMENT = 500
MAX_TOLD = 20  # lines of difference in the audit trail
UNWRITTEN = PolicyDocument()


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """An organisation's policy. ``version`` 0: nobody has written one, and everything is replaced (``normal``)."""

    version: int
    document: PolicyDocument
    at: float = 0.0
    by: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class RuleInOrder:
    """A rule where it is asked: ``place`` counts from 1 among those that settle ``effect``."""

    effect: Effect
    place: int
    rule: Rule
    words: str


async def read_policy(room: ControlRoom, actor: Actor, version: int | None = None) -> PolicyInForce:
    """Return the policy in force, or an earlier version. Raises ``MissingError`` where there is no such version."""
    actor.require(Permission.POLICY_READ)
    current = await room.policies.current(actor.organisation)
    if version is None or (version == 0 and current is None):
        return _in_force(current)
    if current is not None and current.version == version:
        return _in_force(current)
    earlier = await room.policies.version(actor.organisation, version)
    if earlier is None:
        raise MissingError
    return _in_force(earlier)


async def change_policy(
    room: ControlRoom, actor: Actor, document: PolicyDocument, *, based_on: int, comment: str = ""
) -> PolicyInForce:
    """Make a document the policy. ``based_on`` is the version that it was made from.

    Raises ``ConflictError`` where another version is in force meanwhile, ``InvalidError`` for the comment. One that
    says the same as the one in force changes nothing.
    """
    actor.require(Permission.POLICY_WRITE)
    comment = " ".join(comment.split())
    if len(comment) > MAX_COMMENT or not comment.isprintable():
        raise InvalidError(f"A comment has at most {MAX_COMMENT} characters that can be printed.", "comment")
    current = _in_force(await room.policies.current(actor.organisation))
    if current.version != based_on:
        raise ConflictError(
            f"The policy was changed meanwhile: version {current.version} is in force, and this is based on "
            f"version {based_on}."
        )
    changes = differences(current.document, document)
    if not changes and current.version:
        return current
    made = PolicyVersion(
        actor.organisation, based_on + 1, document.record(), room.clock.now(), actor.name, comment
    )
    await room.policies.put(made)
    await audit(
        room,
        actor,
        "policy.change",
        f"version {made.version}",
        comment=comment,
        changes=[line[:200] for line in changes[:MAX_TOLD]],
        total=len(changes),
    )
    return _in_force(made)


async def set_level(
    room: ControlRoom, actor: Actor, level: Level, *, based_on: int | None = None, comment: str = ""
) -> PolicyInForce:
    """Change the level alone; without ``based_on``, of whatever is in force now. Raises as ``change_policy`` does."""
    current = await read_policy(room, actor)
    document = PolicyDocument(
        level, current.document.groups, current.document.rules, current.document.comment
    )
    return await change_policy(
        room,
        actor,
        document,
        based_on=current.version if based_on is None else based_on,
        comment=comment or f"level {level}",
    )


async def restore_policy(
    room: ControlRoom, actor: Actor, version: int, *, based_on: int, comment: str = ""
) -> PolicyInForce:
    """Make an earlier version the policy again, as a new version. Raises ``MissingError`` and as ``change_policy``."""
    earlier = await read_policy(room, actor, version)
    comment = comment or f"version {version} again"
    return await change_policy(room, actor, earlier.document, based_on=based_on, comment=comment)


async def policy_history(room: ControlRoom, actor: Actor, cut: Cut) -> Page[PolicyVersion]:
    """Return the versions of the policy, newest first."""
    actor.require(Permission.POLICY_READ)
    return await room.policies.history(actor.organisation, cut)


async def policy_differences(room: ControlRoom, actor: Actor, before: int, after: int) -> tuple[str, ...]:
    """Return in lines what one version says otherwise than another; version 0 is that before any was written."""
    old = PolicyInForce(0, UNWRITTEN) if before == 0 else await read_policy(room, actor, before)
    new = await read_policy(room, actor, after)
    return differences(old.document, new.document)


async def rules_in_order(
    room: ControlRoom, actor: Actor, document: PolicyDocument | None = None
) -> tuple[RuleInOrder, ...]:
    """Return the rules of a policy (the one in force unless given) with the allow-list's, as they are asked."""
    actor.require(Permission.POLICY_READ)
    if document is None:
        document = (await read_policy(room, actor)).document
    entries = await read_entries(room.policies, actor.organisation)
    rules = (*document.rules, *(entry.rule() for entry in entries))
    return tuple(
        RuleInOrder(effect, place, rule, describe_rule(rule))
        for effect in Effect
        for place, rule in enumerate(in_order(rules, effect), 1)
    )


def policy_of_record(record: Mapping[str, Any]) -> PolicyDocument:
    """Return the policy that somebody sends as a JSON object. Raises ``InvalidError`` with everything that is wrong."""
    try:
        return document_of(record)
    except PolicyDocumentError as error:
        raise InvalidError(str(error), "document") from error


# --- why ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReferenceExplanation:
    """Why a reference of a message was treated as it was.

    ``then`` says it in words out of what was put on record, ``version`` is the policy that was in force at that time.
    ``now`` is what the policy in force now would do for ``recipient``.
    """

    number: int  # of the reference in the message, from 0
    reference: ObservedReference
    then: str
    version: int
    recipient: str
    now: Explanation


async def explain_message(
    room: ControlRoom,
    actor: Actor,
    message: str,
    *,
    number: int | None = None,
    recipient: str = "",
    settings: PolicySettings | None = None,
) -> tuple[ReferenceExplanation, ...]:
    """Return why the references of a message were treated as they were, or that of one ``number``.

    ``recipient`` is for whom the rules are asked now; without one, the first that the record names. ``settings`` are
    the configuration file's. Raises ``MissingError``.
    """
    actor.require(Permission.MESSAGES_READ)
    actor.require(Permission.POLICY_READ)
    observation = await room.observations.message(actor.organisation, message)
    if observation is None or (number is not None and not 0 <= number < len(observation.references)):
        raise MissingError
    recipient = recipient or next(iter(observation.recipients), "")
    facts = facts_of_observation(observation, recipient, room.clock.now())
    current = (await read_policy(room, actor)).document
    entries = entries_that_fit(await read_entries(room.policies, actor.organisation), facts)
    before = _in_force(await room.policies.version_at(actor.organisation, observation.at))
    wanted = range(len(observation.references)) if number is None else (number,)
    found: list[ReferenceExplanation] = []
    for each in wanted:
        reference = observation.references[each]
        now = explain(current, entries, facts, facts_of_observed(reference), settings or PolicySettings())
        then = await _words_of(room, actor, reference, before)
        found.append(ReferenceExplanation(each, reference, then, before.version, recipient, now))
    return tuple(found)


def facts_of_observation(observation: Observation, recipient: str, at: float) -> MessageFacts:
    """Return what rules may know of a message that was put on record."""
    author = normal_address(observation.author) if "@" in observation.author else ""
    proven = observation.author_domain
    claimed = [normal_address(each) for each in (observation.sender, observation.author) if "@" in each]
    domains = [*map(domain_of, claimed), *observation.authentication.get("from_domains", ())]
    directions = [each for each in Direction if each == observation.direction]
    return MessageFacts(
        recipient=normal_address(recipient),
        concerned=normal_address(recipient),
        direction=directions[0] if directions else Direction.INBOUND,
        author_domain=proven,
        author_address=author if proven and domain_of(author) == proven else "",
        claimed=tuple(dict.fromkeys(claimed)),
        claimed_domains=tuple(dict.fromkeys(domains)),
        at=at,
    )


def facts_of_observed(reference: ObservedReference) -> ReferenceFacts:
    """Return what rules may know of a reference that was put on record."""
    kinds = [each for each in (reference.kinds or (reference.kind,)) if each in set(Kind)]
    return ReferenceFacts(
        host=reference.host,
        operator=reference.operator,
        kinds=tuple(Kind(each) for each in kinds),
        risk=Risk(reference.risk) if reference.risk in set(Risk) else Risk.NONE,
        finding=Finding.TRACKER if reference.is_tracker else Finding.CONTENT,
        has_copy=bool(reference.media),
        is_script=reference.vector in {"script-inline", "event-handler"},
        # On record a part that was made for one recipient is a star.
        is_plain=is_plain_url(reference.url.replace("*", "x")),
        leads_on=reference.media == Media.STYLESHEET,
    )


async def _words_of(
    room: ControlRoom, actor: Actor, reference: ObservedReference, policy: PolicyInForce
) -> str:
    origin, _, name = reference.rule.partition(":")
    if origin == "level" and name in set(Level):
        return f"no rule spoke of it, and the level {name} held: {LEVEL_WORDS[Level(name)]}"
    if origin == "allow":
        entry = await room.policies.entry(actor.organisation, name)
        if entry is None:
            return f"the allow-list entry {name}, which is not there any more"
        return f"the allow-list entry {name} for {entry.author}, owned by {entry.owner}: {entry.reason}"
    if origin == "rule":
        rule = policy.document.rule(name)
        if rule is None:
            return f"the rule {name}, which version {policy.version} of the policy does not have"
        title = f' "{rule.name}"' if rule.name else ""
        return f"the rule {name}{title} of version {policy.version}: {describe_rule(rule)}"
    return "there was no policy yet: the configuration file decided alone"


def _in_force(version: PolicyVersion | None) -> PolicyInForce:
    """Return a stored version as a policy; one that is not understood is told as an error, not as another policy."""
    if version is None:
        return PolicyInForce(0, UNWRITTEN)
    try:
        document = document_of(version.document)
    except PolicyDocumentError as error:
        raise InvalidError(f"Version {version.version} of the policy is not understood: {error}") from error
    return PolicyInForce(version.version, document, version.at, version.by, version.comment)
