"""Documents' bytes in S3, or in a service that speaks it, such as MinIO. boto3 is loaded on first use."""

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import retry_after_s
from pinjam.adapters.object_rules import MAX_OBJECT_BYTES, SERVICE, checked_key, checked_type, sha256_of, unchanged
from pinjam.services.ports import ObjectExists

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3 import S3Client


class S3Objects:
    """ObjectStore in one bucket, at `url`, or at AWS's own address in `region` where it is None.

    The keys may read, write, delete and list objects: who may not list is told 403 of an object that is not there.
    `timeout_s` bounds connecting and each wait. Nothing is tried twice here: whoever asked does that.
    """

    def __init__(
        self, *, bucket: str, url: str | None, region: str, access_key: str, secret_key: str, timeout_s: float = 20
    ) -> None:
        self._bucket = bucket
        self._url = url
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._timeout_s = timeout_s

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store the bytes if the key is free; S3 refuses what does not arrive whole, by its MD5."""
        sha256 = sha256_of(content)
        checked_key(key)
        checked_type(content_type)
        with _failures():
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=content,
                    ContentType=content_type,
                    ContentMD5=base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
                    IfNoneMatch="*",
                    Metadata={"sha256": sha256},
                )
            except self._client.exceptions.ClientError as refusal:
                if _code(refusal) != "PreconditionFailed":
                    raise
            else:
                return
            kept = self._client.head_object(Bucket=self._bucket, Key=key)
        if _kept_sha256(kept["Metadata"]) != sha256:
            raise ObjectExists(key)

    def get(self, key: str) -> bytes:
        """The bytes; LookupError if there are none, ObjectCorrupted if they are not those that were put."""
        checked_key(key)
        with _failures():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=key)
            except self._client.exceptions.NoSuchKey as error:
                raise LookupError(key) from error
            with contextlib.closing(found["Body"]) as body:
                if found["ContentLength"] > MAX_OBJECT_BYTES:
                    raise unavailable(SERVICE, "answered more than any object of its own")
                content = body.read()
        return unchanged(key, content, sha256=_kept_sha256(found["Metadata"]))

    def delete(self, key: str) -> None:
        """Remove the bytes, if any."""
        checked_key(key)
        with _failures():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    @cached_property
    def _client(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        # All is told here, so that no variable or file of this machine's AWS tools has a say.
        return boto3.Session(region_name=self._region).client(
            "s3",
            endpoint_url=self._url,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            config=Config(
                connect_timeout=self._timeout_s,
                read_timeout=self._timeout_s,
                retries={"mode": "standard", "total_max_attempts": 1},
                # MinIO has one name for all buckets; AWS takes the path style too.
                s3={"addressing_style": "path"},
                # The MD5 above is what every S3 checks; the checksums that are newer some do not know.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # its published types lag behind
                proxies={},
            ),
        )


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """What boto3 raises, as Unavailable."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as refusal:
        answer = refusal.response["ResponseMetadata"]
        said = f"{_code(refusal)} {refusal.response['Error'].get('Message', '')}".rstrip()
        hint = answer["HTTPHeaders"].get("retry-after", "")
        raise unavailable(SERVICE, f"answered {answer['HTTPStatusCode']}: {said}", retry_after_s(hint)) from refusal
    except BotoCoreError as error:
        raise unavailable(SERVICE, type(error).__name__) from error


def _code(refusal: "ClientError") -> str:
    return refusal.response["Error"].get("Code", "")


def _kept_sha256(metadata: Mapping[str, str]) -> str | None:
    # Metadata are headers: AWS gives their names back in small letters, MinIO with capitals.
    return {name.lower(): value for name, value in metadata.items()}.get("sha256")
