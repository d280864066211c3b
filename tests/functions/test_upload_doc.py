"""The multipart edge: one paper at a time, judged by its content."""

import io
from typing import Any

import pytest
from tests.functions.conftest import Functions, Reply
from tests.world import picture

from pinjam.domain.document import Document

MB = 1024 * 1024


@pytest.fixture
def user_id(functions: Functions) -> str:
    return functions.world.register().id


def upload(functions: Functions, user_id: str, form: dict[str, Any], **how: Any) -> Reply:
    return functions.call(
        "upload_doc",
        "POST",
        "/api/documents/upload",
        user=user_id,
        headers={"Accept-Language": "en"},
        data=form,
        content_type="multipart/form-data",
        **how,
    )


def upload_large(functions: Functions, user_id: str, content: bytes) -> Reply:
    """An income paper; the form is written out here, because the test client would leave its own copy open."""
    head = (
        '--x\r\nContent-Disposition: form-data; name="kind"\r\n\r\nincome\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="x.pdf"\r\n\r\n'
    )
    return functions.call(
        "upload_doc",
        "POST",
        "/api/documents/upload",
        user=user_id,
        data=head.encode() + content + b"\r\n--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )


def file(content: bytes, name: str = "x.jpg") -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


def test_a_paper_is_taken_in_and_told_back(functions: Functions, user_id: str) -> None:
    answer = upload(functions, user_id, {"kind": "ktp", "file": file(picture(1))})
    (document,) = functions.world.all(Document)
    assert answer.status_code == 201
    assert answer.json == {
        "id": document.id,
        "kind": "ktp",
        "status": "received",
        "content_type": "image/jpeg",
        "size": document.size,
        "sha256": document.sha256,
        "created_at": "2026-11-24T02:00:00.000Z",
    }
    again = upload(functions, user_id, {"kind": "ktp", "file": file(picture(1), "other.png")})
    assert (again.status_code, again.json) == (201, answer.json)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, [("kind", "required"), ("file", "required")]),
        ({"kind": "ktp"}, [("file", "required")]),
        ({"file": file(b"x")}, [("kind", "required")]),
        ({"kind": "passport", "file": file(b"x")}, [("kind", "not-allowed")]),
        ({"kind": "ktp", "file": "text and no file"}, [("file", "required")]),
        ({"kind": "ktp", "file": file(b"")}, [("file", "file-empty")]),
        ({"kind": "ktp", "file": file(b"GIF89a")}, [("file", "file-type")]),
        ({"kind": "selfie", "file": file(b"%PDF-1.7\n%%EOF", "x.jpg")}, [("file", "file-type")]),
        ({"kind": "ktp", "file": [file(b"x"), file(b"y")]}, [("file", "one-file")]),
    ],
    # A file's own text has an address in it, which every process of a run would give another name.
    ids=range(9),
)
def test_what_is_missing_or_wrong_is_named(
    functions: Functions, user_id: str, form: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    answer = upload(functions, user_id, {name: _fresh(value) for name, value in form.items()})
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields")
    assert [(one["field"], one["code"]) for one in answer.json["errors"]] == expected
    assert functions.world.all(Document) == []


def _fresh(value: Any) -> Any:
    """The form client closes the files that it sends."""
    if isinstance(value, list):
        return [_fresh(one) for one in value]
    if isinstance(value, tuple):
        return io.BytesIO(value[0].getvalue()), value[1]
    return value


def test_a_choice_says_what_it_takes(functions: Functions, user_id: str) -> None:
    answer = upload(functions, user_id, {"kind": "passport", "file": file(b"x")})
    assert answer.json["errors"][0]["message"] == "must be one of ktp, selfie, income"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [("application/json", b"{}"), ("image/jpeg", picture(1)), ("application/x-www-form-urlencoded", b"kind=ktp")],
)
def test_another_content_type_is_415(functions: Functions, user_id: str, content_type: str, data: bytes) -> None:
    path = "/api/documents/upload"
    answer = functions.call("upload_doc", "POST", path, user=user_id, data=data, content_type=content_type)
    assert (answer.status_code, answer.json["code"]) == (415, "multipart-required")


@pytest.mark.parametrize("size", [10 * MB + 1, 10 * MB + 20_000, 11 * MB])
def test_a_file_over_10_mb_is_413_in_our_words(functions: Functions, user_id: str, size: int) -> None:
    answer = upload_large(functions, user_id, b"%PDF-" + b" " * (size - 5))
    assert (answer.status_code, answer.content_type) == (413, "application/problem+json")
    assert answer.json["code"] == "body-too-large"
    assert "10.485.760" in answer.json["detail"]


def test_a_file_of_10_mb_is_taken(functions: Functions, user_id: str) -> None:
    content = b"%PDF-" + b" " * (10 * MB - 10) + b"%%EOF"
    answer = upload_large(functions, user_id, content)
    assert (answer.status_code, answer.json["size"]) == (201, 10 * MB)


@pytest.mark.parametrize("body", [b"", b"nothing of the kind", b"--x\r\nContent-Disposition: form-data"])
def test_a_broken_form_has_no_fields(functions: Functions, user_id: str, body: bytes) -> None:
    answer = functions.call(
        "upload_doc",
        "POST",
        "/api/documents/upload",
        user=user_id,
        data=body,
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json["errors"]] == ["kind", "file"]


def test_a_verified_borrower_needs_to_send_no_more(functions: Functions) -> None:
    user_id = functions.world.verified()
    answer = upload(functions, user_id, {"kind": "ktp", "file": file(picture(1))})
    assert (answer.status_code, answer.json["code"]) == (409, "identity-already-verified")


def test_too_many_verifications_say_when_to_come_back(functions: Functions, user_id: str) -> None:
    functions.world.identity.selfie_score = 10
    for number in range(3):
        for kind in ("ktp", "selfie"):
            upload(functions, user_id, {"kind": kind, "file": file(picture(number))})
        functions.world.deliver()
    answer = upload(functions, user_id, {"kind": "ktp", "file": file(picture(9))})
    assert (answer.status_code, answer.json["code"]) == (429, "too-many-verifications")
    assert answer.headers["Retry-After"] == str(15 * 3600 + 1)


def test_a_paper_is_listed_and_shown_with_a_link(functions: Functions, user_id: str) -> None:
    made = upload(functions, user_id, {"kind": "ktp", "file": file(picture(1))}).json
    listed = functions.call("upload_doc", "GET", "/api/documents", user=user_id)
    assert listed.json == {"documents": [made], "next_cursor": None}
    shown = functions.call("upload_doc", "GET", f"/api/documents/{made['id']}", user=user_id)
    assert shown.json == made | {"download_url": shown.json["download_url"]}
    other = functions.world.register(2)
    hidden = functions.call("upload_doc", "GET", f"/api/documents/{made['id']}", user=other.id)
    assert (hidden.status_code, hidden.json["code"]) == (404, "document-not-found")
