"""Mutated corpus messages: whatever becomes of a mail on its way, the laws hold.

Seeded, so that a failure comes back; ``MAILVEIL_FUZZ_SEED`` and ``MAILVEIL_FUZZ_MESSAGES`` look elsewhere and longer.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from corpus_cases import cases
from mailveil.core.protection import EngineSettings, inspect, protect

SEED = int(os.environ.get("MAILVEIL_FUZZ_SEED", "7"))
MESSAGES = int(os.environ.get("MAILVEIL_FUZZ_MESSAGES", "6000"))
SHARDS = 8
SETTINGS = EngineSettings()
CORPUS = [case.raw for case in cases() if "private" not in case.folder.parts and len(case.raw) < 20_000]
# What some grammar, charset or coding takes for structure.
TOKENS = (
    b"<", b">", b'"', b"'", b"`", b"&", b"&#", b"=", b"=3D", b"\\", b"/*", b"*/", b"(", b";", b"--", b"\r\n", b"\n",
    b"\r", b"\0", b" ", b"\t", b"\xff\xfe", b"\xef\xbb\xbf", b"+ADw-", b"\x1b$B", b"\x1b", b"~{", b"\x81", b"<!--",
    b"-->", b"<![CDATA[", b"]]>", b"<!--[if mso]>", b"<![endif]-->", b"<style>", b"</style>", b"<svg>", b"<title>",
    b"<img src=", b"<base href=//base.example/>", b"<meta http-equiv=", b"<iframe srcdoc=", b"url(", b'@import "',
    b"http://trap.example/a", b"data:text/html;base64,", b"cid:", b"Content-Type: text/html\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", b"Content-Transfer-Encoding: base64\r\n",
)  # fmt: skip


def _mutated(raw: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(raw)

    def place() -> int:
        return chance.randrange(len(mutant) + 1)

    def flip() -> None:
        if mutant:
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)

    def cut() -> None:
        at = place()
        del mutant[at : at + chance.choice((1, 2, 5, 20, 200))]

    def truncate() -> None:
        del mutant[place() :]

    def insert() -> None:
        at = place()
        mutant[at:at] = chance.choice(TOKENS) * chance.choice((1, 1, 3, 40))

    def repeat() -> None:
        at, to = place(), place()
        mutant[to:to] = mutant[at : at + chance.choice((5, 50, 500))]

    def splice() -> None:
        other = chance.choice(CORPUS)
        at, first = place(), chance.randrange(len(other) + 1)
        mutant[at:at] = other[first : first + chance.choice((20, 200, 1000))]

    changes: tuple[Callable[[], None], ...] = (flip, cut, insert, insert, repeat, splice, truncate)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        chance.choice(changes)()
    return bytes(mutant)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_mutated_messages_obey_the_laws(shard: int) -> None:
    """Totality, silence and time for each; a second cleaning changes nothing where nothing had to become inert."""
    chance = random.Random(f"{SEED}-{shard}")
    for number in range(MESSAGES // SHARDS):
        mutant = _mutated(chance.choice(CORPUS), chance)
        began = time.process_time()
        outcome = protect(mutant, SETTINGS)
        took = time.process_time() - began
        told = f"seed {SEED}, shard {shard}, message {number}: {mutant!r}"
        assert took < 1 + len(mutant) / 50_000, told
        assert [decision.reference.url for decision in inspect(outcome.raw, SETTINGS).decisions] == [], told
        if not outcome.inert_parts:
            assert protect(outcome.raw, SETTINGS).raw == outcome.raw, told
