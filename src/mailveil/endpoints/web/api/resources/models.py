"""Models: what all answers are made of."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Answer(BaseModel):
    """What is answered: nothing that its model does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class Request(BaseModel):
    """What is sent: nothing that its model does not name, and texts are texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Part(Answer, Generic[Item]):
    """Part of a list."""

    items: list[Item] = Field(description="The items, in the order that the operation tells.")
    next: Annotated[
        str | None,
        Field(
            description="The `cursor` of the next part; null at the end.",
            examples=["WyIwMTlhMmIzYzRkNWUwMTIzIl0"],
        ),
    ] = None


class Removed(Answer):
    """What was deleted."""

    removed: int = Field(ge=0, description="How many.", examples=[3])
