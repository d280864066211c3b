"""Papers are what their content is: decoded, turned upright, and written again without metadata."""

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from pinjam.adapters.papers import MOST_PIXELS, PillowPapers
from pinjam.services.ports import Paper, UnreadablePaper

PAPERS = PillowPapers()
RED, BLUE = (220, 20, 20), (20, 20, 220)


def read(content: bytes, *, pdf_allowed: bool = False) -> Paper:
    return PAPERS.read(content, pdf_allowed=pdf_allowed)


def opened(paper: Paper) -> Image.Image:
    picture = Image.open(io.BytesIO(paper.content))
    picture.load()
    return picture


def saved(picture: Image.Image, kind: str, **how: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **how)
    return target.getvalue()


def two_halves(mode: str = "RGB") -> Image.Image:
    """Left red, right blue; 32 x 16."""
    picture = Image.new("RGB", (32, 16), RED)
    ImageDraw.Draw(picture).rectangle((16, 0, 31, 15), fill=BLUE)
    return picture.convert(mode)


def exif(orientation: int = 1) -> bytes:
    """A camera's metadata: where, when, by whom, and how it was held."""
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010F] = "SecretCamera"
    data[0x013B] = "Siti Rahmawati"
    gps = data.get_ifd(0x8825)
    gps[1], gps[2] = "S", (6.0, 12.0, 30.0)
    gps[29] = "2026:11:24"
    return data.tobytes()


def refused(content: bytes, *, pdf_allowed: bool = False) -> UnreadablePaper:
    with pytest.raises(UnreadablePaper) as wrong:
        read(content, pdf_allowed=pdf_allowed)
    return wrong.value


def outcome(content: bytes) -> Paper | str:
    """The paper, or the code of why it is none."""
    try:
        return read(content)
    except UnreadablePaper as wrong:
        return wrong.code


@pytest.mark.parametrize(("kind", "content_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
def test_a_picture_stays_of_its_kind_and_looks_the_same(kind: str, content_type: str) -> None:
    paper = read(saved(two_halves(), kind))
    assert paper.content_type == content_type
    picture = opened(paper)
    assert (picture.format, picture.size) == (kind, (32, 16))
    assert near(picture, (4, 8), RED)
    assert near(picture, (28, 8), BLUE)


def near(picture: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    pixel = picture.convert("RGB").getpixel(at)
    assert isinstance(pixel, tuple)
    return all(abs(one - other) < 40 for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA")]
)
def test_the_cameras_metadata_is_gone(kind: str, mode: str) -> None:
    content = saved(two_halves(mode), kind, exif=exif(6))
    assert Image.open(io.BytesIO(content)).getexif().get_ifd(0x8825)
    paper = read(content)
    assert dict(opened(paper).getexif()) == {}
    for trace in (b"SecretCamera", b"Siti", b"2026:11:24", b"Exif", b"eXIf"):
        assert trace not in paper.content


def test_comments_profiles_and_texts_are_gone() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "Siti Rahmawati")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>secret place</x:xmpmeta>")
    papers = [
        read(saved(two_halves(), "PNG", pnginfo=texts, icc_profile=b"secret profile")),
        read(saved(two_halves(), "JPEG", comment=b"Siti Rahmawati", icc_profile=b"secret profile")),
    ]
    for paper in papers:
        assert b"Siti" not in paper.content
        assert b"secret" not in paper.content


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("orientation", "red", "blue"),
    [
        (1, (4, 8), (28, 8)),
        (2, (28, 8), (4, 8)),
        (3, (28, 8), (4, 8)),
        (4, (4, 8), (28, 8)),
        (5, (8, 4), (8, 28)),
        (6, (8, 4), (8, 28)),
        (7, (8, 28), (8, 4)),
        (8, (8, 28), (8, 4)),
        (9, (4, 8), (28, 8)),
    ],
)
def test_a_picture_is_kept_as_the_camera_was_held(
    kind: str, orientation: int, red: tuple[int, int], blue: tuple[int, int]
) -> None:
    picture = opened(read(saved(two_halves(), kind, exif=exif(orientation))))
    assert picture.size == ((32, 16) if orientation in (1, 2, 3, 4, 9) else (16, 32))
    assert near(picture, red, RED)
    assert near(picture, blue, BLUE)


def test_a_phones_jpeg_with_a_second_picture_stays_one_jpeg() -> None:
    content = saved(two_halves(), "MPO", save_all=True, append_images=[two_halves().rotate(180)])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    paper = read(content)
    assert (paper.content_type, opened(paper).format) == ("image/jpeg", "JPEG")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_of_any_depth_is_kept(mode: str) -> None:
    picture = Image.new("I;16", (32, 16), 40_000) if mode == "I;16" else two_halves(mode)
    kept = opened(read(saved(picture, "PNG")))
    assert kept.size == (32, 16)
    if mode in ("P", "RGB", "RGBA"):
        assert near(kept, (4, 8), RED)
        assert near(kept, (28, 8), BLUE)
    if mode == "I;16":
        assert kept.getpixel((0, 0)) == 40_000


def test_a_palette_with_a_transparent_colour_is_kept() -> None:
    picture = two_halves().quantize(2)
    kept = opened(read(saved(picture, "PNG", transparency=picture.getpixel((0, 0))))).convert("RGBA")
    left, right = kept.getpixel((4, 8)), kept.getpixel((28, 8))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert (left[3], right[3]) == (0, 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_any_colours_is_kept(mode: str) -> None:
    kept = opened(read(saved(two_halves(mode), "JPEG")))
    assert kept.mode == mode
    if mode != "L":
        assert near(kept, (4, 8), RED)
        assert near(kept, (28, 8), BLUE)


def test_nothing_is_no_paper() -> None:
    assert refused(b"").code == "file-empty"


@pytest.mark.parametrize(
    "content",
    [
        saved(two_halves(), "GIF"),
        saved(two_halves(), "BMP"),
        saved(two_halves(), "TIFF"),
        saved(two_halves(), "WEBP"),
        saved(two_halves(), "ICO"),
        b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        b"<!doctype html><script>alert(1)</script>",
        b"PK\x03\x04" + bytes(100),
        b"text",
        b"\x89PNG",
        b"\xff\xd8",
        b" %PDF-1.7\n%%EOF",
    ],
    ids=["gif", "bmp", "tiff", "webp", "ico", "svg", "html", "zip", "text", "png-head", "jpeg-head", "pdf-inside"],
)
@pytest.mark.parametrize("pdf_allowed", [True, False])
def test_anything_else_is_refused_whatever_it_is_called(content: bytes, *, pdf_allowed: bool) -> None:
    wrong = refused(content, pdf_allowed=pdf_allowed)
    assert wrong.code == "file-type"
    assert wrong.params == {"allowed": "JPEG, PNG, PDF" if pdf_allowed else "JPEG, PNG"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_picture_is_broken(kind: str) -> None:
    noise = Image.effect_noise((64, 64), 80)
    content = saved(noise, kind)
    for length in (len(content) // 4, len(content) // 2, len(content) - 40):
        assert refused(content[:length]).code == "file-broken"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_no_damage_gets_past(kind: str, data: st.DataObject) -> None:
    """Whatever is done to a picture: it is a paper or it is refused, and nothing else ever happens."""
    content = bytearray(saved(two_halves(), kind, exif=exif(6)))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    paper = outcome(bytes(content))
    if isinstance(paper, str):
        assert paper in ("file-type", "file-broken", "picture-too-large")
    else:
        assert b"SecretCamera" not in paper.content
        opened(paper)


@pytest.mark.filterwarnings("ignore::UserWarning")  # What Pillow says of it; a process lets it pass, as this test does.
@pytest.mark.parametrize("kind", range(14))
def test_damaged_metadata_is_no_reason_to_fail(kind: int) -> None:
    """A camera's name that says it is a number: to write such metadata again raises whatever comes to hand."""
    content = bytearray(saved(two_halves(), "JPEG", exif=exif(6)))
    entry = content.index(b"\x01\x0f\x00\x02")  # Tag and type of the camera's name.
    content[entry + 3] = kind
    assert opened(read(bytes(content))).size == (16, 32)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(60_001, 1_000), (9_000, 9_000)])
def test_a_picture_of_too_many_pixels_is_not_unpacked(width: int, height: int) -> None:
    wrong = refused(bomb(width, height))
    assert (wrong.code, wrong.params) == ("picture-too-large", {"max": MOST_PIXELS})


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_the_library_warns_of_is_refused(width: int, height: int) -> None:
    assert refused(bomb(width, height)).code in ("file-broken", "picture-too-large")


def test_a_text_that_unpacks_without_end_is_refused() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "x" * 50_000_000, zip=True)
    content = saved(two_halves(), "PNG", pnginfo=texts)
    assert len(content) < 100_000
    paper = outcome(content)
    assert paper == "file-broken" if isinstance(paper, str) else len(paper.content) < 100_000


PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


def test_a_pdf_is_kept_as_it_is_where_it_may_be_one() -> None:
    assert read(PDF, pdf_allowed=True) == Paper(content=PDF, content_type="application/pdf")


def test_a_pdf_is_no_picture_whatever_it_is_called() -> None:
    wrong = refused(PDF)
    assert (wrong.code, wrong.params) == ("file-type", {"allowed": "JPEG, PNG"})


def test_a_truncated_pdf_is_broken() -> None:
    assert refused(PDF[:-6], pdf_allowed=True).code == "file-broken"
    assert refused(PDF + b" " * 2048, pdf_allowed=True).code == "file-broken"
