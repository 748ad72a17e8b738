"""The page for reports: where a reader tells that a notice was wrong, or that something was missed; no sign-in.

Opening it leaves no trace anywhere: only what is sent is kept. The code in its address shows that the reader has had
the message, and stands for a token against forged requests too, since no other site can know it.
"""

from __future__ import annotations

import logging
import re
from importlib import resources
from urllib.parse import parse_qsl

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feedback import MAX_TEXT, Reporting, TooManyError, report_by_link, reported_by
from mailveil.control.records import FeedbackKind
from mailveil.control.room import ControlRoom
from mailveil.core.banner import Language, language_of
from mailveil.endpoints.web.guard import PAGE_HEADERS
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.reports")
MAX_BODY = 32 * 1024  # 2,000 characters of four bytes, each written as %XX, and the rest of the form
MAX_FIELDS = 10
MAX_ACCEPTED = 500
FORM = "application/x-www-form-urlencoded"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:[ \t]*;[ \t]*q=([01](?:\.[0-9]{0,3})?))?")


class ReportPage:
    """Builds the application; whoever composes the listener puts it at ``/report``."""

    def __init__(self, room: ControlRoom, reporting: Reporting) -> None:
        self.room = room
        self.reporting = reporting
        folder = resources.files("mailveil.endpoints.web")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        self.template = environment.from_string((folder / "templates" / "report.html").read_text("utf-8"))
        self.style = (folder / "assets" / "report.css").read_bytes()

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.show, methods=["GET"]),
                Route("/", self.take, methods=["POST"]),
                Route("/report.css", self.show_style, methods=["GET"]),
            ]
        )

    async def show(self, request: Request) -> Response:
        """Show the form. Nothing is recorded: programs that open links in mail beforehand do no harm."""
        code = request.query_params.get("code", "")
        language = spoken(request)
        try:
            reported = await reported_by(self.room, self.reporting, code)
        except MissingError:
            return self.page(request, "invalid", 404, language=language)
        except UnavailableError:
            return self.page(request, "unavailable", 503, language=language)
        return self.page(request, "", 200, code=code, language=spoken(request, reported.language))

    async def take(self, request: Request) -> Response:
        """Take a report."""
        language = spoken(request)
        fields = await form_of(request)
        if fields is None:
            return self.page(request, "too_long", 413, language=language)
        try:
            kind = FeedbackKind(fields.get("kind", ""))
        except ValueError:
            return self.page(request, "too_long", 400, language=language)
        try:
            await report_by_link(
                self.room,
                self.reporting,
                fields.get("code", ""),
                kind,
                fields.get("text", "").replace("\r\n", "\n"),
            )
        except MissingError:
            return self.page(request, "invalid", 404, language=language)
        except InvalidError:
            return self.page(request, "too_long", 400, language=language)
        except TooManyError:
            return self.page(request, "too_many", 429, language=language)
        except UnavailableError as error:
            log.warning("a reader's report cannot be taken: %s", error)
            return self.page(request, "unavailable", 503, language=language)
        return self.page(request, "thanks", 200, language=language)

    async def show_style(self, _request: Request) -> Response:
        """Return the style sheet."""
        return Response(
            self.style, media_type="text/css", headers={**PAGE_HEADERS, "Cache-Control": "max-age=3600"}
        )

    def page(
        self, request: Request, message: str, status: int, *, language: Language, code: str = ""
    ) -> Response:
        """Return the page with one message of the language's own, or with the form."""
        html = self.template.render(
            tag=language.tag,
            words=language.report,
            message=language.report[message] if message else "",
            is_good=message == "thanks",
            code=code,
            max_text=MAX_TEXT,
            here=request.scope.get("root_path", ""),
        )
        headers = {**PAGE_HEADERS, "Content-Security-Policy": PAGE_POLICY, "Vary": "Accept-Language"}
        headers["Content-Language"] = language.tag
        headers["X-Robots-Tag"] = "noindex, nofollow"
        if status in (429, 503):
            headers["Retry-After"] = "60"
        return Response(html, status, headers, "text/html")


async def form_of(request: Request) -> dict[str, str] | None:
    """Return the fields of a form, the first of each name; ``None`` where it is too large or no form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return None
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            return None
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def spoken(request: Request, fallback: str = "") -> Language:
    """Return the language that a browser asks for (RFC 9110 section 12.5.4), else the fallback, else English."""
    ranked: list[tuple[float, int, str]] = []
    for number, item in enumerate(request.headers.get("accept-language", "")[:MAX_ACCEPTED].split(",")):
        match = _RANGE.fullmatch(item.strip())
        if match is not None and match[1] != "*":
            weight = float(match[2] or 1)
            if weight:
                ranked.append((-weight, number, match[1]))
    return language_of(*(tag for _, _, tag in sorted(ranked)), fallback)
