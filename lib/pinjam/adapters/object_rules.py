"""What all object stores hold to: which keys and content types there are, and the hash kept beside the bytes."""

import hashlib
import re

from pinjam.services.ports import ObjectCorrupted

SERVICE = "objects"

MAX_OBJECT_BYTES = 40_000_000
"""What a store may answer with; API Gateway takes no body above 32 MB, and sealing adds little."""

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_KEY_CHARS = 512
_CONTENT_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")


def checked_key(key: str) -> str:
    """The key, made of plain segments joined by `/`. ValueError for any other."""
    if len(key) > _MAX_KEY_CHARS or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise ValueError("not a key of plain segments")
    return key


def checked_type(content_type: str) -> str:
    """The content type, without parameters. ValueError for what is none."""
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValueError("not a content type")
    return content_type


def sha256_of(content: bytes) -> str:
    """The SHA-256 that is kept beside the bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def unchanged(key: str, content: bytes, *, sha256: str | None) -> bytes:
    """The bytes, if the hash kept beside them is theirs. ObjectCorrupted if it is not, or if none is kept."""
    if sha256_of(content) != sha256:
        raise ObjectCorrupted(key)
    return content
