"""Logs: one JSON object a line, as Cloud Logging reads them; plain lines in a terminal.

A log call's message is a fixed event name and its facts are in `extra`: identifiers and figures, never a
name, an address, a number of a person, or a token.
"""

import json
import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from pinjam.runtime import tracing

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request or event that is being worked on."""

LOADED_AT = time.monotonic()
"""When this process had its code, in seconds of the monotonic clock."""

log = logging.getLogger(__name__)

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
NOISY = ("httpx", "httpcore", "werkzeug", "waitress", "mail.log", "asyncio")


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """What a log call passed in `extra`."""
    return {key: value for key, value in record.__dict__.items() if key not in STANDARD}


class JsonLines(logging.Formatter):
    """One JSON object a line, with the severity and time fields that Cloud Logging looks for."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON. What is raised is a field of it, so that it stays one line."""
        line: dict[str, object] = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line |= tracing.log_fields()
        line |= facts_of(record)
        if record.exc_info:
            # The field in which Error Reporting looks.
            line["stack_trace"] = self.formatException(record.exc_info)
        # In ASCII: no sign of any script ends a line, turns its direction, or cannot be written.
        return json.dumps(line, default=str)


class Terminal(logging.Formatter):
    """A line for a person: time, level, event, facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        facts = " ".join(f"{key}={_visible(value)}" for key, value in facts_of(record).items())
        text = f"{time} {record.levelname[:4].lower()} {record.getMessage()} {facts}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _visible(value: object) -> str:
    """A fact as a terminal may show it: what would break the line or command the terminal is escaped."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def configure(stream: TextIO | None = None) -> None:
    """Send the logs of this process to a stream (standard error); does nothing when they go somewhere already."""
    root = logging.getLogger()
    if root.handlers:
        return
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(Terminal() if target.isatty() else JsonLines())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


class Beginning:
    """Tells, once, that a function answers in a process that did not exist before: a cold start."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._told = False

    def tell(self) -> None:
        """Log the first call, with the milliseconds since this code was loaded; nothing at every other."""
        if self._told:
            return
        # Two first requests at once may both tell: that costs one line, a lock would cost every request.
        self._told = True
        since_load_ms = round((time.monotonic() - LOADED_AT) * 1000)
        log.info("cold-start", extra={"function": self._function, "since_load_ms": since_load_ms})
