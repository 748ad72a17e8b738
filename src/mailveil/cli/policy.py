"""Commands to decide what is protected, and which partners are trusted."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, json_lines_option, organisation_option, program

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
