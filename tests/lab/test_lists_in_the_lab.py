"""``mailveil lists`` with a server of lists.

Setup: a network namespace in which the lab is the whole Internet and serves a list that changes.
Test: it is fetched with an ordinary client's words, updated only when somebody agrees, and never over plain HTTP.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOM = Path(__file__).with_name("listing_room.py")


def _missing() -> str:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "util-linux and iproute2"
    tried = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the right to create network namespaces"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if missing := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the room needs {missing}")
        pytest.skip(f"the room needs {missing}")
    command = ["unshare", "-n", "-m", sys.executable, str(ROOM), str(tmp_path_factory.mktemp("room"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_list_is_fetched_and_kept(result: dict[str, Any]) -> None:
    assert result["import"]["code"] == 0, result["import"]
    assert "licence: MIT" in result["import"]["output"]
    assert "is as it was" in result["same"]["output"]
    asked = [each for each in result["contacts"] if each["kind"] == "http"]
    assert {each["path"] for each in asked} >= {"/easy.txt", "/away.txt"}
    assert not any("mailveil" in json.dumps(each).lower() for each in asked), "it says who it is to nobody"


def test_update_is_never_silent(result: dict[str, Any]) -> None:
    assert result["unagreed"]["code"] == 1, result["unagreed"]
    assert "+ ||new.example^" in result["unagreed"]["output"]
    assert "nothing was changed" in result["unagreed"]["output"]
    assert result["update"]["code"] == 0
    (facts,) = [json.loads(line) for line in result["shown"]["output"].splitlines()]
    assert facts["source"] == "https://lists.example/easy.txt"
    assert facts["rules"] == 2


def test_who_leads_away_from_tls_is_not_believed(result: dict[str, Any]) -> None:
    assert result["away"]["code"] == 2
    assert "led away to an address that is not https" in result["away"]["output"]
