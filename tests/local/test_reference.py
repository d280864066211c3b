import json
import re
from collections.abc import Mapping

import pytest
from werkzeug.test import Client

from pinjam.local.reference import create_reference, render

DOCUMENT: Mapping[str, object] = {
    "openapi": "3.1.0",
    "info": {"title": "Pin<jam>", "version": "1.2", "description": "Lends & collects."},
    "servers": [{"url": "/"}],
    "tags": [{"name": "Loans"}, {"name": "Unused"}],
    "paths": {
        "/api/loans/{id}": {
            "parameters": [],
            "get": {
                "tags": ["Loans"],
                "summary": "One <loan>.",
                "security": [{"firebase": []}],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}},
                    {"$ref": "#/components/parameters/Limit"},
                ],
                "responses": {
                    "200": {
                        "description": "Done.",
                        "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Loan"}}},
                    },
                    "404": {"description": "There is none."},
                },
            },
        },
        "/api/other": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"type": "object", "properties": {"note": {"type": "string"}}},
                            "example": {"note": "<b>"},
                        }
                    }
                },
                "responses": {"default": {"description": "Anything."}},
            }
        },
    },
    "components": {
        "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}},
        "schemas": {
            "Loan": {
                "type": "object",
                "required": ["amount"],
                "properties": {
                    "amount": {"type": "integer", "minimum": 500000, "description": "Rupiah."},
                    "status": {"enum": ["active", "settled"]},
                    "next_due": {"anyOf": [{"$ref": "#/components/schemas/Due"}, {"type": "null"}]},
                    "schedule": {"type": "array", "items": {"$ref": "#/components/schemas/Due"}},
                    "parent": {"$ref": "#/components/schemas/Loan"},
                },
            },
            "Due": {"type": "object", "properties": {"due_date": {"type": "string", "format": "date"}}},
        },
    },
}


@pytest.fixture(scope="module")
def page() -> str:
    return render(DOCUMENT)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)))


@pytest.mark.parametrize(
    "said",
    [
        "Lends &amp; collects.",
        "GET /api/loans/{id} One &lt;loan&gt;. needs an ID token",
        "id string, required, in path, at most 64 characters",
        "limit integer, in query, ≤ 100",
        "200 OK Done.",
        "404 Not Found There is none.",
        "X-Request-Id string, header",
        "amount integer, required, ≥ 500000 Rupiah.",
        "status one of &quot;active&quot;, &quot;settled&quot;",
        "next_due object or null due_date string (date)",
        "schedule list of object due_date string (date)",
        "Other POST /api/other public",
        "note string",
        "{ &quot;note&quot;: &quot;&lt;b&gt;&quot; }",
        "default Anything.",
    ],
)
def test_the_page_says_what_the_document_says(page: str, said: str) -> None:
    assert said in text_of(page)


def test_a_tag_without_operations_is_not_shown(page: str) -> None:
    assert "Unused" not in page


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(page: str) -> None:
    assert not re.search(r"<(script|link|img|iframe)|https?://|url\(|@import", page)


def test_every_link_within_the_page_has_its_target(page: str) -> None:
    targets = re.findall(r'href="#([^"]+)"', page)
    assert len(targets) == 2
    assert all(f'id="{target}"' in page for target in targets)


def test_every_element_is_closed(page: str) -> None:
    for element in ("details", "table", "tr", "td", "section", "ul", "p", "main", "nav", "header"):
        assert len(re.findall(rf"<{element}[ >]", page)) == page.count(f"</{element}>"), element


def test_the_page_and_the_document_are_served_with_the_systems_address() -> None:
    client = Client(create_reference(DOCUMENT, server="http://127.0.0.1:9"))
    answer = client.get("/docs")
    assert answer.content_type == "text/html; charset=utf-8"
    assert "http://127.0.0.1:9" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    served = json.loads(client.get("/openapi.json").data)
    assert served == {**DOCUMENT, "servers": [{"url": "http://127.0.0.1:9"}]}
    assert client.post("/docs").status_code == 405
