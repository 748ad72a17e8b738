"""The catalogue of operators: what it costs to know an address, against one regular expression over all shapes."""

from __future__ import annotations

import re
import time

from mailveil.core.verdicts.addresses import take_apart
from mailveil.core.verdicts.operators import catalogue, find_operator
from mailveil.core.verdicts.operators.matching import Finder

TOKENS = 40


def addresses() -> list[tuple[str, str]]:
    """Return host and target of every example and of three honest pictures for each."""
    found = []
    for number, shape in enumerate(catalogue().shapes):
        place = take_apart(shape.example)
        found.append((place.host, place.target))
        for picture in range(3):
            token = f"{number * 2654435761 % 2**32:08x}{picture:024x}"
            found.append(
                (f"img{number % 9}.shop{number % 40}.example", f"/mail/{token}/{picture}/hero.png?w=600&v=2")
            )
    return found


def known_against_regex(rounds: int) -> dict[str, float]:
    """Return microseconds an address for the index and for one alternation of the shapes' literal texts."""
    asked = addresses()
    start = time.process_time()
    Finder(catalogue())
    index_s = time.process_time() - start
    literals = sorted(
        {max(re.split(r"[*{}]", shape.path.text or shape.host), key=len) for shape in catalogue().shapes}
    )
    pattern = re.compile("|".join(map(re.escape, literals)))
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.process_time()
        for host, target in asked:
            find_operator(host, target)
        ours.append(time.process_time() - start)
        start = time.process_time()
        for host, target in asked:
            pattern.search(host + target)
        theirs.append(time.process_time() - start)
    return {
        "operators": float(len(catalogue().entries)),
        "shapes": float(len(catalogue().shapes)),
        "build_index_ms": index_s * 1e3,
        "ours_us": min(ours) / len(asked) * 1e6,
        "addresses_per_s": len(asked) / min(ours),
        "regex_us": min(theirs) / len(asked) * 1e6,
        "times_faster": min(theirs) / min(ours),
    }
