"""Destinations from the command line, with the real program on a database of its own."""

from __future__ import annotations

import json
import os
import shlex
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

    def run(
        *arguments: str, code: int = 0, stdin: str = "", enabled: str = "true"
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "mailveil", "sharing", *arguments]
        given = {**environment, "MAILVEIL_SHARING__ENABLED": enabled}
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, env=given, input=stdin, timeout=300
        )
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        return ended

    return run


def test_a_file_is_made_tried_and_removed(mailveil: Run, tmp_path: Path) -> None:
    assert "no destinations" in mailveil("list").stderr
    made = json.loads(
        mailveil("add", "File", "json-lines", "events.jsonl", "--format", "ecs", "--json").stdout
    )
    assert (made["kind"], made["format"], made["people"], made["has_secret"]) == (
        "json-lines",
        "ecs",
        "none",
        False,
    )
    assert "took the test event" in mailveil("test", "file").stdout
    (line,) = (tmp_path / "state" / "shared" / "default" / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["event"]["code"] == "test"
    changed = json.loads(
        mailveil(
            "change", made["id"], "--disable", "--least-score", "0.5", "--people", "pseudonym", "--json"
        ).stdout
    )
    assert (changed["enabled"], changed["least_score"], changed["people"], changed["format"]) == (
        False, 0.5, "pseudonym", "ecs",
    )  # fmt: skip
    assert "0 delivered, 0 waiting" in mailveil("list").stdout
    assert json.loads(mailveil("replay", "File", "--number", "1", "--json").stdout)["position"] == 0
    assert "gets 0 events" in mailveil("replay", "File", "--since", "2027-01-31T08:00:00Z").stdout
    assert "is no time" in mailveil("replay", "File", "--since", "soon", code=2).stderr
    assert "nothing was put aside" in mailveil("dead", "File").stderr
    assert json.loads(mailveil("dead", "File", "--retry", "--json").stdout) == {"retried": 0}
    assert "switched off" not in mailveil("list").stderr
    assert "switched off" in mailveil("list", enabled="false").stderr
    organisation = [sys.executable, "-P", "-m", "mailveil", "organisation", "add", "acme", "--name", "Acme"]
    environment = {**os.environ, "MAILVEIL_STORAGE__DIRECTORY": str(tmp_path / "state")}
    subprocess.run(organisation, check=True, env=environment, capture_output=True, timeout=300)
    theirs = mailveil("add", "Their file", "json-lines", "e.jsonl", "--organisation", "acme").stderr.strip()
    suggested = shlex.split(theirs.splitlines()[-1].partition("mailveil sharing ")[2])
    assert suggested == ["test", "Their file", "--organisation", "acme"]
    assert "took the test event" in mailveil(*suggested).stdout
    mailveil("remove", "File", code=1, stdin="n\n")
    mailveil("remove", "File", "--yes")
    assert "there is no destination File" in mailveil("test", "File", code=2).stderr


def test_secrets_come_from_files_and_are_never_printed_again(mailveil: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token-of-splunk\n")
    made = mailveil(
        "add", "Splunk", "splunk", "https://192.0.2.1:8088", "--secret-file", str(tmp_path / "token"),
        "--option", "index=mail", "--event", "alert.raised", "--event", "activity.opened",
        code=2,
    )  # fmt: skip
    assert "[sharing] networks" in made.stderr, "it is no public address"
    given = mailveil(
        "add", "Splunk", "splunk", "https://splunk.invalid:8088", "--secret-file", "-", "--option", "index=mail",
        "--event", "alert.raised", stdin="token-of-splunk\n",
    )  # fmt: skip
    listed = mailveil("list", "--json").stdout
    record = json.loads(listed)
    assert (record["options"], record["events"], record["has_secret"]) == (
        {"index": "mail"},
        ["alert.raised"],
        True,
    )
    assert given.stderr.splitlines()[-1].endswith("mailveil sharing test Splunk")
    assert "token-of-splunk" not in given.stdout + given.stderr + listed
    assert json.loads(mailveil("change", "Splunk", "--option", "index=", "--json").stdout)["options"] == {}
    assert "no option" in mailveil("change", "Splunk", "--option", "indx=a", code=2).stderr
    tried = mailveil("test", "Splunk", "--json", code=1)
    assert "cannot be resolved" in json.loads(tried.stdout)["problem"]


def test_a_webhook_is_given_a_secret_and_another_one(mailveil: Run) -> None:
    made = json.loads(mailveil("add", "Hook", "webhook", "https://hook.invalid/in", "--json").stdout)
    assert made["secret"].startswith("whsec_")
    again = json.loads(mailveil("change", "Hook", "--rotate-secret", "--json").stdout)
    assert again["secret"] not in ("", made["secret"])
    assert "secret" not in json.loads(mailveil("list", "--json").stdout)
