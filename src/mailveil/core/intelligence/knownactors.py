"""Known actors: an activity as recognition knows it, without what serves everybody. Pure."""

from __future__ import annotations

from mailveil.core.intelligence.types import Activity, Role
from mailveil.core.recognition.types import KnownActor


def known_actor(activity: Activity, *, confirmed: bool = False) -> KnownActor:
    """Return by what later mail of an activity's actor is known again."""

    def values(role: Role) -> frozenset[str]:
        return frozenset(
            each.value for each in activity.infrastructure if each.role is role and not each.shared
        )

    return KnownActor(
        activity=activity.identifier,
        actor=activity.actor,
        first_at=activity.first_at,
        last_at=activity.last_at,
        score=activity.score,
        confirmed=confirmed,
        sender_domains=values(Role.SENDER_DOMAIN),
        reply_domains=values(Role.REPLY_DOMAIN),
        tracker_domains=values(Role.TRACKER_DOMAIN),
        tracker_hosts=values(Role.TRACKER_HOST),
        threads=frozenset(activity.threads),
        mailboxes=values(Role.SENDER_MAILBOX),
        claimed_domains=frozenset(activity.claimed_domains),
    )
