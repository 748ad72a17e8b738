"""Setup: a state directory of its own, and the commands as a newcomer types them, with a real database behind.

Test: each says in words what it did, what would change and what was wrong; what goes out as a file comes back from it.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailveil.app.controlling import opened_room
from mailveil.cli import program
from mailveil.config import load
from mailveil.control.records import Organisation
from mailveil.core.observation import Observation, ObservedReference, observation_identifier

POLICY = """
level = "normal"

[groups]
board = ["ann@example.org"]

[[rules]]
id = "board"
name = "The board is never tracked"
when = { groups = ["board"] }
then = { action = "blank", banner = "low" }
"""


class Shell:
    """A terminal in which ``mailveil`` is typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"MAILVEIL_STORAGE__DIRECTORY": str(folder / "state")}

    def types(self, *words: str, text: str | None = None) -> Result:
        return CliRunner().invoke(
            program, list(words), input=text, env=self.environment, standalone_mode=False
        )

    def says(self, *words: str, text: str | None = None) -> str:
        result = self.types(*words, text=text)
        assert result.exception is None, result.output
        assert result.return_value == 0, result.output
        return result.stdout

    def is_refused(self, *words: str, text: str | None = None) -> str:
        result = self.types(*words, text=text)
        assert result.return_value == 2, result.output
        return result.stderr

    def file(self, text: str, name: str = "policy.toml") -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def put_on_record(self, *observations: Observation) -> None:
        async def work() -> None:
            async with opened_room(load(environment=self.environment)) as room:
                await room.organisations.put(Organisation("acme", "Acme", ("acme.example",)))
                await room.observations.add(observations)

        asyncio.run(work())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def seen(number: int, organisation: str = "default") -> Observation:
    at = time.time() - 60 * (number + 1)
    reference = ObservedReference(
        url="https://px.mailer.example/o.gif",
        template="https://px.mailer.example/o.gif",
        host="px.mailer.example",
        domain="mailer.example",
        vector="img-src",
        finding="tracker",
        action="copy",
        media="image",
        kind="open",
        risk="medium",
        rule="level:gentle",
    )
    return Observation(
        identifier=observation_identifier(at, f"log-{number}", organisation),
        organisation=organisation,
        at=at,
        log_identifier=f"log-{number}",
        sender="news@shop.example",
        author="news@shop.example",
        sender_domain="shop.example",
        recipients=("ann@example.org",) if number % 2 == 0 else ("eve@example.org",),
        risk="medium",
        total_references=1,
        references=(reference,),
    )


def test_before_anything_was_written_it_says_what_holds(shell: Shell) -> None:
    said = shell.says("policy", "show")
    assert said.startswith(
        "Nobody has written a policy yet.\nLevel normal: Every remote reference becomes a safe copy"
    )
    assert json.loads(shell.says("policy", "show", "--json"))["document"] == {"format": 1, "level": "normal"}


def test_a_level_is_chosen_in_one_word_and_stands_in_the_history(shell: Shell) -> None:
    said = shell.says("policy", "set-level", "strict", "--comment", "agreed in May")
    assert said.startswith("Version 1 is in force. Level strict: Trackers become blank")
    history = shell.says("policy", "history")
    assert "agreed in May\n    level: normal becomes strict" in history
    assert shell.types("policy", "set-level", "harsh").exception is not None


def test_a_file_is_checked_tried_and_put_in_force(shell: Shell) -> None:
    shell.put_on_record(*(seen(number) for number in range(6)), seen(7, "acme"))
    path = shell.file(POLICY)
    assert shell.says("policy", "check", path) == "level normal, 1 rule: fine\n"
    said = shell.says("policy", "try", path, "--days", "1")
    assert "Of 6 messages of the last 1 day, 3 would have been treated otherwise (3 of 6 references)." in said
    assert "  copy -> blank by rule:board: 3 references in 3 messages" in said
    assert "px.mailer.example, copy -> blank by rule:board" in said
    tried = json.loads(shell.says("policy", "try", path, "--json"))
    assert tried["changes"][0]["rule"] == "rule:board"
    assert "rule board: new" in shell.says("policy", "import", path, "--dry-run")
    assert "Nobody has written" in shell.says("policy", "show")
    shell.says("policy", "import", path, "--comment", "for the board")
    shown = shell.says("policy", "show")
    assert "1. rule:board The board is never tracked: for the group board: action blank" in shown
    assert shell.says("policy", "show", "--organisation", "acme").startswith("Nobody has written")


def test_all_mistakes_of_a_file_are_told_with_their_places(shell: Shell) -> None:
    wrong = shell.file(POLICY.replace("groups =", "group =").replace('"blank"', '"blnk"'))
    for command in ("check", "import", "try"):
        told = shell.is_refused("policy", command, wrong)
        assert (
            f'mailveil: {wrong}: rules[1] ("board").when.group: is not known here; did you mean groups?'
            in told
        )
        assert '"blnk" is none of copy, blank, remove, keep; did you mean blank?' in told
    assert "No such file" in shell.is_refused("policy", "check", str(shell.folder / "nowhere"))
    assert "no TOML" in shell.is_refused("policy", "check", "-", text="level =")


def test_what_is_exported_can_be_imported_as_toml_and_as_json(shell: Shell) -> None:
    shell.says("policy", "import", shell.file(POLICY))
    added = json.loads(
        shell.says("allow", "add", "partner.example", "--reason", "reports", "--owner", "bea", "--json")
    )
    for form in ([], ["--json"]):
        exported = shell.says("policy", "export", *form)
        assert shell.says("policy", "import", shell.file(exported, "out"), "--json").startswith(
            '{"changes": []'
        )
    shell.says("policy", "set-level", "strict")
    shell.says("allow", "revoke", added["id"], "--reason", "contract ended")
    said = shell.says("policy", "import", str(shell.folder / "out"))
    assert "policy: level: strict becomes normal" in said
    assert "allow-list: partner.example, owned by bea comes" in said
    assert "partner.example" in shell.says("allow", "list")


def test_a_partner_is_allowed_extended_and_revoked(shell: Shell) -> None:
    said = shell.says(
        "allow", "add", ".Partner.example", "--host", "cdn.partner.example", "--reason", "reports",
        "--until", "2040-12-31",
    )  # fmt: skip
    identifier = said.split()[0]
    assert ".partner.example  cdn.partner.example  until 2040-12-31" in said
    assert "until 2045-06-30" in shell.says("allow", "extend", identifier, "--until", "2045-06-30")
    assert "until revoked" in shell.says("allow", "extend", identifier, "--until", "revoked")
    shell.says("allow", "revoke", identifier)
    assert shell.says("allow", "list") == ""
    (line,) = shell.says("allow", "list", "--all", "--json").splitlines()
    assert json.loads(line)["revoked_by"].endswith("(command line)")
    assert "anybody can register" in shell.is_refused("allow", "add", "co.uk", "--reason", "x")
    assert "is no day" in shell.is_refused("allow", "add", "a.example", "--reason", "x", "--until", "soon")
    assert "expired already" in shell.is_refused(
        "allow", "add", "a.example", "--reason", "x", "--until", "2020-01-01"
    )
    assert "there is no entry nobody" in shell.is_refused("allow", "revoke", "nobody")


def test_why_is_answered_for_a_message_on_record(shell: Shell) -> None:
    message = seen(0)
    shell.put_on_record(message)
    shell.says("policy", "import", shell.file(POLICY))
    said = shell.says("policy", "explain", message.identifier)
    assert "1. img-src https://px.mailer.example/o.gif" in said
    assert "then: a safe copy takes its place, by no rule spoke of it, and the level gentle held" in said
    assert (
        'now:  a blank takes its place, and nobody contacts where it leads: the rule board "The board' in said
    )
    assert "rule:board (blank): wins: for the group board" in said
    elsewhere = shell.says(
        "policy", "explain", message.identifier, "--recipient", "eve@example.org", "--json"
    )
    assert json.loads(elsewhere)["now"][0]["rule"] == "level:normal"
    assert "there is no message nope" in shell.is_refused("policy", "explain", "nope")
    assert "with a reference 2" in shell.is_refused(
        "policy", "explain", message.identifier, "--reference", "2"
    )
    refused = shell.is_refused("policy", "explain", message.identifier, "--organisation", "acme")
    assert "there is no message" in refused, "nobody sees what belongs to another"
    assert "there is no organisation nil" in shell.is_refused("policy", "show", "--organisation", "nil")


def test_a_version_that_never_was_leads_to_those_that_were(tmp_path: Path) -> None:
    said = Shell(tmp_path).is_refused("policy", "show", "--version", "7")
    assert "there is no version 7; see mailveil policy history" in said
