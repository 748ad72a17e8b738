"""PDF: a weekly report on paper. Its charts are vectors, its fonts embedded; nothing in it runs or leads anywhere.

It has a title, a language and an outline. The same report on the same machine gives the same bytes.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from mailveil.control.weeklyreport import WeeklyReport
from mailveil.endpoints.web.console.charts import Measure
from mailveil.endpoints.web.console.wording import number, plural
from mailveil.endpoints.web.weekly.drawings import (
    ACCENT,
    EDGE,
    INK,
    LINE,
    SOFT,
    TONES,
    Heading,
    LyingBars,
    StackedBars,
)
from mailveil.endpoints.web.weekly.shown import ABOUT, ActivityRow, Shown, shown
from mailveil.endpoints.web.weekly.typesetting import Fonts, fonts

MARGIN: Final = 18 * mm
WIDTH: Final = A4[0] - 2 * MARGIN
GAP: Final = 8 * mm
LEAST_BELOW: Final = 35 * mm  # of a heading on its page
MOST_ALERTS: Final = 40
MOST_FOOT: Final = 60  # characters of a name that the foot has room for
MOST_SAID: Final = 6  # domains and people of an activity
#: Fonts note what is used of them while a document is made.
_one_at_a_time = threading.Lock()


def portable(report: WeeklyReport) -> bytes:
    """Return the report as PDF."""
    with _one_at_a_time:
        return _Sheet(shown(report), fonts()).made()


class _Sheet:
    """One document while it is made."""

    def __init__(self, what: Shown, typeset: Fonts) -> None:
        self.what = what
        self.fonts = typeset
        face = typeset.main

        def style(size: float, colour: Any = INK, *, bold: bool = False, **more: Any) -> ParagraphStyle:
            name = face.bold if bold else face.regular
            values = {"fontName": name, "fontSize": size, "leading": size * 1.32, "textColor": colour}
            return ParagraphStyle("mailveil", **{**values, "splitLongWords": 1, **more})

        self.body = style(9)
        self.strong = style(9, bold=True)
        self.soft = style(8, SOFT)
        self.right = style(9, alignment=TA_RIGHT)
        self.right_soft = style(8, SOFT, alignment=TA_RIGHT)
        self.head = style(13, bold=True, spaceBefore=5 * mm, spaceAfter=2 * mm)
        self.title = style(21, bold=True)
        self.lede = style(11, SOFT)
        self.large = style(16, bold=True)
        self.alarm = style(16, TONES["alarm"], bold=True)
        self.point = style(9, leftIndent=10, bulletIndent=0, spaceAfter=1.2 * mm)

    def made(self) -> bytes:
        """Return the bytes."""
        report, out = self.what.report, io.BytesIO()
        name = self.fonts.plain(report.organisation_name, 80)
        document = BaseDocTemplate(
            out,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=MARGIN,
            bottomMargin=MARGIN,
            title=f"{name}: weekly report, {report.week}",
            author="mailveil",
            creator="mailveil",
            producer="mailveil",
            subject=f"Trackers in the mail of {self.what.subtitle}",
            lang="en",
            displayDocTitle=True,
            invariant=1,
        )
        frame = Frame(MARGIN, MARGIN, WIDTH, A4[1] - 2 * MARGIN, 0, 0, 0, 0)
        document.addPageTemplates(PageTemplate("page", [frame], onPage=self._around))
        document.build([*self._front(), *self._figures(), *self._watching(), *self._mail(), *self._about()])
        return out.getvalue()

    def _around(self, canvas: Any, document: Any) -> None:
        """Write what stands on every page."""
        report = self.what.report
        canvas.saveState()
        if document.page == 1:
            canvas.showOutline()
        canvas.setFont(self.fonts.main.regular, 7.5)
        canvas.setFillColor(SOFT)
        name = self.fonts.plain(report.organisation_name, 60)
        if len(name) > MOST_FOOT:
            name = report.organisation
        canvas.drawString(MARGIN, 10 * mm, f"mailveil · weekly report of {name} · {report.week}")
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, f"page {document.page}")
        canvas.restoreState()

    # --- parts ---------------------------------------------------------------------------------------------

    def _front(self) -> list[Any]:
        what = self.what
        name = self.fonts.markup(what.report.organisation_name, most=120)
        said = [self._point(each) for each in what.report.said]
        return [
            Paragraph(f"mailveil · weekly report of {name}", self.soft),
            Spacer(0, 1 * mm),
            Paragraph(what.title, self.title),
            Paragraph(what.subtitle, self.lede),
            *self._place("In words"),
            *said,
        ]

    def _figures(self) -> list[Any]:
        what, wide = self.what, WIDTH / len(self.what.stats)
        boxes = [
            [
                Paragraph(each.name, self.soft),
                Paragraph(number(each.value), self.alarm if each.is_alarm and each.value else self.large),
                Paragraph(each.detail, self.soft),
            ]
            for each in what.stats
        ]
        stats = Table([boxes], colWidths=[wide] * len(boxes))
        stats.setStyle(
            [
                ("BOX", (0, 0), (-1, -1), 0.5, LINE),
                ("INNERGRID", (0, 0), (-1, -1), 0.5, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
        half = (WIDTH - GAP) / 2
        charts = self._beside(
            [self._heading("By day", level=1), StackedBars(what.days, half, 150, self.fonts.main)],
            [self._heading("Twelve weeks", level=1), StackedBars(what.weeks, half, 150, self.fonts.main)],
        )
        return [*self._place("Figures"), stats, Spacer(0, 4 * mm), charts]

    def _weeks(self) -> list[Any]:
        names = (
            "Week",
            "Messages",
            "With remote content",
            "Of those with trackers",
            "Of those of risk",
            "Prevented",
        )
        rows = [
            [
                Paragraph(row.name, self.strong if row.is_this else self.body),
                *(
                    Paragraph(each, self.right)
                    for each in (
                        number(row.messages), row.remote, row.tracked, row.risky, number(row.prevented),
                    )
                ),
            ]
            for row in self.what.rows
        ]  # fmt: skip
        table = self._table(names, rows, (0.16, 0.16, 0.18, 0.18, 0.16, 0.16), right=range(1, 6))
        return [KeepTogether([self._heading("Twelve weeks in figures", level=1), table])]

    def _mail(self) -> list[Any]:
        what, half = self.what, (WIDTH - GAP) / 2
        kinds: list[Any] = [self._heading("What they wanted to know", level=1)]
        kinds.append(self._lying(what.kinds, half, "second", ("message", "messages"), "Nothing was asked."))
        built: list[Any] = [self._heading("Trackers that senders built themselves", level=1)]
        for each in what.built or ():
            built.append(Paragraph(self.fonts.markup(each.sender_domain, most=80), self.body))
            built.append(Paragraph(each.words, self.soft))
        if not what.built:
            words = "Not for this reader." if what.built is None else "None were met in this week."
            built.append(Paragraph(words, self.soft))
        return [
            *self._place("What came"),
            self._beside(kinds, built),
            *self._operators(),
            *self._weeks(),
        ]

    def _operators(self) -> list[Any]:
        rows = [
            [
                [
                    Paragraph(self.fonts.markup(each.name, most=80), self.body),
                    *([Paragraph(self.fonts.markup(each.owner, most=80), self.soft)] if each.owner else []),
                ],
                Paragraph(self.fonts.markup(each.does, most=80), self.body),
                Paragraph(number(each.messages), self.right),
                Paragraph(number(each.references), self.right),
            ]
            for each in self.what.operators or ()
        ]
        heading = self._place("Operators whose trackers were bought", level=1)
        if not rows:
            words = "Not for this reader." if self.what.operators is None else "None were met in this week."
            return [*heading, Paragraph(words, self.soft)]
        names = ("Operator", "What it does", "Messages", "References")
        return [KeepTogether([heading[-1], self._table(names, rows, (0.36, 0.34, 0.15, 0.15), right=(2, 3))])]

    def _watching(self) -> list[Any]:
        what, watching = self.what, self.what.report.watching
        if watching is None or what.activities is None:
            return [*self._place("Who is watching"), Paragraph("Not for this reader.", self.soft)]
        weaker = f"{plural(watching.weaker, 'weaker sign')} stayed below a score of 50."
        if not what.activities:
            words = "No reconnaissance worth a look was seen."
            told = f"{words} {weaker}" if watching.weaker else words
            return [*self._place("Who is watching"), Paragraph(told, self.soft)]
        rows = [self._activity(each) for each in what.activities]
        names = ("Score", "Who", "Probes of this week", "What they wanted", "Seen")
        found = [
            *self._place("Who is watching", below=2 * LEAST_BELOW),
            self._table(names, rows, (0.08, 0.27, 0.22, 0.28, 0.15), right=(0,)),
        ]
        if what.more:
            found.append(Paragraph(what.more, self.soft))
        if watching.weaker:
            found.append(Paragraph(weaker, self.soft))
        if what.functions:
            bars = self._lying(what.functions, WIDTH / 2, "note", ("person", "people"), "")
            found += [*self._place("Whose people were probed", level=1), bars]
        return [*found, *self._alerts()]

    def _activity(self, row: ActivityRow) -> list[Any]:
        markup = self.fonts.markup
        who = [
            Paragraph(markup(row.line.actor, bold=True, most=80), self.strong),
            Paragraph(f"{row.state}{''.join(f', {each}' for each in row.marks)}", self.soft),
            Paragraph(f"tracking {markup(row.tooling, most=90)}", self.soft),
        ]
        if row.domains:
            who.append(Paragraph(markup(", ".join(row.domains[:MOST_SAID]), most=200), self.soft))
        probes = [Paragraph(row.probes, self.body)]
        probes += [Paragraph(markup(each, most=70), self.soft) for each in row.people[:MOST_SAID]]
        wanted = [Paragraph(markup(row.wanted, most=160), self.body)]
        if row.techniques:
            wanted.append(Paragraph(markup(row.techniques), self.soft))
        if row.reasons:
            wanted.append(Paragraph(markup("; ".join(row.reasons[:4]), most=400), self.soft))
        seen = [Paragraph(row.since, self.body), Paragraph(f"to {row.last}", self.soft)]
        return [Paragraph(row.score, self.right), who, probes, wanted, seen]

    def _alerts(self) -> list[Any]:
        alerts, markup = self.what.alerts, self.fonts.markup
        if not alerts:
            return []
        rows = [
            [
                Paragraph(each.at, self.soft),
                [
                    Paragraph(each.kind, self.body),
                    *([Paragraph(each.earlier, self.soft)] if each.earlier else []),
                ],
                Paragraph(markup(each.line.sender_domain, most=80), self.body),
                [
                    Paragraph(markup(each.line.words, most=300), self.body),
                    *(Paragraph(markup(", ".join(some), most=300), self.soft) for some in (each.line.people,) if some),
                ],
            ]
            for each in alerts[:MOST_ALERTS]
        ]  # fmt: skip
        names = ("When", "Why", "From", "In words")
        found = [
            *self._place("Alerts", level=1),
            self._table(names, rows, (0.17, 0.17, 0.24, 0.42)),
        ]
        if len(alerts) > MOST_ALERTS:
            found.append(Paragraph(f"And {number(len(alerts) - MOST_ALERTS)} more.", self.soft))
        return found

    def _about(self) -> list[Any]:
        return [
            *self._place("About these figures"),
            Paragraph(ABOUT, self.body),
            Spacer(0, 2 * mm),
            *(self._point(each) for each in self.what.report.missing),
            Paragraph(f"Made {self.what.made}.", self.soft),
        ]

    # --- pieces --------------------------------------------------------------------------------------------

    def _place(self, title: str, level: int = 0, below: float = LEAST_BELOW) -> list[Any]:
        """Return a heading that does not end a page."""
        return [CondPageBreak(below), self._heading(title, level)]

    def _heading(self, title: str, level: int = 0) -> Heading:
        style = self.head if level == 0 else self._lesser()
        return Heading(title, style, title=title, level=level)

    def _lesser(self) -> ParagraphStyle:
        return ParagraphStyle(
            "lesser", parent=self.head, fontSize=10.5, leading=13, spaceBefore=3 * mm, textColor=ACCENT
        )

    def _point(self, text: str) -> Paragraph:
        return Paragraph(self.fonts.markup(text, most=600), self.point, bulletText="•")

    def _beside(self, left: Sequence[Any], right: Sequence[Any]) -> Table:
        half = (WIDTH - GAP) / 2
        made = Table([[left, "", right]], colWidths=[half, GAP, half])
        made.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *_no_padding()])
        return made

    def _lying(
        self, rows: Sequence[Measure], width: float, tone: str, unit: tuple[str, str], nothing: str
    ) -> LyingBars | Paragraph:
        if not rows:
            return Paragraph(nothing, self.soft)
        settable = [replace(each, name=self.fonts.plain(each.name, 40)) for each in rows]
        return LyingBars(settable, width, tone, self.fonts.main, unit)

    def _table(
        self, names: Sequence[str], rows: Sequence[Any], widths: Sequence[float], right: Sequence[int] = ()
    ) -> Table:
        head = [
            Paragraph(name, self.right_soft if at in right else self.soft) for at, name in enumerate(names)
        ]
        made = Table([head, *rows], colWidths=[WIDTH * each for each in widths], repeatRows=1)
        made.setStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, EDGE),
                ("LINEBELOW", (0, 1), (-1, -1), 0.4, LINE),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
            ]
        )
        return made


def _no_padding() -> list[tuple[Any, ...]]:
    sides = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")
    return [(side, (0, 0), (-1, -1), 0) for side in sides]
