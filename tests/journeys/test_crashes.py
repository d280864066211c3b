"""The program itself, killed at the worst moments, started again, and read out loud: what its logs say.

One story for the whole module: it is told by a fixture, and each test looks at one part of it.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from pinjam.local.dispatch import PushSettings
from pinjam.local.people import People, Person
from pinjam.local.road import Json, Reply, Road, Unexpected, Walker
from pinjam.local.state import AlreadyRunning
from pinjam.local.system import LocalSystem
from pinjam.services.delivering import LEASE

WAIT_S = 60
ANSWERS_BEFORE_THE_KILL = 20
# `python -m pinjam.local`, with a sweep every second, and a real kill -9 of itself between the commit of an
# application and its publication, at the time when the file `die` is there.
PROGRAM = """
import os, pathlib, signal, sys
import pinjam.local.__main__ as program
from pinjam.adapters.pubsub import PubSubPublisher
from pinjam.local.system import LocalSystem

LocalSystem.__init__.__kwdefaults__["sweep_every_s"] = 1.0
publish = PubSubPublisher.publish

def publish_or_die(self, events):
    deadly = pathlib.Path(os.environ["PINJAM_STATE"], "die").exists()
    if deadly and "loan-submitted" in {event.topic for event in events}:
        os.kill(os.getpid(), signal.SIGKILL)
    publish(self, events)

PubSubPublisher.publish = publish_or_die
sys.exit(program.main(os.environ))
"""


class Program:
    """A local system in a process of its own; what it writes goes to files."""

    def __init__(self, state: Path, papers: Path) -> None:
        self.state = state
        self.said, self.logged = papers.with_suffix(".out"), papers.with_suffix(".err")
        with self.said.open("w") as out, self.logged.open("w") as err:
            self.process = subprocess.Popen(  # noqa: S603  # this interpreter, with a constant program
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, "PINJAM_STATE": str(state), "PORT": "0"},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.url = self._address()

    def _address(self) -> str:
        gate = threading.Event()
        for _ in range(WAIT_S * 50):
            found = re.search(r"runs on (http://\S+)", self.said.read_text())
            if found:
                return found[1]
            assert self.process.poll() is None, self.logged.read_text()
            gate.wait(0.02)
        raise AssertionError(self.logged.read_text())

    @property
    def postmaster(self) -> int:
        return int((self.state / "postgres" / "postmaster.pid").read_text().split()[0])

    def ends(self) -> int:
        return self.process.wait(WAIT_S)


@dataclass(kw_only=True)
class Story:
    """What happened."""

    state: Path
    people: list[Person] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)
    database_logs: list[str] = field(default_factory=list)
    paid_loan_before: Any = None
    paid_loan_after: Any = None
    cut_off: httpx.HTTPError | None = None
    first_exit: int = 0
    applied_again: Reply | None = None
    decided: Any = None
    strangers_login: Reply | None = None
    second_start: AlreadyRunning | None = None
    answered: list[tuple[Person, str, str]] = field(default_factory=list)
    """Who was told 201 of what, and its id."""
    lost: list[tuple[Person, str, str]] = field(default_factory=list)
    last_exit: int = -1
    last_words: str = ""
    database_ended: bool = False


def is_gone(process_id: int) -> bool:
    """Whether a process ends within moments: a server removes its files a little before it is gone itself."""
    gate = threading.Event()
    return any(not Path(f"/proc/{process_id}").exists() or gate.wait(0.02) for _ in range(250))


def end_of(program: Program, story: Story) -> None:
    """Keep what was written: the database's log is thrown away at the next start."""
    story.logs.append(program.logged.read_text())
    story.database_logs.append((program.state / "postgres" / "server.log").read_text(errors="replace"))


def walk_with_trouble(road: Road, people: People, story: Story) -> tuple[Walker, str]:
    """The whole road, with failures of every kind on the way, so that the log has reasons to talk."""
    walker = Walker(road, people.person(), people)
    story.people.append(walker.person)
    for provider in ("ekyc", "email", "sms", "whatsapp", "payout"):
        road.fault(provider, "down", times=1)
    loan_id = walker.become_borrower()
    for provider in ("email", "sms", "whatsapp"):
        road.fault(provider, "reject", times=1)
    payment = walker.start_payment(loan_id, key="my-secret-key").expect(201)
    story.secrets.update(walker.register().body.get("tokens", {}).values())
    road.pay_at_bank(payment["id"], duplicates=1).expect(200)
    walker.told("payment-received")
    wrong = f"{walker.person.password}-but-wrong"
    assert walker.log_in(walker.person.phone, wrong).status == 401
    # Personal data where none belongs.
    walker.call("GET", f"/api/loans/{walker.person.nik}").expect(404)
    walker.call("GET", "/api/loans", query={"cursor": walker.person.email}).expect(422)
    walker.call("GET", f"/api/{walker.person.phone}").expect(404)
    road.call("POST", "/api/auth/register", body={walker.person.email: walker.person.nik}).expect(422)
    tokens = walker.log_in(walker.person.email).expect(200)["tokens"]
    story.secrets |= {wrong, tokens["id_token"], tokens["refresh_token"]}
    return walker, loan_id


def race_to_sign_up(road: Road, people: People, story: Story) -> None:
    """One person, and others with the same e-mail address, at once: the database's complaints must not name them."""
    person = people.person()
    others = [replace(people.person(), email=person.email) for _ in range(10)]
    story.people += [person, *others]
    bodies = [one.registration for one in [person] * 10 + others]
    with ThreadPoolExecutor(len(bodies)) as pool:
        calls = [pool.submit(road.call, "POST", "/api/auth/register", body=body) for body in bodies]
        statuses = Counter(one.result().status for one in calls)
    assert set(statuses) == {201, 409}


def traffic_until_killed(program: Program, people: People, story: Story) -> None:
    """Four people after the other at a time sign up and send a picture, until everything is killed at once."""
    crowd = [people.person() for _ in range(200)]
    story.people += crowd
    enough, lock = threading.Event(), threading.Lock()

    def come(persons: list[Person]) -> None:
        with Road(program.url) as road, contextlib.suppress(httpx.HTTPError, Unexpected):
            for person in persons:
                walker = Walker(road, person, people)
                made = [(person, "user", walker.register().expect(201)["user"]["id"])]
                made.append((person, "document", walker.upload("ktp", people.picture()).expect(201)["id"]))
                with lock:
                    story.answered += made
                    if len(story.answered) >= ANSWERS_BEFORE_THE_KILL:
                        enough.set()

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(come, crowd[number::4])
        assert enough.wait(WAIT_S)
        postmaster = program.postmaster
        os.kill(program.process.pid, signal.SIGKILL)
        os.kill(postmaster, signal.SIGKILL)
    program.ends()


def find_lost(road: Road, people: People, story: Story) -> None:
    """Whoever was told 201 must be able to log in, and to see the picture."""
    for person, kind, id_ in story.answered:
        walker = Walker(road, person, people)
        reply = walker.log_in(person.email)
        user: Json = reply.body["user"] if reply.status == 200 else {"id": "", "documents": []}
        held: set[str] = {user["id"]} if kind == "user" else {document["id"] for document in user["documents"]}
        if id_ not in held:
            story.lost.append((person, kind, id_))


@pytest.fixture(scope="module")
def story(people: People, shared_system: LocalSystem) -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="pinjam-crashes-") as folder:
        # Longer than the path of a UNIX socket may be.
        state = Path(folder, *["a folder with a long name " + "x" * 40] * 3)
        story, papers = Story(state=state), Path(folder)
        first = Program(state, papers / "first")
        with Road(first.url) as road:
            walker, loan_id = walk_with_trouble(road, people, story)
            race_to_sign_up(road, people, story)
            with Road(shared_system.url) as elsewhere:
                story.strangers_login = Walker(elsewhere, walker.person, people).log_in(walker.person.email)
            try:
                LocalSystem(state, 0).start()
            except AlreadyRunning as refusal:
                story.second_start = refusal
            applicant = Walker(road, people.person(), people)
            story.people.append(applicant.person)
            applicant.become_verified()
            story.paid_loan_before = walker.loan(loan_id).expect(200)
            (state / "die").touch()
            try:
                applicant.apply(3_000_000, 6, key="one")
            except httpx.HTTPError as cut_off:
                story.cut_off = cut_off
        story.first_exit = first.ends()
        end_of(first, story)
        (state / "die").unlink()

        second = Program(state, papers / "second")
        with Road(second.url) as road:
            applicant.road = walker.road = road
            story.applied_again = applicant.apply(3_000_000, 6, key="one")
            story.decided = applicant.decided(story.applied_again.expect(202)["loan"]["id"])
            story.paid_loan_after = walker.loan(loan_id).expect(200)
        traffic_until_killed(second, people, story)
        end_of(second, story)

        third = Program(state, papers / "third")
        with Road(third.url) as road:
            find_lost(road, people, story)
        postmaster = third.postmaster
        os.killpg(third.process.pid, signal.SIGINT)
        story.last_exit = third.ends()
        story.database_ended = is_gone(postmaster)
        story.last_words = third.said.read_text()
        end_of(third, story)
        yield story


def test_an_application_whose_event_was_not_published_is_decided_after_the_restart(story: Story) -> None:
    assert story.cut_off is not None
    assert story.first_exit == -signal.SIGKILL
    assert story.applied_again is not None
    assert story.applied_again.headers["idempotent-replayed"] == "true"
    assert story.decided["status"] == "approved"


def test_a_restart_brings_back_what_was_there_to_the_rupiah(story: Story) -> None:
    assert story.paid_loan_before["schedule"][0]["status"] == "paid"
    assert story.paid_loan_after == story.paid_loan_before


def test_whatever_was_answered_before_a_kill_of_system_and_database_is_there_afterwards(story: Story) -> None:
    assert len(story.answered) >= ANSWERS_BEFORE_THE_KILL
    assert story.lost == []


def test_an_interrupt_ends_the_program_cleanly_and_leaves_no_database_behind(story: Story) -> None:
    assert story.last_exit == 0
    assert "Stopping" in story.last_words
    assert "Traceback" not in story.logs[-1]
    assert story.database_ended
    assert not (story.state / "system.json").exists()


def test_a_folder_with_a_path_longer_than_a_sockets_serves(story: Story) -> None:
    assert len(os.fsencode(story.state)) > 107
    assert story.decided


def test_two_systems_side_by_side_do_not_know_each_others_people(story: Story) -> None:
    assert story.strangers_login is not None
    assert story.strangers_login.expect(401)["code"] == "invalid-credentials"


def test_a_second_system_on_the_same_folder_says_who_has_it(story: Story) -> None:
    assert story.second_start is not None
    assert str(story.state) in str(story.second_start)
    assert "PINJAM_STATE" in str(story.second_start)


def test_every_line_of_the_log_is_one_json_object_with_severity_time_and_message(story: Story) -> None:
    lines = [line for log in story.logs for line in log.splitlines()]
    assert len(lines) > 100
    for line in lines:
        entry = json.loads(line)
        assert {"severity", "time", "message"} <= set(entry), line
        assert entry["severity"] in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", entry["time"])


def test_an_event_comes_again_for_longer_than_a_sender_that_died_holds_its_message() -> None:
    push = PushSettings()
    at_least = sum(push.pause_s(attempt, 0.0) for attempt in range(1, push.deliveries))
    assert at_least > LEASE.total_seconds()


def test_the_database_does_not_log_the_value_of_a_duplicate_key(system: LocalSystem, state: Path) -> None:
    with psycopg.connect(system.app.settings.database_url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE taken (email text UNIQUE)")
        connection.execute("INSERT INTO taken VALUES (%s)", ["siti.personal@example.com"])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO taken VALUES (%s)", ["siti.personal@example.com"])
    logged = (state / "postgres" / "server.log").read_text(errors="replace")
    assert "taken_email_key" in logged
    assert "siti.personal" not in logged


@pytest.mark.parametrize("which", ["the system's", "the database's"])
def test_no_log_names_a_person_or_a_secret(which: str, story: Story) -> None:
    text = "\n".join(story.logs if which == "the system's" else story.database_logs)
    kept = json.loads((story.state / "secrets.json").read_text())
    traits: dict[str, Callable[[Person], str]] = {
        "name": lambda person: person.full_name,
        "e-mail address": lambda person: person.email,
        "phone": lambda person: person.phone[1:],
        "phone as people write it": lambda person: person.phone_spellings[2],
        "NIK": lambda person: person.nik,
        "password": lambda person: person.password,
        "account": lambda person: person.account_number,
    }
    told = {name for name, of in traits.items() for person in story.people if of(person).lower() in text.lower()}
    assert told == set()
    secrets = story.secrets | set(kept.values()) | {"my-secret-key"}
    assert [secret[:6] for secret in secrets if secret in text] == []
    assert re.search(r"eyJ[\w-]{10,}\.", text) is None, "a token"
