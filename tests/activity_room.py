"""Activities in memory, for tests of what is built on them: a store that may be away, and an activity of one actor."""

from __future__ import annotations

from dataclasses import replace

from control_room import NOW
from mailveil.control.activityrecords import ActivityFile, ActivityQuery
from mailveil.control.records import Cut, Page
from mailveil.core.intelligence.types import Activity, AnalystVerdict, Infrastructure, Role
from mailveil.ports import UnavailableError

ACTOR = "fabrikam-billing.com"


def activity_of_actor(identifier: str = "a1", organisation: str = "default", score: float = 0.8) -> Activity:
    """Return an activity of whoever writes from ``fabrikam-billing.com`` and tracks from ``pixelhost-zwei.org``."""
    return Activity(
        identifier,
        organisation,
        ACTOR,
        NOW - 500_000.0,
        NOW - 400_000.0,
        score=score,
        infrastructure=(
            Infrastructure(Role.SENDER_DOMAIN, ACTOR, NOW - 500_000.0, NOW - 400_000.0),
            Infrastructure(Role.TRACKER_DOMAIN, "pixelhost-zwei.org", NOW - 500_000.0, NOW - 400_000.0),
            Infrastructure(Role.TRACKER_HOST, "t.pixelhost-zwei.org", NOW - 500_000.0, NOW - 400_000.0),
        ),
    )


class KeptActivities:
    """What a watchlist asks of an activity store, with a database that may be away; ``reads`` counts."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], ActivityFile] = {}
        self.changes = 0
        self.reads = 0
        self.is_away = False

    def put(self, activity: Activity, verdict: AnalystVerdict = AnalystVerdict.OPEN) -> None:
        self.files[activity.organisation, activity.identifier] = ActivityFile(activity, NOW, verdict)
        self.changes += 1

    def decide(self, identifier: str, verdict: AnalystVerdict, organisation: str = "default") -> None:
        key = (organisation, identifier)
        self.files[key] = replace(self.files[key], verdict=verdict)
        self.changes += 1

    async def stamp(self, organisation: str) -> str:
        self._check()
        return str(self.changes)

    async def activities(self, organisation: str, query: ActivityQuery, cut: Cut) -> Page[ActivityFile]:
        self._check()
        self.reads += 1
        found = [
            file
            for (whose, _), file in self.files.items()
            if whose == organisation
            and file.activity.score >= query.least_score
            and query.verdict in (None, file.verdict)
        ]
        start = int(cut.cursor or 0)
        end = start + cut.limit
        return Page(tuple(found[start:end]), str(end) if end < len(found) else "")

    def _check(self) -> None:
        if self.is_away:
            raise UnavailableError("the database does not answer")
