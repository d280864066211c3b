"""Hears of everything that a borrower should know, and tells them."""

from pinjam.runtime.events import consumer

notify = consumer("notify", lambda app, event: app.notifying.hear(event))
