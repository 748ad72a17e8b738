"""Drawings: the charts of the console as vectors in a PDF, and headings that its outline leads to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from reportlab.lib.colors import HexColor
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, Paragraph

from mailveil.endpoints.web.console.charts import Measure, TimeChart
from mailveil.endpoints.web.console.wording import plural
from mailveil.endpoints.web.weekly.typesetting import Face

INK: Final = HexColor("#14212b")
SOFT: Final = HexColor("#52606d")
LINE: Final = HexColor("#dce3e9")
EDGE: Final = HexColor("#7d8b98")
ACCENT: Final = HexColor("#0b6868")
#: As the console's style sheet has them on white.
TONES: Final = {
    "alarm": HexColor("#c9473b"),
    "accent": HexColor("#15908c"),
    "note": HexColor("#c07d0a"),
    "second": HexColor("#5276bd"),
    "quiet": HexColor("#8896a3"),
}
SMALL: Final = 7.0
AXIS_WIDTH: Final = 24.0
LEGEND_HEIGHT: Final = 14.0
LABEL_HEIGHT: Final = 13.0
ROW_HEIGHT: Final = 20.0


class Heading(Paragraph):  # type: ignore[misc]
    """A heading that is a place to go to in the outline."""

    def __init__(self, text: str, style: Any, *, title: str, level: int = 0) -> None:
        super().__init__(text, style)
        self._title = title
        self._level = level

    def draw(self) -> None:
        """Draw it, and take note of where it is."""
        key = f"{self._level}-{self._title}"
        self.canv.bookmarkHorizontal(key, 0, self.height)
        self.canv.addOutlineEntry(self._title, key, self._level, closed=False)
        super().draw()


class StackedBars(Flowable):  # type: ignore[misc]
    """Bars over time, as ``charts.TimeChart`` places them."""

    def __init__(self, chart: TimeChart, width: float, height: float, face: Face) -> None:
        super().__init__()
        self.chart, self.width, self.height, self.face = chart, width, height, face

    def draw(self) -> None:
        """Draw lines, bars, labels and what the tones mean."""
        canvas, chart = self.canv, self.chart
        plot = self.height - LABEL_HEIGHT - (LEGEND_HEIGHT if len(chart.series) > 1 else 0)
        wide, scale = self.width - AXIS_WIDTH, plot / chart.height

        def across(percent: float) -> float:
            return float(AXIS_WIDTH + wide * percent / 100)

        def up(pixels: float) -> float:
            return float(LABEL_HEIGHT + plot - pixels * scale)

        canvas.setLineWidth(0.5)
        canvas.setFont(self.face.regular, SMALL)
        for number, line in enumerate(chart.lines):
            canvas.setStrokeColor(EDGE if number == 0 else LINE)
            canvas.line(AXIS_WIDTH, up(line.y), self.width, up(line.y))
            canvas.setFillColor(SOFT)
            canvas.drawRightString(AXIS_WIDTH - 4, up(line.y) - 2.5, line.label)
        for bar in chart.bars:
            for block in bar.blocks:
                canvas.setFillColor(TONES[block.tone])
                left, low = across(bar.x), up(block.y + block.height)
                canvas.rect(left, low, wide * bar.width / 100, block.height * scale, stroke=0, fill=1)
        canvas.setFillColor(SOFT)
        for label in chart.labels:
            canvas.drawCentredString(across(label.x), 2, label.text)
        if len(chart.series) > 1:
            self._legend()

    def _legend(self) -> None:
        canvas, left, low = self.canv, 0.0, self.height - SMALL
        for each in reversed(self.chart.series):
            name = each.name.removeprefix("with ")
            canvas.setFillColor(TONES[each.tone])
            canvas.rect(left, low, 6, 6, stroke=0, fill=1)
            canvas.setFillColor(SOFT)
            canvas.drawString(left + 9, low, name)
            left += 9 + stringWidth(name, self.face.regular, SMALL) + 9


class LyingBars(Flowable):  # type: ignore[misc]
    """Bars that lie, each under its name. Names have been made settable by the caller."""

    def __init__(
        self, rows: Sequence[Measure], width: float, tone: str, face: Face, unit: tuple[str, str]
    ) -> None:
        super().__init__()
        self.rows, self.width, self.tone, self.face, self.unit = rows, width, tone, face, unit
        self.height = ROW_HEIGHT * len(rows)

    def draw(self) -> None:
        """Draw one below the other."""
        canvas = self.canv
        for number, row in enumerate(self.rows):
            top = self.height - number * ROW_HEIGHT
            canvas.setFont(self.face.regular, 8.5)
            canvas.setFillColor(INK)
            canvas.drawString(0, top - 9, row.name)
            canvas.drawRightString(self.width, top - 9, plural(row.value, *self.unit))
            canvas.setFillColor(LINE)
            canvas.rect(0, top - 16, self.width, 3.5, stroke=0, fill=1)
            canvas.setFillColor(TONES[self.tone])
            canvas.rect(0, top - 16, self.width * row.percent / 100, 3.5, stroke=0, fill=1)
