"""Composition root: turns settings into running roles, checks them, and sends a message to try."""

from mailveil.app.checking import CheckResult, Outcome, check
from mailveil.app.logs import configure_logging
from mailveil.app.roles import Role
from mailveil.app.serving import StartError, serve
from mailveil.app.trial import send_trial, trial_message

__all__ = [
    "CheckResult",
    "Outcome",
    "Role",
    "StartError",
    "check",
    "configure_logging",
    "send_trial",
    "serve",
    "trial_message",
]
