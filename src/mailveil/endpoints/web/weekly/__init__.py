"""The weekly report as people and programs take it: a page, one HTML file, PDF, tables and JSON.

reportlab is loaded where a PDF is made, not where this is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailveil.control.weeklyreport import WeeklyReport

__all__ = ["MEDIA_TYPES", "Form", "Table", "WeeklyFile", "write_report"]


class Form(StrEnum):
    """What a report is written as. Values are permanent."""

    HTML = "html"
    PDF = "pdf"
    CSV = "csv"
    JSON = "json"


class Table(StrEnum):
    """Which table is written as CSV. Values are permanent."""

    DAYS = "days"
    ACTIVITIES = "activities"


MEDIA_TYPES: Mapping[Form, str] = {
    Form.HTML: "text/html",
    Form.PDF: "application/pdf",
    Form.CSV: "text/csv",
    Form.JSON: "application/json",
}


@dataclass(frozen=True, slots=True)
class WeeklyFile:
    """A report written down. ``name`` is what its file may be called, of characters that any system takes."""

    name: str
    media_type: str
    body: bytes


def write_report(report: WeeklyReport, form: Form, table: Table = Table.DAYS) -> WeeklyFile:
    """Return a report as a file; the same report gives the same bytes. A PDF takes a second of one processor."""
    stem = f"mailveil-{report.organisation}-{report.week}"
    match form:
        case Form.HTML:
            from mailveil.endpoints.web.weekly.page import standalone

            body = standalone(report)
        case Form.PDF:
            from mailveil.endpoints.web.weekly.pdf import portable

            body = portable(report)
        case Form.CSV:
            from mailveil.endpoints.web.weekly.tables import activities_table, days_table

            body = days_table(report) if table is Table.DAYS else activities_table(report)
            stem = f"{stem}-{table}"
        case Form.JSON:
            from mailveil.endpoints.web.weekly.record import encoded

            body = encoded(report)
    charset = "; charset=utf-8" if form in (Form.HTML, Form.CSV) else ""
    return WeeklyFile(f"{stem}.{form}", f"{MEDIA_TYPES[form]}{charset}", body)
