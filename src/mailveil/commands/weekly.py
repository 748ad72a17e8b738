"""The weekly report on the command line: for a terminal in words, and as a file in every form there is."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from mailveil.adapters.newfiles import write_file
from mailveil.commands.inroom import in_room
from mailveil.commands.terminal import note, printable
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.failures import InvalidError
from mailveil.control.room import ControlRoom
from mailveil.control.weekly import weekly_report
from mailveil.control.weeklyreport import WeeklyReport
from mailveil.control.weeklywords import counted, score_words
from mailveil.control.weeks import Week, read_week, week_at
from mailveil.endpoints.web.weekly import Form, Table, write_report

MOST_LINES = 20  # activities that a terminal is told of


@dataclass(frozen=True, slots=True)
class WeeklyRequest:
    """What is wanted. ``week`` ``""`` is the last one that is over; ``form`` ``""``: words for a terminal."""

    week: str = ""
    form: str = ""
    table: str = Table.DAYS
    output: str = ""
    with_people: bool = False
    organisation: str = "default"


def weekly(request: WeeklyRequest, settings: Settings) -> int:
    """Print or write the report of a week; return the exit code."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        week = _week(request.week, room.clock.now())
        report = await weekly_report(room, actor, week, with_people=request.with_people)
        form = _form(request)
        if form is None:
            _say(report)
            return 0
        made = await asyncio.to_thread(write_report, report, form, Table(request.table))
        _put(made.body, request.output)
        return 0

    return in_room(settings, work, request.organisation)


def _week(text: str, now: float) -> Week:
    if not text:
        return week_at(now).plus(-1)
    try:
        return read_week(text)
    except ValueError as error:
        raise InvalidError(f"--week {text}: {error}", "week") from error


def _form(request: WeeklyRequest) -> Form | None:
    """Return what was named, else what the name of the file says."""
    if request.form:
        return Form(request.form)
    if not request.output or request.output == "-":
        return None
    ending = Path(request.output).suffix.removeprefix(".").lower()
    if ending in list(Form):
        return Form(ending)
    known = ", ".join(str(each) for each in Form)
    raise InvalidError(f"{request.output}: name its form with --format, one of {known}", "format")


def _put(body: bytes, output: str) -> None:
    """Write a file as a whole or not at all, or to standard output."""
    if not output or output == "-":
        if sys.stdout.isatty() and body.startswith(b"%PDF"):
            raise InvalidError("a PDF is nothing for a terminal; name a file with --output", "output")
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if path.exists() and not path.is_file():
        raise InvalidError(f"{output}: is no file", "output")
    try:
        write_file(path, body, None)  # for its owner alone: it may tell of people
    except OSError as error:
        raise InvalidError(f"{output}: {error.strerror}", "output") from error
    note(f"written to {output}")


def _say(report: WeeklyReport) -> None:
    """Print the report in words."""
    end = "" if report.is_complete else ", not over yet"
    click.echo(
        printable(f"{report.organisation_name}: week {report.week}, {report.week.title} (UTC){end}") + "\n"
    )
    for each in report.said:
        click.echo(f"  {each}")
    watching = report.watching
    if watching is not None and watching.activities:
        click.echo("\n  Score  Who is watching")
        for line in watching.activities[:MOST_LINES]:
            marks = f"{line.state}{', new' if line.is_new else ''}"
            probes, people = counted(line.week_probes, "probe"), counted(line.week_people, "person", "people")
            asked = f"{probes} of {people} this week" if line.week_probes else "no probe this week"
            click.echo(printable(f"  {score_words(line.score):>5}  {line.actor}: {marks}, {asked}"))
            for target in line.targets:
                click.echo(printable(f"         {target.person} {target.function}".rstrip()))
    if report.missing:
        click.echo()
    for each in report.missing:
        click.echo(f"  {each}")
