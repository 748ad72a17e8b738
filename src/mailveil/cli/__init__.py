"""The command line: what can be asked for, and nothing of how it is done."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from mailveil.cli import feeds, intelligence, mail, people, policy, proving, recon, sharing, upkeep, weekly
from mailveil.cli.root import UNUSABLE, program

__all__ = [
    "feeds",
    "intelligence",
    "invoke",
    "mail",
    "main",
    "people",
    "policy",
    "program",
    "proving",
    "recon",
    "run",
    "sharing",
    "upkeep",
    "weekly",
]

INTERRUPTED = 130


def main() -> None:
    """Run the program; end quietly when interrupted or when nobody reads on."""
    run(lambda: invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> Any:
    """Run the command that the arguments name and return its exit code."""
    # Not program.main(): it prints an empty line for Ctrl-C, and takes a closed pipe for an error of ours.
    with program.make_context("mailveil", list(arguments)) as context:
        return program.invoke(context)


def run(work: Callable[[], Any]) -> NoReturn:
    """Run ``work`` and end the program with what it returns."""
    try:
        code = work()
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except click.exceptions.Abort:
        # The question stands there without an answer, as under cron, where nobody is who could give one.
        click.echo("\nmailveil: stopped, since nobody agreed", err=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Python would complain once more when it flushes what nobody takes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except OSError as error:
        # Such as a full disk under standard output. Not 1, which would mean that --fail-on matched.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        named = f"{error.filename}: " if error.filename else ""
        click.echo(f"mailveil: {named}{error.strerror or error}", err=True)
        raise SystemExit(UNUSABLE) from None
    raise SystemExit(code if isinstance(code, int) else 0)
