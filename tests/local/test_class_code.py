"""What classes write for themselves comes compiled with a package, and is compiled anew wherever it does not fit."""

import marshal
import os
import shutil
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from pinjam import class_code
from pinjam.local.class_code_recorder import Recording
from pinjam.local.packages import pack, write_folder

ASK = """
import base64, functions_framework, sys
texts = []
sys.addaudithook(lambda event, given: texts.append(given[0]) if event == "compile" and given[1] == "<string>" else None)
app = functions_framework.create_app("loans", "main.py", "http")
userinfo = base64.urlsafe_b64encode(b'{"sub": "usr_1"}').decode().rstrip("=")
path = "/api/loans/quote?amount=3000000&tenor_months=6"
answer = app.test_client().get(path, headers={"X-Apigateway-Api-Userinfo": userinfo})
print(answer.status_code, sum(text.startswith(b"def __create_fn__") for text in texts))
"""
"""Loads a packaged function, asks it, and says how it answered and how many methods of dataclasses were compiled."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    write_folder(pack("loans"), folder)
    return folder


def asked(package: Path) -> tuple[int, int]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PINJAM_")},
        "PINJAM_STATE": str(package / "state"),
        "PYTHONPATH": str(package),
    }
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, cwd=package, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 - the code above
    status, compiled = done.stdout.split()
    return int(status), int(compiled)


def test_a_packaged_function_compiles_no_method_of_a_dataclass_before_its_first_answer(package: Path) -> None:
    assert asked(package) == (200, 0)


@pytest.mark.parametrize("content", [None, b"\0\0\r\n" + marshal.dumps({})], ids=["nothing", "another Python's"])
def test_a_package_without_code_for_this_python_compiles_it_and_answers(
    package: Path, tmp_path: Path, content: bytes | None
) -> None:
    other = tmp_path / "package"
    shutil.copytree(package, other)
    code = other / "pinjam" / class_code.FILE.name
    code.unlink()
    if content is not None:
        code.write_bytes(content)
    status, compiled = asked(other)
    assert status == 200
    assert compiled > 100


def test_code_is_found_by_its_module_and_its_whole_text() -> None:
    recording = Recording()
    recording.find("pinjam.one", "a = 1", "exec")
    recording.find("pinjam.one", "1 + 1", "eval")
    recording.find("pinjam.two", "a = 2", "exec")
    find = class_code.reading(class_code.packed(recording.code))
    assert find("pinjam.one", "a = 2", "exec") is None
    assert find("pinjam.three", "a = 1", "exec") is None
    names: dict[str, int] = {}
    exec(find("pinjam.two", "a = 2", "exec") or "", names)  # noqa: S102 - it is the code above
    assert names["a"] == 2
    assert eval(find("pinjam.one", "1 + 1", "eval") or "") == 2  # noqa: S307 - as above


def test_text_that_cannot_be_compiled_is_left_to_whoever_wrote_it() -> None:
    recording = Recording()
    assert recording.find("pinjam.one", "a = = 1", "exec") is None
    assert class_code.packed(recording.code) == class_code.packed({"pinjam.one": {}})


def test_the_same_code_gives_the_same_bytes_in_whatever_order_it_came() -> None:
    one, other = Recording(), Recording()
    for recording, texts in ((one, "ab"), (other, "ba")):
        for text in texts:
            recording.find(f"pinjam.{text}", text, "eval")
            recording.find("pinjam.both", text, "eval")
    assert class_code.packed(one.code) == class_code.packed(other.code)
    assert class_code.packed(one.code).startswith(MAGIC_NUMBER)
