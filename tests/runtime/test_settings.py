"""Settings: read once, from a mapping, naming the variable that is missing or wrong."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pinjam.runtime.secrets import Secrets
from pinjam.runtime.settings import Settings, SettingsError, Twilio, Zenziva, state_folder
from pinjam.runtime.storage_settings import S3, CloudStorage, Database, Firestore

COMPLETE: Mapping[str, str] = {
    "PINJAM_PROFILE": "gcp",
    "PINJAM_PROJECT": "pinjam-test",
    "PINJAM_PUBLIC_URL": "https://api.example",
    "PINJAM_STORE": "postgres",
    "PINJAM_DATABASE_URL": "postgresql://db",
    "PINJAM_DATABASE_POOL": "3",
    "PINJAM_DATABASE_AUTH": "iam",
    "PINJAM_FIRESTORE_DATABASE": "(default)",
    "PINJAM_PUBSUB_URL": "https://pubsub.example",
    "PINJAM_KEYS": "kms",
    "PINJAM_KMS_KEY": "projects/p/locations/l/keyRings/r/cryptoKeys/system",
    "PINJAM_KEY_FILE": "/keys.json",
    "PINJAM_HASH_KEY": base64.b64encode(bytes(32)).decode(),
    "PINJAM_LINKS_KEY": base64.b64encode(bytes(32)).decode(),
    "PINJAM_IDENTITY_URL": "https://identity.example",
    "PINJAM_TOKEN_URL": "https://token.example",
    "PINJAM_JWKS_URL": "https://jwks.example",
    "PINJAM_IAM_URL": "https://iam.example",
    "PINJAM_SIGNING_ACCOUNT": "pinjam@pinjam-test.iam.gserviceaccount.com",
    "PINJAM_IDENTITY_API_KEY": "api-key",
    "PINJAM_WEBAUTHN_RP_ID": "pinjam.example",
    "PINJAM_WEBAUTHN_ORIGINS": "https://app.example",
    "PINJAM_ANDROID_PACKAGE": "example.app",
    "PINJAM_ANDROID_FINGERPRINTS": "AB:" * 31 + "CD",
    "PINJAM_APPLE_TEAM_ID": "TEAM",
    "PINJAM_APPLE_BUNDLE_ID": "example.app.ios",
    "PINJAM_EKYC_URL": "https://ekyc.example",
    "PINJAM_EKYC_APP_ID": "app",
    "PINJAM_EKYC_API_KEY": "key",
    "PINJAM_MIDTRANS_URL": "https://midtrans.example",
    "PINJAM_MIDTRANS_SERVER_KEY": "server-key",
    "PINJAM_IRIS_URL": "https://iris.example",
    "PINJAM_IRIS_CREATOR_KEY": "creator",
    "PINJAM_IRIS_APPROVER_KEY": "approver",
    "PINJAM_IRIS_MERCHANT_KEY": "merchant",
    "PINJAM_OPERATIONS_EMAIL": "operations@example.com",
    "PINJAM_SMTP_HOST": "mail.example",
    "PINJAM_SMTP_PORT": "587",
    "PINJAM_SMTP_USER": "user",
    "PINJAM_SMTP_PASSWORD": "password",
    "PINJAM_SMTP_SENDER": "halo@example.com",
    "PINJAM_SMTP_STARTTLS": "true",
    "PINJAM_WHATSAPP_URL": "https://whatsapp.example",
    "PINJAM_WHATSAPP_PHONE_NUMBER_ID": "1",
    "PINJAM_WHATSAPP_TOKEN": "token",
    "PINJAM_WHATSAPP_APP_SECRET": "app-secret",
    "PINJAM_WHATSAPP_VERIFY_TOKEN": "verify",
    "PINJAM_SMS_PROVIDER": "zenziva",
    "PINJAM_ZENZIVA_URL": "https://zenziva.example",
    "PINJAM_ZENZIVA_USERKEY": "user",
    "PINJAM_ZENZIVA_PASSKEY": "pass",
    "PINJAM_TWILIO_URL": "https://twilio.example",
    "PINJAM_TWILIO_ACCOUNT_SID": "AC1",
    "PINJAM_TWILIO_AUTH_TOKEN": "auth",
    "PINJAM_TWILIO_SENDER": "PINJAM",
    "PINJAM_FCM_URL": "https://fcm.example",
    "PINJAM_TASKS_URL": "https://tasks.example",
    "PINJAM_TASKS_LOCATION": "asia-southeast2",
    "PINJAM_TASKS_ACCOUNT": "tasks@pinjam-test.iam.gserviceaccount.com",
    "PINJAM_FUNCTIONS_URL": "https://functions.example",
    "PINJAM_CACHE": "redis",
    "PINJAM_REDIS_URL": "rediss://cache.example",
    "PINJAM_LIMITS": "strict",
    "PINJAM_TRUSTED_HOPS": "2",
    "PINJAM_OBJECTS": "gcs",
    "PINJAM_OBJECTS_PATH": "/objects",
    "PINJAM_BUCKET": "documents",
    "PINJAM_S3_URL": "https://minio.example",
    "PINJAM_S3_REGION": "ap-southeast-3",
    "PINJAM_S3_ACCESS_KEY": "access",
    "PINJAM_S3_SECRET_KEY": "secret",
}

GROUPS: Mapping[str, Callable[[Settings], object]] = {
    (
        "PINJAM_IDENTITY_URL PINJAM_TOKEN_URL PINJAM_IAM_URL PINJAM_SIGNING_ACCOUNT PINJAM_IDENTITY_API_KEY"
    ): lambda settings: settings.identity,
    "PINJAM_WEBAUTHN_RP_ID PINJAM_WEBAUTHN_ORIGINS": lambda settings: settings.webauthn,
    "PINJAM_ANDROID_PACKAGE PINJAM_ANDROID_FINGERPRINTS PINJAM_APPLE_TEAM_ID PINJAM_APPLE_BUNDLE_ID": (
        lambda settings: settings.apps
    ),
    "PINJAM_EKYC_URL PINJAM_EKYC_APP_ID PINJAM_EKYC_API_KEY": lambda settings: settings.ekyc,
    "PINJAM_MIDTRANS_URL PINJAM_MIDTRANS_SERVER_KEY": lambda settings: settings.midtrans,
    "PINJAM_IRIS_URL PINJAM_IRIS_CREATOR_KEY PINJAM_IRIS_APPROVER_KEY PINJAM_IRIS_MERCHANT_KEY": (
        lambda settings: settings.iris
    ),
    "PINJAM_OPERATIONS_EMAIL": lambda settings: settings.operations_email,
    "PINJAM_SMTP_HOST PINJAM_SMTP_PORT PINJAM_SMTP_USER PINJAM_SMTP_PASSWORD PINJAM_SMTP_SENDER PINJAM_SMTP_STARTTLS": (
        lambda settings: settings.smtp
    ),
    (
        "PINJAM_WHATSAPP_URL PINJAM_WHATSAPP_PHONE_NUMBER_ID PINJAM_WHATSAPP_TOKEN PINJAM_WHATSAPP_APP_SECRET "
        "PINJAM_WHATSAPP_VERIFY_TOKEN"
    ): lambda settings: settings.whatsapp,
    "PINJAM_ZENZIVA_URL PINJAM_ZENZIVA_USERKEY PINJAM_ZENZIVA_PASSKEY": lambda settings: settings.sms,
    "PINJAM_TWILIO_URL PINJAM_TWILIO_ACCOUNT_SID PINJAM_TWILIO_AUTH_TOKEN PINJAM_TWILIO_SENDER": (
        lambda settings: Settings({**settings.values, "PINJAM_SMS_PROVIDER": "twilio"}).sms
    ),
    "PINJAM_FCM_URL PINJAM_PROJECT": lambda settings: settings.fcm,
    "PINJAM_TASKS_URL PINJAM_PROJECT PINJAM_TASKS_LOCATION PINJAM_FUNCTIONS_URL PINJAM_TASKS_ACCOUNT": (
        lambda settings: settings.tasks
    ),
    "PINJAM_JWKS_URL": lambda settings: settings.jwks_url,
    "PINJAM_PROJECT": lambda settings: settings.project,
    "PINJAM_PUBLIC_URL": lambda settings: settings.public_url,
    "PINJAM_DATABASE_URL": lambda settings: settings.database_url,
    "PINJAM_PUBSUB_URL": lambda settings: settings.pubsub_url,
    "PINJAM_KEY_FILE": lambda settings: settings.key_file,
    "PINJAM_HASH_KEY": lambda settings: settings.hash_key,
    "PINJAM_LINKS_KEY": lambda settings: settings.links_key,
    "PINJAM_OBJECTS_PATH": lambda settings: settings.objects_path,
    "PINJAM_REDIS_URL": lambda settings: settings.redis_url,
    "PINJAM_LIMITS": lambda settings: settings.limits,
    "PINJAM_STORE": lambda settings: settings.store,
    "PINJAM_OBJECTS": lambda settings: settings.objects,
    "PINJAM_KEYS": lambda settings: settings.keys,
    "PINJAM_KMS_KEY": lambda settings: settings.kms_key,
}
LISTS = ("PINJAM_WEBAUTHN_ORIGINS", "PINJAM_ANDROID_FINGERPRINTS")
EACH = [(name, get) for names, get in GROUPS.items() for name in names.split()]


def without(*names: str, **changes: str) -> Settings:
    return Settings.read({name: value for name, value in {**COMPLETE, **changes}.items() if name not in names})


@pytest.mark.parametrize(("names", "get"), GROUPS.items(), ids=[names.split()[0] for names in GROUPS])
def test_a_group_reads_its_own_variables(names: str, get: Callable[[Settings], object]) -> None:
    group = get(without())
    if len(names.split()) > 1:
        assert isinstance(group, tuple)
        given = [value for value in group if value is not None]
        expected = [COMPLETE[name] for name in names.split()]
        lists = {COMPLETE[name]: (COMPLETE[name],) for name in LISTS}
        known = {**lists, "587": 587, "true": True}
        assert given == [known.get(value, value) for value in expected]
    else:
        assert group in (COMPLETE[names], Path(COMPLETE[names]), bytes(32))


@pytest.mark.parametrize(("name", "get"), EACH, ids=[name for name, _ in EACH])
def test_a_missing_or_empty_variable_is_named(name: str, get: Callable[[Settings], object]) -> None:
    for unset, changes in (((name,), {}), ((), {name: ""})):
        with pytest.raises(SettingsError, match=f"^{name} is not set"):
            get(without(*unset, **changes))


@pytest.mark.parametrize("value", ["Twilio", "nexmo", "zenziva,twilio", " "])
def test_an_sms_provider_that_is_not_known_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_SMS_PROVIDER is .* must be zenziva or twilio$"):
        _ = without(PINJAM_SMS_PROVIDER=value).sms
    with pytest.raises(SettingsError, match=r"^PINJAM_SMS_PROVIDER is not set"):
        _ = without("PINJAM_SMS_PROVIDER").sms


def test_access_tokens_are_written_down_on_one_machine_only(tmp_path: Path) -> None:
    gcp = without()
    assert (gcp.identity.admin_token, gcp.fcm.token) == (None, None)
    tokens = {"PINJAM_IDENTITY_ADMIN_TOKEN": "admin", "PINJAM_FCM_TOKEN": "fcm"}
    given = {**COMPLETE, **tokens, "PINJAM_PROFILE": "emulators", "PINJAM_STATE": str(tmp_path)}
    here = Settings({**given, "PINJAM_DATABASE_AUTH": "password"})
    assert (here.identity.admin_token, here.fcm.token) == ("admin", "fcm")
    with pytest.raises(SettingsError, match=r"^PINJAM_IDENTITY_ADMIN_TOKEN is not set"):
        _ = Settings({**given, "PINJAM_IDENTITY_ADMIN_TOKEN": ""}).identity
    with pytest.raises(SettingsError, match=r"^PINJAM_FCM_TOKEN is not set"):
        _ = Settings({**given, "PINJAM_FCM_TOKEN": ""}).fcm


def test_nobody_signs_custom_tokens_for_the_emulator_of_accounts() -> None:
    given = {**COMPLETE, "PINJAM_IDENTITY_ADMIN_TOKEN": "owner", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}
    for profile, iam_url in (("emulators", None), ("local", "https://iam.example")):
        assert Settings({**given, "PINJAM_PROFILE": profile}).identity.iam_url == iam_url
    beside_a_server = {**given, "PINJAM_PROFILE": "emulators", "FIREBASE_AUTH_EMULATOR_HOST": ""}
    assert Settings(beside_a_server).identity.iam_url == "https://iam.example"


def test_an_sms_provider_needs_nothing_of_the_other_one() -> None:
    assert isinstance(without(*(name for name in COMPLETE if name.startswith("PINJAM_TWILIO"))).sms, Zenziva)
    unset = (name for name in COMPLETE if name.startswith("PINJAM_ZENZIVA"))
    assert isinstance(without(*unset, PINJAM_SMS_PROVIDER="twilio").sms, Twilio)


def test_a_function_needs_only_its_own_groups() -> None:
    settings = Settings.read({"PINJAM_PROFILE": "gcp", "PINJAM_PROJECT": "p"})
    assert (settings.project, settings.cors_origins, settings.clock_file) == ("p", (), None)


@pytest.mark.parametrize("value", ["x", "-1", "5.5", " 587", "0x10", "1e3"])
def test_a_number_must_be_whole(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_SMTP_PORT is .* must be a whole number"):
        _ = without(PINJAM_SMTP_PORT=value).smtp


@pytest.mark.parametrize("value", ["True", "yes", "1", "on"])
def test_a_flag_is_true_or_false(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_SMTP_STARTTLS is .* must be true or false"):
        _ = without(PINJAM_SMTP_STARTTLS=value).smtp
    assert without(PINJAM_SMTP_STARTTLS="false").smtp.starttls is False


@pytest.mark.parametrize(
    "value",
    [
        "http://app.example",
        "https://app.example/",
        "https://a.example,",
        "http://localhost.evil",
        "android:apk-key-hash:short",
        "*",
    ],
)
def test_an_origin_is_a_site_under_tls_or_an_app(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_WEBAUTHN_ORIGINS holds"):
        _ = without(PINJAM_WEBAUTHN_ORIGINS=value).webauthn
    good = ("https://app.example", "http://localhost:8080", "android:apk-key-hash:" + "a" * 43)
    assert without(PINJAM_WEBAUTHN_ORIGINS=" , ".join(good)).webauthn.origins == good


@pytest.mark.parametrize("value", ["abcd", "AB" * 32, ("ab:" * 32)[:-1], "AB:" * 30 + "CD"])
def test_a_fingerprint_is_32_bytes_in_hex_with_colons(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_ANDROID_FINGERPRINTS holds"):
        _ = without(PINJAM_ANDROID_FINGERPRINTS=value).apps


@pytest.mark.parametrize("value", ["not base64!", "abc", "=", "ü"])
def test_a_key_must_be_base64_and_is_not_repeated(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_HASH_KEY must be base64$"):
        _ = without(PINJAM_HASH_KEY=value).hash_key


@pytest.mark.parametrize("profile", ["", "GCP", "production", "local "])
def test_an_unknown_profile_is_refused(profile: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_PROFILE is .* local, emulators, gcp"):
        Settings.read({"PINJAM_PROFILE": profile})


def test_without_a_profile_it_is_the_local_one(tmp_path: Path) -> None:
    assert Settings.read({"PINJAM_STATE": str(tmp_path)}).profile == "local"


@pytest.mark.parametrize("profile", ["local", "emulators", "gcp"])
def test_what_a_running_system_left_counts_in_every_profile_of_one_machine(tmp_path: Path, profile: str) -> None:
    (tmp_path / "system.json").write_text(json.dumps({"PINJAM_PROJECT": "running", "PINJAM_PUBSUB_URL": "http://it"}))
    given = {"PINJAM_STATE": str(tmp_path), "PINJAM_PROFILE": profile, "PINJAM_PROJECT": "given"}
    settings = Settings.read(given)
    assert settings.project == "given"
    if profile == "gcp":
        with pytest.raises(SettingsError, match=r"^PINJAM_PUBSUB_URL is not set$"):
            _ = settings.pubsub_url
    else:
        assert settings.pubsub_url == "http://it"


@pytest.mark.parametrize(("profile", "folder"), [("local", ".local"), ("emulators", ".local-emulators")])
def test_each_profile_of_one_machine_has_a_state_folder_of_its_own(profile: str, folder: str) -> None:
    assert state_folder({"PINJAM_PROFILE": profile}) == Path(folder)
    assert state_folder({"PINJAM_PROFILE": profile, "PINJAM_STATE": "mine"}) == Path("mine")


def test_without_a_running_system_the_text_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make run"):
        _ = Settings.read({"PINJAM_STATE": str(tmp_path)}).database_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", ()), ("https://a", ("https://a",)), (" https://a , https://b,,", ("https://a", "https://b"))],
)
def test_origins_are_a_list_with_commas(given: str, expected: tuple[str, ...]) -> None:
    assert without(PINJAM_CORS_ORIGINS=given).cors_origins == expected


def test_the_business_date_can_be_moved_on_one_machine(tmp_path: Path) -> None:
    given = {"PINJAM_CLOCK_FILE": "clock.json", "PINJAM_STATE": str(tmp_path)}
    assert Settings.read(given).clock_file == Path("clock.json")


DEFAULTS: Mapping[str, Callable[[Settings], object]] = {
    "PINJAM_STORE": lambda settings: settings.store,
    "PINJAM_OBJECTS": lambda settings: settings.objects,
    "PINJAM_KEYS": lambda settings: settings.keys,
    "PINJAM_CACHE": lambda settings: settings.redis_url,
    "PINJAM_LIMITS": lambda settings: settings.limits,
    "PINJAM_TRUSTED_HOPS": lambda settings: settings.trusted_hops,
    "PINJAM_DATABASE_POOL": lambda settings: settings.database.pool_size,
    "PINJAM_DATABASE_AUTH": lambda settings: settings.database.iam,
    "PINJAM_FIRESTORE_DATABASE": lambda settings: settings.firestore.database,
}


@pytest.mark.parametrize(("name", "get"), DEFAULTS.items(), ids=list(DEFAULTS))
def test_the_gcp_profile_takes_nothing_for_granted(name: str, get: Callable[[Settings], object]) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        get(without(name))


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("local", ["postgres", "folder", "file", None, "strict", 1, 4, False]),
        ("emulators", ["firestore", "gcs", "file", None, "strict", 1, 4, False, "(default)"]),
    ],
)
def test_a_profile_of_one_machine_has_its_own_choices(tmp_path: Path, profile: str, expected: list[object]) -> None:
    given = {"PINJAM_DATABASE_URL": "postgresql:///", "FIRESTORE_EMULATOR_HOST": "here:1", "PINJAM_PROJECT": "p"}
    settings = Settings.read({**given, "PINJAM_STATE": str(tmp_path), "PINJAM_PROFILE": profile})
    assert [get(settings) for get in list(DEFAULTS.values())[: len(expected)]] == expected


def test_the_database_and_the_buckets_are_read_whole() -> None:
    settings = without()
    assert settings.database == Database(url="postgresql://db", pool_size=3, iam=True, application_name="pinjam")
    assert without(K_SERVICE="pay").database.application_name == "pay"
    assert settings.firestore == Firestore(
        project="pinjam-test", database="(default)", url="https://firestore.googleapis.com"
    )
    assert settings.cloud_storage == CloudStorage(bucket="documents", url="https://storage.googleapis.com")
    assert settings.s3 == S3(
        bucket="documents",
        url="https://minio.example",
        region="ap-southeast-3",
        access_key="access",
        secret_key="secret",
    )
    assert without("PINJAM_S3_URL").s3.url is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:8085", "http://127.0.0.1:8085"),
        ("http://127.0.0.1:8085/", "http://127.0.0.1:8085"),
    ],
)
def test_an_emulator_is_where_its_variable_says(tmp_path: Path, host: str, url: str) -> None:
    given = {"FIRESTORE_EMULATOR_HOST": host, "STORAGE_EMULATOR_HOST": host, "PINJAM_BUCKET": "b"}
    profile = {"PINJAM_PROFILE": "emulators", "PINJAM_STATE": str(tmp_path), "PINJAM_PROJECT": "p"}
    settings = Settings.read({**given, **profile})
    assert (settings.firestore.url, settings.cloud_storage.url) == (url, url)


@pytest.mark.parametrize(
    "value", ["system", "projects/p/cryptoKeys/k", "projects/p/locations/l/keyRings/r/cryptoKeys/k/x"]
)
def test_a_key_of_cloud_kms_has_its_whole_name(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PINJAM_KMS_KEY is .* must be projects/\.\.\./locations/"):
        _ = without(PINJAM_KMS_KEY=value).kms_key


def test_a_value_may_name_a_secret_that_is_read_once_when_it_is_asked_for() -> None:
    kept = {"key": "server-key", "port": "465", "hash": base64.b64encode(bytes(32)).decode()}
    asked: list[str] = []

    def fetch(name: str) -> str:
        asked.append(name)
        return kept[name]

    settings = without(
        PINJAM_MIDTRANS_SERVER_KEY="secret:key", PINJAM_SMTP_PORT="secret:port", PINJAM_HASH_KEY="secret:hash"
    )
    settings.__dict__["_secrets"] = Secrets(fetch)
    assert settings.project == "pinjam-test"
    assert asked == []
    for _ in range(2):
        assert settings.midtrans.server_key == "server-key"
        assert (settings.smtp.port, settings.hash_key) == (465, bytes(32))
    assert asked == ["key", "port", "hash"]


def test_settings_do_not_follow_the_environment() -> None:
    environment = dict(COMPLETE)
    settings = Settings.read(environment)
    environment["PINJAM_PROJECT"] = "changed"
    assert settings.project == "pinjam-test"
