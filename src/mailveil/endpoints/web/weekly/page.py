"""Page: a weekly report as one HTML file with everything in it, to keep, to print and to send."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from mailveil.control.weeklyreport import WeeklyReport
from mailveil.endpoints.web.console import wording
from mailveil.endpoints.web.weekly.shown import shown

ON_PAPER = """
@page { size: A4; margin: 14mm; }
@media print { .columns.two { grid-template-columns: repeat(2, minmax(0, 1fr)); } section { margin-top: 0.8rem; } }
"""


def standalone(report: WeeklyReport) -> bytes:
    """Return the file. It loads nothing, whatever shows it, and says so itself in its policy."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    html = (
        _templates()
        .get_template("weekly_file.html")
        .render(
            shown=shown(report),
            style=Markup(style),  # noqa: S704 - our own style sheet, in which nothing is filled in
            style_digest=f"sha256-{digest}",
        )
    )
    # A lone surrogate, which a record can hold, is no reason to write nothing at all.
    return html.encode("utf-8", "replace")


@cache
def _style() -> str:
    folder = resources.files("mailveil.endpoints.web").joinpath("assets")
    return folder.joinpath("console.css").read_text("utf-8") + ON_PAPER


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("mailveil.endpoints.web", "templates/console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=wording.told,
    )
    made.filters.update(
        number=wording.number,
        percent_of=wording.percent,
        plural=wording.plural,
        visible=wording.visible,
        cut=wording.cut,
        cut_plain=lambda text: str(text)[: wording.CUT],
    )
    return made
