"""Destinations: where events go to, how that goes, and what was not taken."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from mailveil.control import sharing as use
from mailveil.control.access import Permission
from mailveil.control.sharing import DestinationOrder, DestinationView
from mailveil.control.sharingrecords import DeadLetter, DestinationKind
from mailveil.core.sharing.types import EventKind, PeopleShared, TrafficLight
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    cut,
    exact,
    moment,
    moment_or_none,
    seconds,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Removed, Request

resource = Resource(
    "destinations",
    "Systems that are told who reconnoitres whom: a SIEM, webhooks, files, MISP. Secrets go in and never come out, and "
    "people are not named unless that is chosen.",
)
MAX_NUMBER = 2**63 - 1
Number = Annotated[int, Field(ge=1, le=MAX_NUMBER), BeforeValidator(exact)]
Numbers = Annotated[list[Number], Field(max_length=1000)]
MAKEABLE = [str(each) for each in DestinationKind if each is not DestinationKind.COLLECTION]
Options = dict[Annotated[str, Field(max_length=60, pattern=NO_NUL)], str | bool | int]


class Destination(Answer):
    """A destination, without its secret."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    name: Text = Field(description="What people call it.", examples=["Splunk"])
    kind: DestinationKind = Field(description="What kind of system it is.", examples=["splunk"])
    address: Text = Field(description="Where it is.", examples=["https://splunk.example:8088"])
    format: str = Field(description="What events are written in; empty: its own.", examples=["plain"])
    events: list[str] = Field(description="Which events it gets; empty: all.", examples=[["activity.opened"]])
    least_score: float = Field(
        description="Activities and alerts below this score are left out.", examples=[0.5]
    )
    people: PeopleShared = Field(description="How people are named to it.", examples=["none"])
    tlp: TrafficLight = Field(
        description="How far it may pass on what it gets (TLP 2.0).", examples=["amber"]
    )
    options: dict[str, Any] = Field(
        description="What else was chosen, by kind.", examples=[{"index": "mail"}]
    )
    has_secret: bool = Field(description="Whether it has a secret.", examples=[True])
    enabled: bool = Field(description="Whether events are delivered to it.", examples=[True])
    created_by: Text = Field(description="Who made it.", examples=["anna"])
    created_at: Moment = Field(description="When.")
    changed_at: Moment = Field(description="When it was last changed.")
    position: int = Field(description="The number of the last event that is over for it.", examples=[4711])
    waiting: int = Field(description="How many events wait for it.", examples=[0])
    delivered: int = Field(description="How many it took.", examples=[4700])
    dead: int = Field(description="How many it did not take, which are kept.", examples=[2])
    missed: int = Field(description="How many were gone before it could be reached.", examples=[0])
    delivered_at: Moment | None = Field(description="When it last took one; null: never.")
    attempts: int = Field(description="How often the next one was tried in vain.", examples=[0])
    next_try_at: Moment | None = Field(description="When it is tried again; null: at once.")
    problem: Text = Field(description="Why nothing is delivered; empty: nothing is wrong.", examples=[""])


class MadeDestination(Destination):
    """A destination just made or changed."""

    secret: str | None = Field(
        description="What its webhooks are signed with, if one was made. It is shown this once.",
        examples=[None],
    )


class DestinationChange(Request):
    """A destination as it is to be. A secret that is left out stays."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)] = Field(
        description="What people call it.", examples=["Splunk"]
    )
    kind: Annotated[DestinationKind, Field(strict=False)] = Field(
        description="What kind of system it is; it stays.", examples=["splunk"]
    )
    address: Annotated[str, Field(max_length=2000, pattern=NO_NUL)] = Field(
        default="",
        description="`https://…` for splunk, elasticsearch, webhook and misp; `udp://`, `tcp://` or `tls://host:port` "
        "for syslog; the name of a file for json-lines.",
        examples=["https://splunk.example:8088"],
    )
    format: Annotated[str, Field(max_length=20, pattern=NO_NUL)] = Field(
        default="", description="`plain`, `cef`, `ecs` or `ocsf`; empty: as is usual there.", examples=["ecs"]
    )
    events: list[Annotated[str, Field(max_length=40, pattern=NO_NUL)]] = Field(
        default=[],
        max_length=20,
        description="Which events it gets; empty: all.",
        examples=[["activity.opened", "alert.raised"]],
        json_schema_extra={
            "items": {
                "type": "string",
                "enum": [str(each) for each in EventKind if each is not EventKind.TEST],
            }
        },
    )
    least_score: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Activities and alerts below this score are left out.", examples=[0.5]
    )
    people: Annotated[PeopleShared, Field(strict=False)] = Field(
        default=PeopleShared.NONE, description="How people are named to it.", examples=["none"]
    )
    tlp: Annotated[TrafficLight, Field(strict=False)] = Field(
        default=TrafficLight.AMBER,
        description="How far it may pass on what it gets.",
        examples=["amber"],
    )
    options: Options = Field(
        default={},
        max_length=20,
        description="What else there is to choose, by kind.",
        examples=[{"index": "mail"}],
    )
    secret: Annotated[str, Field(max_length=20_000, pattern=NO_NUL)] | None = Field(
        default=None,
        description="The token of splunk, the API key or `user:password` of elasticsearch, the key of misp, `whsec_…` "
        "of a webhook (left out: one is made), the private key of syslog's client certificate.",
        examples=["B5A79AAD-D822-46CC-80D1-819F80D7BFB0"],
    )
    enabled: bool = Field(default=True, description="Whether events are delivered to it.", examples=[True])


class DestinationMade(DestinationChange):
    """A destination to be made."""

    kind: Annotated[
        DestinationKind, Field(strict=False), WithJsonSchema({"type": "string", "enum": MAKEABLE})
    ] = Field(description="What kind of system it is; it stays.", examples=["splunk"])
    from_beginning: bool = Field(
        default=False,
        description="Whether it gets all events that are kept, and not only what is new.",
        examples=[False],
    )


class SecretOrder(Request):
    """Another secret for a webhook."""

    secret: Annotated[str, Field(max_length=200, pattern=NO_NUL)] | None = Field(
        default=None, description="`whsec_…`; left out: one is made.", examples=[None]
    )


class TestResult(Answer):
    """How sending a test event went."""

    arrived: bool = Field(description="Whether the other side took it.", examples=[True])
    problem: Text = Field(description="Why it did not arrive; empty: it did.", examples=[""])


class ReplayOrder(Request):
    """From where on events are to be delivered again; one of the two."""

    number: Number | None = Field(default=None, description="From this number on.", examples=[4711])
    since: Moment | None = Field(default=None, description="From this time on.", examples=[None])


class DeadEvents(Request):
    """Which events are meant."""

    numbers: Numbers = Field(
        default=[], description="Their numbers; empty: all that were not taken.", examples=[[4711]]
    )


class Retried(Answer):
    """How many events are tried again."""

    retried: int = Field(ge=0, description="How many.", examples=[1])


class DeadEvent(Answer):
    """An event that a destination did not take, without what is in it."""

    number: int = Field(description="Its number.", examples=[4711])
    event: str = Field(description="Its identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    type: str = Field(description="What it is.", examples=["alert.raised"])
    subject: Text = Field(description="What it is about.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    at: Moment = Field(description="When it happened.")
    died_at: Moment = Field(description="When it was given up.")
    problem: Text = Field(description="Why.", examples=["it answers 400"])
    retry: bool = Field(description="Whether it is about to be tried again.", examples=[False])


def members(view: DestinationView) -> dict[str, Any]:
    """Return the members of a destination as it is answered."""
    found, standing = view.destination, view.standing
    return {
        "id": found.identifier,
        "name": found.name,
        "kind": found.kind,
        "address": found.address,
        "format": found.format,
        "events": list(found.events),
        "least_score": found.least_score,
        "people": found.people,
        "tlp": found.traffic_light,
        "options": dict(found.options),
        "has_secret": view.has_secret,
        "enabled": found.is_enabled,
        "created_by": found.created_by,
        "created_at": moment(found.created_at),
        "changed_at": moment(found.changed_at),
        "position": found.position,
        "waiting": standing.waiting,
        "delivered": found.delivered,
        "dead": standing.dead,
        "missed": found.missed,
        "delivered_at": moment_or_none(found.delivered_at),
        "attempts": found.attempts,
        "next_try_at": moment_or_none(found.next_try_at),
        "problem": found.problem,
    }


def _order(change: DestinationChange) -> DestinationOrder:
    return DestinationOrder(
        name=change.name,
        kind=change.kind,
        address=change.address,
        format=change.format,
        events=tuple(change.events),
        least_score=change.least_score,
        people=change.people,
        traffic_light=change.tlp,
        options=change.options,
        secret=change.secret,
        is_enabled=change.enabled,
    )


def _dead(letter: DeadLetter) -> DeadEvent:
    return DeadEvent(
        number=letter.number,
        event=letter.identifier,
        type=letter.kind,
        subject=letter.subject,
        at=moment(letter.at),
        died_at=moment(letter.died_at),
        problem=letter.problem,
        retry=letter.retry_at > 0,
    )


@resource.get("/destinations", Permission.SHARING_READ, Part[Destination], is_list=True)
async def list_destinations(asked: Asking, limit: Limit = 50, cursor: Cursor = "") -> Part[Destination]:
    """List destinations.

    By name.
    """
    part = cut(limit, cursor)
    page = await use.page_of_destinations(asked.room, asked.actor, part)
    return Part[Destination](
        items=[Destination(**members(each)) for each in page.items], next=asked.listed(page, part)
    )


@resource.post(
    "/destinations",
    Permission.SHARING_WRITE,
    MadeDestination,
    status=201,
    body=Body.JSON,
    has_location=True,
    also=(Permission.SHARING_READ,),
)
async def make_destination(asked: Asking, order: DestinationMade) -> MadeDestination:
    """Make a destination.

    It gets what happens from now on. The secret that a webhook is signed with is in this answer and nowhere else.
    """
    made = await use.make_destination(
        asked.room, asked.actor, _order(order), from_beginning=order.from_beginning
    )
    asked.located("destinations", made.view.destination.identifier)
    return MadeDestination(**members(made.view), secret=made.secret or None)


@resource.get("/destinations/{destination_id}", Permission.SHARING_READ, Destination)
async def get_destination(asked: Asking, destination_id: Identifier) -> Destination:
    """Get a destination."""
    return Destination(**members(await use.read_destination(asked.room, asked.actor, destination_id)))


@resource.put(
    "/destinations/{destination_id}",
    Permission.SHARING_WRITE,
    MadeDestination,
    body=Body.JSON,
    also=(Permission.SHARING_READ,),
)
async def change_destination(
    asked: Asking, destination_id: Identifier, order: DestinationChange
) -> MadeDestination:
    """Change a destination.

    Its kind and how far it has come stay, and so does a secret that is left out; where the address leads to another
    system that is sent the secret, it has to be given anew.
    """
    made = await use.change_destination(asked.room, asked.actor, destination_id, _order(order))
    return MadeDestination(**members(made.view), secret=made.secret or None)


@resource.delete(
    "/destinations/{destination_id}", Permission.SHARING_WRITE, Destination, also=(Permission.SHARING_READ,)
)
async def remove_destination(asked: Asking, destination_id: Identifier) -> Destination:
    """Delete a destination.

    What it did not take goes, too.
    """
    return Destination(**members(await use.remove_destination(asked.room, asked.actor, destination_id)))


@resource.post(
    "/destinations/{destination_id}/secret",
    Permission.SHARING_WRITE,
    MadeDestination,
    body=Body.JSON,
    also=(Permission.SHARING_READ,),
)
async def rotate_secret(asked: Asking, destination_id: Identifier, order: SecretOrder) -> MadeDestination:
    """Rotate a webhook's secret.

    For a day the secret before signs beside the new one.
    """
    made = await use.rotate_secret(asked.room, asked.actor, destination_id, order.secret)
    return MadeDestination(**members(made.view), secret=made.secret or None)


@resource.post("/destinations/{destination_id}/test", Permission.SHARING_WRITE, TestResult)
async def send_test(asked: Asking, destination_id: Identifier) -> TestResult:
    """Send a test event.

    It is sent at once, beside all others, and tells how it went.
    """
    trial = await use.test_destination(asked.room, asked.actor, destination_id)
    return TestResult(arrived=trial.arrived, problem=trial.problem)


@resource.post(
    "/destinations/{destination_id}/replay",
    Permission.SHARING_WRITE,
    Destination,
    body=Body.JSON,
    also=(Permission.SHARING_READ,),
)
async def replay(asked: Asking, destination_id: Identifier, order: ReplayOrder) -> Destination:
    """Deliver events again.

    Everything that is kept from a number or a time on.
    """
    since = None if order.since is None else seconds(order.since)
    view = await use.replay(asked.room, asked.actor, destination_id, number=order.number, since=since)
    return Destination(**members(view))


@resource.get("/destinations/{destination_id}/dead", Permission.SHARING_READ, Part[DeadEvent], is_list=True)
async def list_dead(
    asked: Asking, destination_id: Identifier, limit: Limit = 50, cursor: Cursor = ""
) -> Part[DeadEvent]:
    """List events that a destination did not take.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.list_dead(asked.room, asked.actor, destination_id, part)
    return Part[DeadEvent](items=[_dead(each) for each in page.items], next=asked.listed(page, part))


@resource.post("/destinations/{destination_id}/dead/retry", Permission.SHARING_WRITE, Retried, body=Body.JSON)
async def retry_dead(asked: Asking, destination_id: Identifier, which: DeadEvents) -> Retried:
    """Try events again that were not taken."""
    return Retried(retried=await use.retry_dead(asked.room, asked.actor, destination_id, which.numbers))


@resource.post(
    "/destinations/{destination_id}/dead/forget", Permission.SHARING_WRITE, Removed, body=Body.JSON
)
async def forget_dead(asked: Asking, destination_id: Identifier, which: DeadEvents) -> Removed:
    """Delete events that were not taken."""
    return Removed(removed=await use.forget_dead(asked.room, asked.actor, destination_id, which.numbers))
