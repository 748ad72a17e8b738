"""Operations: what the API offers, declared in one place for routing, for checks, and for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from mailveil.control.access import Permission
from mailveil.endpoints.web.api.problems import ProblemType

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Body(StrEnum):
    """What a request carries."""

    NONE = "none"
    JSON = "json"
    MESSAGE = "message"


class Match(StrEnum):
    """Whether a change has to name the state that it changes (``If-Match``)."""

    NONE = "none"
    MAY = "may"
    MUST = "must"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for. The first line of the endpoint's docstring is its summary, the rest its
    description.

    ``permission`` is the scope that it needs, ``also`` are more of them; ``everywhere``: only tokens of all
    organisations may. ``answer`` is the model of its JSON, ``media_type`` that of an answer which is none.
    ``has_location`` tells that it makes something and names it, ``inspects`` that it examines a message, ``tries`` that
    it changes nothing whatever its method, ``leave`` that it takes more than a scope.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    tag: str
    permission: Permission
    answer: Any = None
    status: int = 200
    body: Body = Body.NONE
    match: Match = Match.NONE
    media_type: str = "application/json"
    is_list: bool = False
    has_location: bool = False
    everywhere: bool = False
    inspects: bool = False
    tries: bool = False
    leave: bool = False
    also: tuple[Permission, ...] = ()
    problems: Sequence[ProblemType] = ()
    example: Any = None

    @property
    def scopes(self) -> tuple[Permission, ...]:
        """All scopes that it needs."""
        return (self.permission, *self.also)

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET" and not self.inspects and not self.tries


@dataclass(frozen=True, slots=True)
class Resource:
    """Operations that belong together, under one tag."""

    tag: str
    description: str
    operations: list[Operation] = field(default_factory=list)

    def get(
        self, path: str, permission: Permission, answer: Any, **more: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare what is read."""
        return self._declare("GET", path, permission, answer, more)

    def post(
        self, path: str, permission: Permission, answer: Any, **more: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare what is made or done."""
        return self._declare("POST", path, permission, answer, more)

    def put(
        self, path: str, permission: Permission, answer: Any, **more: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare what is replaced."""
        return self._declare("PUT", path, permission, answer, more)

    def patch(
        self, path: str, permission: Permission, answer: Any, **more: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare what is changed."""
        return self._declare("PATCH", path, permission, answer, more)

    def delete(
        self, path: str, permission: Permission, answer: Any = None, **more: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare what is deleted."""
        return self._declare("DELETE", path, permission, answer, more)

    def _declare(
        self, method: str, path: str, permission: Permission, answer: Any, more: dict[str, Any]
    ) -> Callable[[Endpoint], Endpoint]:
        def declare(endpoint: Endpoint) -> Endpoint:
            self.operations.append(Operation(method, path, endpoint, self.tag, permission, answer, **more))
            return endpoint

        return declare
