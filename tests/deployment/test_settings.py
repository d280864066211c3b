"""What Terraform sets is what the code reads: every part of every function can be made from it, and of the commands."""

import base64
import re
from collections.abc import Mapping

import pytest
import yaml  # type: ignore[import-untyped]  # Published without types; openapi-spec-validator brings it.
from tests.deployment.applied import SYSTEM, Deployment

from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError

OURS = {"LOG_EXECUTION_ID", "PINJAM_PROFILE", "THREADS"}
"""Set for every function, whatever it reads."""
SECRET = "a-secret"
LIKE: Mapping[str, str] = {
    "PINJAM_DATABASE_URL": "postgresql://pinjam:a-secret@10.0.0.2:5432/pinjam?sslmode=require",
    "PINJAM_HASH_KEY": base64.b64encode(bytes(32)).decode(),
    "PINJAM_LINKS_KEY": base64.b64encode(bytes(32)).decode(),
    "PINJAM_REDIS_URL": "rediss://:a-secret@10.0.0.3:6378/0",
}
"""What a secret looks like, where not anything would do."""
KMS_KEY = re.compile(r"offline-google_kms_crypto_key-(\w+)-id")


def as_google_would(value: str) -> str:
    """A made-up id of a key in the shape of a true one."""
    return KMS_KEY.sub(r"projects/p/locations/l/keyRings/pinjam/cryptoKeys/\1", value)


def environment_of(deployment: Deployment, function: str) -> dict[str, str]:
    service = deployment.functions[function].block("service_config")
    plain = {name: as_google_would(value) for name, value in service["environment_variables"].items()}
    secrets = [each["key"] for each in service.get("secret_environment_variables") or ()]
    assert set(plain) & set(secrets) == set()
    return plain | {name: LIKE.get(name, SECRET) for name in secrets}


def staff_environment(deployment: Deployment) -> dict[str, str]:
    (machine,) = deployment.all("google_compute_instance", "staff")
    written = yaml.safe_load(machine.values["metadata"]["user-data"])["write_files"]
    (content,) = [one["content"] for one in written if one["path"] == "/etc/pinjam/environment"]
    found = dict(line.split("=", 1) for line in content.splitlines())
    return {
        name: LIKE.get(name, SECRET) if value.startswith("secret:") else as_google_would(value)
        for name, value in found.items()
    }


def make_all(environment: Mapping[str, str], parts: list[str]) -> None:
    """Make every part, and so read every setting behind it. What begins with an underscore is a way to others."""
    app = App(Settings.read(environment))
    for part in parts:
        if not part.startswith("_"):
            assert getattr(app, part) is not None, part
    app.close()


def test_every_part_of_every_function_can_be_made_from_what_terraform_sets(deployment: Deployment) -> None:
    for name, function in SYSTEM["functions"].items():
        make_all(environment_of(deployment, name), function["parts"])


def test_the_staffs_commands_can_be_made_from_what_terraform_writes_down(deployment: Deployment) -> None:
    environment = staff_environment(deployment)
    for command in SYSTEM["commands"].values():
        make_all(environment, command["parts"])


def test_no_function_is_given_what_it_does_not_read(deployment: Deployment) -> None:
    for name, function in SYSTEM["functions"].items():
        assert set(environment_of(deployment, name)) - OURS <= set(function["variables"]), name


def test_a_variable_that_is_not_set_is_noticed(deployment: Deployment) -> None:
    for gone in ("PINJAM_HASH_KEY", "PINJAM_KMS_KEY", "PINJAM_MIDTRANS_URL", "PINJAM_STORE", "PINJAM_PROJECT"):
        environment = environment_of(deployment, "pay")
        del environment[gone]
        with pytest.raises(SettingsError, match=gone):
            make_all(environment, SYSTEM["functions"]["pay"]["parts"])
