"""Organisations: people with mail domains of their own, kept apart from all others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mailveil.control.access import ANY_ORGANISATION, Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import DEFAULT_ORGANISATION, Cut, Organisation
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError
from mailveil.core.banner.language import language_of, languages
from mailveil.core.policy import Direction
from mailveil.core.policy.organisations import organisation_of_address, organisation_table
from mailveil.ports import OriginalReader

IDENTIFIER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}\Z")  # BCP 47, as far as readers need it
MAX_NAME = 100
MAX_DOMAINS = 1000
MAX_DOMAIN = 253
END_OF_TIME = 253_402_300_799.0  # the year 9999


async def list_organisations(room: ControlRoom, actor: Actor) -> Sequence[Organisation]:
    """Return the organisations that the actor belongs to: its own, or all."""
    actor.require(Permission.ORGANISATIONS_READ)
    found = await room.organisations.organisations()
    return [each for each in found if actor.home in (ANY_ORGANISATION, each.identifier)]


async def read_organisation(room: ControlRoom, actor: Actor, identifier: str) -> Organisation:
    """Return one organisation. Raises ``MissingError``."""
    for each in await list_organisations(room, actor):
        if each.identifier == identifier:
            return each
    raise MissingError


async def make_organisation(
    room: ControlRoom,
    actor: Actor,
    identifier: str,
    name: str,
    *,
    domains: Sequence[str] = (),
    language: str = "en",
) -> Organisation:
    """Make an organisation. Raises ``InvalidError``, or ``ConflictError`` where it or a domain is there already."""
    actor.require_everywhere(Permission.ORGANISATIONS_WRITE)
    identifier = identifier.strip().lower()
    if not IDENTIFIER.match(identifier):
        raise InvalidError("An identifier has up to 40 small letters, digits and hyphens.", "identifier")
    if identifier in {each.identifier for each in await room.organisations.organisations()}:
        raise ConflictError(f"There is an organisation {identifier} already.")
    if (await room.audit.entries(identifier, Cut(1))).items:
        # Its audit trail is kept, and must not become somebody else's.
        raise ConflictError(f"There was an organisation {identifier} before; take another identifier.")
    made = _checked(Organisation(identifier, name, tuple(domains), language, room.clock.now()))
    await room.organisations.put(made)
    await audit(room, actor, "organisation.create", identifier, name=made.name, domains=list(made.domains))
    return made


async def change_organisation(
    room: ControlRoom,
    actor: Actor,
    identifier: str,
    *,
    name: str | None = None,
    domains: Sequence[str] | None = None,
    language: str | None = None,
) -> Organisation:
    """Change what is given of an organisation. Raises ``MissingError``, ``InvalidError`` or ``ConflictError``."""
    actor.require_everywhere(Permission.ORGANISATIONS_WRITE)
    before = await read_organisation(room, actor, identifier)
    after = _checked(
        replace(
            before,
            name=before.name if name is None else name,
            domains=before.domains if domains is None else tuple(domains),
            language=before.language if language is None else language,
        )
    )
    if after == before:
        return before
    await room.organisations.put(after)
    await audit(
        room,
        actor,
        "organisation.change",
        identifier,
        name=after.name,
        language=after.language,
        added=sorted(set(after.domains) - set(before.domains)),
        removed=sorted(set(before.domains) - set(after.domains)),
    )
    return after


async def remove_organisation(room: ControlRoom, actor: Actor, identifier: str, typed: str) -> Organisation:
    """Delete an organisation with everything that is kept of it, its people and their originals included.

    ``typed`` has to be its identifier, so that nobody does it by mistake. Raises ``MissingError`` or ``InvalidError``.
    """
    actor.require_everywhere(Permission.ORGANISATIONS_WRITE)
    found = await read_organisation(room, actor, identifier)
    if identifier == DEFAULT_ORGANISATION:
        raise InvalidError("This organisation stays: it has what belongs to no other.")
    if typed.strip() != identifier:
        raise InvalidError(f"Type {identifier} to remove it with everything that is kept of it.", "typed")
    await _forget_originals(room, found)
    await room.organisations.remove(identifier)
    elsewhere = replace(actor, organisation=DEFAULT_ORGANISATION)
    await audit(room, elsewhere, "organisation.remove", identifier, name=found.name)
    return found


async def _forget_originals(room: ControlRoom, organisation: Organisation) -> None:
    """Delete the originals of an organisation's mail; what others got, too, stays until its days end."""
    store: OriginalReader | None = room.originals
    if store is None:
        return
    known = await room.organisations.organisations()
    table = organisation_table((each.identifier, each.domains) for each in known)

    def are_all(recipients: Sequence[str]) -> bool:
        return all(organisation_of_address(each, table) == organisation.identifier for each in recipients)

    async for seen in room.observations.replayable(organisation.identifier, 0.0, END_OF_TIME):
        if seen.original:
            is_own = (
                seen.direction == Direction.SUBMITTED
            )  # it belongs to the organisation of its sender alone
            await store.forget(seen.original, _anybody if is_own else are_all)


def _anybody(recipients: Sequence[str]) -> bool:
    del recipients
    return True


def spoken_languages() -> str:
    """Return the languages that readers can be addressed in, as tags to read."""
    return ", ".join(sorted(languages()))


def told_of_language(organisation: Organisation) -> str:
    """Return what to know of an organisation's language: ``""`` where its readers are addressed in it."""
    wanted = organisation.language.lower().partition("-")[0]
    if language_of(organisation.language).tag.partition("-")[0] == wanted:
        return ""
    return (
        f"There are no words in {organisation.language} yet: its readers are addressed in English. "
        f"Languages that there are words in: {spoken_languages()}."
    )


def parse_domains(text: str) -> tuple[str, ...]:
    """Return the domains in a text, one in a line or between commas and blanks."""
    return tuple(dict.fromkeys(each.lower() for each in re.split(r"[\s,;]+", text) if each))


def _checked(organisation: Organisation) -> Organisation:
    name = " ".join(organisation.name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidError(f"Give the organisation a name of at most {MAX_NAME} characters.", "name")
    if not LANGUAGE.match(organisation.language):
        raise InvalidError("A language is a tag such as en, de or pt-BR.", "language")
    domains = tuple(dict.fromkeys(_domain(each) for each in organisation.domains))
    if len(domains) > MAX_DOMAINS:
        raise InvalidError(f"An organisation has at most {MAX_DOMAINS} domains.", "domains")
    return replace(organisation, name=name, domains=domains)


def _domain(text: str) -> str:
    """Return a domain in the form that the DNS has it in. Raises ``InvalidError``."""
    try:
        domain = text.strip().rstrip(".").lower()
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    if len(labels) < 2 or len(domain) > MAX_DOMAIN or not all(LABEL.match(each) for each in labels):
        raise InvalidError(f"{text[:80]!r} is no domain, such as example.org.", "domains")
    return domain
