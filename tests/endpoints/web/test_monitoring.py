"""What machines ask for: alive, ready, figures; and who gets figures."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from mailveil.endpoints.web.monitoring import Monitoring, Readiness

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def monitoring(ready: bool = True) -> Monitoring:
    async def readiness() -> Readiness:
        return Readiness(ready, () if ready else ("next hop: refuses connections",))

    async def render(accept: str) -> tuple[bytes, str]:
        return b"mailveil_messages_total 1\n", "text/plain; version=1.0.0"

    async def may_read(secret: str) -> bool:
        return secret == "good"

    return Monitoring("1.2.3", readiness, render, LOOPBACK, may_read)


def ask(app: object, path: str, *, client: str = "127.0.0.1", **headers: str) -> httpx.Response:
    async def work() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=(client, 5000))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get(path, headers=headers)

    return asyncio.run(work())


def on_the_console(ready: bool = True) -> Starlette:
    found = monitoring(ready)
    return Starlette(
        routes=[
            Route("/healthz", found.alive),
            Route("/readyz", found.ready),
            Route("/metrics", found.figures),
        ]
    )


def test_alive_and_ready_are_two_things() -> None:
    assert ask(on_the_console(ready=False), "/healthz").json() == {"status": "ok", "version": "1.2.3"}
    answer = ask(on_the_console(ready=False), "/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "troubles": ["next hop: refuses connections"]}
    assert ask(on_the_console(), "/readyz").status_code == 200


def test_figures_are_for_this_machine_and_for_tokens() -> None:
    app = on_the_console()
    assert ask(app, "/metrics").text == "mailveil_messages_total 1\n"
    assert ask(app, "/metrics", client="::ffff:127.0.0.1").status_code == 200
    assert ask(app, "/metrics", client="192.0.2.1").status_code == 403
    assert ask(app, "/metrics", client="192.0.2.1", Authorization="Bearer good").status_code == 200
    assert ask(app, "/metrics", client="192.0.2.1", Authorization="Bearer bad").status_code == 403
    assert ask(app, "/metrics", Authorization="Bearer bad").status_code == 403


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_reverse_proxy_on_this_machine_opens_them_to_nobody(name: str) -> None:
    assert ask(on_the_console(), "/metrics", **{name: "for=192.0.2.1"}).status_code == 403


def test_a_listener_of_its_own_answers_whoever_reaches_it() -> None:
    app = monitoring().application()
    assert ask(app, "/metrics", client="192.0.2.1").status_code == 200
    assert ask(app, "/readyz", client="192.0.2.1").status_code == 200
    assert ask(app, "/", client="192.0.2.1").status_code == 404
