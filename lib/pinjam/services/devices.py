"""Which devices a borrower's push messages go to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.device import MOST_DEVICES, Device
from pinjam.services.borrowers import safe_of, unrestricted
from pinjam.services.recording import last_record
from pinjam.services.store import Conflict, Find

if TYPE_CHECKING:
    from pinjam.domain.device import Platform
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.services.ports import Clock, Ids
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction


def devices_of(tx: Reader, user_id: str) -> tuple[Device, ...]:
    """The borrower's devices that can be reached, in the order in which their places were first taken."""
    return tuple(one for one in _places(tx, user_id) if one.token is not None)


@dataclass(frozen=True, slots=True)
class Devices:
    """Keeps device tokens. A token never reaches a log or the audit trail: who has it can be sent anything."""

    store: Store
    vault: Vault
    clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox

    def register(self, user_id: str, *, token: str, platform: Platform, actor: Actor) -> None:
        """Send this borrower's push messages to the device with this token too, and nobody else's any more.

        Registering again is harmless. Beyond `MOST_DEVICES` the device registered longest ago is dropped. Who has
        a device already hears of a further one, as it may be a stranger's. StateForbids once erasure was asked for.
        """
        brought = Device(
            id=self.ids.new("dev"),
            user_id=user_id,
            token=safe_of(self.vault, user_id).seal(token, field="token"),
            platform=platform,
            registered_at=self.clock.now(),
            token_hash=self.vault.fingerprint(token, field="token"),
        )

        def work(tx: Transaction) -> tuple[Event, ...]:
            return self._register(tx, brought, actor)

        try:
            events = self.store.transact(work)
        except Conflict:
            # Another request brought the same token at the same time; now it is there to be found.
            events = self.store.transact(work)
        self.outbox.publish(*events)

    def token(self, device: Device) -> str:
        """What the push service knows a device by; LookupError for an empty place."""
        if device.token is None:
            raise LookupError(device.id)
        return self.vault.safe(device.user_id).open(device.token, field="token")

    def drop(self, device: Device, *, actor: Actor) -> None:
        """Forget the token of a device that has it no longer, unless another was registered since."""

        def work(tx: Transaction) -> None:
            there = tx.get(Device, device.id)
            if there is None:
                raise LookupError(device.id)
            previous = last_record(tx, there.user_id)
            if there.token_hash is not None and there.token_hash == device.token_hash:
                tx.update(replace(there, token=None, token_hash=None))
                self._audit(tx, previous, there, "device-dropped", actor)

        self.store.transact(work)

    def _register(self, tx: Transaction, brought: Device, actor: Actor) -> tuple[Event, ...]:
        user_id = brought.user_id
        unrestricted(tx, user_id)
        places = _places(tx, user_id)
        holder = next(iter(tx.find(Find(kind=Device, where={"token_hash": brought.token_hash}, limit=1)).items), None)
        stranger = holder if holder is not None and holder.user_id != user_id else None
        previous = last_record(tx, user_id)
        previous_of_stranger = last_record(tx, stranger.user_id) if stranger else None
        if stranger is not None:
            tx.update(replace(stranger, token=None, token_hash=None))
            self._audit(tx, previous_of_stranger, stranger, "device-dropped", actor)
        mine = None if stranger else holder
        place = mine or _free(places)
        device = replace(brought, id=place.id) if place else brought
        if place is None:
            tx.insert(device)
        else:
            tx.update(device)
        if mine is not None:  # An app registers at every start; only a device that is new is worth a record.
            return ()
        self._audit(tx, previous, device, "device-registered", actor)
        if all(one.token is None for one in places):
            return ()
        told = self.recorder.event(
            tx, "account-changed", subject=user_id, actor=actor, change="new-device", device=device.platform
        )
        return (told,)

    def _audit(self, tx: Transaction, previous: AuditRecord | None, device: Device, action: str, actor: Actor) -> None:
        self.recorder.audit(
            tx,
            previous,
            subject=device.user_id,
            action=action,
            actor=actor,
            before=None,
            after={"device": device.id, "platform": device.platform},
        )


def _places(tx: Reader, user_id: str) -> tuple[Device, ...]:
    return tx.find(Find(kind=Device, where={"user_id": user_id}, limit=MOST_DEVICES)).items


def _free(places: tuple[Device, ...]) -> Device | None:
    """The place for one more device: an empty one, or else the oldest's; None while there are fewer places."""
    empty = next((one for one in places if one.token is None), None)
    if empty is not None or len(places) < MOST_DEVICES:
        return empty
    return min(places, key=lambda one: one.registered_at)
