"""Every rule holds for every deployment, and tells when it is broken."""

import base64
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from tests.deployment import access_rules, data_rules, road_rules
from tests.deployment.applied import Choice, Deployment, Values
from tests.deployment.conftest import FIRST

Rule = Callable[[Deployment], Iterator[str]]
RULES: Sequence[Rule] = (
    access_rules.every_function_has_an_account_of_its_own,
    access_rules.nothing_runs_or_builds_as_a_default_account,
    access_rules.only_the_front_of_the_gateway_is_open_to_all,
    access_rules.each_function_is_called_by_those_whom_the_code_names,
    access_rules.functions_have_no_role_on_the_project_without_a_reason,
    road_rules.every_event_that_nobody_takes_is_kept,
    data_rules.all_data_is_encrypted_with_a_key_of_ours,
    data_rules.data_can_be_had_back,
    data_rules.data_stays_in_the_region,
    data_rules.data_is_out_of_public_reach,
    access_rules.secrets_are_declared_and_read_by_their_users_alone,
    road_rules.queues_have_the_rates_of_the_domain,
    road_rules.every_function_hears_of_its_events,
    access_rules.publishers_may_publish_and_nobody_else,
    data_rules.firestore_has_the_indexes_that_the_code_declares,
    road_rules.sweep_comes_every_minute,
    road_rules.routes_lead_to_functions,
    road_rules.every_alert_reaches_somebody,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_of_every_deployment(rule: Rule, deployment: Deployment) -> None:
    assert list(rule(deployment)) == []


def test_data_in_production_cannot_be_deleted_and_elsewhere_can(deployment: Deployment) -> None:
    faults = list(data_rules.data_in_production_cannot_be_deleted(deployment))
    assert (faults == []) == (deployment.choice.environment == "prod"), faults


Change = Callable[[dict[str, Any]], None]


def put(type: str, name: str, *path: str | int, value: object) -> Change:
    """Every resource of a type and name has another value at the end of the path."""

    def change(state: dict[str, Any]) -> None:
        for one in state["values"]["root_module"]["resources"]:
            if (one["type"], one["name"]) == (type, name):
                place = one["values"]
                for step in path[:-1]:
                    place = place[step]
                place[path[-1]] = value

    return change


def lose(type: str, name: str | None = None) -> Change:
    """The first resource of a type is not there."""

    def change(state: dict[str, Any]) -> None:
        found = state["values"]["root_module"]["resources"]
        found.remove(next(one for one in found if one["type"] == type and name in (None, one["name"])))

    return change


def document(old: str, new: str) -> Change:
    """The gateway's document says something else."""

    def change(state: dict[str, Any]) -> None:
        for one in state["values"]["root_module"]["resources"]:
            if one["type"] == "google_api_gateway_api_config":
                held = one["values"]["openapi_documents"][0]["document"][0]
                held["contents"] = base64.b64encode(
                    base64.b64decode(held["contents"]).replace(old.encode(), new.encode())
                ).decode()

    return change


def an_alert_that_nobody_hears(state: dict[str, Any]) -> None:
    alert = {"mode": "managed", "type": "google_monitoring_alert_policy", "name": "x"}
    state["values"]["root_module"]["resources"].append(alert | {"values": {"notification_channels": []}})


FUNCTION = ("google_cloudfunctions2_function", "function")
SUBSCRIPTION = ("google_pubsub_subscription", "event")
PAY = "serviceAccount:offline-google_service_account-fn-pay-email"
WRONG: Sequence[tuple[Rule, Change]] = (
    (access_rules.every_function_has_an_account_of_its_own, lose(*FUNCTION)),
    (
        access_rules.every_function_has_an_account_of_its_own,
        put(*FUNCTION, "service_config", 0, "service_account_email", value=PAY.removeprefix("serviceAccount:")),
    ),
    (
        access_rules.nothing_runs_or_builds_as_a_default_account,
        put(*FUNCTION, "build_config", 0, "service_account", value=None),
    ),
    (
        access_rules.nothing_runs_or_builds_as_a_default_account,
        put("google_project_iam_member", "builder_logs", "member", value="1-compute@developer.gserviceaccount.com"),
    ),
    (
        access_rules.only_the_front_of_the_gateway_is_open_to_all,
        put("google_storage_bucket_iam_member", "documents", "member", value="allUsers"),
    ),
    (
        access_rules.each_function_is_called_by_those_whom_the_code_names,
        put("google_cloud_run_v2_service_iam_binding", "invoker", "members", value=[PAY]),
    ),
    (
        access_rules.each_function_is_called_by_those_whom_the_code_names,
        lose("google_cloud_run_v2_service_iam_binding"),
    ),
    (
        access_rules.functions_have_no_role_on_the_project_without_a_reason,
        put("google_project_iam_member", "accounts", "role", value="roles/firebaseauth.admin"),
    ),
    (
        access_rules.functions_have_no_role_on_the_project_without_a_reason,
        put("google_project_iam_member", "database_login", "condition", value=[]),
    ),
    (road_rules.every_event_that_nobody_takes_is_kept, put(*SUBSCRIPTION, "dead_letter_policy", value=[])),
    (road_rules.every_event_that_nobody_takes_is_kept, lose("google_pubsub_topic", "dead")),
    (
        road_rules.every_event_that_nobody_takes_is_kept,
        put("google_pubsub_subscription", "dead", "message_retention_duration", value="600s"),
    ),
    *(
        (data_rules.all_data_is_encrypted_with_a_key_of_ours, put(kind, name, *path, value=None))
        for kind, name, path in (
            (*FUNCTION, ("kms_key_name",)),
            ("google_pubsub_topic", "dead", ("kms_key_name",)),
            ("google_sql_database_instance", "main", ("encryption_key_name",)),
            ("google_storage_bucket", "documents", ("encryption",)),
            ("google_secret_manager_secret", "setting", ("replication",)),
            ("google_kms_crypto_key", "borrowers", ("rotation_period",)),
        )
    ),
    (
        data_rules.data_can_be_had_back,
        put("google_sql_database_instance", "main", "settings", 0, "backup_configuration", value=[]),
    ),
    (data_rules.data_can_be_had_back, put("google_storage_bucket", "documents", "versioning", value=[])),
    (
        data_rules.data_stays_in_the_region,
        put("google_storage_bucket", "documents", "location", value="ASIA"),
    ),
    (
        data_rules.data_is_out_of_public_reach,
        put("google_storage_bucket", "documents", "public_access_prevention", value="inherited"),
    ),
    (
        data_rules.data_is_out_of_public_reach,
        put(
            *("google_sql_database_instance", "main", "settings", 0, "ip_configuration", 0, "ipv4_enabled"), value=True
        ),
    ),
    (
        access_rules.secrets_are_declared_and_read_by_their_users_alone,
        put("google_secret_manager_secret_iam_member", "reader", "member", value=PAY),
    ),
    (access_rules.secrets_are_declared_and_read_by_their_users_alone, lose("google_secret_manager_secret")),
    (
        road_rules.queues_have_the_rates_of_the_domain,
        put("google_cloud_tasks_queue", "queue", "rate_limits", 0, "max_dispatches_per_second", value=500),
    ),
    (road_rules.every_function_hears_of_its_events, lose(*SUBSCRIPTION)),
    (
        road_rules.every_function_hears_of_its_events,
        put(*SUBSCRIPTION, "push_config", 0, "push_endpoint", value="https://example.com"),
    ),
    (road_rules.every_function_hears_of_its_events, put(*SUBSCRIPTION, "ack_deadline_seconds", value=10)),
    (
        access_rules.publishers_may_publish_and_nobody_else,
        put("google_pubsub_topic_iam_binding", "publisher", "members", value=[PAY]),
    ),
    (
        road_rules.sweep_comes_every_minute,
        put("google_cloud_scheduler_job", "sweep", "time_zone", value="Etc/UTC"),
    ),
    (road_rules.sweep_comes_every_minute, put("google_cloud_scheduler_job", "sweep", "http_target", value=[])),
    (road_rules.routes_lead_to_functions, document("cloudfunctions.net/pay", "cloudfunctions.net/play")),
    (road_rules.routes_lead_to_functions, document("APPEND_PATH_TO_ADDRESS", "CONSTANT_ADDRESS")),
    (road_rules.every_alert_reaches_somebody, an_alert_that_nobody_hears),
    (data_rules.data_in_production_cannot_be_deleted, lambda _state: None),
)


@pytest.mark.parametrize(
    ("rule", "change"), WRONG, ids=[f"{number}-{rule.__name__}" for number, (rule, _) in enumerate(WRONG, 1)]
)
def test_a_rule_tells_of_what_breaks_it(rule: Rule, change: Change, first_state: Values) -> None:
    state = copy.deepcopy(dict(first_state))
    change(state)
    assert list(rule(Deployment.of(FIRST, state)))


def test_missing_indexes_are_told(first_state: Values) -> None:
    choice = Choice(environment="dev", store="firestore", gateway="api_gateway")
    assert list(data_rules.firestore_has_the_indexes_that_the_code_declares(Deployment.of(choice, first_state)))


def test_every_rule_is_seen_to_tell() -> None:
    tested = {rule for rule, _ in WRONG} | {data_rules.firestore_has_the_indexes_that_the_code_declares}
    assert tested == {*RULES, data_rules.data_in_production_cannot_be_deleted}
