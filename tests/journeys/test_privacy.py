"""Personal data beside a running system: what a dump shows, what a borrower gets, and what is left in the end."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pinjam.domain.keys import UserKey
from pinjam.domain.nik import parse_nik
from pinjam.domain.user import User
from pinjam.local.road import Walker
from pinjam.local.system import LocalSystem
from pinjam.services.recording import Actor

WAIT_S = 30
DEVICE = "device-token-of-a-phone-that-nobody-may-read"
ADDRESS = "Jalan Kamboja Nomor 17"

OUTSIDE = {"local_sandbox"}
"""What the sandbox providers remember: the banks, the e-KYC service and the inboxes are not ours to keep."""
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}")

NOT_DUMPED = {"postgres", "secrets.json", "keys.json", "keys.lock", "identity-key.pem"}
"""The database's own files, which the dump of its tables stands for, and keys, of which a dump must have none."""


def tables(url: str, schemas: Callable[[str], bool]) -> dict[str, bytes]:
    """Every table of these schemas, each row as PostgreSQL writes it."""
    with psycopg.connect(url, autocommit=True) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        return {
            f"{schema}.{table}": "\n".join(
                row[0]
                for row in connection.execute(
                    sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(schema, table))
                )
            ).encode()
            for schema, table in names
            if schemas(schema)
        }


def files(state: Path) -> dict[str, bytes]:
    """What else the system keeps in its folder, the database's log among it."""
    kept = [one for one in state.rglob("*") if one.is_file() and one.relative_to(state).parts[0] not in NOT_DUMPED]
    kept.append(state / "postgres" / "server.log")
    return {str(one.relative_to(state)): one.read_bytes() for one in kept}


def read_through(content: bytes, depth: int = 2) -> bytes:
    """The content, and below it whatever in it is base64 (or the kind for URLs), also within itself."""
    runs = BASE64.findall(content)
    if not depth or not runs:
        return content
    opened = (base64.b64decode(run + b"=" * (-len(run) % 4), altchars=b"-_") for run in map(url_safe, runs))
    return content + b"\n" + read_through(b"\n".join(opened), depth - 1)


def url_safe(run: bytes) -> bytes:
    """A run in the alphabet for URLs, without the one sign that is too many for any bytes."""
    run = run.translate(bytes.maketrans(b"+/", b"-_"))
    return run[:-1] if len(run) % 4 == 1 else run


def secrets_of(walker: Walker, refresh_token: str) -> dict[str, list[str]]:
    """What must not be found, by name, in the spellings that people and programs use."""
    person = walker.person
    nik = parse_nik(person.nik, today=date(2026, 11, 22))
    born = nik.birth_date
    assert walker.token is not None
    return {
        # With the day of birth in it, from either side.
        "NIK": [person.nik, person.nik[:12], person.nik[6:], f"{person.nik[:6]} {person.nik[6:12]}"],
        "birth date": [f"{born:{form}}" for form in ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%Y/%m/%d", "%d.%m.%Y")],
        "account number": [person.account_number],
        "address": [ADDRESS, "Kamboja"],
        "password": [person.password],
        "tokens": [walker.token, walker.token.rpartition(".")[2], refresh_token, DEVICE],
    }


def leaks(kept: dict[str, bytes], secrets: dict[str, list[str]]) -> set[tuple[str, str]]:
    """Where something was found, and what."""
    return {
        (place, name)
        for place, content in kept.items()
        for name, values in secrets.items()
        for value in values
        for spelling in (value.encode(), value.encode().hex().encode())
        if spelling in content
    }


@pytest.fixture
def walked(walker: Walker, system: LocalSystem) -> tuple[Walker, dict[str, list[str]]]:
    """Somebody who has walked the whole road, also where it is rough."""
    loan_id = walker.become_borrower()
    walker.change(address=ADDRESS).expect(200)
    walker.upload("income").expect(201)
    walker.call("PUT", "/api/notifications/devices", body={"token": DEVICE, "platform": "ios"}).expect(204)
    walker.register().expect(409)
    walker.log_in("nobody@example.com", walker.person.password).expect(401)
    tokens = walker.log_in(walker.person.phone).expect(200)["tokens"]
    walker.road.call("POST", "/api/auth/refresh", body={"refresh_token": tokens["refresh_token"]}).expect(200)
    walker.repay(loan_id, key="one")
    walker.call("POST", "/api/users/export").expect(200)
    assert system.wait_until_quiet(WAIT_S)
    return walker, secrets_of(walker, tokens["refresh_token"])


def test_a_dump_shows_no_number_date_address_password_or_token(
    walked: tuple[Walker, dict[str, list[str]]], system: LocalSystem, state: Path
) -> None:
    walker, secrets = walked
    url = system.app.settings.database_url
    kept = tables(url, lambda schema: schema not in OUTSIDE) | files(state)
    kept = {place: read_through(content) for place, content in kept.items()}
    assert {place.partition(".")[0] for place in kept} >= {"public", "local_identity", "local_broker", "local_tasks"}
    assert leaks(kept, secrets) == set()
    everything = b"\n".join(kept.values())
    born = walker.person.nik[6:12].encode()
    # After a point it is a part of a second.
    assert re.search(rb"(?<![0-9A-Za-z.])" + born + rb"(?![0-9A-Za-z])", everything) is None
    # What a borrower is found by and written to can be read, so the search does find what is there.
    for found in (walker.person.email, walker.person.phone_e164, walker.person.full_name):
        assert found.encode() in kept["public.users"]
    # And it reads what is packed: tasks carry events in base64 within base64.
    user_id = walker.profile().expect(200)["id"].encode()
    assert user_id in kept["local_tasks.tasks"]
    outside = tables(url, lambda schema: schema in OUTSIDE)
    assert {name for _, name in leaks(outside, secrets)} >= {"account number"}


def test_no_paper_lies_in_the_folder_as_it_was_sent(walker: Walker, state: Path) -> None:
    walker.register().expect(201)
    before = set((state / "objects").rglob("*"))
    document = walker.upload("ktp").expect(201)
    (kept,) = [one for one in set((state / "objects").rglob("*")) - before if one.is_file()]
    shown = walker.call("GET", f"/api/documents/{document['id']}").expect(200)
    fetched = walker.road.call("GET", shown["download_url"])
    assert (fetched.status, fetched.headers["content-type"]) == (200, "image/jpeg")
    assert fetched.headers["cache-control"] == "no-store"
    assert fetched.content.startswith(b"\xff\xd8\xff")
    _, _, sealed = kept.read_bytes().partition(b"\n")
    assert sealed.startswith(b"v2.")
    assert b"\xff\xd8\xff" not in sealed[:64]
    assert fetched.content[100:200] not in sealed


def test_a_borrower_gets_all_that_is_held(walker: Walker, system: LocalSystem) -> None:
    loan_id = walker.become_borrower()
    walker.change(address=ADDRESS).expect(200)
    walker.call("PUT", "/api/notifications/devices", body={"token": DEVICE, "platform": "ios"}).expect(204)
    payment = walker.repay(loan_id, key="one")
    assert system.wait_until_quiet(WAIT_S)
    reply = walker.call("POST", "/api/users/export")
    held = reply.expect(200)
    person = walker.person
    assert (held["nik"], held["user"]["address"]) == (person.nik, ADDRESS)
    assert held["user"]["bank_account"]["account_number"] == person.account_number
    assert held["user"]["birth_date"] == parse_nik(person.nik, today=date(2026, 11, 22)).birth_date.isoformat()
    assert {one["purpose"] for one in held["consents"]} == {"terms", "privacy"}
    assert {one["kind"] for one in held["documents"]} == {"ktp", "selfie"}
    (loan,) = held["loans"]
    assert (loan["id"], len(loan["schedule"]), loan["contract"]["borrower"]["full_name"]) == (
        loan_id,
        6,
        person.full_name,
    )
    assert loan["decided"]["input"]["application"]["monthly_income"] == 9_000_000
    assert [one["id"] for one in held["payments"]] == [payment["id"]]
    assert held["notifications"]
    assert [set(one) for one in held["devices"]] == [{"id", "platform", "registered_at", "in_use"}]
    assert {"user-registered", "loan-submitted", "loan-disbursed", "data-exported"} <= {
        one["action"] for one in held["audit"]
    }
    assert DEVICE.encode() not in reply.content
    assert person.password.encode() not in reply.content


def test_who_asks_to_be_forgotten_is_restricted_and_then_gone(
    walker: Walker, system: LocalSystem, problem: Callable[..., dict[str, Any]]
) -> None:
    walker.register().expect(201)
    walker.upload("ktp").expect(201)
    today = walker.road.today()
    tokens = walker.log_in(walker.person.email).expect(200)["tokens"]
    asked = walker.call("POST", "/api/users/erasure").expect(202)
    assert asked == {"status": "restricted", "erased_after": (today + timedelta(days=30)).isoformat()}
    assert walker.call("POST", "/api/users/erasure").expect(202) == asked
    refresh = {"refresh_token": tokens["refresh_token"]}
    problem(walker.road.call("POST", "/api/auth/refresh", body=refresh), 401, "invalid-refresh-token")
    user_id = walker.log_in(walker.person.email).expect(200)["user"]["id"]
    problem(walker.change(locale="en"), 409, "account-restricted")
    problem(walker.upload("selfie"), 409, "account-restricted")
    walker.call("POST", "/api/users/export").expect(200)
    walker.road.set_date(today + timedelta(days=31)).expect(200)
    assert system.app.erasing.erase(user_id, actor=Actor(id="sweep", request_id="req_erasing"))
    problem(walker.log_in(walker.person.email), 401, "invalid-credentials")
    problem(walker.profile(), 404, "user-not-found")
    user = system.app.store.read(lambda tx: tx.get(User, user_id))
    key = system.app.store.read(lambda tx: tx.get(UserKey, user_id))
    assert user is not None
    assert key is not None
    assert (user.full_name, user.erased_at is not None, key.wrapped) == ("-", True, None)
    walker.road.set_date(today).expect(200)
    walker.register().expect(201)


def test_who_owes_money_cannot_be_forgotten(walker: Walker, problem: Callable[..., dict[str, Any]]) -> None:
    walker.become_borrower()
    problem(walker.call("POST", "/api/users/erasure"), 409, "erasure-debt-open")
    assert walker.profile().expect(200)["full_name"] == walker.person.full_name


def test_the_wrapping_key_is_rotated_beside_the_running_system(
    walker: Walker, system: LocalSystem, state: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PINJAM_")}
        return subprocess.run(  # noqa: S603 - this very interpreter
            [sys.executable, "-m", "pinjam.keys", *arguments],
            env=environment | {"PINJAM_STATE": str(state)},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    walker.register().expect(201)
    user_id = walker.profile().expect(200)["id"]
    before = system.app.store.read(lambda tx: tx.get(UserKey, user_id))
    assert before is not None
    assert before.wrapping_key is not None
    assert before.wrapping_key in run("status").stdout
    done = run("rotate", "--new")
    assert (done.returncode, done.stderr) == (0, "")
    assert "wraps from now on." in done.stdout
    assert "No earlier key is in use." in done.stdout
    after = system.app.store.read(lambda tx: tx.get(UserKey, user_id))
    assert after is not None
    assert after.wrapping_key not in (None, before.wrapping_key)
    system.app.vault.forget(user_id)
    born = walker.profile().expect(200)["birth_date"]
    assert born == parse_nik(walker.person.nik, today=date(2026, 11, 22)).birth_date.isoformat()
    again = run("rotate")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, f"0 wrapped anew under {after.wrapping_key}.")


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    environment = {"PINJAM_STATE": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "pinjam.keys"], env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pinjam.keys: PINJAM_")
