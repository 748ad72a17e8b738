"""Logs: one line for each event, with nothing in it that could be taken for another line."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

from mailveil.config.settings import LogFormat, LogSettings
from mailveil.core.failure import trace_failure
from mailveil.stages.measuring import under_way

log = logging.getLogger("mailveil")


class TextFormatter(logging.Formatter):
    """A line to read. Control characters, which a hostile peer may have sent, are shown as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        lines = [f"{at} {record.levelname.lower():7} {record.name}: {_printable(record.getMessage())}"]
        if record.exc_info:
            lines += [f"    {_printable(line)}" for line in trace(record)]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """A JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = {
            "time": f"{at}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            event["exception"] = "\n".join(trace(record))
        if message := under_way.get():
            event["message"] = message
        return json.dumps(event)


def trace(record: logging.LogRecord) -> list[str]:
    """Return the traceback of an event, without what errors say: it may quote mail."""
    error = record.exc_info[1] if record.exc_info else None
    return list(trace_failure(error)) if error is not None else []


def note_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody waits for (asyncio's exception handler), without the texts and tasks that asyncio would show."""
    del loop
    error = context.get("exception")
    log.error("%s", context.get("message", "a task failed"), exc_info=error)


def configure_logging(settings: LogSettings) -> None:
    """Log to standard error as the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[str(settings.level).upper()]
    # What libraries say of single connections is of no use to anybody, and tells too much.
    root.setLevel(max(logging.WARNING, level))
    log.setLevel(level)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
