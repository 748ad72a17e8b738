"""Vendors: mail services, sales software and read-trackers of the catalogue, with addresses of their trackers.

An address is the one that the catalogue has as an example, its tokens drawn anew, and still of the operator's shape.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from mailveil.core.verdicts.addresses import take_apart
from mailveil.core.verdicts.operators import Category, Shape, catalogue, find_operator
from mailveil.learning.simulation.chance import Chance

_RUN: Final = re.compile(r"[A-Za-z0-9]{10,}")


@dataclass(frozen=True, slots=True)
class Vendor:
    """One way in which a vendor's customers learn who reads. ``host`` is ``""`` where each has a name of their own."""

    name: str
    category: Category
    url: str
    host: str
    cname: str
    field: str

    def tracker(self, chance: Chance, own_host: str = "") -> tuple[str, tuple[str, ...]]:
        """Return a tracker's URL for a customer, and the tokens in it that each message has anew."""
        url = self.url
        if own_host:
            scheme, _, rest = url.partition("://")
            url = f"{scheme}://{own_host}/{rest.partition('/')[2]}"
        marks = []
        start = url.index("://") + 3
        for run in dict.fromkeys(_tokens(url[start:].partition("/")[2])):
            token = chance.like(run)
            url = url.replace(run, token)
            marks.append(token)
        return url, tuple(marks)


def vendors(*categories: Category) -> Sequence[Vendor]:
    """Return the vendors of some categories, in the order of their names."""
    return [each for each in _all() if each.category in categories]


@cache
def _all() -> tuple[Vendor, ...]:
    made = [vendor for shape in catalogue().shapes if (vendor := _vendor(shape)) is not None]
    return tuple(sorted(made, key=lambda each: (each.name, each.url)))


def _vendor(shape: Shape) -> Vendor | None:
    place = take_apart(shape.example)
    target = shape.example.partition("://")[2].partition("/")[2]
    if not place.host or not _tokens(target) or ("shop.example" in place.host and shape.host):
        return None
    vendor = Vendor(
        shape.name,
        shape.entry.category,
        shape.example,
        place.host if shape.host else "",
        next(
            (each.value for name, facts in shape.entry.facts.items() if name == "cnames" for each in facts),
            "",
        ),
        next(
            (each.value for name, facts in shape.entry.facts.items() if name == "fields" for each in facts),
            "",
        ),
    )
    # Tokens of some have a form that another token would not have.
    url, _marks = vendor.tracker(
        Chance(1, f"{shape.name}/{shape.example}"), "" if vendor.host else "t.try.example"
    )
    found = find_operator(take_apart(url).host, f"/{url.partition('://')[2].partition('/')[2]}")
    return vendor if found is not None and found.name == shape.name else None


def _tokens(target: str) -> list[str]:
    return [each for each in _RUN.findall(target) if any(letter.isdigit() for letter in each)]
