"""A family of refresh tokens: each used once, and one that comes back too late ends them all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.conftest import Samples

from pinjam.domain.session import GRACE, UNUSED_LIFE, Session, distrusted, is_trusted, signed_out
from pinjam.domain.user import Sealed

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)
USER = Samples().user()
SESSION = Session(
    id="ses_1", user_id=USER.id, generation=5, provider_token=Sealed("one"), opened_at=AT, rotated_at=AT + SECOND
)


@pytest.mark.parametrize(
    ("generation", "after", "standing"),
    [
        (5, UNUSED_LIFE, "current"),
        (5, UNUSED_LIFE + timedelta(microseconds=1), "over"),
        (4, UNUSED_LIFE + timedelta(microseconds=1), "over"),
        (4, timedelta(), "repeated"),
        (4, GRACE, "repeated"),
        (4, GRACE + timedelta(microseconds=1), "reused"),
        (3, timedelta(), "reused"),
        (1, GRACE, "reused"),
        # Only a store that was set back to an earlier day can be asked this.
        (6, timedelta(), "over"),
    ],
)
def test_what_a_token_is_worth(generation: int, after: timedelta, standing: str) -> None:
    assert SESSION.standing(generation, USER, SESSION.rotated_at + after) == standing


@pytest.mark.parametrize("generation", range(1, 7))
def test_nothing_goes_on_with_a_session_that_was_ended(generation: int) -> None:
    now = SESSION.rotated_at
    ended = replace(SESSION, ended_at=now)
    assert ended.standing(generation, USER, now) == "over"
    assert SESSION.standing(generation, signed_out(USER, SESSION.opened_at), now) == "over"
    assert SESSION.standing(5, signed_out(USER, SESSION.opened_at - SECOND), now) == "current"
    # One session that is in doubt ends no others.
    assert SESSION.standing(5, distrusted(USER, now), now) == "current"


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 40)), max_size=40))
def test_whatever_comes_in_whatever_order_only_one_token_counts(asked: list[tuple[int, int]]) -> None:
    session, now = replace(SESSION, generation=1, rotated_at=AT), AT
    given_out = {1}
    for wanted, seconds in asked:
        now += timedelta(seconds=seconds)
        generation = min(wanted, max(given_out))
        standing = session.standing(generation, USER, now)
        before = session
        if standing == "current":
            session = session.rotated(Sealed("next"), now)
            given_out.add(session.generation)
        elif standing == "reused":
            session = replace(session, ended_at=now)
        if before.ended_at is not None:
            assert standing == "over"
        else:
            # A token is answered if it is the last one, or was until just now; any older one ends all.
            assert (standing == "current") == (generation == before.generation)
            late = now - before.rotated_at > GRACE
            assert (standing == "reused") == (
                generation < before.generation - 1 or (generation == before.generation - 1 and late)
            )
        assert session.generation == max(given_out)


def test_a_token_of_the_second_in_which_sessions_were_ended_moves_no_money() -> None:
    assert is_trusted(USER, None)
    ended = signed_out(USER, AT + timedelta(milliseconds=400))
    assert ended.sessions_ended_at == ended.tokens_valid_after
    assert not is_trusted(ended, None)
    for seconds, trusted in ((-3600, False), (0, False), (1, True)):
        assert is_trusted(ended, AT + timedelta(seconds=seconds)) == trusted
    assert not is_trusted(signed_out(USER, AT), AT)
