"""Hears of accepted offers, and pays them out; hears of payments, and pays back what exceeded the debt."""

from pinjam.domain.trail import Event
from pinjam.runtime.composition import App
from pinjam.runtime.events import consumer


def pay_out(app: App, event: Event) -> None:
    """Whatever the event says is to be paid out."""
    if event.topic == "payment-settled":
        app.returning.hear(event)
    else:
        app.disbursing.disburse(event)


disburse = consumer("disburse", pay_out)
