"""What the deployment is told of the system is all there."""

from pinjam.local.deployment import STAFF_COMMANDS, facts
from pinjam.local.system import REPOSITORY

NOT_FOR_STAFF = {
    "copy": "moves a store while everything stands still, which whoever deploys does",
    "generate": "makes loans up, with the local system's help; it is in no package",
}


def test_every_command_is_the_staffs_or_says_why_not() -> None:
    commands = {
        path.stem
        for path in (REPOSITORY / "lib" / "pinjam").glob("*.py")
        if 'if __name__ == "__main__":' in path.read_text()
    }
    assert commands == {*STAFF_COMMANDS, *NOT_FOR_STAFF}


def test_what_a_command_of_the_staff_uses_is_found_in_its_source() -> None:
    described = facts(REPOSITORY / "functions", ())["commands"]
    assert {name: "store" in each["parts"] for name, each in described.items()} == dict.fromkeys(STAFF_COMMANDS, True)
    assert {name for name, each in described.items() if "key_wrapper" in each["parts"]} == {"keys", "review"}
