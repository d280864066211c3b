"""Hears of applications, and decides them."""

from pinjam.runtime.events import consumer

decide_loan = consumer("decide_loan", lambda app, event: app.deciding.decide(event))
