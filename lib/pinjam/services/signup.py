"""Sign-up: a borrower with unique e-mail, phone and NIK, and an account to log in with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.nik import InvalidNik, mask_nik, parse_nik
from pinjam.domain.password import Personal, check_password
from pinjam.domain.phone import InvalidPhone, parse_phone
from pinjam.domain.user import Consent, User, UserStatus
from pinjam.services.borrowers import Borrower
from pinjam.services.errors import Invalid, StateForbids, TooMany
from pinjam.services.ports import (
    AccountExists,
    TooManyAttempts,
    WrongCredentials,
)
from pinjam.services.recording import Actor, last_record
from pinjam.services.store import Conflict, Find

if TYPE_CHECKING:
    from pinjam.domain.keys import UserKey
    from pinjam.domain.nik import Nik
    from pinjam.domain.trail import AuditRecord
    from pinjam.domain.user import Locale
    from pinjam.services.ports import (
        Accounts,
        Clock,
        CommonPasswords,
        Ids,
        Tokens,
    )
    from pinjam.services.recording import Recorder
    from pinjam.services.refreshing import Refreshing
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """What a borrower fills in. `email` is syntactically valid already, and `password` normalised."""

    full_name: str
    email: str
    phone: str
    nik: str
    password: str
    terms_version: str
    privacy_version: str
    locale: Locale


@dataclass(frozen=True, slots=True)
class Registration:
    """Takes in new borrowers."""

    store: Store
    accounts: Accounts
    vault: Vault
    clock: Clock
    ids: Ids
    recorder: Recorder
    common: CommonPasswords
    refreshing: Refreshing

    def register(self, form: SignUp, *, request_id: str) -> tuple[Borrower, Tokens]:
        """Make the borrower and the account, and log in.

        Our row comes first, because it holds what must be unique; a crash before the account exists
        leaves a row that the repetition of the same sign-up completes. Invalid for a bad phone, NIK or password;
        StateForbids `already-registered` when e-mail, phone or NIK is taken; TooMany when an unfinished
        sign-up's password is guessed at.
        """
        user = self._claim(*self._new_user(form), request_id=request_id)
        # The crash may have come after the account was made: then whoever knows its password may go on.
        with suppress(AccountExists):
            self.accounts.create(uid=user.id, email=user.email, password=form.password)
        try:
            tokens = self.accounts.sign_in(email=user.email, password=form.password)
        except WrongCredentials:
            raise StateForbids("already-registered") from None
        except TooManyAttempts as too_many:
            raise TooMany(too_many.retry_after_s, "too-many-attempts") from None
        # Last, so that a repetition completes a sign-up that died anywhere before.
        user = self._complete(user, request_id=request_id)
        return Borrower(user=user, documents=(), loans=()), self.refreshing.open(user.id, tokens)

    def _new_user(self, form: SignUp) -> tuple[User, UserKey]:
        now, today = self.clock.now(), self.clock.today()
        phone, nik = self._checked(form, today)
        uid = self.ids.new("usr")
        key, safe = self.vault.issue(uid, at=now)
        user = User(
            id=uid,
            full_name=" ".join(form.full_name.split()),
            email=form.email.lower(),
            phone=phone,
            nik=safe.seal(nik.number, field="nik"),
            nik_hash=self.vault.fingerprint(nik.number, field="nik"),
            nik_masked=mask_nik(nik.number),
            birth_date=safe.seal(nik.birth_date.isoformat(), field="birth_date"),
            gender=nik.gender,
            status=UserStatus.REGISTERED,
            locale=form.locale,
            consents=tuple(
                Consent(purpose=purpose, version=version, locale=form.locale, given_at=now)
                for purpose, version in (("terms", form.terms_version), ("privacy", form.privacy_version))
            ),
            account_created=False,
            created_at=now,
            updated_at=now,
        )
        return user, key

    def _checked(self, form: SignUp, today: date) -> tuple[str, Nik]:
        """The phone in E.164 and the NIK; Invalid naming every field that is wrong."""
        problems: list[FieldProblem] = []
        phone, nik = "", None
        try:
            phone = parse_phone(form.phone)
        except InvalidPhone:
            problems.append(FieldProblem(field="phone", code="phone-invalid", params={}))
        try:
            nik = parse_nik(form.nik, today=today)
        except InvalidNik as wrong:
            problems.append(FieldProblem(field="nik", code=f"nik-{wrong.code}", params={}))
        about = Personal(full_name=form.full_name, email=form.email, phone=form.phone, nik=form.nik)
        weakness = check_password(form.password, personal=about, common=self.common)
        if weakness:
            problems.append(weakness)
        if nik is None or problems:
            raise Invalid(*problems)
        return phone, nik

    def _claim(self, user: User, key: UserKey, *, request_id: str) -> User:
        """Our row: a new one, or the unfinished one of the same person."""

        def work(tx: Transaction) -> User:
            found = {
                one.id: one
                for field in ("email", "phone", "nik_hash")
                for one in tx.find(Find(kind=User, where={field: getattr(user, field)}, limit=1)).items
            }
            if not found:
                tx.insert(user)
                tx.insert(key)
                self._audit(tx, None, user, "user-registered", request_id)
                return user
            (earlier, *others) = found.values()
            same = (earlier.email, earlier.phone, earlier.nik_hash) == (user.email, user.phone, user.nik_hash)
            if others or not same or earlier.account_created:
                raise StateForbids("already-registered")
            return earlier

        try:
            return self.store.transact(work)
        except Conflict:
            raise StateForbids("already-registered") from None

    def _complete(self, user: User, *, request_id: str) -> User:
        done = replace(user, account_created=True, updated_at=self.clock.now())

        def work(tx: Transaction) -> None:
            previous = last_record(tx, user.id)
            tx.update(done)
            self._audit(tx, previous, done, "account-created", request_id)

        self.store.transact(work)
        return done

    def _audit(self, tx: Transaction, previous: AuditRecord | None, user: User, action: str, request_id: str) -> None:
        self.recorder.audit(
            tx,
            previous,
            subject=user.id,
            action=action,
            actor=Actor(id=user.id, request_id=request_id),
            before=None,
            after={
                "status": user.status.value,
                "account_created": user.account_created,
                "consents": [f"{consent.purpose}:{consent.version}" for consent in user.consents],
            },
        )
