"""What each cache does beyond the contract: forgetting, bounds, and standing in for one that is down."""

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pinjam.adapters.memory_cache import MemoryCache
from pinjam.adapters.redis_cache import AVOID_S, RedisCache, SparedCache
from pinjam.services.ports import Unavailable

BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)


@dataclass
class Hand:
    """A clock that is moved by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_process_forgets_in_time() -> None:
    now = Hand()
    cache = MemoryCache(now)
    cache.swap("k", None, "1", keep_s=60)
    now.seconds = 59.9
    assert cache.get("k") == "1"
    now.seconds = 60
    assert cache.get("k") is None
    assert cache.swap("k", None, "2", keep_s=60)


def test_the_process_keeps_only_so_much_and_forgets_first_what_nobody_asked_for() -> None:
    cache = MemoryCache(Hand(), most=3)
    for name in "abc":
        cache.swap(name, None, name, keep_s=60)
    cache.get("a")
    cache.swap("d", None, "d", keep_s=60)
    assert [cache.get(name) for name in "abcd"] == ["a", None, "c", "d"]


def test_a_redis_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Bound, so that nobody else takes it, but not listening.
        cache = RedisCache(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(Unavailable):
            cache.get("k")
        with pytest.raises(Unavailable):
            cache.swap("k", None, "1", keep_s=60)
        cache.close()


def test_a_redis_that_does_not_answer_is_unavailable_soon() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(Unavailable):
            cache.get("k")
        cache.close()


@pytest.fixture
def memorystore(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """As Memorystore is with TLS and AUTH: a certificate that names nobody, of an authority of the instance's own.

    It answers one client at a time: the password with OK, and all else with nil. Its port and its authority are given.
    """
    authority, chain = _certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=_serve, args=(listening, context))
        serving.start()
        yield listening.getsockname()[1], authority
        listening.shutdown(socket.SHUT_RDWR)
    serving.join(10)


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            allowed = False
            while asked := secured.recv(4096):
                # Every command of a client that has not shown its password yet is refused.
                for command in asked.split(b"*")[1:]:
                    allowed = allowed or (b"AUTH" in command and b"open sesame" in command)
                    told = b"+OK" if b"AUTH" in command or b"CLIENT" in command else b"$-1"
                    secured.sendall((told if allowed else b"-NOAUTH Authentication required.") + b"\r\n")


def _certificates(folder: Path) -> tuple[str, Path]:
    """An authority's certificate, and a file with the certificate and key of a server of its."""
    key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an instance's own authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an instance")])
    common = x509.CertificateBuilder().issuer_name(issuer).not_valid_before(BEGIN).not_valid_after(END)
    root = common.subject_name(issuer).serial_number(1).public_key(key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    leaf = common.subject_name(subject).serial_number(2).public_key(own.public_key())
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    chain = folder / "server.pem"
    chain.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return root.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), chain


def secured_url(port: int, authorities: str, password: str = "open sesame") -> str:
    """As terraform/redis.tf makes it."""
    trust = f"ssl_check_hostname=false&ssl_ca_data={quote(authorities, safe='')}"
    return f"rediss://:{quote(password, safe='')}@127.0.0.1:{port}/0?{trust}"


def test_a_redis_with_tls_and_a_password_is_asked_by_its_url_alone(
    memorystore: tuple[int, str], tmp_path: Path
) -> None:
    port, authority = memorystore
    # Two stand there while one replaces the other.
    other, _ = _certificates(tmp_path)
    cache = RedisCache(secured_url(port, f"{other}\n{authority}"), timeout_s=10)
    assert cache.get("k") is None
    cache.close()


def test_a_redis_of_another_authority_or_without_its_password_is_unavailable(
    memorystore: tuple[int, str], tmp_path: Path
) -> None:
    port, authority = memorystore
    stranger, _ = _certificates(tmp_path)
    for url in (secured_url(port, stranger), secured_url(port, authority, "guess"), f"redis://127.0.0.1:{port}"):
        cache = RedisCache(url, timeout_s=10)
        with pytest.raises(Unavailable):
            cache.get("k")
        cache.close()


class Shaky(MemoryCache):
    """A shared cache that can be down."""

    down = False
    asked = 0

    def get(self, key: str) -> str | None:
        self.asked += 1
        if self.down:
            raise Unavailable("cache", "down")
        return super().get(key)


def test_while_the_shared_cache_is_down_the_processs_own_stands_in(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = Hand()
    shared, own = Shaky(now), MemoryCache(now)
    cache = SparedCache(shared, own, now)
    cache.swap("k", None, "shared", keep_s=60)
    assert (cache.get("k"), own.get("k")) == ("shared", None)

    shared.down = True
    assert cache.get("k") is None
    assert cache.swap("k", None, "own", keep_s=60)
    assert cache.get("k") == "own"
    # One that did not answer is left alone for a while, and told of once.
    assert shared.asked == 2
    assert [record.message for record in caplog.records] == ["cache-unavailable"]

    now.seconds = AVOID_S
    assert cache.get("k") == "own"
    assert shared.asked == 3
    shared.down = False
    now.seconds = 2 * AVOID_S
    assert cache.get("k") == "shared"
