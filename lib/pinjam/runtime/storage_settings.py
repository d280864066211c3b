"""The settings of what is kept: records, documents' bytes, keys, and what is kept for a while."""

import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pinjam.runtime.choices import SettingsError
from pinjam.runtime.variables import Variables

_KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")


class Database(NamedTuple):
    """PostgreSQL. `pool_size` is the most connections of one instance; with `iam` the password is an access token.

    `application_name` is the function's, which its server shows of each connection.
    """

    url: str
    pool_size: int
    iam: bool
    application_name: str


class Firestore(NamedTuple):
    """Firestore, or its emulator."""

    project: str
    database: str
    url: str


class CloudStorage(NamedTuple):
    """A bucket of Cloud Storage, or of its emulator."""

    bucket: str
    url: str


class S3(NamedTuple):
    """A bucket of an S3 service. `url` is that of MinIO or another service; None for Amazon's."""

    bucket: str
    url: str | None
    region: str
    access_key: str
    secret_key: str


class StorageSettings(Variables):
    """Which store, and where it is: `store`, `objects`, `keys` and `cache` say which of the groups counts."""

    @property
    def store(self) -> str:
        """Where records are: `postgres` or `firestore`."""
        return self._choice("PINJAM_STORE")

    @property
    def objects(self) -> str:
        """Where documents' bytes are: `folder`, `gcs` or `s3`."""
        return self._choice("PINJAM_OBJECTS")

    @property
    def keys(self) -> str:
        """What wraps the borrowers' keys: `file` or `kms`."""
        return self._choice("PINJAM_KEYS")

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is."""
        return self._text("PINJAM_DATABASE_URL")

    @cached_property
    def database(self) -> Database:
        """PostgreSQL."""
        return Database(
            url=self.database_url,
            pool_size=self._number("PINJAM_DATABASE_POOL", "4"),
            iam=self._choice("PINJAM_DATABASE_AUTH") == "iam",
            application_name=self.values.get("K_SERVICE") or "pinjam",  # Cloud Run's variable
        )

    @cached_property
    def firestore(self) -> Firestore:
        """Firestore."""
        return Firestore(
            project=self.project,
            database=self._text_or("PINJAM_FIRESTORE_DATABASE", "(default)"),
            url=self._service("firestore", "FIRESTORE_EMULATOR_HOST"),
        )

    @property
    def objects_path(self) -> Path:
        """The folder of documents' bytes."""
        return Path(self._text("PINJAM_OBJECTS_PATH"))

    @cached_property
    def cloud_storage(self) -> CloudStorage:
        """The bucket of documents' bytes in Cloud Storage."""
        return CloudStorage(bucket=self._text("PINJAM_BUCKET"), url=self._service("storage", "STORAGE_EMULATOR_HOST"))

    @cached_property
    def s3(self) -> S3:
        """The bucket of documents' bytes in S3 or MinIO."""
        return S3(
            bucket=self._text("PINJAM_BUCKET"),
            url=self.values.get("PINJAM_S3_URL") or None,
            region=self._text("PINJAM_S3_REGION"),
            access_key=self._text("PINJAM_S3_ACCESS_KEY"),
            secret_key=self._text("PINJAM_S3_SECRET_KEY"),
        )

    @property
    def key_file(self) -> Path:
        """The file of the keys that wrap the borrowers' keys."""
        return Path(self._text("PINJAM_KEY_FILE"))

    @property
    def kms_key(self) -> str:
        """The key in Cloud KMS that wraps the borrowers' keys."""
        name = self._text("PINJAM_KMS_KEY")
        if not _KMS_KEY.fullmatch(name):
            raise SettingsError(f"PINJAM_KMS_KEY is {name!r}; it must be {_KMS_KEY.pattern.replace('[^/]+', '...')}")
        return name

    @property
    def redis_url(self) -> str | None:
        """Where the cache is that all instances share; None where each has its own, as in the local profile."""
        return self._text("PINJAM_REDIS_URL") if self._choice("PINJAM_CACHE") == "redis" else None
