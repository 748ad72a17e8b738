"""Setup: the README and everything below docs, as they stand.

Test: every link leads somewhere, the README leads to every page, and every command in them is one that mailveil takes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mailveil.cli import program
from mailveil.control.access import Permission

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
PAGES = [README, *sorted((PROJECT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INSERTED = re.compile(r"\$\([^)]*\)|\[--[^\]]*\]")  # of other commands, and what may be left out
INLINE = re.compile(r"`(mailveil [^`\n]+)`")
WHERE_A_COMMAND_ENDS = frozenset({"|", "||", "&&", ";", ">", ">>", "<"})


def name_of(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def links_of(page: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if not target.startswith(("http://", "https://", "mailto:")):
            yield target


def headings_of(page: Path) -> set[str]:
    """Return the anchors of a page, as code hosts make them of headings."""
    titles = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links_of(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in headings_of(there), target


def test_the_readme_leads_to_every_page() -> None:
    listed = {(PROJECT / target.partition("#")[0]).resolve() for target in links_of(README)}
    missing = [page.name for page in (PROJECT / "docs").glob("*.md") if page.resolve() not in listed]
    assert not missing


def test_every_picture_is_shown_somewhere() -> None:
    shown = {(page.parent / target).resolve() for page in PAGES for target in links_of(page)}
    unused = [image.name for image in (PROJECT / "docs" / "images").iterdir() if image.resolve() not in shown]
    assert not unused


def words_of(line: str) -> list[str]:
    """Return the words after ``mailveil`` in a line of shell; nothing where it calls something else."""
    lexer = shlex.shlex(INSERTED.sub("X", line), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # such as a quotation that goes on in the next line
        return []
    if words[:2] == ["sudo", "-u"]:
        del words[:3]
    while words and ("=" in words[0] or words[0] in {"$", "sudo", "env"}):
        del words[0]
    if not words or words[0].rpartition("/")[2] != "mailveil":
        return []
    after = words[1:]
    end = next((at for at, word in enumerate(after) if word in WHERE_A_COMMAND_ENDS), len(after))
    return after[:end]


def fault_of(words: list[str], *, whole: bool) -> str:
    """Return why the command line would refuse the words; nothing where it would not."""
    command: click.Command = program
    context = click.Context(command, info_name="mailveil")
    rest = list(words)
    while isinstance(command, click.Group):
        parser = command.make_parser(context)
        try:
            _, rest, _ = parser.parse_args(rest)
        except click.UsageError as error:
            return error.format_message()
        if not rest:
            return ""
        name = rest.pop(0)
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context)
    try:
        given, too_many, _ = command.make_parser(context).parse_args(rest)
    except click.UsageError as error:
        return error.format_message()
    if [each for each in too_many if each != "X"]:
        return f"too many arguments: {too_many}"
    if whole and not given.get("help"):
        for parameter in command.params:
            if parameter.required and given.get(parameter.name or "") in (None, (), []):
                return f"{parameter.name} is missing"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_taken_as_it_stands(page: Path) -> None:
    text = page.read_text()
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    faults = {line.strip(): fault_of(words_of(line), whole=True) for line in lines}
    faults |= {
        quoted: fault_of(words_of(quoted.replace("…", "")), whole=False) for quoted in INLINE.findall(text)
    }
    assert not {line: fault for line, fault in faults.items() if fault}


def test_the_commands_of_the_readers_guides_are_recognised() -> None:
    assert words_of("sudo -u mailveil mailveil --config /etc/x.toml user first-administrator") == [
        "--config", "/etc/x.toml", "user", "first-administrator",
    ]  # fmt: skip
    assert words_of("mailveil policy export > file.toml   # for keeps") == ["policy", "export"]
    assert words_of("install -d /var/spool/postfix/mailveil") == []
    assert "no command" in fault_of(["polcy"], whole=True)
    assert "No such option" in fault_of(["token", "create", "--name", "x"], whole=True)
    assert "missing" in fault_of(["allow", "add", "partner.example"], whole=True)


def every_command(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, *above, name)


def test_every_command_tells_what_it_does_and_stands_under_a_heading() -> None:
    headed = [name for names in type(program).headings.values() for name in names]  # type: ignore[attr-defined]
    assert sorted(headed) == sorted(program.commands)
    for path, command in every_command(program):
        text = command.get_help(click.Context(command, info_name=" ".join(path)))
        assert command.help, path
        assert not re.search(r"[a-z]\.\.\.", text), f"a sentence of {path} is cut short"


def test_whoever_makes_a_token_is_told_all_scopes() -> None:
    create = program.commands["token"].commands["create"]  # type: ignore[attr-defined]
    told = set(re.findall(r"[a-z]+:[a-z]+|\binspect\b", create.help))
    assert told == {str(permission) for permission in Permission}
