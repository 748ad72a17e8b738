"""Documents of a policy: what is written comes back, and what is wrong is said with its place and what would do."""

from __future__ import annotations

import json

import pytest

from mailveil.core.policy.document import (
    PolicyDocument,
    PolicyDocumentError,
    parse_policy,
    read_time,
    write_last_day,
    write_time,
)
from mailveil.core.policy.rules import Banner, Level
from mailveil.core.policy.tomltext import write_toml
from mailveil.core.policy.types import Action, CopyMode, Direction
from mailveil.core.verdicts.types import Kind, Risk

WHOLE = """
format = 1
level = "strict"
comment = 'agreed on by the board, see "minutes"'

[groups]
board = ["Ann@Example.org", "*@board.example.org", "@.example.net"]

[[rules]]
id = "pilot"
name = "Pilot: report only"
expires_at = 2026-12-31
when = { groups = ["board"], directions = ["inbound"] }
then = { monitor = true, banner = "none", copies = "embedded" }

[[rules]]
id = "cdn"
enabled = false
[rules.when]
hosts = [".CDN.example", "bücher.example"]
kinds = ["open", "device"]
least_risk = "medium"
[rules.then]
action = "keep"
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyDocumentError) as caught:
        parse_policy(text)
    return caught.value.problems


def rule(body: str) -> str:
    return f'[groups]\nboard = ["ann@example.org"]\n[[rules]]\nid = "r"\n{body}'


def test_everything_that_is_written_is_read() -> None:
    document = parse_policy(WHOLE)
    assert document.level is Level.STRICT
    assert document.groups["board"] == ("ann@example.org", "@board.example.org", "@.example.net")
    pilot, cdn = document.rules
    assert pilot.then.monitor is True
    assert pilot.then.banner is Banner.NONE
    assert pilot.then.copies is CopyMode.EMBEDDED
    assert pilot.when.directions == (Direction.INBOUND,)
    assert pilot.expires_at == read_time("2027-01-01T00:00:00Z"), "a day counts to its end"
    assert cdn.enabled is False
    assert cdn.then.action is Action.KEEP
    assert cdn.when.hosts == (".cdn.example", "xn--bcher-kva.example")
    assert cdn.when.kinds == (Kind.OPEN, Kind.DEVICE)
    assert cdn.when.least_risk is Risk.MEDIUM


def test_what_is_written_out_as_toml_or_json_is_the_same_policy() -> None:
    document = parse_policy(WHOLE)
    assert parse_policy(write_toml(document.record())) == document
    assert parse_policy(json.dumps(document.record())) == document
    assert parse_policy("") == PolicyDocument(level=Level.NORMAL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('levle = "strict"', "levle: is not known here; did you mean level?"),
        ('level = "strickt"', 'level: "strickt" is none of strict, normal, gentle; did you mean strict?'),
        ("format = 2", "format: 2 is not known; this version reads format 1"),
        ('level = "strict', "no TOML: "),
        ('{"level": strict}', "line 1, column 11: no JSON: "),
        ("rules = 3", "rules: has to be a list; begin each rule with a line [[rules]]"),
        (
            "[[rules]]\nthen = { action = 'blank' }",
            "rules[1].id: is missing; every rule needs one that stays",
        ),
        (
            "[[rules]]\nid = 'A b'\nthen = { action = 'blank' }",
            'rules[1].id: "A b" has to be of small letters',
        ),
        (rule("when = {}"), 'rules[1] ("r").then: is missing; say what is to hold'),
        (rule("then = {}"), 'rules[1] ("r").then: says nothing'),
        (
            rule("then = { action = 'blank' }\nif = {}"),
            'rules[1] ("r").if: is not known here; did you mean when?',
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { sender = ['a@b.c'] }"),
            'rules[1] ("r").when.sender: is not known here; did you mean senders?',
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { groups = ['bord'] }"),
            'rules[1] ("r").when.groups: "bord" is no group of [groups]; did you mean board?',
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { hosts = ['https://cdn.example/x'] }"),
            (
                'rules[1] ("r").when.hosts: "https://cdn.example/x" is an address on the web; '
                'write the host alone, as "cdn.example"'
            ),
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { sender_domains = ['*.example.org'] }"),
            (
                'rules[1] ("r").when.sender_domains: "*.example.org" has a "*"; write ".example.org" for a domain and '
                "all below it"
            ),
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { recipients = ['example.org'] }"),
            (
                'rules[1] ("r").when.recipients: "example.org" is no recipient; write "@example.org" for everybody '
                "there, or a whole address"
            ),
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { kinds = 'open' }"),
            'rules[1] ("r").when.kinds: has to be a list',
        ),
        (
            rule("then = { action = 'blank' }\nwhen = { kinds = [] }"),
            'rules[1] ("r").when.kinds: names nothing',
        ),
        (
            rule("then = { monitor = 'yes' }"),
            'rules[1] ("r").then.monitor: has to be true or false, not "yes"',
        ),
        (rule("then = { action = 'keep' }"), '"keep" would switch protection off for everybody'),
        (
            rule("then = { banner = 'low' }\nwhen = { hosts = ['cdn.example'] }"),
            'rules[1] ("r").then.banner: holds for whole messages, so that the rule cannot be about hosts',
        ),
        (rule("then = { copies = 'none' }"), '"none" is no way to carry copies'),
        (rule("then = { action = 'blank' }\nexpires_at = 'soon'"), '"soon" is no time; write 2026-12-31'),
        (
            rule("then = { action = 'blank' }\n[[rules]]\nid = 'r'\nthen = { banner = 'low' }"),
            "is the id of rules[1] too",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_meant(text: str, expected: str) -> None:
    assert any(expected in each for each in problems(text)), problems(text)


def test_all_mistakes_are_told_at_once_and_none_speaks_to_the_terminal() -> None:
    found = problems(
        'level = "\\u001b[31m"\n[[rules]]\nid = "a"\nthen = { action = "kept", copies = "host" }'
    )
    assert len(found) == 3
    assert not any("\x1b" in each for each in found)


def test_times_come_back() -> None:
    assert write_time(read_time("2026-12-31T18:00:00+02:00")) == "2026-12-31T16:00:00Z"
    with pytest.raises(ValueError, match="out of range"):
        read_time("9999-12-31")


def test_a_hostile_document_is_refused_quickly() -> None:
    assert problems("{" + '"a":' * 5000)
    assert problems("a = " + "[" * 100_000)
    assert problems(json.dumps({"groups": {"a": [1] * 20_000}}))
    assert problems("x" * 3_000_000)


def test_a_day_is_shown_as_it_was_named() -> None:
    assert write_last_day(read_time("2027-06-30")) == "2027-06-30"
    assert write_last_day(read_time("2027-06-30T08:00:00Z")) == "2027-06-30T08:00:00Z"
