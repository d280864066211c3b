"""Hears that both identity documents are in, and has the identity verified."""

from pinjam.runtime.events import consumer

verify_identity = consumer("verify_identity", lambda app, event: app.verification.verify(event))
