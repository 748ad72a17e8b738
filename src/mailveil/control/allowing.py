"""Allowing: partners whose references stay, where it is proven that a message is theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import MAX_PAGE, AllowRecord, Cut, Page
from mailveil.control.room import ControlRoom
from mailveil.control.stores import PolicyStore
from mailveil.core.policy.patterns import PatternError, parse_author, parse_host
from mailveil.core.policy.rules import AllowEntry
from mailveil.core.verdicts.addresses import registrable_domain

MAX_HOSTS: Final = 100
MAX_ENTRIES: Final = 10_000
MAX_OWNER: Final = 200
MAX_REASON: Final = 1_000


async def list_allowed(
    room: ControlRoom, actor: Actor, cut: Cut, *, all_states: bool = False
) -> Page[AllowRecord]:
    """Return allow-list entries, newest first; those in force alone unless ``all_states``."""
    actor.require(Permission.ALLOW_READ)
    return await room.policies.allowed(actor.organisation, cut, all_states=all_states)


async def read_allowed(room: ControlRoom, actor: Actor, identifier: str) -> AllowRecord:
    """Return one entry. Raises ``MissingError``."""
    actor.require(Permission.ALLOW_READ)
    found = await room.policies.entry(actor.organisation, identifier)
    if found is None:
        raise MissingError
    return found


async def allow(
    room: ControlRoom,
    actor: Actor,
    author: str,
    *,
    owner: str,
    reason: str,
    hosts: Sequence[str] = (),
    expires_at: float = 0.0,
) -> AllowRecord:
    """Trust a partner: ``author`` is a domain, ``.domain`` with all below it, or an address, always as proven.

    ``hosts`` narrow it to references there, ``owner`` is who answers for it, ``expires_at`` 0: until revoked. Raises
    ``InvalidError``.
    """
    actor.require(Permission.ALLOW_WRITE)
    now = room.clock.now()
    made = checked_entry(
        AllowRecord(
            identifier=new_identifier(now),
            organisation=actor.organisation,
            author=author,
            hosts=tuple(hosts),
            owner=owner,
            reason=reason,
            created_by=actor.name,
            created_at=now,
            expires_at=expires_at,
        ),
        now,
    )
    await room.policies.allow(made)
    await audit(
        room,
        actor,
        "allow.add",
        made.identifier,
        author=made.author,
        hosts=list(made.hosts),
        owner=made.owner,
        reason=made.reason,
        expires_at=made.expires_at,
    )
    return made


async def revoke_allowed(room: ControlRoom, actor: Actor, identifier: str, reason: str = "") -> AllowRecord:
    """Trust a partner no more, from now on; the entry stays on record. Raises ``MissingError``."""
    actor.require(Permission.ALLOW_WRITE)
    found = await _entry(room, actor, identifier)
    if found.revoked_at:
        return found
    revoked = replace(found, revoked_at=room.clock.now(), revoked_by=actor.name)
    await room.policies.allow(revoked)
    await audit(
        room, actor, "allow.revoke", identifier, author=found.author, reason=_words(reason, MAX_REASON)
    )
    return revoked


async def extend_allowed(
    room: ControlRoom, actor: Actor, identifier: str, expires_at: float, *, reason: str = ""
) -> AllowRecord:
    """Let an entry hold until another time, 0: until revoked. Raises ``MissingError`` or ``InvalidError``.

    One that was revoked stays so: trust that was taken back is given anew, with a reason of its own.
    """
    actor.require(Permission.ALLOW_WRITE)
    found = await _entry(room, actor, identifier)
    if found.revoked_at:
        raise InvalidError("This entry was revoked; add a new one.", "identifier")
    extended = checked_entry(replace(found, expires_at=expires_at), room.clock.now())
    await room.policies.allow(extended)
    await audit(
        room,
        actor,
        "allow.extend",
        identifier,
        author=found.author,
        before=found.expires_at,
        expires_at=expires_at,
        reason=_words(reason, MAX_REASON),
    )
    return extended


async def read_entries(policies: PolicyStore, organisation: str) -> tuple[AllowEntry, ...]:
    """Return the entries of an organisation that are in force, as rules take them. Raises ``UnavailableError``."""
    found = await read_records(policies, organisation)
    return tuple(AllowEntry(each.identifier, each.author, each.hosts, each.expires_at) for each in found)


async def read_records(policies: PolicyStore, organisation: str) -> tuple[AllowRecord, ...]:
    """Return all entries of an organisation that are in force, newest first. Raises ``UnavailableError``."""
    found: list[AllowRecord] = []
    cut = Cut(limit=MAX_PAGE)
    while len(found) < MAX_ENTRIES:
        page = await policies.allowed(organisation, cut)
        found += page.items
        if not page.next:
            break
        cut = replace(cut, cursor=page.next)
    return tuple(found)


def checked_entry(record: AllowRecord, now: float) -> AllowRecord:
    """Return an entry with its names as rules compare them. Raises ``InvalidError``."""
    author = _pattern(record.author, parse_author, "author")
    domain = author.rpartition("@")[2].lstrip(".")
    if not registrable_domain(domain):
        raise InvalidError(
            f"{author} belongs to nobody in particular: anybody can register below {domain}.", "author"
        )
    if len(record.hosts) > MAX_HOSTS:
        raise InvalidError(f"An entry has at most {MAX_HOSTS} hosts.", "hosts")
    hosts = tuple(dict.fromkeys(_pattern(each, parse_host, "hosts") for each in record.hosts))
    owner, reason = _words(record.owner, MAX_OWNER), _words(record.reason, MAX_REASON)
    if not owner:
        raise InvalidError("Say who answers for this entry.", "owner")
    if not reason:
        raise InvalidError("Say why this partner is trusted.", "reason")
    if record.expires_at and not now < record.expires_at < 1e11:
        raise InvalidError("It would have expired already; name a time to come.", "expires_at")
    return replace(record, author=author, hosts=hosts, owner=owner, reason=reason)


async def _entry(room: ControlRoom, actor: Actor, identifier: str) -> AllowRecord:
    found = await room.policies.entry(actor.organisation, identifier)
    if found is None:
        raise MissingError
    return found


def _pattern(text: str, parse: Callable[[str], str], field: str) -> str:
    try:
        return parse(text)
    except PatternError as error:
        raise InvalidError(f'"{text[:80]}" {error}.', field) from error


def _words(text: str, most: int) -> str:
    words = " ".join(text.split())
    if len(words) > most or not words.isprintable():
        raise InvalidError(
            f"At most {most} characters that can be printed.", "reason" if most == MAX_REASON else "owner"
        )
    return words
