"""The whole site with 100,000 messages against 1,000: every page of the console and every list and figure of the API.

Pages come from the console's own registry and questions from the OpenAPI document, each asked by HTTP of the very
application that ``mailveil serve`` runs, with each filter that it has, the first part of a list and a deep one. What
people do grows along: audit trail, readers' reports, users, tokens, allow-list, versions of the policy. A page or
parameter that nothing here asks for stops the run, so that none is forgotten.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import sqlalchemy as sa

import control
from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database, database_url
from mailveil.app.announcing import console_facts
from mailveil.app.building import api_settings, build_memory, build_store
from mailveil.app.consoling import build_console_site
from mailveil.app.controlling import build_room
from mailveil.app.monitoring import Monitor, build_instruments, build_monitoring
from mailveil.app.roles import Role
from mailveil.config import load
from mailveil.control.access import Permission, command_line_actor
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.identifiers import new_identifier
from mailveil.control.passwords import Passwords
from mailveil.control.records import Cut, FeedbackState, MessageQuery, Organisation, TrackerQuery
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import Destination, DestinationKind, Feed, FeedKind
from mailveil.control.signing_in import SigningIn
from mailveil.control.tokens import make_token
from mailveil.core.intelligence.types import Activity, Alert, AlertKind, Campaign
from mailveil.endpoints.web.api import API_PATH, api
from mailveil.endpoints.web.console.application import MODULES
from observations import FREQUENT_WORD, HOT_OPERATOR, HOT_PERSON, RARE_HOST, RARE_OPERATOR, RARE_WORD

ORGANISATION = control.ORGANISATION
DAY = 86_400.0
LEAST = 240  # of anything that grows with messages: more than a part of a list has
ROUNDS, ROUNDS_QUICKLY = 11, 5
FREQUENT_SUBJECT, RARE_SUBJECT = "policy", "the-one-partner.example"
#: Pages for those who are not signed in, of a next hop that is a maildir, and a form for a process that reads feeds:
#: none of them knows of messages kept.
NOT_ASKED = ("/sign-in", "/link/", "/mailbox", "/sharing/feeds/new")
#: Questions of the API for which there is nothing here: no original is kept.
NOT_ANSWERED = ("/messages/{message}/original",)


@dataclass
class Site:
    """The site over one database, asked as an administrator of all organisations and as a program."""

    room: ControlRoom
    client: httpx.AsyncClient
    document: Mapping[str, Any]
    known: dict[str, str] = field(default_factory=dict)
    statements: int = 0
    sizes: dict[str, int] = field(default_factory=dict)

    closings: list[Callable[[], None]] = field(default_factory=list)

    async def close(self) -> None:
        """Let go of everything but the database."""
        await self.client.aclose()
        for each in self.closings:
            await asyncio.to_thread(each)

    async def ask(self, path: str) -> None:
        """Ask once; whatever is not answered as it should be stops the run."""
        answer = await self.client.get(path)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:300]}")
        self.sizes[path] = len(answer.content)


# --- what there is ------------------------------------------------------------------------------------------------


async def furnish(room: ControlRoom, database: Database, count: int) -> None:
    """Write what people did, in proportion to the messages; nothing twice."""
    if await room.accounts.count_users():
        return
    now, share = time.time(), max(LEAST, count // 100)
    for number in range(9):
        await room.organisations.put(
            Organisation(f"branch{number}", f"Branch {number}", (f"b{number}.example",))
        )
    names = [f"person{number}" for number in range(share)]
    rule = {"id": "r", "when": {"operators": [HOT_OPERATOR]}, "then": {"action": "blank"}}
    async with database.read() as connection:
        columns = tables.messages.c
        seen = [
            *await connection.scalars(
                sa.select(columns.identifier).order_by(columns.identifier.desc()).limit(10_000)
            )
        ]
    states = list(FeedbackState)
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        tables.users: [
            {"identifier": new_identifier(now), "name": name, "folded_name": name, "home": ORGANISATION,
             "role": "analyst", "display_name": name.title(), "password_hash": "", "totp_secret": "",
             "subject": f"https://id.example|{name}", "language": "", "is_disabled": False, "created_at": now,
             "last_sign_in_at": now, "password_changed_at": 0.0}
            for name in names
        ],
        tables.tokens: [
            {"organisation": ORGANISATION, "identifier": new_identifier(now - number), "name": f"program {number}",
             "digest": secrets.token_hex(32), "hint": "mvt_abcdef", "scopes": ["messages:read", "statistics:read"],
             "created_by": names[number % share], "created_at": now - number, "expires_at": now + 300 * DAY,
             "last_used_on": "", "everywhere": False, "revoked_at": 0.0}
            for number in range(share)
        ],
        tables.allowed: [
            {"organisation": ORGANISATION, "identifier": new_identifier(now - number),
             "author": f"partner{number}.example", "hosts": ["cdn.example"], "owner": "sales",
             "reason": "a partner of many years", "created_by": names[0],
             "created_at": now - number, "expires_at": now + 300 * DAY, "revoked_at": now if number % 2 else 0.0,
             "revoked_by": names[0] if number % 2 else ""}
            for number in range(share)
        ],
        tables.policies: [
            {"organisation": ORGANISATION, "version": number + 1,
             "document": {"format": 1, "level": "normal",
                          "rules": [{**rule, "id": f"r{each}"} for each in range(number % 20 + 1)]},
             "at": now - share + number, "by": names[number % share], "comment": "as was asked for"}
            for number in range(share)
        ],
        tables.feedback: [
            {"organisation": ORGANISATION, "identifier": new_identifier(now - number), "at": now - number,
             "kind": "false-alarm", "message": seen[number % len(seen)], "text": "This is from our own shop.",
             "channel": "link", "state": str(states[number % len(states)]), "closed_by": "", "closed_at": 0.0,
             "note": ""}
            for number in range(10 * share)
        ],
        tables.audit: [
            {"organisation": ORGANISATION, "identifier": new_identifier(now - number), "at": now - number,
             "actor_kind": "user", "actor": names[0] if number % 3 else names[number % share],
             "action": "policy.change" if number % 3 else "token.create",
             "subject": RARE_SUBJECT if number == share - 3
             else FREQUENT_SUBJECT if number % 3 else names[number % share],
             "details": {"version": number, "rules": ["r1", "r2"]}, "address": "192.0.2.7"}
            for number in range(100 * share if count >= 100 * LEAST else 5 * share)
        ],
    }  # fmt: skip
    rows |= _watchers(now, share)
    for table, values in rows.items():
        for start in range(0, len(values), 1_000):
            async with database.write() as connection:
                await connection.execute(table.insert(), values[start : start + 1_000])


def _watchers(now: float, share: int) -> dict[sa.Table, list[dict[str, Any]]]:
    """Return rows of activities, alerts and campaigns, and one of each kind of what is shared."""
    found: dict[sa.Table, list[dict[str, Any]]] = {
        tables.activities: [],
        tables.alerts: [],
        tables.campaigns: [],
    }
    for number in range(share):
        at, actor = now - 60.0 * number, f"spy{number}.example"
        activity = Activity(
            new_identifier(at), ORGANISATION, actor, at - DAY, at, 0.3 + number % 7 / 10, total_messages=1,
            total_people=1, total_probes=1,
        )  # fmt: skip
        found[tables.activities].append({
            "organisation": ORGANISATION, "identifier": activity.identifier, "actor": actor, "score": activity.score,
            "first_at": activity.first_at, "last_at": at, "changed_at": at, "people": 1, "probes": 1,
            "merged_into": "", "record": activity.record(), "told": "", "told_state": "", "is_untold": False,
            "verdict": "open", "decided_by": "", "decided_at": 0.0, "acknowledged_by": "", "acknowledged_at": 0.0,
            "closed_by": "", "closed_at": 0.0,
        })  # fmt: skip
        alert = Alert(
            new_identifier(at),
            ORGANISATION,
            at,
            AlertKind.RECONNAISSANCE,
            activity.identifier,
            "",
            "was seen",
        )
        told = {
            name: getattr(alert, name) for name in ("organisation", "identifier", "at", "activity", "message")
        }
        found[tables.alerts].append(told | {"kind": str(alert.kind), "record": alert.record()})
        campaign = Campaign(
            new_identifier(at), ORGANISATION, actor, "https://*/o.gif", at - DAY, at, messages=1
        )
        shown = ("organisation", "identifier", "sender_domain", "first_at", "last_at", "messages", "people")
        row = {name: getattr(campaign, name) for name in shown}
        found[tables.campaigns].append(row | {"nature": str(campaign.nature), "record": campaign.record()})
    return found


async def opened(folder: Path, database: Database, count: int) -> Site:
    """Return the site over a database that has its messages."""
    folder.mkdir(exist_ok=True)
    settings = load(None, environment={
        "MAILVEIL_STORAGE__DIRECTORY": str(folder), "MAILVEIL_API__REQUESTS_PER_MINUTE": "1000000",
    })  # fmt: skip
    instruments, _ = build_instruments(settings)
    store, memory = build_store(settings), build_memory(settings)
    room = build_room(settings, database, copies=store, fetches=store, memory=memory)
    await furnish(room, database, count)
    facts = console_facts(settings, [Role.CONSOLE], {}, "smtp:127.0.0.1:10026")
    monitor = Monitor(settings, instruments, room=room)
    parts = {API_PATH: api(room, api_settings(settings))}
    app = build_console_site(settings, room, facts, build_monitoring(monitor), parts=parts)
    actor = command_line_actor(ORGANISATION, "bench")
    name = f"admin{secrets.token_hex(4)}"
    row = {
        "identifier": new_identifier(time.time()), "name": name, "folded_name": name, "home": "*",
        "role": "administrator", "display_name": "", "password_hash": "", "totp_secret": "",
        "subject": f"https://id.example|{name}", "language": "", "is_disabled": False, "created_at": time.time(),
        "last_sign_in_at": 0.0, "password_changed_at": 0.0,
    }  # fmt: skip
    async with database.write() as connection:
        await connection.execute(tables.users.insert(), row)
    user = await room.accounts.user_named(name)
    assert user is not None
    secret = (await SigningIn(room, Passwords()).welcome(user, "127.0.0.1", "bench")).secret
    token = (await make_token(room, actor, "bench", [*Permission], 1, everywhere=True)).secret
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("127.0.0.1", 40_000)),
        base_url="http://127.0.0.1",
        headers={"Authorization": f"Bearer {token}"},
        cookies={"mailveil-session": secret},
        timeout=600,
    )
    document = (await client.get(f"{API_PATH}/openapi.json")).json()
    site = Site(room, client, document, closings=[store.close, *([memory.close] if memory else [])])
    site.known = await _known(site, user.identifier)

    @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def count_statement(*_: object) -> None:
        site.statements += 1

    return site


async def _known(site: Site, user: str) -> dict[str, str]:
    """Return what stands in paths, by the name that it has there."""
    stores = site.room.observations
    line = (await stores.messages(ORGANISATION, MessageQuery(has_trackers=True), Cut(1))).items[0]
    tracker = (await stores.trackers(ORGANISATION, TrackerQuery(order="messages"), Cut(1))).items[0]
    allowed = (await site.room.policies.allowed(ORGANISATION, Cut(1))).items[0].identifier
    report = (await site.room.feedback.reports(ORGANISATION, Cut(1))).items[0].identifier
    token = (await site.room.accounts.tokens(ORGANISATION, Cut(1))).items[0].identifier
    wanted = ActivityQuery(time.time())
    activity = (
        (await site.room.activities.activities(ORGANISATION, wanted, Cut(1))).items[0].activity.identifier
    )
    destination, feed = await _systems(site.room)
    return {
        "message": line.identifier, "/messages/": line.identifier,
        "tracker_id": tracker.identifier, "/trackers/": tracker.identifier,
        "name": HOT_OPERATOR, "/operators/": HOT_OPERATOR,
        "entry_id": allowed, "/allow/": allowed,
        "report_id": report, "/reports/": report,
        "user_id": user, "/users/": user,
        "token_id": token,
        "organisation_id": ORGANISATION, "/organisations/": ORGANISATION,
        "activity_id": activity, "/watching/": activity,
        "destination_id": destination, "/sharing/destinations/": destination,
        "feed_id": feed, "/sharing/feeds/": feed,
        "/policy/rules/": "r0", "version": "7", "dimension": "operator",
    }  # fmt: skip


async def _systems(room: ControlRoom) -> tuple[str, str]:
    """Return a destination and a feed, made if need be."""
    assert room.sharing is not None
    assert room.feeds is not None
    now = time.time()
    destination = Destination(
        new_identifier(now), ORGANISATION, "File", DestinationKind.JSON_LINES, "events.jsonl", created_at=now
    )
    feed = Feed(
        new_identifier(now),
        ORGANISATION,
        "CERT",
        FeedKind.TAXII,
        "https://cert.example/taxii2/",
        created_at=now,
    )
    if not (known := [each for each in await room.sharing.destinations(ORGANISATION) if each.name == "File"]):
        await room.sharing.put_destination(destination)
    if not (feeds := await room.feeds.feeds(ORGANISATION)):
        await room.feeds.put_feed(feed)
    return (known[0] if known else destination).identifier, (feeds[0] if feeds else feed).identifier


# --- what is asked -------------------------------------------------------------------------------------------------


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def filters(site: Site) -> dict[str, Sequence[Mapping[str, str]]]:
    """Return what is filled in on the console's pages, by their paths."""
    now, message, tracker = time.time(), site.known["message"], site.known["tracker_id"]
    periods = [{"period": each} for each in ("24h", "7d", "30d")]
    long_periods = [{"period": each} for each in ("7d", "30d", "90d")]
    return {
        "/": periods,
        "/messages": [
            *periods,
            *({"q": each} for each in (FREQUENT_WORD, RARE_WORD, "s", f"{FREQUENT_WORD} report", "xylophone")),
            *({"risk": each} for each in ("low", "medium", "high")),
            *({"only": each} for each in ("trackers", "remote", "changed", "unchanged")),
            *({"sender": each} for each in ("sender0.example", "sender2990.example", "news@sender1.example")),
            *({"recipient": each} for each in (HOT_PERSON, "person300@office.example")),
            *({"operator": each} for each in (HOT_OPERATOR, RARE_OPERATOR)),
            *({"host": each} for each in ("service0.example", RARE_HOST)),
            {"tracker": tracker},
            {"from": _day(now - 20 * DAY), "to": _day(now - 13 * DAY)},
            {"q": "report", "only": "trackers", "risk": "high", "period": "7d"},
            {"q": FREQUENT_WORD, "sender": "sender0.example", "operator": HOT_OPERATOR, "only": "unchanged"},
        ],
        "/trackers": [
            *({"order": each} for each in ("last", "first", "messages", "people")),
            *({"q": each} for each in ("gif", "seldom", "once")),
            *({"operator": each, "order": "people"} for each in (HOT_OPERATOR, RARE_OPERATOR)),
            {"domain": "service0.example"},
            {"kind": "open"},
            {"kind": "dwell", "order": "messages"},
            *({**each, "order": "messages"} for each in long_periods),
        ],
        "/operators": long_periods,
        "/watching": [{"state": "closed"}, {"state": "all"}, {"actor": "spy1.example"}, {"order": "last"}],
        "/policy/explain": [
            {"message": message, "reference": "0"},
            {"sender": "news@sender1.example", "proven": "yes", "host": "a.example", "kind": "open"},
        ],
        "/allow": [{"show": "all"}],
        "/reports": [{"state": each} for each in ("open", "confirmed", "rejected", "all")],
        "/audit": [
            {"action": "policy.change"},
            {"action": "no.such"},
            {"by": "person0"},
            {"by": "person7"},
            *({"subject": each} for each in (FREQUENT_SUBJECT, RARE_SUBJECT, "nothing")),
            {"by": "person0", "action": "policy.change", "subject": RARE_SUBJECT},
        ],
    }  # fmt: skip


def values(site: Site) -> dict[str, Sequence[str]]:
    """Return what parameters of the API are given, by their names."""
    now, flags = time.time(), ("true", "false")
    return {
        "since": (_moment(now - DAY), _moment(now - 30 * DAY)), "until": (_moment(now - 13 * DAY),),
        "text": (FREQUENT_WORD, RARE_WORD, "gif"), "sender": ("sender0.example", "sender2990.example"),
        "recipient": (HOT_PERSON,), "risk": ("low", "high"), "operator": (HOT_OPERATOR, RARE_OPERATOR),
        "host": ("service0.example", RARE_HOST), "tracker": (site.known["tracker_id"],), "has_trackers": flags,
        "has_remote": flags, "changed": flags, "domain": ("service0.example",), "kind": ("open", "dwell"),
        "order": ("first", "messages", "people"), "position": ("0",), "step_hours": ("24",),
        "state": ("open", "rejected", "active", "closed"), "verdict": ("open", "benign"), "least_score": ("0.5",),
        "activity": (site.known["activity_id"],), "nature": ("unknown", "bulk"), "sender_domain": ("spy1.example",),
        "week": (time.strftime("%G-W%V", time.gmtime(now - 7 * DAY)),), "people": ("true",), "value": ("spy.example",),
        "table": ("activities", "days", "figures"), "feed": (site.known["feed_id"],),
         "action": ("policy.change",),
        "actor": ("person0",), "subject": (FREQUENT_SUBJECT, RARE_SUBJECT), "all": flags,

    }  # fmt: skip


DIMENSIONS = ("operator", "sender_domain", "host", "kind", "risk")


async def paths(site: Site) -> dict[str, str]:
    """Return everything that is asked, by a name that is the same whatever there is."""
    found = {}
    filled = filters(site)
    for page in (each for module in MODULES for each in module.all):
        if page.method != "GET" or page.path.startswith(NOT_ASKED):
            continue
        head, brace, _ = page.path.partition("{")
        path = head + quote(site.known[head], safe="") if brace else page.path
        found[page.path] = path
        for query in filled.get(page.path, ()):
            shown = " ".join(f"{name}={value}" for name, value in query.items() if len(value) < 30)
            found[f"{page.path}?{shown}"] = f"{path}?{urlencode(query)}"
    for name in (RARE_OPERATOR, "Operator 30"):
        found[f"/operators/{name}"] = f"/operators/{quote(name)}"
    for path, cursor in (await _deep(site)).items():
        found[f"{path}, deep"] = f"{path}{'&' if '?' in path else '?'}after={quote(cursor)}"
    return found | await _questions(site)


async def _deep(site: Site) -> dict[str, str]:
    """Return where a page most of the way down each list of the console begins."""
    room, stores, weekly = site.room, site.room.observations, MessageQuery(text=FREQUENT_WORD)
    lists: dict[str, Callable[[Cut], Awaitable[Any]]] = {
        "/messages": lambda cut: stores.messages(ORGANISATION, MessageQuery(), cut),
        f"/messages?q={FREQUENT_WORD}": lambda cut: stores.messages(ORGANISATION, weekly, cut),
        "/trackers": lambda cut: stores.trackers(ORGANISATION, TrackerQuery(), cut),
        "/trackers?order=people": lambda cut: stores.trackers(ORGANISATION, TrackerQuery(order="people"), cut),
        "/operators": lambda cut: stores.operators(ORGANISATION, 0.0, cut),
        "/allow?show=all": lambda cut: room.policies.allowed(ORGANISATION, cut, all_states=True),
        "/reports?state=all": lambda cut: room.feedback.reports(ORGANISATION, cut),
        "/reports?state=open": lambda cut: room.feedback.reports(ORGANISATION, cut, state=FeedbackState.OPEN),
        "/audit": lambda cut: room.audit.entries(ORGANISATION, cut),
        "/users": lambda cut: room.accounts.users("*", cut),
        "/tokens": lambda cut: room.accounts.tokens(ORGANISATION, cut),
        "/policy/history": lambda cut: room.policies.history(ORGANISATION, cut),
    }  # fmt: skip
    return {path: (await control.deep(ask)).cursor for path, ask in lists.items()}


async def _questions(site: Site) -> dict[str, str]:
    """Return what the API is asked: each ``GET`` of its document, each parameter with values, and deep parts."""
    found, given = {}, values(site)
    for template, operations in site.document["paths"].items():
        operation = operations.get("get")
        if operation is None or template in NOT_ANSWERED:
            continue
        parameters = [_resolved(site.document, each) for each in operation.get("parameters", ())]
        path, needed, optional = API_PATH + template, {}, []
        for each in parameters:
            name = each["name"]
            if each["in"] == "path":
                path = path.replace("{" + name + "}", quote(site.known[name], safe=""))
            elif each["in"] == "query" and each.get("required"):
                needed[name] = given[name][0]
            elif each["in"] == "query" and name not in ("limit", "cursor"):
                optional.append(name)
        base = f"{path}?{urlencode(needed)}" if needed else path
        shown = API_PATH + template
        found[shown] = base
        for name in optional:
            for number, value in enumerate(given[name]):
                if _takes(site.document, parameters, name, value):
                    label = number if name in ("since", "until", "tracker") else value
                    found[f"{shown}?{name}={label}"] = f"{path}?{urlencode({**needed, name: value})}"
        if any(each["name"] == "cursor" for each in parameters):
            found[f"{shown}?limit=200"] = f"{path}?{urlencode({**needed, 'limit': 200})}"
            if cursor := await _cursor(site, path, needed):
                found[f"{shown}, deep"] = f"{path}?{urlencode({**needed, 'cursor': cursor})}"
    for dimension in DIMENSIONS:
        path = f"{API_PATH}/statistics/top/{dimension}"
        for number, since in enumerate(given["since"]):
            found[f"{path}?since {number}"] = f"{path}?{urlencode({'since': since})}"
    return found


def _resolved(document: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of the document that may stand elsewhere in it."""
    found: Any = document
    for name in value["$ref"].removeprefix("#/").split("/") if "$ref" in value else ():
        found = found[name]
    return found if "$ref" in value else value


def _takes(
    document: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]], name: str, value: str
) -> bool:
    """Tell whether a parameter may have a value: where it is one of few, the document names them."""
    schema = next(each["schema"] for each in parameters if each["name"] == name)
    choices = [_resolved(document, each) for each in (schema, *schema.get("anyOf", ()))]
    named = [each["enum"] for each in choices if "enum" in each]
    return not named or value in named[0]


async def _cursor(site: Site, path: str, needed: Mapping[str, str]) -> str:
    """Return the cursor of a part most of the way down a list, ``""`` where it has one part."""
    cursors, cursor = [], ""
    while True:
        query = {**needed, "limit": "200", **({"cursor": cursor} if cursor else {})}
        cursor = (await site.client.get(f"{path}?{urlencode(query)}")).json().get("next") or ""
        if not cursor:
            return cursors[int(len(cursors) * control.DEEP)] if cursors else ""
        cursors.append(cursor)


# --- what it costs --------------------------------------------------------------------------------------------------


async def measured(
    folder: Path, few: Database, many: Database, counts: tuple[int, int], rounds: int
) -> dict[str, Any]:
    """Return what each page and question costs with few messages and with many."""
    sites = [
        await opened(folder / f"site{number}", database, counts[number])
        for number, database in enumerate((few, many))
    ]
    asked = [await paths(site) for site in sites]
    results: dict[str, Any] = {}
    try:
        for name, path in asked[1].items():
            if name not in asked[0]:
                continue  # a list of one part has no deep one
            pair = (asked[0][name], path)
            statements = []
            for site, each in zip(sites, pair, strict=True):
                await site.ask(each)
                before = site.statements
                await site.ask(each)
                statements.append(site.statements - before)
            cost = await control.compared(
                [partial(s.ask, p) for s, p in zip(sites, pair, strict=True)], rounds
            )
            results[name] = cost | {"statements": float(statements[1]), "kB": sites[1].sizes[path] / 1e3}
    finally:
        for site in sites:
            await site.close()
    return results


def measure(folder: Path, *, quick: bool = False) -> dict[str, Any]:
    """Return what each page and question costs, over the databases that ``control.measure`` left in a folder.

    Beside the figures of ``control.compared``: how many statements an answer takes and how large it is, with many.
    """

    async def run() -> dict[str, Any]:
        counts = (control.SMALL, control.how_many(quick=quick))
        few, many = (
            Database(database_url("", folder).set(database=str(control.file_of(folder, each))))
            for each in counts
        )
        try:
            return await measured(folder, few, many, counts, ROUNDS_QUICKLY if quick else ROUNDS)
        finally:
            await few.close()
            await many.close()

    return asyncio.run(run())
