"""Short ways through the ceremonies of passkeys, for a software authenticator over a world in memory."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.authenticator import Authenticator, Json
from tests.world import World

from pinjam.domain.passkey import Passkey
from pinjam.runtime.models.passkeys import EnrollOptions, PasskeyLoginOptions
from pinjam.services.borrowers import Borrower
from pinjam.services.errors import Denied, Unauthenticated
from pinjam.services.ports import Tokens

ADDRESS = "203.0.113.7"
"""Where everybody calls from."""


def creation(world: World, user_id: str) -> Json:
    options: Json = json.loads(EnrollOptions.of(world.app.passkeys.begin(user_id), world.app).as_json())
    return options


def request(world: World, identifier: str | None = None) -> Json:
    shown = PasskeyLoginOptions.of(world.app.passkey_login.begin(identifier), world.app)
    options: Json = json.loads(shown.as_json())
    return options


def keep(world: World, user_id: str, begun: Json, credential: Json, name: str = "Pixel 9") -> Passkey:
    return world.app.passkeys.enroll(
        user_id,
        challenge_id=begun["challenge_id"],
        credential=credential,
        device_name=name,
        actor=world.actor(user_id),
    )


def enroll(world: World, user_id: str, device: Authenticator, **how: Any) -> Passkey:
    begun = creation(world, user_id)
    return keep(world, user_id, begun, device.create(begun["public_key"], **how))


def answer(world: World, begun: Json, credential: Json) -> tuple[Borrower, Tokens]:
    return world.app.passkey_login.login(
        challenge_id=begun["challenge_id"],
        credential=credential,
        address=ADDRESS,
        actor=world.actor("anonymous"),
    )


def log_in(world: World, device: Authenticator, identifier: str | None = None, **how: Any) -> tuple[Borrower, Tokens]:
    begun = request(world, identifier)
    return answer(world, begun, device.get(begun["public_key"], **how))


def refused(world: World, user_id: str, call: Callable[[], object], kind: type[Denied] = Unauthenticated) -> str:
    """The code of a refusal, which must be the newest record of the borrower's trail as well."""
    tokens = world.accounts.calls
    with pytest.raises(kind) as caught:
        call()
    record = world.trail(user_id)[-1]
    assert (record.action, record.after["reason"]) == ("passkey-refused", caught.value.code)
    assert world.accounts.calls == tokens, "nobody may be signed in"
    return caught.value.code
