"""Access: who asks, in which organisation, and what they may do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """One thing that an actor may do; the scopes of tokens are these very words. Values are permanent."""

    MESSAGES_READ = "messages:read"
    STATISTICS_READ = "statistics:read"
    TRACKERS_READ = "trackers:read"
    COPIES_READ = "copies:read"
    COPIES_WRITE = "copies:write"
    ORIGINALS_READ = "originals:read"
    ORIGINALS_RELEASE = "originals:release"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    ALLOW_READ = "allow:read"
    ALLOW_WRITE = "allow:write"
    FEEDBACK_READ = "feedback:read"
    FEEDBACK_WRITE = "feedback:write"
    INSPECT = "inspect"
    ACTIVITIES_READ = "activities:read"  # who reconnoitres whom, alerts, campaigns, marked people
    ACTIVITIES_WRITE = "activities:write"
    INTELLIGENCE_READ = (
        "intelligence:read"  # what is published: TAXII, the MISP feed, filter lists; no people
    )
    SHARING_READ = "sharing:read"  # destinations and feeds, without their secrets
    SHARING_WRITE = "sharing:write"
    HEALTH_READ = "health:read"
    AUDIT_READ = "audit:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    TOKENS_READ = "tokens:read"
    TOKENS_WRITE = "tokens:write"
    PEOPLE_EXPORT = "people:export"
    PEOPLE_ERASE = "people:erase"
    ORGANISATIONS_READ = "organisations:read"
    ORGANISATIONS_WRITE = "organisations:write"


class Role(StrEnum):
    """What a user is. Values are permanent."""

    VIEWER = "viewer"  # figures, trackers, operators; no subjects, no people
    ANALYST = "analyst"  # messages and people too, and the queue of reports
    ADMINISTRATOR = "administrator"  # everything


_VIEWER = frozenset(
    {
        Permission.STATISTICS_READ,
        Permission.TRACKERS_READ,
        Permission.INTELLIGENCE_READ,
        Permission.HEALTH_READ,
        Permission.ORGANISATIONS_READ,
    }
)
_ANALYST = _VIEWER | {
    Permission.MESSAGES_READ,
    Permission.POLICY_READ,  # which names people, in groups and in rules
    Permission.ALLOW_READ,
    Permission.COPIES_READ,
    Permission.ORIGINALS_READ,
    Permission.FEEDBACK_READ,
    Permission.FEEDBACK_WRITE,
    Permission.ACTIVITIES_READ,
    Permission.ACTIVITIES_WRITE,
    Permission.SHARING_READ,
    Permission.INSPECT,
}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.ANALYST: _ANALYST,
    Role.ADMINISTRATOR: frozenset(Permission),
}


class ActorKind(StrEnum):
    """How somebody came to ask."""

    USER = "user"
    TOKEN = "token"  # noqa: S105
    COMMAND_LINE = "command-line"  # whoever can run the program on the machine
    SYSTEM = "system"  # mailveil itself, such as where a retention time ends


ANY_ORGANISATION = "*"


class ForbiddenError(Exception):
    """The actor may not do that; the text names the permission that is missing."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. ``organisation`` is the one acted in, ``home`` the one that the actor belongs to (``*``: all).

    ``identifier`` is permanent (of the user or token), ``name`` for people to read, ``address`` the client's, for the
    audit trail. ``maker`` is by whose rights a token acts, ``""`` for others.
    """

    kind: ActorKind
    identifier: str
    name: str
    organisation: str
    home: str
    permissions: frozenset[Permission]
    address: str = ""
    maker: str = ""

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor may do something in its organisation."""
        return permission in self.permissions and self.home in (self.organisation, ANY_ORGANISATION)

    def require(self, permission: Permission) -> None:
        """Raise ``ForbiddenError`` unless the actor may."""
        if not self.may(permission):
            raise ForbiddenError(f"{self.name} lacks the permission {permission}")

    def require_everywhere(self, permission: Permission) -> None:
        """Raise ``ForbiddenError`` unless the actor may, and belongs to all organisations."""
        self.require(permission)
        if self.home != ANY_ORGANISATION:
            raise ForbiddenError(f"{self.name} belongs to one organisation, and this concerns all of them")


def command_line_actor(organisation: str, name: str) -> Actor:
    """Return the actor for commands: whoever can read the database may do everything."""
    return Actor(ActorKind.COMMAND_LINE, name, name, organisation, ANY_ORGANISATION, frozenset(Permission))
