"""Layout: what stands around every page, and where one can go from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mailveil.control.access import ANY_ORGANISATION, Actor, Permission


@dataclass(frozen=True, slots=True)
class Destination:
    """A line of the navigation: shown to whoever has the permission; ``everywhere`` to those of all organisations."""

    path: str
    title: str
    need: Permission
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """Lines of the navigation that belong together."""

    title: str
    destinations: tuple[Destination, ...]


NAVIGATION = (
    Area(
        "Observe",
        (
            Destination("/watching", "Watching", Permission.ACTIVITIES_READ),
            Destination("/", "Overview", Permission.STATISTICS_READ),
            Destination("/messages", "Messages", Permission.MESSAGES_READ),
            Destination("/trackers", "Trackers", Permission.TRACKERS_READ),
            Destination("/operators", "Operators", Permission.TRACKERS_READ),
            Destination("/campaigns", "Campaigns", Permission.ACTIVITIES_READ),
            Destination("/reports", "Reports", Permission.FEEDBACK_READ),
            Destination("/weekly", "Weekly report", Permission.STATISTICS_READ),
        ),
    ),
    Area(
        "Decide",
        (
            Destination("/policy", "Policy", Permission.POLICY_READ),
            Destination("/allow", "Allow-list", Permission.ALLOW_READ),
            Destination("/people/marked", "Marked people", Permission.ACTIVITIES_READ),
        ),
    ),
    Area(
        "Run",
        (
            Destination("/health", "Health", Permission.HEALTH_READ),
            Destination("/sharing", "Sharing", Permission.SHARING_READ),
            Destination("/mailbox", "Local mailbox", Permission.ORIGINALS_READ, everywhere=True),
            Destination("/users", "Users", Permission.USERS_READ),
            Destination("/tokens", "Tokens", Permission.TOKENS_READ),
            Destination("/audit", "Audit", Permission.AUDIT_READ),
            Destination("/organisations", "Organisations", Permission.ORGANISATIONS_WRITE, everywhere=True),
        ),
    ),
)


def navigation_of(actor: Actor, paths: Collection[str]) -> tuple[Area, ...]:
    """Return where an actor may go, among the pages that there are."""
    areas = [
        Area(area.title, tuple(each for each in area.destinations if _may_go(each, actor, paths)))
        for area in NAVIGATION
    ]
    return tuple(area for area in areas if area.destinations)


def current_of(path: str) -> str:
    """Return the destination that a page belongs to, the longest that it lies under."""
    under = [
        each.path
        for area in NAVIGATION
        for each in area.destinations
        if path == each.path or (each.path != "/" and path.startswith(each.path + "/"))
    ]
    return max(under, key=len, default="")


def _may_go(destination: Destination, actor: Actor, paths: Collection[str]) -> bool:
    return (
        destination.path in paths
        and actor.may(destination.need)
        and (not destination.everywhere or actor.home == ANY_ORGANISATION)
    )
