"""The steps, oldest first. Alembic loads them by path."""
