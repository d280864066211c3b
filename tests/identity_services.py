"""The identity services that the adapter for Firebase Auth is held against: the local one, and Firebase's emulator."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from argon2 import PasswordHasher
from psycopg_pool import ConnectionPool

from pinjam.adapters.firebase_auth import FirebaseAccounts
from pinjam.adapters.id_tokens import FirebaseTokenVerifier
from pinjam.local.emulators.auth import OWNER, AuthEmulator
from pinjam.local.emulators.forgeable_tokens import BelievesForgeableTokens
from pinjam.local.identity import JWKS_PATH, create_identity, service_account
from pinjam.local.servers import WsgiServer
from pinjam.services.ports import TokenVerifier

PROJECT = "pinjam-test"


@dataclass
class IdentityService:
    """The adapter at a running service, and the verifier that believes its tokens."""

    accounts: FirebaseAccounts
    verifier: TokenVerifier


@contextmanager
def local_service(database_url: str, folder: Path) -> Iterator[IdentityService]:
    """The local identity server with no accounts, its keys in `folder`."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS local_identity CASCADE")
    with ConnectionPool(database_url, min_size=1, max_size=4, open=True) as pool:
        app = create_identity(
            pool,
            key_file=folder / "key.pem",
            project=PROJECT,
            api_key="a-key",
            admin_token="an-admin",
            hasher=PasswordHasher(time_cost=1, memory_cost=64, parallelism=1),
        )
        with WsgiServer(app) as server:
            accounts = FirebaseAccounts(
                project=PROJECT,
                identity_url=server.url,
                token_url=server.url,
                iam_url=server.url,
                signer=service_account(PROJECT),
                api_key="a-key",
                admin_token=lambda: "an-admin",
            )
            yield IdentityService(accounts, FirebaseTokenVerifier(project=PROJECT, jwks_url=server.url + JWKS_PATH))
            accounts.close()


@contextmanager
def emulated_service(emulator: AuthEmulator) -> Iterator[IdentityService]:
    """Firebase's emulator, with the accounts that other tests left there."""
    accounts = FirebaseAccounts(
        project=PROJECT,
        identity_url=emulator.identity_url,
        token_url=emulator.token_url,
        iam_url=None,
        signer=service_account(PROJECT),
        api_key="any",
        admin_token=lambda: OWNER,
    )
    yield IdentityService(accounts, BelievesForgeableTokens(project=PROJECT))
    accounts.close()
