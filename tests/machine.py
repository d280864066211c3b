"""What a machine may lack: a test that needs it is skipped and says what is missing, and fails in CI."""

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from pinjam.local.emulators.process import MissingProgram

T = TypeVar("T")


def given(make: Callable[[], T]) -> T:
    """What `make` gives. Where it says MissingProgram the test is skipped, or fails where CI is set."""
    try:
        return make()
    except MissingProgram as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have what is missing here: {missing}")
        pytest.skip(str(missing))
