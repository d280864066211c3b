"""The composition root: which adapter stands behind which port, and the use cases made of them.

Everything is made when it is first asked for and then kept, so that a function's cold start pays only for
what the function uses. Adapters are imported here for the same reason, not at the top. The module is long
because it is one table, a few lines for each port and use case; splitting it would hide what hangs on what.
"""

import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pinjam.runtime.settings import Settings, Twilio
from pinjam.services.recording import Outbox, Recorder

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.domain.policy import Policies
    from pinjam.services.alerting import Alerting
    from pinjam.services.books import Books
    from pinjam.services.ceremonies import Ceremonies
    from pinjam.services.challenges import Challenges
    from pinjam.services.code_mail import CodeMail
    from pinjam.services.collecting import Collecting
    from pinjam.services.contracts import Contracts
    from pinjam.services.deciding import Deciding
    from pinjam.services.delivering import Delivering
    from pinjam.services.devices import Devices
    from pinjam.services.documents import Documents
    from pinjam.services.erasing import Erasing
    from pinjam.services.exporting import Exporting
    from pinjam.services.lending import Lending
    from pinjam.services.limits import Limits
    from pinjam.services.links import Links
    from pinjam.services.notifying import Notifying
    from pinjam.services.passkey_login import PasskeyLogin
    from pinjam.services.passkeys import Passkeys
    from pinjam.services.paying_out import PayingOut
    from pinjam.services.payout_desk import PayoutDesk
    from pinjam.services.ports import (
        Accounts,
        Cache,
        Clock,
        CommonPasswords,
        Holidays,
        IdentityCheck,
        Ids,
        KeyWrapper,
        MessageReceipts,
        Messenger,
        ObjectStore,
        PaperPress,
        PaperReader,
        PaymentGateway,
        PayoutGateway,
        Publisher,
        Tasks,
        TokenVerifier,
        Vault,
    )
    from pinjam.services.preferring import Preferring
    from pinjam.services.profiles import Profiles
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
    from pinjam.services.store import Store
    from pinjam.services.tracking import Tracking
    from pinjam.services.verification import Verification
    from pinjam.services.writing_off import WritingOff


class App:
    """All use cases over one set of adapters. A test may set a port (`app.store = ...`) before it is used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def close(self) -> None:
        """Close the connections of whatever was made; what is used again opens its own."""
        made = list(vars(self).values())
        made += [one for group in made if isinstance(group, Mapping) for one in group.values()]
        for one in made:
            close = getattr(one, "close", None)
            if callable(close):
                close()

    # Ports

    @cached_property
    def clock(self) -> "Clock":
        """The business clock."""
        from pinjam.adapters.clock import MovableClock, SystemClock

        path = self.settings.clock_file
        return MovableClock(path) if path else SystemClock()

    @cached_property
    def real_clock(self) -> "Clock":
        """Real time, whatever the business date: a borrower stays logged in when the date is moved."""
        from pinjam.adapters.clock import SystemClock

        return SystemClock()

    @cached_property
    def ids(self) -> "Ids":
        """New identifiers."""
        from pinjam.adapters.ids import Ulids

        return Ulids()

    @cached_property
    def chance(self) -> "Callable[[], float]":
        """A number from 0 to 1, by which tries of what failed together are spread."""
        import random

        return random.random

    @cached_property
    def store(self) -> "Store":
        """Records."""
        from pinjam.adapters.postgres import PostgresStore

        return PostgresStore(self.settings.database_url)

    @cached_property
    def vault(self) -> "Vault":
        """Personal fields."""
        from pinjam.adapters.vault import EnvelopeVault

        return EnvelopeVault(store=self.store, keys=self.key_wrapper, hash_key=self.settings.hash_key)

    @cached_property
    def key_wrapper(self) -> "KeyWrapper":
        """Keys that wrap the borrowers' keys."""
        from pinjam.adapters.key_file import KeyFile

        return KeyFile(self.settings.key_file)

    @cached_property
    def rewrapping(self) -> "Rewrapping":
        """Borrowers' keys under a new key."""
        from pinjam.services.rewrapping import Rewrapping

        return Rewrapping(self.store, self.key_wrapper)

    @cached_property
    def accounts(self) -> "Accounts":
        """Who can log in."""
        from pinjam.adapters.firebase_auth import FirebaseAccounts

        identity = self.settings.identity
        return FirebaseAccounts(
            project=self.settings.project,
            identity_url=identity.url,
            token_url=identity.token_url,
            iam_url=identity.iam_url,
            signer=identity.signer,
            api_key=identity.api_key,
            admin_token=lambda: identity.admin_token,
        )

    @cached_property
    def token_verifier(self) -> "TokenVerifier":
        """ID tokens."""
        from pinjam.adapters.firebase_auth import FirebaseTokenVerifier

        return FirebaseTokenVerifier(project=self.settings.project, jwks_url=self.settings.identity.jwks_url)

    @cached_property
    def ceremonies(self) -> "Ceremonies":
        """WebAuthn."""
        from pinjam.adapters.webauthn_ceremonies import WebAuthnCeremonies

        webauthn = self.settings.webauthn
        return WebAuthnCeremonies(rp_id=webauthn.rp_id, origins=webauthn.origins)

    @cached_property
    def publisher(self) -> "Publisher":
        """Events."""
        from pinjam.adapters.pubsub import PubSubPublisher

        return PubSubPublisher(project=self.settings.project, url=self.settings.pubsub_url, token=None)

    @cached_property
    def tasks(self) -> "Tasks":
        """Work for later."""
        from pinjam.adapters.cloud_tasks import CloudTasks

        tasks = self.settings.tasks
        return CloudTasks(
            url=tasks.url,
            project=tasks.project,
            location=tasks.location,
            functions_url=tasks.functions_url,
            account=tasks.account,
        )

    @cached_property
    def cache(self) -> "Cache":
        """What is kept for a while. Its time is real, whatever the business date."""
        import time

        from pinjam.adapters.memory_cache import MemoryCache

        own, url = MemoryCache(time.monotonic), self.settings.redis_url
        if url is None:
            return own
        from pinjam.adapters.redis_cache import RedisCache, SparedCache

        return SparedCache(RedisCache(url), own, time.monotonic)

    @cached_property
    def common_passwords(self) -> "CommonPasswords":
        """Passwords that nobody may choose."""
        from pinjam.adapters.common_passwords import ListedPasswords

        return ListedPasswords()

    @cached_property
    def identity_check(self) -> "IdentityCheck":
        """The e-KYC provider."""
        from pinjam.adapters.ekyc import VerihubsCheck

        ekyc = self.settings.ekyc
        return VerihubsCheck(url=ekyc.url, app_id=ekyc.app_id, api_key=ekyc.api_key)

    @cached_property
    def payment_gateway(self) -> "PaymentGateway":
        """Collects repayments."""
        from pinjam.adapters.midtrans import MidtransGateway

        midtrans = self.settings.midtrans
        return MidtransGateway(url=midtrans.url, server_key=midtrans.server_key)

    @cached_property
    def payout_gateway(self) -> "PayoutGateway":
        """Pays loans and refunds out."""
        from pinjam.adapters.iris import IrisPayouts

        iris = self.settings.iris
        return IrisPayouts(
            url=iris.url,
            creator_key=iris.creator_key,
            approver_key=iris.approver_key,
            merchant_key=iris.merchant_key,
        )

    @cached_property
    def objects(self) -> "ObjectStore":
        """Documents' bytes."""
        from pinjam.adapters.folder import FolderObjects

        return FolderObjects(root=self.settings.objects_path)

    @cached_property
    def links(self) -> "Links":
        """Addresses that give a document for a while."""
        from pinjam.services.links import Links

        return Links(self.settings.public_url, self.settings.links_key, self.clock)

    @cached_property
    def papers(self) -> "PaperReader":
        """Looks into pictures."""
        from pinjam.adapters.papers import PillowPapers

        return PillowPapers()

    @cached_property
    def paper_press(self) -> "PaperPress":
        """Makes PDFs."""
        from pinjam.adapters.pdf import ReportlabPress

        return ReportlabPress()

    @cached_property
    def messengers(self) -> "Mapping[Channel, Messenger]":
        """The channels that messages go out on."""
        from pinjam.adapters.fcm import FcmMessenger
        from pinjam.adapters.smtp import SmtpMessenger
        from pinjam.adapters.whatsapp import WhatsAppMessenger

        smtp, whatsapp = self.settings.smtp, self.settings.whatsapp
        fcm = self.settings.fcm
        return {
            "push": FcmMessenger(url=fcm.url, project=fcm.project, token=lambda: fcm.token),
            "email": SmtpMessenger(
                host=smtp.host,
                port=smtp.port,
                user=smtp.user,
                password=smtp.password,
                sender=smtp.sender,
                starttls=smtp.starttls,
            ),
            "sms": self._sms_messenger(),
            "whatsapp": WhatsAppMessenger(
                url=whatsapp.url, phone_number_id=whatsapp.phone_number_id, token=whatsapp.token
            ),
        }

    def _sms_messenger(self) -> "Messenger":
        sms = self.settings.sms
        if isinstance(sms, Twilio):
            from pinjam.adapters.twilio import TwilioMessenger

            return TwilioMessenger(
                url=sms.url, account_sid=sms.account_sid, auth_token=sms.auth_token, sender=sms.sender
            )
        from pinjam.adapters.zenziva import ZenzivaMessenger

        return ZenzivaMessenger(url=sms.url, userkey=sms.userkey, passkey=sms.passkey)

    @cached_property
    def message_receipts(self) -> "MessageReceipts":
        """What WhatsApp says became of messages."""
        from pinjam.adapters.whatsapp import WhatsAppReceipts

        whatsapp = self.settings.whatsapp
        return WhatsAppReceipts(app_secret=whatsapp.app_secret, verify_token=whatsapp.verify_token)

    @cached_property
    def holidays(self) -> "Holidays":
        """Public holidays."""
        from pinjam.adapters.holidays_id import IndonesianHolidays

        return IndonesianHolidays()

    @cached_property
    def policies(self) -> "Policies":
        """Dated prices and rules."""
        from pinjam.policy import load_policies

        return load_policies()

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

    # Use cases

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

        return Notifying(self.store, self.clock, self.ids, self.tasks, self.delivering, self.code_mail)

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
            self.tasks,
            self.recorder,
            self.chance,
        )

    @cached_property
    def tracking(self) -> "Tracking":
        """What became of messages."""
        from pinjam.services.tracking import Tracking

        return Tracking(self.store, self.message_receipts, self.delivering, self.clock)

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
    def servicing(self) -> "Servicing":
        """The servicing clock."""
        from pinjam.services.servicing import Servicing

        return Servicing(
            self.store,
            self.collecting,
            self.paying_out,
            self.delivering,
            self.erasing,
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
