"""The settings of passkeys: the domain, and the sites and apps that share them."""

import re
from typing import NamedTuple

ORIGIN = re.compile(r"https://[^/]+|http://localhost(:\d+)?|android:apk-key-hash:[A-Za-z0-9_-]{43}")
"""What asks for a passkey: a web page of ours (iOS apps speak as one), or an Android app by its certificate's hash."""
FINGERPRINT = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}")
"""SHA-256 of an Android app's certificate."""


class WebAuthn(NamedTuple):
    """Passkeys: the domain that they belong to, and the web origins and apps that may ask for them."""

    rp_id: str
    origins: tuple[str, ...]


class Apps(NamedTuple):
    """The mobile apps that share passkeys with our domain."""

    android_package: str
    android_fingerprints: tuple[str, ...]
    apple_team_id: str
    apple_bundle_id: str
