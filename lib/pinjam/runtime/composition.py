"""The composition root: the use cases, over one set of adapters.

Each is made when it is first asked for and then kept; what it needs is imported then. The module is long because it is
one table, a few lines for each use case; splitting it would hide what hangs on what.
"""

import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from pinjam.runtime.adapters import Adapters
from pinjam.runtime.settings import Settings
from pinjam.services.recording import Outbox, Recorder

if TYPE_CHECKING:
    from pinjam.services.alerting import Alerting
    from pinjam.services.books import Books
    from pinjam.services.challenges import Challenges
    from pinjam.services.checking import Checking
    from pinjam.services.code_mail import CodeMail
    from pinjam.services.collecting import Collecting
    from pinjam.services.contracts import Contracts
    from pinjam.services.deciding import Deciding
    from pinjam.services.delivering import Delivering
    from pinjam.services.devices import Devices
    from pinjam.services.documents import Documents
    from pinjam.services.erasing import Erasing
    from pinjam.services.exporting import Exporting
    from pinjam.services.forgetting import Forgetting
    from pinjam.services.lending import Lending
    from pinjam.services.limits import Limits
    from pinjam.services.links import Links
    from pinjam.services.notices import Notices
    from pinjam.services.notifying import Notifying
    from pinjam.services.passkey_login import PasskeyLogin
    from pinjam.services.passkeys import Passkeys
    from pinjam.services.paying_out import PayingOut
    from pinjam.services.payout_desk import PayoutDesk
    from pinjam.services.preferring import Preferring
    from pinjam.services.profiles import Profiles
    from pinjam.services.queueing import Queueing
    from pinjam.services.quoting import Quoting
    from pinjam.services.reckoning import Reckoning
    from pinjam.services.recovery import Recovery
    from pinjam.services.refreshing import Refreshing
    from pinjam.services.repaying import Repaying
    from pinjam.services.reviewing import Reviewing
    from pinjam.services.rewrapping import Rewrapping
    from pinjam.services.servicing import Servicing
    from pinjam.services.sessions import Sessions
    from pinjam.services.signup import Registration
    from pinjam.services.tracking import Tracking
    from pinjam.services.verification import Verification
    from pinjam.services.writing_off import WritingOff


class App(Adapters):
    """All use cases."""

    @cached_property
    def rewrapping(self) -> "Rewrapping":
        """Borrowers' keys under a new key."""
        from pinjam.services.rewrapping import Rewrapping

        return Rewrapping(self.store, self.key_wrapper)

    @cached_property
    def links(self) -> "Links":
        """Addresses that give a document for a while."""
        from pinjam.services.links import Links

        return Links(self.settings.public_url, self.settings.links_key, self.clock)

    @cached_property
    def recorder(self) -> Recorder:
        """Audit records and events."""
        return Recorder(self.clock, self.ids)

    @cached_property
    def books(self) -> "Books":
        """The ledger."""
        from pinjam.services.books import Books

        return Books(self.clock, self.ids)

    @cached_property
    def outbox(self) -> Outbox:
        """Publishes after the commit."""
        return Outbox(self.store, self.publisher, self.clock)

    @cached_property
    def limits(self) -> "Limits":
        """How often. Their time is real, too."""
        import time

        from pinjam.services.limits import RELAXED, STRICT, Limits

        table = RELAXED if self.settings.limits == "relaxed" else STRICT
        return Limits(self.cache, table, time.time, lambda value: self.vault.fingerprint(value, field="limit"))

    @cached_property
    def registration(self) -> "Registration":
        """Sign-up."""
        from pinjam.services.signup import Registration

        return Registration(
            self.store,
            self.accounts,
            self.vault,
            self.clock,
            self.ids,
            self.recorder,
            self.common_passwords,
            self.refreshing,
        )

    @cached_property
    def sessions(self) -> "Sessions":
        """Login by password."""
        from pinjam.services.sessions import Sessions

        return Sessions(self.store, self.accounts, self.limits, self.refreshing)

    @cached_property
    def refreshing(self) -> "Refreshing":
        """Refresh, logout."""
        from pinjam.services.refreshing import Refreshing

        return Refreshing(self.store, self.accounts, self.vault, self.real_clock, self.ids, self.recorder)

    @cached_property
    def recovery(self) -> "Recovery":
        """Forgotten passwords."""
        from pinjam.services.recovery import Recovery

        return Recovery(
            self.store,
            self.accounts,
            self.vault,
            self.clock,
            self.real_clock,
            self.ids,
            self.recorder,
            self.outbox,
            self.tasks,
            self.limits,
            self.common_passwords,
        )

    @cached_property
    def challenges(self) -> "Challenges":
        """What passkeys sign."""
        from pinjam.services.challenges import Challenges

        return Challenges(self.store, self.clock, self.ids, self.recorder, os.urandom)

    @cached_property
    def passkeys(self) -> "Passkeys":
        """Passkeys, enrolled and removed."""
        from pinjam.services.passkeys import Passkeys

        return Passkeys(self.store, self.ceremonies, self.challenges, self.clock, self.ids, self.recorder, self.outbox)

    @cached_property
    def passkey_login(self) -> "PasskeyLogin":
        """Login by passkey."""
        from pinjam.services.passkey_login import PasskeyLogin

        return PasskeyLogin(
            self.store,
            self.accounts,
            self.ceremonies,
            self.challenges,
            self.limits,
            self.vault,
            self.clock,
            self.recorder,
            self.outbox,
            self.refreshing,
        )

    @cached_property
    def profiles(self) -> "Profiles":
        """The borrower's own data."""
        from pinjam.services.profiles import Profiles

        return Profiles(self.store, self.vault, self.clock, self.recorder, self.outbox)

    @cached_property
    def exporting(self) -> "Exporting":
        """All that is held about a borrower."""
        from pinjam.services.exporting import Exporting

        return Exporting(self.store, self.vault, self.clock, self.recorder)

    @cached_property
    def erasing(self) -> "Erasing":
        """Forgetting a borrower."""
        from pinjam.services.erasing import Erasing

        return Erasing(self.store, self.accounts, self.objects, self.vault, self.clock, self.recorder)

    @cached_property
    def forgetting(self) -> "Forgetting":
        """Deleting what has passed."""
        from pinjam.services.forgetting import Forgetting

        return Forgetting(self.store, self.clock, self.real_clock)

    @cached_property
    def documents(self) -> "Documents":
        """Papers."""
        from pinjam.services.documents import Documents

        return Documents(
            self.store,
            self.vault,
            self.objects,
            self.links,
            self.papers,
            self.policies,
            self.clock,
            self.ids,
            self.recorder,
            self.outbox,
        )

    @cached_property
    def verification(self) -> "Verification":
        """Identity verification."""
        from pinjam.services.verification import Verification

        return Verification(
            self.store,
            self.objects,
            self.identity_check,
            self.vault,
            self.policies,
            self.clock,
            self.recorder,
            self.outbox,
            self.tasks,
            self.chance,
        )

    @cached_property
    def quoting(self) -> "Quoting":
        """Prices."""
        from pinjam.services.quoting import Quoting

        return Quoting(self.policies, self.clock)

    @cached_property
    def lending(self) -> "Lending":
        """Application, acceptance."""
        from pinjam.services.lending import Lending

        return Lending(self.store, self.policies, self.clock, self.ids, self.recorder, self.outbox)

    @cached_property
    def contracts(self) -> "Contracts":
        """Contracts and summaries as PDF."""
        from pinjam.services.contracts import Contracts

        return Contracts(self.store, self.vault, self.paper_press)

    @cached_property
    def deciding(self) -> "Deciding":
        """Decisions."""
        from pinjam.services.deciding import Deciding

        return Deciding(self.store, self.vault, self.policies, self.clock, self.recorder, self.outbox)

    @cached_property
    def reviewing(self) -> "Reviewing":
        """What a person decides."""
        from pinjam.services.reviewing import Reviewing

        return Reviewing(
            self.store,
            self.vault,
            self.links,
            self.policies,
            self.clock,
            self.recorder,
            self.outbox,
            self.payout_desk,
        )

    @cached_property
    def paying_out(self) -> "PayingOut":
        """Payouts of loans and refunds."""
        from pinjam.services.disbursing import Disbursing
        from pinjam.services.paying_out import PayingOut
        from pinjam.services.refunding import Refunding

        return PayingOut(
            self.store,
            self.payout_gateway,
            self.vault,
            self.clock,
            self.ids,
            self.recorder,
            self.outbox,
            {
                "loan": Disbursing(self.clock, self.recorder, self.books),
                "refund": Refunding(self.store, self.clock, self.recorder, self.books, self.outbox, self.reckoning),
            },
        )

    @cached_property
    def payout_desk(self) -> "PayoutDesk":
        """What starts, ends and releases payouts."""
        from pinjam.services.payout_desk import PayoutDesk

        return PayoutDesk(self.paying_out, self.tasks, self.chance)

    @cached_property
    def repaying(self) -> "Repaying":
        """Bills, and orders to pay them."""
        from pinjam.services.repaying import Repaying

        return Repaying(self.store, self.payment_gateway, self.policies, self.clock, self.ids, self.recorder)

    @cached_property
    def collecting(self) -> "Collecting":
        """Money on its way in, and taken back."""
        from pinjam.services.collecting import Collecting
        from pinjam.services.reversing import Reversing

        return Collecting(
            self.store,
            self.payment_gateway,
            self.clock,
            self.ids,
            self.recorder,
            self.books,
            self.outbox,
            self.reckoning,
            Reversing(self.clock, self.recorder, self.reckoning),
        )

    @cached_property
    def reckoning(self) -> "Reckoning":
        """Loans rebuilt from their payments."""
        from pinjam.services.reckoning import Reckoning

        return Reckoning(self.clock, self.ids, self.recorder, self.books)

    @cached_property
    def writing_off(self) -> "WritingOff":
        """Debts that are given up."""
        from pinjam.services.writing_off import WritingOff

        return WritingOff(self.store, self.clock, self.recorder, self.books)

    @cached_property
    def notifying(self) -> "Notifying":
        """Notifications."""
        from pinjam.services.notifying import Notifying

        return Notifying(self.store, self.clock, self.ids, self.tasks, self.queueing, self.delivering, self.code_mail)

    @cached_property
    def notices(self) -> "Notices":
        """The borrower's list of notifications."""
        from pinjam.services.notices import Notices

        return Notices(self.store, self.clock)

    @cached_property
    def code_mail(self) -> "CodeMail":
        """One-time codes."""
        from pinjam.services.code_mail import CodeMail

        return CodeMail(self.store, self.messengers["email"], self.vault, self.clock, self.recorder)

    @cached_property
    def delivering(self) -> "Delivering":
        """Each channel's copy of a notification."""
        from pinjam.services.delivering import Delivering

        return Delivering(
            self.store,
            self.messengers,
            self.contracts,
            self.clock,
            self.devices,
            self.holidays,
            self.queueing,
            self.chance,
        )

    @cached_property
    def queueing(self) -> "Queueing":
        """Deliveries on their way."""
        from pinjam.services.queueing import Queueing

        return Queueing(self.store, self.clock, self.tasks, self.recorder)

    @cached_property
    def tracking(self) -> "Tracking":
        """What became of messages."""
        from pinjam.services.tracking import Tracking

        return Tracking(self.store, self.message_receipts, self.queueing, self.clock)

    @cached_property
    def alerting(self) -> "Alerting":
        """What operations must hear of."""
        from pinjam.services.alerting import Alerting

        return Alerting(self.store, self.messengers["email"], self.clock, self.settings.operations_email)

    @cached_property
    def devices(self) -> "Devices":
        """Where push messages go."""
        from pinjam.services.devices import Devices

        return Devices(self.store, self.vault, self.clock, self.ids, self.recorder, self.outbox)

    @cached_property
    def preferring(self) -> "Preferring":
        """What borrowers choose to hear."""
        from pinjam.services.preferring import Preferring

        return Preferring(self.store, self.clock, self.recorder)

    @cached_property
    def checking(self) -> "Checking":
        """The ledger and the audit log, looked at."""
        from pinjam.services.checking import Checking

        return Checking(self.store)

    @cached_property
    def servicing(self) -> "Servicing":
        """The servicing clock."""
        from pinjam.services.servicing import Servicing

        return Servicing(
            self.store,
            self.collecting,
            self.paying_out,
            self.queueing,
            self.erasing,
            self.forgetting,
            self.clock,
            self.recorder,
            self.outbox,
        )


_lock = threading.Lock()
_current: App | None = None


def current() -> App:
    """The process's one App, made from the environment when first asked for."""
    global _current  # noqa: PLW0603 - the one place where a process's App is kept
    with _lock:
        if _current is None:
            _current = App(Settings.read(os.environ))
        return _current


def install(app: App | None) -> None:
    """Make `app` the process's App: for the local system and for tests. None forgets it."""
    global _current  # noqa: PLW0603 - as above
    with _lock:
        _current = app
