"""Blocking: rules of the policy against whoever carries out an activity, as strict as rules get.

A policy says what readers see of a message; it refuses no mail. So the strictest there is: everything remote in mail of
the actor's own domains is taken out, readers get a notice on it whatever its risk, and what leads to the actor's own
trackers is taken out of all mail. Refusing the mail itself is for the mail server, which gets the domains from here.

A sender can be forged: a domain in whose name no mail was ever proven is blocked once an analyst has confirmed the
activity, and before only if it looks like the organisation's own. Where nobody checks authentication nothing is held
against the lack of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from mailveil.control.access import Actor, Permission
from mailveil.control.activities import activity
from mailveil.control.failures import InvalidError
from mailveil.control.policies import PolicyInForce, change_policy, policy_of_record, read_policy
from mailveil.control.room import ControlRoom
from mailveil.core.intelligence.types import Activity, AnalystVerdict, Role
from mailveil.core.policy.patterns import PatternError, parse_domain, parse_host
from mailveil.core.policy.rules import Banner, Conditions, Effects, Rule
from mailveil.core.policy.types import Action
from mailveil.core.recognition.keys import resembled_by
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain

MAX_NAMED: Final = 50  # domains or hosts of one rule
_NAMED: Final = 5  # domains of one sentence


@dataclass(frozen=True, slots=True)
class Blocked:
    """What was blocked: domains that mail comes from, and hosts of trackers; and the policy that says so.

    ``unproven`` are domains that were left out, since mail only claimed to come from there.
    """

    sender_domains: tuple[str, ...]
    hosts: tuple[str, ...]
    policy: PolicyInForce
    unproven: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """What is to be said of domains that were left out, ``""`` where there are none."""
        return _left_out(self.unproven)


async def block_activity(room: ControlRoom, actor: Actor, identifier: str, *, comment: str = "") -> Blocked:
    """Add rules against an activity's own domains and hosts to the policy, or bring them up to date.

    What serves everybody, such as a vendor or free mail, and what is the organisation's own are left out, and so is, of
    an activity that nobody confirmed, a sender's domain that may be forged. Raises ``MissingError``, ``ConflictError``,
    or ``InvalidError`` where nothing would be left to block.
    """
    actor.require(Permission.ACTIVITIES_READ)
    actor.require(Permission.POLICY_WRITE)
    file = (await activity(room, actor, identifier)).file
    found = file.activity
    own = await _own_domains(room, actor)
    forged = frozenset[str]()
    if file.verdict is not AnalystVerdict.CONFIRMED:
        forged = frozenset(each for each in found.claimed_domains if not resembled_by(each, own))
    senders = _patterns(found, (Role.SENDER_DOMAIN,), own | forged)
    unproven = tuple(
        each.removeprefix(".") for each in _patterns(found, (Role.SENDER_DOMAIN,), own) if each not in senders
    )
    hosts = _patterns(found, (Role.TRACKER_DOMAIN, Role.TRACKER_HOST), own)
    if not senders and not hosts:
        if unproven:
            raise InvalidError(_left_out(unproven), "activity")
        raise InvalidError(
            "Everything that this activity was carried out with serves others, too; a rule against it would hit them.",
            "activity",
        )
    rules = _rules(found, senders, hosts)
    current = await read_policy(room, actor)
    names = {each.identifier for each in rules}
    kept = tuple(each for each in current.document.rules if each.identifier not in names)
    document = policy_of_record(replace(current.document, rules=(*kept, *rules)).record())
    changed = await change_policy(
        room,
        actor,
        document,
        based_on=current.version,
        comment=comment or f"activity {found.identifier} is blocked",
    )
    return Blocked(senders, hosts, changed, unproven)


async def rules_against(room: ControlRoom, actor: Actor, found: Activity) -> tuple[str, ...]:
    """Return the rules of the policy that block an activity, for whoever may read the policy."""
    if not actor.may(Permission.POLICY_READ):
        return ()
    names = _names(found)
    document = (await read_policy(room, actor)).document
    return tuple(each.identifier for each in document.rules if each.identifier in names)


async def _own_domains(room: ControlRoom, actor: Actor) -> frozenset[str]:
    for each in await room.organisations.organisations():
        if each.identifier == actor.organisation:
            return frozenset(registrable_domain(one) or one for one in each.domains)
    return frozenset()


def _patterns(found: Activity, roles: Iterable[Role], own: frozenset[str]) -> tuple[str, ...]:
    """Return what a rule can name of an activity's own infrastructure, the latest first."""
    its = [each for each in found.infrastructure if each.role in roles and not each.shared]
    patterns: dict[str, None] = {}
    for each in sorted(its, key=lambda each: (-each.last_at, each.value)):
        value = each.value.lower().removeprefix("*.")
        if is_ip_address(value):
            patterns[parse_host(value)] = None
            continue
        domain = registrable_domain(value)
        if not domain or domain in own or "*" in value:
            continue
        below = f".{domain}" if each.role is not Role.TRACKER_HOST else f".{value}"
        try:
            patterns[parse_domain(below)] = None
        except PatternError:
            continue
    return tuple(patterns)[:MAX_NAMED]


def _left_out(unproven: tuple[str, ...]) -> str:
    if not unproven:
        return ""
    named = ", ".join(unproven[:_NAMED])
    if len(unproven) > _NAMED:
        named += f" and {len(unproven) - _NAMED} more"
    return (
        f"Not blocked: {named}. No mail proved that it came from there, so that somebody innocent's name may have been "
        "forged. If it is the spy's own, confirm the activity first, and block it then."
    )


def _names(found: Activity) -> tuple[str, str]:
    """Return what the rules against an activity are called: against its mail, and against its hosts."""
    short = hashlib.blake2b(found.identifier.encode(), digest_size=6).hexdigest()
    return f"block-{short}-mail", f"block-{short}-hosts"


def _rules(found: Activity, senders: tuple[str, ...], hosts: tuple[str, ...]) -> tuple[Rule, ...]:
    of_mail, of_hosts = _names(found)
    comment = f"activity {found.identifier}"
    rules = []
    if senders:
        rules += [
            Rule(
                of_mail,
                "Nothing remote of a spy",
                when=Conditions(sender_domains=senders),
                then=Effects(action=Action.REMOVE, banner=Banner.LOW),
                comment=comment,
            )
        ]
    if hosts:
        rules += [
            Rule(
                of_hosts,
                "No tracker of a spy",
                when=Conditions(hosts=hosts),
                then=Effects(action=Action.REMOVE),
                comment=comment,
            )
        ]
    return tuple(rules)
