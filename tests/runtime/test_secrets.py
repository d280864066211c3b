"""Settings that stand in Secret Manager: read when asked for, once, and missed by the name of their variable."""

import threading

import pytest

from pinjam.runtime.secrets import Secrets
from pinjam.runtime.settings import SettingsError
from pinjam.services.ports import Refused, Unavailable

NAME = "projects/p/secrets/midtrans/versions/3"
VARIABLE = "PINJAM_MIDTRANS_SERVER_KEY"


class Fetch:
    """Gives texts by name, and notes who was asked for; `errors` come first."""

    def __init__(self, *errors: Exception, text: str = "the-key") -> None:
        self.errors = list(errors)
        self.text = text
        self.asked: list[str] = []
        self.second = threading.Event()
        self.wait_s = 0.0

    def __call__(self, name: str) -> str:
        self.asked.append(name)
        if len(self.asked) == 1:
            self.second.wait(self.wait_s)
        else:
            self.second.set()
        if self.errors:
            raise self.errors.pop(0)
        return self.text


@pytest.mark.parametrize("value", ["", "plain", "secrets:x", "the secret:projects/p"])
def test_a_plain_value_is_itself_and_nobody_is_asked(value: str) -> None:
    fetch = Fetch()
    assert Secrets(fetch).resolve(VARIABLE, value) == value
    assert fetch.asked == []


def test_a_secret_is_read_once_for_all_who_ask() -> None:
    fetch = Fetch()
    secrets = Secrets(fetch)
    fetch.wait_s = 0.1  # For a second call, which does not come.
    start = threading.Barrier(8)
    got: list[str] = []

    def ask() -> None:
        start.wait(20)
        got.append(secrets.resolve(VARIABLE, f"secret:{NAME}"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["the-key"] * 8
    assert fetch.asked == [NAME]


def test_a_secret_that_cannot_be_read_is_told_by_its_variable() -> None:
    secrets = Secrets(Fetch(Refused("secret-manager", "NOT_FOUND", f"Secret Version [{NAME}] not found.")))
    with pytest.raises(SettingsError, match=f"{VARIABLE} is a secret that cannot be read: .*NOT_FOUND"):
        secrets.resolve(VARIABLE, f"secret:{NAME}")


def test_an_empty_secret_is_told_by_its_variable() -> None:
    with pytest.raises(SettingsError, match=f"{VARIABLE} is a secret that is empty"):
        Secrets(Fetch(text="")).resolve(VARIABLE, f"secret:{NAME}")


def test_a_service_that_was_down_is_asked_again() -> None:
    fetch = Fetch(Unavailable("secret-manager", "answered 503"))
    secrets = Secrets(fetch)
    with pytest.raises(Unavailable):
        secrets.resolve(VARIABLE, f"secret:{NAME}")
    assert secrets.resolve(VARIABLE, f"secret:{NAME}") == "the-key"
    assert fetch.asked == [NAME, NAME]
