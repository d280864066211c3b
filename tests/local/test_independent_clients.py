"""Clients that others wrote talk to the sandbox, so that it is not only our own adapters' mirror.

SMTP's is Python's `smtplib` (`test_sandbox_mail.py`). For FCM there is none here: the address in `firebase_admin` is a
constant of a private class.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from midtransclient import CoreApi
from midtransclient.error_midtrans import MidtransAPIError
from pywa.client import WhatsApp
from pywa.errors import WhatsAppError
from pywa.types.templates import BodyText, TemplateLanguage
from tests.documented import MIDTRANS_CHARGES, WHATSAPP_TEMPLATE

from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials


@pytest.fixture
def core(sandbox: SandboxServers, sandbox_credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> CoreApi:
    """Midtrans's own client, at the sandbox instead of at theirs."""
    # Its `requests` would ask the environment for a proxy.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    core = CoreApi(server_key=sandbox_credentials.server_key)
    core.api_config.CORE_SANDBOX_BASE_URL = sandbox.midtrans_url
    return core


@pytest.mark.parametrize("kind", MIDTRANS_CHARGES)
def test_midtransclient_charges_and_asks(sandbox: SandboxServers, core: CoreApi, kind: str) -> None:
    charge = MIDTRANS_CHARGES[kind]
    order_id = charge["transaction_details"]["order_id"]
    made = core.charge(charge)
    assert (made["status_code"], made["transaction_status"], made["order_id"]) == ("201", "pending", order_id)
    assert core.transactions.status(order_id)["transaction_id"] == made["transaction_id"]
    sandbox.sandbox.orders.move(order_id, "settlement")
    paid = core.transactions.status(made["order_id"])
    assert (paid["status_code"], paid["transaction_status"]) == ("200", "settlement")


@pytest.mark.parametrize(("action", "code"), [("expire", "407"), ("cancel", "200")])
def test_midtransclient_closes_an_order(core: CoreApi, action: str, code: str) -> None:
    core.charge(MIDTRANS_CHARGES["bca"])
    closed = getattr(core.transactions, action)("order-101")
    assert (closed["status_code"], closed["transaction_status"]) == (code, action)


def test_midtransclient_understands_a_refusal(core: CoreApi) -> None:
    core.charge(MIDTRANS_CHARGES["bca"])
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: core.charge(MIDTRANS_CHARGES["bca"]), "406"),
        (lambda: core.charge({**MIDTRANS_CHARGES["bni"], "surprise": 1}), "400"),
        (lambda: core.transactions.status("nobody"), "404"),
    ]
    for call, code in calls:
        with pytest.raises(MidtransAPIError) as refused:
            call()
        assert refused.value.api_response_dict["status_code"] == code


@pytest.fixture
def pywa(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[WhatsApp]:
    """A WhatsApp client on a connection of ours, whose base URL is then the sandbox's."""
    with httpx.Client(trust_env=False) as session:
        client = WhatsApp(
            phone_id=sandbox_credentials.whatsapp_phone_number_id,
            token=sandbox_credentials.whatsapp_token,
            session=session,
            app_secret=sandbox_credentials.whatsapp_app_secret,
            verify_token="hub-token",
        )
        session.base_url = httpx.URL(f"{sandbox.whatsapp_url}{session.base_url.path}")
        yield client


def template(client: WhatsApp, *parameters: str) -> Any:
    return client.send_template(
        to=WHATSAPP_TEMPLATE["to"],
        name=WHATSAPP_TEMPLATE["template"]["name"],
        language=TemplateLanguage.INDONESIAN,
        params=[BodyText.params(*parameters)],  # type: ignore[arg-type]  # it takes all by place, and says `self` for one
        tracker="ntf_1-whatsapp",
    )


def test_pywa_sends_a_template(sandbox: SandboxServers, pywa: WhatsApp) -> None:
    sent = template(pywa, "Budi", "Rp1.150.000", "24 November 2026")
    assert sent.id.startswith("wamid.")
    ((received),) = sandbox.sandbox.inbox.find(to="+6281234567890", channel="whatsapp")
    assert received["subject"] == "payment_reminder_v1 (id)"
    assert received["body"] == "Budi\nRp1.150.000\n24 November 2026"


def test_pywa_understands_a_refusal(sandbox: SandboxServers, pywa: WhatsApp) -> None:
    with pytest.raises(WhatsAppError) as refused:
        template(pywa, "two\nlines")
    assert refused.value.code == 100
    sandbox.sandbox.faults.set("whatsapp", "reject")
    with pytest.raises(WhatsAppError) as refused:
        template(pywa, "Budi")
    assert refused.value.code == 131026
