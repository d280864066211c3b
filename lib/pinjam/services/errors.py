"""Why a use case says no.

    Denied
    ├── NotFound          there is none, or it belongs to somebody else
    ├── Unauthenticated   the credentials are not good
    ├── Forbidden         a caller who may not do this
    ├── StateForbids      what was asked does not fit the present state
    ├── Invalid           a field is wrong; `fields` says which and why
    └── TooMany           too often; `retry_after_s` says when to come back

The HTTP edge has one table from these classes to a status; `code` names the problem and finds its text
in both languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pinjam.domain.field_problem import FieldProblem

Params = Mapping[str, int | str]


class Denied(Exception):
    """A use case that cannot be carried out; `code` is the API's name for the reason."""

    default_code: ClassVar[str] = "denied"

    def __init__(self, code: str | None = None, params: Params | None = None) -> None:
        super().__init__(code or self.default_code)
        self.code = code or self.default_code
        self.params = dict(params or {})


class NotFound(Denied):
    """There is no such thing for this caller."""

    default_code = "not-found"


class Unauthenticated(Denied):
    """The credentials are not good."""

    default_code = "invalid-credentials"


class Forbidden(Denied):
    """The caller may not do this."""

    default_code = "forbidden"


class StateForbids(Denied):
    """What was asked does not fit the present state."""

    default_code = "state-forbids"


class Invalid(Denied):
    """One or more fields are wrong; nothing was done."""

    default_code = "invalid-fields"

    def __init__(self, *fields: FieldProblem, code: str | None = None) -> None:
        super().__init__(code)
        self.fields = fields


class TooMany(Denied):
    """Asked too often."""

    default_code = "too-many-requests"

    def __init__(self, retry_after_s: int, code: str | None = None) -> None:
        super().__init__(code, {"seconds": retry_after_s})
        self.retry_after_s = retry_after_s
