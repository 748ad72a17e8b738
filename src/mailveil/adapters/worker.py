"""A worker: the process in which hostile bytes are parsed, with bounded memory and time and nothing to lose.

``python -P -m mailveil.adapters.worker`` reads settings, then batches of jobs from standard input, and writes
one answer for each job to standard output. It keeps nothing from one message to the next.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from mailveil.adapters.confinement import bound, bound_time, die_with
from mailveil.adapters.frames import LENGTHS, encode_frame, parse_header, parse_lengths
from mailveil.core.authentication import authentication_of
from mailveil.core.failure import describe_failure
from mailveil.core.observation import summary_of
from mailveil.core.policy import Envelope, message_policy_of
from mailveil.core.protection import EngineSettings, Outcome, Plan, finish, inspect
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.core.verdicts.record import verdict_record
from mailveil.core.verdicts.types import Verdict

MAX_REQUEST_BYTES = 1 << 40  # our own parent is trusted
MAX_JUDGED = 1000  # of a message whose verdicts are told in full
COLLECT_EVERY_BYTES = 32 * 1024 * 1024


def main() -> None:
    """Serve jobs until the parent closes our standard input."""
    parent = int(sys.argv[1])
    max_bytes, timeout_s = int(sys.argv[2]), int(sys.argv[3])
    die_with(parent)
    # Whatever else might write to standard output must not end up between answers.
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    bound(max_bytes)
    first = _read(requests)
    if first is None:
        return
    # The settings come from the process that started us, over a pipe that nobody else holds.
    settings: EngineSettings = pickle.loads(first[1])  # noqa: S301
    gc.collect()
    gc.freeze()
    gc.disable()
    answers.write(encode_frame({"ready": True}))
    answers.flush()
    _serve(requests, answers, settings, timeout_s)


def _serve(requests: BinaryIO, answers: BinaryIO, settings: EngineSettings, timeout_s: int) -> None:
    seen_bytes = 0
    while (opening := _read(requests)) is not None:
        batch = [_read(requests) for _ in range(opening[0]["jobs"])]
        for job in batch:
            if job is None:
                return
            bound_time(timeout_s)
            header, body = answer(job[0], job[1], settings)
            answers.write(encode_frame(header, body))
            answers.flush()
            if header.get("reason") == "out-of-memory":
                return  # what is left of this process is not worth trusting
            seen_bytes += len(job[1])
        if seen_bytes > COLLECT_EVERY_BYTES:
            gc.collect()
            seen_bytes = 0


def answer(job: Mapping[str, Any], body: bytes, settings: EngineSettings) -> tuple[dict[str, Any], bytes]:
    """Do one job and return the header and body of its answer. Whatever goes wrong is an answer, too."""
    try:
        return _protect(job, body, settings)
    except MemoryError:
        return {"ok": False, "reason": "out-of-memory", "detail": ""}, b""
    except Exception as error:
        return {"ok": False, "reason": "engine-error", "detail": describe_failure(error)}, b""


def _protect(job: Mapping[str, Any], body: bytes, settings: EngineSettings) -> tuple[dict[str, Any], bytes]:
    copies: dict[str, EmbeddedCopy] = {}
    at = len(body)
    for token, content_id, media_type, length in reversed(job["copies"]):
        copies[token] = EmbeddedCopy(content_id, media_type, body[at - length : at])
        at -= length
    raw = body[:at] if copies else body
    envelope = job["envelope"]
    if envelope is not None:
        known = envelope["authentication"]
        envelope = Envelope(
            **{
                **envelope,
                "recipients": tuple(envelope["recipients"]),
                "authentication": None if known is None else authentication_of(known),
            }
        )
    policy = None if job["policy"] is None else message_policy_of(job["policy"])
    plan = inspect(raw, settings, envelope, policy)
    header: dict[str, Any] = {
        "ok": True,
        "changed": False,
        "record": plan.record(job["path"]) if job["in_full"] else summary_of(plan),
        "wanted": [
            (each.token, each.url, each.media.value, each.may_fetch, each.width, each.height)
            for each in plan.wanted
        ],
        # The same for all of them, and there may be thousands of both.
        "links": next((each.links for each in plan.wanted if each.links), ""),
        "keep_original": False,
        "unsigned": [],
        "reasons": [],
        "inert_parts": [],
        "judged": _judged(plan),
        "monitored": policy is not None and policy.monitored,
        "banner": False,
    }
    if not job["deliver"]:
        return header, b""
    outcome = finish(plan, copies, labelled=job["labelled"])
    header["changed"] = outcome.changed
    header["keep_original"] = outcome.keep_original
    header["unsigned"] = [signed.part.section for signed in outcome.unsigned]
    header["inert_parts"] = list(outcome.inert_parts)
    header["banner"] = outcome.banner
    header["reasons"] = why_original_is_kept(outcome, settings)
    return header, outcome.raw if outcome.changed else b""


def _judged(plan: Plan) -> dict[str, Any]:
    """Return the verdicts in full, equal ones once, which of them each reference has, and its copy's token."""
    verdicts: dict[Verdict, int] = {}
    decisions = plan.decisions[:MAX_JUDGED]
    numbers = [verdicts.setdefault(each.verdict, len(verdicts)) for each in decisions]
    tokens = [each.wanted.token if each.wanted is not None else "" for each in decisions]
    return {"verdicts": [verdict_record(each) for each in verdicts], "numbers": numbers, "tokens": tokens}


def why_original_is_kept(outcome: Outcome, settings: EngineSettings) -> list[str]:
    """Return in words what was taken from the message, and whose signature that ended and whether it was valid."""
    if not outcome.keep_original:
        return []
    reasons = [f"part {section} became inert text" for section in dict.fromkeys(outcome.inert_parts)]
    if outcome.unsigned:
        # Imported here: most messages are not signed, and the certificates take a while to load.
        from mailveil.adapters.signatures import TrustStore, describe_signature, verify_signed

        trust = TrustStore.of(settings.authorities)
        reasons += [describe_signature(verify_signed(signed, trust)) for signed in outcome.unsigned[:10]]
    return reasons


def _read(requests: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    opening = requests.read(LENGTHS.size)
    if len(opening) < LENGTHS.size:
        return None
    header_bytes, body_bytes = parse_lengths(opening, MAX_REQUEST_BYTES)
    header = parse_header(requests.read(header_bytes))
    body = requests.read(body_bytes)
    return (header, body) if len(body) == body_bytes else None


if __name__ == "__main__":
    main()
