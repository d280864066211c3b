"""Chromium makes a passkey and logs in with it, on the sandbox's page, with its virtual authenticator."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.browser import Browser, installed, running

from pinjam.local.road import Walker
from pinjam.local.system import LocalSystem

CHROMIUM = installed()

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true",
    reason="Chromium is not installed here; where CI=true is set it must be",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    assert CHROMIUM is not None, "Chromium must be installed where CI=true is set"
    with running(CHROMIUM, tmp_path) as made:
        yield made


class Page:
    """The page as its user sees it."""

    def __init__(self, browser: Browser, system: LocalSystem) -> None:
        self.browser = browser
        port = system.url.rpartition(":")[2]
        browser.open(f"http://localhost:{port}/sandbox/passkey")

    def submit(self, form: str, **fields: str) -> tuple[str, Any]:
        """Fill in a form and send it; the outcome, and what is shown of it."""
        for name, text in fields.items():
            place = f"document.querySelector('#{form} [name={name}]')"
            self.browser.value(f"{place}.value = {json.dumps(text)}")
        return self.click(f"#{form} > button")

    def click(self, button: str) -> tuple[str, Any]:
        before = self.browser.value("document.getElementById('result').dataset.turn || '0'")
        self.browser.value(f"document.querySelector({json.dumps(button)}).click()")
        shown = "(({dataset, textContent}) => [dataset.turn || '0', textContent])(document.getElementById('result'))"
        _, text = self.browser.until(button, shown, lambda told: told[0] != before)
        outcome, _, body = text.partition("\n")
        return outcome, json.loads(body)

    def passkeys(self) -> list[str]:
        names: list[str] = self.browser.value("[...document.querySelectorAll('#passkeys span')].map(e => e.innerText)")
        return names


def test_a_browser_makes_a_passkey_and_logs_in_with_it(browser: Browser, system: LocalSystem, walker: Walker) -> None:
    walker.register().expect(201)
    user_id = walker.profile().expect(200)["id"]
    authenticator = browser.add_authenticator()
    page = Page(browser, system)
    by_password = {"identifier": walker.person.email, "password": walker.person.password}
    assert page.submit("by-password", **by_password) == ("logged-in-by-password", {"user": user_id})
    outcome, enrolled = page.submit("enroll", device_name="Chromium di tes")
    assert (outcome, enrolled["device_name"]) == ("enrolled", "Chromium di tes")
    assert page.passkeys() == ["Chromium di tes"]
    # The same authenticator has one already, and says so itself.
    assert page.submit("enroll")[0] == "InvalidStateError"

    # With an identifier, and without: the key is kept on the device, and names its account.
    for identifier in (walker.person.phone, ""):
        assert page.submit("by-passkey", identifier=identifier) == ("logged-in-by-passkey", {"user": user_id})
    (credential,) = browser.send("WebAuthn.getCredentials", authenticatorId=authenticator)["credentials"]
    assert (credential["rpId"], credential["isResidentCredential"]) == ("localhost", True)

    # An identifier that nobody has is asked for a passkey that nobody has.
    assert page.submit("by-passkey", identifier="nobody@example.com")[0] == "NotAllowedError"
    # Without a fingerprint there is no login, whatever the page does.
    browser.send("WebAuthn.setUserVerified", authenticatorId=authenticator, isUserVerified=False)
    assert page.submit("by-passkey", identifier="")[0] == "NotAllowedError"
    browser.send("WebAuthn.setUserVerified", authenticatorId=authenticator, isUserVerified=True)

    # A copy of the key, made before the last login, counts from where it was.
    browser.send("WebAuthn.clearCredentials", authenticatorId=authenticator)
    browser.send("WebAuthn.addCredential", authenticatorId=authenticator, credential={**credential, "signCount": 1})
    assert page.submit("by-passkey", identifier="")[0] == "passkey-copied"
    told = {one["kind"] for one in walker.told("security-new-passkey", "security-passkey-blocked")}
    assert {"security-new-passkey", "security-passkey-blocked"} <= told

    # The password works on; the blocked passkey is removed.
    assert page.submit("by-password", **by_password)[0] == "logged-in-by-password"
    assert page.passkeys() == ["Chromium di tes (blocked)"]
    assert page.click("#passkeys button") == ("removed", {"id": enrolled["id"]})
    assert page.passkeys() == []
    assert page.submit("by-passkey", identifier="")[0] == "passkey-removed"
    assert page.submit("by-password", **by_password)[0] == "logged-in-by-password"
