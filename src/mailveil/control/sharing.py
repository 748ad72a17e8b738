"""Sharing: where an organisation's events go to, how that goes, and trying it. Secrets go in and never come out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.destinationchecks import check_webhook_secret, checked, new_webhook_secret
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import Cut, Page
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import SECRET_LOST, DeadLetter, Destination, DestinationKind, Standing
from mailveil.control.sharingstores import SharingStore
from mailveil.control.stores import ConflictError, CursorError
from mailveil.control.webhookkeys import WebhookKeys, parse_webhook_keys
from mailveil.core.sharing.types import EventKind, PeopleShared, SharedEvent, TrafficLight
from mailveil.ports import DeliveryError

MAX_DESTINATIONS: Final = 50  # of an organisation
ROTATION_S: Final = 86_400.0  # so long the secret before signs, too
TEST_TIMEOUT_S: Final = 30.0
SENT_SECRETS: Final = frozenset(
    {DestinationKind.SPLUNK, DestinationKind.ELASTICSEARCH, DestinationKind.MISP}
)  # which the other side gets to see


@dataclass(frozen=True, slots=True)
class DestinationOrder:
    """What people choose of a destination. ``secret`` of ``None`` stays as it is."""

    name: str
    kind: DestinationKind
    address: str = ""
    format: str = ""
    events: tuple[str, ...] = ()
    least_score: float = 0.0
    people: PeopleShared = PeopleShared.NONE
    traffic_light: TrafficLight = TrafficLight.AMBER
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class DestinationView:
    """A destination as it is shown: ``destination.secret`` is always empty."""

    destination: Destination
    has_secret: bool
    standing: Standing = field(default_factory=Standing)

    @property
    def order(self) -> DestinationOrder:
        """What people chose of it, to be changed."""
        chosen = self.destination
        return DestinationOrder(
            chosen.name,
            chosen.kind,
            chosen.address,
            chosen.format,
            chosen.events,
            chosen.least_score,
            chosen.people,
            chosen.traffic_light,
            chosen.options,
            None,
            chosen.is_enabled,
        )


@dataclass(frozen=True, slots=True)
class MadeDestination:
    """A destination just made or given a new secret; ``secret`` is what signs its webhooks, shown this once."""

    view: DestinationView
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """How sending a test event went; ``problem`` says in words why it did not arrive."""

    arrived: bool
    problem: str = ""


# --- reading -----------------------------------------------------------------------------------------------


async def list_destinations(room: ControlRoom, actor: Actor) -> Sequence[DestinationView]:
    """Return the destinations of the actor's organisation, by name."""
    actor.require(Permission.SHARING_READ)
    store = _store(room)
    standings = await store.standings(actor.organisation)
    found = await store.destinations(actor.organisation)
    return [_view(each, standings.get(each.identifier)) for each in found]


async def page_of_destinations(room: ControlRoom, actor: Actor, cut: Cut) -> Page[DestinationView]:
    """Return part of them. Raises ``CursorError``."""
    found = await list_destinations(room, actor)
    start = 0
    if cut.cursor:
        places = [each.destination.identifier for each in found]
        if cut.cursor not in places:
            raise CursorError("the cursor is none that this list has given")
        start = places.index(cut.cursor) + 1
    shown = found[start : start + max(cut.limit, 1)]
    is_end = start + len(shown) >= len(found)
    return Page(tuple(shown), "" if is_end or not shown else shown[-1].destination.identifier)


async def read_destination(room: ControlRoom, actor: Actor, identifier: str) -> DestinationView:
    """Return one destination. Raises ``MissingError``."""
    for each in await list_destinations(room, actor):
        if each.destination.identifier == identifier:
            return each
    raise MissingError


async def list_dead(room: ControlRoom, actor: Actor, identifier: str, cut: Cut) -> Page[DeadLetter]:
    """Return what a destination did not take, newest first; without records, which name people. ``MissingError``."""
    actor.require(Permission.SHARING_READ)
    await _found(room, actor, identifier)
    page = await _store(room).dead_letters(actor.organisation, identifier, cut)
    return Page(tuple(replace(each, record={}) for each in page.items), page.next)


# --- changing ----------------------------------------------------------------------------------------------


async def make_destination(
    room: ControlRoom, actor: Actor, order: DestinationOrder, *, from_beginning: bool = False
) -> MadeDestination:
    """Make a destination, which gets what happens from now on, or everything that is kept.

    Raises ``InvalidError``, or ``ConflictError`` where there is one of this name.
    """
    actor.require(Permission.SHARING_WRITE)
    if order.kind is DestinationKind.COLLECTION:
        raise InvalidError("The collections of our own TAXII server are always there.", "kind")
    store, now = _store(room), room.clock.now()
    known = await store.destinations(actor.organisation)
    if len(known) > MAX_DESTINATIONS:
        raise InvalidError(f"An organisation has at most {MAX_DESTINATIONS} destinations.")
    fresh = Destination(
        identifier=new_identifier(now),
        organisation=actor.organisation,
        name=order.name,
        kind=order.kind,
        address=order.address,
        created_by=actor.name,
        created_at=now,
    )
    destination, shown = _chosen(fresh, order, now)
    _check_name(destination, known)
    await _check_reachable(room, destination)
    position = 0 if from_beginning else await store.last_number(actor.organisation)
    destination = replace(destination, position=position)
    await store.put_destination(destination)
    await _audit(room, actor, "destination.create", destination)
    return MadeDestination(_view(destination), shown)


async def change_destination(
    room: ControlRoom, actor: Actor, identifier: str, order: DestinationOrder
) -> MadeDestination:
    """Change a destination; its kind stays. Raises ``MissingError``, ``InvalidError`` or ``ConflictError``."""
    actor.require(Permission.SHARING_WRITE)
    store = _store(room)
    before = await _found(room, actor, identifier)
    if order.kind is not before.kind:
        raise InvalidError("A destination stays of its kind; make another one.", "kind")
    is_shown_secret = before.secret and before.kind in SENT_SECRETS
    if is_shown_secret and order.secret is None and _moves_elsewhere(before.address, order.address):
        # Else whoever may write here could have a secret sent to themselves that they may not read.
        raise InvalidError("The address leads to another system: give its secret, too.", "secret")
    after, shown = _chosen(before, order, room.clock.now())
    _check_name(after, await store.destinations(actor.organisation))
    await _check_reachable(room, after)
    await store.put_destination(replace(after, problem=""))
    if after.is_enabled and (before.problem or not before.is_enabled):
        await store.rewind(actor.organisation, identifier, before.position)  # tried at once
    await _audit(room, actor, "destination.change", after)
    return MadeDestination(await read_destination(room, actor, identifier), shown)


async def remove_destination(room: ControlRoom, actor: Actor, identifier: str) -> DestinationView:
    """Delete a destination, and what it did not take. Raises ``MissingError`` or ``InvalidError``."""
    actor.require(Permission.SHARING_WRITE)
    view = await read_destination(room, actor, identifier)
    if view.destination.kind is DestinationKind.COLLECTION:
        raise InvalidError("The collections of our own TAXII server are always there.")
    await _store(room).remove_destination(actor.organisation, identifier)
    await audit(room, actor, "destination.remove", view.destination.name, destination=identifier)
    return view


async def rotate_secret(
    room: ControlRoom, actor: Actor, identifier: str, secret: str | None = None
) -> MadeDestination:
    """Give a webhook another secret; for a day, the one before signs beside it. ``None``: one is made.

    Raises ``MissingError`` or ``InvalidError``.
    """
    actor.require(Permission.SHARING_WRITE)
    before, now = await _found(room, actor, identifier), room.clock.now()
    if before.kind is not DestinationKind.WEBHOOK:
        raise InvalidError("Only the secrets of webhooks are rotated; change those of others.")
    fresh = new_webhook_secret(secrets.token_bytes(32)) if secret is None else check_webhook_secret(secret)
    keys = (
        WebhookKeys(fresh)
        if before.is_secret_lost
        else parse_webhook_keys(before.secret).rotated(fresh, now + ROTATION_S)
    )
    after = replace(before, secret=keys.encode(), is_secret_lost=False, changed_at=now)
    await _store(room).put_destination(after)
    if before.problem and before.is_enabled:
        await _store(room).rewind(actor.organisation, identifier, before.position)  # tried at once
    await audit(room, actor, "destination.rotate", before.name, destination=identifier)
    return MadeDestination(await read_destination(room, actor, identifier), fresh if secret is None else "")


# --- trying ------------------------------------------------------------------------------------------------


async def test_destination(room: ControlRoom, actor: Actor, identifier: str) -> Trial:
    """Send a test event now, beside the order of events, and tell how it went. Raises ``MissingError``.

    Where it arrives, what waits is tried at once. ``InvalidError`` where sharing is switched off.
    """
    actor.require(Permission.SHARING_WRITE)
    destination, now = await _found(room, actor, identifier), room.clock.now()
    if destination.kind is DestinationKind.COLLECTION:
        raise InvalidError("The collections of our own TAXII server need no test; read them.")
    if room.publishers is None:
        raise InvalidError("Sharing is switched off: [sharing] enabled.")
    event = SharedEvent(
        identifier=f"test-{new_identifier(now)}",
        number=0,
        at=now,
        kind=EventKind.TEST,
        organisation=await _organisation_name(room, actor.organisation),
        traffic_light=destination.traffic_light,
    )
    trial = await _try(room, destination, event)
    if trial.arrived and destination.problem and destination.is_enabled:
        await _store(room).rewind(actor.organisation, identifier, destination.position)  # it works again
    await audit(
        room, actor, "destination.test", destination.name, destination=identifier, arrived=trial.arrived
    )
    return trial


async def _try(room: ControlRoom, destination: Destination, event: SharedEvent) -> Trial:
    assert room.publishers is not None
    if destination.is_secret_lost:
        return Trial(False, SECRET_LOST)
    try:
        publisher = room.publishers.publisher(destination)
        try:
            async with asyncio.timeout(TEST_TIMEOUT_S):
                await publisher.publish([event])
        finally:
            await publisher.close()
    except DeliveryError as error:
        return Trial(False, str(error))
    except TimeoutError:
        return Trial(False, f"it took longer than {TEST_TIMEOUT_S:g} seconds")
    return Trial(True)


async def replay(
    room: ControlRoom, actor: Actor, identifier: str, *, number: int | None = None, since: float | None = None
) -> DestinationView:
    """Deliver again everything that is kept from a number or a time on. Raises ``MissingError``, ``InvalidError``."""
    actor.require(Permission.SHARING_WRITE)
    if (number is None) == (since is None):
        raise InvalidError("Say from which number or from which time on.")
    before, store = await _found(room, actor, identifier), _store(room)
    if number is not None:
        if number < 1:
            raise InvalidError("Numbers of events begin at 1.", "number")
        position = min(number - 1, await store.last_number(actor.organisation))
    else:
        assert since is not None
        position = await store.position_before(actor.organisation, since)
    await store.rewind(actor.organisation, identifier, position)
    await audit(
        room, actor, "destination.replay", before.name, destination=identifier, from_number=position + 1
    )
    return await read_destination(room, actor, identifier)


async def retry_dead(room: ControlRoom, actor: Actor, identifier: str, numbers: Collection[int] = ()) -> int:
    """Have what a destination did not take tried again (no numbers: all of it); return how much. ``MissingError``."""
    actor.require(Permission.SHARING_WRITE)
    found = await _found(room, actor, identifier)
    count = await _store(room).retry(actor.organisation, identifier, numbers, room.clock.now())
    await audit(room, actor, "destination.retry", found.name, destination=identifier, events=count)
    return count


async def forget_dead(room: ControlRoom, actor: Actor, identifier: str, numbers: Collection[int] = ()) -> int:
    """Delete what a destination did not take (no numbers: all of it); return how much. ``MissingError``."""
    actor.require(Permission.SHARING_WRITE)
    found = await _found(room, actor, identifier)
    count = await _store(room).forget(actor.organisation, identifier, numbers)
    await audit(room, actor, "destination.forget", found.name, destination=identifier, events=count)
    return count


# --- details -----------------------------------------------------------------------------------------------


def _store(room: ControlRoom) -> SharingStore:
    assert room.sharing is not None
    return room.sharing


async def _found(room: ControlRoom, actor: Actor, identifier: str) -> Destination:
    found = await _store(room).destination(actor.organisation, identifier)
    if found is None:
        raise MissingError
    return found


async def _organisation_name(room: ControlRoom, identifier: str) -> str:
    known = await room.organisations.organisations()
    return next((each.name for each in known if each.identifier == identifier), identifier)


def _view(destination: Destination, standing: Standing | None = None) -> DestinationView:
    has_secret = bool(destination.secret) or destination.is_secret_lost
    return DestinationView(replace(destination, secret=""), has_secret, standing or Standing())


def _chosen(before: Destination, order: DestinationOrder, now: float) -> tuple[Destination, str]:
    """Return a destination as it was chosen, and the secret to show if one was made."""
    if before.kind is DestinationKind.COLLECTION and (order.secret or not order.is_enabled):
        raise InvalidError("The collections of our own TAXII server are always there.")
    secret, shown, is_lost = before.secret, "", before.is_secret_lost
    if before.kind is DestinationKind.WEBHOOK:
        if order.secret:
            secret, is_lost = WebhookKeys(check_webhook_secret(order.secret)).encode(), False
        elif not secret and not is_lost:
            shown = new_webhook_secret(secrets.token_bytes(32))
            secret = WebhookKeys(shown).encode()
    elif order.secret is not None:
        secret, is_lost = order.secret.strip(), False
    made = replace(
        before,
        name=order.name,
        address=order.address,
        format=order.format,
        events=order.events,
        least_score=order.least_score,
        people=order.people,
        traffic_light=order.traffic_light,
        options=order.options,
        secret=secret,
        is_secret_lost=is_lost,
        is_enabled=order.is_enabled,
        changed_at=now,
    )
    return checked(made), shown


def _moves_elsewhere(before: str, after: str) -> bool:
    """Tell whether an address leads to another host or port, or to the same one with less protection."""
    return before.strip().split("/")[:3] != after.strip().split("/")[:3]


def _check_name(destination: Destination, known: Sequence[Destination]) -> None:
    name = destination.name.casefold()
    if any(each.identifier != destination.identifier and each.name.casefold() == name for each in known):
        raise ConflictError(f"There is a destination {destination.name} already.")


async def _check_reachable(room: ControlRoom, destination: Destination) -> None:
    if room.publishers is not None and (reason := await room.publishers.objection(destination)):
        raise InvalidError(reason[:1].upper() + reason[1:] + ".", "address")


async def _audit(room: ControlRoom, actor: Actor, action: str, destination: Destination) -> None:
    await audit(
        room,
        actor,
        action,
        destination.name,
        destination=destination.identifier,
        kind=str(destination.kind),
        address="/".join(destination.address.split("/")[:3]),  # a path may hold a secret
        people=str(destination.people),
        enabled=destination.is_enabled,
    )
