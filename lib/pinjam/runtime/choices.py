"""Which service stands behind which port: what each profile may choose, and what each choice needs.

A profile's first choice is taken where nothing is said; the gcp profile takes nothing for granted.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

Profile = Literal["local", "emulators", "gcp"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

EMULATOR_VARIABLES = (
    "FIREBASE_AUTH_EMULATOR_HOST",
    "FIRESTORE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
)

CHOICES: Mapping[str, Mapping[Profile, tuple[str, ...]]] = {
    "PINJAM_STORE": {
        "local": ("postgres",),
        "emulators": ("firestore", "postgres"),
        "gcp": ("postgres", "firestore"),
    },
    "PINJAM_OBJECTS": {"local": ("folder",), "emulators": ("gcs", "s3", "folder"), "gcp": ("gcs", "s3")},
    "PINJAM_KEYS": {"local": ("file",), "emulators": ("file",), "gcp": ("kms",)},
    "PINJAM_CACHE": {"local": ("memory", "redis"), "emulators": ("memory", "redis"), "gcp": ("redis", "memory")},
    "PINJAM_DATABASE_AUTH": {"local": ("password",), "emulators": ("password",), "gcp": ("password", "iam")},
    "PINJAM_LIMITS": {"local": ("strict", "relaxed"), "emulators": ("strict", "relaxed"), "gcp": ("strict",)},
}

_NEEDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("PINJAM_STORE", "postgres"): ("PINJAM_DATABASE_URL",),
    ("PINJAM_OBJECTS", "folder"): ("PINJAM_OBJECTS_PATH",),
    ("PINJAM_OBJECTS", "gcs"): ("PINJAM_BUCKET",),
    ("PINJAM_OBJECTS", "s3"): (
        "PINJAM_BUCKET",
        "PINJAM_S3_REGION",
        "PINJAM_S3_ACCESS_KEY",
        "PINJAM_S3_SECRET_KEY",
    ),
    ("PINJAM_KEYS", "file"): ("PINJAM_KEY_FILE",),
    ("PINJAM_KEYS", "kms"): ("PINJAM_KMS_KEY",),
    ("PINJAM_CACHE", "redis"): ("PINJAM_REDIS_URL",),
}
_EMULATOR_NEEDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("PINJAM_STORE", "firestore"): ("FIRESTORE_EMULATOR_HOST",),
    ("PINJAM_OBJECTS", "gcs"): ("STORAGE_EMULATOR_HOST",),
    ("PINJAM_OBJECTS", "s3"): ("PINJAM_S3_URL",),
}
"""Without these the adapters would go to the real services."""
_NOT_IN_GCP: Mapping[str, str] = {
    **dict.fromkeys(EMULATOR_VARIABLES, "does not run against emulators"),
    "PINJAM_CLOCK_FILE": "has the real date only",
    "PINJAM_IDENTITY_ADMIN_TOKEN": "asks Google for access tokens and takes none that is written down",
    "PINJAM_FCM_TOKEN": "asks Google for access tokens and takes none that is written down",
}


class SettingsError(Exception):
    """A setting is missing or wrong; the text names the variable and says what it must be."""


def profile_of(values: Mapping[str, str]) -> Profile:
    """The profile that PINJAM_PROFILE names, `local` where it is not set. SettingsError for any other."""
    named = values.get("PINJAM_PROFILE", "local")
    for profile in PROFILES:
        if named == profile:
            return profile
    raise SettingsError(f"PINJAM_PROFILE is {named!r}; it must be one of {', '.join(PROFILES)}")


def chosen(values: Mapping[str, str], name: str) -> str:
    """What is chosen for one of CHOICES. SettingsError for what the profile cannot have, or where gcp is not told."""
    profile = profile_of(values)
    allowed = CHOICES[name][profile]
    value = values.get(name)
    if not value:
        if profile == "gcp":
            raise SettingsError(f"{name} is not set; the gcp profile needs it to be one of {', '.join(allowed)}")
        return allowed[0]
    if value in allowed:
        return value
    known = {each for choices in CHOICES[name].values() for each in choices}
    if value not in known:
        raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
    raise SettingsError(f"{name} is {value!r}; the {profile} profile has {' or '.join(allowed)} only")


def refuse_wrong_choices(values: Mapping[str, str]) -> None:
    """SettingsError for a choice that the profile cannot have. What is not set is not refused."""
    for name in CHOICES:
        if values.get(name):
            chosen(values, name)


def refuse_wrong_combinations(values: Mapping[str, str]) -> None:
    """SettingsError for the first thing that is set and does not fit what else is set.

    What is not chosen is not refused here: a function is told of what it misses when it asks for it.
    """
    refuse_wrong_choices(values)
    for rule in (_unfit_for_gcp, _incomplete_choices, _contradictions):
        for complaint in rule(values):
            raise SettingsError(complaint)


def _unfit_for_gcp(values: Mapping[str, str]) -> Iterator[str]:
    if profile_of(values) != "gcp":
        return
    for name, reason in _NOT_IN_GCP.items():
        if values.get(name):
            yield f"{name} is set; the gcp profile {reason}"
    for name, value in values.items():
        if name.startswith("PINJAM_") and name.endswith("_URL") and value.startswith("http://"):
            yield f"{name} is a plain http address; in the gcp profile it must begin with https://"


def _incomplete_choices(values: Mapping[str, str]) -> Iterator[str]:
    tables = (_NEEDS, _EMULATOR_NEEDS) if profile_of(values) == "emulators" else (_NEEDS,)
    for table in tables:
        for (name, choice), needed in table.items():
            for each in needed:
                if values.get(name) == choice and not values.get(each):
                    yield f"{each} is not set; {name} is {choice!r} and needs it"


def _contradictions(values: Mapping[str, str]) -> Iterator[str]:
    if values.get("PINJAM_DATABASE_AUTH") == "iam" and values.get("PINJAM_STORE") == "firestore":
        yield "PINJAM_DATABASE_AUTH is 'iam'; that is for PINJAM_STORE=postgres, and the store is firestore"
