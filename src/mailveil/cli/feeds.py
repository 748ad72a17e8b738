"""Commands for feeds: whose indicators an organisation takes in."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, json_lines_option, organisation_option, program, yes_option


@program.group()
def feeds() -> None:
    """Indicators that others share, from TAXII servers and MISP feeds (docs/feeds.md)."""


@feeds.command(name="list")
@organisation_option
@json_lines_option
@click.pass_obj
def list_feeds(invocation: Invocation, *, organisation: str, as_json: bool) -> int:
    """List feeds, how many indicators each told, when it was last read, and what is wrong."""
    from mailveil.commands.feeds import show_feeds

    return show_feeds(invocation.settings(), organisation, as_json=as_json)


@feeds.command(name="add")
@click.argument("name")
@click.argument("address")
@click.option(
    "--kind", type=click.Choice(["taxii", "misp"]), required=True, help="What kind of server it is."
)
@click.option("--collection", default="", help="TAXII: its title, alias or identifier.")
@click.option("--api-root", default="", help="TAXII: the API root, where the server has several.")
@click.option("--username", default="", help="User name; without one the secret is a bearer token.")
@click.option("--header", default="", help="A header field that takes the secret instead, as X-API-Key.")
@click.option(
    "--secret-file", type=click.Path(), default="", help='A file with the secret ("-": standard input).'
)
@click.option("--ca-file", type=click.Path(), default="", help="Whose certificates are believed (PEM).")
@click.option(
    "--minutes", type=click.IntRange(5, 10_080), default=60, show_default=True, help="Between readings."
)
@click.option(
    "--least-confidence", type=click.IntRange(0, 100), default=0, help="Leave out what is less sure."
)
@click.option("--plain-http", is_flag=True, help="Allow http:// on a way that is safe.")
@organisation_option
@json_lines_option
@click.pass_obj
def add_feed(
    invocation: Invocation,
    *,
    name: str,
    address: str,
    kind: str,
    collection: str,
    api_root: str,
    username: str,
    header: str,
    secret_file: str,
    ca_file: str,
    minutes: int,
    least_confidence: int,
    plain_http: bool,
    organisation: str,
    as_json: bool,
) -> int:
    """Take in the feed at ADDRESS under a NAME. A running mailveil reads it within seconds.

    \b
    mailveil feeds add CERT https://cert.example/taxii2/ --kind taxii --collection Spies \\
        --username us --secret-file cert.password
    mailveil feeds add CIRCL https://www.circl.lu/doc/misp/feed-osint/ --kind misp
    """
    from mailveil.commands.feeds import add_feed

    options: dict[str, str | int | bool] = {
        "collection": collection,
        "api_root": api_root,
        "username": username,
        "header": header,
        "minutes": minutes,
    }
    if least_confidence:
        options["least_confidence"] = least_confidence
    if plain_http:
        options["plain_http"] = True
    return add_feed(
        invocation.settings(),
        organisation,
        name,
        kind,
        address,
        options=options,
        secret_file=secret_file,
        ca_file=ca_file,
        as_json=as_json,
    )


@feeds.command(name="change")
@click.argument("feed")
@click.option("--name", default=None, help="Another name.")
@click.option("--address", default=None, help="Another address; of another system its secret is needed, too.")
@click.option(
    "--enable/--disable", "is_enabled", default=None, help="Read it, or no more; what it told stays."
)
@click.option("--collection", default=None, help="TAXII: its title, alias or identifier.")
@click.option("--api-root", default=None, help="TAXII: the API root, where the server has several.")
@click.option("--username", default=None, help="User name; without one the secret is a bearer token.")
@click.option("--header", default=None, help="A header field that takes the secret instead.")
@click.option(
    "--secret-file", type=click.Path(), default="", help='A file with another secret ("-": standard input).'
)
@click.option("--ca-file", type=click.Path(), default=None, help="Whose certificates are believed (PEM).")
@click.option("--minutes", type=click.IntRange(5, 10_080), default=None, help="Between readings.")
@click.option(
    "--least-confidence", type=click.IntRange(0, 100), default=None, help="Leave out what is less sure."
)
@click.option(
    "--plain-http/--https-only", "plain_http", default=None, help="Allow http:// on a way that is safe."
)
@organisation_option
@json_lines_option
@click.pass_obj
def change_feed(
    invocation: Invocation,
    /,
    *,
    feed: str,
    name: str | None,
    address: str | None,
    is_enabled: bool | None,
    secret_file: str,
    ca_file: str | None,
    organisation: str,
    as_json: bool,
    **options: str | int | bool | None,
) -> int:
    """Change what is given of a FEED (its name or identifier); the rest stays.

    An option with an empty value is taken away. A feed that leads elsewhere now, or is asked for something else, is
    read from its beginning.

    \b
    mailveil feeds change CERT --disable
    mailveil feeds change CERT --secret-file - --minutes 30 < cert.password
    mailveil feeds change CERT --username "" --name "CERT of the sector"
    """
    from mailveil.commands.feeds import change_feed

    return change_feed(
        invocation.settings(),
        organisation,
        feed,
        name=name,
        address=address,
        is_enabled=is_enabled,
        options={option: value for option, value in options.items() if value is not None},
        secret_file=secret_file,
        ca_file=ca_file,
        as_json=as_json,
    )


@feeds.command(name="remove")
@click.argument("feed")
@organisation_option
@yes_option
@click.pass_obj
def remove_feed(invocation: Invocation, *, feed: str, organisation: str, assume_yes: bool) -> int:
    """Delete a feed (its name or identifier) with everything that it told."""
    from mailveil.commands.feeds import remove_feed

    return remove_feed(invocation.settings(), organisation, feed, assume_yes=assume_yes)


@feeds.command(name="read")
@click.argument("feed")
@click.option("--anew", is_flag=True, help="From the beginning.")
@organisation_option
@json_lines_option
@click.pass_obj
def read_feed(invocation: Invocation, *, feed: str, anew: bool, organisation: str, as_json: bool) -> int:
    """Read a feed (its name or identifier) now, and tell what came of it."""
    from mailveil.commands.feeds import read_feed

    return read_feed(invocation.settings(), organisation, feed, anew=anew, as_json=as_json)


@feeds.command(name="indicators")
@click.argument("value", default="")
@click.option("--feed", default="", help="Only of this feed (its name or identifier).")
@organisation_option
@json_lines_option
@click.pass_obj
def list_indicators(
    invocation: Invocation, *, value: str, feed: str, organisation: str, as_json: bool
) -> int:
    """List what feeds told; with VALUE only what begins so, such as a domain."""
    from mailveil.commands.feeds import show_indicators

    return show_indicators(invocation.settings(), organisation, value, feed=feed, as_json=as_json)
