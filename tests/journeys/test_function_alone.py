"""One function under Google's own runner, beside a running system: no gateway, no cloud."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from pinjam.local.road import Road, Walker
from pinjam.local.system import REPOSITORY

WAIT_S = 30


@contextmanager
def function_alone(name: str, state: Path) -> Iterator[Road]:
    """The function on a port of its own, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = str(REPOSITORY / "functions" / name / "main.py")
    command = ["--source", source, "--target", name, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(  # noqa: S603  # the framework of this environment, on our own function
        [str(Path(sys.executable).with_name("functions-framework")), *command],
        env={**os.environ, "PINJAM_STATE": str(state)},
        stderr=subprocess.DEVNULL,
    )
    try:
        with Road(f"http://127.0.0.1:{port}") as road:
            road.until(f"the function {name}", lambda: answers(road), bool, within_s=WAIT_S)
            yield road
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)


def answers(road: Road) -> bool:
    try:
        return road.call("GET", "/").status == 404
    except httpx.ConnectError:
        return False


def test_a_function_alone_answers_who_shows_a_genuine_token(walker: Walker, state: Path) -> None:
    loan_id = walker.become_borrower()
    with ExitStack() as running:
        loans = running.enter_context(function_alone("loans", state))
        pay = running.enter_context(function_alone("pay", state))
        query = {"amount": 3_000_000, "tenor_months": 6}
        quote = loans.call("GET", "/api/loans/quote", token=walker.token, query=query)
        assert quote.expect(200) == walker.quote(3_000_000, 6).expect(200)
        body = {"loan_id": loan_id, "kind": "instalment", "method": {"type": "qris"}}
        payment = pay.call("POST", "/api/payments", token=walker.token, key="alone", body=body).expect(201)
        # It is the same system: the payment is there behind the gateway, and can be paid.
        walker.road.pay_at_bank(payment["id"]).expect(200)
        assert walker.payment(payment["id"]).expect(200)["status"] == "settled"
        assert loans.call("GET", f"/api/loans/{loan_id}", token=walker.token).expect(200)["payments"]

        header, payload, _ = str(walker.token).split(".")
        for token, code in ((None, "token-required"), (f"{header}.{payload}.x", "token-invalid")):
            refused = loans.call("GET", "/api/loans", token=token)
            assert refused.expect(401)["code"] == code
