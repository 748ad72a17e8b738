"""The REST API under ``/api/v1``: what the control room does, for programs. Described by itself in OpenAPI 3.1.

FastAPI is loaded where an application is made, not where this is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailveil.endpoints.web.api.settings import API_PATH, ApiSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mailveil.control.room import ControlRoom

__all__ = ["API_PATH", "ApiSettings", "api"]


def api(room: ControlRoom, settings: ApiSettings) -> ASGIApp:
    """Return the ASGI application, to be mounted at ``/api/v1`` behind a guard of host names."""
    from mailveil.endpoints.web.api.application import build

    return build(room, settings)
