"""Rendering: pages out of templates, with what stands around each of them and under which policy it is shown."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from importlib import resources
from urllib.parse import quote, urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from mailveil.control.access import ANY_ORGANISATION, Permission, Role
from mailveil.control.organisations import spoken_languages
from mailveil.endpoints.web.console import activitywords, wording
from mailveil.endpoints.web.console.browsers import NOTE, cookie, drop_cookie, note_in, theme_of
from mailveil.endpoints.web.console.facts import ConsoleFacts
from mailveil.endpoints.web.console.layout import current_of, navigation_of
from mailveil.endpoints.web.console.networks import ROLE_WORDS
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.guard import PAGE_HEADERS

# Nothing from elsewhere, nothing inline, no frame around us; and no script may make markup out of text.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
ASSETS: Mapping[str, str] = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
}
FOR_EVER = "public, max-age=31536000, immutable"


class Rendering:
    """The templates of the console, and its style sheet and script."""

    def __init__(
        self, facts: ConsoleFacts, paths: Collection[str], now: Callable[[], float] = time.time
    ) -> None:
        """``paths`` are those of all pages that there are: navigation leads nowhere else."""
        self.facts = facts
        self._paths = frozenset(paths)
        self._now = now
        folder = resources.files("mailveil.endpoints.web").joinpath("assets")
        self._assets = {name: folder.joinpath(name).read_bytes() for name in ASSETS}
        self._stamps = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in self._assets.items()}
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("mailveil.endpoints.web", "templates/console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=wording.told,
        )
        self.templates.filters.update(
            number=wording.number,
            size=wording.in_bytes,
            duration=wording.in_time,
            percent_of=wording.percent,
            probability=wording.probability,
            plural=wording.plural,
            sentence=wording.sentence,
            visible=wording.visible,
            cut=wording.cut,
            plain=wording.plain,
            defanged=wording.defanged,
            ago=lambda at: self._times().ago(at),
            moment=lambda at: self._times().moment(at),
            day=lambda at: self._times().day(at),
            last_day=lambda at: self._times().last_day(at),
            list_pair=lambda value: (value, value),
            path=lambda text: quote(str(text), safe="", errors="replace"),
            query=lambda values: urlencode(
                {name: each for name, each in values.items() if each != ""}, errors="replace"
            ),
        )
        self.templates.globals.update(
            facts=facts,
            risk_words=wording.RISK_WORDS,
            action_words=wording.ACTION_WORDS,
            action_sentences=wording.ACTION_SENTENCES,
            kind_words=wording.KIND_WORDS,
            kind_names=wording.KIND_NAMES,
            category_words=wording.CATEGORY_WORDS,
            copy_words=wording.copy_words,
            activity_states=activitywords.STATES,
            activity_verdicts=activitywords.VERDICTS,
            tooling_words=activitywords.TOOLING,
            nature_words=activitywords.NATURES,
            alert_words=activitywords.ALERTS,
            role_words=ROLE_WORDS,
            sureness=activitywords.sureness,
            spoken_languages=spoken_languages,
            Permission=Permission,
            Role=Role,
            ANY_ORGANISATION=ANY_ORGANISATION,
            asset=self.asset_path,
        )

    def _times(self) -> wording.Times:
        return wording.Times(self._now())

    def page(
        self, visit: Visit, template: str, status: int = 200, values: Mapping[str, object] | None = None
    ) -> Response:
        """Return a page."""
        request, note = visit.request, note_in(visit.request, self.facts)
        around: dict[str, object] = {
            "visit": visit,
            "actor": visit.actor,
            "signed_in": visit.visitor is not None and visit.visitor.session.is_complete,
            "form_token": visit.visitor.session.csrf if visit.visitor else "",
            "navigation": navigation_of(visit.actor, self._paths),
            "current": current_of(request.url.path),
            "here": here(request),
            "note": note,
            "theme": theme_of(request, self.facts),
            "error": None,
            "given": {},
            "with_query": lambda **changes: with_query(request, **changes),
        }
        html = self.templates.get_template(template).render({**around, **(values or {})})
        # A lone surrogate, which JSON on record can hold, is no reason to show nothing at all.
        body = html.encode("utf-8", "replace")
        response = Response(body, status, media_type="text/html", headers=self.headers())
        if cookie(request, NOTE, self.facts):
            drop_cookie(response, NOTE, self.facts)
        return response

    def headers(self) -> dict[str, str]:
        """Return the fields of every page. Forms tell their origin only under this referrer policy."""
        fields = {**PAGE_HEADERS, "Referrer-Policy": "same-origin", "Content-Security-Policy": PAGE_POLICY}
        fields["X-Frame-Options"] = "DENY"
        fields["X-Robots-Tag"] = "noindex, nofollow"
        return fields

    def asset_path(self, name: str) -> str:
        """Return where the style sheet or script is; the path changes with its content."""
        return f"/assets/{name}?{self._stamps[name]}"

    async def asset(self, request: Request) -> Response:
        """Answer with the style sheet or the script."""
        name = request.path_params["name"]
        if name not in ASSETS:
            return Response(status_code=404, headers=PAGE_HEADERS)
        is_current = request.url.query == self._stamps[name]
        headers = {**PAGE_HEADERS, "Cache-Control": FOR_EVER if is_current else "no-store"}
        return Response(self._assets[name], headers={**headers, "Content-Type": ASSETS[name]})


def here(request: Request) -> str:
    """Return the path of a request with its query, to come back to."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def with_query(request: Request, **changes: object) -> str:
    """Return the path of a request with some of its query changed; empty values are left out."""
    values = {**request.query_params, **{name: str(value) for name, value in changes.items()}}
    query = urlencode({name: value for name, value in values.items() if value})
    return request.url.path + (f"?{query}" if query else "")
