"""Reads records of declared types from plain values, strictly: no key more, none less, no float."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Literal, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class PolicyError(ValueError):
    """A policy file that must not be used: which file, which key, and what it must hold."""

    def __init__(self, file: str, key: str, problem: str) -> None:
        super().__init__(f"{file}: {key} {problem}")
        self.file = file
        self.key = key
        self.problem = problem


def record(kind: type[T], value: object, *, file: str, key: str = "") -> T:
    """A dataclass from a table that has exactly its fields. PolicyError otherwise."""
    name = key or "file"
    if not isinstance(value, dict):
        raise PolicyError(file, name, f"must be a table, not {value!r}")
    hints = get_type_hints(kind)
    # Every kind read here is a dataclass; the declared type of T cannot say so.
    expected = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for given in value:
        if given not in expected:
            raise PolicyError(file, _join(key, given), f"is not a key: there are {', '.join(expected)}")
    for required in expected:
        if required not in value:
            raise PolicyError(file, _join(key, required), "is missing")
    return kind(**{each: _value(hints[each], value[each], file=file, key=_join(key, each)) for each in expected})


def _value(kind: object, value: object, *, file: str, key: str) -> object:
    origin = get_origin(kind)
    if is_dataclass(kind):
        return record(cast("type[object]", kind), value, file=file, key=key)
    if origin is tuple:
        if not isinstance(value, list) or not value:
            raise PolicyError(file, key, f"must be a list with at least one value, not {value!r}")
        item = get_args(kind)[0]
        return tuple(_value(item, each, file=file, key=f"{key}[{at}]") for at, each in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise PolicyError(file, key, f"must be a table, not {value!r}")
        item = get_args(kind)[1]
        points = {name: _value(item, each, file=file, key=_join(key, name)) for name, each in value.items()}
        return types.MappingProxyType(points)
    if origin is Literal:
        if value not in get_args(kind):
            raise PolicyError(file, key, f"must be one of {', '.join(get_args(kind))}, not {value!r}")
        return value
    return _scalar(kind, value, file=file, key=key)


def _scalar(kind: object, value: object, *, file: str, key: str) -> object:
    # By exact type: a float is never a whole number, and true is not 1.
    if kind is int:
        if type(value) is not int or value < 0:
            raise PolicyError(file, key, f"must be a whole number of at least 0, not {value!r}")
    elif kind is date:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise PolicyError(file, key, f"must be a date without a time, not {value!r}")
    elif kind is str:
        if not isinstance(value, str) or not value:
            raise PolicyError(file, key, f"must be text, not {value!r}")
    else:
        raise TypeError(f"{key}: no policy holds values of {kind}")
    return value


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
