"""What belongs together: functions and their events, ports and use cases, and what an import costs."""

import json
import subprocess
import sys
from functools import cached_property
from pathlib import Path

import pytest
from tests.runtime.test_settings import COMPLETE
from tests.world import make_world

from pinjam.adapters.cloud_kms import CloudKms
from pinjam.adapters.cloud_storage import CloudStorageObjects
from pinjam.adapters.firestore import FirestoreStore
from pinjam.adapters.postgres import PostgresStore
from pinjam.adapters.pubsub import PubSubPublisher
from pinjam.adapters.s3 import S3Objects
from pinjam.adapters.twilio import TwilioMessenger
from pinjam.adapters.zenziva import ZenzivaMessenger
from pinjam.runtime import composition
from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.runtime.tracing import traceparent
from pinjam.services.messaging import Messenger
from pinjam.services.subscriptions import SUBSCRIPTIONS

FUNCTIONS = Path(__file__).parents[2] / "functions"
NAMES = sorted(source.parent.name for source in FUNCTIONS.glob("*/main.py"))
HEAVY = {
    "PIL",
    "argon2",
    "boto3",
    "botocore",
    "cryptography",
    "email_validator",
    "google.auth",
    "httpx",
    "jwt",
    "phonenumbers",
    "pinjam.local",
    "psycopg",
    "psycopg_pool",
    "redis",
    "smtplib",
    "sqlalchemy",
    "waitress",
    "webauthn",
    "zxcvbn",
}
"""Each costs a cold start a part of a second, and is needed by some requests only."""


def test_every_subscriber_is_a_function_and_every_event_function_subscribes() -> None:
    subscribed = {name for names in SUBSCRIPTIONS.values() for name in names}
    assert subscribed <= set(NAMES)
    heard = {name for name in NAMES if "consumer(" in (FUNCTIONS / name / "main.py").read_text(encoding="utf-8")}
    assert heard == subscribed
    assert all(len(set(names)) == len(names) > 0 for names in SUBSCRIPTIONS.values())


def test_a_function_is_named_like_its_folder() -> None:
    for name in NAMES:
        text = (FUNCTIONS / name / "main.py").read_text(encoding="utf-8")
        assert f"\n{name} = " in text
        assert f'Api("{name}"' in text or f'consumer("{name}"' in text


LOAD = """
import json, runpy, sys
heavy = set(json.loads(sys.argv[1]))
loaded = {}
for name in sys.argv[2:]:
    runpy.run_path(name)
    loaded[name] = sorted(heavy & set(sys.modules))
print(json.dumps(loaded))
"""


def test_importing_a_function_imports_nothing_heavy() -> None:
    """All in one process: what one of them imports would show for each that follows, and fail as well."""
    sources = [str(FUNCTIONS / name / "main.py") for name in NAMES]
    command = [sys.executable, "-c", LOAD, json.dumps(sorted(HEAVY)), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own Python
    assert json.loads(done.stdout) == {source: [] for source in sources}


QUOTE = """
import base64, json, sys
import functions_framework
heavy = set(json.loads(sys.argv[1]))
claims = base64.urlsafe_b64encode(b'{"sub": "usr_1"}').rstrip(b"=").decode()
app = functions_framework.create_app("loans", sys.argv[2], "http")
answer = app.test_client().get(
    "/api/loans/quote?amount=3000000&tenor_months=6", headers={"X-Apigateway-Api-Userinfo": claims}
)
print(json.dumps([answer.status_code, sorted(heavy & set(sys.modules))]))
"""


def test_a_first_quote_pays_for_no_store_and_no_client_and_needs_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", QUOTE, json.dumps(sorted(HEAVY)), str(FUNCTIONS / "loans" / "main.py")]
    environment = {"PINJAM_PROFILE": "gcp"}
    done = subprocess.run(  # noqa: S603 - our own Python
        command, capture_output=True, text=True, check=True, timeout=60, env=environment, cwd=tmp_path
    )
    status, loaded = json.loads(done.stdout)
    assert status == 200
    assert loaded == []
    # Its one line on standard error, as Cloud Logging reads it, after that of its instance.
    cold, line = [json.loads(text) for text in done.stderr.splitlines()]
    assert (cold["message"], cold["function"]) == ("cold-start", "loans")
    assert (line["message"], line["route"], line["status"]) == ("request", "/api/loans/quote", 200)


USE_CASES = [
    "registration",
    "sessions",
    "passkeys",
    "passkey_login",
    "profiles",
    "documents",
    "verification",
    "lending",
    "deciding",
    "paying_out",
    "repaying",
    "notifying",
    "servicing",
]


@pytest.mark.parametrize("name", USE_CASES)
def test_a_use_case_is_made_once_over_the_given_ports(name: str) -> None:
    world = make_world()
    made = getattr(world.app, name)
    assert getattr(world.app, name) is made
    assert made.store is world.store


def test_every_port_can_be_made_from_settings_alone(tmp_path: Path) -> None:
    values = {**COMPLETE, "PINJAM_OBJECTS_PATH": str(tmp_path)}
    app = App(Settings.read(values))
    ports = [name for name, kind in vars(App).items() if isinstance(kind, cached_property)]
    assert set(USE_CASES) < set(ports)
    for name in ports:
        assert getattr(app, name) is not None


@pytest.mark.parametrize(("provider", "messenger"), [("zenziva", ZenzivaMessenger), ("twilio", TwilioMessenger)])
def test_sms_goes_to_the_provider_that_is_named(provider: str, messenger: type[Messenger]) -> None:
    app = App(Settings.read({**COMPLETE, "PINJAM_SMS_PROVIDER": provider}))
    assert isinstance(app.messengers["sms"], messenger)


@pytest.mark.parametrize(
    ("changes", "port", "adapter"),
    [
        ({"PINJAM_STORE": "postgres"}, "store", PostgresStore),
        ({"PINJAM_STORE": "firestore", "PINJAM_DATABASE_AUTH": "password"}, "store", FirestoreStore),
        ({"PINJAM_OBJECTS": "gcs"}, "objects", CloudStorageObjects),
        ({"PINJAM_OBJECTS": "s3"}, "objects", S3Objects),
        ({}, "key_wrapper", CloudKms),
        ({}, "publisher", PubSubPublisher),
    ],
)
def test_a_choice_has_its_adapter(changes: dict[str, str], port: str, adapter: type) -> None:
    assert isinstance(getattr(App(Settings.read({**COMPLETE, **changes})), port), adapter)


def test_all_services_of_google_share_one_access_token() -> None:
    app = App(Settings.read({**COMPLETE, "PINJAM_STORE": "firestore", "PINJAM_DATABASE_AUTH": "password"}))
    assert app._token is app.google_tokens
    assert app._token_or(None) is app.google_tokens
    assert make_world().app._token is None


def test_a_missing_setting_shows_when_its_port_is_first_used(tmp_path: Path) -> None:
    app = App(Settings.read({"PINJAM_STATE": str(tmp_path)}))
    assert app.policies.policies
    with pytest.raises(SettingsError, match="PINJAM_DATABASE_URL"):
        _ = app.store


def test_the_process_has_one_app_made_from_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PINJAM_STATE", str(tmp_path))
    monkeypatch.setenv("PINJAM_PROJECT", "from-the-environment")
    monkeypatch.delenv("PINJAM_PROFILE", raising=False)
    composition.install(None)
    try:
        first = composition.current()
        assert composition.current() is first
        assert first.settings.project == "from-the-environment"
        world = make_world()
        composition.install(world.app)
        assert composition.current() is world.app
    finally:
        composition.install(None)


def test_what_is_published_or_planned_names_the_trace_of_what_is_worked_on() -> None:
    app = App(Settings.read(COMPLETE))
    for one in (app.publisher, app.tasks):
        assert vars(one)["_traceparent"] is traceparent
    app.close()
