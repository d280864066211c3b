"""Logs: one JSON object a line, as Cloud Logging reads them; plain lines in a terminal.

A log call's message is a fixed event name and its facts are in `extra`: identifiers and figures, never a
name, an address, a number of a person, or a token.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request or event that is being worked on."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
NOISY = ("httpx", "httpcore", "werkzeug", "waitress", "mail.log", "asyncio")


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """What a log call passed in `extra`."""
    return {key: value for key, value in record.__dict__.items() if key not in STANDARD}


class JsonLines(logging.Formatter):
    """One JSON object a line, with the severity and time fields that Cloud Logging looks for."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON. A trace is a field of it, so that it stays one line."""
        line: dict[str, object] = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line |= facts_of(record)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
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
