"""Feeds: whose indicators an organisation takes in, chosen by its administrators, and what they told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feedstores import FeedError, FeedReader, FeedStore
from mailveil.control.feedtaking import LEAST_MINUTES, MOST_MINUTES, outcome_of, pause_s
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import Cut, Page
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import SECRET_LOST, Feed, FeedKind, ImportedIndicator
from mailveil.control.stores import ConflictError
from mailveil.core.recognition.shared import owned_domains

MAX_FEEDS: Final = 20  # of an organisation
MAX_NAME: Final = 60
MAX_ADDRESS: Final = 2_000
MAX_OPTION: Final = 200
MAX_PEM: Final = 100_000
MAX_SECRET: Final = 4_000
READ_LEASE_S: Final = 900.0
_TEXTS: Final = {
    FeedKind.TAXII: ("username", "header", "collection", "api_root"),
    FeedKind.MISP: ("username", "header"),
}
_WHOLE: Final = {"minutes": (LEAST_MINUTES, MOST_MINUTES), "least_confidence": (0, 100)}


@dataclass(frozen=True, slots=True)
class FeedOrder:
    """What people choose of a feed. ``secret`` of ``None`` stays as it is."""

    name: str
    kind: FeedKind
    address: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class FeedView:
    """A feed as it is shown: ``feed.secret`` is always empty."""

    feed: Feed
    has_secret: bool


async def list_feeds(room: ControlRoom, actor: Actor) -> Sequence[FeedView]:
    """Return the feeds of the actor's organisation, by name."""
    actor.require(Permission.SHARING_READ)
    return [_view(each) for each in await _store(room).feeds(actor.organisation)]


async def show_feed(room: ControlRoom, actor: Actor, identifier: str) -> FeedView:
    """Return one feed. Raises ``MissingError``."""
    actor.require(Permission.SHARING_READ)
    return _view(await _found(room, actor, identifier))


async def list_indicators(
    room: ControlRoom, actor: Actor, cut: Cut, *, feed: str = "", value: str = ""
) -> Page[ImportedIndicator]:
    """Return what feeds told, by feed and value; ``value`` is what one begins with."""
    actor.require(Permission.SHARING_READ)
    return await _store(room).indicators(actor.organisation, cut, feed=feed, value=value.strip().lower())


async def make_feed(room: ControlRoom, actor: Actor, order: FeedOrder) -> FeedView:
    """Make a feed, to be read at once. Raises ``InvalidError``, or ``ConflictError`` for a name that is taken."""
    actor.require(Permission.SHARING_WRITE)
    store, now = _store(room), room.clock.now()
    known = await store.feeds(actor.organisation)
    if len(known) >= MAX_FEEDS:
        raise InvalidError(f"An organisation has at most {MAX_FEEDS} feeds.")
    fresh = Feed(
        identifier=new_identifier(now),
        organisation=actor.organisation,
        name=order.name,
        kind=order.kind,
        address=order.address,
        created_by=actor.name,
        created_at=now,
    )
    feed = await _chosen(room, fresh, order, known)
    await store.put_feed(feed)
    await audit(room, actor, "feed.create", feed.name, feed=feed.identifier, address=feed.address)
    return _view(feed)


async def change_feed(room: ControlRoom, actor: Actor, identifier: str, order: FeedOrder) -> FeedView:
    """Change a feed; its kind stays. One that leads elsewhere now is read from its beginning.

    Raises ``MissingError``, ``InvalidError`` or ``ConflictError``.
    """
    actor.require(Permission.SHARING_WRITE)
    store = _store(room)
    before = await _found(room, actor, identifier)
    if order.kind is not before.kind:
        raise InvalidError("A feed stays of its kind; make another one.", "kind")
    if (
        (before.secret or before.is_secret_lost)
        and order.secret is None
        and _moves(before.address, order.address)
    ):
        # Else whoever may write here could have a secret sent to themselves that they may not read.
        raise InvalidError("The address leads to another system: give its secret, too.", "secret")
    after = await _chosen(room, before, order, await store.feeds(actor.organisation))
    await store.put_feed(after)
    told = ("address", "options")
    is_other = any(getattr(before, name) != getattr(after, name) for name in told)
    await store.read_at_once(actor.organisation, identifier, from_beginning=is_other)
    await audit(room, actor, "feed.change", after.name, feed=identifier, address=after.address)
    return await show_feed(room, actor, identifier)


async def remove_feed(room: ControlRoom, actor: Actor, identifier: str) -> FeedView:
    """Delete a feed with everything it told. Raises ``MissingError``."""
    actor.require(Permission.SHARING_WRITE)
    found = await _found(room, actor, identifier)
    await _store(room).remove_feed(actor.organisation, identifier)
    await audit(room, actor, "feed.remove", found.name, feed=identifier)
    return _view(found)


async def read_now(
    room: ControlRoom, actor: Actor, identifier: str, *, from_beginning: bool = False
) -> FeedView:
    """Read a feed now, as far as one reading goes, and return it as it is then; its problem says what went wrong.

    Raises ``MissingError``, or ``InvalidError`` where feeds are not read here, or somebody else reads this one.
    """
    actor.require(Permission.SHARING_WRITE)
    store = _store(room)
    await _found(room, actor, identifier)
    if room.feed_reader is None:
        raise InvalidError("Sharing is switched off: [sharing] enabled.")
    await store.read_at_once(actor.organisation, identifier, from_beginning=from_beginning)
    if not await read_feed(room, await _found(room, actor, identifier), new_identifier(room.clock.now())):
        raise InvalidError("This feed is being read at this moment; look again in a minute.")
    await audit(room, actor, "feed.read", (await _found(room, actor, identifier)).name, feed=identifier)
    return await show_feed(room, actor, identifier)


async def read_soon(
    room: ControlRoom, actor: Actor, identifier: str, *, from_beginning: bool = False
) -> FeedView:
    """Have a feed read within seconds, by whichever process reads feeds. Raises ``MissingError``."""
    actor.require(Permission.SHARING_WRITE)
    found = await _found(room, actor, identifier)
    await _store(room).read_at_once(actor.organisation, identifier, from_beginning=from_beginning)
    await audit(room, actor, "feed.read", found.name, feed=identifier)
    return await show_feed(room, actor, identifier)


async def read_feed(room: ControlRoom, feed: Feed, holder: str) -> bool:
    """Read a feed once and write down what came of it; False where somebody else is about it, or was just now.

    Raises ``ports.UnavailableError`` where the database is away; whatever the feed does is written down.
    """
    store, now, name = _store(room), room.clock.now(), f"feed {feed.identifier}"
    assert room.feed_reader is not None
    if not await store.lease(name, holder, now, now + READ_LEASE_S):
        return False
    try:
        current = await store.feed(feed.organisation, feed.identifier)
        if current is None or current.next_read_at > now >= feed.next_read_at:
            return False  # somebody else was about it since it was looked up
        problem = await _read(room, room.feed_reader, feed)
        if problem:
            attempts = feed.attempts + 1
            await store.failed(feed, problem, attempts, room.clock.now() + pause_s(attempts))
    finally:
        await store.release(name, holder)
    return True


async def _read(room: ControlRoom, reader: FeedReader, feed: Feed) -> str:
    """Read a feed and write down what it told; return in words what kept that from happening."""
    if feed.is_secret_lost:
        return SECRET_LOST
    try:
        reading = await reader.read(feed)
    except FeedError as error:
        return str(error)
    organisations = await room.organisations.organisations()
    own = owned_domains(
        domain for each in organisations if each.identifier == feed.organisation for domain in each.domains
    )
    kept = await _store(room).kept_of_sources(feed)
    # Mail does not wait while very many are looked at.
    outcome = await asyncio.to_thread(outcome_of, feed, reading, kept, own, room.clock.now())
    await _store(room).took(feed, outcome)
    return ""


# --- details -----------------------------------------------------------------------------------------------


def _store(room: ControlRoom) -> FeedStore:
    assert room.feeds is not None
    return room.feeds


async def _found(room: ControlRoom, actor: Actor, identifier: str) -> Feed:
    found = await _store(room).feed(actor.organisation, identifier)
    if found is None:
        raise MissingError
    return found


def _view(feed: Feed) -> FeedView:
    return FeedView(replace(feed, secret=""), bool(feed.secret) or feed.is_secret_lost)


async def _chosen(room: ControlRoom, before: Feed, order: FeedOrder, known: Sequence[Feed]) -> Feed:
    """Return a feed as it was chosen. Raises ``InvalidError``, which repeats no secret, or ``ConflictError``."""
    name = " ".join(order.name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidError(f"Give the feed a name of at most {MAX_NAME} characters.", "name")
    if any(each.name.lower() == name.lower() and each.identifier != before.identifier for each in known):
        raise ConflictError(f"There is a feed of the name {name}.")
    options = _options(order)
    after = replace(
        before,
        name=name,
        address=_address(order.address, is_plain_allowed=options.get("plain_http") is True),
        options=options,
        is_enabled=order.is_enabled,
    )
    if order.secret is not None:
        if len(order.secret) > MAX_SECRET or not order.secret.isprintable():
            raise InvalidError("This cannot be a secret: it is too long, or not printable.", "secret")
        after = replace(after, secret=order.secret, is_secret_lost=False)
    if options.get("header") and options.get("username"):
        raise InvalidError("Either a user name or the name of a header field, not both.", "options")
    if room.feed_reader is not None and (objection := await room.feed_reader.objection(after)):
        raise InvalidError(f"{objection[:1].upper()}{objection[1:]}.", "address")
    return after


def _address(written: str, *, is_plain_allowed: bool) -> str:
    address = written.strip()
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        raise InvalidError(
            f"An address has at most {MAX_ADDRESS} characters of ASCII (IDNs as xn--…).", "address"
        )
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidError("This is no URL.", "address") from error
    if parts.scheme not in ("https", "http") or not host or " " in address:
        raise InvalidError("Write an address that begins with https://.", "address")
    if "@" in parts.netloc or parts.fragment or parts.query:
        raise InvalidError(
            "An address has no user name, no password, no query and no fragment in it.", "address"
        )
    if parts.scheme == "http" and not is_plain_allowed:
        raise InvalidError(
            "By http:// everybody on the way can read the secret and change what the feed tells. Write https://, or "
            "set the option plain_http if the way is safe.",
            "address",
        )
    return address


def _options(order: FeedOrder) -> dict[str, Any]:
    known = sorted((*_TEXTS[order.kind], *_WHOLE, "ca_pem", "plain_http"))
    made: dict[str, Any] = {}
    for name, value in order.options.items():
        if value in ("", None):
            continue
        problem = "" if name in known else f"is none; there are {', '.join(known)}"
        if not problem and name in _WHOLE:
            least, most = _WHOLE[name]
            is_whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
            problem = "" if is_whole else f"is a whole number from {least} to {most}"
        elif not problem and name == "plain_http":
            problem = "" if isinstance(value, bool) else "is true or false"
        elif not problem and name == "ca_pem":
            problem = (
                ""
                if _is_pem(value)
                else "holds certificates in PEM, beginning with -----BEGIN CERTIFICATE-----"
            )
        elif not problem:
            problem = _problem_of_text(name, value)
        if problem:
            raise InvalidError(f"The option {name[:40]} {problem}.", "options")
        made[name] = value
    return made


def _problem_of_text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_OPTION or not value.isprintable():
        return f"is a text of at most {MAX_OPTION} characters"
    if name == "username" and ":" in value:
        return "has no colon in it"
    if name == "header" and not value.replace("-", "").isalnum():
        return "is the name of a header field, such as X-API-Key"
    return ""


def _is_pem(value: object) -> bool:
    if not isinstance(value, str) or len(value) > MAX_PEM:
        return False
    try:
        ssl.create_default_context(cadata=value)
    except (ssl.SSLError, ValueError):
        return False
    return "-----BEGIN CERTIFICATE-----" in value


def _moves(before: str, after: str) -> bool:
    one, other = urlsplit(before), urlsplit(after)
    return (one.scheme, one.netloc.lower()) != (other.scheme, other.netloc.lower())
