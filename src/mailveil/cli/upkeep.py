"""Commands to look after it: database, copies, lists, originals, keys and the judge."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, end, organisation_option, program, yes_option

LIST_FORMATS = ("adblock", "hosts", "disconnect", "cnames")


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
