"""Resources: what the API offers, one file for each kind of thing."""

from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.resources import (
    activities,
    allowing,
    audit,
    copies,
    destinations,
    feedback,
    feeds,
    health,
    inspecting,
    intelligence,
    messages,
    organisations,
    originals,
    people,
    policy,
    statistics,
    tokens,
    trackers,
    users,
    weekly,
)

RESOURCES: tuple[Resource, ...] = tuple(
    each.resource
    for each in (
        messages,
        trackers,
        activities,
        statistics,
        weekly,
        intelligence,
        destinations,
        feeds,
        policy,
        allowing,
        feedback,
        copies,
        originals,
        inspecting,
        users,
        tokens,
        organisations,
        people,
        audit,
        health,
    )
)
