"""Inspecting: what ``mailveil scan`` and ``mailveil clean`` do, for a message that comes with the request."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response

from mailveil.control import inspecting as use
from mailveil.control.access import Permission
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import clean
from mailveil.endpoints.web.api.problems import UNEXAMINABLE

resource = Resource(
    "inspect",
    "Examine a message without sending it. Nobody is contacted, nothing of the message is kept.",
)


@resource.post(
    "/inspect",
    Permission.INSPECT,
    None,
    body=Body.MESSAGE,
    inspects=True,
    problems=(UNEXAMINABLE,),
)
async def inspect_message(asked: Asking) -> Response:
    """Report on a message.

    The body is the raw message (`message/rfc822`), the answer what `mailveil scan --json` prints for it: every remote
    reference with verdict, reasons and operator.
    """
    raw = await asked.body()
    async with asked.desk.place(len(raw)):
        found = await use.inspect_message(asked.room, asked.actor, raw)
    return Response(_encode(found.record), media_type="application/json")


@resource.post(
    "/clean",
    Permission.INSPECT,
    None,
    body=Body.MESSAGE,
    inspects=True,
    media_type="message/rfc822",
    problems=(UNEXAMINABLE,),
)
async def clean_message(asked: Asking) -> Response:
    """Clean a message.

    The body is the raw message (`message/rfc822`), the answer the same message without any remote reference, with
    placeholders in the places of pictures; every other byte as it was.
    """
    raw = await asked.body()
    async with asked.desk.place(len(raw)):
        found = await use.clean_message(asked.room, asked.actor, raw)
    asked.headers["Mailveil-Changed"] = "true" if found.changed else "false"
    return Response(found.raw, media_type="message/rfc822")


def _encode(record: Any) -> bytes:
    text: str = clean(json.dumps(record, ensure_ascii=False, allow_nan=False))
    return text.encode("utf-8")
