"""A room with an OpenID provider of our own on loopback, which signs honestly unless a test has it lie."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from http_room import http_room

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT = "mailveil"
SECRET = "s3cret & more"


def new_key(identifier: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": identifier, "use": "sig", "alg": "RS256"})


@dataclass
class Provider:
    """Who is signed in there is ``person``; ``lie`` changes the claims of a token, ``sign`` makes it another way."""

    now: Callable[[], float]
    port: int = 0
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "1001", "preferred_username": "paula"})
    info: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: new_key("first"))
    lie: Callable[[dict[str, Any]], None] = lambda claims: None
    sign: Callable[[dict[str, Any]], str] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: str = ""  # the path that answers 500

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def application(self) -> Starlette:
        routes = [
            Route("/.well-known/openid-configuration", self._about),
            Route("/keys", self._keys),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/userinfo", self._userinfo),
        ]
        return Starlette(routes=routes)

    def _noted(self, request: Request) -> bool:
        self.asked.append(request.url.path)
        return request.url.path == self.broken

    async def _about(self, request: Request) -> Response:
        if self._noted(request):
            return Response("no", 500)
        about = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return JSONResponse({**about, **self.metadata})

    async def _keys(self, request: Request) -> Response:
        if self._noted(request):
            return Response("no", 500)
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "person": dict(self.person)}
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 303)

    async def _token(self, request: Request) -> Response:
        if self._noted(request):
            return Response("no", 500)
        form = {name: each[0] for name, each in parse_qs((await request.body()).decode()).items()}
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{urlencode({'': SECRET})[1:]}".encode()).decode()
        if request.headers.get("authorization") != basic:
            return JSONResponse({"error": "invalid_client"}, 401)
        known = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = (
            known is not None
            and known["redirect_uri"] == form.get("redirect_uri")
            and base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == known["code_challenge"]
        )
        if known is None or not fits:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": known["nonce"],
            **known["person"],
        }
        self.lie(claims)
        token = self.sign(claims) if self.sign else self.signed(claims)
        return JSONResponse({"access_token": "access", "token_type": "Bearer", "id_token": token})

    async def _userinfo(self, request: Request) -> Response:
        if self._noted(request):
            return Response("no", 500)
        assert request.headers["authorization"] == "Bearer access"
        return JSONResponse({"sub": self.person["sub"], **self.info})

    def signed(self, claims: dict[str, Any], key: RSAKey | None = None) -> str:
        key = key or self.key
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token that says of itself that nobody has signed it."""
    return (
        ".".join(
            base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
            for each in ({"alg": "none"}, claims)
        )
        + "."
    )


@asynccontextmanager
async def openid_room(now: Callable[[], float]) -> AsyncIterator[Provider]:
    provider = Provider(now)
    async with http_room(provider.application()) as port:
        provider.port = port
        yield provider
