"""The database's schema, step by step. Run by a job and by the local system, never on the request path."""

from collections.abc import Collection
from typing import cast

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from pinjam.migrations.grants import grant

_LOCK = 0x70696E6A616D
"""PostgreSQL's advisory lock of whoever migrates: the bytes of the name "pinjam"."""


class CannotMigrate(Exception):
    """What the database holds cannot be brought to the next schema; the text says what to do."""


def migrate(url: str, *, users: Collection[str] = (), password: str | None = None) -> None:
    """Bring the database at a psycopg URL to the newest schema; harmless when it is there already.

    `users` are those who may then work with its rows, and no one else (`grants`); none where all is the owner's own.
    `password` stands in for that of the URL. All steps run in one transaction, and a second process that migrates at
    the same time waits for the first. CannotMigrate, and nothing done, if a step refuses.
    """
    config = Config()
    config.set_main_option("script_location", "pinjam:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url, password=password), poolclass=NullPool
    )
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if users:
            grant(cast("psycopg.Connection", connection.connection.driver_connection), users)
