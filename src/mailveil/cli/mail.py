"""Commands to run it, and to look into mail and clean it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import click

from mailveil.cli.root import Invocation, end, program, run_until_complete

TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h


FAIL_ON = ("tracker", "remote", "risk=low", "risk=medium", "risk=high")


MODES = ("hosted", "embedded", "none")


ROLES = ("gateway", "copies", "fetcher", "console")


ON_DEMAND_ROLES = ("egress",)


RENAMED_ROLES = {"status": "console"}


jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 1024), default=None, help="Worker processes [default: all cores]."
)


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each message.")


@program.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@json_option
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(FAIL_ON),
    help="Exit with 1 if a message has it. May be given more than once.",
)
@click.option("--all", "show_all", is_flag=True, help="List every message with remote content.")
@click.option(
    "--online",
    is_flag=True,
    help="Ask the DNS to which names hosts lead. Their operators may see these questions.",
)
@jobs_option
@click.pass_obj
def scan(
    invocation: Invocation,
    *,
    paths: tuple[str, ...],
    as_json: bool,
    fail_on: tuple[str, ...],
    show_all: bool,
    online: bool,
    jobs: int | None,
) -> int:
    """Report every remote reference of mail and contact nobody.

    PATH is a message, an mbox, a Maildir, a folder of any of them, or - for standard input.

    Exit code: 0; 1 where --fail-on matched; 2 where something could not be read.
    """
    from mailveil.commands.scan import ScanRequest, scan

    request = ScanRequest(
        paths=paths,
        as_json=as_json,
        fail_on=widen(fail_on),
        online=online,
        jobs=jobs or 0,
        show_all=show_all,
    )
    return scan(request, invocation.settings())


def widen(fail_on: Sequence[str]) -> frozenset[str]:
    """Return what ``--fail-on`` means: a level of risk stands for itself and all above it."""
    levels = [each for each in FAIL_ON if each.startswith("risk=")]
    wanted = set(fail_on)
    for number, level in enumerate(levels):
        if level in fail_on:
            wanted.update(levels[number:])
    return frozenset(wanted)


@program.command()
@click.argument("source", default="-", metavar="[IN]")
@click.option(
    "-o",
    "--output",
    default="",
    metavar="OUT",
    help="Where the cleaned mail goes [default: standard output, for standard input alone].",
)
@click.option("--copies", type=click.Choice(MODES), default=None, help="How safe copies reach the reader.")
@click.option("--copies-url", default="", metavar="URL", help="The copies server as readers reach it.")
@click.option("--fetch/--no-fetch", default=False, help="Make the safe copies now [default: placeholders].")
@click.option("-y", "--yes", "assume_yes", is_flag=True, help="Contact origins without asking first.")
@click.option("-f", "--force", is_flag=True, help="Write over what is there already.")
@json_option
@jobs_option
@click.pass_obj
def clean(
    invocation: Invocation,
    *,
    source: str,
    output: str,
    copies: str | None,
    copies_url: str,
    fetch: bool,
    assume_yes: bool,
    force: bool,
    as_json: bool,
    jobs: int | None,
) -> int:
    """Write mail anew without any remote reference; every other byte stays.

    IN is a message, an mbox, a Maildir, a folder, or - (the default) for one message on standard input. OUT
    becomes the same kind of thing; files without mail are copied as they are.

    Exit code: 0; 1 where a message could not be cleaned and was left out; 2 where nothing could be done.
    From standard input it is 75 whatever went wrong, with nothing on standard output: the mail server keeps
    the message and tries again.
    """
    from mailveil.commands.clean import CleanRequest, clean
    from mailveil.core.protection import CopyMode

    if not output and source != "-":
        raise click.UsageError("name the output with -o OUT")
    request = CleanRequest(
        source=source,
        output=output or "-",
        mode=CopyMode(copies) if copies else None,
        copies_url=copies_url,
        fetch=fetch,
        assume_yes=assume_yes,
        as_json=as_json,
        jobs=jobs or 0,
        force=force,
    )
    if source == "-":
        with temporary_failure():
            return clean(request, invocation.settings())
    return clean(request, invocation.settings())


@contextlib.contextmanager
def temporary_failure() -> Any:
    """Turn whatever goes wrong into the exit code that makes a mail server keep its message."""
    from mailveil.commands.terminal import complain

    try:
        yield
    except SystemExit as error:
        raise SystemExit(TEMPORARY_FAILURE) from error
    except Exception as error:
        complain(f"unexpected {type(error).__name__}")
        raise SystemExit(TEMPORARY_FAILURE) from error


@program.command()
@click.option(
    "--role", "roles", default="", metavar="ROLE,...", help=f"Only some of {', '.join(ROLES)}; or egress."
)
@click.pass_obj
def serve(invocation: Invocation, roles: str) -> int:
    """Run the gateway with its copies server, fetcher and console."""
    from mailveil.app import Role, StartError, configure_logging, serve
    from mailveil.config import SettingsError

    named = [each.strip() for each in roles.split(",") if each.strip()] or list(ROLES)
    for each in named:
        if each in RENAMED_ROLES:
            text = f"{each!r} is called {RENAMED_ROLES[each]!r} now"
            raise click.BadParameter(text, param_hint="--role")
        if each not in ROLES + ON_DEMAND_ROLES:
            known = ", ".join(ROLES + ON_DEMAND_ROLES)
            raise click.BadParameter(f"{each!r} is none of {known}", param_hint="--role")
    settings = invocation.settings()
    configure_logging(settings.log)
    try:
        run_until_complete(serve(settings, frozenset(Role(each) for each in named)))
    except (StartError, SettingsError) as error:
        end(str(error))
    return 0


@program.command()
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Validate the configuration and tell what each listener and next hop answers."""
    from mailveil.app import Outcome, check
    from mailveil.commands.terminal import printable
    from mailveil.config import find_file

    settings = invocation.settings()
    source = find_file(invocation.configuration)
    click.echo(f"configuration: {source or 'defaults'}")
    results = run_until_complete(check(settings))
    for each in results:
        click.echo(f"{each.outcome:6}  {each.name}: {printable(each.text)}")
    return 1 if any(each.outcome is Outcome.BAD for each in results) else 0


@program.command()
@click.pass_obj
def recipes(invocation: Invocation) -> int:
    """Print what to paste into a Postfix or Sendmail on this machine, so that its mail passes through.

    Reads the configuration that `mailveil serve` runs with, changes nothing. Every other way: docs/doors.md.
    """
    from mailveil.app.recipes import mail_server_recipes

    click.echo(mail_server_recipes(invocation.settings()))
    return 0


@program.command(name="try")
@click.option("--server", default="", metavar="HOST:PORT", help="The gateway [default: as configured].")
@click.option("--to", "recipient", default="", metavar="ADDRESS", help="[default: reader@example.org]")
@click.pass_obj
def send(invocation: Invocation, *, server: str, recipient: str) -> int:
    """Send a message full of trackers through the gateway, to see what becomes of it.

    What it names are reserved names that lead nowhere. With --server and --to it takes the way of real mail, by the
    mail server in front of mailveil.

    \b
    mailveil try --server mail.example.org:25 --to you@example.org

    Exit code: 0; 1 where the server refused it.
    """
    from mailveil.app import send_trial
    from mailveil.commands.terminal import printable
    from mailveil.config.values import read_endpoint

    settings = invocation.settings()
    try:
        endpoint = read_endpoint(server) if server else settings.gateway.listen
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
    try:
        reply = run_until_complete(send_trial(endpoint, recipient))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    click.echo(f"{endpoint} answers {printable(str(reply))}")
    if reply.is_positive:
        click.echo(f"Look at {settings.console_url}/")
    return 0 if reply.is_positive else 1


@program.command()
@click.option(
    "--seconds",
    type=click.FloatRange(1, 120),
    default=6.0,
    show_default=True,
    metavar="N",
    help="How long each message stays open.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="Of the page on loopback."
)
@click.option("--no-serve", is_flag=True, help="Print what came of it and end.")
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")
@click.option("--simulate", is_flag=True, help="Use no browser, even where there is one.")
def demo(*, seconds: float, port: int, no_serve: bool, as_json: bool, simulate: bool) -> int:
    """Show what spies learn from mail, and what they learn behind mailveil.

    Takes a minute or two, needs no Internet and changes nothing here: trackers, mailveil and readers all run on
    this machine, on addresses of its own. Reads no configuration.

    Exit code: 0; 1 where the protected side is not silent; 2 where the show could not be given.
    """
    from mailveil.commands.demo.show import DemoRequest
    from mailveil.commands.demo.show import demo as show

    return run_until_complete(
        show(DemoRequest(seconds=seconds, port=port, serve=not no_serve, as_json=as_json, simulate=simulate))
    )


@program.command()
@click.option("--default", "show_default", is_flag=True, help="Print the commented file of all settings.")
@click.pass_obj
def config(invocation: Invocation, show_default: bool) -> int:
    """Print the settings in force and where each of them comes from."""
    from mailveil.config import default_text, describe

    if show_default:
        click.echo(default_text(), nl=False)
        return 0
    area = ""
    for each in describe(invocation.settings()):
        if each.area != area:
            area = each.area
            click.echo(f"\n[{area}]" if area != "gateway" else f"[{area}]")
        click.echo(f"{f'{each.name} = {each.value}':<52} # {each.origin}")
    return 0
