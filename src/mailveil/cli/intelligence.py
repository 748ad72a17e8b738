"""Commands for what an organisation found out about who spies on it."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, organisation_option, program

FORMS = ("stix", "misp", "adblock")
LEVELS = ("clear", "green", "amber", "amber+strict", "red")


@program.group()
def intelligence() -> None:
    """What was found out about who spies on us, for other systems (docs/sharing-stix-taxii.md)."""


@intelligence.command(name="export")
@click.option("--stix", "form", flag_value="stix", default="stix", help="A bundle of STIX 2.1 [default].")
@click.option("--misp", "form", flag_value="misp", help="Events of MISP.")
@click.option("--adblock", "form", flag_value="adblock", help="Learned trackers as a filter list.")
@click.option(
    "--activity",
    default="",
    metavar="ID",
    help="Of this activity alone (or the beginning of its ID), as it stands now.",
)
@click.option(
    "--tlp",
    "traffic_light",
    type=click.Choice(LEVELS),
    default=None,
    help="Its marking [default: as the collections are marked].",
)
@click.option("-o", "--output", default="", metavar="FILE", help="Into a file [default: standard output].")
@organisation_option
@click.pass_obj
def export(
    invocation: Invocation,
    *,
    form: str,
    activity: str,
    traffic_light: str | None,
    output: str,
    organisation: str,
) -> int:
    """Write what was published, or one activity, as a file for another system. No people are in it."""
    from mailveil.commands.intelligence import export

    return export(
        invocation.settings(),
        organisation,
        form,
        activity=activity,
        traffic_light=traffic_light or "",
        output=output,
    )
