"""``make lesson``: what behaviour weighs, learned in the lab, and how good it is on families held out.

Runs generated origins through the real product (lesson_room.py), fits an additive table of log-odds, and prints it with
figures by family, each family judged by a table that has seen none of it. ``--write`` puts the table into the core.
The origins are the same for the same seed; the table is the same for the same observations.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mailveil.core.verdicts.behaviour import TABLE_VERSION, add, parse_table
from mailveil.core.verdicts.signals import AFTER_DELIVERY, FACTS, Signal

ROOM = Path(__file__).with_name("lesson_room.py")
TABLE = Path(__file__).parents[1] / "src/mailveil/core/verdicts/behaviour.json"
# What needs other messages or fetches to be known; half of what is learned from is as if there were none.
ACROSS = frozenset(
    {
        Signal.TOKEN_PER_RECIPIENT, Signal.URL_SHARED, Signal.NAME_PER_MESSAGE, Signal.WILDCARD_ZONE,
        Signal.SHARED_BODY, Signal.BODY_PER_TOKEN, Signal.NEW_HOST,
    }
)  # fmt: skip
AGAINST = frozenset(
    {
        Signal.URL_SHARED, Signal.LONG_CACHEABLE, Signal.UNCHANGING_FILE, Signal.TRUE_PICTURE, Signal.BODY_PER_TOKEN,
    }
)  # fmt: skip
SIGNALS = tuple(each for each in Signal if FACTS[each].evidence in AFTER_DELIVERY)
# What a signal is worth by its meaning, before the lab is asked; others are worth nothing until then. The lab has no
# case of the first three, and too few families with the others to say how far they go.
MEANT = {
    Signal.OPERATOR_NAME_SERVER: 1.0,
    Signal.REDIRECTED_TO_OPERATOR: 1.5,
    Signal.NEW_HOST: 0.2,
    Signal.TOKEN_PER_RECIPIENT: 3.0,
    Signal.SHARED_BODY: 2.0,
    Signal.NAME_PER_MESSAGE: 3.0,
    Signal.URL_SHARED: -3.0,
    Signal.BODY_PER_TOKEN: -2.0,
    Signal.DRIP_FED: 3.0,
    Signal.ENDLESS_BODY: 3.0,
    Signal.SILENT_AUDIO: 3.0,
    Signal.PLACE_TOLD: 2.0,
}
TIGHTNESS = 0.002  # of the weights around what they are meant to be
STEPS = 800


@dataclass(frozen=True)
class Row:
    """One origin and recipient."""

    origin: str
    family: str
    is_tracker: bool
    learns: tuple[str, ...]
    static: float
    strengths: Mapping[Signal, float]

    def alone(self) -> Row:
        """Return the row as if nothing were known of other messages."""
        strengths = {signal: each for signal, each in self.strengths.items() if signal not in ACROSS}
        return Row(self.origin, self.family, self.is_tracker, self.learns, self.static, strengths)


def read_rows(text: str) -> list[Row]:
    """Return the rows of a room's output."""
    return [_row(json.loads(line)) for line in text.splitlines()]


def _row(told: Mapping[str, Any]) -> Row:
    return Row(
        told["origin"],
        told["family"],
        told["tracker"],
        tuple(told["learns"]),
        told["verdict"]["log_odds"],
        {Signal(name): strength for name, strength in told["signals"].items()},
    )


def hold_lesson(seed: int, each: int) -> str:
    """Return what a room printed. Raises SystemExit where this machine has none."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        raise SystemExit("the lesson needs util-linux, iproute2 and the right to make network namespaces")
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "-n", "-m", sys.executable, str(ROOM), folder, str(seed), str(each)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return done.stdout


def fit(rows: Sequence[Row]) -> dict[Signal, float]:
    """Return the additive log-odds that tell trackers from content; families and both kinds weigh alike."""
    known = [each for row in rows for each in (row, row.alone())]
    table = np.array([[row.strengths.get(signal, 0.0) for signal in SIGNALS] for row in known])
    truth = np.array([1.0 if row.is_tracker else 0.0 for row in known])
    families: dict[str, int] = {}
    for row in known:
        families[row.family] = families.get(row.family, 0) + 1
    kinds = {kind: len({row.family for row in known if row.is_tracker is kind}) for kind in (True, False)}
    share = np.array([0.5 / families[row.family] / kinds[row.is_tracker] for row in known])
    meant = np.array([MEANT.get(signal, 0.0) for signal in SIGNALS])
    sign = np.array([-1.0 if signal in AGAINST else 1.0 for signal in SIGNALS])
    weights = meant.copy()
    step = 1.0 / (0.25 * float(np.linalg.norm(table * np.sqrt(share)[:, None], 2)) ** 2 + TIGHTNESS)
    ahead, pace = weights, 1.0
    for _ in range(STEPS):  # projected gradient with momentum (Beck and Teboulle 2009)
        chance = 1.0 / (1.0 + np.exp(-np.clip(table @ ahead, -30, 30)))
        slope = table.T @ (share * (chance - truth)) + TIGHTNESS * (ahead - meant)
        after = ahead - step * slope
        after = np.where(sign * after < 0, 0.0, after)  # what speaks for a tracker never speaks against one
        faster = (1.0 + (1.0 + 4.0 * pace * pace) ** 0.5) / 2.0
        ahead, weights, pace = after + (pace - 1.0) / faster * (after - weights), after, faster
    return {signal: round(float(weight), 2) + 0.0 for signal, weight in zip(SIGNALS, weights, strict=True)}


def moved(row: Row, table: Mapping[Signal, float]) -> float:
    """Return by how much behaviour moves a row's verdict."""
    return sum(table.get(signal, 0.0) * strength for signal, strength in row.strengths.items())


@dataclass
class Figures:
    """How many rows were judged rightly, by what was known."""

    rows: int = 0
    static: int = 0
    behaviour: int = 0
    alone: int = 0
    both: int = 0

    def add(self, row: Row, table: Mapping[Signal, float]) -> None:
        """Judge one more row."""
        self.rows += 1
        self.static += (row.static >= 0) is row.is_tracker
        self.behaviour += (moved(row, table) > 0) is row.is_tracker
        self.alone += (add(row.static, moved(row.alone(), table)) >= 0) is row.is_tracker
        self.both += (add(row.static, moved(row, table)) >= 0) is row.is_tracker

    def line(self, name: str) -> str:
        """Return a line of the table."""
        parts = (self.static, self.behaviour, self.alone, self.both)
        return f"{name:24} {self.rows:6} " + " ".join(
            f"{100 * each / max(1, self.rows):9.1f}%" for each in parts
        )


def figures(rows: Sequence[Row]) -> dict[str, Figures]:
    """Return figures by family, each judged by a table that was fitted without it."""
    found: dict[str, Figures] = {}
    for family in dict.fromkeys(row.family for row in rows):
        table = fit([row for row in rows if row.family != family])
        found[family] = Figures()
        for row in rows:
            if row.family == family:
                found[family].add(row, table)
    return found


def report(rows: Sequence[Row], table: Mapping[Signal, float]) -> list[str]:
    """Return the table and its figures, to be printed and to be put into the documentation."""
    lines = ["signal                   weight   trackers with it   content with it", ""]
    for signal, weight in sorted(table.items(), key=lambda each: -each[1]):
        shares = [
            sum(signal in row.strengths for row in rows if row.is_tracker is kind)
            / max(1, sum(row.is_tracker is kind for row in rows))
            for kind in (True, False)
        ]
        lines.append(f"{signal:24} {weight:+6.2f} {100 * shares[0]:17.1f}% {100 * shares[1]:16.1f}%")
    columns = ("message", "behaviour", "first mail", "all known")
    heading = f"{'family held out':24} {'rows':>6} " + " ".join(f"{each:>10}" for each in columns)
    for kind, name in ((True, "trackers found"), (False, "content left alone")):
        lines += ["", name, heading]
        by_family = figures(rows)
        total = Figures()
        for family, each in by_family.items():
            if next(row.is_tracker for row in rows if row.family == family) is kind:
                lines.append(each.line(family))
                for part in ("rows", "static", "behaviour", "alone", "both"):
                    setattr(total, part, getattr(total, part) + getattr(each, part))
        lines.append(total.line("together"))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=12, help="origins of each family")
    parser.add_argument("--observations", type=Path, help="read them from this file, or write them there")
    parser.add_argument("--write", action="store_true", help="put the table into the core")
    choices = parser.parse_args()
    if choices.observations is not None and choices.observations.exists():
        text = choices.observations.read_text()
    else:
        text = hold_lesson(choices.seed, choices.each)
        if choices.observations is not None:
            choices.observations.write_text(text)
    rows = read_rows(text)
    table = fit(rows)
    print("\n".join(report(rows, table)))
    written = json.dumps(
        {
            "version": TABLE_VERSION,
            "learned": {"seed": choices.seed, "each": choices.each, "rows": len(rows)},
            "weights": {str(signal): weight for signal, weight in sorted(table.items())},
        },
        indent=1,
    )
    parse_table(written)
    if choices.write:
        TABLE.write_text(written + "\n")


if __name__ == "__main__":
    main()
