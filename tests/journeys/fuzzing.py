"""Calls made from the OpenAPI document, by people for whom they can succeed, and what must hold of every answer."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TextIO
from zlib import crc32

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PROBLEM = "application/problem+json"
GATEWAYS_OWN = {"code", "message"}
TIMEOUT_S = 30
MIDTRANS = "/api/payments/webhook/midtrans"
ENDS = {"/api/auth/logout", "/api/users/erasure"}
"""What ends the caller's sessions or account: called by those alone of whom nothing else is asked."""
KINDS = {"loan_id": "loans", "order_id": "payments"}
"""Whose ids a field of this name takes."""

ORDINARY = ["2xx", "401", "403", "404", "409", "422", "429"]
"""What good data may get. 422 is among it because a schema cannot say all that is asked of a field: steps of
an amount, a NIK's birth date, a password that nobody would guess. 400, 413, 415 and 5xx are not."""
REFUSALS = ["400", "401", "403", "404", "409", "413", "415", "422", "429"]
"""What bad data may get: beyond the tool's own list, 409 is for what a state forbids before the field is looked
at, 413 and 415 are for bodies, and 429 for who tries too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who calls, and what they know that exists. `name` is theirs in a report."""

    name: str
    token: str | None = None
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By the segment of the path before them, such as `loans`."""
    foreign: bool = False
    """Whether what they know of is somebody else's."""
    fields: Mapping[str, Callable[[], Mapping[str, object]]] = field(default_factory=dict)
    """By path, what goes into it, its query or body so that it succeeds; who has that is the one to call it."""

    def complete(self, path: str, values: dict[str, Any], edge: str) -> None:
        """Put what is known in place of what was made up; a field that `edge` names stays as it is."""
        known = dict(self.fields[path]()) if path in self.fields else {}
        known |= {name: _one_of(self.ids.get(kind, ()), values.get(name)) for name, kind in KINDS.items()}
        for name in known.keys() & values.keys():
            if f"'{name}'" not in edge:
                values[name] = known[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What the senders of webhooks sign with."""

    midtrans: str
    iris: str
    whatsapp: str


class _Signature(AuthBase):
    """Signs the bytes of a body, where a header for it is sent at all."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        raw = _sent(request)
        if "X-Hub-Signature-256" in request.headers:
            signed = hmac.new(self._secrets.whatsapp.encode(), raw, hashlib.sha256).hexdigest()
            request.headers["X-Hub-Signature-256"] = f"sha256={signed}"
        if "Iris-Signature" in request.headers:
            request.headers["Iris-Signature"] = hashlib.sha512(raw + self._secrets.iris.encode()).hexdigest()
        return request


def _sent(request: requests.PreparedRequest) -> bytes:
    match request.body:
        case str() as text:
            return text.encode()
        case bytes() as raw:
            return raw
        case _:
            return b""


@dataclass
class Fuzzer:
    """Calls the system at `url` from its document, and counts what came back."""

    document: Path
    url: str
    callers: Sequence[Caller]
    secrets: Secrets
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By operation and status."""

    def __post_init__(self) -> None:
        self._schema = schemathesis.openapi.from_path(self.document)
        self._schema.config.checks.positive_data_acceptance.expected_statuses = ORDINARY
        self._schema.config.checks.negative_data_rejection.expected_statuses = REFUSALS
        self._keys = count()
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close connections."""
        self._session.close()

    def write_answers(self, target: TextIO) -> None:
        """Write how often each operation answered with which status."""
        target.write(f"\n{self.answers.total()} calls\n")
        for name in dict.fromkeys(name for name, _ in sorted(self.answers)):
            told = sorted((status, times) for (one, status), times in self.answers.items() if one == name)
            target.write(f"{name}: {', '.join(f'{status} x {times}' for status, times in told)}\n")

    def cover(self, label: str, *, every: int = 1) -> None:
        """The edges of every field of an operation, one at a time, from who may call it: all good, `every` nth bad."""
        operation = self._operation(label)
        config = self._schema.config.generation_for(operation=operation, phase="coverage")
        modes = list(GenerationMode)
        cases = self._schema.iter_coverage_cases(operation, generation_modes=modes, generation_config=config)
        able = [one for one in self.callers if operation.path in one.fields]
        able = able or [one for one in self.callers if one.token]
        failures: list[FailureGroup] = []
        for number, case in enumerate(cases):
            if number % every and not (case.meta and case.meta.generation.mode.is_positive):
                continue
            try:
                self._call(case, able[number % len(able)], fresh_keys=True)
            except FailureGroup as failure:
                failures.append(failure)
        if failures:
            raise BaseExceptionGroup(f"{len(failures)} answers to {label} are not the document's", failures)

    def explore(self, label: str, examples: int, *, derandomize: bool) -> None:
        """So many calls of an operation with anything in it, good and bad, from anybody."""
        operation = self._operation(label)
        ends = operation.path in ENDS
        callers = [one for one in self.callers if not ends or operation.path in one.fields or one.token is None]
        cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

        @settings(
            max_examples=examples,
            derandomize=derandomize,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            # A call is slow beside what hypothesis usually runs, and some schemas are hard to satisfy.
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, caller=st.sampled_from(callers))
        def run(case: Case[Any], caller: Caller) -> None:
            self._call(case, caller, fresh_keys=False)

        run()

    def answered(self, label: str) -> set[int]:
        """The statuses that an operation has answered with."""
        return {status for name, status in self.answers if name == label}

    def _operation(self, label: str) -> Any:
        method, path = label.split(" ", 1)
        return self._schema[path][method]

    def _call(self, case: Case[Any], caller: Caller, *, fresh_keys: bool) -> None:
        label = case.operation.label
        self._fill(case, caller, fresh_keys=fresh_keys)
        response = case.call(self.url, session=self._session, auth=_Signature(self.secrets), timeout=TIMEOUT_S)
        if not _asks_for_an_undefined_method(case):
            self.answers[label, response.status_code] += 1
        checks = [
            not_a_server_error,
            answered_in_one_of_two_shapes,
            undefined_methods_are_the_gateways,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            negative_data_rejection,
            positive_data_acceptance,
            missing_required_header,
        ]
        case.validate_response(response, checks=checks)
        closed = caller.token is None and case.operation.definition.raw.get("security")
        if (closed or (caller.foreign and case.path_parameters)) and response.request.method != "OPTIONS":
            assert response.status_code >= 400, f"{label} opened to {caller.name}"

    def _fill(self, case: Case[Any], caller: Caller, *, fresh_keys: bool) -> None:
        """Put what the caller knows in place of what was made up, where what was made up is good.

        An edge stays as it is: its description names the field.
        """
        edge = str(case.meta.phase.data.description) if case.meta else ""
        case.headers.pop("Authorization", None)
        if caller.token is not None and "Authorization" not in edge:
            case.headers["Authorization"] = f"Bearer {caller.token}"
        if fresh_keys and "Idempotency-Key" not in edge and _good(case, ParameterLocation.HEADER):
            case.headers.update({"Idempotency-Key": f"{next(self._keys)}"} if "Idempotency-Key" in case.headers else {})
        if _good(case, ParameterLocation.PATH):
            for name, value in case.path_parameters.items():
                kind = case.path.partition(f"/{{{name}}}")[0].rpartition("/")[2]
                case.path_parameters[name] = _one_of(caller.ids.get(kind, ()), value)
            caller.complete(case.path, case.path_parameters, edge)
        if _good(case, ParameterLocation.QUERY):
            caller.complete(case.path, case.query, edge)
        if isinstance(case.body, dict) and _good(case, ParameterLocation.BODY):
            body: dict[str, Any] = case.body
            caller.complete(case.path, body, edge)
            if case.path == MIDTRANS:
                signed = "".join(body[name] for name in ("order_id", "status_code", "gross_amount"))
                body["signature_key"] = hashlib.sha512((signed + self.secrets.midtrans).encode()).hexdigest()


def answered_in_one_of_two_shapes(_ctx: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Every answer has its id, and every refusal is a problem of ours or the gateway's own."""
    assert response.headers.get("x-request-id"), "there is no X-Request-Id"
    if response.status_code < 400:
        return
    body = response.json()
    if response.headers["content-type"] == [PROBLEM]:
        assert body["status"] == response.status_code
        assert body["instance"] == response.headers["x-request-id"][0]
    else:
        assert response.headers["content-type"] == ["application/json"]
        assert set(body) == GATEWAYS_OWN
        assert body["code"] == response.status_code


def undefined_methods_are_the_gateways(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """A method that the document lacks is the gateway's 405, before it looks at anything else; OPTIONS is CORS's."""
    if _asks_for_an_undefined_method(case):
        assert response.status_code == (204 if response.request.method == "OPTIONS" else 405)


def _asks_for_an_undefined_method(case: Case[Any]) -> bool:
    data = case.meta.phase.data if case.meta else None
    return isinstance(data, CoveragePhaseData) and data.scenario == CoverageScenario.UNSPECIFIED_HTTP_METHOD


def _good(case: Case[Any], location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta else None
    return component is not None and component.mode.is_positive


def _one_of(known: Sequence[str], made_up: object) -> Any:
    """One that is known, always the same for the same value; what was made up where none is."""
    return known[crc32(repr(made_up).encode()) % len(known)] if known else made_up
