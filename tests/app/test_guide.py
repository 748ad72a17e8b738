"""Setup: the guide to protecting a Postfix, docs/postfix.md, and the service file that it names.

Test: its settings are ones that the product takes, its command for Postfix is the one that start-up prints (which
tests/interop/test_postfix_milter.py pastes into a real Postfix), and every file and command that it names exists.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from mailveil.app.recipes import postfix_milter_recipe
from mailveil.cli import program
from mailveil.config import load

PROJECT = Path(__file__).parents[2]
GUIDE = (PROJECT / "docs/postfix.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_its_settings_are_taken(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    path = tmp_path / "mailveil.toml"
    path.write_text(text)
    settings = load(path, environment={})
    assert settings.copies_url == "https://copies.example.org"


def test_its_command_for_postfix_is_the_one_that_is_printed() -> None:
    (command,) = re.findall(r"^postconf -e .*$", GUIDE, re.MULTILINE)
    assert command in postfix_milter_recipe(load(environment={})).splitlines()


def test_every_file_that_it_names_is_there() -> None:
    named = re.findall(r"/opt/mailveil/((?:deploy|docs)/\S+)", GUIDE)
    linked = [f"docs/{name}" for name in re.findall(r"\]\((\w+\.md)\)", GUIDE)]
    assert len(named) == 2
    assert len(linked) > 5
    assert [name for name in (*named, *linked) if not (PROJECT / name).is_file()] == []


def test_every_command_that_it_names_is_there() -> None:
    assert isinstance(program, click.Group)
    named = set(re.findall(r"(?:^|[` ])mailveil ([a-z-]+)", GUIDE, re.MULTILINE))
    commands = set(program.commands)
    told = {"scan", "config", "serve", "arc-key", "check", "fetches", "copies", "release"}
    assert told <= named
    assert told <= commands


def test_the_service_runs_what_the_guide_installs() -> None:
    service = (PROJECT / "deploy/systemd/mailveil.service").read_text("utf-8")
    assert "ExecStart=/opt/mailveil/.venv/bin/mailveil serve\n" in service
    assert "User=mailveil\n" in service
    assert "StateDirectory=mailveil\n" in service, "the settings find it by $STATE_DIRECTORY"
