"""What a function needs is read from its source: use cases, the settings behind them, libraries."""

from pathlib import Path

import pytest

from pinjam.local.needs import Needs, needs_of
from pinjam.local.system import REPOSITORY


def needs(name: str) -> Needs:
    return needs_of(REPOSITORY / "functions" / name / "main.py")


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return tmp_path / "main.py"


def test_a_use_case_leads_to_the_adapters_and_variables_behind_it() -> None:
    found = needs("decide_loan")
    assert {"deciding", "store", "vault", "policies", "publisher"} <= found.parts
    assert {"PINJAM_DATABASE_URL", "PINJAM_HASH_KEY", "PINJAM_PUBSUB_URL"} <= found.variables


def test_what_a_function_has_nothing_to_do_with_is_not_among_its_needs() -> None:
    found = needs("decide_loan")
    assert not {"payment_gateway", "payout_gateway", "messengers", "accounts", "objects"} & found.parts
    secrets = ("PINJAM_MIDTRANS", "PINJAM_IRIS", "PINJAM_SMTP", "PINJAM_WHATSAPP", "PINJAM_EKYC", "PINJAM_LINKS")
    assert not {name for name in found.variables if name.startswith(secrets)}
    assert not {name for name in found.libraries if name.startswith(("reportlab", "webauthn", "PIL", "holidays"))}


def test_libraries_are_found_where_they_are_imported_late() -> None:
    assert any(name.startswith("reportlab") for name in needs("loans").libraries)
    assert any(name.startswith("webauthn") for name in needs("login").libraries)
    assert any(name.startswith("zxcvbn") for name in needs("register").libraries)


def test_what_the_edge_asks_of_every_call_is_needed_by_every_function_for_http() -> None:
    for name in ("loans", "pay", "profile"):
        assert {"limits", "token_verifier", "ids"} <= needs(name).parts
    assert "token_verifier" not in needs("decide_loan").parts


def test_a_function_that_uses_nothing_needs_nothing(main: Path) -> None:
    main.write_text("def hello(request):\n    return request.app_name\n")
    assert needs_of(main) == Needs(parts=frozenset(), variables=frozenset(), libraries=frozenset())


def test_what_only_type_checkers_import_is_not_needed(main: Path) -> None:
    main.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import reportlab\nimport httpx\n")
    assert needs_of(main).libraries == {"httpx"}


def test_a_setting_that_is_asked_for_directly_is_needed(main: Path) -> None:
    main.write_text("def ask(app):\n    return app.settings.cors_origins\n")
    assert needs_of(main).variables == {"PINJAM_CORS_ORIGINS"}
