"""What is wrong with a field of a request."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """Why a field of a request is refused: a code, and the limits that a message needs."""

    field: str
    code: str
    params: Mapping[str, int | str]
