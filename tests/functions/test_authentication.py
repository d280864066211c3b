"""Who the caller is: what the gateway says, proven again where the token is at hand."""

import base64
import json
from collections.abc import Mapping

import pytest
from tests.functions.conftest import Functions, userinfo

from pinjam.domain.user import User
from pinjam.runtime import composition
from pinjam.runtime.settings import Settings

CALL = ("profile", "GET", "/api/users/profile")


@pytest.fixture
def siti(functions: Functions) -> User:
    return functions.world.register()


def in_gcp(functions: Functions) -> None:
    functions.world.app.settings = Settings.read({"PINJAM_PROFILE": "gcp"})


def encoded(claims: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


def refused(functions: Functions, headers: Mapping[str, str]) -> str:
    answer = functions.call(*CALL, headers=headers)
    assert answer.status_code == 401
    return str(answer.json["code"])


def test_the_gateways_userinfo_says_who_it_is_without_padding(functions: Functions, siti: User) -> None:
    lengths = set()
    for extra in ("", "a", "ab", "abc"):
        info = encoded({"sub": siti.id, "x": extra})
        lengths.add(len(info) % 4)
        assert functions.call(*CALL, headers={"X-Apigateway-Api-Userinfo": info}).json["id"] == siti.id
    assert lengths == {0, 2, 3}


def test_userinfo_with_url_safe_signs_is_read(functions: Functions, siti: User) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": siti.id, "n": "ÿþ?>"}, ensure_ascii=False).encode()).decode()
    assert set("-_") & set(claims)
    assert functions.call(*CALL, headers={"X-Apigateway-Api-Userinfo": claims.rstrip("=")}).status_code == 200


@pytest.mark.parametrize(
    "info",
    ["!", "bm90IGpzb24", "\u00ff", encoded([]), encoded({}), encoded({"sub": ""}), encoded({"sub": 1}), encoded(None)],
)
def test_userinfo_that_names_nobody_is_refused(functions: Functions, info: str) -> None:
    assert refused(functions, {"X-Apigateway-Api-Userinfo": info}) == "token-invalid"


def test_the_forwarded_token_is_proven_again(functions: Functions, siti: User) -> None:
    headers = {"X-Apigateway-Api-Userinfo": userinfo(siti.id), "X-Forwarded-Authorization": f"Bearer id:{siti.id}"}
    for profile in ("local", "gcp"):
        if profile == "gcp":
            in_gcp(functions)
        assert functions.call(*CALL, headers=headers).status_code == 200
        forged = headers | {"X-Forwarded-Authorization": "Bearer forged"}
        assert refused(functions, forged) == "token-invalid"


def test_the_token_and_the_userinfo_must_agree(functions: Functions, siti: User) -> None:
    other = functions.world.register(2)
    headers = {"X-Apigateway-Api-Userinfo": userinfo(siti.id), "X-Forwarded-Authorization": f"Bearer id:{other.id}"}
    assert refused(functions, headers) == "token-invalid"


def test_a_forwarded_token_alone_is_enough(functions: Functions, siti: User) -> None:
    in_gcp(functions)
    answer = functions.call(*CALL, headers={"X-Forwarded-Authorization": f"bearer  id:{siti.id} "})
    assert answer.json["id"] == siti.id


@pytest.mark.parametrize("header", ["Basic aWQ6", "Bearer", "Bearer ", "id:usr", "Bearer forged"])
def test_what_is_no_bearer_token_is_refused(functions: Functions, header: str) -> None:
    assert refused(functions, {"X-Forwarded-Authorization": header}) == "token-invalid"


def test_a_token_straight_from_the_caller_counts_in_the_local_profile_only(functions: Functions, siti: User) -> None:
    direct = {"Authorization": f"Bearer id:{siti.id}"}
    assert functions.call(*CALL, headers=direct).json["id"] == siti.id
    assert refused(functions, {"Authorization": "Bearer forged"}) == "token-invalid"
    in_gcp(functions)
    # There it is the gateway's own, and says nothing of the caller.
    assert refused(functions, direct) == "token-required"


def test_behind_the_local_gateway_its_own_authorization_is_not_the_callers(functions: Functions, siti: User) -> None:
    headers = {"X-Apigateway-Api-Userinfo": userinfo(siti.id), "Authorization": "Bearer the-gateways-own"}
    assert functions.call(*CALL, headers=headers).json["id"] == siti.id


def test_without_anything_a_token_is_asked_for(functions: Functions) -> None:
    assert refused(functions, {}) == "token-required"


def test_a_verifier_that_is_down_is_503_and_not_401(functions: Functions, siti: User) -> None:
    functions.world.accounts.down = True
    answer = functions.call(*CALL, headers={"X-Forwarded-Authorization": f"Bearer id:{siti.id}"})
    assert answer.status_code == 503


def test_an_account_without_a_borrower_is_404(functions: Functions) -> None:
    answer = functions.call(*CALL, user="usr_nobody")
    assert (answer.status_code, answer.json["code"]) == (404, "user-not-found")


def test_every_route_but_the_public_ones_asks_for_a_token(functions: Functions) -> None:
    from tests.functions.conftest import FUNCTIONS  # noqa: PLC0415 - as above

    from pinjam.local.documents import load_apis  # noqa: PLC0415 - executes every main.py anew

    public = set()
    for api in load_apis(FUNCTIONS):
        for route in api.routes:
            path = route.path.replace("{id}", "x")
            answer = functions.call(api.name, route.method, path, headers={"Idempotency-Key": "k"})
            if answer.status_code != 401:
                public.add(f"{route.method} {route.path}")
    assert public == {
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
        "GET /api/documents/{id}/content",
        "GET /api/notifications/webhook/whatsapp",
        "POST /api/notifications/webhook/whatsapp",
        "POST /api/payments/webhook/iris",
        "POST /",
        "POST /checks",
    }
    assert composition.current() is functions.world.app
