"""Hears of accepted offers, and pays them out."""

from pinjam.runtime.events import consumer

disburse = consumer("disburse", lambda app, event: app.disbursing.disburse(event))
