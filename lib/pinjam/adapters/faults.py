"""Providers that fail: each time is one line in the log, by one name, which alerts count by provider."""

import logging

from pinjam.services.ports import Unavailable

log = logging.getLogger(__name__)


def unavailable(service: str, detail: str, retry_after_s: int | None = None) -> Unavailable:
    """The fault to raise, told in the log as `provider-failed`. `detail` holds nothing secret and no personal data."""
    log.warning("provider-failed", extra={"provider": service, "fault": detail})
    return Unavailable(service, detail, retry_after_s)
