"""What would keep mailveil from starting is told by ``check``, in the words that start-up would use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from test_serving import environment

from mailveil.app import Outcome, check
from mailveil.config import load


@pytest.mark.parametrize(
    ("name", "variables", "told"),
    [
        ("storage", {}, "chmod 600"),
        ("milter", {"MILTER__SOCKET": "missing/m.sock"}, "its folder is not there"),
        ("milter", {"MILTER__SOCKET_GROUP": "no-such-group"}, 'there is no group "no-such-group"'),
        ("milter", {"MILTER__SOCKET": "taken"}, "a file that is no socket is in the way"),
        ("lmtp", {"GATEWAY__LMTP_LISTEN": "unix:/nowhere/at/all/lmtp"}, "its folder is not there"),
    ],
)
def test_what_keeps_it_from_starting(tmp_path: Path, name: str, variables: dict[str, str], told: str) -> None:
    (tmp_path / "taken").touch()
    (tmp_path / "originals.key").write_bytes(bytes(32))
    (tmp_path / "originals.key").chmod(0o644 if name == "storage" else 0o600)
    more = {f"MAILVEIL_{each}": text for each, text in variables.items()}
    results = asyncio.run(check(load(environment=environment(tmp_path, **more))))
    bad = [each for each in results if each.outcome is Outcome.BAD]
    assert [each.name for each in bad] == [name]
    assert told in bad[0].text


def test_nothing_does_as_a_rule(tmp_path: Path) -> None:
    results = asyncio.run(check(load(environment=environment(tmp_path))))
    assert not [each for each in results if each.outcome is Outcome.BAD]
    assert not (tmp_path / "originals.key").exists(), "keys are made by whoever serves, as its user"
