"""Uploads: what is not a picture, what is too large, and what a picture carries besides the picture."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from pinjam.local.road import Road, Walker

Check = Callable[..., dict[str, Any]]
LIMIT = 10 * 1024 * 1024
PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
SECRET_PLACE = b"-6.2000,106.8166"


@pytest.fixture
def signed_up(walker: Walker) -> Walker:
    walker.register().expect(201)
    return walker


def picture(kind: str, *, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, (200, 120, 40)).save(target, kind, **options)
    return target.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that unpacks to 12 thousand million bytes."""
    side = 65_000

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000)) + chunk(
        b"IEND", b""
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("zero bytes", b"", "file-empty"),
        ("a PDF called .jpg", PDF, "file-type"),
        ("a text called .jpg", b"hello", "file-type"),
        ("a page called .jpg", b"<html><script>alert(1)</script></html>", "file-type"),
        ("a GIF called .jpg", picture("GIF"), "file-type"),
        ("only a JPEG's first bytes", b"\xff\xd8\xff", "file-type"),
        ("half a JPEG", picture("JPEG", size=(800, 600))[:2000], "file-broken"),
        ("half a PNG", picture("PNG", size=(800, 600))[:-300], "file-broken"),
    ],
)
def test_what_is_no_picture_is_refused_whatever_it_is_called(
    name: str, content: bytes, code: str, signed_up: Walker, problem: Check
) -> None:
    refused = problem(signed_up.upload("ktp", content), 422, "invalid-fields")
    assert [(one["field"], one["code"]) for one in refused["errors"]] == [("file", code)], name
    assert signed_up.call("GET", "/api/documents").expect(200)["documents"] == []


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(
    signed_up: Walker, problem: Check
) -> None:
    refused = problem(signed_up.upload("ktp", bomb()), 422, "invalid-fields")
    assert [(one["field"], one["code"]) for one in refused["errors"]] == [("file", "picture-too-large")]
    assert "60.000.000" in refused["errors"][0]["message"]


def test_a_payslip_may_be_a_pdf_and_a_card_may_not(signed_up: Walker, problem: Check) -> None:
    assert signed_up.upload("income", PDF).expect(201)["content_type"] == "application/pdf"
    problem(signed_up.upload("income", PDF[:-8]), 422, "invalid-fields")
    problem(signed_up.upload("selfie", PDF), 422, "invalid-fields")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_a_camera_wrote_into_a_picture_is_gone(kind: str, signed_up: Walker, road: Road) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Kamera Rahasia"
    exif[0x0112] = 6  # Turned by 90 degrees.
    exif.get_ifd(0x8825)[0x0001] = "S"
    options: dict[str, Any] = {"exif": exif}
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Location", SECRET_PLACE.decode())
    else:
        options["comment"] = SECRET_PLACE
    sent = picture(kind, **options)
    assert b"Kamera Rahasia" in sent
    assert SECRET_PLACE in sent
    document = signed_up.upload("ktp", sent, claims="application/octet-stream").expect(201)
    assert document["content_type"] == f"image/{kind.lower()}"
    shown = signed_up.call("GET", f"/api/documents/{document['id']}").expect(200)
    kept = road.call("GET", shown["download_url"])
    assert kept.headers["content-type"] == document["content_type"]
    assert kept.headers["content-disposition"].startswith("attachment; ")
    assert b"Kamera" not in kept.content
    assert SECRET_PLACE not in kept.content
    found = Image.open(io.BytesIO(kept.content))
    assert dict(found.getexif()) == {}
    # It still stands upright.
    assert found.size == (48, 64)


def test_a_phones_picture_with_a_second_one_inside_is_a_jpeg(signed_up: Walker, road: Road) -> None:
    second = Image.new("RGB", (32, 24), (1, 2, 3))
    sent = picture("MPO", save_all=True, append_images=[second])
    document = signed_up.upload("ktp", sent).expect(201)
    assert document["content_type"] == "image/jpeg"
    shown = signed_up.call("GET", f"/api/documents/{document['id']}").expect(200)
    kept = Image.open(io.BytesIO(road.call("GET", shown["download_url"]).content))
    assert (kept.format, kept.size, getattr(kept, "n_frames", 1)) == ("JPEG", (64, 48), 1)


def test_a_download_link_that_was_changed_gives_nothing(signed_up: Walker, road: Road) -> None:
    document = signed_up.upload("ktp").expect(201)
    url = signed_up.call("GET", f"/api/documents/{document['id']}").expect(200)["download_url"]
    assert road.call("GET", url).status == 200
    for changed in (url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0], url.replace("doc_", "doc_0")):
        assert road.call("GET", changed).status in {403, 422}


@pytest.mark.parametrize("size", [11_000_000, LIMIT + 1, 31 * 1024 * 1024])
def test_a_file_over_ten_megabytes_is_too_large(size: int, signed_up: Walker, problem: Check) -> None:
    refused = problem(signed_up.upload("ktp", b"\xff\xd8\xff" + b"\0" * (size - 3)), 413, "body-too-large")
    assert "10.485.760" in refused["detail"]
    assert signed_up.upload("ktp").expect(201)["kind"] == "ktp"


def test_a_file_of_exactly_ten_megabytes_is_looked_into(signed_up: Walker, problem: Check) -> None:
    jpeg = picture("JPEG")
    # Decoders stop at the picture's end and do not mind what follows.
    padded = jpeg + b"\0" * (LIMIT - len(jpeg))
    assert len(padded) == LIMIT
    document = signed_up.upload("ktp", padded).expect(201)
    assert document["size"] < 100_000
    refused = problem(signed_up.upload("ktp", b"\0" * LIMIT), 422, "invalid-fields")
    assert [one["code"] for one in refused["errors"]] == ["file-type"]


def test_more_than_the_gateway_takes_is_refused_by_the_gateway(signed_up: Walker) -> None:
    reply = signed_up.upload("ktp", b"\0" * (32 * 1024 * 1024))
    assert (reply.status, reply.headers["content-type"]) == (413, "application/json")
    assert reply.body["code"] == 413


def test_a_form_must_have_one_kind_and_one_file(signed_up: Walker, problem: Check) -> None:
    path, jpeg = "/api/documents/upload", picture("JPEG")
    one = ("file", ("a.jpg", jpeg, "image/jpeg"))
    for fields, files, faulty in (
        ({"kind": "ktp"}, [one, one], {("file", "one-file")}),
        ({}, [one], {("kind", "required")}),
        ({"kind": "passport"}, [one], {("kind", "not-allowed")}),
        ({"kind": "ktp"}, [("picture", one[1])], {("file", "required")}),
        ({}, [("picture", one[1])], {("kind", "required"), ("file", "required")}),
    ):
        refused = problem(signed_up.call("POST", path, fields=fields, files=files), 422, "invalid-fields")
        assert {(fault["field"], fault["code"]) for fault in refused["errors"]} == faulty
    problem(signed_up.call("POST", path, body={"kind": "ktp"}), 415, "multipart-required")
    headers = {"Content-Type": "multipart/form-data"}
    assert signed_up.call("POST", path, content=b"no boundary", headers=headers).status in {400, 422}


def test_the_same_picture_twice_is_one_document_and_another_replaces_it(signed_up: Walker) -> None:
    jpeg = signed_up.people.picture()
    first = signed_up.upload("ktp", jpeg).expect(201)
    assert signed_up.upload("ktp", jpeg).expect(201) == first
    second = signed_up.upload("ktp").expect(201)
    listed = signed_up.call("GET", "/api/documents").expect(200)["documents"]
    assert [(one["id"], one["status"]) for one in listed] == [
        (second["id"], "received"),
        (first["id"], "replaced"),
    ]
