"""A room for the API: two organisations with mail, people and tokens each, and a client that asks as either."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from control_room import NOW, ControlRoomForTests, actor

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mailveil.control.access import Permission
    from mailveil.core.observation import Observation
    from mailveil.ports import CopyState, Examination

PREFIX = "/api/v1"
SECRETS_OF = {"acme": "the plan of acme", "other": "the plan of other"}


class FakeCopies:
    """A store of copies that answers for every token, and knows what was deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def describe(self, tokens: Any) -> list[CopyState]:
        from mailveil.ports import CopyFacts, CopyState

        return [CopyState("stored", "image", "image/png", 512, CopyFacts(width=6, height=2)) for _ in tokens]

    async def inventory(self) -> dict[str, Any]:
        return {"addresses": 3, "contents": 2, "bytes": 99, "stored": 2, "placeholder": 1, "oldest": NOW}

    async def delete_token(self, token: str) -> int:
        self.deleted.append(token)
        return 1

    async def delete_older(self, oldest: float) -> int:
        self.deleted.append(f"before {oldest}")
        return 2

    async def fetched_from(self, host: str) -> list[bytes]:
        return [host.encode()]

    async def delete_urls(self, digests: Any) -> int:
        self.deleted.extend(each.decode() for each in digests)
        return len(digests)


class FakeOriginals:
    """Originals that are there, whatever their names."""

    async def read(self, name: str) -> bytes | None:
        return f"Subject: original {name}\r\n\r\nAs it came in.\r\n".encode()


class FakeEngine:
    """Workers that answer at once; ``hold`` keeps them from it."""

    def __init__(self) -> None:
        self.hold: asyncio.Event | None = None
        self.seen: list[bytes] = []
        self.error: Exception | None = None

    async def examine(self, raw: bytes, *, clean: bool = False) -> Examination:
        from mailveil.ports import Examination

        self.seen.append(raw)
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        record = {
            "path": "",
            "message_id": "",
            "from": "\udcff",
            "subject": "",
            "bytes": len(raw),
            "defects": [],
            "risk": "none",
            "references": [],
        }
        return Examination(record, raw if clean else b"", False)


def observation(organisation: str, number: int = 0, **changes: Any) -> Observation:
    """Return a message with a tracker and a picture, whose subject tells whose it is."""
    from mailveil.core.observation import Observation, ObservedReference, observation_identifier

    at = NOW - 3600 - 60 * number
    log_identifier = f"log-{number}"
    tracker = ObservedReference(
        url=f"https://t.{organisation}-news.example/o.gif?u={number}",
        template=f"https://t.{organisation}-news.example/o.gif?u=*",
        host=f"t.{organisation}-news.example",
        domain=f"{organisation}-news.example",
        vector="img",
        finding="tracker",
        action="copy",
        media="image",
        kind="open",
        kinds=("open",),
        score=0.99,
        risk="medium",
        operator=f"Operator of {organisation}",
        operator_confidence=0.9,
        evidence="its host",
        rule="level:normal",
        key=f"key-{organisation}-{number}",
        token="t" * 40,
        signals=("TINY_IMAGE",),
        reasons=("is declared 1 by 1 pixel",),
    )
    picture = replace(
        tracker, url="https://img.example/a.png", finding="content", kind="", kinds=(), operator="", score=0.1,
        risk="none", key="", token="p" * 40, operator_confidence=0.0, evidence="",
    )  # fmt: skip
    made = Observation(
        identifier=observation_identifier(at, log_identifier, organisation),
        organisation=organisation,
        at=at,
        log_identifier=log_identifier,
        sender=f"bounce@{organisation}-news.example",
        author=f"news@{organisation}-news.example",
        author_domain=f"{organisation}-news.example",
        sender_domain=f"{organisation}-news.example",
        recipients=(f"ann@{organisation}.example",),
        subject=f"{SECRETS_OF.get(organisation, organisation)} {number}",
        message_id=f"<{number}@{organisation}-news.example>",
        size_bytes=1000,
        reply_code=250,
        reply="250 Ok",
        changed=True,
        risk="medium",
        total_references=2,
        total_trackers=1,
        header={"list_id": "news"},
        authentication={"dmarc": "pass"},
        references=(tracker, picture),
    )
    return replace(made, **changes)


@dataclass
class ApiRoom:
    """The application over a seeded room. ``tokens`` are secrets by organisation (``*``: of all), with every scope."""

    control: ControlRoomForTests
    app: ASGIApp
    engine: FakeEngine
    copies: FakeCopies
    tokens: dict[str, str] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, *, token: str | None = None, organisation: str = "acme", **more: Any
    ) -> httpx.Response:
        """Ask once, in an event loop of its own. ``token`` is a secret; without one that of the organisation."""
        return asyncio.run(self.asking(method, path, token=token, organisation=organisation, **more))

    async def asking(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        organisation: str = "acme",
        headers: Mapping[str, str] | None = None,
        client: str = "192.0.2.1",
        **more: Any,
    ) -> httpx.Response:
        """Ask once, in the event loop of the test, from the address ``client``."""
        secret = self.tokens[organisation] if token is None else token
        fields = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx.ASGITransport(self.app, client=(client, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://console.example") as asking:
            return await asking.request(method, PREFIX + path, headers={**fields, **(headers or {})}, **more)

    async def token(
        self, organisation: str = "acme", *scopes: Permission, everywhere: bool = False, name: str = "program"
    ) -> str:
        """Make a token with these scopes (none: all) and return its secret."""
        from mailveil.control.access import Permission
        from mailveil.control.tokens import make_token

        maker = actor(organisation=organisation, home="*", name="")
        wanted = [str(each) for each in scopes or Permission]
        made = await make_token(self.control.room, maker, name, wanted, 30, everywhere=everywhere)
        return made.secret


def mounted(app: ASGIApp) -> ASGIApp:
    """Return the application where it belongs, with nothing beside it."""

    async def site(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].startswith(PREFIX + "/")
        await app({**scope, "root_path": PREFIX}, receive, send)

    return site


def made_room(control_room: ControlRoomForTests, messages: int = 3, **settings: Any) -> ApiRoom:
    """Return the API over a control room, with ``messages`` in each of two organisations."""
    from mailveil.endpoints.web.api import ApiSettings, api

    engine, copies = FakeEngine(), FakeCopies()
    control = replace_room(control_room, engine=engine, copies=copies, originals=FakeOriginals())
    chosen = {"version": "1.2.3", "requests_per_minute": 100_000, "inspect_per_minute": 100_000, **settings}
    app = mounted(api(control.room, ApiSettings(**chosen)))
    made = ApiRoom(control, app, engine, copies)
    asyncio.run(_seed(made, messages))
    return made


def replace_room(control: ControlRoomForTests, **parts: Any) -> ControlRoomForTests:
    """Return the same room with other parts."""
    return replace(control, room=replace(control.room, **parts))


async def _seed(made: ApiRoom, messages: int) -> None:
    control = made.control
    for organisation in ("acme", "other"):
        await control.organisation(organisation, [f"{organisation}.example"])
        seen = [observation(organisation, number) for number in range(messages)]
        await control.room.observations.add(seen)
        made.messages[organisation] = [each.identifier for each in seen]
        await control.user(f"user-of-{organisation}", "analyst", organisation)
        made.others[organisation] = await _seed_others(made, organisation)
        made.tokens[organisation] = await made.token(organisation, name=f"token of {organisation}")
    made.tokens["*"] = await made.token("default", everywhere=True, name="token of all")


async def _seed_others(made: ApiRoom, organisation: str) -> dict[str, str]:
    from mailveil.control.allowing import allow
    from mailveil.control.feeds import FeedOrder, make_feed
    from mailveil.control.policies import change_policy, policy_of_record
    from mailveil.control.records import Feedback, FeedbackKind
    from mailveil.control.sharing import DestinationOrder, make_destination
    from mailveil.control.sharingrecords import DestinationKind, FeedKind

    room, who = made.control.room, actor(organisation=organisation)
    entry = await allow(
        room, who, f"{organisation}-partner.example", owner="Ann", reason=f"comment of {organisation}"
    )
    await change_policy(
        room, who, policy_of_record({"level": "strict"}), based_on=0, comment=f"comment of {organisation}"
    )
    report = Feedback(
        f"report-of-{organisation}", organisation, NOW, FeedbackKind.MISSED, text=f"comment of {organisation}"
    )
    await room.feedback.report(report)
    order = DestinationOrder(
        f"destination of {organisation}", DestinationKind.WEBHOOK, f"https://hooks.{organisation}.example/in"
    )
    feed = FeedOrder(
        f"feed of {organisation}", FeedKind.TAXII, f"https://cert.{organisation}.example/taxii2/"
    )
    hook = await make_destination(room, who, order)
    return {
        "entry": entry.identifier,
        "report": report.identifier,
        "destination": hook.view.destination.identifier,
        "activity": await _seed_activity(made, organisation),
        "feed": (await make_feed(room, who, feed)).feed.identifier,
    }


async def _seed_activity(made: ApiRoom, organisation: str) -> str:
    """Have an activity found in what is stored, with an alert and a campaign; return its identifier."""
    from mailveil.control.activitystores import Studied
    from mailveil.core.intelligence.types import (
        Activity,
        Alert,
        AlertKind,
        Campaign,
        Infrastructure,
        MarkedPerson,
        Probe,
        Role,
        Target,
    )

    stores, actor_domain = made.control.room, f"{organisation}-news.example"
    reader, name = f"ann@{organisation}.example", f"activity-of-{organisation}"
    waiting = await stores.studies.unstudied(organisation, 100)
    probes = tuple(Probe(NOW, each, reader, actor_domain, ("open",)) for each in made.messages[organisation])
    activity = Activity(
        name, organisation, actor_domain, NOW - 100, NOW, 0.9, "high", probes=probes,
        targets=(Target(reader, NOW - 100, NOW, len(probes), "finance", True),), total_people=1,
        infrastructure=(Infrastructure(Role.SENDER_DOMAIN, actor_domain, NOW - 100, NOW),),
    )  # fmt: skip
    alert = Alert(
        f"alert-of-{organisation}", organisation, NOW, AlertKind.RECONNAISSANCE, name, "", "it probes", 0.9,
        actor_domain, (reader,),
    )  # fmt: skip
    campaign = Campaign(
        f"campaign-of-{organisation}", organisation, actor_domain, "https://t.example/*", NOW - 100, NOW,
        subject=f"{SECRETS_OF[organisation]} 0",
    )  # fmt: skip
    await stores.studies.write(
        organisation,
        Studied(
            waiting.subjects,
            {},
            NOW,
            waiting.generation,
            activities=(activity,),
            alerts=(alert,),
            campaigns=(campaign,),
        ),
    )
    await stores.activities.mark(organisation, MarkedPerson(reader, "finance", True), "anna", NOW)
    return name


@pytest.fixture
def api_room(control_room: ControlRoomForTests) -> ApiRoom:
    """The API over SQLite, with two organisations that have three messages each."""
    return made_room(control_room)
