"""What the demonstration writes: each call on a line, schedules as tables, messages in full; plain text."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import TextIO

from pinjam.domain.money import format_rupiah
from pinjam.local.road import Json, Reply

WIDTH = 110
_INDENT = " " * 6
_PATH_WIDTH = 36
_ID_CHARACTERS = 12
"""Ids are long; their beginning and end are enough to follow one."""
_WRAPPERS = ("user", "loan")
_TOLD = (
    *("id", "kind", "status", "code", "amount", "instalment", "total_payable", "outstanding", "monthly_bill"),
    *("due_date", "transaction_status", "notifications", "date", "relayed", "reminders", "faults"),
)
_MONEY = frozenset({"amount", "instalment", "total_payable", "outstanding", "monthly_bill"})


class Screen:
    """Writes to a stream, a line at a time; a Listener of the road."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waited_for = ("", 0)
        self.calls = 0

    def line(self, text: str = "") -> None:
        """A line as it is."""
        print(text, file=self._stream, flush=True)

    def chapter(self, title: str) -> None:
        """The heading of a part."""
        self.line()
        self.line(f"{title} {'-' * max(0, WIDTH - len(title) - 1)}")

    def note(self, text: str) -> None:
        """A remark between calls."""
        self.line(textwrap.fill(text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))

    def called(self, reply: Reply) -> None:
        """Number, method, path, status, time, and the answer in short."""
        self.calls += 1
        where = _shortened(reply.path)
        head = f"{self.calls:4d}  {reply.method:5s} {where:{_PATH_WIDTH}s} {reply.status}  {reply.ms:5.0f} ms  "
        told = _facts(reply.body)
        if reply.headers.get("Idempotent-Replayed") == "true":
            told = f"replayed: {told}"
        self.line(textwrap.fill(head + told, WIDTH, subsequent_indent=" " * len(head), drop_whitespace=False).rstrip())

    def waiting(self, what: str, seconds: float) -> None:
        """Say so once it is not there at the first look, and then every second."""
        if seconds == 0 or (what, int(seconds)) == self._waited_for:
            return
        new = self._waited_for[0] != what
        self._waited_for = (what, int(seconds))
        self.note(f"waiting for {what} ..." if new or seconds < 1 else f"still waiting for {what}, {seconds:.0f} s ...")

    def schedule(self, rows: Iterable[Json]) -> None:
        """The instalments of an offer."""
        self.line(f"{_INDENT}  #  due date     {'principal':>12s} {'interest':>12s} {'total':>12s} {'balance':>12s}")
        for row in rows:
            sums = " ".join(f"{row[name]:>12,d}" for name in ("principal", "interest", "total", "balance"))
            self.line(f"{_INDENT}{row['number']:3d}  {row['due_date']}   {sums.replace(',', '.')}")

    def facts(self, title: str, facts: Mapping[str, str]) -> None:
        """A short list of names and values."""
        self.note(title)
        for name, value in facts.items():
            self.line(f"{_INDENT}  {name:18s} {value}")

    def messages(self, messages: Iterable[Mapping[str, str]]) -> None:
        """Messages in full, as the borrower got them."""
        for one in messages:
            subject = f": {one['subject']}" if one["subject"] else ""
            self.line(f"{_INDENT}[{one['channel']} to {one['to']}]{subject}")
            for part in one["body"].splitlines():
                indent = _INDENT + "  "
                self.line(textwrap.fill(part, WIDTH, initial_indent=indent, subsequent_indent=indent))


def _facts(body: object) -> str:
    """The telling fields of an answer, in the order of `_TOLD`; never a token."""
    if isinstance(body, list):
        return f"{len(body)} entries"
    if not isinstance(body, dict):
        return ""
    inner = next((body[name] for name in _WRAPPERS if isinstance(body.get(name), dict)), body)
    if isinstance(body.get("summary"), dict):
        inner = body["summary"]
    return " ".join(f"{name}={_value(name, inner[name])}" for name in _TOLD if inner.get(name) is not None)


def _value(name: str, value: object) -> str:
    if isinstance(value, list):
        return str(value) if all(isinstance(one, int) for one in value) else f"{len(value)}"
    if name in _MONEY and isinstance(value, int):
        return format_rupiah(value)
    return _shortened(str(value))


def _shortened(text: str) -> str:
    """The text with every id cut in its middle."""
    parts = []
    for part in text.split("/"):
        kind, mark, rest = part.partition("_")
        is_id = mark and len(rest) > _ID_CHARACTERS and rest.isalnum() and rest.isupper()
        parts.append(f"{kind}_..{rest[-6:]}" if is_id else part)
    return "/".join(parts)
