"""Watch links: from a message or a tracker back to the activities that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailveil.control.access import Permission
from mailveil.control.activities import activities_of_messages, activity
from mailveil.control.activityrecords import ActivityFile
from mailveil.endpoints.web.console import activitywords as words
from mailveil.endpoints.web.console.visit import Visit

MOST_MESSAGES = 10  # of a tracker that are asked about
MOST_ACTIVITIES = 20


@dataclass(frozen=True, slots=True)
class Belonging:
    """An activity that something belongs to: in a few words who watches whom, and how sure that is."""

    identifier: str
    actor: str
    does: str
    whom: str
    sure: str
    is_harmless: bool
    people: int = 0


async def belongings(visit: Visit, messages: Iterable[str]) -> Sequence[Belonging]:
    """Return the activities that messages belong to, the surest first; none for whoever may not see activities."""
    if not visit.actor.may(Permission.ACTIVITIES_READ):
        return ()
    now = visit.room.clock.now()
    found: dict[str, ActivityFile] = {}
    asked = list(messages)[:MOST_MESSAGES]
    names = await activities_of_messages(visit.room, visit.actor, asked) if asked else ()
    for name in names[:MOST_ACTIVITIES]:
        file = (await activity(visit.room, visit.actor, name)).file
        found[file.activity.identifier] = file
    order = sorted(found.values(), key=lambda file: (-file.activity.score, file.activity.identifier))
    return [
        Belonging(
            identifier=file.activity.identifier,
            actor=file.activity.actor,
            does=words.does(file.state(now)),
            whom=words.whom(file.activity),
            sure=words.sureness(file.activity.score),
            is_harmless=file.verdict == "benign",
            people=file.activity.total_people,
        )
        for file in order
    ]
