"""Setup: reports, ordinary, empty and hostile. Test: files are as their forms want, and nothing in them acts."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pypdf
import pytest

from control_room import actor
from hostile_records import TEXTS
from mailveil.control.activityrecords import ActivityFile
from mailveil.control.weekly import weekly_report
from mailveil.control.weeklyreport import WeeklyReport
from mailveil.control.weeks import Week
from mailveil.endpoints.web.weekly import Form, Table, pdf, write_report
from mailveil.endpoints.web.weekly.tables import harmless
from mailveil.endpoints.web.weekly.typesetting import Fonts, brought, fonts
from weekly_room import AFTER, DAY, MONDAY, activity, hostile_report, put_watchers, put_week

if TYPE_CHECKING:
    from control_room import ControlRoomForTests

WEEK = Week(2026, 47)
Make = Callable[..., WeeklyReport]


@pytest.fixture
def make(control_room: ControlRoomForTests) -> Make:
    """Make the report of the fortnight that was counted by hand."""

    async def gathered(with_people: bool) -> WeeklyReport:
        await put_week(control_room)
        return await weekly_report(control_room.room, actor(), WEEK, with_people=with_people)

    return lambda with_people=False: asyncio.run(gathered(with_people))


@pytest.fixture
def hostile(control_room: ControlRoomForTests) -> WeeklyReport:
    """A report in which every text from outside was written to break it."""
    return asyncio.run(hostile_report(control_room))


def pdf_of(report: WeeklyReport) -> pypdf.PdfReader:
    made = write_report(report, Form.PDF)
    assert made.media_type == "application/pdf"
    return pypdf.PdfReader(io.BytesIO(made.body), strict=True)


def text_of(reader: pypdf.PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def objects_of(reader: pypdf.PdfReader) -> list[Any]:
    return [
        reader.get_object(pypdf.generic.IndirectObject(number, 0, reader))
        for number in range(1, reader.trailer["/Size"])
    ]


def names_of(value: Any) -> set[str]:
    """Return the names of all entries of an object, and of those within it."""
    if isinstance(value, dict):
        return set(value).union(*(names_of(value.raw_get(each)) for each in value))
    if isinstance(value, list):
        return set().union(*(names_of(each) for each in value))
    return set()


ACTS = {
    "/URI",
    "/JS",
    "/JavaScript",
    "/AA",
    "/OpenAction",
    "/Launch",
    "/SubmitForm",
    "/EmbeddedFile",
    "/AcroForm",
    "/A",
}


def test_a_pdf_has_figures_texts_and_an_outline_and_nothing_that_acts(make: Make) -> None:
    reader = pdf_of(make(with_people=True))
    text = text_of(reader)
    for each in (
        "Week 2026-W47", "16 to 22 November 2026", "10 messages were protected", "fresh.example", "Mailchimp",
        "newsroom.example", "anna.schmidt@acme.example", "finance", "T1598.003", "first seen 17 Nov 2026",
    ):  # fmt: skip
        assert each in text
    assert reader.metadata is not None
    assert reader.metadata.title == "Default: weekly report, 2026-W47"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712 - a PDF's own kind
    titles = [each.title for each in _flat(reader.outline)]
    assert titles[:3] == ["In words", "Figures", "By day"]
    assert {"Who is watching", "What came", "About these figures"} <= set(titles)
    assert not ACTS & set().union(*map(names_of, objects_of(reader)))


def _flat(outline: list[Any]) -> list[Any]:
    return [one for each in outline for one in (_flat(each) if isinstance(each, list) else [each])]


def test_every_font_of_a_pdf_is_embedded(make: Make) -> None:
    reader = pdf_of(make())
    found = [
        each
        for each in objects_of(reader)
        if isinstance(each, dict) and each.get("/Type") == "/FontDescriptor"
    ]
    assert found
    assert all("/FontFile2" in each for each in found)


def test_charts_are_vectors(make: Make) -> None:
    reader = pdf_of(make())
    assert not [image for page in reader.pages for image in page.images]
    drawn = reader.pages[0].get_contents()
    assert drawn is not None
    assert len(re.findall(rb" re\b", drawn.get_data())) > 20


@pytest.mark.parametrize("form", list(Form))
def test_the_same_report_gives_the_same_bytes(make: Make, form: Form) -> None:
    report = make(with_people=True)
    assert write_report(report, form).body == write_report(report, form).body


def test_hostile_records_stay_text_in_a_pdf(hostile: WeeklyReport) -> None:
    reader = pdf_of(hostile)
    text = text_of(reader)
    assert not ACTS & set().union(*map(names_of, objects_of(reader)))
    assert "<script data-evil>" in text.replace("\u00ad", "")
    assert "[U+202E]" in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\0\x1b]", text)
    assert "\0" not in text


def test_texts_in_other_scripts_are_shown_or_told_by_number() -> None:
    western = Fonts([brought()])
    assert western.plain("Größe") == "Größe"
    assert western.plain("測试 עברית") == ("[U+6E2C][U+8BD5] [U+05E2][U+05D1][U+05E8][U+05D9][U+05EA]")
    assert western.plain("字" * 30) == "[U+5B57]" * 8 + "[22 more]"
    assert western.plain("हिन्दी")[:8] == "[U+0939]"
    assert western.markup("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"
    assert western.markup("x" * 900, most=10) == "x" * 9 + "…"
    if len(fonts().waiting) + len(fonts().loaded) > 1:
        assert fonts().plain("Київ Ωμέγα") == "Київ Ωμέγα"


def test_tables_are_read_back_as_they_were(make: Make) -> None:
    report = make()
    made = write_report(report, Form.CSV)
    assert made.name == "mailveil-default-2026-W47-days.csv"
    assert made.body.startswith(b"\xef\xbb\xbfday,messages,")
    assert made.body.count(b"\r\n") == made.body.count(b"\n") == 8
    rows = list(csv.DictReader(io.StringIO(made.body.decode("utf-8-sig"))))
    assert [row["day"] for row in rows][0::6] == ["2026-11-16", "2026-11-22"]
    assert sum(int(row["messages"]) for row in rows) == 10
    assert sum(int(row["with_trackers"]) for row in rows) == 3
    activities = write_report(report, Form.CSV, Table.ACTIVITIES).body.decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(activities)))
    assert [line["actor"] for line in lines] == [
        "fresh.example",
        "closed.example",
        "quiet.example",
        "dismissed.example",
    ]
    assert lines[0]["is_new"] == "true"
    assert "people" not in lines[0]
    assert "anna" not in activities.lower()
    named = write_report(make_people(report), Form.CSV, Table.ACTIVITIES).body.decode("utf-8-sig")
    assert "people,functions\r\n" in named


def make_people(report: WeeklyReport) -> WeeklyReport:
    return replace(report, with_people=True)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\n=x",
        " =1",
        "|calc",
        "%x",
        "\uff1d1+1",
        "\uff0b1",
        "\uff20x",
    ],
)
def test_no_text_of_a_table_is_calculated(text: str) -> None:
    assert harmless(text) == "'" + text
    assert harmless("a" + text) == "a" + text
    assert harmless(-5) == -5
    assert harmless("") == ""


def test_hostile_records_stay_in_their_cells(hostile: WeeklyReport) -> None:
    body = write_report(hostile, Form.CSV, Table.ACTIVITIES).body.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(body, newline="")))
    assert len(rows) == 1 + len(TEXTS)
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not [cell for row in rows for cell in row if cell.lstrip()[:1] in tuple("=+-@\t\r|%")]


def test_json_is_what_it_says(make: Make) -> None:
    record = json.loads(write_report(make(), Form.JSON).body)
    assert record["week"] == "2026-W47"
    assert record["shares"] == {"with_remote": 0.6, "with_trackers": 0.5, "risky": 0.6667}
    assert record["watching"]["activities"][0]["actor"] == "fresh.example"
    assert record["watching"]["activities"][0]["targets"] == []
    assert record["since"] == "2026-11-16T00:00:00Z"


class Seen(HTMLParser):
    """What a parser that is not ours sees in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.leading: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "action", "xlink:href", "data", "poster", "background", "srcset"):
                self.leading.add(value or "")


def test_hostile_records_stay_text_in_html_and_json(hostile: WeeklyReport) -> None:
    seen = Seen()
    seen.feed(write_report(hostile, Form.HTML).body.decode())
    seen.close()
    assert not {"script", "img", "iframe", "a", "form", "math"} & seen.tags
    assert seen.leading == {"data:,"}
    assert not [name for name in seen.attributes if name.startswith("on") or name == "data-evil"]
    assert json.loads(write_report(hostile, Form.JSON).body)["watching"]["activities"]


@pytest.mark.parametrize(
    "text",
    ["W" * 400, "a\u202e" * 400, "字\u202e" * 400, "W " * 400],
    ids=["wide", "mixed", "numbers", "words"],
)
def test_the_longest_texts_fit_on_a_page(make: Make, text: str) -> None:
    """A row that is higher than a page cannot be set at all."""
    report = make(with_people=True)
    assert report.watching is not None
    line = report.watching.activities[0]
    long = replace(
        line, actor=text, kinds=(text,) * 20, domains=(text,) * 20, operator=text,
        targets=(replace(line.targets[0], person=text, function=text),) * 20,
        reasons=(replace(line.reasons[0], words=text),) * 20,
    )  # fmt: skip
    alert = replace(report.watching.alerts[0], words=text, people=(text,) * 20, sender_domain=text)
    watching = replace(report.watching, activities=(long,) * 3, alerts=(alert,) * 3, functions=((text, 3),))
    assert len(pdf_of(replace(report, watching=watching, organisation_name=text)).pages) >= 3


def test_an_organisation_without_mail_gets_a_report_in_every_form(control_room: ControlRoomForTests) -> None:
    control_room.clock.moment = AFTER
    report = asyncio.run(weekly_report(control_room.room, actor(), WEEK))
    assert "No mail passed in this week" in text_of(pdf_of(report))
    for form in Form:
        assert write_report(report, form).body
    rows = list(
        csv.reader(io.StringIO(write_report(report, Form.CSV, Table.ACTIVITIES).body.decode("utf-8-sig")))
    )
    assert len(rows) == 1


def test_of_many_activities_those_of_the_highest_score_are_shown_and_files_for_programs_have_all(
    control_room: ControlRoomForTests,
) -> None:
    control_room.clock.moment = AFTER
    many = [
        ActivityFile(activity(f"a{number}", MONDAY, MONDAY + DAY, 0.9 - number / 1000), AFTER)
        for number in range(60)
    ]

    async def gathered() -> WeeklyReport:
        await put_watchers(control_room, many)
        return await weekly_report(control_room.room, actor(), WEEK)

    report = asyncio.run(gathered())
    reader = pdf_of(report)
    assert len(reader.pages) > 3
    page = write_report(report, Form.HTML).body.decode("utf-8")
    for shown in (text_of(reader), " ".join(page.split())):
        assert "there are 20 more activities: in this report as CSV" in shown
        assert "a39.example" in shown
        assert "a40.example" not in shown
    table = write_report(report, Form.CSV, Table.ACTIVITIES).body.decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(table)))) == 1 + 60
    assert len(json.loads(write_report(report, Form.JSON).body)["watching"]["activities"]) == 60


def test_nothing_that_is_kept_together_in_a_pdf_asks_for_a_page_of_its_own(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever may break the page within it is measured as nothing, and the last row came to lie on a page alone."""
    kept: list[list[Any]] = []
    together = pdf.KeepTogether

    def watched(flowables: list[Any], **more: Any) -> Any:
        kept.append(flowables)
        return together(flowables, **more)

    monkeypatch.setattr(pdf, "KeepTogether", watched)
    pdf_of(make(with_people=True))
    assert len(kept) >= 2
    assert not any(isinstance(each, pdf.CondPageBreak) for flowables in kept for each in flowables)
