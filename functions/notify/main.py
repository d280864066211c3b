"""Hears of everything that a borrower should know, and tells them; and operations what a person must see to."""

from pinjam.domain.trail import Event
from pinjam.runtime.composition import App
from pinjam.runtime.events import consumer


def tell(app: App, event: Event) -> None:
    """Tell both sides: a channel of one that gives no answer keeps the other from nothing."""
    try:
        app.notifying.hear(event)
    finally:
        if event.topic == "payout-failed":
            app.alerting.payout_failed(event)


notify = consumer("notify", tell)
