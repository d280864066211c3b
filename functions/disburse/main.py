"""Hears of what is owed to a borrower, and pays it out: accepted offers, and what exceeded the debt."""

from pinjam.runtime.events import consumer

disburse = consumer("disburse", lambda app, event: app.payout_desk.take_up(event))
