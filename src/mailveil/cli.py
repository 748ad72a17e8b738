"""The command line: what can be asked for, and nothing of how it is done."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mailveil import __version__

if TYPE_CHECKING:
    from mailveil.config import Settings

Result = TypeVar("Result")

INTERRUPTED = 130
UNUSABLE = 2
TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h
FAIL_ON = ("tracker", "remote", "risk=low", "risk=medium", "risk=high")
MODES = ("hosted", "embedded", "none")
ROLES = ("gateway", "copies", "fetcher", "console")
ON_DEMAND_ROLES = ("egress",)
RENAMED_ROLES = {"status": "console"}
HEADINGS = {
    "To run it": ("serve", "try", "recipes", "check", "config", "demo"),
    "To look into mail that you have, and to clean it": ("scan", "clean"),
    "To decide what is protected": ("policy", "allow"),
    "People, programs and organisations": ("user", "token", "organisation", "person"),
    "To look after it": ("database", "copies", "fetches", "release", "lists", "arc-key"),
    "To train the judge": ("train", "evaluate"),
}
LIST_FORMATS = ("adblock", "hosts", "disconnect", "cnames")


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


jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 1024), default=None, help="Worker processes [default: all cores]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each message.")
json_lines_option = click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")
organisation_option = click.option(
    "--organisation", default="default", metavar="ID", help="In which organisation [default: default]."
)


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
    "-n", "--limit", type=click.IntRange(1, 10_000), default=50, help="So many at most [default: 50]."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each fetch, URLs included.")
@click.pass_obj
def fetches(invocation: Invocation, *, limit: int, as_json: bool) -> int:
    """List the latest fetches: which host, how they ended, how long they took and what they brought.

    With --json everything that is on record about them. URLs often tell who the reader is: keep it to yourself.
    """
    from mailveil.commands.fetches import list_fetches

    return list_fetches(invocation.settings(), limit, as_json=as_json)


@program.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each list.")
@click.pass_context
def lists(context: click.Context, *, as_json: bool) -> int:
    """Show the imported block lists: where each came from, its licence, what of it is used.

    What they name is evidence for verdicts, with the list's name beside it. A running server reads them when it
    starts.
    """
    if context.invoked_subcommand is not None:
        return 0
    from mailveil.commands.lists import show_lists

    return show_lists(context.obj.settings(), as_json=as_json)


yes_option = click.option("-y", "--yes", "assume_yes", is_flag=True, help="Agree beforehand.")


@lists.command(name="import")
@click.argument("name")
@click.argument("source", metavar="FILE|URL")
@click.option(
    "--format", "form", type=click.Choice(LIST_FORMATS), default=None, help="[default: as it looks]"
)
@yes_option
@click.pass_obj
def import_list(invocation: Invocation, name: str, source: str, *, form: str | None, assume_yes: bool) -> int:
    """Import a list from a file or an https address, under NAME.

    Understands the rules of Adblock Plus and EasyPrivacy (those about network requests), hosts files,
    Disconnect's services.json and entities.json, and AdGuard's lists of CNAMEs. Says what it would use and what
    it would skip, and asks.

    Exit code: 0; 1 where nobody agreed; 2 where it could not be read.
    """
    from mailveil.commands.lists import import_list
    from mailveil.core.verdicts.lists import ListFormat

    chosen = ListFormat(form) if form else None
    return import_list(invocation.settings(), name, source, chosen, assume_yes=assume_yes)


@lists.command(name="update")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@yes_option
@click.pass_obj
def update_lists(invocation: Invocation, names: tuple[str, ...], *, assume_yes: bool) -> int:
    """Read lists again from where they came [default: all], say what would change, and ask.

    Exit code: 0; 1 where nobody agreed; 2 where one could not be read.
    """
    from mailveil.commands.lists import update_lists

    return update_lists(invocation.settings(), names, assume_yes=assume_yes)


@lists.command(name="remove")
@click.argument("name")
@click.pass_obj
def remove_list(invocation: Invocation, name: str) -> int:
    """Forget a list."""
    from mailveil.commands.lists import remove_list

    return remove_list(invocation.settings(), name)


@program.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def copies(context: click.Context, *, as_json: bool) -> int:
    """Tell what safe copies there are: how many, how old, how much room they take."""
    if context.invoked_subcommand is not None:
        return 0
    from mailveil.commands.stored import show_copies

    return show_copies(context.obj.settings(), as_json=as_json)


@copies.command(name="delete")
@click.argument("what", nargs=-1, metavar="[WHAT]...")
@click.option("--older-than", type=click.IntRange(0, 36_500), default=None, metavar="DAYS")
@click.option("--host", default="", metavar="HOST", help="What was fetched from a host or any below it.")
@click.option("-y", "--yes", "assume_yes", is_flag=True, help="Delete without asking first.")
@click.pass_obj
def delete(
    invocation: Invocation, *, what: tuple[str, ...], older_than: int | None, host: str, assume_yes: bool
) -> int:
    """Delete safe copies; placeholders answer in their place.

    WHAT is the address of a copy as it stands in mail, its last part alone, or the SHA-256 of a content, which is
    deleted at every address. A host is known as far back as evidence is kept ([fetch] evidence_days).

    Exit code: 0; 1 where something was not there or the answer was no; 2 where nothing could be done.
    """
    from mailveil.commands.stored import Deletion, delete_copies

    return delete_copies(invocation.settings(), Deletion(what, older_than, host, assume_yes))


@program.group()
def database() -> None:
    """Look after the database of the control room."""


passphrase_option = click.option(
    "--passphrase-file",
    default="",
    metavar="FILE",
    help="Key files too, sealed with the passphrase in FILE.",
)


@database.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def database_status(invocation: Invocation, *, as_json: bool) -> int:
    """Tell where it is, which revision its tables have, and how much is in them.

    Exit code: 0; 2 where it does not answer, or is of a newer program.
    """
    from mailveil.commands.database import show_database

    return show_database(invocation.settings(), as_json=as_json)


@database.command(name="upgrade")
@click.pass_obj
def database_upgrade(invocation: Invocation) -> int:
    """Make the tables, or bring those of an older version up to date. `mailveil serve` does it by itself.

    There is no way back but a backup made before.
    """
    from mailveil.commands.database import upgrade_database

    return upgrade_database(invocation.settings())


@database.command(name="backup")
@click.argument("file")
@passphrase_option
@click.pass_obj
def database_backup(invocation: Invocation, *, file: str, passphrase_file: str) -> int:
    """Write all records as they are at this moment to FILE, while mailveil runs.

    The file goes into SQLite and PostgreSQL alike. It holds what the database holds, so keep it as safe. Sessions
    and one-time links are left out.
    """
    from mailveil.commands.database import back_up

    return back_up(invocation.settings(), file, passphrase_file)


@database.command(name="restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Delete what is in the database now.")
@passphrase_option
@click.pass_obj
def database_restore(invocation: Invocation, *, file: str, force: bool, passphrase_file: str) -> int:
    """Put the backup in FILE into the database that is configured: all of it, or nothing.

    The database has to be empty. A backup of an older version is brought up to date.
    """
    from mailveil.commands.database import Restoration, restore

    return restore(invocation.settings(), Restoration(file, force, passphrase_file))


@program.command()
@click.argument("name", required=False, default="")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where it goes [default: standard output].")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the audit trail.")
@organisation_option
@click.option("--unrecorded", is_flag=True, help="Where the database is away: without the audit trail.")
@click.pass_obj
def release(
    invocation: Invocation, *, name: str, output: str, reason: str, organisation: str, unrecorded: bool
) -> int:
    """Bring back the original of a message that had to be changed; without NAME, list what is kept.

    The original contains whatever made it dangerous. Open it where it can do no harm. That it was brought back, by
    whom and why is written into the audit trail of the organisation first.
    """
    from mailveil.adapters.originals import OriginalError
    from mailveil.commands.release import Release, list_originals, release_original

    settings = invocation.settings()
    try:
        if not name:
            return list_originals(settings)
        return release_original(settings, Release(name, output, reason, organisation, unrecorded))
    except OriginalError as error:
        end(str(error))


@program.command(name="arc-key")
@click.argument("domain", required=False, default="")
@click.option(
    "--selector", default="", metavar="NAME", help="Its selector [default: mailveil and the month]."
)
@click.option(
    "-o", "--output", default="", metavar="FILE", help="Where it goes [default: with the other state]."
)
@click.pass_obj
def arc_key(invocation: Invocation, domain: str, selector: str, output: str) -> int:
    """Make a key that changed messages are sealed with (ARC), in the name of DOMAIN.

    Says what to put into the DNS and the configuration. Contacts nobody, and never writes over a file.
    """
    from mailveil.adapters.sealer import SealingKeyError
    from mailveil.commands.arckey import make_arc_key

    try:
        return make_arc_key(invocation.settings(), domain, selector, output)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except (SealingKeyError, OSError) as error:
        end(str(error))


data_argument = click.argument("data", type=click.Path(exists=True, dir_okay=False), metavar="DATA")
seed_option = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, help="[default: 1]")


@program.command()
@data_argument
@click.option("-o", "--output", default="model.json", metavar="FILE", help="[default: model.json]")
@seed_option
@click.option("--date", default="", metavar="DATE", help="Written into the model as it is.")
def train(*, data: str, output: str, seed: int, date: str) -> int:
    """Train a model on labelled references.

    DATA is JSON Lines, as docs/model.md describes them. The same DATA, seed and date give the same bytes.
    """
    from mailveil.commands.train import TrainRequest, train

    return train(TrainRequest(data, output, seed, date))


@program.command()
@data_argument
@click.option(
    "--messages", default="", metavar="FOLDER", help="Judge these messages, too, labels keyed by URL."
)
@click.option("--model", default="", metavar="FILE", help="Another model than the one that is shipped.")
@click.option("--out-of-fold", is_flag=True, help="Judge by models that know nothing of the rows tested.")
@click.option("--json", "json_file", default="", metavar="FILE", help="Write the figures, too.")
@click.option("--html", "html_file", default="", metavar="FILE", help="Write a page with plots, too.")
@click.option("--quick", is_flag=True, help="Leave out other splits and the share of each class of evidence.")
@seed_option
def evaluate(
    *,
    data: str,
    messages: str,
    model: str,
    out_of_fold: bool,
    json_file: str,
    html_file: str,
    quick: bool,
    seed: int,
) -> int:
    """Tell how good the judge is on labelled references.

    On DATA that the model was trained on, every row is judged by a model that knows nothing of its host,
    owner, sender and message template; other DATA by the model itself.
    """
    from mailveil.commands.evaluate import EvaluateRequest, evaluate

    return evaluate(
        EvaluateRequest(
            data=data,
            messages=messages,
            model=model,
            out_of_fold=out_of_fold,
            json_file=json_file,
            html_file=html_file,
            quick=quick,
            seed=seed,
        )
    )


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


ROLE_NAMES = ("viewer", "analyst", "administrator")


@program.group()
def user() -> None:
    """People who sign in to the console."""


@user.command(name="list")
@json_lines_option
@click.pass_obj
def list_users(invocation: Invocation, *, as_json: bool) -> int:
    """List who may sign in."""
    from mailveil.commands.users import show_users

    return show_users(invocation.settings(), as_json=as_json)


@user.command(name="first-administrator")
@json_lines_option
@click.pass_obj
def first_administrator(invocation: Invocation, *, as_json: bool) -> int:
    """Print the link with which the first administrator is made. It works once, for a day."""
    from mailveil.commands.users import show_first_link

    return show_first_link(invocation.settings(), as_json=as_json)


@user.command(name="add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLE_NAMES), default="viewer", show_default=True)
@click.option(
    "--home",
    default="default",
    metavar="ID",
    help="The organisation they belong to, * for all [default: default].",
)
@click.option("--full-name", default="", metavar="NAME")
@json_lines_option
@click.pass_obj
def add_user(
    invocation: Invocation, *, name: str, role: str, home: str, full_name: str, as_json: bool
) -> int:
    """Make a user, and print the link with which they choose a password. It works once, for a day."""
    from mailveil.commands.users import add_user

    return add_user(invocation.settings(), name, role, home, full_name=full_name, as_json=as_json)


@user.command(name="role")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLE_NAMES))
@click.pass_obj
def change_role(invocation: Invocation, *, name: str, role: str) -> int:
    """Give a user another role. Their sessions end."""
    from mailveil.commands.users import change_role

    return change_role(invocation.settings(), name, role)


@user.command(name="disable")
@click.argument("name")
@click.pass_obj
def disable_user(invocation: Invocation, *, name: str) -> int:
    """Sign a user out and shut them out. Tokens that they made open nothing meanwhile."""
    from mailveil.commands.users import change_access

    return change_access(invocation.settings(), name, is_disabled=True)


@user.command(name="enable")
@click.argument("name")
@click.pass_obj
def enable_user(invocation: Invocation, *, name: str) -> int:
    """Let a user in again."""
    from mailveil.commands.users import change_access

    return change_access(invocation.settings(), name, is_disabled=False)


@user.command(name="password-link")
@click.argument("name")
@json_lines_option
@click.pass_obj
def password_link(invocation: Invocation, *, name: str, as_json: bool) -> int:
    """Print a link with which a user chooses a new password. It works once, for a day."""
    from mailveil.commands.users import show_password_link

    return show_password_link(invocation.settings(), name, as_json=as_json)


@user.command(name="remove-second-factor")
@click.argument("name")
@click.pass_obj
def remove_second_factor(invocation: Invocation, *, name: str) -> int:
    """Let a user whose phone is lost sign in with the password alone."""
    from mailveil.commands.users import drop_second_factor

    return drop_second_factor(invocation.settings(), name)


@program.group()
def token() -> None:
    """What programs show to the API."""


@token.command(name="create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, metavar="SCOPE", help="What it may do; several times."
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="How long it lasts."
)
@organisation_option
@click.option("--everywhere", is_flag=True, help="For all organisations.")
@json_lines_option
@click.pass_obj
def create_token(
    invocation: Invocation,
    *,
    name: str,
    scopes: tuple[str, ...],
    days: int,
    organisation: str,
    everywhere: bool,
    as_json: bool,
) -> int:
    """Make a token, and print its secret, which is stored nowhere.

    SCOPE is one of messages:read, statistics:read, trackers:read, copies:read, copies:write, originals:read,
    originals:release, policy:read, policy:write, allow:read, allow:write, feedback:read, feedback:write, inspect,
    health:read, audit:read, users:read, users:write, tokens:read, tokens:write, people:export, people:erase,
    organisations:read, organisations:write.

    \b
    mailveil token create "SIEM export" --scope messages:read --scope trackers:read --days 90
    """
    from mailveil.commands.tokens import create_token

    return create_token(
        invocation.settings(),
        name,
        scopes,
        days,
        organisation=organisation,
        everywhere=everywhere,
        as_json=as_json,
    )


@token.command(name="list")
@organisation_option
@json_lines_option
@click.pass_obj
def list_tokens(invocation: Invocation, *, organisation: str, as_json: bool) -> int:
    """List the tokens of an organisation."""
    from mailveil.commands.tokens import show_tokens

    return show_tokens(invocation.settings(), organisation=organisation, as_json=as_json)


@token.command(name="revoke")
@click.argument("identifier")
@organisation_option
@click.pass_obj
def revoke_token(invocation: Invocation, *, identifier: str, organisation: str) -> int:
    """Have a token open nothing any more."""
    from mailveil.commands.tokens import end_token

    return end_token(invocation.settings(), identifier, organisation=organisation)


@program.group()
def person() -> None:
    """What is kept of one recipient, for whom it is about. What they opened is not known."""


@person.command(name="export")
@click.argument("address")
@organisation_option
@click.pass_obj
def export_person(invocation: Invocation, *, address: str, organisation: str) -> int:
    """Print everything that is kept of ADDRESS (or a pseudonym) as JSON, one object a line."""
    from mailveil.commands.people import export_of_person

    return export_of_person(invocation.settings(), address, organisation=organisation)


@person.command(name="erase")
@click.argument("address")
@organisation_option
@yes_option
@click.pass_obj
def erase_person(invocation: Invocation, *, address: str, organisation: str, assume_yes: bool) -> int:
    """Delete everything that is kept of ADDRESS (or a pseudonym), for good. Figures stay: they name nobody."""
    from mailveil.commands.people import erase_of_person

    return erase_of_person(invocation.settings(), address, organisation=organisation, assume_yes=assume_yes)


@program.group()
def organisation() -> None:
    """Organisations: people with domains of their own, kept apart from all others."""


@organisation.command(name="list")
@json_lines_option
@click.pass_obj
def list_organisations(invocation: Invocation, *, as_json: bool) -> int:
    """List the organisations."""
    from mailveil.commands.organisations import show_organisations

    return show_organisations(invocation.settings(), as_json=as_json)


@organisation.command(name="add")
@click.argument("identifier")
@click.option("--name", default="", help="[default: the identifier]")
@click.option("--domain", "domains", multiple=True, metavar="DOMAIN", help="That it receives mail for.")
@click.option("--language", default="en", show_default=True, metavar="TAG", help="Of its readers.")
@click.pass_obj
def add_organisation(
    invocation: Invocation, *, identifier: str, name: str, domains: tuple[str, ...], language: str
) -> int:
    """Make an organisation. IDENTIFIER is a short word."""
    from mailveil.commands.organisations import add_organisation

    return add_organisation(invocation.settings(), identifier, name, domains, language)


@organisation.command(name="change")
@click.argument("identifier")
@click.option("--name", default=None)
@click.option("--domain", "domains", multiple=True, metavar="DOMAIN", help="That it receives mail for, too.")
@click.option("--without", multiple=True, metavar="DOMAIN", help="That it receives mail for no more.")
@click.option("--language", default=None, metavar="TAG", help="Of its readers.")
@click.pass_obj
def change_organisation(
    invocation: Invocation,
    *,
    identifier: str,
    name: str | None,
    domains: tuple[str, ...],
    without: tuple[str, ...],
    language: str | None,
) -> int:
    """Change what is named of an organisation."""
    from mailveil.commands.organisations import alter_organisation

    return alter_organisation(
        invocation.settings(), identifier, name=name, domains=domains, without=without, language=language
    )


@organisation.command(name="remove")
@click.argument("identifier")
@yes_option
@click.pass_obj
def remove_organisation(invocation: Invocation, *, identifier: str, assume_yes: bool) -> int:
    """Delete an organisation with everything that is kept of it, its users included."""
    from mailveil.commands.organisations import drop_organisation

    return drop_organisation(invocation.settings(), identifier, assume_yes=assume_yes)


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


LEVELS = ("strict", "normal", "gentle")


@program.group()
def policy() -> None:
    """What is protected, for whom, and how: levels and rules (docs/policy.md)."""


@policy.command(name="show")
@click.option("--version", type=click.IntRange(0), default=None, help="An earlier one [default: in force].")
@organisation_option
@json_lines_option
@click.pass_obj
def show_policy(invocation: Invocation, *, version: int | None, organisation: str, as_json: bool) -> int:
    """Print the policy, and its rules in the order in which they are asked."""
    from mailveil.commands.policies import show_policy

    return show_policy(invocation.settings(), organisation, version=version, as_json=as_json)


@policy.command(name="set-level")
@click.argument("level", type=click.Choice(LEVELS))
@click.option("--comment", default="", help="Why, for the history.")
@organisation_option
@click.pass_obj
def set_level(invocation: Invocation, *, level: str, comment: str, organisation: str) -> int:
    """Choose a ready-made level; rules stay."""
    from mailveil.commands.policies import change_level

    return change_level(invocation.settings(), organisation, level, comment=comment)


@policy.command(name="check")
@click.argument("file", metavar="FILE")
def check_policy(*, file: str) -> int:
    """Tell whether FILE (- for standard input) is a policy, or all that is wrong with it. Changes nothing."""
    from mailveil.commands.policies import check_file

    return check_file(file)


@policy.command(name="import")
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@click.option("--comment", default="", help="Why, for the history.")
@organisation_option
@json_lines_option
@click.pass_obj
def import_policy(
    invocation: Invocation, *, file: str, dry_run: bool, comment: str, organisation: str, as_json: bool
) -> int:
    """Put FILE in force: a policy, or all that `mailveil policy export` prints.

    Where FILE has an allow-list, entries that are not in it are revoked.
    """
    from mailveil.commands.policies import import_file

    return import_file(
        invocation.settings(), organisation, file, dry_run=dry_run, comment=comment, as_json=as_json
    )


@policy.command(name="export")
@organisation_option
@json_lines_option
@click.pass_obj
def export_policy(invocation: Invocation, *, organisation: str, as_json: bool) -> int:
    """Print policy, allow-list and the organisation's settings as one file, for version control."""
    from mailveil.commands.policies import export_policy

    return export_policy(invocation.settings(), organisation, as_json=as_json)


@policy.command(name="history")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@organisation_option
@json_lines_option
@click.pass_obj
def policy_history(invocation: Invocation, *, limit: int, organisation: str, as_json: bool) -> int:
    """Print who changed the policy when, and what."""
    from mailveil.commands.policies import show_history

    return show_history(invocation.settings(), organisation, limit=limit, as_json=as_json)


@policy.command(name="explain")
@click.argument("message", metavar="MESSAGE")
@click.option("--reference", type=click.IntRange(1), default=None, help="That one alone, by its number.")
@click.option("--recipient", default="", metavar="ADDRESS", help="For whom [default: the first on record].")
@organisation_option
@json_lines_option
@click.pass_obj
def explain_policy(
    invocation: Invocation,
    *,
    message: str,
    reference: int | None,
    recipient: str,
    organisation: str,
    as_json: bool,
) -> int:
    """Say why each reference of a message on record was kept or replaced, and what would be done now."""
    from mailveil.commands.policies import explain_stored

    return explain_stored(
        invocation.settings(), organisation, message, recipient=recipient, number=reference, as_json=as_json
    )


@policy.command(name="try")
@click.argument("file", metavar="FILE")
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="How far back.")
@organisation_option
@json_lines_option
@click.pass_obj
def try_policy(invocation: Invocation, *, file: str, days: int, organisation: str, as_json: bool) -> int:
    """Tell what FILE would have changed about the mail of the last days. Changes nothing.

    \b
    mailveil policy export > policy.toml      # write rules into it, then
    mailveil policy try policy.toml --days 14
    mailveil policy import policy.toml --comment "asked for by the board"
    """
    from mailveil.commands.policies import try_file

    return try_file(invocation.settings(), organisation, file, days=days, as_json=as_json)


@program.group()
def allow() -> None:
    """Partners whose references stay, where it is proven that a message is theirs."""


@allow.command(name="list")
@click.option("--all", "show_all", is_flag=True, help="Those that were revoked or have expired, too.")
@organisation_option
@json_lines_option
@click.pass_obj
def list_allowed(invocation: Invocation, *, show_all: bool, organisation: str, as_json: bool) -> int:
    """List who is trusted, why, until when, and who answers for it."""
    from mailveil.commands.allowing import show_allowed

    return show_allowed(invocation.settings(), organisation, show_all=show_all, as_json=as_json)


@allow.command(name="add")
@click.argument("author")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="Only references there; several times.")
@click.option("--reason", required=True, help="Why.")
@click.option("--owner", default="", help="Who answers for it [default: you].")
@click.option("--until", default="", metavar="DAY", help="As 2026-12-31 [default: until revoked].")
@organisation_option
@json_lines_option
@click.pass_obj
def add_allowed(
    invocation: Invocation,
    *,
    author: str,
    hosts: tuple[str, ...],
    reason: str,
    owner: str,
    until: str,
    organisation: str,
    as_json: bool,
) -> int:
    """Let the references of AUTHOR stay: example.org, .example.org (and all below it), or an address.

    It holds only for messages that are proven to be AUTHOR's: a forged sender gains nothing.

    \b
    mailveil allow add .partner.example --host .cdn.partner.example --reason "monthly report" --until 2027-06-30
    """
    from mailveil.commands.allowing import add_allowed

    return add_allowed(
        invocation.settings(),
        organisation,
        author,
        hosts=hosts,
        owner=owner,
        reason=reason,
        until=until,
        as_json=as_json,
    )


@allow.command(name="revoke")
@click.argument("identifier", metavar="ID")
@click.option("--reason", default="", help="Why, for the audit trail.")
@organisation_option
@click.pass_obj
def revoke_allowed(invocation: Invocation, *, identifier: str, reason: str, organisation: str) -> int:
    """Trust a partner no more."""
    from mailveil.commands.allowing import end_allowed

    return end_allowed(invocation.settings(), organisation, identifier, reason=reason)


@allow.command(name="extend")
@click.argument("identifier", metavar="ID")
@click.option("--until", required=True, metavar="DAY", help='As 2026-12-31, or "revoked" for until revoked.')
@click.option("--reason", default="", help="Why, for the audit trail.")
@organisation_option
@click.pass_obj
def extend_allowed(
    invocation: Invocation, *, identifier: str, until: str, reason: str, organisation: str
) -> int:
    """Let an entry hold until another day."""
    from mailveil.commands.allowing import extend_entry

    return extend_entry(invocation.settings(), organisation, identifier, until=until, reason=reason)


def run_until_complete(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in an event loop of its own."""
    import asyncio

    return asyncio.run(work)


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
    except (KeyboardInterrupt, click.exceptions.Abort):
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
