"""What a run of the servicing clock did."""

from typing import TYPE_CHECKING

from pinjam.runtime.models.fields import Shown

if TYPE_CHECKING:
    from pinjam.services.checking import Checked
    from pinjam.services.servicing import Swept


class SweptShown(Shown):
    """Counts; `faults` is what could not be done and stays for the next run."""

    relayed: int
    offers_expired: int
    payments_checked: int
    payouts_checked: int
    payouts_retried: int
    refunds_retried: int
    reminders: int
    messages_resumed: int
    erased: int
    forgotten: int
    faults: int

    @classmethod
    def of(cls, swept: "Swept") -> "SweptShown":
        """The counts as the API shows them."""
        return cls(
            relayed=swept.relayed,
            offers_expired=swept.offers_expired,
            payments_checked=swept.payments_checked,
            payouts_checked=swept.payouts_checked,
            payouts_retried=swept.payouts_retried,
            refunds_retried=swept.refunds_retried,
            reminders=swept.reminders,
            messages_resumed=swept.messages_resumed,
            erased=swept.erased,
            forgotten=swept.forgotten,
            faults=swept.faults,
        )


class CheckedShown(Shown):
    """What the check of the books found; all is well when the last two are 0."""

    records: int
    broken_chains: int
    difference: int

    @classmethod
    def of(cls, checked: "Checked") -> "CheckedShown":
        """The figures as the API shows them."""
        return cls(records=checked.records, broken_chains=checked.broken_chains, difference=checked.difference)
