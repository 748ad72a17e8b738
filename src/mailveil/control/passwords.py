"""Passwords: which ones do, and their hashes (Argon2id, RFC 9106), worked out beside the event loop."""

from __future__ import annotations

import asyncio
import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type

from mailveil.control.failures import BusyError, InvalidError

MIN_LENGTH = 12
MAX_LENGTH = 200
MIN_DISTINCT = 5
# What people write when twelve characters are asked for; with digits, signs and repetitions put away.
COMMON_STEMS = (
    *(
        "password",
        "passwort",
        "passwd",
        "motdepasse",
        "contrasena",
        "kennwort",
        "secret",
        "geheim",
        "letmein",
    ),
    *("welcome", "willkommen", "bienvenue", "admin", "administrator", "administrateur", "root", "mailveil"),
    *("mailgateway", "postmaster", "qwerty", "qwertz", "azerty", "qwertyuiop", "qwertzuiop", "azertyuiop"),
    *("asdfghjkl", "yxcvbnm", "zxcvbnm", "abcdefghijkl", "abcdefghijklmnopqrstuvwxyz", "iloveyou", "monkey"),
    *("dragon", "football", "changeme", "changeit", "default", "correcthorsebatterystaple"),
)
_WORDS = re.compile(r"[^\W\d_]{3,}")
_SUBSTITUTED = str.maketrans("013457@$!", "oleastasi")

Found = TypeVar("Found")


class Passwords:
    """Hashes and checks passwords. Few at a time: each takes a core and much memory, and mail goes first.

    ``parallel`` are worked out at once, ``waiting`` may wait besides; more raise ``BusyError``. The cost is that of
    RFC 9106 section 4 for little memory, ``memory_kib`` and ``rounds``.
    """

    def __init__(
        self, *, memory_kib: int = 65_536, rounds: int = 3, parallel: int = 2, waiting: int = 32
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=rounds, memory_cost=memory_kib, parallelism=4, hash_len=32, salt_len=16, type=Type.ID
        )
        self._turns = asyncio.Semaphore(parallel)
        self._most = parallel + waiting
        self._present = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Return the hash of a password in PHC format."""
        return await self._turn(self._hasher.hash, plain(password))

    async def verify(self, expected: str, password: str) -> bool:
        """Tell whether a password is that of a hash. Without one (``""``) it takes as long, and the answer is False."""
        if not expected and not self._nobody:
            self._nobody = await self.hash("a user who is not there")
        matches = await self._turn(self._matches, expected or self._nobody, plain(password))
        return matches and bool(expected)

    def is_outdated(self, expected: str) -> bool:
        """Tell whether a hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(expected)

    def _matches(self, expected: str, password: str) -> bool:
        try:
            return self._hasher.verify(expected, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    async def _turn(self, work: Callable[..., Found], *given: str) -> Found:
        if self._present >= self._most:
            raise BusyError("too many sign-ins at once; try again in a moment")
        self._present += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *given)
        finally:
            self._present -= 1


def plain(password: str) -> str:
    """Return a password as it is hashed: the same letters typed on another system are the same (NFKC, RFC 8265)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *names: str) -> None:
    """Refuse a password that would be guessed soon. Raises ``InvalidError``, which says what would do.

    ``names`` are the user's own. Length is what counts (NIST SP 800-63B section 5.1.1); no mixture of kinds of
    characters is asked for.
    """
    password = plain(password)
    if len(password) < MIN_LENGTH:
        raise InvalidError(
            f"A password has at least {MIN_LENGTH} characters; a few words do well.", "password"
        )
    if len(password) > MAX_LENGTH:
        raise InvalidError(f"A password has at most {MAX_LENGTH} characters.", "password")
    folded = password.casefold()
    if len(set(folded)) < MIN_DISTINCT:
        raise InvalidError("That password repeats a few characters; take others as well.", "password")
    if _is_run(folded):
        raise InvalidError("That password only counts on; it would be guessed soon.", "password")
    rest = _without_common(folded, names)
    if len(rest) < MIN_LENGTH // 2:
        raise InvalidError(
            "That password is little more than your name or a word that everybody takes; it would be guessed soon.",
            "password",
        )


def _is_run(text: str) -> bool:
    """Tell whether every character follows the one before, up or down, such as 123456789012."""
    steps = {(ord(after) - ord(before)) for before, after in itertools.pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}


def _without_common(folded: str, names: Sequence[str]) -> str:
    """Return what is left once the user's names and common words are put away, and digits and signs around them."""
    own = {
        part
        for name in names
        for part in [name.casefold(), *_WORDS.findall(name.casefold())]
        if len(part) > 2
    }
    left = folded
    for word in sorted({*own, *COMMON_STEMS}, key=len, reverse=True):
        left = left.replace(word, "")
        if word in (read := left.translate(_SUBSTITUTED)):
            left = read.replace(word, "")
    if left == folded:
        return folded
    return "".join(character for character in left if character.isalpha())
