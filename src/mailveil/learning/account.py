"""Account: what an evaluation found, as text for a terminal and as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from mailveil.learning.plots import line_plot

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1d2330}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .8rem;text-align:right;"
    "border-bottom:1px solid #dfe3ea}td:first-child,th:first-child{text-align:left}h2{margin-top:2rem}"
    "svg{margin:0 1rem 1rem 0}svg text{font-family:system-ui,sans-serif}.title{font-size:14px;font-weight:600}"
    ".small{font-size:11px;fill:#555}.grid{stroke:#e4e7ee}.line{fill:none;stroke:#1f5fbf;stroke-width:2}"
    ".diagonal{stroke:#999;stroke-dasharray:4 4;fill:none}.mark{fill:#c23a2b}code{font-size:13px}"
)


def share(value: float) -> str:
    """Return a share in per cent."""
    return f"{value * 100:.1f} %"


def _rate(rate: Mapping[str, Any]) -> str:
    if not rate["rows"]:
        return "-"
    return f"{share(rate['macro'])} ({rate['low'] * 100:.1f}-{rate['high'] * 100:.1f})"


def tables_of(account: Mapping[str, Any]) -> Iterable[Table]:
    """Yield every table of an account: title, column names, rows."""
    yield (
        "Found, at so many false positives (macro-averaged by family, 95 % interval)",
        ("trackers", "rows", "families", *next(iter(account["headline"].values()))),
        [
            (name, str(first["rows"]), str(first["families"]), *(_rate(rate) for rate in rates.values()))
            for name, rates in account["headline"].items()
            for first in [next(iter(rates.values()))]
        ],
    )
    yield (
        "Found at 0.5 % false positives, every row counting alike",
        ("trackers", "found"),
        [(name, share(rates["0.5%"]["micro"])) for name, rates in account["headline"].items()],
    )
    spacers, accused = account["spacers"], account["wrongly_accused_by_the_simple_rule"]
    yield (
        "Honest content that is easily accused",
        ("content", "rows", "called trackers"),
        [
            (
                "layout spacers, at even odds",
                str(spacers["rows"]),
                share(spacers["called_trackers_at_even_odds"]),
            ),
            ("layout spacers, at 0.5 %", str(spacers["rows"]), share(spacers["called_trackers_at_0.5%"])),
            ("accused by the simple rule", str(accused["rows"]), share(accused["still_accused_at_0.5%"])),
        ],
    )
    yield (
        "Baselines on the same rows",
        ("baseline", "false positives", "all trackers", "headline"),
        [
            (
                name,
                f"{each['false_positives'] * 100:.2f} %",
                share(each["all_trackers"]),
                _rate(each["headline"]),
            )
            for name, each in account["baselines"].items()
        ],
    )
    yield (
        "Attacked, at the border of 0.5 % false positives among honest rows",
        ("what was done to the trackers", "rows", "all, by row", "all, macro", "headline, macro"),
        [
            (
                name,
                str(each["all"]["rows"]),
                share(each["all"]["micro"]),
                _rate(each["all"]),
                _rate(each["headline"]),
            )
            for name, each in account["attacked"]["trackers"].items()
        ],
    )
    yield (
        "Look-alikes",
        ("what was done to honest content", "rows", "accused at 0.5 %", "accused at even odds"),
        [
            (
                name,
                str(each["rows"]),
                share(each["false_positives"]),
                share(each["false_positives_at_even_odds"]),
            )
            for name, each in account["attacked"]["content"].items()
        ],
    )
    for key, title in (("splits", "By what is unknown"), ("evidence", "Without a class of evidence")):
        if key in account:
            yield (
                f"{title}, at 0.5 % false positives",
                ("", "headline, macro", "all trackers"),
                [
                    (name, _rate(each["headline"]), share(each["all_trackers"]))
                    for name, each in account[key].items()
                ],
            )
    yield (
        "Rows that nobody could label, which no figure counts",
        ("why", "rows", "called trackers at even odds"),
        [
            (name, str(each["rows"]), share(each["called_trackers_at_even_odds"]))
            for name, each in account["unsure"].items()
        ],
    )
    yield (
        "Calibration",
        ("weighed", "expected calibration error"),
        [
            (name, f"{each['expected_calibration_error']:.4f}")
            for name, each in account["calibration"].items()
        ],
    )
    for wrong, title in (("missed", "Missed trackers"), ("accused", "Accused content")):
        yield (
            f"{title} at 0.5 %, one by one",
            ("host and template", "label from", "vector", "rows", "log-odds"),
            [
                (
                    each["template"],
                    each["label_source"],
                    each["vector"],
                    str(each["rows"]),
                    f"{each['log_odds']:+.2f}",
                )
                for each in account["errors"][wrong]
            ],
        )


def text_of(account: Mapping[str, Any]) -> str:
    """Return an account for a terminal."""
    data = account["data"]
    counted = f"{data['trackers']:,} trackers of {data['families']:,} families, {data['content']:,} content"
    lines = [f"{data['rows']:,} rows: {counted}", f"judged by {account['how']}"]
    for title, names, rows in tables_of(account):
        lines += ["", title, *_columns((names, *rows))]
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [min(70, max(len(row[number]) for row in rows)) for number in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell[:70].ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def page_of(account: Mapping[str, Any]) -> str:
    """Return an account as one HTML page with its plots; it loads nothing."""
    curves = account["curves"]
    marks = [
        (name, each["false_positives"], each["all_trackers"])
        for name, each in account["baselines"].items()
        if not name.startswith("list ")
    ]
    bins = account["calibration"]["by row"]["bins"]
    plots = (
        line_plot("ROC, false positives on a logarithmic axis", ("false positives", "found"), curves["roc"],
                  marks=marks, logarithmic=True),
        line_plot("Precision and recall", ("recall", "precision"), curves["precision_recall"]),
        line_plot("Reliability", ("said", "true"), [(each["said"], each["true"]) for each in bins],
                  marks=[(f"{each['rows']:,}", each["said"], each["true"]) for each in bins], diagonal=True),
    )  # fmt: skip
    data = account["data"]
    pieces = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mailveil: how good the judge is</title>',
        f"<style>{_STYLE}</style><h1>How good the judge is</h1>",
        (
            f"<p>{data['rows']:,} rows: {data['trackers']:,} trackers of {data['families']:,} families and "
            f"{data['content']:,} references to content, judged by {escape(account['how'])}. "
            f"Area under the ROC {curves['roc_area']:.4f}, average precision {curves['average_precision']:.4f}.</p>"
        ),
        *plots,
    ]
    for title, names, rows in tables_of(account):
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        pieces.append(f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>")
    return "".join(pieces) + "</html>\n"
