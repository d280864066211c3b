"""What every PayoutGateway does, shown by the Iris adapter against the sandbox and against garbage."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from pinjam.adapters.iris import IrisPayouts
from pinjam.local.sandbox.faults import Mode
from pinjam.local.sandbox.payouts import CannotApprove, Payouts
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.state import SandboxState
from pinjam.local.sandbox.system import Credentials
from pinjam.services.ports import ForgedNotification, PayoutAnswer, PayoutGateway, Refused, Unavailable


def pay_out(
    gateway: PayoutGateway,
    *,
    payout_id: str = "loan_1-1",
    amount: int = 2_970_000,
    account: str = "1234567890",
    notes: str = "Pinjaman loan_1",
) -> PayoutAnswer:
    return gateway.pay_out(
        payout_id=payout_id,
        amount=amount,
        bank_code="bca",
        account_number=account,
        account_name="SITI AMINAH",
        notes=notes,
    )


@pytest.fixture
def connect(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[Callable[..., IrisPayouts]]:
    with ExitStack() as running:

        def make(*, timeout_s: float = 10, url: str = sandbox.iris_url, approver_key: str | None = None) -> IrisPayouts:
            made = IrisPayouts(
                url=url,
                creator_key=sandbox_credentials.creator_key,
                approver_key=approver_key or sandbox_credentials.approver_key,
                merchant_key=sandbox_credentials.merchant_key,
                timeout_s=timeout_s,
            )
            return running.enter_context(closing(made))

        yield make


@pytest.fixture
def gateway(connect: Callable[..., IrisPayouts]) -> IrisPayouts:
    return connect()


def paid_in_all(sandbox: SandboxServers) -> list[int]:
    """What left the sandbox's account, payout by payout."""
    state: SandboxState = sandbox.sandbox.payouts._state
    with state.transaction() as cursor:
        rows = cursor.execute("SELECT amount FROM payouts WHERE status IN ('processed', 'completed')").fetchall()
    return [row["amount"] for row in rows]


def test_a_payout_is_paid_and_can_be_looked_up(gateway: PayoutGateway) -> None:
    payout = pay_out(gateway)
    assert payout == PayoutAnswer(reference=payout.reference, status="completed")
    assert gateway.status(payout.reference) == payout


def test_asking_again_sends_nothing_more(sandbox: SandboxServers, gateway: PayoutGateway) -> None:
    assert pay_out(gateway) == pay_out(gateway)
    assert paid_in_all(sandbox) == [2_970_000]


@pytest.mark.parametrize("change", [{"account": "999000111"}, {"amount": 1}, {"notes": "in other words"}], ids=str)
def test_the_same_id_with_other_facts_sends_nothing_and_is_no_failure(
    sandbox: SandboxServers, gateway: PayoutGateway, change: dict[str, object]
) -> None:
    first = pay_out(gateway)
    with pytest.raises(Unavailable):
        pay_out(gateway, **change)  # type: ignore[arg-type]  # one keyword of the right type
    assert gateway.status(first.reference) == first
    assert paid_in_all(sandbox) == [2_970_000]


def test_another_id_is_another_payout(sandbox: SandboxServers, gateway: PayoutGateway) -> None:
    assert pay_out(gateway).reference != pay_out(gateway, payout_id="loan_1-2").reference
    assert paid_in_all(sandbox) == [2_970_000, 2_970_000]


def test_a_payout_that_the_bank_returns_has_failed(sandbox: SandboxServers, gateway: PayoutGateway) -> None:
    payout = pay_out(gateway, account="1234569103")
    assert payout.status == "failed"
    assert payout.failure
    assert paid_in_all(sandbox) == []


def test_the_bank_names_the_holder_of_an_account(gateway: PayoutGateway) -> None:
    assert gateway.holder(bank_code="bca", account_number="1234567890") == "SITI AMINAH"
    assert gateway.holder(bank_code="bca", account_number="1234569101") == "BAMBANG SUDARSONO"
    assert gateway.holder(bank_code="bca", account_number="1234569102") is None


def test_a_bank_that_the_gateway_does_not_serve_is_refused(gateway: PayoutGateway) -> None:
    with pytest.raises(Refused):
        gateway.holder(bank_code="moon", account_number="1234567890")


def test_a_gateway_that_lets_nobody_in_has_not_said_that_there_is_no_account(
    sandbox: SandboxServers, sandbox_credentials: Credentials
) -> None:
    with (
        closing(
            IrisPayouts(url=sandbox.iris_url, creator_key="another", approver_key="a", merchant_key="m")
        ) as stranger,
        pytest.raises(Refused) as refused,
    ):
        stranger.holder(bank_code="bca", account_number="1234569102")
    assert refused.value.code == "401"
    assert sandbox_credentials.creator_key != "another"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b'{"account_name": "SITI", "account_no": "7"}', 200, id="another account"),
        pytest.param(b'{"account_name": "", "account_no": "1234567890"}', 200, id="no name"),
        pytest.param(b'{"account_no": "1234567890"}', 200, id="nameless"),
        pytest.param(b"<html>", 200, id="html"),
        pytest.param(b"", 503, id="503"),
    ],
)
def test_garbage_names_nobody(
    connect: Callable[..., IrisPayouts], answering: Callable[[bytes, int], str], content: bytes, status: int
) -> None:
    with pytest.raises(Unavailable):
        connect(url=answering(content, status)).holder(bank_code="bca", account_number="1234567890")


def test_a_refusal_that_is_not_about_the_account_is_no_missing_account(
    connect: Callable[..., IrisPayouts], answering: Callable[[bytes, int], str]
) -> None:
    content = b'{"error_message": "no", "errors": {"bank": ["Bank is not supported"]}}'
    with pytest.raises(Refused):
        connect(url=answering(content, 400)).holder(bank_code="bca", account_number="1234567890")


DOCUMENTED_KEY = "IRIS-merchant-d8709d85-19d6-39c4-7ff5-8eaf81ec31cd"
DOCUMENTED_BODY = (
    b'{"reference_no":"TLtXjaG7LxcbEhgo7S","amount":"12333.0","status":"processed","updated_at":"2023-03-31T10:12:28Z"}'
)
DOCUMENTED_SIGNATURE = (
    "8b8a8ce380887acf162a17cc4bed7b7ff1c94fc637201ebed7ab1a7f32596810"
    "cbd9fc78d2db051ef851f97c05cd5f840d10ee34d58021c18d6ef69a793b7116"
)
"""The worked example of docs.midtrans.com/reference/validating-payout-notification."""


def test_the_documented_notification_is_genuine_and_any_other_is_not() -> None:
    gateway = IrisPayouts(url="http://x", creator_key="c", approver_key="a", merchant_key=DOCUMENTED_KEY)
    assert gateway.read_notification(DOCUMENTED_BODY, DOCUMENTED_SIGNATURE) == "TLtXjaG7LxcbEhgo7S"
    others = [
        (DOCUMENTED_BODY + b" ", DOCUMENTED_SIGNATURE),
        (DOCUMENTED_BODY.replace(b"12333", b"12334"), DOCUMENTED_SIGNATURE),
        (DOCUMENTED_BODY, ""),
        (DOCUMENTED_BODY, DOCUMENTED_SIGNATURE[:-1]),
        (DOCUMENTED_BODY, "\u00e9" * 128),
        (DOCUMENTED_BODY, hashlib.sha512(DOCUMENTED_BODY).hexdigest()),
    ]
    for raw, signature in others:
        with pytest.raises(ForgedNotification):
            gateway.read_notification(raw, signature)


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"reference_no": 7}', b'{"reference_no": ""}', b"[]"])
def test_a_genuine_notification_of_nothing_is_malformed(raw: bytes) -> None:
    gateway = IrisPayouts(url="http://x", creator_key="c", approver_key="a", merchant_key="key")
    with pytest.raises(ValueError, match="reference_no"):
        gateway.read_notification(raw, hashlib.sha512(raw + b"key").hexdigest())


def test_an_unknown_reference_is_refused(gateway: PayoutGateway) -> None:
    with pytest.raises(Refused) as refused:
        gateway.status("nothing")
    assert refused.value.code == "404"


@pytest.mark.parametrize("change", [{"amount": 0}, {"account": "12-34"}], ids=["amount", "account"])
def test_a_payout_that_the_gateway_does_not_take_is_refused(
    sandbox: SandboxServers, gateway: PayoutGateway, change: dict[str, object]
) -> None:
    with pytest.raises(Refused):
        pay_out(gateway, **change)  # type: ignore[arg-type]  # one keyword of the right type
    assert paid_in_all(sandbox) == []


def test_a_payout_beyond_the_balance_has_failed_and_can_never_be_released(
    sandbox: SandboxServers, gateway: PayoutGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    payouts: Payouts = sandbox.sandbox.payouts
    with monkeypatch.context() as poor:
        poor.setattr(payouts, "_balance", 2_969_999)
        failed = pay_out(gateway)
    assert (failed.status, failed.failure) == ("failed", "rejected")
    assert pay_out(gateway) == failed
    with pytest.raises(CannotApprove):
        payouts.approve([failed.reference], slowly=False)
    assert paid_in_all(sandbox) == []
    assert pay_out(gateway, payout_id="loan_1-2").status == "completed"
    assert paid_in_all(sandbox) == [2_970_000]


def test_a_payout_that_was_created_but_not_released_is_completed_by_the_repeat(
    sandbox: SandboxServers, connect: Callable[..., IrisPayouts]
) -> None:
    with pytest.raises(Unavailable):
        pay_out(connect(approver_key="another"))
    assert paid_in_all(sandbox) == []
    assert pay_out(connect()).status == "completed"
    assert paid_in_all(sandbox) == [2_970_000]


@pytest.mark.parametrize(("mode", "expected"), [("down", Unavailable), ("reject", Refused)], ids=["down", "reject"])
def test_a_fault_is_told_apart_from_a_refusal(
    sandbox: SandboxServers, gateway: PayoutGateway, mode: Mode, expected: type[Exception]
) -> None:
    sandbox.sandbox.faults.set("payout", mode)
    with pytest.raises(expected):
        pay_out(gateway)
    with pytest.raises(expected):
        gateway.status("nothing")
    sandbox.sandbox.faults.set("payout", "ok")
    assert pay_out(gateway).status == "completed"


def test_a_payout_whose_approval_answers_too_late_goes_on_and_is_never_doubled(
    sandbox: SandboxServers, connect: Callable[..., IrisPayouts]
) -> None:
    sandbox.sandbox.faults.set("payout", "slow", times=1)
    with pytest.raises(Unavailable):
        pay_out(connect(timeout_s=1))
    gateway = connect()
    on_its_way = pay_out(gateway)
    assert on_its_way.status == "processing"
    assert gateway.status(on_its_way.reference).status == "completed"
    assert paid_in_all(sandbox) == [2_970_000]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b"<html>", 200, id="html"),
        pytest.param(b'{"payouts": [{"status": "queued", "refer', 201, id="truncated"),
        pytest.param(b'{"payouts": []}', 201, id="none"),
        pytest.param(b'{"payouts": [{"reference_no": 7}]}', 201, id="number for a string"),
        pytest.param(b'{"payouts": [{"reference_no": ""}]}', 201, id="empty"),
        pytest.param(b'{"payouts": [{"reference_no": "a"}, {"reference_no": "b"}]}', 201, id="two"),
        pytest.param(b"null", 200, id="null"),
        pytest.param(b"", 503, id="503"),
    ],
)
def test_garbage_is_an_unknown_outcome(
    connect: Callable[..., IrisPayouts], answering: Callable[[bytes, int], str], content: bytes, status: int
) -> None:
    gateway = connect(url=answering(content, status))
    with pytest.raises(Unavailable):
        pay_out(gateway)
    with pytest.raises(Unavailable):
        gateway.status("a")


@pytest.mark.parametrize(
    "content",
    [b'{"reference_no": "b", "status": "completed"}', b'{"reference_no": "a", "status": "dreaming"}'],
    ids=["another payout", "unknown status"],
)
def test_an_answer_that_does_not_add_up_is_never_believed(
    connect: Callable[..., IrisPayouts], answering: Callable[[bytes, int], str], content: bytes
) -> None:
    with pytest.raises(Unavailable):
        connect(url=answering(content, 200)).status("a")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("queued", "processing"),
        ("approved", "processing"),
        ("processed", "processing"),
        ("completed", "completed"),
        ("rejected", "failed"),
        ("failed", "failed"),
    ],
)
def test_every_status_of_the_gateway_has_a_meaning(
    connect: Callable[..., IrisPayouts], answering: Callable[[bytes, int], str], told: str, expected: str
) -> None:
    content = f'{{"reference_no": "a", "status": "{told}"}}'.encode()
    assert connect(url=answering(content, 200)).status("a").status == expected
