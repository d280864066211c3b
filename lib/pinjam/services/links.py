"""Addresses that give a document to whoever holds them, for a while."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pinjam.services.errors import Forbidden

if TYPE_CHECKING:
    from pinjam.services.ports import Clock

LIFE = timedelta(minutes=5)
PATH = "/api/documents/{id}/content"


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and checks them. `base_url` is the API's as the outside knows it, `key` signs."""

    base_url: str
    key: bytes = field(repr=False)
    clock: Clock

    def to(self, document_id: str) -> str:
        """An address for five minutes."""
        expires = int((self.clock.now() + LIFE).timestamp())
        query = urlencode({"expires": expires, "signature": self._signature(document_id, expires)})
        return f"{self.base_url.rstrip('/')}{PATH.format(id=document_id)}?{query}"

    def check(self, document_id: str, *, expires: int, signature: str) -> None:
        """Forbidden `link-not-valid` unless the address is one of ours, and has not expired."""
        genuine = hmac.compare_digest(self._signature(document_id, expires).encode(), signature.encode())
        if not genuine or self.clock.now().timestamp() >= expires:
            raise Forbidden("link-not-valid")

    def _signature(self, document_id: str, expires: int) -> str:
        # An id has no line break, so that nothing else reads the same.
        return hmac.new(self.key, f"{document_id}\n{expires}".encode(), hashlib.sha256).hexdigest()
