"""Nobody is named to others: people planted in every form, the whole product at work, and all that leaves it searched.

Setup: the real ``mailveil serve`` with a destination of every kind (a SIEM by syslog, Splunk, Elasticsearch, a file, a
webhook, a MISP), its TAXII collections, MISP feed and filter list, metrics, and a log as talkative as can be. An actor
under a look-alike domain mails people pixels that carry their addresses in twelve encodings, in host names, paths,
queries, envelopes and fields.
Test: every one of them was told of the activity, and in nothing that they got, nor in the metrics and the log, stands
anybody's address in any of the forms; in what a destination got that is told people in clear, it does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import smtplib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from disguises import DISGUISES
from mailveil.app.controlling import opened_room
from mailveil.control.access import command_line_actor
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.records import Cut, Organisation
from mailveil.control.sharing import DestinationOrder, make_destination
from mailveil.control.sharingrecords import DestinationKind
from mailveil.control.tokens import make_token
from mailveil.core.intelligence.types import MarkedPerson
from mailveil.core.observation import host_template
from mailveil.core.sharing.types import PeopleShared
from mailveil_room import Mailveil, mailveil_room
from postfix_room import free_port

READERS = {
    form: f"johanna{chr(97 + number)}.lindqvist@lindhagenworks.example"
    for number, form in enumerate(sorted(DISGUISES))
}
PATIENCE_S = 120.0


@dataclass
class Sinks:
    """Where destinations are: all that ever arrives is kept, by what it came as."""

    heard: dict[str, list[bytes]] = field(default_factory=dict)

    def hear(self, kind: str, raw: bytes) -> None:
        self.heard.setdefault(kind, []).append(raw)

    def text(self, kind: str) -> str:
        return b"\n".join(self.heard.get(kind, [])).decode("utf-8", "replace")


class Web(BaseHTTPRequestHandler):
    """Answers as Splunk's collector, Elasticsearch's bulk interface, a MISP and a webhook's receiver do."""

    sinks: Sinks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        kind = self.path.split("/")[1]
        self.sinks.hear(kind, f"{self.path}\n{self.headers}".encode() + body)
        answer: Any = {}
        if kind == "services":
            answer = {"text": "Success", "code": 0}
        elif kind == "elastic":
            actions = [json.loads(line) for line in body.splitlines()[::2]]
            items = [{next(iter(each)): {"status": 201, "_id": "x"}} for each in actions]
            answer = {"took": 1, "errors": False, "items": items}
        elif kind == "misp":
            asked = json.loads(body or b"{}")
            answer = {"Event": asked.get("Event", asked)}
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_PUT = do_GET = do_POST  # noqa: N815 - as the server calls them

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def sinks() -> Iterator[tuple[Sinks, int, int]]:
    heard = Sinks()
    web = ThreadingHTTPServer(("127.0.0.1", 0), type("W", (Web,), {"sinks": heard}))
    threads = [threading.Thread(target=web.serve_forever)]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.settimeout(0.2)
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            try:
                heard.hear("syslog", datagrams.recv(65536))
            except TimeoutError:
                continue

    threads.append(threading.Thread(target=listen))
    for each in threads:
        each.start()
    yield heard, web.server_address[1], datagrams.getsockname()[1]
    ended.set()
    web.shutdown()
    web.server_close()
    for each in threads:
        each.join()
    datagrams.close()


def orders(web: int, datagrams: int) -> list[DestinationOrder]:
    here, plain = f"http://127.0.0.1:{web}", {"plain_http": True}
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    key = "k" * 40
    made = [
        DestinationOrder(f"syslog {each}", DestinationKind.SYSLOG, f"udp://127.0.0.1:{datagrams}", each)
        for each in ("cef", "ecs", "ocsf", "plain")
    ]
    hook = DestinationOrder("webhook", DestinationKind.WEBHOOK, f"{here}/hook", options=plain, secret=secret)
    return [
        *made,
        DestinationOrder("splunk", DestinationKind.SPLUNK, f"{here}/services", options=plain, secret=key),
        DestinationOrder("elastic", DestinationKind.ELASTICSEARCH, f"{here}/elastic", options=plain, secret=key),
        replace(hook, name="trusted", address=f"{here}/clear", people=PeopleShared.CLEAR),
        DestinationOrder("file", DestinationKind.JSON_LINES, "events.jsonl"),
        hook,
        DestinationOrder("misp", DestinationKind.MISP, f"{here}/misp", options=plain, secret=key),
    ]  # fmt: skip


def probe(form: str, number: int) -> bytes:
    """Return a message that spies on its reader in one form of their address, wherever a message has room for it."""
    reader = READERS[form]
    told = DISGUISES[form](reader)
    label = re.sub(r"[^a-z0-9]+", "-", told.lower()).strip("-")[:60]
    quoted = told.replace("%", "%25") if form == "plain" else told
    return (
        f"From: Accounts <accounts@lindhagenvvorks.example>\r\nTo: <{reader}>\r\nSubject: Invoice for {reader}\r\n"
        f"Message-ID: <{label}.{number}@lindhagenvvorks.example>\r\nReply-To: <{label}@answers-desk.example>\r\n"
        f"Date: Thu, 26 Nov 2026 0{number % 10}:00:00 +0000\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        "<p>Please see to this.</p>\r\n"
        f'<img src="https://{label}.px.lindhagenvvorks.example/o/{quoted}.gif?e={quoted}" width="1" height="1">\r\n'
        f'<img src="https://px.lindhagenvvorks.example/{label}/p.gif?u={quoted}" width="1" height="1" alt="">\r\n'
    ).encode()


def wait_until(found: Any, what: str, room: Mailveil) -> None:
    end = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < end, f"{what}\n{room.log()[-6000:]}"
        time.sleep(0.3)


def fetched(client: httpx.Client, console: str, token: str) -> Mapping[str, str]:
    """Return everything that is published, by where."""
    fields = {"Authorization": f"Bearer {token}"}
    taxii = {**fields, "Accept": "application/taxii+json;version=2.1"}
    found: dict[str, str] = {}

    def get(path: str, headers: Mapping[str, str]) -> httpx.Response:
        answer = client.get(f"{console}{path}", headers=dict(headers))
        assert answer.status_code == 200, (path, answer.text)
        found[path] = f"{answer.headers}{answer.text}"
        return answer

    roots = get("/taxii2/", taxii).json()["api_roots"]
    for root in roots:
        place = root.removeprefix(console)
        for each in get(f"{place}collections/", taxii).json()["collections"]:
            get(f"{place}collections/{each['id']}/objects/", taxii)
            get(f"{place}collections/{each['id']}/manifest/", taxii)
    manifest = get("/misp/feed/manifest.json", fields).json()
    get("/misp/feed/hashes.csv", fields)
    for each in manifest:
        get(f"/misp/feed/{each}.json", fields)
    get("/lists/learned.txt", fields)
    return found


def forms_of_everybody() -> dict[str, str]:
    forms = {}
    for reader in READERS.values():
        name = reader.partition("@")[0]
        forms |= {f"{reader} as {form}": disguise(reader) for form, disguise in DISGUISES.items()}
        for each in (name, name.replace(".", ""), name.replace(".", "-"), name.replace(".", "_")):
            forms[f"{reader} as {each}"] = each
    return forms


def traces(text: str, forms: Mapping[str, str]) -> list[str]:
    lowered = text.lower()
    return [name for name, form in forms.items() if form.lower() in lowered]


async def prepared(settings: Any, web: int, datagrams: int) -> str:
    """Make the organisation's destinations and a token; return its secret."""
    async with opened_room(settings) as room:
        await room.organisations.put(Organisation("default", "Acme", ("lindhagenworks.example",)))
        actor = command_line_actor("default", "somebody")
        for order in orders(web, datagrams):
            await make_destination(room, actor, order)
        for reader in READERS.values():
            person = MarkedPerson(reader, "treasury", is_high_value=True)
            await room.activities.mark("default", person, "somebody", time.time())
        return (await make_token(room, actor, "reader", ["intelligence:read"], 30)).secret


async def activities_of(settings: Any) -> list[Any]:
    async with opened_room(settings) as room:
        page = await room.activities.activities("default", ActivityQuery(now=time.time()), Cut())
        return list(page.items)


def test_nobody_is_named_to_others_in_any_form(sinks: tuple[Sinks, int, int]) -> None:
    heard, web, datagrams = sinks
    console, metrics = free_port(), free_port()
    table: dict[str, dict[str, Any]] = {
        "console": {"listen": f"127.0.0.1:{console}"},
        "metrics": {"listen": f"127.0.0.1:{metrics}"},
        "sharing": {"networks": ["127.0.0.0/8"]},
        "log": {"level": "debug"},
    }
    forms = forms_of_everybody()
    with mailveil_room(table, doors=(console, metrics), started=False) as room:
        token = asyncio.run(prepared(room.settings, web, datagrams))
        room.start()
        with smtplib.SMTP("127.0.0.1", room.port) as client:
            for number, (form, reader) in enumerate(READERS.items()):
                raw = probe(form, number)
                assert traces(raw.decode(), forms)
                label = re.sub(r"[^a-z0-9]+", "-", DISGUISES[form](reader).lower()).strip("-")[:60]
                client.sendmail(f"bounce-{label}@lindhagenvvorks.example", [reader], raw)
        wait_until(lambda: asyncio.run(activities_of(room.settings)), "no activity", room)
        file = room.settings.sharing_files / "default" / "events.jsonl"
        wait_until(file.exists, "no file", room)
        with httpx.Client() as client:
            base = f"http://localhost:{console}"
            wait_until(
                lambda: {"services", "elastic", "hook", "clear", "misp", "syslog"} <= set(heard.heard),
                "no events",
                room,
            )
            wait_until(
                lambda: "indicator--" in "".join(fetched(client, base, token).values()), "no STIX", room
            )
            time.sleep(2)  # whatever else is to come
            outputs = dict(fetched(client, base, token))
            outputs["metrics"] = client.get(f"http://127.0.0.1:{metrics}/metrics").text
        outputs["file"] = file.read_text()
        room.stop()
        outputs["log"] = room.log()
        outputs |= {kind: heard.text(kind) for kind in heard.heard}
        decoded = {name: _unescaped(text) for name, text in outputs.items()}
        assert "mailveil_" in outputs["metrics"]
        for kind in ("services", "elastic", "hook", "misp", "syslog", "file"):
            assert "lindhagenvvorks.example" in decoded[kind], f"{kind} was told who it is"
        assert traces(decoded.pop("clear"), forms), "people stand where an administrator chose so"
        found = {name: traces(text, forms) for name, text in decoded.items()}
        assert {name: each for name, each in found.items() if each} == {}
        assert host_template("px.lindhagenvvorks.example") in decoded["hook"]


def _unescaped(text: str) -> str:
    """Return a text with what JSON writes otherwise beside it."""
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda each: chr(int(each[1], 16)), text).replace("\\/", "/")
    return f"{text}\n{plain}"
