"""What every IdentityCheck does, shown by the Verihubs adapter against the sandbox and against garbage."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import date
from random import Random

import pytest
from PIL import Image

from pinjam.adapters.ekyc import VerihubsCheck
from pinjam.domain.user import KycCheck
from pinjam.local.sandbox.faults import BUSY_S
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials
from pinjam.services.ports import IdentityCheck, IdentityClaim, Refused, Unavailable

JPEG = b"\xff\xd8\xff\xe0picture"
CLAIM = IdentityClaim(
    reference="usr_1-1",
    nik="3171015708010001",
    full_name="CONTOH NAMA",
    birth_date=date(2001, 8, 17),
    email="contoh@example.com",
    phone="+6281200000000",
    ktp_image=JPEG,
    selfie_image=JPEG,
)


@pytest.fixture
def connect(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[Callable[..., VerihubsCheck]]:
    with ExitStack() as running:

        def make(*, url: str = sandbox.ekyc_url, timeout_s: float = 10, api_key: str | None = None) -> VerihubsCheck:
            made = VerihubsCheck(
                url=url,
                app_id=sandbox_credentials.ekyc_app_id,
                api_key=api_key or sandbox_credentials.ekyc_api_key,
                timeout_s=timeout_s,
            )
            return running.enter_context(closing(made))

        yield make


@pytest.fixture
def provider(connect: Callable[..., VerihubsCheck]) -> VerihubsCheck:
    return connect()


def outcomes(checks: tuple[KycCheck, ...]) -> dict[str, str]:
    return {check.name: check.outcome for check in checks}


def selfie_score(checks: tuple[KycCheck, ...]) -> int | None:
    return next(check.score for check in checks if check.name == "selfie")


ALL_PASS = dict.fromkeys(("nik", "name", "birth_date", "selfie", "liveness"), "pass")


def test_a_true_claim_passes_every_check(provider: IdentityCheck) -> None:
    checks = provider.check(CLAIM)
    assert outcomes(checks) == ALL_PASS
    assert (selfie_score(checks) or 0) >= 80


def test_asking_again_gives_the_same_answer(provider: IdentityCheck) -> None:
    assert provider.check(CLAIM) == provider.check(CLAIM)


def test_another_persons_selfie_fails_that_check_alone(provider: IdentityCheck) -> None:
    checks = provider.check(replace(CLAIM, nik="3171015708019001"))
    assert outcomes(checks) == ALL_PASS | {"selfie": "fail"}
    assert (selfie_score(checks) or 100) < 70


def test_a_doubtful_selfie_is_told_by_its_score(provider: IdentityCheck) -> None:
    assert selfie_score(provider.check(replace(CLAIM, nik="3171015708019002"))) == 75


def test_a_nik_that_finds_the_provider_down_passes_once_that_is_cleared(
    sandbox: SandboxServers, provider: IdentityCheck
) -> None:
    claim = replace(CLAIM, nik="3171015708019003")
    for _ in range(2):
        with pytest.raises(Unavailable):
            provider.check(claim)
    sandbox.sandbox.faults.set("ekyc", "ok")
    assert outcomes(provider.check(claim)) == ALL_PASS


def test_a_provider_that_is_down_is_unavailable(sandbox: SandboxServers, provider: IdentityCheck) -> None:
    sandbox.sandbox.faults.set("ekyc", "down", times=1)
    with pytest.raises(Unavailable):
        provider.check(CLAIM)
    assert outcomes(provider.check(CLAIM)) == ALL_PASS


def test_a_provider_that_is_busy_says_when_to_come_back(sandbox: SandboxServers, provider: IdentityCheck) -> None:
    sandbox.sandbox.faults.set("ekyc", "busy", times=1)
    with pytest.raises(Unavailable) as busy:
        provider.check(CLAIM)
    assert busy.value.retry_after_s == BUSY_S
    assert outcomes(provider.check(CLAIM)) == ALL_PASS


def test_a_provider_that_is_slow_is_unavailable(sandbox: SandboxServers, connect: Callable[..., VerihubsCheck]) -> None:
    sandbox.sandbox.faults.set("ekyc", "slow")
    with pytest.raises(Unavailable):
        connect(timeout_s=0.2).check(CLAIM)


def test_a_refusal_carries_the_providers_code(sandbox: SandboxServers, provider: IdentityCheck) -> None:
    sandbox.sandbox.faults.set("ekyc", "reject")
    with pytest.raises(Refused) as refused:
        provider.check(CLAIM)
    assert refused.value.code == "IMAGE_QUALITY_INSUFFICIENT"


@pytest.mark.parametrize(
    "change",
    [{"nik": "317101"}, {"phone": "+15550100"}, {"ktp_image": b"%PDF-"}, {"selfie_image": b""}, {"email": "none"}],
    ids=lambda change: next(iter(change)),
)
def test_a_claim_that_the_provider_does_not_take_is_refused(provider: IdentityCheck, change: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        provider.check(replace(CLAIM, **change))  # type: ignore[arg-type]  # one field of the right type
    assert refused.value.code == "BAD_REQUEST"


def test_a_wrong_key_is_refused(connect: Callable[..., VerihubsCheck]) -> None:
    with pytest.raises(Refused) as refused:
        connect(api_key="another").check(CLAIM)
    assert refused.value.code == "UNAUTHORIZED"


VERDICT: dict[str, object] = {"status": "verified", "reject_field": [], "reference_id": "usr_1-1"}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b"<html>", 200, id="html"),
        pytest.param(b'{"status": "verified", "refer', 200, id="truncated"),
        pytest.param(b"[]", 200, id="array"),
        pytest.param(json.dumps(VERDICT | {"status": "maybe"}).encode(), 200, id="unknown status"),
        pytest.param(json.dumps(VERDICT | {"reference_id": "usr_2-1"}).encode(), 200, id="another person's"),
        pytest.param(json.dumps(VERDICT | {"reject_field": "nik"}).encode(), 200, id="string for a list"),
        pytest.param(json.dumps(VERDICT | {"selfie_similarity": 970}).encode(), 200, id="similarity beyond 100"),
        pytest.param(json.dumps(VERDICT | {"selfie_similarity": "high"}).encode(), 200, id="similarity in words"),
        pytest.param(b"slow down", 429, id="429"),
        pytest.param(b"", 504, id="504"),
    ],
)
def test_garbage_is_an_unknown_outcome(
    connect: Callable[..., VerihubsCheck], answering: Callable[[bytes, int], str], content: bytes, status: int
) -> None:
    with pytest.raises(Unavailable):
        connect(url=answering(content, status)).check(CLAIM)


@pytest.mark.parametrize(
    ("change", "expected", "score"),
    [
        ({}, ALL_PASS, None),
        ({"selfie_similarity": 79.9}, ALL_PASS, 79),
        (
            {"status": "not_verified", "reject_field": ["birth_date", "selfie_photo"]},
            ALL_PASS | {"birth_date": "fail", "selfie": "fail"},
            None,
        ),
        ({"status": "not_verified", "reject_field": ["ktp_photo"]}, dict.fromkeys(ALL_PASS, "unknown"), None),
        ({"status": "not_verified", "reject_field": []}, dict.fromkeys(ALL_PASS, "unknown"), None),
    ],
    ids=["no similarity", "a fraction is cut off", "two fields", "a field that is no check", "no reason"],
)
def test_a_verdict_becomes_named_checks(
    connect: Callable[..., VerihubsCheck],
    answering: Callable[[bytes, int], str],
    change: dict[str, object],
    expected: dict[str, str],
    score: int | None,
) -> None:
    checks = connect(url=answering(json.dumps(VERDICT | change).encode(), 200)).check(CLAIM)
    assert outcomes(checks) == expected
    assert selfie_score(checks) == score


def noise(kind: str, width: int, height: int) -> bytes:
    """A picture that does not get smaller by being compressed."""
    picture = Image.frombytes("RGB", (width, height), Random(1).randbytes(width * height * 3))  # noqa: S311 - noise
    made = io.BytesIO()
    picture.save(made, kind, quality=95)
    return made.getvalue()


@pytest.mark.parametrize(("kind", "width", "height"), [("PNG", 1000, 1400), ("JPEG", 2600, 1300)])
def test_a_picture_that_is_larger_than_the_provider_takes_goes_smaller(
    provider: IdentityCheck, kind: str, width: int, height: int
) -> None:
    large = noise(kind, width, height)
    assert len(large) > 4_000_000 * 3 // 4, "more than either limit"
    assert outcomes(provider.check(replace(CLAIM, ktp_image=large, selfie_image=large))) == ALL_PASS


def test_a_picture_that_the_provider_takes_goes_as_it_is(connect: Callable[..., VerihubsCheck]) -> None:
    """What the sandbox takes need not be a whole picture, so that one which was decoded would fail."""
    ktp, selfie = JPEG + bytes(1_499_000), JPEG + bytes(2_999_000)
    assert outcomes(connect().check(replace(CLAIM, ktp_image=ktp, selfie_image=selfie))) == ALL_PASS
    with pytest.raises(Refused) as refused:
        connect().check(replace(CLAIM, ktp_image=selfie))
    assert refused.value.code == "picture-unreadable"
