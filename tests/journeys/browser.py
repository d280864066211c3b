"""Chromium without a window, driven over its DevTools protocol, with an authenticator of its own."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

WAIT_S = 60
LOOK_S = 0.02
"""How often a condition is looked at."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    # Nothing but this machine can be reached.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


def installed() -> str | None:
    """Where Chromium is on this machine, if it is."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def running(program: str, profile: Path) -> Iterator["Browser"]:
    """A fresh Chromium; `profile` is an empty folder for it."""
    # Its sandbox needs a user of its own, or namespaces, neither of which root in a container has.
    more = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [program, *FLAGS, *more, f"--user-data-dir={profile}", "about:blank"]
    with (
        (profile / "chromium.log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,  # noqa: S603 - the system's browser
    ):
        try:
            with connect(_address(process, profile), max_size=None, proxy=None, open_timeout=WAIT_S) as page:
                made = Browser(page)
                yield made
                made.send("Browser.close")
            process.wait(WAIT_S)
        finally:
            process.kill()


def _address(process: "subprocess.Popen[bytes]", profile: Path) -> str:
    """Where the first page listens; Chromium writes its port into its profile."""
    told = profile / "DevToolsActivePort"

    def port() -> str:
        assert process.poll() is None, (profile / "chromium.log").read_text(errors="replace")
        return told.read_text().split("\n")[0] if told.exists() else ""

    base = f"http://127.0.0.1:{_until('Chromium', port, bool)}"
    pages = [one for one in httpx.get(f"{base}/json/list", trust_env=False).json() if one["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])


class Browser:
    """A page of Chromium, over its DevTools protocol."""

    def __init__(self, page: ClientConnection) -> None:
        self._page = page
        self._calls = 0

    def send(self, method: str, **parameters: object) -> Any:
        """A call of the DevTools protocol, and its result."""
        self._calls += 1
        self._page.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._page.recv(timeout=WAIT_S))
            if told.get("id") == self._calls:
                assert "error" not in told, (method, told)
                return told["result"]

    def value(self, expression: str) -> Any:
        """What an expression of the page's script is."""
        told = self.send("Runtime.evaluate", expression=expression, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def until(self, what: str, expression: str, good: Callable[[Any], bool] = bool) -> Any:
        """The expression's value, once it is good."""
        return _until(what, lambda: self.value(expression), good)

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)
        self.until(url, f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def add_authenticator(self) -> str:
        """A phone's own authenticator, whose user is verified."""
        self.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        return str(self.send("WebAuthn.addVirtualAuthenticator", options=options)["authenticatorId"])


def _until(what: str, ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    gate = threading.Event()
    for _ in range(int(WAIT_S / LOOK_S)):
        if good(value := ask()):
            return value
        gate.wait(LOOK_S)
    raise AssertionError(f"{what}: {value!r}")
