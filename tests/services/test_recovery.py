"""A forgotten password: a code by e-mail, a new password, and nothing for those who only ask."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.world import PASSWORD, START, World

from pinjam.domain.notification import Notification
from pinjam.domain.recovery import DIGITS, LEASE, LIFE, MOST_TRIES, ResetCode
from pinjam.domain.trail import Event
from pinjam.domain.user import User
from pinjam.services.errors import Denied, Invalid, StateForbids, TooMany, Unauthenticated
from pinjam.services.limits import STRICT
from pinjam.services.messaging import Message
from pinjam.services.ports import Unavailable
from pinjam.services.store import Conflict, Reader, Transaction

HOME = "203.0.113.7"
NEW = "a new and longer password"
REQUEST = "req_12345678"
WRONG = "0" * DIGITS
UNKNOWN = ["nobody@example.com", "081234599999", "+6281234599999", "no identifier", "@"]


@pytest.fixture
def user(world: World) -> User:
    return world.register()


def ask(world: World, identifier: str, address: str = HOME) -> None:
    world.app.recovery.ask(identifier, address=address, request_id=REQUEST)


def mails(world: World) -> list[Message]:
    """The e-mails with codes, oldest first."""
    return [one for one in world.messengers["email"].sent if one.kind == "password-reset-code"]


def code_in(mail: Message) -> str:
    (code,) = set(re.findall(r"\b\d{8}\b", mail.body))
    return str(code)


def asked(world: World, user: User) -> str:
    """The code that somebody got who asked."""
    ask(world, user.email)
    world.run_tasks()
    return code_in(mails(world)[-1])


def reset(world: World, identifier: str, code: str, password: str = NEW, address: str = HOME) -> None:
    world.app.recovery.reset(
        identifier=identifier, code=code, new_password=password, address=address, request_id=REQUEST
    )


def refused(world: World, identifier: str, code: str, password: str = NEW, address: str = HOME) -> None:
    with pytest.raises(Invalid) as told:
        reset(world, identifier, code, password, address)
    assert (told.value.code, [(one.field, one.code) for one in told.value.fields]) == (
        "invalid-code",
        [("code", "code-invalid")],
    )


def log_in(world: World, user: User, password: str) -> str:
    _, tokens = world.app.sessions.login(identifier=user.email, password=password, address=HOME)
    return tokens.refresh_token


@pytest.mark.parametrize("identifier", ["siti1@example.com", " SITI1@Example.COM ", "081234500001", "+6281234500001"])
def test_a_code_by_e_mail_sets_a_new_password(world: World, user: User, identifier: str) -> None:
    ask(world, identifier)
    assert mails(world) == []
    world.run_tasks()
    (mail,) = mails(world)
    assert (mail.to, mail.locale, mail.subject) == (user.email, "id", "Kode untuk mengganti kata sandi")
    reset(world, identifier, code_in(mail))
    log_in(world, user, NEW)
    with pytest.raises(Unauthenticated):
        log_in(world, user, PASSWORD)


def test_the_e_mail_says_how_long_and_that_it_may_be_ignored_in_both_forms(world: World, user: User) -> None:
    world.put(replace(user, locale="en", full_name="Siti <b>"))
    code = asked(world, user)
    (mail,) = mails(world)
    assert mail.html is not None
    for form in (mail.body, mail.html):
        assert code in form
        assert "24 Nov 2026 09.15 WIB" in form
        assert "ignore this e-mail" in form
        assert "somebody asked for a code" in form
    assert "Siti &lt;b&gt;" in mail.html
    assert mail.attachments == ()


def test_every_session_ends_and_the_borrower_is_told(world: World, user: User) -> None:
    old = log_in(world, user, PASSWORD)
    token = replace(world.actor(user.id), token_issued_at=world.clock.now())
    world.app.profiles.change(user.id, actor=token, occupation="x")
    reset(world, user.email, asked(world, user))
    with pytest.raises(Unauthenticated):
        world.app.refreshing.refresh(old, actor=token)
    with pytest.raises(Unauthenticated) as late:
        world.app.profiles.change(user.id, actor=token, occupation="y")
    assert late.value.code == "token-revoked"
    assert set(world.accounts._sessions.values()) == set()
    world.deliver()
    (told,) = world.notifications("security-password-changed")
    assert told.user_id == user.id
    assert world.messengers["email"].sent[-1].kind == "security-password-changed"


def test_each_step_leaves_a_record_and_no_secret(world: World, user: User) -> None:
    code = asked(world, user)
    wrong = f"{(int(code) + 1) % 10**DIGITS:0{DIGITS}}"
    refused(world, user.email, wrong)
    reset(world, user.email, code)
    assert world.actions(user.id)[-3:] == ["reset-asked", "reset-code-wrong", "password-reset"]
    asking, wrongly, done = world.trail(user.id)[-3:]
    assert (asking.actor, wrongly.actor, done.actor) == ("anonymous", "anonymous", user.id)
    assert {one.request_id for one in (asking, wrongly, done)} == {REQUEST}
    assert (wrongly.after, done.after) == ({"tries": 1}, {"sessions": "ended"})


def test_the_code_is_kept_nowhere(world: World, user: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    code = asked(world, user)
    refused(world, user.email, f"{(int(code) + 1) % 10**DIGITS:0{DIGITS}}")
    world.deliver()
    seen = [world.memory._rows, world.publisher.events, world.tasks.waiting, world.tasks.done, caplog.text]
    assert code not in repr(seen)
    assert NEW not in repr(seen)
    assert world.all(Notification) == []
    # Nor is it found by trying all codes on what is kept: a record has no hash of it.
    (record,) = world.all(ResetCode)
    assert record == ResetCode(id=user.id, request=record.request, asked_at=START, expires_at=START + LIFE, tries=1)


def test_codes_differ_between_requests_and_borrowers(world: World) -> None:
    codes = [asked(world, world.register(number)) for number in (1, 2, 3)]
    world.pass_minutes(60)
    codes += [asked(world, world.user(one.id)) for one in world.all(User)]
    assert len(set(codes)) == 6


def test_a_new_code_replaces_the_old_one_with_tries_of_its_own(world: World, user: User) -> None:
    old = asked(world, user)
    for _ in range(MOST_TRIES - 1):
        refused(world, user.email, WRONG)
    world.pass_minutes(1)
    new = asked(world, user)
    refused(world, user.email, old, address="198.51.100.1")
    reset(world, user.email, new, address="198.51.100.2")


def test_five_wrong_tries_use_a_code_up(world: World, user: User) -> None:
    code = asked(world, user)
    for number in range(MOST_TRIES):
        refused(world, user.email, WRONG, address=f"198.51.100.{number}")
    refused(world, user.email, code)
    log_in(world, user, PASSWORD)
    assert world.actions(user.id).count("reset-code-wrong") == MOST_TRIES


def test_a_code_is_good_for_fifteen_minutes(world: World, user: User) -> None:
    code = asked(world, user)
    world.clock.instant += LIFE
    refused(world, user.email, code, address="198.51.100.1")
    world.clock.instant -= timedelta(seconds=1)
    reset(world, user.email, code)


def test_another_borrowers_code_is_wrong(world: World, user: User) -> None:
    other = world.register(2)
    theirs = asked(world, other)
    asked(world, user)
    refused(world, user.email, theirs)


def test_a_code_is_used_once_and_a_lost_answer_can_be_asked_for_again(world: World, user: User) -> None:
    code = asked(world, user)
    reset(world, user.email, code)
    refused(world, user.email, code, "yet another password")
    events = len(world.events("account-changed"))
    world.clock.advance(seconds=1)
    since = log_in(world, user, NEW)
    reset(world, user.email, code)
    assert len(world.events("account-changed")) == events == 1
    # The repetition changed nothing: who logged in meanwhile stays in.
    world.app.refreshing.refresh(since, actor=world.actor(user.id))
    for number in range(MOST_TRIES - 2):
        reset(world, user.email, code, address=f"198.51.100.{number}")
    refused(world, user.email, code, address="198.51.100.99")


def test_of_two_at_once_with_the_right_code_one_sets_the_password(world: World, user: User) -> None:
    code = asked(world, user)
    passwords = {"one new password": 0, "two new passwords": 0}
    codes: set[str] = set()
    ready = threading.Barrier(2)

    def go(password: str) -> None:
        ready.wait(10)
        try:
            reset(world, user.email, code, password)
        except Denied as denied:
            codes.add(denied.code)
        else:
            passwords[password] += 1

    threads = [threading.Thread(target=go, args=(password,)) for password in passwords]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [password for password, times in passwords.items() if times]
    assert world.accounts.passwords[user.id] == won
    assert codes <= {"request-running", "invalid-code"}


def test_a_crash_after_the_password_was_set_is_completed_by_repetition(world: World, user: User) -> None:
    old = log_in(world, user, PASSWORD)
    code = asked(world, user)

    class Died(Exception):
        pass

    def die(uid: str, *, password: str) -> None:
        type(world.accounts).set_password(world.accounts, uid, password=password)
        raise Died

    world.accounts.set_password = die  # type: ignore[method-assign]  # the process dies there
    with pytest.raises(Died):
        reset(world, user.email, code)
    del world.accounts.set_password
    assert world.user(user.id).sessions_ended_at is None
    with pytest.raises(StateForbids) as running:
        reset(world, user.email, code)
    assert running.value.code == "request-running"
    world.clock.instant += LEASE
    reset(world, user.email, code)
    assert world.user(user.id).sessions_ended_at == world.clock.now()
    assert len(world.events("account-changed")) == 1
    with pytest.raises(Unauthenticated):
        world.app.refreshing.refresh(old, actor=world.actor(user.id))


def test_a_provider_that_is_down_leaves_the_code_as_it_is(world: World, user: User) -> None:
    code = asked(world, user)
    world.accounts.down = True
    for _ in range(MOST_TRIES + 1):
        with pytest.raises(Unavailable):
            reset(world, user.email, code)
    world.accounts.down = False
    reset(world, user.email, code)


def test_a_password_that_the_provider_refuses_leaves_the_code_as_it_is(world: World, user: User) -> None:
    code = asked(world, user)
    world.accounts.refusing = True
    with pytest.raises(Invalid) as told:
        reset(world, user.email, code)
    assert [(one.field, one.code) for one in told.value.fields] == [("new_password", "password-refused")]
    world.accounts.refusing = False
    reset(world, user.email, code)


@pytest.mark.parametrize("password", ["short", "password123", "aaaaaaaaaa"])
def test_a_weak_password_is_refused_alike_for_everybody_and_costs_no_try(
    world: World, user: User, password: str
) -> None:
    code = asked(world, user)
    told = []
    for identifier, given in ((user.email, code), (user.email, WRONG), ("nobody@example.com", WRONG)):
        for _ in range(MOST_TRIES + 1):
            with pytest.raises(Invalid) as refusal:
                reset(world, identifier, given, password)
        told.append(refusal.value.fields)
    assert told[0] == told[1] == told[2]
    assert told[0][0].field == "new_password"
    reset(world, user.email, code)


@pytest.mark.parametrize("password", ["siti1@example.com", "Rahmawati 1990", "081234500001"])
def test_that_a_password_is_personal_is_told_to_those_only_who_have_the_code(
    world: World, user: User, password: str
) -> None:
    code = asked(world, user)
    refused(world, user.email, WRONG, password)
    refused(world, "nobody@example.com", WRONG, password)
    with pytest.raises(Invalid) as told:
        reset(world, user.email, code, password)
    assert [(one.field, one.code) for one in told.value.fields] == [("new_password", "password-contains-personal")]
    reset(world, user.email, code)


def test_a_sign_up_that_was_never_finished_has_nothing_to_recover(world: World, user: User) -> None:
    code = asked(world, user)
    world.accounts.passwords.clear()
    refused(world, user.email, code)


@pytest.mark.parametrize("identifier", UNKNOWN)
def test_an_unknown_identifier_is_told_nothing_and_nothing_is_sent(world: World, user: User, identifier: str) -> None:
    ask(world, identifier)
    world.run_tasks()
    assert [one.sent for one in world.messengers.values()] == [[], [], []]
    for number in range(MOST_TRIES + 1):
        refused(world, identifier, WRONG, address=f"198.51.100.{number}")
    assert world.actions(user.id) == ["user-registered", "account-created"]


def test_each_unknown_identifier_has_tries_of_its_own_however_it_is_spelt(world: World) -> None:
    for identifier in ("a@example.com", " A@Example.com", "081234599999", "+6281234599999", "b@example.com"):
        ask(world, identifier)
        world.run_tasks()
        world.pass_minutes(11)
    assert len(world.all(ResetCode)) == 3
    for number in range(MOST_TRIES):
        refused(world, "b@example.com", WRONG, address=f"198.51.100.{number}")
    assert sorted(one.tries for one in world.all(ResetCode)) == [0, 0, MOST_TRIES]


class Seen:
    """Counts what is asked of the store, by the call and the kind of record."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: Counter[str] = Counter()

    def transact(self, work: Callable[[Transaction], Any]) -> Any:
        self.counts["transact"] += 1
        return self.world.store.transact(lambda tx: work(SeenTransaction(tx, self.counts)))

    def read(self, work: Callable[[Reader], Any]) -> Any:
        self.counts["read"] += 1
        return self.world.store.read(lambda tx: work(SeenTransaction(tx, self.counts)))

    def get(self, kind: type, id: str) -> Any:
        return self.read(lambda tx: tx.get(kind, id))

    def find(self, query: Any) -> Any:
        return self.read(lambda tx: tx.find(query))


class SeenTransaction:
    def __init__(self, tx: Any, counts: Counter[str]) -> None:
        self.tx, self.counts = tx, counts

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._call, name)

    def _call(self, name: str, subject: Any, *more: Any) -> Any:
        kind = subject if isinstance(subject, type) else getattr(subject, "kind", type(subject))
        self.counts[f"{name} {getattr(kind, '__name__', '')}"] += 1
        return getattr(self.tx, name)(subject, *more)


def work_of(world: World, seen: Seen, call: Callable[[], None]) -> Counter[str]:
    """All that one call asked of anybody."""
    before = Counter(seen.counts)
    before |= Counter(accounts=world.accounts.calls, tasks=world.tasks.calls, events=len(world.publisher.events))
    call()
    after = Counter(seen.counts)
    after |= Counter(accounts=world.accounts.calls, tasks=world.tasks.calls, events=len(world.publisher.events))
    return after - before


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_the_work_is_the_same_for_an_account_and_for_none(world: World, unknown: str) -> None:
    seen = Seen(world)
    world.app.store = seen
    user = world.register()
    measured = []
    for identifier in (user.email, user.phone, unknown):
        never_asked = work_of(world, seen, partial(refused, world, identifier, WRONG, address="198.51.100.1"))
        asking = work_of(world, seen, partial(ask, world, identifier))
        world.run_tasks()
        wrong = work_of(world, seen, partial(refused, world, identifier, WRONG, address="198.51.100.2"))
        again = [work_of(world, seen, partial(refused, world, identifier, WRONG, address=f"192.0.2.{number}"))
                 for number in range(MOST_TRIES)]  # fmt: skip
        measured.append([never_asked, asking, wrong, *again])
        world.pass_minutes(60)
    assert measured[0] == measured[1] == measured[2]
    assert measured[0][1] == {"read": 1, "find User": 1, "tasks": 1}
    assert measured[0][2] == {
        "transact": 1,
        "find User": 1,
        "get ResetCode": 1,
        "find AuditRecord": 1,
        "update ResetCode": 1,
        "insert AuditRecord": 1,
    }


def test_asking_and_guessing_are_limited_for_known_and_unknown_alike(world: World, user: User) -> None:
    often = STRICT["forgot"].pair
    assert often is not None
    for identifier in (user.email, "nobody@example.com"):
        for _ in range(3):
            ask(world, identifier)
        with pytest.raises(TooMany) as stopped:
            ask(world, identifier)
        assert stopped.value.code == "too-many-requests"
        for _ in range(5):
            refused(world, identifier, WRONG)
        with pytest.raises(TooMany) as locked:
            reset(world, identifier, WRONG)
        assert locked.value.code == "too-many-attempts"


def test_a_task_that_comes_twice_sends_the_same_code_in_the_same_message(world: World, user: User) -> None:
    ask(world, user.email)
    (task,) = world.tasks.waiting.values()
    assert (task.queue, task.function, dict(task.event.data)) == ("email", "notify", {})
    for _ in range(2):
        world.consume(task.function, task.event)
    first, second = mails(world)
    assert first == second
    assert first.id == f"{task.event.id}-email"
    assert world.actions(user.id).count("reset-asked") == 1
    reset(world, user.email, code_in(first))
    world.consume(task.function, task.event)
    assert len(mails(world)) == 2


def test_a_mail_that_could_not_be_sent_is_tried_again_until_the_code_expires(world: World, user: User) -> None:
    ask(world, user.email)
    (task,) = world.tasks.waiting.values()
    world.messengers["email"].down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            world.consume("notify", task.event)
    world.messengers["email"].down = False
    world.pass_minutes(14)
    world.consume("notify", task.event)
    (mail,) = mails(world)
    reset(world, user.email, code_in(mail))
    world.pass_minutes(60)
    ask(world, user.email)
    late = list(world.tasks.waiting.values())[-1]
    world.messengers["email"].down = True
    with pytest.raises(Unavailable):
        world.consume("notify", late.event)
    world.messengers["email"].down = False
    world.clock.instant += LIFE
    world.consume("notify", late.event)
    assert mails(world) == [mail]


def test_an_address_that_is_refused_is_not_tried_again(world: World, user: User) -> None:
    ask(world, user.email)
    world.messengers["email"].refusing = True
    world.run_tasks()
    assert mails(world) == []
    assert world.tasks.waiting == {}


def test_an_older_request_that_comes_late_does_not_take_the_newer_codes_place(world: World, user: User) -> None:
    ask(world, user.email)
    (older,) = world.tasks.waiting.values()
    world.pass_minutes(1)
    world.tasks.waiting.clear()
    world.tasks.order.clear()
    code = asked(world, user)
    world.consume("notify", older.event)
    assert len(mails(world)) == 1
    reset(world, user.email, code)


def test_the_first_of_two_tasks_at_once_wins_and_both_are_heard(world: World, user: User) -> None:
    ask(world, user.email)
    (task,) = world.tasks.waiting.values()
    mail = world.app.code_mail
    transact, times = world.store.transact, []

    def late(work: Callable[[Transaction], Any]) -> Any:
        times.append(1)
        if len(times) == 1:
            transact(lambda tx: mail._issue(tx, task.event))
            raise Conflict(ResetCode, ("id",))
        return transact(work)

    world.store.transact = late  # type: ignore[method-assign]  # another worker is a moment earlier
    mail.send(task.event)
    assert len(mails(world)) == 1
    assert world.actions(user.id).count("reset-asked") == 1


def test_the_task_asks_for_nothing_personal(world: World, user: User) -> None:
    ask(world, user.phone)
    ask(world, "nobody@example.com")
    known, unknown = (task.event for task in world.tasks.waiting.values())
    assert known.subject == user.id
    for event in (known, unknown):
        assert isinstance(event, Event)
        assert "@" not in repr(event)
        assert "8123" not in repr(event)
