"""docs/api.md: every command in it is run as it stands there, by a real shell and curl, against the API."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_room import PREFIX, ApiRoom
from mailveil.endpoints.web.api.problems import TYPES
from mailveil.endpoints.web.listener import HttpListener

GUIDE = Path(__file__).parents[4] / "docs" / "api.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture
def served(api_room: ApiRoom) -> Iterator[str]:
    """The API at a port of this machine; its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listener = HttpListener(api_room.app)
    asyncio.run_coroutine_threadsafe(listener.start("127.0.0.1", 0), loop).result(60)
    yield f"http://127.0.0.1:{listener.port}{PREFIX}"
    asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


def test_every_command_of_the_guide_does_what_it_says(api_room: ApiRoom, served: str, tmp_path: Path) -> None:
    import subprocess

    assert len(BLOCKS) >= 10
    environment = {
        "PATH": "/usr/bin:/bin",
        "MAILVEIL": served,
        "TOKEN": api_room.tokens["acme"],
        "HOME": str(tmp_path),
    }
    for block in BLOCKS:
        done = subprocess.run(
            ["bash", "-euc", block],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "openapi.json").stat().st_size > 10_000
    assert api_room.ask("GET", "/policy").json()["document"]["level"] == "strict"
    assert len(api_room.engine.seen) == 2


def test_every_kind_of_problem_is_in_the_guide() -> None:
    text = GUIDE.read_text("utf-8")
    for each in TYPES:
        assert f"| `{each.name}` | {int(each.status)} |" in text
