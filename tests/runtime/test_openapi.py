"""The committed documents are the code's, valid, and the contract's."""

import difflib
import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from pinjam.local.documents import documents, load_apis
from pinjam.runtime.openapi import BACKEND, PROJECT, for_gateway

ROOT = Path(__file__).parents[2]

CONTRACT = {
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/refresh",
    "POST /api/auth/logout",
    "POST /api/auth/password/forgot",
    "POST /api/auth/password/reset",
    "POST /api/auth/biometric/enroll/options",
    "POST /api/auth/biometric/enroll",
    "GET /api/auth/biometric/credentials",
    "DELETE /api/auth/biometric/credentials/{id}",
    "POST /api/auth/biometric/login/options",
    "POST /api/auth/biometric/login",
    "GET /.well-known/assetlinks.json",
    "GET /.well-known/apple-app-site-association",
    "GET /api/users/profile",
    "PATCH /api/users/profile",
    "POST /api/users/export",
    "POST /api/users/erasure",
    "POST /api/documents/upload",
    "GET /api/documents",
    "GET /api/documents/{id}",
    "GET /api/documents/{id}/content",
    "GET /api/loans/quote",
    "POST /api/loans/apply",
    "GET /api/loans",
    "GET /api/loans/{id}",
    "GET /api/loans/{id}/summary",
    "GET /api/loans/{id}/contract",
    "POST /api/loans/{id}/accept",
    "POST /api/loans/{id}/withdraw",
    "POST /api/payments",
    "GET /api/payments",
    "GET /api/payments/quote",
    "GET /api/payments/{id}",
    "POST /api/payments/webhook/midtrans",
    "POST /api/payments/webhook/iris",
    "GET /api/notifications",
    "POST /api/notifications/{id}/read",
    "POST /api/notifications/read-all",
    "PUT /api/notifications/devices",
    "GET /api/notifications/preferences",
    "PUT /api/notifications/preferences",
    "GET /api/notifications/webhook/whatsapp",
    "POST /api/notifications/webhook/whatsapp",
}
"""What mobile apps are built against so far: a route is added here with the code that serves it."""

PUBLIC = {
    "GET /api/documents/{id}/content",
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/refresh",
    "POST /api/auth/password/forgot",
    "POST /api/auth/password/reset",
    "POST /api/auth/biometric/login/options",
    "POST /api/auth/biometric/login",
    "GET /.well-known/assetlinks.json",
    "GET /.well-known/apple-app-site-association",
    "POST /api/payments/webhook/midtrans",
    "GET /api/notifications/webhook/whatsapp",
    "POST /api/notifications/webhook/whatsapp",
    "POST /api/payments/webhook/iris",
}
KEYED = {"POST /api/loans/apply", "POST /api/loans/{id}/accept", "POST /api/payments"}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return dict(documents(ROOT / "functions"))


@pytest.fixture(scope="module")
def reference(made: dict[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(made["openapi.json"])
    return parsed


@pytest.fixture(scope="module")
def gateway(made: dict[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(made["gateway/openapi.json"])
    return parsed


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


@pytest.mark.parametrize("path", ["openapi.json", "gateway/openapi.json", "terraform/system.json"])
def test_the_committed_document_is_what_the_code_says(made: dict[str, str], path: str) -> None:
    committed = (ROOT / path).read_text(encoding="utf-8")
    if committed != made[path]:
        changed = difflib.unified_diff(committed.splitlines(), made[path].splitlines(), path, "the code", lineterm="")
        pytest.fail(f"{path} is not what the code says: run `make documents`\n" + "\n".join(list(changed)[:30]))


def test_both_documents_are_openapi(reference: dict[str, Any], gateway: dict[str, Any]) -> None:
    validate(reference)
    # Google has this address left empty, which is none to a strict reader.
    firebase = gateway["securityDefinitions"]["firebase"]
    assert firebase["authorizationUrl"] == ""
    validate({**gateway, "securityDefinitions": {"firebase": {**firebase, "authorizationUrl": "https://example.com"}}})
    assert (reference["openapi"], gateway["swagger"]) == ("3.1.0", "2.0")


def test_the_contracts_routes_are_there_and_no_others(reference: dict[str, Any], gateway: dict[str, Any]) -> None:
    assert set(operations(reference)) == CONTRACT
    assert set(operations(gateway)) == CONTRACT


def test_whoever_is_not_public_needs_a_token(reference: dict[str, Any], gateway: dict[str, Any]) -> None:
    for document in (reference, gateway):
        secured = {name for name, one in operations(document).items() if one.get("security") == [{"firebase": []}]}
        assert secured == CONTRACT - PUBLIC
        assert all("security" not in one for name, one in operations(document).items() if name in PUBLIC)
        assert "security" not in document
        assert all("401" in operations(reference)[name]["responses"] for name in secured)


def test_every_path_answers_preflights_without_a_token(gateway: dict[str, Any]) -> None:
    for path, methods in gateway["paths"].items():
        assert "security" not in methods["options"]
        assert methods["options"]["x-google-backend"]["address"] in {
            one["x-google-backend"]["address"] for method, one in methods.items() if method != "options"
        }, path


def test_every_operation_states_its_backend(gateway: dict[str, Any]) -> None:
    folders = {source.parent.name for source in (ROOT / "functions").glob("*/main.py")}
    for name, operation in operations(gateway).items():
        backend = operation["x-google-backend"]
        assert set(backend) == {"address", "path_translation", "jwt_audience", "deadline"}, name
        assert backend["path_translation"] == "APPEND_PATH_TO_ADDRESS"
        assert backend["jwt_audience"] == backend["address"]
        assert backend["address"].rsplit("/", 1)[-1] in folders


def test_every_operation_of_the_gateway_states_a_deadline_that_the_gateways_can_keep(gateway: dict[str, Any]) -> None:
    for methods in gateway["paths"].values():
        for method, operation in methods.items():
            backend = operation["x-google-backend"]
            assert set(backend) == {"address", "path_translation", "jwt_audience", "deadline"}, method
            # ESPv2 itself is stopped after 60 seconds.
            assert 0 < backend["deadline"] < 60


def test_a_token_is_taken_from_nowhere_but_where_functions_get_it_too(gateway: dict[str, Any]) -> None:
    """Otherwise a caller of ESPv2, which names its header of claims otherwise, could send a header of their own."""
    firebase = gateway["securityDefinitions"]["firebase"]
    assert firebase["x-google-jwt-locations"] == [{"header": "Authorization", "value_prefix": "Bearer "}]


def test_the_deployment_replaces_every_placeholder(made: dict[str, str]) -> None:
    """As terraform/gateway.tf does it, by text."""
    assert (PROJECT, BACKEND) == ("pinjam-local", "https://functions.invalid")
    terraform = (ROOT / "terraform" / "gateway.tf").read_text(encoding="utf-8")
    assert f'"{BACKEND}"' in terraform
    assert f'"{PROJECT}"' in terraform
    replaced = made["gateway/openapi.json"].replace(BACKEND, "https://region-lender.example").replace(PROJECT, "lender")
    apis = load_apis(ROOT / "functions")
    assert json.loads(replaced) == for_gateway(apis, project="lender", backend="https://region-lender.example")


def test_paths_of_one_function_lead_to_one_function(gateway: dict[str, Any]) -> None:
    for path, methods in gateway["paths"].items():
        if "{id}" not in path:
            addresses = {one["x-google-backend"]["address"] for one in methods.values()}
            assert len(addresses) == 1, path


def test_operation_ids_are_unique(reference: dict[str, Any], gateway: dict[str, Any]) -> None:
    for document in (reference, gateway):
        ids = [
            one["operationId"]
            for methods in document["paths"].values()
            for one in methods.values()
            if isinstance(one, dict)
        ]
        assert len(ids) == len(set(ids))


def test_path_parameters_are_declared(reference: dict[str, Any], gateway: dict[str, Any]) -> None:
    for document in (reference, gateway):
        for path, methods in document["paths"].items():
            wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            for operation in methods.values():
                declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
                assert declared == wanted, path


def test_three_calls_need_a_key(reference: dict[str, Any]) -> None:
    keyed = {
        name
        for name, one in operations(reference).items()
        if any(parameter["name"] == "Idempotency-Key" and parameter["required"] for parameter in one["parameters"])
    }
    assert keyed == KEYED
    for name in KEYED:
        responses = operations(reference)[name]["responses"]
        good = next(status for status in responses if status.startswith("2"))
        assert "Idempotent-Replayed" in responses[good]["headers"]
        assert "400" in responses


def test_every_refusal_is_a_problem_and_tells_when_to_come_back(reference: dict[str, Any]) -> None:
    for name, operation in operations(reference).items():
        assert {"500", "503"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            assert response["headers"]["X-Request-Id"]["required"]
            if status >= "400" and status != "504" and not (status == "403" and name not in PUBLIC):
                assert response["content"]["application/problem+json"]["schema"] == {
                    "$ref": "#/components/schemas/ProblemShown"
                }
            if status in ("429", "503"):
                assert response["headers"]["Retry-After"]["required"]


def test_what_the_gateway_answers_by_itself_is_told(reference: dict[str, Any]) -> None:
    for name, operation in operations(reference).items():
        own = {
            status: response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            for status, response in operation["responses"].items()
            if status >= "400" and "application/json" in response["content"]
        }
        assert set(own) == ({"504"} if name in PUBLIC else {"401", "403", "504"}), name
        assert set(own.values()) == {"GatewayRefusal"}


def test_the_internal_function_is_not_told_of(made: dict[str, str]) -> None:
    for path in ("openapi.json", "gateway/openapi.json"):
        assert "sweep" not in made[path]
        assert "/sandbox" not in made[path]


def test_a_sentence_says_what_each_operation_does(reference: dict[str, Any], gateway: dict[str, Any]) -> None:
    for document in (reference, gateway):
        for name, operation in operations(document).items():
            assert operation["summary"].endswith("."), name
