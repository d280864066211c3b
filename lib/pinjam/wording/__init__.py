"""Texts that people read, in Indonesian and English, as files beside this module."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> Mapping[str, Mapping[str, object]]:
    """The tables of `<name>.toml`. FileNotFoundError if there is no such file."""
    import tomllib  # noqa: PLC0415 - most answers have no need of words

    return tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
