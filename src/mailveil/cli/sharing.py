"""Commands about where events go to."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, json_lines_option, organisation_option, program, yes_option

KINDS = ("syslog", "splunk", "elasticsearch", "json-lines", "webhook", "misp")
FORMATS = ("plain", "cef", "ecs", "ocsf")
EVENTS = (
    "activity.opened",
    "activity.changed",
    "activity.closed",
    "activity.decided",
    "alert.raised",
    "tracker.learned",
)
TLP = ("clear", "green", "amber", "amber+strict", "red")

_choices = (
    click.option("--format", "form", type=click.Choice(FORMATS), help="What events are written in."),
    click.option(
        "--event", "events", type=click.Choice(EVENTS), multiple=True, help="Only this one; several times."
    ),
    click.option(
        "--least-score",
        type=click.FloatRange(0, 1),
        help="Leave activities and alerts below this score out.",
    ),
    click.option(
        "--people",
        type=click.Choice(("none", "pseudonym", "clear")),
        help="How people are named there [default: none].",
    ),
    click.option(
        "--tlp", type=click.Choice(TLP), help="How far it may pass on what it gets [default: amber]."
    ),
    click.option(
        "--option", "options", multiple=True, metavar="NAME=VALUE", help="By kind; several times. @FILE: from a file."
    ),
    click.option(
        "--secret-file", default="", metavar="FILE", help="Its token, key or password, in FILE (-: standard input)."
    ),
)  # fmt: skip


def _chosen(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_choices):
        command = option(command)
    return command


@program.group()
def sharing() -> None:
    """Where events go to: a SIEM, webhooks, files, MISP."""


@sharing.command(name="list")
@organisation_option
@json_lines_option
@click.pass_obj
def list_destinations(invocation: Invocation, *, organisation: str, as_json: bool) -> int:
    """List destinations with how they fare."""
    from mailveil.commands.sharing import show_destinations

    return show_destinations(invocation.settings(), organisation=organisation, as_json=as_json)


@sharing.command(name="add")
@click.argument("name")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("address")
@_chosen
@click.option("--from-beginning", is_flag=True, help="With all events that are kept, not only new ones.")
@organisation_option
@json_lines_option
@click.pass_obj
def add_destination(
    invocation: Invocation,
    /,
    *,
    organisation: str,
    as_json: bool,
    from_beginning: bool,
    **chosen: object,
) -> int:
    """Make a destination, which gets what happens from now on.

    The secret of a webhook is made and printed, if none is given; no other secret is ever shown.

    \b
    mailveil sharing add SIEM syslog tls://siem.example.org:6514 --format cef --option ca_pem=@ca.pem
    mailveil sharing add Splunk splunk https://splunk.example.org:8088 --secret-file token --option index=mail
    mailveil sharing add Hook webhook https://soar.example.org/mailveil --event alert.raised
    """
    from mailveil.commands.sharing import add_destination

    return add_destination(
        invocation.settings(),
        chosen,
        organisation=organisation,
        as_json=as_json,
        from_beginning=from_beginning,
    )


@sharing.command(name="change")
@click.argument("destination")
@click.option("--name", help="Call it something else.")
@click.option("--address", help="Where it is now.")
@_chosen
@click.option("--enable/--disable", "enabled", default=None, help="Whether events are delivered to it.")
@click.option("--rotate-secret", is_flag=True, help="Give a webhook another secret, and print it.")
@organisation_option
@json_lines_option
@click.pass_obj
def change_destination(
    invocation: Invocation,
    /,
    *,
    destination: str,
    organisation: str,
    as_json: bool,
    rotate_secret: bool,
    **chosen: object,
) -> int:
    """Change what is given of DESTINATION (its name or identifier); the rest stays.

    An option with an empty value (--option index=) is taken away.
    """
    from mailveil.commands.sharing import change_destination

    return change_destination(
        invocation.settings(),
        destination,
        chosen,
        organisation=organisation,
        as_json=as_json,
        rotate=rotate_secret,
    )


@sharing.command(name="remove")
@click.argument("destination")
@yes_option
@organisation_option
@click.pass_obj
def remove_destination(
    invocation: Invocation, *, destination: str, assume_yes: bool, organisation: str
) -> int:
    """Delete DESTINATION (its name or identifier), and what it did not take."""
    from mailveil.commands.sharing import remove_destination

    return remove_destination(
        invocation.settings(), destination, organisation=organisation, assume_yes=assume_yes
    )


@sharing.command(name="test")
@click.argument("destination")
@organisation_option
@json_lines_option
@click.pass_obj
def test_destination(invocation: Invocation, *, destination: str, organisation: str, as_json: bool) -> int:
    """Send a test event to DESTINATION now. Ends with 1 where it does not arrive."""
    from mailveil.commands.sharing import try_destination

    return try_destination(invocation.settings(), destination, organisation=organisation, as_json=as_json)


@sharing.command(name="replay")
@click.argument("destination")
@click.option("--number", type=click.IntRange(min=1), help="From this number of an event on.")
@click.option("--since", metavar="TIME", help="From this time on, such as 2027-01-31T08:00:00Z.")
@organisation_option
@json_lines_option
@click.pass_obj
def replay(
    invocation: Invocation,
    *,
    destination: str,
    number: int | None,
    since: str | None,
    organisation: str,
    as_json: bool,
) -> int:
    """Deliver to DESTINATION again what is kept from a number or a time on."""
    from mailveil.commands.sharing import replay

    return replay(
        invocation.settings(),
        destination,
        number=number,
        since=since,
        organisation=organisation,
        as_json=as_json,
    )


@sharing.command(name="dead")
@click.argument("destination")
@click.option("--retry", is_flag=True, help="Try them again.")
@click.option("--forget", is_flag=True, help="Delete them.")
@click.option(
    "--number", "numbers", type=click.IntRange(min=1), multiple=True, help="Only this one; several times."
)
@organisation_option
@json_lines_option
@click.pass_obj
def dead(
    invocation: Invocation,
    *,
    destination: str,
    retry: bool,
    forget: bool,
    numbers: tuple[int, ...],
    organisation: str,
    as_json: bool,
) -> int:
    """List events that DESTINATION did not take, with the reason; try them again, or delete them."""
    from mailveil.commands.sharing import work_on_dead

    if retry and forget:
        raise click.UsageError("--retry and --forget exclude each other.")
    wish = "retry" if retry else "forget" if forget else ""
    return work_on_dead(
        invocation.settings(), destination, wish, numbers, organisation=organisation, as_json=as_json
    )
