"""Whose word is taken over TLS, with a real server and a real handshake."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from OpenSSL.crypto import X509
from tests.certificates import self_signed

from pinjam.adapters.authorities import authorities_in


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "certificate.pem")


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[str]:
    """A server that answers over TLS, with a certificate that no public authority knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as safe:
                safe.recv(10_000)
                safe.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def kept(certificate: Path, folder: Path) -> Path:
    """A folder that holds a certificate as a system keeps it."""
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    folder.mkdir()
    named = f"{X509.from_cryptography(read).subject_name_hash():08x}.0"
    (folder / named).write_bytes(certificate.read_bytes())
    return folder


def test_a_server_is_believed_whose_authority_the_system_keeps_in_a_file_of_its_own(
    encrypted: str, certificate: Path, tmp_path: Path
) -> None:
    folder = kept(certificate, tmp_path / "certs")
    with httpx.Client(verify=authorities_in(folder), trust_env=False, timeout=5) as client:
        assert client.get(encrypted).status_code == 204


@pytest.mark.parametrize("system", ["has no such folder", "keeps another of that name"])
def test_a_server_is_not_believed_whose_authority_nobody_knows(encrypted: str, tmp_path: Path, system: str) -> None:
    folder = tmp_path / "certs"
    if system == "keeps another of that name":
        kept(self_signed(tmp_path / "other.pem"), folder)
    with (
        httpx.Client(verify=authorities_in(folder), trust_env=False, timeout=5) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get(encrypted)


def test_the_authorities_of_the_library_are_believed_where_the_system_has_no_such_folder(tmp_path: Path) -> None:
    assert len(authorities_in(tmp_path / "none").get_ca_certs()) > 50
