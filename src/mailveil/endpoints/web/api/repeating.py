"""Repeating: a write with an ``Idempotency-Key`` is done once, however often it is asked for.

After draft-ietf-httpapi-idempotency-key-header. The answer is kept encrypted under the secret of the token that asked:
it can hold a secret that is shown once, and nobody but the holder of the token can read it again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.requests import Request
from starlette.responses import Response

from mailveil.control.records import RepeatedAnswer
from mailveil.control.stores import ConflictError, RepeatStore, UnderWayError
from mailveil.endpoints.web.api.problems import CONFLICT, KEY_REUSED, UNDER_WAY, ProblemError, invalid

FIELD = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY = re.compile(r'"?([\x21\x23-\x7e]{1,200})"?')
KEPT_FIELDS = ("content-type", "location", "etag", "content-location")
NONCE_BYTES = 12
MAX_KEPT_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One write that may come again: who asks, with what key, and what tells it from others."""

    store: RepeatStore
    actor: str
    secret: str
    key: str
    fingerprint: str

    async def answer(self, at: float, do: Callable[[], Awaitable[Response]]) -> Response:
        """Return what ``do`` answers, or what it answered when this was asked before.

        Raises ``UnavailableError``, and ``ProblemError`` where the key belongs to another request or this one is under
        way.
        """
        try:
            known = await self.store.begin(self.actor, self.key, self.fingerprint, at)
        except UnderWayError as error:
            raise ProblemError(UNDER_WAY, headers={"Retry-After": "1"}) from error
        except ConflictError as error:
            raise ProblemError(KEY_REUSED) from error
        if known is not None:
            return self._opened(known)
        # Shielded: whoever hangs up would else leave something done that is not on record as done.
        return await asyncio.shield(asyncio.ensure_future(self._do(do)))

    async def _do(self, do: Callable[[], Awaitable[Response]]) -> Response:
        try:
            response = await do()
        except BaseException:
            await self.store.abandon(self.actor, self.key)
            raise
        if response.status_code >= 300:
            # Nothing was changed, and by the next time the reason may be gone.
            await self.store.abandon(self.actor, self.key)
        else:
            await self.store.finish(self.actor, self.key, response.status_code, self._sealed(response))
        return response

    def _sealed(self, response: Response) -> str:
        kept = {name: response.headers[name] for name in KEPT_FIELDS if name in response.headers}
        opening = json.dumps(kept).encode("ascii")
        body = bytes(response.body)
        plain = len(opening).to_bytes(4, "big") + opening + body
        if len(plain) > MAX_KEPT_BYTES:
            plain = b""  # that it was done is remembered all the same
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, plain, self._bound(response.status_code))
        return base64.b64encode(nonce + sealed).decode("ascii")

    def _opened(self, known: RepeatedAnswer) -> Response:
        sealed = base64.b64decode(known.body)
        try:
            plain = self._cipher().decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound(known.status)
            )
        except InvalidTag as error:
            raise ProblemError(KEY_REUSED) from error
        if not plain:
            raise ProblemError(CONFLICT, "This was done before; the answer was too large to be kept.")
        end = 4 + int.from_bytes(plain[:4], "big")
        headers = {**json.loads(plain[4:end]), REPLAYED: "true"}
        return Response(plain[end:], known.status, headers=headers)

    def _cipher(self) -> AESGCM:
        derived = HKDF(SHA256(), 32, salt=self.key.encode("ascii"), info=b"mailveil repeated answer")
        return AESGCM(derived.derive(self.secret.encode("utf-8", "surrogatepass")))

    def _bound(self, status: int) -> bytes:
        return f"{self.actor}\n{self.fingerprint}\n{status}".encode("utf-8", "surrogatepass")


def key_of(request: Request) -> str:
    """Return the idempotency key of a request, ``""`` without one. Raises ``ProblemError`` for one that is none."""
    fields = request.headers.getlist(FIELD)
    if not fields:
        return ""
    found = KEY.fullmatch(fields[0].strip()) if len(fields) == 1 else None
    if found is None:
        raise invalid("header", FIELD, "has to be one text of 1 to 200 printable ASCII characters")
    return found[1]


def fingerprint_of(request: Request, organisation: str, body: bytes) -> str:
    """Return what tells a request from every other one that a client could make."""
    digest = hashlib.sha256()
    parts = (
        request.method,
        organisation,
        request.url.path,
        request.url.query,
        request.headers.get("content-type", ""),
        request.headers.get("if-match", ""),
    )
    for part in (*(each.encode("utf-8", "surrogatepass") for each in parts), body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
