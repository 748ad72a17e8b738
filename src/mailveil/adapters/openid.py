"""OpenID provider: asked what it is, for its keys, and who came back; nothing unsigned is believed."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from mailveil.control.openid import MAX_SUBJECT, Attempt, Claims, ProviderError

TIMEOUT_S = 10.0
MAX_BYTES = 1_000_000
KEPT_S = 3600.0  # what the provider says of itself, and its keys
AGAIN_S = 60.0  # keys are asked for anew no sooner, however many tokens name unknown ones
LEEWAY_S = 60  # by which clocks may differ
MAX_AGE_S = 600  # a token made longer ago was not made for this attempt
# Signatures only, and only those that a key which everybody may know can check: never "none", never a shared secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class OpenIdProvider:
    """One provider (``control.openid.IdentityProvider``)."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str = "",
        *,
        scopes: str = "openid profile email",
        now: Callable[[], float] = time.time,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """``client_secret`` is ``""`` for a public client. ``trust`` is who vouches for it [default: the system's]."""
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._now = now
        self._trust = trust
        self._about: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._asking = asyncio.Lock()

    @property
    def issuer(self) -> str:
        """What the provider names itself."""
        return self._issuer

    async def sign_in_address(self, attempt: Attempt, redirect: str) -> str:
        """Return where to send the browser. Raises ``ProviderError``."""
        endpoint = self._endpoint(await self._metadata(), "authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect,
            "scope": self._scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def claims(self, attempt: Attempt, code: str, redirect: str) -> Claims:
        """Return who came back with a code. Raises ``ProviderError`` where anything does not fit."""
        about = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": attempt.verifier,
        }
        methods = about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        secret = None
        if self._client_secret and "client_secret_basic" in methods:
            secret = httpx.BasicAuth(_form_encoded(self._client_id), _form_encoded(self._client_secret))
        else:
            form["client_id"] = self._client_id
            if self._client_secret:
                form["client_secret"] = self._client_secret
        answer = await self._ask("POST", self._endpoint(about, "token_endpoint"), form=form, auth=secret)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise ProviderError("the token endpoint gave no id_token")
        told = self._checked(await self._verified(token), attempt)
        if isinstance(access, str) and about.get("userinfo_endpoint"):
            told = {**await self._user_info(about, access, str(told["sub"])), **told}
        return Claims(self._issuer, str(told["sub"]), told)

    def _checked(self, told: Mapping[str, Any], attempt: Attempt) -> Mapping[str, Any]:
        """Return the claims of a token whose signature holds (OpenID Connect Core 1.0 section 3.1.3.7)."""
        now = self._now()
        audience = told.get("aud")
        audience = [audience] if isinstance(audience, str) else audience
        subject = told.get("sub")
        if told.get("iss") != self._issuer:
            raise ProviderError("the token is another issuer's")
        if not isinstance(audience, list) or self._client_id not in audience:
            raise ProviderError("the token is for another audience")
        if (len(audience) > 1 or "azp" in told) and told.get("azp") != self._client_id:
            raise ProviderError("the token was given to another party")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise ProviderError("the token names no subject")
        expires, made, before = (_number(told.get(name)) for name in ("exp", "iat", "nbf"))
        if expires is None or now >= expires + LEEWAY_S:
            raise ProviderError("the token has expired")
        if made is None or not -LEEWAY_S <= now - made <= MAX_AGE_S + LEEWAY_S:
            raise ProviderError("the token was not made just now; do the clocks agree?")
        if before is not None and now < before - LEEWAY_S:
            raise ProviderError("the token does not hold yet; do the clocks agree?")
        if told.get("nonce") != attempt.nonce:
            raise ProviderError("the token belongs to another attempt to sign in")
        return told

    async def _verified(self, token: str) -> Mapping[str, Any]:
        """Return what a token says, once its signature holds under one of the provider's keys."""
        try:
            return dict(jwt.decode(token, await self._key_set(), algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError):
            keys = await self._key_set(anew=True)  # perhaps the provider has changed its keys meanwhile
        try:
            return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError) as error:
            raise ProviderError(
                f"the signature of the token does not hold ({type(error).__name__})"
            ) from error

    async def _user_info(self, about: Mapping[str, Any], access: str, subject: str) -> Mapping[str, Any]:
        """Return what else the provider tells; only of the very same subject (section 5.3.2)."""
        endpoint = self._endpoint(about, "userinfo_endpoint")
        told = await self._ask("GET", endpoint, fields={"Authorization": f"Bearer {access}"})
        if told.get("sub") != subject:
            raise ProviderError("the userinfo is somebody else's")
        return told

    async def _metadata(self) -> Mapping[str, Any]:
        async with self._asking:
            if self._about is None or self._now() - self._about[0] >= KEPT_S:
                place = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                about = await self._ask("GET", place)
                if about.get("issuer") != self._issuer:
                    raise ProviderError(f"what is at {place} speaks for another issuer")
                self._about = (self._now(), about)
            return self._about[1]

    async def _key_set(self, *, anew: bool = False) -> KeySet:
        about = await self._metadata()
        async with self._asking:
            age = self._now() - self._keys[0] if self._keys else KEPT_S
            if self._keys is None or age >= (AGAIN_S if anew else KEPT_S):
                told = await self._ask("GET", self._endpoint(about, "jwks_uri"))
                try:
                    usable = [each for each in told["keys"] if each.get("kty") in ("RSA", "EC", "OKP")]
                    self._keys = (self._now(), KeySet.import_key_set({"keys": usable}))
                except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
                    raise ProviderError("its keys cannot be read") from error
            return self._keys[1]

    def _endpoint(self, about: Mapping[str, Any], name: str) -> str:
        """Return an endpoint; encrypted wherever the issuer is."""
        address = about.get(name)
        if not isinstance(address, str) or urlsplit(address).scheme not in (
            "https",
            urlsplit(self._issuer).scheme,
        ):
            raise ProviderError(f"it names no usable {name}")
        return address

    async def _ask(
        self,
        method: str,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object that an endpoint answers with; a redirect is followed nowhere."""
        headers = {"Accept": "application/json", **(fields or {})}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(verify=self._trust or True, timeout=TIMEOUT_S) as client,
                client.stream(method, address, data=form, auth=auth, headers=headers) as answer,
            ):
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise ProviderError(f"{address} answers too much")
                if answer.status_code != 200:
                    raise ProviderError(f"{address} answers {answer.status_code}{_error_word(body)}")
                told = json.loads(body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise ProviderError(f"{address} does not answer ({type(error).__name__})") from error
        except ValueError as error:
            raise ProviderError(f"{address} does not answer with JSON") from error
        if not isinstance(told, dict):
            raise ProviderError(f"{address} does not answer with a JSON object")
        return told


def _error_word(body: bytes) -> str:
    """Return the error code of an answer (RFC 6749 section 5.2), as far as it is one."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    word = told.get("error") if isinstance(told, dict) else None
    return f": {word[:60]}" if isinstance(word, str) and word.isascii() and word.isprintable() else ""


def _form_encoded(text: str) -> str:
    """Return an identifier or secret as RFC 6749 section 2.3.1 wants it in the Authorization field."""
    return urlencode({"": text})[1:]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
