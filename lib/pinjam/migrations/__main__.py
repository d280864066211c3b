"""`python -m pinjam.migrations`: migrate the database that PINJAM_DATABASE_URL names.

PINJAM_DATABASE_USERS are the users, separated by commas, that may then work with its rows. Where PINJAM_DATABASE_AUTH
is `iam`, an access token of Google's is the password.
"""

import os
import sys
from collections.abc import Mapping

from pinjam.adapters.google_tokens import GoogleTokens
from pinjam.migrations import CannotMigrate, migrate
from pinjam.services.ports import Unavailable


def main(environment: Mapping[str, str]) -> int:
    """Migrate, or say what is missing; 0 once the database is at the newest schema."""
    url = environment.get("PINJAM_DATABASE_URL")
    if not url:
        return _refuse("Set PINJAM_DATABASE_URL to the database to migrate, such as postgresql://user@host/pinjam")
    users = [part.strip() for part in environment.get("PINJAM_DATABASE_USERS", "").split(",") if part.strip()]
    try:
        password = GoogleTokens()() if environment.get("PINJAM_DATABASE_AUTH") == "iam" else None
        migrate(url, users=users, password=password)
    except (CannotMigrate, Unavailable) as fault:
        return _refuse(str(fault))
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"pinjam.migrations: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
