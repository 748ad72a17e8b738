"""Chance: everything that is drawn, from a seed and a name; the same on every machine and Python. No global state."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

HEXADECIMAL: Final = "0123456789abcdef"
BASE62: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Chance:
    """Draws of one part of a simulation. Parts have streams of their own, so that one more does not change others."""

    def __init__(self, seed: int, name: str = "") -> None:
        """``name`` says which part."""
        self._seed, self._name = seed, name
        self._random = random.Random(f"{seed}/{name}")  # noqa: S311 - to be drawn again, not to be secret

    def part(self, name: str) -> Chance:
        """Return the draws of a part of this part."""
        return Chance(self._seed, f"{self._name}/{name}")

    def share(self) -> float:
        """Return a number from 0 to 1."""
        return self._random.random()

    def often(self, probability: float) -> bool:
        """Tell whether something happens."""
        return self._random.random() < probability

    def between(self, least: float, most: float) -> float:
        """Return a number between two."""
        return least + (most - least) * self._random.random()

    def whole(self, least: int, most: int) -> int:
        """Return a whole number from ``least`` to ``most``, both included."""
        return least + int((most - least + 1) * self._random.random())

    def pick(self, things: Sequence[T]) -> T:
        """Return one of several."""
        return things[int(len(things) * self._random.random())]

    def some(self, things: Sequence[T], count: int) -> list[T]:
        """Return so many different ones of several, or all where there are not so many."""
        left = list(things)
        chosen = []
        for _ in range(min(count, len(left))):
            place = int(len(left) * self._random.random())
            chosen.append(left[place])
            left[place] = left[-1]
            left.pop()
        return chosen

    def weighted(self, choices: Sequence[tuple[T, float]]) -> T:
        """Return one of several, each as often as its weight has it."""
        left = self._random.random() * sum(weight for _, weight in choices)
        for choice, weight in choices:
            left -= weight
            if left < 0:
                return choice
        return choices[-1][0]

    def count(self, mean: float) -> int:
        """Return how often something happens that happens so often on average (Poisson)."""
        number = 0
        while mean > 30:  # keeps exp() away from where it vanishes
            number, mean = number + self.count(15.0), mean - 15.0
        left = math.exp(-mean)
        product = self._random.random()
        while product > left:
            number += 1
            product *= self._random.random()
        return number

    def skewed(self, count: int) -> int:
        """Return a number below ``count``, small ones far more often."""
        return min(count - 1, int(math.exp(self._random.random() * math.log(count + 1))) - 1)

    def token(self, characters: int, alphabet: str = HEXADECIMAL) -> str:
        """Return a random token."""
        if alphabet == HEXADECIMAL:
            return f"{self._random.getrandbits(4 * characters):0{characters}x}"
        return "".join(alphabet[int(len(alphabet) * self._random.random())] for _ in range(characters))

    def like(self, token: str) -> str:
        """Return another token of the same length and alphabet."""
        if not token.strip("0123456789"):
            return self.token(len(token), "0123456789")
        if not token.strip(HEXADECIMAL):
            return self.token(len(token))
        return self.token(len(token), BASE62)
