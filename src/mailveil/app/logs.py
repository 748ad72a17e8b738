"""Logs: one line for each event, with nothing in it that could be taken for another line."""

from __future__ import annotations

import json
import logging
import sys
import time

from mailveil.config.settings import LogFormat, LogSettings

QUIET = ("asyncio", "uvicorn", "uvicorn.error", "curl_cffi")


class TextFormatter(logging.Formatter):
    """A line to read. Control characters, which a hostile peer may have sent, are shown as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        lines = [f"{at} {record.levelname.lower():7} {record.name}: {_printable(record.getMessage())}"]
        if record.exc_info:
            lines += [f"    {_printable(line)}" for line in self.formatException(record.exc_info).split("\n")]
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
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event)


def configure_logging(settings: LogSettings) -> None:
    """Log to standard error as the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(str(settings.level).upper())
    for name in QUIET:  # what libraries say of single connections is of no use to anybody, and tells too much
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
