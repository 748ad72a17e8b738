"""Protection: the pure engine. Inspect a message, decide, and finish it without remote references."""

from mailveil.core.policy import CopyMode
from mailveil.core.protection.finishing import finish, protect
from mailveil.core.protection.inspecting import inspect
from mailveil.core.protection.plan import Decision, EngineSettings, Outcome, Plan, Wanted

__all__ = [
    "CopyMode",
    "Decision",
    "EngineSettings",
    "Outcome",
    "Plan",
    "Wanted",
    "finish",
    "inspect",
    "protect",
]
