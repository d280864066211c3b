"""The database's schema, step by step. Run by a job and by the local system, never on the request path."""

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

_LOCK = 0x70696E6A616D
"""PostgreSQL's advisory lock of whoever migrates: the bytes of the name "pinjam"."""


class CannotMigrate(Exception):
    """What the database holds cannot be brought to the next schema; the text says what to do."""


def migrate(url: str) -> None:
    """Bring the database at a psycopg URL to the newest schema; harmless when it is there already.

    All steps run in one transaction, and a second process that migrates at the same time waits for the first.
    CannotMigrate, and nothing done, if a step refuses.
    """
    config = Config()
    config.set_main_option("script_location", "pinjam:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
