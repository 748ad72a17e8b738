"""Commands that show how good it is: what the judge and the finding of reconnaissance get right, and mail to try."""

from __future__ import annotations

import click

from mailveil.cli.root import Invocation, organisation_option, program
from mailveil.cli.upkeep import seed_option

people_option = click.option(
    "--people", type=click.IntRange(20, 5_000), default=300, show_default=True, help="Mailboxes."
)
days_option = click.option(
    "--days",
    type=click.IntRange(1, 1_000),
    default=None,
    help="Days [default: 180; into a database at most as many as messages are kept].",
)
actors_option = click.option(
    "--actors",
    type=click.IntRange(0, 200),
    default=4,
    show_default=True,
    help="So many of each grade who reconnoitre.",
)


@program.command()
@people_option
@days_option
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True)
@actors_option
@click.option(
    "-o", "--out", default="", metavar="FILE", help="JSON Lines, the truth in each (- for standard output)."
)
@click.option(
    "--into-database", is_flag=True, help="Fill this installation for a demonstration, ending today."
)
@organisation_option
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
@click.pass_obj
def simulate(
    invocation: Invocation,
    *,
    people: int,
    days: int | None,
    seed: int,
    actors: int,
    out: str,
    into_database: bool,
    organisation: str,
    as_json: bool,
) -> int:
    """Make up months of an organisation's mail, with the truth about each message.

    \b
    mailveil simulate --people 300 --days 180 --seed 1 --out mail.jsonl
    mailveil simulate --into-database --organisation rehearsal

    Newsletters, notifications, cold sales, letters and reconnaissance of graded stealth, as they would be on record
    (docs/simulation.md). The same numbers give the same file. Nothing is sent to anybody. Into a database only where
    no real mail is on record, or into an organisation of its own.
    """
    from mailveil.commands.simulate import SimulateRequest, simulate

    if into_database == bool(out):
        raise click.UsageError("Say where to: --out FILE or --into-database.")
    request = SimulateRequest(
        people=people,
        days=days,
        seed=seed,
        actors=actors,
        out=out,
        into_database=into_database,
        organisation=organisation,
        as_json=as_json,
    )
    return simulate(invocation.settings(), request)


@program.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False), metavar="[DATA]", required=False)
@click.option(
    "--messages", default="", metavar="FOLDER", help="Judge these messages, too, labels keyed by URL."
)
@click.option("--model", default="", metavar="FILE", help="Another model than the one that is shipped.")
@click.option("--out-of-fold", is_flag=True, help="Judge by models that know nothing of the rows tested.")
@click.option("--json", "json_file", default="", metavar="FILE", help="Write the figures, too.")
@click.option("--html", "html_file", default="", metavar="FILE", help="Write a page with plots, too.")
@click.option("--quick", is_flag=True, help="Leave out other splits and the share of each class of evidence.")
@seed_option
@click.option(
    "--recon", is_flag=True, help="How well reconnaissance is found in simulated mail; without DATA."
)
@click.option(
    "--people", type=click.IntRange(20, 5_000), default=200, help="Of each organisation [default: 200]."
)
@click.option(
    "--days",
    type=click.IntRange(29, 1_000),
    default=120,
    help="Four weeks of warm-up included [default: 120].",
)
@click.option(
    "--seeds",
    default="1001-1005",
    show_default=True,
    help="One organisation each; below 1001 for development.",
)
@click.option("--actors", type=click.IntRange(1, 200), default=4, help="Of each grade in each [default: 4].")
@click.option(
    "--alert-score",
    type=click.IntRange(15, 99),
    default=50,
    show_default=True,
    help="As the setting [studying] alert_score.",
)
@click.option("--jobs", type=click.IntRange(0, 256), default=0, help="Processes [default: as many as cores].")
def evaluate(
    *,
    data: str | None,
    messages: str,
    model: str,
    out_of_fold: bool,
    json_file: str,
    html_file: str,
    quick: bool,
    seed: int,
    recon: bool,
    people: int,
    days: int,
    seeds: str,
    actors: int,
    alert_score: int,
    jobs: int,
) -> int:
    """Tell how good the judge is on labelled references, or how well reconnaissance is found.

    \b
    mailveil evaluate rows.jsonl
    mailveil evaluate --recon --people 200 --days 120 --seeds 1001-1005

    On DATA that the model was trained on, every row is judged by a model that knows nothing of its host,
    owner, sender and message template; other DATA by the model itself.

    With --recon, organisations are simulated (docs/simulation.md), and what finds reconnaissance is held against the
    truth and against simple rules. Seeds from 1001 on are held out: nothing was tuned on them.
    """
    if recon:
        if data:
            raise click.UsageError("--recon simulates its mail and takes no DATA.")
        from mailveil.commands.evaluate_recon import ReconRequest, evaluate_recon

        return evaluate_recon(
            ReconRequest(
                people, days, seeds, actors, alert_score=alert_score / 100, json_file=json_file, jobs=jobs
            )
        )
    if not data:
        raise click.UsageError("Name DATA, or say --recon.")
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
