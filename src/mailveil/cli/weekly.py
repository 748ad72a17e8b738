"""The command of the weekly report."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, organisation_option, program

FORMS = ("html", "pdf", "csv", "json")
TABLES = ("days", "activities")


@program.command()
@click.option(
    "--week", default="", metavar="WEEK", help="Such as 2026-W47 [default: the last one that is over]."
)
@click.option(
    "--format", "form", type=click.Choice(FORMS), default=None, help="[default: by the name of OUT]"
)
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@click.option(
    "--table", type=click.Choice(TABLES), default="days", show_default=True, help="Which table, for CSV."
)
@click.option("-o", "--output", default="", metavar="OUT", help="A file [default: standard output].")
@click.option("--people", "with_people", is_flag=True, help="Name the people that were probed.")
@organisation_option
@click.pass_obj
def weekly(
    invocation: Invocation,
    *,
    week: str,
    form: str | None,
    as_json: bool,
    table: str,
    output: str,
    with_people: bool,
    organisation: str,
) -> int:
    """Report a week: what came, with which trackers, what was prevented, and who is watching.

    Prints it in words, or writes it as HTML, PDF, CSV or JSON. Weeks are those of ISO 8601, in UTC. Without --people
    it tells of nobody, and may be passed on.

    \b
    mailveil weekly
    mailveil weekly --week 2026-W47 -o week.pdf
    mailveil weekly --format csv --table activities > activities.csv
    """
    from mailveil.commands.weekly import WeeklyRequest, weekly

    if as_json and form not in (None, "json"):
        raise click.UsageError("--json and another --format exclude each other.")
    request = WeeklyRequest(
        week=week,
        form="json" if as_json else form or "",
        table=table,
        output=output,
        with_people=with_people,
        organisation=organisation,
    )
    return weekly(request, invocation.settings())
