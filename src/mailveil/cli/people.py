"""Commands about people, programs and organisations."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, json_lines_option, organisation_option, program, yes_option

LANGUAGE_HELP = "Of its readers: de, en, es, fr, ja; others are addressed in English."
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
    activities:read, activities:write, intelligence:read, sharing:read, sharing:write,
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
@click.option("--language", default="en", show_default=True, metavar="TAG", help=LANGUAGE_HELP)
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
@click.option("--language", default=None, metavar="TAG", help=LANGUAGE_HELP)
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
