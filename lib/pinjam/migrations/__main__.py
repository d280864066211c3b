"""`python -m pinjam.migrations`: migrate the database that PINJAM_DATABASE_URL names."""

import os
import sys

from pinjam.migrations import migrate


def main() -> None:
    """Migrate, or say what is missing."""
    url = os.environ.get("PINJAM_DATABASE_URL")
    if not url:
        sys.exit("Set PINJAM_DATABASE_URL to the database to migrate, such as postgresql://user@host/pinjam")
    migrate(url)


if __name__ == "__main__":
    main()
