"""Logs: one JSON object a line for Cloud Logging, a plain line in a terminal."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest

from pinjam.runtime import logs


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def bare() -> Iterator[logging.Logger]:
    """The root logger as a process starts with it: pytest's own handlers stand aside."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.NOISY}
    root.handlers[:] = []
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    target = io.StringIO()
    with bare():
        logs.configure(target)
        yield target


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_what_cloud_logging_looks_for(stream: io.StringIO) -> None:
    before = datetime.now(UTC)
    logging.getLogger("pinjam.x").info("loan-submitted", extra={"loan": "loan_1", "on": date(2026, 11, 24), "ü": "é"})
    (line,) = lines(stream)
    assert before <= datetime.fromisoformat(str(line.pop("time"))) <= datetime.now(UTC)
    assert line == {
        "severity": "INFO",
        "message": "loan-submitted",
        "logger": "pinjam.x",
        "loan": "loan_1",
        "on": "2026-11-24",
        "ü": "é",
    }


def test_the_request_at_work_is_named(stream: io.StringIO) -> None:
    token = logs.request_id.set("req_12345678")
    logging.getLogger("pinjam").warning("one")
    logs.request_id.reset(token)
    logging.getLogger("pinjam").warning("two")
    assert [line.get("request_id") for line in lines(stream)] == ["req_12345678", None]


def test_a_trace_stays_in_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("first\nsecond")  # noqa: TRY301 - a trace is what the test is about
    except ValueError:
        logging.getLogger("pinjam").exception("failed")
    (line,) = lines(stream)
    assert line["severity"] == "ERROR"
    assert "Traceback" in str(line["stack_trace"])
    assert "ValueError: first\nsecond" in str(line["stack_trace"])


def test_a_line_break_in_a_fact_makes_no_second_line(stream: io.StringIO) -> None:
    logging.getLogger("pinjam").info("event", extra={"fact": 'a\n{"severity": "ERROR"}'})
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("sign", ["\n", "\r", "\u2028", "\x85", "\x1b[2J", "\u202e", "\ud800", "\0"])
def test_no_sign_in_a_fact_breaks_a_line_or_commands_a_terminal(stream: io.StringIO, sign: str) -> None:
    logging.getLogger("pinjam").info("event", extra={"fact": f"a{sign}b"})
    (text,) = stream.getvalue().splitlines()
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["fact"] == f"a{sign}b"
    screen = Screen()
    with bare():
        logs.configure(screen)
        logging.getLogger("pinjam").info("event", extra={"fact": f"a{sign}b", "plain": "é"})
    (shown,) = screen.getvalue().splitlines()
    assert shown.isprintable()
    assert shown.endswith("plain=é")


def test_configuring_twice_writes_each_line_once() -> None:
    target = io.StringIO()
    with bare() as root:
        for _ in range(3):
            logs.configure(target)
        logging.getLogger("pinjam").info("once")
        assert len(root.handlers) == 1
    assert len(lines(target)) == 1


def test_logs_that_go_somewhere_already_are_left_alone() -> None:
    theirs = logging.NullHandler()
    with bare() as root:
        root.addHandler(theirs)
        logs.configure(io.StringIO())
        assert root.handlers == [theirs]


def test_libraries_that_chatter_are_heard_from_warnings_on(stream: io.StringIO) -> None:
    for name in logs.NOISY:
        logging.getLogger(name).info("chatter with https://user:password@host")
    logging.getLogger("httpx").warning("trouble")
    logging.getLogger("pinjam").debug("detail")
    assert [line["message"] for line in lines(stream)] == ["trouble"]


def test_a_terminal_gets_a_line_for_a_person() -> None:
    screen = Screen()
    with bare():
        logs.configure(screen)
        logging.getLogger("pinjam").warning("payout-failed", extra={"loan": "loan_1", "n": 2})
        try:
            raise ValueError("x")  # noqa: TRY301 - a trace is what the test is about
        except ValueError:
            logging.getLogger("pinjam").exception("failed")
    first, second, *trace = screen.getvalue().splitlines()
    assert first[8:] == " warn payout-failed loan=loan_1 n=2"
    assert second[8:] == " erro failed"
    assert trace[-1] == "ValueError: x"
