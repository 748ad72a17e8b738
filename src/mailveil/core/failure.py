"""Failure: what may be told of an exception that anything can have raised, since its text may quote a message."""

from __future__ import annotations

import traceback
from collections.abc import Iterator


def describe_failure(error: BaseException) -> str:
    """Name an error and where it arose, without its text: ``ValueError in parse, header.py:12``."""
    frames = traceback.extract_tb(error.__traceback__)
    name = type(error).__name__
    return f"{name} in {frames[-1].name}, {_file(frames[-1])}:{frames[-1].lineno}" if frames else name


def trace_failure(error: BaseException) -> Iterator[str]:
    """Yield the lines of a traceback, what caused the error included, without the texts of errors.

    What the system says of a failed call (``OSError.strerror``) is told: it quotes nobody.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        said = f": {current.strerror}" if isinstance(current, OSError) and current.strerror else ""
        yield f"{'by' if len(seen) > 1 else 'of'} {type(current).__name__}{said}"
        for frame in traceback.extract_tb(current.__traceback__):
            yield f"  {frame.name}, {_file(frame)}:{frame.lineno}"
        if isinstance(current, BaseExceptionGroup):
            yield f"  of {len(current.exceptions)} errors, the first of them:"
            current = current.exceptions[0]
        elif current.__cause__ is not None or current.__suppress_context__:
            current = current.__cause__
        else:
            current = current.__context__


def _file(frame: traceback.FrameSummary) -> str:
    return frame.filename.rpartition("/")[2]
