"""Health: how everything that mailveil needs is doing."""

from __future__ import annotations

from pydantic import Field

from mailveil.control.access import Permission
from mailveil.control.health import Condition, Measure, worst
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.parameters import Text
from mailveil.endpoints.web.api.resources.models import Answer

resource = Resource("health", "How everything that mailveil needs is doing, and what to do about it.")


class HealthMeasure(Answer):
    """One thing that was looked at."""

    area: str = Field(description="What it belongs to.", examples=["mail"])
    name: Text = Field(description="What was looked at.", examples=["Next hop"])
    condition: Condition = Field(description="How it is doing.", examples=["ok"])
    words: Text = Field(description="The same in words.", examples=["answers"])
    figure: Text = Field(description="A number to read; empty: none.", examples=["3.1 GB free"])
    remedy: Text = Field(description="What to do about it; empty: nothing.", examples=[""])


class Health(Answer):
    """How everything is doing."""

    version: str = Field(description="The version of mailveil.", examples=["1.0.0"])
    condition: Condition = Field(description="The worst of all.", examples=["ok"])
    measures: list[HealthMeasure] = Field(description="Each thing that was looked at.")


@resource.get("/health", Permission.HEALTH_READ, Health)
async def get_health(asked: Asking) -> Health:
    """Get how everything is doing."""
    asked.actor.require(Permission.HEALTH_READ)
    found: list[Measure] = list(await asked.settings.health(anew=True)) if asked.settings.health else []
    return Health(
        version=asked.settings.version,
        condition=worst(found),
        measures=[
            HealthMeasure(
                area=each.area,
                name=each.name,
                condition=each.condition,
                words=each.words,
                figure=each.figure,
                remedy=each.remedy,
            )
            for each in found
        ],
    )
