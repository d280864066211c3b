"""A call's fingerprint, the names of fields, and what an answer becomes."""

import json
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from tests.world import make_world

from pinjam.domain.calendar import JAKARTA
from pinjam.runtime.api import Answer, Call
from pinjam.runtime.models.fields import Given, Instant, OneLine, Shown
from pinjam.runtime.validation import field_problems
from pinjam.services.once import Answered, Keyed


class Body(Given):
    """A body of two fields."""

    amount: int
    note: str | None = None


class Kept(Shown):
    """An answer of two fields."""

    amount: int
    at: Instant | None = None


def call(body: BaseModel | None = None, **changes: Any) -> Call[BaseModel | None, None]:
    given: dict[str, Any] = {
        "app": make_world().app,
        "body": body,
        "query": None,
        "path": {"id": "loan_1"},
        "user_id": "usr_1",
        "locale": "id",
        "request_id": "req_1",
        "route": "POST /api/x/{id}",
        "key": "k",
    }
    return Call(**given | changes)


def fingerprint(made: Call[BaseModel | None, None]) -> str:
    return made.keyed(200, lambda _: Kept(amount=1)).fingerprint


def test_a_fingerprint_is_of_the_path_and_the_body() -> None:
    same = fingerprint(call(Body(amount=1)))
    assert same == fingerprint(call(Body(amount=1, note=None)))
    # Whoever asks again, in whichever language and under whatever request id, asks for the same.
    assert same == fingerprint(call(Body(amount=1), locale="en", request_id="req_2"))
    others = [
        call(Body(amount=2)),
        call(Body(amount=1, note="")),
        call(Body(amount=1), path={"id": "loan_2"}),
        call(None),
    ]
    assert len({same, *(fingerprint(other) for other in others)}) == 5


def test_a_key_is_scoped_to_the_borrower_and_the_route() -> None:
    assert call().keyed(200, lambda _: Kept(amount=1)).id == "usr_1:POST /api/x/{id}:k"


def test_a_kept_answer_is_plain_json() -> None:
    at = datetime(2026, 11, 24, 9, 0, 0, 1999, JAKARTA)
    keyed: Keyed[int] = call().keyed(202, lambda amount: Kept(amount=amount, at=at))
    assert (keyed.status, keyed.render(5)) == (202, {"amount": 5, "at": "2026-11-24T02:00:00.001Z"})


class Whole(Shown):
    """Whatever an answer can hold."""

    kept: Kept | None
    many: list[Kept]
    on: date
    words: dict[str, object]


def test_an_answer_is_the_text_of_its_fields_in_their_order() -> None:
    whole = Whole(kept=Kept(amount=1), many=[Kept(amount=2)], on=date(2026, 11, 24), words={"é": (True, "x", None)})
    text = (
        '{"kept":{"amount":1,"at":null},"many":[{"amount":2,"at":null}],"on":"2026-11-24",'
        '"words":{"é":[true,"x",null]}}'
    )
    assert whole.as_json() == text
    assert json.loads(whole.as_json(indent=2)) == json.loads(text)


def test_an_answer_without_one_of_its_fields_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="amount"):
        Kept()  # type: ignore[call-arg]  # what is tested


def test_nobody_is_shown_what_json_has_no_word_for() -> None:
    with pytest.raises(TypeError, match="bytes"):
        Whole(kept=None, many=[], on=date(2026, 11, 24), words={"key": b"secret"}).as_json()


def test_an_answer_tells_a_log_nothing_of_what_it_holds() -> None:
    assert "3171" not in repr(Whole(kept=None, many=[], on=date(2026, 11, 24), words={"nik": "3171"}))


def test_the_actor_of_a_public_call_is_anonymous() -> None:
    assert (call().actor.id, call(user_id="").actor.id) == ("usr_1", "anonymous")
    assert call().actor.request_id == "req_1"


def test_a_replayed_answer_says_so() -> None:
    assert Answer.of(Answered(200, {})).headers == {}
    assert Answer.of(Answered(200, {}, replayed=True)).headers == {"Idempotent-Replayed": "true"}


class Cat(Given):
    """One of two."""

    type: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(Given):
    """The other."""

    type: Literal["dog"]


class Owner(Given):
    """Nested in all the ways there are."""

    name: Annotated[str, Field(min_length=2, max_length=4), OneLine]
    pets: Annotated[list[Annotated[Cat | Dog, Field(discriminator="type")]], Field(min_length=1, max_length=2)]
    size: Literal["s", "m"] = "s"
    code: Annotated[str, Field(pattern=r"^\d+$")] = "1"


GOOD: dict[str, Any] = {"name": "Ani", "pets": [{"type": "cat", "lives": 9}]}


@pytest.mark.parametrize(
    ("changes", "field", "code", "limit"),
    [
        ({"name": "x"}, "name", "too-short", 2),
        ({"name": "xxxxx"}, "name", "too-long", 4),
        ({"name": "   "}, "name", "required", ""),
        ({"name": "a\tb"}, "name", "control-characters", ""),
        ({"pets": []}, "pets", "too-few", 1),
        ({"pets": [{"type": "dog"}] * 3}, "pets", "too-many", 2),
        ({"pets": [{"type": "cat", "lives": 0}]}, "pets[0].lives", "too-low", 1),
        ({"pets": [{"type": "dog"}, {"type": "cat", "lives": 10}]}, "pets[1].lives", "too-high", 9),
        ({"pets": [{"type": "cat"}]}, "pets[0].lives", "required", ""),
        ({"pets": [{"type": "dog", "cat": 1}]}, "pets[0].cat", "unknown-field", ""),
        ({"pets": [{"type": "cow"}]}, "pets[0]", "not-allowed", "'cat', 'dog'"),
        ({"pets": [{}]}, "pets[0]", "required", ""),
        ({"pets": {"0": {"type": "dog"}}}, "pets", "wrong-type", ""),
        ({"size": "l"}, "size", "not-allowed", "'s' or 'm'"),
        ({"code": "x"}, "code", "invalid", "^\\d+$"),
    ],
    ids=str,
)
def test_a_problem_is_named_as_the_client_wrote_it(
    changes: dict[str, Any], field: str, code: str, limit: int | str
) -> None:
    given = GOOD | changes
    with pytest.raises(ValidationError) as wrong:
        Owner.model_validate(given, strict=True)
    (problem,) = field_problems(wrong.value, given)
    assert (problem.field, problem.code) == (field, code)
    if code != "invalid":
        assert problem.params == {"limit": limit}


def test_a_librarys_own_words_are_not_repeated() -> None:
    class Strange(BaseModel):
        value: Annotated[int, Field(multiple_of=7)]

    with pytest.raises(ValidationError) as wrong:
        Strange.model_validate({"value": 8})
    assert [one.code for one in field_problems(wrong.value)] == ["wrong-type"]
