"""The root of the command line: what precedes every command, and options that several share."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mailveil import __version__

if TYPE_CHECKING:
    from mailveil.config import Settings


Result = TypeVar("Result")


UNUSABLE = 2


HEADINGS = {
    "To run it": ("serve", "try", "recipes", "check", "config", "demo"),
    "To look into mail that you have, and to clean it": ("scan", "clean"),
    "To see who is watching": ("recon", "weekly", "intelligence", "sharing", "feeds"),
    "To decide what is protected": ("policy", "allow"),
    "People, programs and organisations": ("user", "token", "organisation", "person"),
    "To look after it": ("database", "copies", "fetches", "release", "lists", "arc-key"),
    "To train and try out what judges": ("train", "evaluate", "simulate"),
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """What precedes the command."""

    configuration: str = ""

    def settings(self) -> Settings:
        """Load the settings; end the program where they cannot be used."""
        from mailveil.config import SettingsError, find_file, load

        try:
            return load(find_file(self.configuration))
        except SettingsError as error:
            end(str(error))


def end(reason: str, code: int = UNUSABLE) -> NoReturn:
    """Complain and end the program."""
    from mailveil.commands.terminal import complain

    for line in reason.splitlines():
        complain(line)
    raise SystemExit(code)


class Commands(click.Group):
    """A group whose help tells each command's first sentence whole, under headings where it has some."""

    headings: Mapping[str, Sequence[str]] = {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands; what stands under no heading comes last."""
        named = {name for names in self.headings.values() for name in names}
        left = [name for name in self.list_commands(ctx) if name not in named]
        for heading, names in (*self.headings.items(), ("Commands", left)):
            rows = [(name, first_sentence(self.commands[name])) for name in names if name in self.commands]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class Program(Commands):
    """All commands, ordered by what somebody is about to do."""

    headings = HEADINGS


Commands.group_class = Commands


def first_sentence(command: click.Command) -> str:
    """Return what a command does, in one sentence."""
    text = " ".join((command.help or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".")


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mailveil", message="%(prog)s %(version)s")
@click.option("--config", "configuration", metavar="FILE", default="", help="Configuration file (TOML).")
@click.pass_context
def program(context: click.Context, configuration: str) -> None:
    """Stop e-mail spy trackers before they reach an inbox.

    Every setting stands, with its default, in what `mailveil config --default` prints. Every command tells more
    with --help, as in `mailveil policy try --help`.
    """
    context.obj = Invocation(configuration)


json_lines_option = click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")


organisation_option = click.option(
    "--organisation", default="default", metavar="ID", help="In which organisation [default: default]."
)


yes_option = click.option("-y", "--yes", "assume_yes", is_flag=True, help="Agree beforehand.")


def run_until_complete(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in an event loop of its own."""
    import asyncio

    return asyncio.run(work)
