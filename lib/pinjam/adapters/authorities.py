"""The authorities whose word is taken for who a server is."""

import ssl
from functools import cache
from pathlib import Path


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Whom a client believes over TLS: the public authorities. All clients share them."""
    return authorities_in(Path(ssl.get_default_verify_paths().openssl_capath))


def authorities_in(folder: Path) -> ssl.SSLContext:
    """The authorities that a system keeps in a folder, each in a file named by the hash of its subject.

    A handshake reads the one that it needs, where the list that httpx brings is read as a whole, for 20 ms of a start.
    That list is believed where the system keeps no such folder.
    """
    if any(folder.glob("*.0")):
        return ssl.create_default_context(capath=str(folder))
    import httpx

    return httpx.create_ssl_context(trust_env=False)
