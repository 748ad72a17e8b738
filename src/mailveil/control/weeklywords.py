"""Weekly words: a week compared with the one before, and what its figures do not tell, in sentences.

Pure. No sentence holds anything that a sender wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mailveil.control.records import Figures, FiguresAt
from mailveil.control.weeklyreport import Watching
from mailveil.core.intelligence.types import AlertKind

FEW_WEEKS = 4  # before that much mail is known, most senders look new
NOTEWORTHY = 0.005
SCORES_ARE_OF_NOW = (
    "Scores of activities are as they are now. Probes and people of the week are counted among the latest probes of "
    "each activity, which are kept one by one and go with their retention."
)
MORE_THAN_READ = (
    "There were more activities or alerts than a report has room for; the weakest activities and the oldest alerts are "
    "left out."
)


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with what is counted: ``1 message``, ``2,000 messages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share_words(part: int, whole: int) -> str:
    """Return a share to read; a dash where there is no whole."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1%"
    return f"{share:.0f}%" if share >= 10 or share == 0 else f"{share:.1f}%"


def beside(now: int, before: int, span: str) -> str:
    """Return how a number compares with that of ``span``, such as ``12% more than in the week before``."""
    if not before:
        return f"after none in {span}"
    change = (now - before) / before
    if abs(change) < NOTEWORTHY:
        return f"as many as in {span}"
    if change >= 1:
        return f"{now / before:,.1f} times as many as in {span}"
    shown = f"{abs(change):.0%}" if change > -0.995 or not now else "over 99%"
    return f"{shown} {'more' if change > 0 else 'fewer'} than in {span}"


def comparison(total: Figures, before: Figures, watching: Watching | None, *, span: str) -> tuple[str, ...]:
    """Return the week in sentences, beside the one before. ``span`` is what the time before is called."""
    if not total.messages:
        then = f"; there was in {span}" if before.messages else f", nor in {span}"
        found = [f"No mail passed in this week{then}."]
    else:
        found = [*_mail(total, before, span), *_prevented(total, before, span)]
    return (*found, *(_watching(watching) if watching is not None else ()))


def score_words(score: float) -> str:
    """Return a score in percent, which is never nothing nor everything, as in the console."""
    return f"{100 * min(0.99, max(0.01, score)):.0f}"


def _mail(total: Figures, before: Figures, span: str) -> list[str]:
    verb = "was" if total.messages == 1 else "were"
    said = [
        f"{counted(total.messages, 'message')} {verb} protected, {beside(total.messages, before.messages, span)}."
    ]
    then = _then(before.with_remote, before.messages)
    share = share_words(total.with_remote, total.messages)
    said.append(f"{share} of them had remote content, which opening would have fetched{then}.")
    if total.with_remote:
        then = _then(before.with_trackers, before.with_remote)
        said.append(f"Of those, {share_words(total.with_trackers, total.with_remote)} had trackers{then}.")
    if total.with_trackers:
        then = _then(tracked_and_risky(before), before.with_trackers)
        share = share_words(tracked_and_risky(total), total.with_trackers)
        said.append(f"Of the messages with trackers, {share} were of medium or high risk{then}.")
    return said


def tracked_and_risky(figures: Figures) -> int:
    """Return how many messages with trackers were of medium or high risk."""
    return min(figures.risky, figures.with_trackers)


def _then(part: int, whole: int) -> str:
    return f" ({share_words(part, whole)} the week before)" if whole else ""


def _prevented(total: Figures, before: Figures, span: str) -> list[str]:
    if not total.prevented:
        return ["No contact with strangers had to be prevented."]
    what = "contact with a stranger’s server" if total.prevented == 1 else "contacts with strangers’ servers"
    verb = "was" if total.prevented == 1 else "were"
    compared = beside(total.prevented, before.prevented, span)
    return [
        f"{total.prevented:,} {what} {verb} prevented, counting each message as opened once: {compared}.",
    ]


def _watching(watching: Watching) -> list[str]:
    shown = len(watching.activities)
    if not shown:
        return ["No reconnaissance worth a look was seen."]
    verb = "is" if shown == 1 else "are"
    what = counted(shown, "activity", "activities")
    numbers = f"{watching.new:,} new, {watching.active:,} active at the end of it, {watching.ended:,} ended"
    said = [f"{what} of reconnaissance {verb} worth a look: in this week {numbers}."]
    if follow_ups := watching.alert_counts.get(AlertKind.FOLLOW_UP, 0):
        verb = "tells" if follow_ups == 1 else "tell"
        said.append(
            f"{counted(follow_ups, 'alert')} {verb} of later mail from actors that had probed before."
        )
    return said


def caveats(
    *,
    total: Figures,
    weeks: Sequence[FiguresAt],
    is_complete: bool,
    until: float,
    watching: Watching | None,
    lacks: Sequence[str],
) -> tuple[str, ...]:
    """Return what the figures do not tell, in sentences. ``lacks`` are those about the reader's rights."""
    said = []
    if not is_complete:
        said.append(
            f"The week is not over: figures go up to {_moment(until)} and are compared with as long a part of the "
            "week before."
        )
    said += _unexamined(total)
    said += _history(weeks)
    said += lacks
    if watching is not None:
        said += _limits(watching)
    return tuple(said)


def unstudied_words(waiting: int, most: int) -> str:
    """Return that something is not studied yet, which a running mailveil makes up for within seconds."""
    what = f"{counted(waiting, 'message')}{' or more' if waiting >= most else ''}"
    verb = "waits" if waiting == 1 else "wait"
    return f"{what} {verb} to be studied: what that reveals of who is watching is not told yet."


def _unexamined(total: Figures) -> list[str]:
    if not total.unexamined:
        return []
    what = counted(total.unexamined, "message")
    they = "it" if total.unexamined == 1 else "they"
    told = f"what {they} carried stands in no figure but the number of messages"
    return [f"{what} could not be examined and went on as inert text: {told}."]


def _history(weeks: Sequence[FiguresAt]) -> list[str]:
    """Tell from when on there are figures at all, and whether that is enough to know who is new."""
    known = [number for number, each in enumerate(weeks) if each.figures.messages]
    if not known:
        return [
            "There are no figures of the last twelve weeks: no mail passed, or they are past their retention."
        ]
    said = []
    if known[0]:
        said.append(
            f"There are no figures before the week of {_day(weeks[known[0]].at)}: mailveil was not there yet, no mail "
            "passed, or they are past their retention ([records] figures_days)."
        )
    if len(weeks) - 1 - known[0] < FEW_WEEKS:
        said.append(
            "Little mail is known yet. In the first weeks ordinary senders look new, so that activities come up that "
            "would not later, and are told apart less surely."
        )
    return said


def _limits(watching: Watching) -> list[str]:
    said = [SCORES_ARE_OF_NOW]
    if not watching.is_whole:
        said.append(MORE_THAN_READ)
    return said


def _moment(at: float) -> str:
    local = datetime.fromtimestamp(at, UTC)
    return f"{local.day} {local:%B %Y, %H:%M} UTC"


def _day(at: float) -> str:
    local = datetime.fromtimestamp(at, UTC)
    return f"{local.day} {local:%B %Y}"
