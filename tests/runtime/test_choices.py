"""Combinations of settings: what cannot be meant is refused before anything starts, and the text names the variable."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from tests.runtime.test_settings import COMPLETE

from pinjam.runtime.choices import CHOICES, EMULATOR_VARIABLES, PROFILES, refuse_wrong_choices
from pinjam.runtime.settings import Settings, SettingsError

NOWHERE = {"PINJAM_STATE": "/nonexistent/pinjam-tests"}
LOCAL: Mapping[str, str] = {
    **NOWHERE,
    "PINJAM_PROFILE": "local",
    "PINJAM_STORE": "postgres",
    "PINJAM_DATABASE_URL": "postgresql:///",
    "PINJAM_OBJECTS": "folder",
    "PINJAM_OBJECTS_PATH": "objects",
    "PINJAM_KEYS": "file",
    "PINJAM_KEY_FILE": "keys.json",
    "PINJAM_CACHE": "memory",
}
EMULATORS: Mapping[str, str] = {
    **LOCAL,
    "PINJAM_PROFILE": "emulators",
    "PINJAM_STORE": "firestore",
    "PINJAM_OBJECTS": "gcs",
    "PINJAM_BUCKET": "documents",
    **dict.fromkeys(EMULATOR_VARIABLES, "127.0.0.1:1"),
}
S3 = {
    "PINJAM_OBJECTS": "s3",
    "PINJAM_S3_URL": "http://127.0.0.1:9000",
    "PINJAM_S3_REGION": "ap-southeast-3",
    "PINJAM_S3_ACCESS_KEY": "access",
    "PINJAM_S3_SECRET_KEY": "secret",
}
FIRESTORE = {"PINJAM_STORE": "firestore", "PINJAM_DATABASE_AUTH": "password"}


@dataclass(frozen=True)
class Wrong:
    """A good environment with something changed, and how the refusal begins."""

    of: Mapping[str, str]
    change: Mapping[str, str]
    text: str


WRONG: Mapping[str, Wrong] = {
    "the local profile has no Firestore": Wrong(
        LOCAL, {"PINJAM_STORE": "firestore"}, "PINJAM_STORE is 'firestore'; the local profile has postgres only"
    ),
    "the local profile has no Cloud Storage": Wrong(
        LOCAL, {"PINJAM_OBJECTS": "gcs"}, "PINJAM_OBJECTS is 'gcs'; the local profile has folder only"
    ),
    "the local profile has no S3": Wrong(LOCAL, S3, "PINJAM_OBJECTS is 's3'; the local profile has folder only"),
    "the local profile has no Cloud KMS": Wrong(
        LOCAL, {"PINJAM_KEYS": "kms"}, "PINJAM_KEYS is 'kms'; the local profile has file only"
    ),
    "the local profile has no IAM for its database": Wrong(
        LOCAL, {"PINJAM_DATABASE_AUTH": "iam"}, "PINJAM_DATABASE_AUTH is 'iam'; the local profile has password only"
    ),
    "the emulators profile has no Cloud KMS": Wrong(
        EMULATORS, {"PINJAM_KEYS": "kms"}, "PINJAM_KEYS is 'kms'; the emulators profile has file only"
    ),
    "the emulators profile has no IAM for its database": Wrong(
        EMULATORS, {"PINJAM_DATABASE_AUTH": "iam"}, "PINJAM_DATABASE_AUTH is 'iam'; the emulators profile has"
    ),
    "a store is one that is known": Wrong(
        LOCAL, {"PINJAM_STORE": "mysql"}, "PINJAM_STORE is 'mysql'; it must be one of postgres"
    ),
    "an object store is one that is known": Wrong(
        EMULATORS, {"PINJAM_OBJECTS": "minio"}, "PINJAM_OBJECTS is 'minio'; it must be one of gcs, s3, folder"
    ),
    "a cache is one that is known": Wrong(
        LOCAL, {"PINJAM_CACHE": "memcached"}, "PINJAM_CACHE is 'memcached'; it must be one of memory, redis"
    ),
    "a table of limits is one that is known": Wrong(
        LOCAL, {"PINJAM_LIMITS": "none"}, "PINJAM_LIMITS is 'none'; it must be one of strict, relaxed"
    ),
    "PostgreSQL needs its address": Wrong(
        LOCAL, {"PINJAM_DATABASE_URL": ""}, "PINJAM_DATABASE_URL is not set; PINJAM_STORE is 'postgres'"
    ),
    "Firestore among emulators needs the emulator": Wrong(
        EMULATORS, {"FIRESTORE_EMULATOR_HOST": ""}, "FIRESTORE_EMULATOR_HOST is not set; PINJAM_STORE is 'firestore'"
    ),
    "Cloud Storage among emulators needs the emulator": Wrong(
        EMULATORS, {"STORAGE_EMULATOR_HOST": ""}, "STORAGE_EMULATOR_HOST is not set; PINJAM_OBJECTS is 'gcs'"
    ),
    "Cloud Storage needs a bucket": Wrong(
        EMULATORS, {"PINJAM_BUCKET": ""}, "PINJAM_BUCKET is not set; PINJAM_OBJECTS is 'gcs'"
    ),
    "S3 among emulators needs an address that is not Amazon's": Wrong(
        EMULATORS, {**S3, "PINJAM_S3_URL": ""}, "PINJAM_S3_URL is not set; PINJAM_OBJECTS is 's3'"
    ),
    "S3 needs a bucket": Wrong(
        EMULATORS, {**S3, "PINJAM_BUCKET": ""}, "PINJAM_BUCKET is not set; PINJAM_OBJECTS is 's3'"
    ),
    "S3 needs a region": Wrong(
        EMULATORS, {**S3, "PINJAM_S3_REGION": ""}, "PINJAM_S3_REGION is not set; PINJAM_OBJECTS is 's3'"
    ),
    "S3 needs an access key": Wrong(
        COMPLETE, {**S3, "PINJAM_S3_URL": "", "PINJAM_S3_ACCESS_KEY": ""}, "PINJAM_S3_ACCESS_KEY is not set;"
    ),
    "S3 needs a secret key": Wrong(
        COMPLETE, {**S3, "PINJAM_S3_URL": "", "PINJAM_S3_SECRET_KEY": ""}, "PINJAM_S3_SECRET_KEY is not set;"
    ),
    "a folder of documents needs its path": Wrong(
        LOCAL, {"PINJAM_OBJECTS_PATH": ""}, "PINJAM_OBJECTS_PATH is not set; PINJAM_OBJECTS is 'folder'"
    ),
    "a key file needs its path": Wrong(
        LOCAL, {"PINJAM_KEY_FILE": ""}, "PINJAM_KEY_FILE is not set; PINJAM_KEYS is 'file'"
    ),
    "Cloud KMS needs a key": Wrong(COMPLETE, {"PINJAM_KMS_KEY": ""}, "PINJAM_KMS_KEY is not set; PINJAM_KEYS is 'kms'"),
    "Redis needs its address": Wrong(
        LOCAL, {"PINJAM_CACHE": "redis"}, "PINJAM_REDIS_URL is not set; PINJAM_CACHE is 'redis'"
    ),
    "IAM is for PostgreSQL": Wrong(
        COMPLETE, {"PINJAM_STORE": "firestore"}, "PINJAM_DATABASE_AUTH is 'iam'; that is for PINJAM_STORE=postgres"
    ),
    "gcp keeps no documents in a folder": Wrong(
        COMPLETE, {"PINJAM_OBJECTS": "folder"}, "PINJAM_OBJECTS is 'folder'; the gcp profile has gcs or s3 only"
    ),
    "gcp keeps no keys in a file": Wrong(
        COMPLETE, {"PINJAM_KEYS": "file"}, "PINJAM_KEYS is 'file'; the gcp profile has kms only"
    ),
    "gcp has strict limits": Wrong(
        COMPLETE, {"PINJAM_LIMITS": "relaxed"}, "PINJAM_LIMITS is 'relaxed'; the gcp profile has strict only"
    ),
    "gcp has the real date": Wrong(
        COMPLETE, {"PINJAM_CLOCK_FILE": "clock.json"}, "PINJAM_CLOCK_FILE is set; the gcp profile has the real date"
    ),
    "gcp takes no token for accounts": Wrong(
        COMPLETE,
        {"PINJAM_IDENTITY_ADMIN_TOKEN": "x"},
        "PINJAM_IDENTITY_ADMIN_TOKEN is set; the gcp profile asks Google",
    ),
    "gcp takes no token for push messages": Wrong(
        COMPLETE, {"PINJAM_FCM_TOKEN": "x"}, "PINJAM_FCM_TOKEN is set; the gcp profile asks Google for access tokens"
    ),
    "gcp speaks TLS to a provider": Wrong(
        COMPLETE, {"PINJAM_EKYC_URL": "http://ekyc.example"}, "PINJAM_EKYC_URL is a plain http address; in the gcp"
    ),
    "gcp speaks TLS to an S3 service": Wrong(
        COMPLETE, {**S3}, "PINJAM_S3_URL is a plain http address; in the gcp profile it must begin with https://"
    ),
    **{
        f"gcp does not run against {name}": Wrong(
            COMPLETE, {name: "localhost:9099"}, f"{name} is set; the gcp profile does not run against emulators"
        )
        for name in EMULATOR_VARIABLES
    },
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_a_combination_that_cannot_be_meant_is_refused(wrong: Wrong) -> None:
    Settings.read(wrong.of)
    with pytest.raises(SettingsError) as refusal:
        Settings.read({**wrong.of, **wrong.change})
    assert str(refusal.value).startswith(wrong.text)


RIGHT: Mapping[str, Mapping[str, str]] = {
    "gcp on Firestore": {**COMPLETE, **FIRESTORE},
    "gcp on MinIO": {**COMPLETE, **S3, "PINJAM_S3_URL": "https://minio.example"},
    "gcp on Amazon's S3": {**COMPLETE, **S3, "PINJAM_S3_URL": ""},
    "gcp without Redis": {**COMPLETE, "PINJAM_CACHE": "memory", "PINJAM_REDIS_URL": ""},
    "gcp with a password for its database": {**COMPLETE, "PINJAM_DATABASE_AUTH": "password"},
    "gcp beside empty variables of emulators": {**COMPLETE, **dict.fromkeys(EMULATOR_VARIABLES, "")},
    "emulators with PostgreSQL": {**EMULATORS, "PINJAM_STORE": "postgres", "FIRESTORE_EMULATOR_HOST": ""},
    "emulators with an S3 server": {**EMULATORS, **S3, "STORAGE_EMULATOR_HOST": ""},
    "emulators with a folder": {**EMULATORS, "PINJAM_OBJECTS": "folder", "STORAGE_EMULATOR_HOST": ""},
    "local beside variables of emulators": {**LOCAL, **dict.fromkeys(EMULATOR_VARIABLES, "127.0.0.1:1")},
    "local with Redis and relaxed limits": {
        **LOCAL,
        "PINJAM_CACHE": "redis",
        "PINJAM_REDIS_URL": "redis://127.0.0.1",
        "PINJAM_LIMITS": "relaxed",
    },
}


@pytest.mark.parametrize("values", RIGHT.values(), ids=list(RIGHT))
def test_a_combination_that_fits_is_read(values: Mapping[str, str]) -> None:
    assert Settings.read(values).profile == values["PINJAM_PROFILE"]


def test_a_choice_is_checked_before_there_are_addresses() -> None:
    """As a system does that is about to start what the choice needs."""
    refuse_wrong_choices({"PINJAM_PROFILE": "emulators", "PINJAM_STORE": "firestore", "PINJAM_OBJECTS": "s3"})
    with pytest.raises(SettingsError, match=r"^PINJAM_STORE is 'firestore'; the local profile has postgres only"):
        refuse_wrong_choices({"PINJAM_STORE": "firestore"})


def test_every_choice_has_an_answer_in_every_profile() -> None:
    for name, profiles in CHOICES.items():
        assert set(profiles) == set(PROFILES), name
        assert all(profiles.values()), name
