"""What a system's store holds, for tests that look behind the API; the same whichever store it is."""

from contextlib import ExitStack, closing

from pinjam.adapters.firestore import FirestoreStore
from pinjam.local.system import LocalSystem
from pinjam.services.store import Find, R, Scalar, Store, each

_PAGE = 200


def records(system: LocalSystem, kind: type[R], **where: Scalar) -> list[R]:
    """All records of a kind that have these values, in the order of their ids."""
    with ExitStack() as opened:
        store: Store = system.app.store
        if isinstance(store, FirestoreStore):
            # The system's own refuses what has no declared index; a test may ask for what no code of ours asks for.
            found = system.app.settings.firestore
            store = opened.enter_context(
                closing(FirestoreStore(project=found.project, database=found.database, url=found.url))
            )
        return list(each(store, Find(kind=kind, where=where, limit=_PAGE)))
