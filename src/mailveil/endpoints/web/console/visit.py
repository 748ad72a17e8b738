"""Visit: one request to one page, with who asks, and the few things that a page does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailveil.control.access import Actor
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import Cut, Organisation, User
from mailveil.control.room import ControlRoom
from mailveil.control.signing_in import Visitor
from mailveil.endpoints.web.console.browsers import Note, leave_note
from mailveil.endpoints.web.console.facts import ConsoleFacts

if TYPE_CHECKING:
    from mailveil.endpoints.web.console.application import Console

PAGE_LENGTH = 50


@dataclass(frozen=True, slots=True)
class Visit:
    """A request. On pages for anybody there may be no ``visitor``, and the actor may do nothing."""

    console: Console
    request: Request
    actor: Actor
    visitor: Visitor | None = None
    form: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    organisations: tuple[Organisation, ...] = ()

    @property
    def room(self) -> ControlRoom:
        """What use cases work with."""
        return self.console.room

    @property
    def facts(self) -> ConsoleFacts:
        """What is known of this process."""
        return self.console.facts

    @property
    def user(self) -> User:
        """Who is signed in."""
        return self.signed_in.user

    @property
    def signed_in(self) -> Visitor:
        """The session; on pages that need one there always is."""
        if self.visitor is None:
            raise MissingError
        return self.visitor

    @property
    def organisation(self) -> Organisation:
        """The organisation that is looked at."""
        for each in self.organisations:
            if each.identifier == self.actor.organisation:
                return each
        raise MissingError

    def path(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """Return what stands behind the question mark."""
        return self.request.query_params.get(name, default)[:1000]

    def text(self, name: str, default: str = "") -> str:
        """Return a field of the form, without blanks around it."""
        return next(iter(self.form.get(name, ())), default).strip()

    def secret(self, name: str) -> str:
        """Return a field of the form exactly as typed."""
        return next(iter(self.form.get(name, ())), "")

    def texts(self, name: str) -> Sequence[str]:
        """Return all values of a field, such as the boxes that were ticked."""
        return tuple(self.form.get(name, ()))

    def is_ticked(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return name in self.form

    def cut(self, limit: int = PAGE_LENGTH) -> Cut:
        """Return which part of a list is asked for: ``?after=`` is where the part before ended."""
        return Cut(limit, self.query("after"))

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """Return a page made of a template in ``templates/console``."""
        return self.console.rendering.page(self, template, status, values)

    def go(self, path: str, note: str = "", tone: str = "good") -> Response:
        """Send the browser to another page of ours, which says ``note`` once."""
        response = RedirectResponse(path, 303)
        if note:
            leave_note(response, Note(note, tone), self.facts)
        return response

    def wrong(self, template: str, error: InvalidError, **values: object) -> Response:
        """Return the page of a form again, with what is wrong in it; the template has ``error`` and ``given``."""
        given = {name: each[0] for name, each in self.form.items() if each and "password" not in name}
        return self.page(template, 422, error=error, given=given, **values)
