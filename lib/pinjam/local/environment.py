"""The settings of a running local system: one value for both sides of each connection."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from pinjam.local.identity import JWKS_PATH, service_account
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials

PROJECT = "pinjam-local"
LOCATION = "asia-southeast2"
_TASKS_ACCOUNT = f"tasks@{PROJECT}.iam.gserviceaccount.com"
_SMTP_USER = "pinjam"
_SENDER = "Pinjam <no-reply@pinjam.example>"
OPERATIONS = "operations@pinjam.example"
"""Whose inbox the lender's own e-mails are in."""
_WHATSAPP_PHONE_NUMBER_ID = "100000000000001"
_TWILIO_ACCOUNT_SID = f"AC{1:032x}"
_TWILIO_SENDER = "PINJAM"
_FINGERPRINT = hashlib.sha256(b"the certificate of an app that is not there").digest()
_APK_KEY_HASH = base64.urlsafe_b64encode(_FINGERPRINT).rstrip(b"=").decode()
"""Android names an app by its certificate's fingerprint, here in base64url and in `assetlinks.json` in hex."""

_MAY_BE_CHOSEN = ("PINJAM_CORS_ORIGINS", "PINJAM_SMS_PROVIDER", "PINJAM_LIMITS", "PINJAM_CACHE", "PINJAM_REDIS_URL")
_OWN_S3 = (
    "PINJAM_OBJECTS",
    "PINJAM_S3_URL",
    "PINJAM_S3_REGION",
    "PINJAM_S3_ACCESS_KEY",
    "PINJAM_S3_SECRET_KEY",
    "PINJAM_BUCKET",
)


def passed_on(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The settings of whoever starts a system that go before its own; those of S3 with an address of theirs only."""
    names = _MAY_BE_CHOSEN + (_OWN_S3 if environment.get("PINJAM_S3_URL") else ())
    return {name: environment[name] for name in names if name in environment}


def credentials(secrets: Mapping[str, str]) -> Credentials:
    """What the sandbox providers let in."""
    return Credentials(
        server_key=secrets["midtrans_server_key"],
        creator_key=secrets["iris_creator_key"],
        approver_key=secrets["iris_approver_key"],
        merchant_key=secrets["iris_merchant_key"],
        ekyc_app_id=secrets["ekyc_app_id"],
        ekyc_api_key=secrets["ekyc_api_key"],
        smtp_user=_SMTP_USER,
        smtp_password=secrets["smtp_password"],
        whatsapp_phone_number_id=_WHATSAPP_PHONE_NUMBER_ID,
        whatsapp_token=secrets["whatsapp_token"],
        whatsapp_app_secret=secrets["whatsapp_app_secret"],
        zenziva_userkey=secrets["zenziva_userkey"],
        zenziva_passkey=secrets["zenziva_passkey"],
        twilio_account_sid=_TWILIO_ACCOUNT_SID,
        twilio_auth_token=secrets["twilio_auth_token"],
        fcm_project=PROJECT,
        fcm_token=secrets["fcm_token"],
    )


def objects_folder(state: Path) -> Path:
    """Where documents' bytes are."""
    return state / "objects"


def clock_file(state: Path) -> Path:
    """Where the moved business date is kept."""
    return state / "clock.json"


def key_file(state: Path) -> Path:
    """Where the keys are that wrap the borrowers' keys."""
    return state / "keys.json"


def environment(
    *,
    state: Path,
    url: str,
    secrets: Mapping[str, str],
    database_url: str,
    tasks_url: str,
    functions_url: str,
    sandbox: SandboxServers,
) -> dict[str, str]:
    """The `PINJAM_*` variables with which a function finds this system; `url` is the gateway's.

    Those of accounts and events are not among them: they are the parts' that a profile chooses.
    """
    return {
        "PINJAM_STATE": str(state),
        "PORT": url.rpartition(":")[2],
        "PINJAM_PUBLIC_URL": url,
        "PINJAM_PROJECT": PROJECT,
        "PINJAM_STORE": "postgres",
        "PINJAM_DATABASE_URL": database_url,
        "PINJAM_SIGNING_ACCOUNT": service_account(PROJECT),
        "PINJAM_IDENTITY_API_KEY": secrets["identity_api_key"],
        "PINJAM_OPERATIONS_EMAIL": OPERATIONS,
        "PINJAM_TASKS_URL": tasks_url,
        "PINJAM_TASKS_LOCATION": LOCATION,
        "PINJAM_TASKS_ACCOUNT": _TASKS_ACCOUNT,
        "PINJAM_FUNCTIONS_URL": functions_url,
        "PINJAM_OBJECTS": "folder",
        "PINJAM_OBJECTS_PATH": str(objects_folder(state)),
        "PINJAM_KEYS": "file",
        "PINJAM_KEY_FILE": str(key_file(state)),
        "PINJAM_HASH_KEY": secrets["hash_key"],
        "PINJAM_LINKS_KEY": secrets["links_key"],
        "PINJAM_CLOCK_FILE": str(clock_file(state)),
        "PINJAM_CACHE": "memory",
        # Everybody comes from the same address here.
        "PINJAM_LIMITS": "relaxed",
        "PINJAM_TRUSTED_HOPS": "1",
        **_apps(url.rpartition(":")[2]),
        **_providers(sandbox, secrets),
    }


def own_identity(url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The variables with which a function finds the identity server of this process."""
    return {
        "PINJAM_IDENTITY_URL": url,
        "PINJAM_TOKEN_URL": url,
        "PINJAM_JWKS_URL": url + JWKS_PATH,
        "PINJAM_IAM_URL": url,
        "PINJAM_IDENTITY_ADMIN_TOKEN": secrets["identity_admin_token"],
    }


def _apps(port: str) -> dict[str, str]:
    """Who may ask for passkeys. Browsers let `localhost` do so without TLS, and no address."""
    return {
        "PINJAM_WEBAUTHN_RP_ID": "localhost",
        "PINJAM_WEBAUTHN_ORIGINS": f"http://localhost:{port},android:apk-key-hash:{_APK_KEY_HASH}",
        "PINJAM_ANDROID_PACKAGE": "example.pinjam.app",
        "PINJAM_ANDROID_FINGERPRINTS": _FINGERPRINT.hex(":").upper(),
        "PINJAM_APPLE_TEAM_ID": "PINJAM0000",
        "PINJAM_APPLE_BUNDLE_ID": "example.pinjam.app",
    }


def _providers(sandbox: SandboxServers, secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        "PINJAM_EKYC_URL": sandbox.ekyc_url,
        "PINJAM_EKYC_APP_ID": secrets["ekyc_app_id"],
        "PINJAM_EKYC_API_KEY": secrets["ekyc_api_key"],
        "PINJAM_MIDTRANS_URL": sandbox.midtrans_url,
        "PINJAM_MIDTRANS_SERVER_KEY": secrets["midtrans_server_key"],
        "PINJAM_IRIS_URL": sandbox.iris_url,
        "PINJAM_IRIS_CREATOR_KEY": secrets["iris_creator_key"],
        "PINJAM_IRIS_APPROVER_KEY": secrets["iris_approver_key"],
        "PINJAM_IRIS_MERCHANT_KEY": secrets["iris_merchant_key"],
        "PINJAM_SMTP_HOST": "127.0.0.1",
        "PINJAM_SMTP_PORT": str(sandbox.mail.port),
        "PINJAM_SMTP_USER": _SMTP_USER,
        "PINJAM_SMTP_PASSWORD": secrets["smtp_password"],
        "PINJAM_SMTP_SENDER": _SENDER,
        "PINJAM_SMTP_STARTTLS": "false",
        "PINJAM_WHATSAPP_URL": sandbox.whatsapp_url,
        "PINJAM_WHATSAPP_PHONE_NUMBER_ID": _WHATSAPP_PHONE_NUMBER_ID,
        "PINJAM_WHATSAPP_TOKEN": secrets["whatsapp_token"],
        "PINJAM_WHATSAPP_APP_SECRET": secrets["whatsapp_app_secret"],
        "PINJAM_WHATSAPP_VERIFY_TOKEN": secrets["whatsapp_verify_token"],
        "PINJAM_SMS_PROVIDER": "zenziva",
        "PINJAM_ZENZIVA_URL": sandbox.zenziva_url,
        "PINJAM_ZENZIVA_USERKEY": secrets["zenziva_userkey"],
        "PINJAM_ZENZIVA_PASSKEY": secrets["zenziva_passkey"],
        "PINJAM_TWILIO_URL": sandbox.twilio_url,
        "PINJAM_TWILIO_ACCOUNT_SID": _TWILIO_ACCOUNT_SID,
        "PINJAM_TWILIO_AUTH_TOKEN": secrets["twilio_auth_token"],
        "PINJAM_TWILIO_SENDER": _TWILIO_SENDER,
        "PINJAM_FCM_URL": sandbox.fcm_url,
        "PINJAM_FCM_TOKEN": secrets["fcm_token"],
    }
