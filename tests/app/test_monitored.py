"""The whole product as those see it who watch it: ready or not, and figures that follow what it does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from test_serving import product

from http_room import Answer, ask
from mailveil.app import Role
from mailveil.app.controlling import opened_room
from mailveil.control.access import command_line_actor
from mailveil.control.tokens import make_token
from mailveil_room import answers
from postfix_room import free_port

LETTER = (
    b"From: a@news.example\r\nTo: b@example.org\r\nSubject: hi\r\nContent-Type: text/html\r\n\r\n"
    b'<img src="http://spy.example/open.gif?u=83hf7sk2" width=1 height=1>\r\n'
)


def figures(answer: Answer) -> dict[str, float]:
    return {
        each.name + "".join(f"{{{value}}}" for _, value in sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(answer.body.decode())
        for each in family.samples
    }


def test_figures_follow_the_mail_and_name_nobody(tmp_path: Path) -> None:
    async def check() -> None:
        async with product(tmp_path) as running:
            assert (await running.send(LETTER)).startswith("250")
            port = running.settings.console.listen.port
            answer = await ask(port, "/metrics", Host="localhost")
            found = figures(answer)
            assert found["mailveil_messages_total{inbound}{delivered}"] == 1
            assert found["mailveil_references_total{copy}{tracker}"] == 1
            assert found["mailveil_stage_seconds_count{deliver}"] == 1
            assert found["mailveil_database_up"] == 1
            assert found["mailveil_spool_dropped"] == 0
            assert found["mailveil_storage_free_bytes"] > 0
            for name in (b"news.example", b"spy.example", b"example.org", b"83hf"):
                assert name not in answer.body
            ready = await ask(port, "/readyz", Host="localhost")
            assert ready.status == 200, ready.body
            proxied = {"X-Forwarded-For": "192.0.2.7"}
            assert (await ask(port, "/metrics", Host="localhost", **proxied)).status == 403
            async with opened_room(running.settings) as room:
                # The figures are those of all organisations together.
                actor = command_line_actor("default", "test")
                for scopes, everywhere, status in (
                    (("health:read",), True, 200),
                    (("health:read",), False, 403),
                    (("messages:read",), True, 403),
                ):
                    made = await make_token(room, actor, "watch", scopes, 1, everywhere=everywhere)
                    fields = {"Authorization": f"Bearer {made.secret}", **proxied}
                    assert (await ask(port, "/metrics", Host="localhost", **fields)).status == status

    asyncio.run(check())


def test_a_gateway_without_a_console_answers_on_a_listener_of_its_own_and_its_next_hop_counts(
    tmp_path: Path,
) -> None:
    port, nowhere = free_port(), free_port()
    settings = {
        "MAILVEIL_METRICS__LISTEN": f"127.0.0.1:{port}",
        "MAILVEIL_GATEWAY__NEXT_HOP": f"smtp://127.0.0.1:{nowhere}",
    }

    async def check() -> None:
        async with product(tmp_path, [Role.GATEWAY], **settings) as running:
            assert any(f"http://127.0.0.1:{port}/metrics" in line for line in running.said)
            answer = await ask(port, "/readyz")
            assert answer.status == 503
            assert json.loads(answer.body)["troubles"] == ["next hop: answers 451"]
            assert (await ask(port, "/healthz")).status == 200
            assert (await ask(port, "/metrics")).status == 200

    asyncio.run(check())
    assert not answers(port)


def test_a_database_that_is_away_leaves_a_gateway_ready_and_a_console_alone_unready(tmp_path: Path) -> None:
    port = free_port()
    away = {
        "MAILVEIL_DATABASE__URL": f"postgresql://mailveil@127.0.0.1:{free_port()}/mailveil",
        "MAILVEIL_METRICS__LISTEN": f"127.0.0.1:{port}",
    }

    async def status(*roles: Role) -> tuple[int, float]:
        async with product(tmp_path, roles, **away):
            return (await ask(port, "/readyz")).status, figures(await ask(port, "/metrics"))[
                "mailveil_database_up"
            ]

    assert asyncio.run(status(Role.GATEWAY)) == (200, 0)
    assert asyncio.run(status(Role.CONSOLE)) == (503, 0)
