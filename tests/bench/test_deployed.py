"""How functions are started to be measured."""

from bench.deployed import FUNCTIONS, threads


def test_a_function_has_as_many_threads_as_its_deployment_gives_it() -> None:
    assert {name: threads(name) for name in FUNCTIONS if threads(name) != threads("empty")} == {
        "decide_loan": 4,
        "disburse": 4,
        "notify": 4,
        "sweep": 1,
        "upload_doc": 4,
        "verify_identity": 2,
    }
    assert threads("empty") == threads("loans") == 8
