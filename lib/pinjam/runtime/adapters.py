"""Which adapter stands behind which port.

Everything is made when it is first asked for and then kept, so that a function's cold start pays only for what the
function uses. Adapters are imported here for the same reason, not at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pinjam.runtime.settings import Twilio
from pinjam.runtime.tracing import traceparent

if TYPE_CHECKING:
    from pinjam.adapters.google_tokens import GoogleTokens
    from pinjam.domain.notification import Channel
    from pinjam.domain.policy import Policies
    from pinjam.runtime.settings import Settings
    from pinjam.services.ceremonies import Ceremonies
    from pinjam.services.messaging import MessageReceipts, Messenger
    from pinjam.services.ports import (
        Accounts,
        Cache,
        Clock,
        CommonPasswords,
        Holidays,
        IdentityCheck,
        Ids,
        ObjectStore,
        PaperPress,
        PaperReader,
        PaymentGateway,
        PayoutGateway,
        Publisher,
        Tasks,
        TokenVerifier,
    )
    from pinjam.services.sealing import KeyWrapper, Vault
    from pinjam.services.store import Store


class Adapters:
    """One adapter for each port, by the settings. A test may set a port (`app.store = ...`) before it is used."""

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

    @cached_property
    def google_tokens(self) -> GoogleTokens:
        """Access tokens of Google's, for whoever this function runs as."""
        from pinjam.adapters.google_tokens import GoogleTokens

        return GoogleTokens()

    @property
    def _token(self) -> Callable[[], str] | None:
        """What Google's services ask for; their emulators, and the local stand-ins, ask for none."""
        return self.google_tokens if self.settings.profile == "gcp" else None

    def _token_or(self, written: str | None) -> Callable[[], str]:
        """The token that a setting holds; Google's where none does."""
        return self.google_tokens if written is None else lambda: written

    @cached_property
    def clock(self) -> Clock:
        """The business clock."""
        from pinjam.adapters.clock import MovableClock, SystemClock

        path = self.settings.clock_file
        return MovableClock(path) if path else SystemClock()

    @cached_property
    def real_clock(self) -> Clock:
        """Real time, whatever the business date: a borrower stays logged in when the date is moved."""
        from pinjam.adapters.clock import SystemClock

        return SystemClock()

    @cached_property
    def ids(self) -> Ids:
        """New identifiers."""
        from pinjam.adapters.ids import Ulids

        return Ulids()

    @cached_property
    def chance(self) -> Callable[[], float]:
        """A number from 0 to 1, by which tries of what failed together are spread."""
        import random

        return random.random

    @cached_property
    def store(self) -> Store:
        """Records."""
        return self._firestore() if self.settings.store == "firestore" else self._postgres()

    def _postgres(self) -> Store:
        from pinjam.adapters.postgres import PostgresStore

        database = self.settings.database
        return PostgresStore(
            database.url,
            pool_size=database.pool_size,
            password=self.google_tokens if database.iam else None,
            application_name=database.application_name,
        )

    def _firestore(self) -> Store:
        from pinjam.adapters.firestore import FirestoreStore
        from pinjam.adapters.firestore_indexes import declared

        firestore = self.settings.firestore
        return FirestoreStore(
            project=firestore.project,
            database=firestore.database,
            url=firestore.url,
            token=self._token,
            # The emulator answers without an index; Firestore itself refuses.
            declared=None if self.settings.profile == "gcp" else declared(),
        )

    @cached_property
    def vault(self) -> Vault:
        """Personal fields."""
        from pinjam.adapters.vault import EnvelopeVault

        return EnvelopeVault(store=self.store, keys=self.key_wrapper, hash_key=self.settings.hash_key)

    @cached_property
    def key_wrapper(self) -> KeyWrapper:
        """Keys that wrap the borrowers' keys."""
        if self.settings.keys == "kms":
            from pinjam.adapters.cloud_kms import CloudKms

            return CloudKms(key=self.settings.kms_key, token=self._token)
        from pinjam.adapters.key_file import KeyFile

        return KeyFile(self.settings.key_file)

    @cached_property
    def accounts(self) -> Accounts:
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
            admin_token=self._token_or(identity.admin_token),
        )

    @cached_property
    def token_verifier(self) -> TokenVerifier:
        """ID tokens."""
        from pinjam.adapters.id_tokens import FirebaseTokenVerifier

        return FirebaseTokenVerifier(project=self.settings.project, jwks_url=self.settings.jwks_url)

    @cached_property
    def ceremonies(self) -> Ceremonies:
        """WebAuthn."""
        from pinjam.adapters.webauthn_ceremonies import WebAuthnCeremonies

        webauthn = self.settings.webauthn
        return WebAuthnCeremonies(rp_id=webauthn.rp_id, origins=webauthn.origins)

    @cached_property
    def publisher(self) -> Publisher:
        """Events."""
        from pinjam.adapters.pubsub import PubSubPublisher

        return PubSubPublisher(
            project=self.settings.project, url=self.settings.pubsub_url, token=self._token, traceparent=traceparent
        )

    @cached_property
    def tasks(self) -> Tasks:
        """Work for later."""
        from pinjam.adapters.cloud_tasks import CloudTasks

        tasks = self.settings.tasks
        return CloudTasks(
            url=tasks.url,
            project=tasks.project,
            location=tasks.location,
            functions_url=tasks.functions_url,
            account=tasks.account,
            token=self._token,
            traceparent=traceparent,
        )

    @cached_property
    def cache(self) -> Cache:
        """What is kept for a while. Its time is real, whatever the business date."""
        import time

        from pinjam.adapters.memory_cache import MemoryCache

        own, url = MemoryCache(time.monotonic), self.settings.redis_url
        if url is None:
            return own
        from pinjam.adapters.redis_cache import RedisCache, SparedCache

        return SparedCache(RedisCache(url), own, time.monotonic)

    @cached_property
    def common_passwords(self) -> CommonPasswords:
        """Passwords that nobody may choose."""
        from pinjam.adapters.common_passwords import ListedPasswords

        return ListedPasswords()

    @cached_property
    def identity_check(self) -> IdentityCheck:
        """The e-KYC provider."""
        from pinjam.adapters.ekyc import VerihubsCheck

        ekyc = self.settings.ekyc
        return VerihubsCheck(url=ekyc.url, app_id=ekyc.app_id, api_key=ekyc.api_key)

    @cached_property
    def payment_gateway(self) -> PaymentGateway:
        """Collects repayments."""
        from pinjam.adapters.midtrans import MidtransGateway

        midtrans = self.settings.midtrans
        return MidtransGateway(url=midtrans.url, server_key=midtrans.server_key)

    @cached_property
    def payout_gateway(self) -> PayoutGateway:
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
    def objects(self) -> ObjectStore:
        """Documents' bytes."""
        if self.settings.objects == "gcs":
            return self._cloud_storage()
        return self._s3() if self.settings.objects == "s3" else self._folder()

    def _cloud_storage(self) -> ObjectStore:
        from pinjam.adapters.cloud_storage import CloudStorageObjects

        storage = self.settings.cloud_storage
        return CloudStorageObjects(bucket=storage.bucket, url=storage.url, token=self._token)

    def _s3(self) -> ObjectStore:
        from pinjam.adapters.s3 import S3Objects

        s3 = self.settings.s3
        return S3Objects(
            bucket=s3.bucket, url=s3.url, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key
        )

    def _folder(self) -> ObjectStore:
        from pinjam.adapters.folder import FolderObjects

        return FolderObjects(root=self.settings.objects_path)

    @cached_property
    def papers(self) -> PaperReader:
        """Looks into pictures."""
        from pinjam.adapters.papers import PillowPapers

        return PillowPapers()

    @cached_property
    def paper_press(self) -> PaperPress:
        """Makes PDFs."""
        from pinjam.adapters.pdf import ReportlabPress

        return ReportlabPress()

    @cached_property
    def messengers(self) -> Mapping[Channel, Messenger]:
        """The channels that messages go out on."""
        from pinjam.adapters.fcm import FcmMessenger
        from pinjam.adapters.smtp import SmtpMessenger
        from pinjam.adapters.whatsapp import WhatsAppMessenger

        smtp, whatsapp = self.settings.smtp, self.settings.whatsapp
        fcm = self.settings.fcm
        return {
            "push": FcmMessenger(url=fcm.url, project=fcm.project, token=self._token_or(fcm.token)),
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

    def _sms_messenger(self) -> Messenger:
        sms = self.settings.sms
        if isinstance(sms, Twilio):
            from pinjam.adapters.twilio import TwilioMessenger

            return TwilioMessenger(
                url=sms.url, account_sid=sms.account_sid, auth_token=sms.auth_token, sender=sms.sender
            )
        from pinjam.adapters.zenziva import ZenzivaMessenger

        return ZenzivaMessenger(url=sms.url, userkey=sms.userkey, passkey=sms.passkey)

    @cached_property
    def message_receipts(self) -> MessageReceipts:
        """What WhatsApp says became of messages."""
        from pinjam.adapters.whatsapp import WhatsAppReceipts

        whatsapp = self.settings.whatsapp
        return WhatsAppReceipts(app_secret=whatsapp.app_secret, verify_token=whatsapp.verify_token)

    @cached_property
    def holidays(self) -> Holidays:
        """Public holidays."""
        from pinjam.adapters.holidays_id import IndonesianHolidays

        return IndonesianHolidays()

    @cached_property
    def policies(self) -> Policies:
        """Dated prices and rules."""
        from pinjam.policy import load_policies

        return load_policies()
