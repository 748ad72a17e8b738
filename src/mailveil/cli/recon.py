"""Commands about reconnaissance: who is watching, and what is decided about it."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, json_lines_option, organisation_option, program, yes_option

STATES = ("active", "quiet", "closed")
VERDICTS = ("open", "confirmed", "benign")
ORDERS = ("score", "last", "changed")


@program.group()
def recon() -> None:
    """Who is watching whom, and what is decided about it (docs/activities.md)."""


@recon.command(name="list")
@click.option("--state", type=click.Choice(STATES), default=None, help="Only those that stand so.")
@click.option("--verdict", type=click.Choice(VERDICTS), default=None, help="Only those with this verdict.")
@click.option(
    "--least-score",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SCORE",
    help="Of this score or higher.",
)
@click.option("--person", default="", metavar="ADDRESS", help="Aimed at this person.")
@click.option("--order", type=click.Choice(ORDERS), default="score", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@organisation_option
@json_lines_option
@click.pass_obj
def list_activities(
    invocation: Invocation,
    *,
    state: str | None,
    verdict: str | None,
    least_score: float,
    person: str,
    order: str,
    limit: int,
    organisation: str,
    as_json: bool,
) -> int:
    """List activities of reconnaissance, those of the highest score first."""
    from mailveil.commands.recon import ListRequest, show_activities

    asked = ListRequest(state or "", verdict or "", least_score, person, order, limit)
    return show_activities(invocation.settings(), organisation, asked, as_json=as_json)


@recon.command(name="show")
@click.argument("activity", metavar="ACTIVITY")
@organisation_option
@json_lines_option
@click.pass_obj
def show_activity(invocation: Invocation, *, activity: str, organisation: str, as_json: bool) -> int:
    """Tell all that is known of an activity: why, whom, when, with what."""
    from mailveil.commands.recon import show_activity

    return show_activity(invocation.settings(), organisation, activity, as_json=as_json)


@recon.command(name="export")
@click.argument("activity", metavar="ACTIVITY")
@organisation_option
@click.pass_obj
def export_activity(invocation: Invocation, *, activity: str, organisation: str) -> int:
    """Print everything that is kept of an activity as one JSON object, people in clear."""
    from mailveil.commands.recon import export_activity

    return export_activity(invocation.settings(), organisation, activity)


@recon.command(name="note")
@click.argument("activity", metavar="ACTIVITY")
@click.argument("text", metavar="TEXT")
@organisation_option
@click.pass_obj
def note_activity(invocation: Invocation, *, activity: str, text: str, organisation: str) -> int:
    """Note something about an activity."""
    from mailveil.commands.recon import note_activity

    return note_activity(invocation.settings(), organisation, activity, text)


def _deed(name: str, words: str) -> None:
    """Make the command for one thing that can be decided."""

    @recon.command(name=name, help=words)
    @click.argument("activity", metavar="ACTIVITY")
    @organisation_option
    @json_lines_option
    @click.pass_obj
    def decide(invocation: Invocation, *, activity: str, organisation: str, as_json: bool) -> int:
        from mailveil.commands.recon import decide_activity

        return decide_activity(invocation.settings(), organisation, activity, name, as_json=as_json)


_deed("acknowledge", "Say that somebody looks at an activity.")
_deed("close", "Close an activity. Mail that comes afterwards opens it again.")
_deed("reopen", "Open an activity that somebody closed.")
_deed("confirm", "Confirm that an activity is reconnaissance. Scoring learns from it.")
_deed("dismiss", "Dismiss an activity as benign. It stays closed, and scoring learns from it.")
_deed("undecide", "Take a verdict back.")


@recon.command(name="block")
@click.argument("activity", metavar="ACTIVITY")
@click.option("--comment", default="", help="Why, for the history of the policy.")
@organisation_option
@json_lines_option
@click.pass_obj
def block_activity(
    invocation: Invocation, *, activity: str, comment: str, organisation: str, as_json: bool
) -> int:
    """Add rules against an activity's own domains and hosts to the policy.

    Whatever is remote in such mail is taken out, and readers get a notice. Mail still arrives: what this prints is for
    the mail server to refuse it.
    """
    from mailveil.commands.recon import block_activity

    return block_activity(invocation.settings(), organisation, activity, comment=comment, as_json=as_json)


@recon.command(name="alerts")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@organisation_option
@json_lines_option
@click.pass_obj
def list_alerts(invocation: Invocation, *, limit: int, organisation: str, as_json: bool) -> int:
    """List alerts, newest first."""
    from mailveil.commands.recon import show_alerts

    return show_alerts(invocation.settings(), organisation, limit=limit, as_json=as_json)


@recon.command(name="mark")
@click.argument("address", metavar="ADDRESS", default="")
@click.option("--function", default="", metavar="WORDS", help="Their function, such as finance.")
@click.option("--high-value", is_flag=True, help="They weigh more.")
@click.option("--from", "file", default="", metavar="FILE", help="Everybody in this CSV (-: standard input).")
@click.option("--unmark-others", is_flag=True, help="With --from: nothing is said of anybody else any more.")
@organisation_option
@json_lines_option
@click.pass_obj
def mark_person(
    invocation: Invocation,
    *,
    address: str,
    function: str,
    high_value: bool,
    file: str,
    unmark_others: bool,
    organisation: str,
    as_json: bool,
) -> int:
    """Say which function somebody has and whether they weigh more, or without ADDRESS list what is said.

    Neither function nor value: nothing is said of them any more.

    \b
    mailveil recon mark ann@example.org --function finance --high-value
    mailveil recon mark --from people.csv     # columns: address, function, high_value
    """
    from mailveil.commands.recon import mark_people, mark_person, show_marked

    if file:
        if address or function or high_value:
            raise click.UsageError("--from takes everything from the file: leave ADDRESS and the rest out.")
        return mark_people(
            invocation.settings(), organisation, file, unmark_others=unmark_others, as_json=as_json
        )
    if unmark_others:
        raise click.UsageError("--unmark-others goes with --from FILE.")
    if not address:
        if function or high_value:
            raise click.UsageError("Name the ADDRESS whose function or value that is.")
        return show_marked(invocation.settings(), organisation, as_json=as_json)
    return mark_person(
        invocation.settings(),
        organisation,
        address,
        function=function,
        is_high_value=high_value,
        as_json=as_json,
    )


@recon.command(name="recompute")
@organisation_option
@yes_option
@click.pass_obj
def recompute(invocation: Invocation, *, organisation: str, assume_yes: bool) -> int:
    """Study everything that is kept again, in the order in which it was.

    What was decided stays, and nobody is told of anything twice. Until a running mailveil has done it, activities are
    missing.
    """
    from mailveil.commands.recon import recompute

    if not assume_yes:
        click.confirm("Activities are missing until it is done. Go on?", abort=True, err=True)
    return recompute(invocation.settings(), organisation)
