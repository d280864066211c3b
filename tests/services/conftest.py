"""A system in memory for each test."""

import pytest
from tests.authenticator import Authenticator
from tests.world import World, make_world

from pinjam.domain.user import User


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def siti(world: World) -> User:
    """A borrower."""
    return world.register()


@pytest.fixture
def phone() -> Authenticator:
    """Her device, which has no passkey yet."""
    return Authenticator()
