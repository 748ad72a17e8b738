"""Reporting: the code by which readers name a message when they report about it, known before it is looked into."""

from __future__ import annotations

from dataclasses import replace

from mailveil.core.banner import report_code
from mailveil.core.observation import observation_identifier
from mailveil.core.policy import MessagePolicy


def named(policy: MessagePolicy | None, at: float, log_identifier: str, key: bytes) -> MessagePolicy | None:
    """Return the policy with the message's code in its banner; ``at`` and ``log_identifier`` name its observation.

    Without a key, or where the recipients belong to several organisations, nothing can name the message: readers are
    told of no page then, since it would not know what they speak of, and write without a code.
    """
    if policy is None or policy.banner is None:
        return policy
    if not key or not policy.organisation:
        return replace(policy, banner=replace(policy.banner, report_link="", report_code=""))
    identifier = observation_identifier(at, log_identifier, policy.organisation)
    code = report_code(identifier, policy.organisation, key)
    return replace(policy, banner=replace(policy.banner, report_code=code))
