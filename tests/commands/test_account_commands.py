"""Users, tokens and organisations from the command line, with the real program on a database of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mailveil(tmp_path: Path) -> Run:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILVEIL_")}
    environment = {**kept, "MAILVEIL_STORAGE__DIRECTORY": str(tmp_path / "state")}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "mailveil", *arguments]
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        return ended

    return run


def test_a_first_administrator_and_a_user_come_by_links(mailveil: Run) -> None:
    first = mailveil("user", "first-administrator")
    assert re.fullmatch(r"http://localhost:8080/link/[\w-]{43}\n", first.stdout)
    assert "Works once" in first.stderr
    made = json.loads(mailveil("user", "add", "anna", "--role", "analyst", "--json").stdout)
    assert made["purpose"] == "invitation"
    assert "There is a user Anna already" in mailveil("user", "add", "Anna", code=2).stderr
    mailveil("user", "role", "anna", "viewer")
    mailveil("user", "disable", "anna")
    (anna,) = (json.loads(line) for line in mailveil("user", "list", "--json").stdout.splitlines())
    assert (anna["name"], anna["role"], anna["disabled"], anna["has_password"]) == (
        "anna",
        "viewer",
        True,
        False,
    )
    assert not {"password_hash", "totp_secret"} & set(anna)
    assert "disabled" in mailveil("user", "password-link", "anna", code=2).stderr
    assert "there is no user otto" in mailveil("user", "enable", "otto", code=2).stderr


def test_a_token_is_shown_once_and_revoked(mailveil: Run) -> None:
    made = json.loads(mailveil("token", "create", "SIEM", "--scope", "messages:read", "--json").stdout)
    assert made["secret"].startswith("mvt_")
    listed = mailveil("token", "list", "--json").stdout
    assert made["secret"] not in listed
    assert json.loads(listed)["id"] == made["id"]
    mailveil("token", "revoke", made["id"])
    assert "revoked" in mailveil("token", "list").stdout
    assert "There is no scope" in mailveil("token", "create", "x", "--scope", "all", code=2).stderr
    told = mailveil("token", "list", "--organisation", "nowhere", code=2).stderr
    assert "there is no organisation nowhere" in told


def test_organisations_come_change_and_go(mailveil: Run) -> None:
    mailveil("organisation", "add", "acme", "--domain", "Acme.Example", "--domain", "bücher.example")
    mailveil("organisation", "change", "acme", "--domain", "acme.test", "--without", "acme.example")
    listed = [json.loads(line) for line in mailveil("organisation", "list", "--json").stdout.splitlines()]
    assert [each["id"] for each in listed] == ["default", "acme"]
    assert sorted(listed[1]["domains"]) == ["acme.test", "xn--bcher-kva.example"]
    assert "confirm it with --yes" in mailveil("organisation", "remove", "acme", code=2).stderr
    mailveil("organisation", "remove", "acme", "--yes")
    assert "acme" not in mailveil("organisation", "list").stdout
    told = mailveil("organisation", "add", "kronos", "--language", "tlh").stderr
    assert "no words in tlh yet: its readers are addressed in English" in told
    assert "de, en, es, fr, ja" in told
    assert "de, en, es, fr, ja" in " ".join(mailveil("organisation", "add", "--help").stdout.split())
    assert "no words" not in mailveil("organisation", "change", "kronos", "--language", "fr-CA").stderr
    assert "stays" in mailveil("organisation", "remove", "default", "--yes", code=2).stderr
