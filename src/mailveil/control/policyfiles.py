"""Policy files: an organisation's policy, allow-list and settings as one file, out of it and back in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mailveil.control.access import Actor, Permission
from mailveil.control.allowing import checked_entry, read_records
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError
from mailveil.control.identifiers import new_identifier
from mailveil.control.organisations import change_organisation, read_organisation
from mailveil.control.policies import change_policy, read_policy
from mailveil.control.records import AllowRecord, Organisation
from mailveil.control.room import ControlRoom
from mailveil.core.policy.differences import differences
from mailveil.core.policy.document import (
    PolicyDocument,
    PolicyDocumentError,
    document_of,
    parse_text,
    read_time,
    write_last_day,
    write_time,
)
from mailveil.core.policy.rules import AllowEntry

FORMAT: Final = 1
MAX_ENTRIES: Final = 10_000
_KEYS: Final = ("format", "organisation", "policy", "allow")
_ORGANISATION_KEYS: Final = ("id", "name", "language", "domains")
_ENTRY_KEYS: Final = ("id", "author", "hosts", "owner", "reason", "expires_at")
_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class FiledEntry:
    """An entry of the allow-list as a file has it; ``identifier`` is ``""`` for a new one."""

    author: str
    hosts: tuple[str, ...]
    owner: str
    reason: str
    expires_at: float = 0.0
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What a file says. What is ``None`` it says nothing of, and an import leaves that alone."""

    document: PolicyDocument | None = None
    entries: tuple[FiledEntry, ...] | None = None
    organisation: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import changes, in lines for people, and all it takes to do it.

    ``based_on`` is the version of the policy that this was compared with.
    """

    changes: tuple[str, ...]
    based_on: int
    document: PolicyDocument | None = None
    added: tuple[AllowRecord, ...] = ()
    changed: tuple[AllowRecord, ...] = ()
    revoked: tuple[AllowRecord, ...] = ()
    organisation: Organisation | None = None


async def export_file(room: ControlRoom, actor: Actor) -> dict[str, Any]:
    """Return everything as a JSON object, the same each time as long as nothing changes."""
    actor.require(Permission.ORGANISATIONS_READ)
    actor.require(Permission.ALLOW_READ)
    policy = await read_policy(room, actor)
    records = await read_records(room.policies, actor.organisation)
    own = await read_organisation(room, actor, actor.organisation)
    return {
        "format": FORMAT,
        "organisation": {
            "id": own.identifier,
            "name": own.name,
            "language": own.language,
            "domains": list(own.domains),
        },
        "policy": policy.document.record(),
        "allow": [
            _entry_record(each) for each in sorted(records, key=lambda each: (each.author, each.identifier))
        ],
    }


def read_policy_file(text: str) -> PolicyFile:
    """Read what ``export_file`` wrote, as TOML or JSON, or a policy alone. Raises ``PolicyDocumentError``."""
    record = parse_text(text)
    if not {"policy", "allow", "organisation"} & set(record):
        return PolicyFile(document=document_of(record))
    problems = [
        f"{str(name)[:60]!r}: is not known here; there are {', '.join(_KEYS)}"
        for name in record
        if name not in _KEYS
    ]
    if record.get("format", FORMAT) != FORMAT:
        problems.append(f"format: this version reads format {FORMAT}")
    document = None
    if "policy" in record:
        try:
            document = document_of(record["policy"])
        except PolicyDocumentError as error:
            problems += [f"policy.{each}" for each in error.problems]
    entries = _entries(record["allow"], problems) if "allow" in record else None
    organisation = _organisation(record["organisation"], problems) if "organisation" in record else None
    if problems:
        raise PolicyDocumentError(problems)
    return PolicyFile(document, entries, organisation)


async def plan_import(room: ControlRoom, actor: Actor, file: PolicyFile) -> ImportPlan:
    """Return what a file would change. Entries that it does not have are revoked. Raises ``InvalidError``."""
    actor.require(Permission.POLICY_READ)
    actor.require(Permission.ALLOW_READ)
    policy = await read_policy(room, actor)
    plan = ImportPlan((), policy.version)
    if file.organisation is not None:
        plan = await _plan_organisation(room, actor, file.organisation, plan)
    if file.document is not None and (lines := differences(policy.document, file.document)):
        plan = replace(
            plan, changes=(*plan.changes, *(f"policy: {line}" for line in lines)), document=file.document
        )
    if file.entries is not None:
        plan = await _plan_entries(room, actor, file.entries, plan)
    return plan


async def entries_after(room: ControlRoom, actor: Actor, plan: ImportPlan) -> tuple[AllowEntry, ...]:
    """Return the allow-list as it would be after an import, as rules take it."""
    gone = {each.identifier for each in (*plan.changed, *plan.revoked)}
    kept = [
        each for each in await read_records(room.policies, actor.organisation) if each.identifier not in gone
    ]
    return tuple(
        AllowEntry(each.identifier, each.author, each.hosts, each.expires_at)
        for each in (*kept, *plan.added, *plan.changed)
    )


async def apply_import(room: ControlRoom, actor: Actor, plan: ImportPlan, *, comment: str = "") -> None:
    """Do what was planned. Raises ``ConflictError`` where the policy was changed meanwhile, and as its parts do."""
    if plan.document is not None:
        await change_policy(
            room, actor, plan.document, based_on=plan.based_on, comment=comment or "imported from a file"
        )
    if plan.added or plan.changed or plan.revoked:
        actor.require(Permission.ALLOW_WRITE)
    for action, records in (
        ("allow.add", plan.added),
        ("allow.change", plan.changed),
        ("allow.revoke", plan.revoked),
    ):
        for each in records:
            await room.policies.allow(each)
            await audit(
                room,
                actor,
                action,
                each.identifier,
                author=each.author,
                hosts=list(each.hosts),
                owner=each.owner,
                reason=each.reason,
                expires_at=each.expires_at,
                imported=True,
            )
    if plan.organisation is not None:
        own = plan.organisation
        await change_organisation(
            room, actor, own.identifier, name=own.name, domains=own.domains, language=own.language
        )


# --- reading ------------------------------------------------------------------------------------------------


def _entries(given: object, problems: list[str]) -> tuple[FiledEntry, ...]:
    if not isinstance(given, list) or len(given) > MAX_ENTRIES:
        problems.append(
            f"allow: has to be a list of at most {MAX_ENTRIES} tables; begin each with a line [[allow]]"
        )
        return ()
    found = [_filed(each, f"allow[{number}]", problems) for number, each in enumerate(given, 1)]
    names = [each.identifier for each in found if each is not None and each.identifier]
    problems += [
        f"allow: two entries have the id {name}" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    return tuple(each for each in found if each is not None)


def _filed(given: object, where: str, problems: list[str]) -> FiledEntry | None:
    if not isinstance(given, Mapping):
        problems.append(f"{where}: has to be a table")
        return None
    before = len(problems)
    problems += [
        f"{where}.{str(name)[:60]!r}: is not known here; there are {', '.join(_ENTRY_KEYS)}"
        for name in given
        if name not in _ENTRY_KEYS
    ]
    texts = {name: given.get(name, "") for name in ("id", "author", "owner", "reason")}
    for name, value in texts.items():
        if not isinstance(value, str) or (not value and name != "id"):
            problems.append(f"{where}.{name}: is missing, or no text")
    if texts["id"] and not (isinstance(texts["id"], str) and _IDENTIFIER.fullmatch(texts["id"])):
        problems.append(f"{where}.id: has to be of small letters, digits, '.', '_' and '-', at most 64")
    hosts = given.get("hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(each, str) for each in hosts):
        problems.append(f"{where}.hosts: has to be a list of texts")
    try:
        expires_at = read_time(given["expires_at"]) if "expires_at" in given else 0.0
    except (ValueError, OverflowError):
        problems.append(f"{where}.expires_at: write 2026-12-31 or 2026-12-31T18:00:00Z")
    if len(problems) > before:
        return None
    return FiledEntry(texts["author"], tuple(hosts), texts["owner"], texts["reason"], expires_at, texts["id"])


def _organisation(given: object, problems: list[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        problems.append("organisation: has to be a table")
        return {}
    problems += [
        f"organisation.{str(name)[:60]!r}: is not known here; there are {', '.join(_ORGANISATION_KEYS)}"
        for name in given
        if name not in _ORGANISATION_KEYS
    ]
    for name in ("id", "name", "language"):
        if not isinstance(given.get(name, ""), str):
            problems.append(f"organisation.{name}: has to be text")
    domains = given.get("domains", [])
    if not isinstance(domains, list) or not all(isinstance(each, str) for each in domains):
        problems.append("organisation.domains: has to be a list of texts")
    return given


# --- planning -----------------------------------------------------------------------------------------------


async def _plan_organisation(
    room: ControlRoom, actor: Actor, given: Mapping[str, Any], plan: ImportPlan
) -> ImportPlan:
    own = await read_organisation(room, actor, actor.organisation)
    after = replace(
        own,
        name=given.get("name", own.name),
        language=given.get("language", own.language),
        domains=tuple(given.get("domains", own.domains)),
    )
    lines = [
        f"organisation: {name} {getattr(own, name)!r} becomes {getattr(after, name)!r}"
        for name in ("name", "language")
        if getattr(own, name) != getattr(after, name)
    ]
    lines += [f"organisation: domain {each} comes" for each in after.domains if each not in own.domains]
    lines += [f"organisation: domain {each} goes" for each in own.domains if each not in after.domains]
    return replace(plan, changes=(*plan.changes, *lines), organisation=after) if lines else plan


async def _plan_entries(
    room: ControlRoom, actor: Actor, entries: tuple[FiledEntry, ...], plan: ImportPlan
) -> ImportPlan:
    now = room.clock.now()
    in_force = {each.identifier: each for each in await read_records(room.policies, actor.organisation)}
    same = {(each.author, each.hosts): each for each in in_force.values()}
    added, changed, met = [], [], set()
    for number, filed in enumerate(entries, 1):
        try:
            made = checked_entry(_record(actor, filed, now), now)
        except InvalidError as error:
            raise InvalidError(f"allow[{number}]: {error}", f"allow.{error.field}") from error
        before = in_force.get(filed.identifier) or same.get((made.author, made.hosts))
        if before is None or before.identifier in met:
            if await room.policies.entry(actor.organisation, made.identifier) is not None:
                # It was revoked or has expired: trust given anew is an entry of its own.
                made = replace(made, identifier=new_identifier(now))
            added.append(made)
            continue
        met.add(before.identifier)
        after = replace(
            before,
            author=made.author,
            hosts=made.hosts,
            owner=made.owner,
            reason=made.reason,
            expires_at=made.expires_at,
        )
        if after != before:
            changed.append(after)
    revoked = [
        replace(each, revoked_at=now, revoked_by=actor.name)
        for name, each in in_force.items()
        if name not in met
    ]
    lines = [f"allow-list: {_words(each)} comes" for each in added]
    lines += [f"allow-list: {each.identifier} becomes {_words(each)}" for each in changed]
    lines += [f"allow-list: {_words(each)} is revoked" for each in revoked]
    return replace(
        plan,
        changes=(*plan.changes, *lines),
        added=tuple(added),
        changed=tuple(changed),
        revoked=tuple(revoked),
    )


def _record(actor: Actor, filed: FiledEntry, now: float) -> AllowRecord:
    return AllowRecord(
        identifier=filed.identifier or new_identifier(now),
        organisation=actor.organisation,
        author=filed.author,
        hosts=filed.hosts,
        owner=filed.owner,
        reason=filed.reason,
        created_by=actor.name,
        created_at=now,
        expires_at=filed.expires_at,
    )


def _words(record: AllowRecord) -> str:
    hosts = f" (references at {', '.join(record.hosts[:5])})" if record.hosts else ""
    until = f" until {write_last_day(record.expires_at)}" if record.expires_at else ""
    return f"{record.author}{hosts}{until}, owned by {record.owner}"


def _entry_record(record: AllowRecord) -> dict[str, Any]:
    made: dict[str, Any] = {"id": record.identifier, "author": record.author}
    if record.hosts:
        made["hosts"] = list(record.hosts)
    made["owner"], made["reason"] = record.owner, record.reason
    if record.expires_at:
        made["expires_at"] = write_time(record.expires_at)
    return made
