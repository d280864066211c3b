"""The papers over HTTP: types, names, languages, and what a client that cannot take a PDF gets."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.world import World

from pinjam.local.documents import documents
from pinjam.local.functions import load_functions
from pinjam.runtime.composition import install

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
LIKES_PDF = "application/pdf, application/json;q=0.5"


@pytest.fixture(scope="module")
def loans() -> Flask:
    app = load_functions(FUNCTIONS)["loans"]
    assert isinstance(app, Flask)
    return app


@pytest.fixture
def client(world: World, loans: Flask) -> Iterator[FlaskClient]:
    install(world.app)
    yield loans.test_client()
    install(None)


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


def as_user(user_id: str, **headers: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer id:{user_id}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


def test_the_contract_is_a_pdf_with_a_name_that_nobody_keeps_a_copy_of(
    world: World, client: FlaskClient, user_id: str
) -> None:
    loan_id = world.accepted(user_id)
    reply = client.get(f"/api/loans/{loan_id}/contract", headers=as_user(user_id, Accept="application/json"))
    paper = world.app.contracts.contract(user_id, loan_id)
    assert (reply.status_code, reply.data) == (200, paper.content)
    assert reply.data.startswith(b"%PDF-")
    assert reply.headers["Content-Type"] == "application/pdf"
    assert reply.headers["Content-Disposition"] == f'inline; filename="{paper.filename}"'
    assert paper.filename.startswith("PJM-")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["X-Request-Id"]


@pytest.mark.parametrize(("language", "title"), [("id", "Belum ada perjanjian"), ("en", "No contract yet")])
def test_before_acceptance_there_is_a_problem_in_the_callers_language(
    world: World, client: FlaskClient, user_id: str, language: str, title: str
) -> None:
    loan_id = world.apply(user_id)
    headers = as_user(user_id, Accept_Language=language, Accept="application/pdf")
    reply = client.get(f"/api/loans/{loan_id}/contract", headers=headers)
    assert (reply.status_code, reply.headers["Content-Type"]) == (409, "application/problem+json")
    body = reply.get_json(force=True)
    assert (body["code"], body["title"]) == ("no-contract", title)
    assert "submitted" in body["detail"]


def test_another_borrowers_papers_are_not_there(world: World, client: FlaskClient, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    stranger = world.verified(2)
    for path in ("contract", "summary"):
        reply = client.get(f"/api/loans/{loan_id}/{path}", headers=as_user(stranger, Accept="application/pdf"))
        assert (reply.status_code, reply.get_json(force=True)["code"]) == (404, "loan-not-found")
    assert client.get(f"/api/loans/{loan_id}/contract").status_code == 401


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "text/html", "application/json, application/pdf;q=0.9", "nonsense"]
)
def test_the_summary_is_json_for_everybody_who_does_not_prefer_a_pdf(
    world: World, client: FlaskClient, user_id: str, accept: str | None
) -> None:
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    headers = as_user(user_id) | ({} if accept is None else {"Accept": accept})
    reply = client.get(f"/api/loans/{loan_id}/summary", headers=headers)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/json")
    assert reply.get_json()["quote"]["amount"] == 3_000_000
    assert reply.headers["Vary"] == "Accept, Accept-Language, Origin"
    assert "Content-Disposition" not in reply.headers


@pytest.mark.parametrize(("language", "name"), [("id", "ringkasan"), ("en", "summary")])
@pytest.mark.parametrize("accept", ["application/pdf", LIKES_PDF])
def test_the_summary_is_a_pdf_in_the_callers_language_for_who_prefers_one(
    world: World, client: FlaskClient, user_id: str, accept: str, language: str, name: str
) -> None:
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    headers = as_user(user_id, Accept=accept, Accept_Language=language)
    reply = client.get(f"/api/loans/{loan_id}/summary", headers=headers)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/pdf")
    assert reply.data.startswith(b"%PDF-")
    assert reply.headers["Content-Disposition"].endswith(f'-{name}.pdf"')
    assert reply.headers["Vary"] == "Accept, Accept-Language, Origin"
    assert reply.data == client.get(f"/api/loans/{loan_id}/summary", headers=headers).data


def test_a_route_with_one_kind_of_answer_does_not_vary_by_what_is_accepted(
    world: World, client: FlaskClient, user_id: str
) -> None:
    loan_id = world.accepted(user_id)
    for path in ("", "/contract"):
        reply = client.get(f"/api/loans/{loan_id}{path}", headers=as_user(user_id))
        assert reply.headers["Vary"] == "Accept-Language, Origin"


def test_the_documents_say_which_answers_are_files() -> None:
    texts = documents(FUNCTIONS)
    people, gateway = (json.loads(texts[path])["paths"] for path in ("openapi.json", "gateway/openapi.json"))
    answers = {name: people[f"/api/loans/{{id}}/{name}"]["get"]["responses"]["200"] for name in ("contract", "summary")}
    assert set(answers["contract"]["content"]) == {"application/pdf"}
    assert set(answers["summary"]["content"]) == {"application/json", "application/pdf"}
    assert all("Content-Disposition" in answer["headers"] for answer in answers.values())
    assert gateway["/api/loans/{id}/contract"]["get"]["produces"] == ["application/pdf", "application/problem+json"]
    assert gateway["/api/loans/{id}/summary"]["get"]["produces"][:2] == ["application/json", "application/pdf"]
    assert "produces" not in gateway["/api/loans/{id}"]["get"]
