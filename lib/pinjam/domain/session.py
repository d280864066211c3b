"""How long somebody stays logged in: refresh tokens that are each used once, and what ends them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pinjam.domain.user import Sealed, User

GRACE = timedelta(seconds=30)
"""For so long the refresh token that was used last gives the same successor again: an app may ask twice at once, or
ask again because the answer was lost."""

UNUSED_LIFE = timedelta(days=35)
"""A session that nobody has used for so long is over: a month between two instalments, and some days."""

Standing = Literal["current", "repeated", "reused", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A family of refresh tokens, each the successor of the one before; all go back to one login.

    Tokens are numbered, and `generation` is the one that counts; `rotated_at` is when it took the place of its
    predecessor. `provider_token` is what the identity provider gave at the login: it never leaves us, so that nobody
    gets past the rules here. All instants are real time, whatever the business date.
    """

    id: str
    user_id: str
    generation: int
    provider_token: Sealed
    opened_at: datetime
    rotated_at: datetime
    ended_at: datetime | None = None

    def standing(self, generation: int, user: User, now: datetime) -> Standing:
        """What it means that a genuine token of this generation is presented.

        "current" and "repeated" are answered with the successor of that generation. "reused" is a token that was
        used up before: two parties hold tokens of this family, and one of them is a thief.
        """
        everything_ended = user.sessions_ended_at is not None and self.opened_at <= user.sessions_ended_at
        unused = now - self.rotated_at > UNUSED_LIFE
        if self.ended_at is not None or everything_ended or unused or generation > self.generation:
            return "over"
        if generation == self.generation:
            return "current"
        if generation == self.generation - 1 and now - self.rotated_at <= GRACE:
            return "repeated"
        return "reused"

    def rotated(self, provider_token: Sealed, now: datetime) -> "Session":
        """With the next token in the place of the current one."""
        return replace(self, generation=self.generation + 1, provider_token=provider_token, rotated_at=now)


def signed_out(user: User, at: datetime) -> User:
    """The borrower once every session is ended; `at` is real time."""
    return replace(distrusted(user, at), sessions_ended_at=at)


def distrusted(user: User, at: datetime) -> User:
    """The borrower once no ID token issued until then moves money any more, though none has expired."""
    return replace(user, tokens_valid_after=at)


def is_trusted(user: User, issued_at: datetime | None) -> bool:
    """Whether an ID token may move money. Its time is in whole seconds, so one of the very second may not."""
    if user.tokens_valid_after is None:
        return True
    return issued_at is not None and issued_at > user.tokens_valid_after
