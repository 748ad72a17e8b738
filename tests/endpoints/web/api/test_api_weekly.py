"""Setup: the API over two organisations. Test: weekly reports in every form, of one's own organisation alone."""

from __future__ import annotations

import asyncio
import csv
import io

import pypdf
import pytest

from api_room import ApiRoom
from mailveil.control.access import Permission
from weekly_room import put_week

WEEK = {"week": "2026-W47"}


@pytest.fixture
def counted(api_room: ApiRoom) -> ApiRoom:
    asyncio.run(put_week(api_room.control, "acme"))
    for organisation in ("acme", "other"):
        made = api_room.token(organisation, name="weekly of today")
        api_room.tokens[organisation] = asyncio.run(made)
    return api_room


def test_a_report_is_answered_in_every_form(counted: ApiRoom) -> None:
    answer = counted.ask("GET", "/reports/weekly", params=WEEK)
    assert answer.status_code == 200
    report = answer.json()
    assert report["figures"]["messages"] == 10
    assert report["shares"]["with_remote"] == 0.6
    assert report["watching"]["activities"][0]["actor"] == "fresh.example"
    assert report["watching"]["activities"][0]["targets"] == []
    assert "anna" not in answer.text
    assert "ETag" in answer.headers
    pdf = counted.ask("GET", "/reports/weekly/pdf", params=WEEK)
    assert pdf.headers["Content-Type"] == "application/pdf"
    assert pdf.headers["Content-Disposition"] == 'attachment; filename="mailveil-acme-2026-W47.pdf"'
    assert "10 messages" in pypdf.PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    html = counted.ask("GET", "/reports/weekly/html", params=WEEK)
    assert html.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "sandbox" in html.headers["Content-Security-Policy"]
    table = counted.ask("GET", "/reports/weekly/csv", params={**WEEK, "table": "activities"})
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert rows[0]["actor"] == "fresh.example"
    again = counted.ask(
        "GET", "/reports/weekly/pdf", params=WEEK, headers={"If-None-Match": pdf.headers["ETag"]}
    )
    assert again.status_code == 304


def test_people_take_a_scope_and_asking(counted: ApiRoom) -> None:
    named = counted.ask("GET", "/reports/weekly", params={**WEEK, "people": "true"})
    assert "anna.schmidt@acme.example" in named.text
    secret = asyncio.run(counted.token("acme", Permission.STATISTICS_READ, name="figures"))
    refused = counted.ask("GET", "/reports/weekly", token=secret, params={**WEEK, "people": "true"})
    assert refused.status_code == 403
    assert "activities:read" in refused.json()["detail"]
    figures = counted.ask("GET", "/reports/weekly", token=secret, params=WEEK).json()
    assert (figures["watching"], figures["operators"]) == (None, None)
    secret = asyncio.run(counted.token("acme", Permission.ACTIVITIES_READ, name="activities"))
    assert counted.ask("GET", "/reports/weekly", token=secret, params=WEEK).status_code == 403


def test_another_organisation_gets_its_own(counted: ApiRoom) -> None:
    answer = counted.ask("GET", "/reports/weekly", organisation="other", params={**WEEK, "people": "true"})
    assert answer.json()["figures"]["messages"] == 0
    assert "fresh.example" not in answer.text


@pytest.mark.parametrize("week", ["2026-W99", "2026", "2199-W01"])
def test_what_is_no_week_is_refused(counted: ApiRoom, week: str) -> None:
    answer = counted.ask("GET", "/reports/weekly", params={"week": week})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["name"] == "week"
