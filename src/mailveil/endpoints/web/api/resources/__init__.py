"""Resources: what the API offers, one file for each kind of thing."""

from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.resources import (
    audit,
    copies,
    health,
    inspecting,
    messages,
    organisations,
    people,
    statistics,
    tokens,
    trackers,
    users,
)

RESOURCES: tuple[Resource, ...] = tuple(
    each.resource
    for each in (
        messages,
        trackers,
        statistics,
        copies,
        inspecting,
        users,
        tokens,
        organisations,
        people,
        audit,
        health,
    )
)
