"""Pages: how a page says where it is and who may see it, so that none can be forgotten.

A module of the console has a ``pages = Pages()`` and marks its functions; ``application.py`` names the modules. Tests
walk over the very same list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from starlette.responses import Response

from mailveil.control.access import Permission

if TYPE_CHECKING:
    from mailveil.endpoints.web.console.visit import Visit

Answer = Callable[["Visit"], Awaitable[Response]]


class Entry(StrEnum):
    """Who may see a page that needs no permission."""

    ANYBODY = "anybody"  # such as sign-in
    HALFWAY = "halfway"  # the second factor is still to come
    SIGNED_IN = "signed-in"  # one's own account


@dataclass(frozen=True, slots=True)
class Page:
    """One page, or what one form does: ``need`` is the permission in the organisation looked at."""

    method: str
    path: str
    need: Permission | Entry
    answer: Answer


class Pages:
    """The pages of one module."""

    def __init__(self) -> None:
        self.all: list[Page] = []

    def get(self, path: str, need: Permission | Entry) -> Callable[[Answer], Answer]:
        """Mark a function that answers ``GET``; it must change nothing."""
        return self._marking("GET", path, need)

    def post(self, path: str, need: Permission | Entry) -> Callable[[Answer], Answer]:
        """Mark a function that does what a form asks for. The form's token has been checked before it is called."""
        return self._marking("POST", path, need)

    def _marking(self, method: str, path: str, need: Permission | Entry) -> Callable[[Answer], Answer]:
        def mark(answer: Answer) -> Answer:
            self.all.append(Page(method, path, need, answer))
            return answer

        return mark
