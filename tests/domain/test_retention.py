"""What passes goes when nobody can ask for it any more, and not a moment before."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.conftest import Samples

from pinjam.domain.passkey import CHALLENGE_LIFE, Challenge
from pinjam.domain.recovery import ASKED_LIFE, LIFE, ResetCode
from pinjam.domain.retention import (
    BROUGHT_AGAIN,
    DEAD_LETTERS_KEPT,
    RETENTION,
    SUBSCRIPTION_KEEPS,
    TASK_KEPT,
    Passing,
    may_go,
)
from pinjam.domain.session import Session
from pinjam.domain.trail import Consumption, Event, KeptAnswer
from pinjam.services.once import LEASE, Keyed
from pinjam.services.store import KINDS

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
SPANS = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=100))
SAMPLES = Samples()
PUBLISHED = replace(SAMPLES.event(), published_at=AT)
CONSUMED = Consumption(id="notify:evt_1", consumed_at=AT)
KEPT = replace(SAMPLES.kept_answer(), created_at=AT)


def test_each_kind_that_passes_has_its_rule_and_no_other_has_one() -> None:
    assert set(RETENTION) == set(get_args(Passing)) == {kind for kind, kept in KINDS.items() if kept.passing}
    for kind, retention in RETENTION.items():
        assert retention.field in {field.name for field in fields(kind)}
        assert datetime in (get_type_hints(kind)[retention.field], *get_args(get_type_hints(kind)[retention.field]))


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (replace(SAMPLES.challenge(), expires_at=AT), timedelta(minutes=15)),
        (replace(SAMPLES.challenge(), expires_at=AT, used_at=AT - DAY), timedelta(minutes=15)),
        (replace(SAMPLES.reset_code(), expires_at=AT), timedelta(hours=1)),
        (replace(SAMPLES.session(), rotated_at=AT), timedelta(days=36)),
        (replace(SAMPLES.session(), rotated_at=AT, ended_at=AT), timedelta(days=36)),
        (KEPT, timedelta(hours=48)),
        (replace(KEPT, leased_until=AT + DAY), timedelta(hours=72)),
        (replace(KEPT, leased_until=AT - DAY), timedelta(hours=48)),
        (CONSUMED, timedelta(days=35)),
        (PUBLISHED, timedelta(days=35)),
    ],
)
def test_a_record_goes_right_after_its_time(record: Passing, kept: timedelta) -> None:
    assert not may_go(record, AT + kept)
    assert may_go(record, AT + kept + TICK)


@given(SPANS)
def test_an_event_that_was_never_published_never_goes(passed: timedelta) -> None:
    assert not may_go(SAMPLES.event(), SAMPLES.event().occurred_at + 100 * passed)


@given(st.integers(0, 1), SPANS)
def test_a_refresh_token_that_is_good_finds_its_session(age: int, passed: timedelta) -> None:
    session = replace(SAMPLES.session(), generation=2, rotated_at=AT)
    standing = session.standing(session.generation - age, SAMPLES.user(), AT + passed)
    # Nor is one forgotten that would show a thief.
    assert standing == "over" or not may_go(session, AT + passed)


@given(SPANS, SPANS)
def test_a_key_is_known_again_for_a_day_and_while_its_request_runs(taken_up: timedelta, passed: timedelta) -> None:
    keyed: Keyed[None] = Keyed(id="usr_1:pay:1", fingerprint="f", status=201, render=lambda _: {})
    running = replace(keyed.begin("pay_1", now=AT + taken_up), created_at=AT)
    done, _ = keyed.answer(running, None)
    assert may_go(done, AT + passed) <= (passed > DAY)
    assert may_go(running, AT + passed) <= (passed > max(DAY, taken_up + LEASE))


@given(asked=SPANS, made_after=st.timedeltas(timedelta(), ASKED_LIFE), passed=SPANS)
def test_a_code_stays_while_it_is_valid_and_while_a_task_could_make_it_anew(
    asked: timedelta, made_after: timedelta, passed: timedelta
) -> None:
    made = AT + asked + made_after
    code = ResetCode(id="usr_1", request="evt_1", asked_at=AT + asked, expires_at=made + LIFE)
    now = made + passed
    assert not (may_go(code, now) and code.is_open(now))
    # `CodeMail` makes none of a request that is as old.
    assert may_go(code, now) <= (now - code.asked_at > ASKED_LIFE)


@given(SPANS)
def test_a_challenge_stays_while_it_can_be_answered(passed: timedelta) -> None:
    challenge = Challenge(
        id="chl_1", purpose="login", user_id=None, challenge_hash="0" * 64, expires_at=AT + CHALLENGE_LIFE
    )
    assert may_go(challenge, AT + passed) <= (passed > CHALLENGE_LIFE)


@pytest.mark.parametrize("record", [CONSUMED, PUBLISHED])
def test_what_an_event_did_is_known_for_as_long_as_anything_brings_it_again(record: Consumption | Event) -> None:
    # Delivered just before it would have been dropped, dead, brought again by hand at the last moment, and late again.
    assert not may_go(record, AT + SUBSCRIPTION_KEEPS + DEAD_LETTERS_KEPT + SUBSCRIPTION_KEEPS + DAY)
    assert not may_go(record, AT + TASK_KEPT + DAY)
    assert may_go(record, AT + BROUGHT_AGAIN + TICK)


def test_sessions_are_dated_in_real_time_and_all_else_by_the_business_clock() -> None:
    assert {kind for kind, retention in RETENTION.items() if retention.real} == {Session}
    assert KeptAnswer in RETENTION
