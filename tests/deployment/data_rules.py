"""Where data is kept and how, in every deployment. A rule tells of each fault."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.deployment.applied import REGION, Deployment, key_in

from pinjam.adapters.firestore_indexes import declared, parsed

KEY_AT: Mapping[str, tuple[tuple[str, ...], str]] = {
    "google_artifact_registry_repository": ((), "kms_key_name"),
    "google_cloud_run_v2_job": (("template", "template"), "encryption_key"),
    "google_cloud_run_v2_service": (("template",), "encryption_key"),
    "google_cloudfunctions2_function": ((), "kms_key_name"),
    "google_compute_instance": (("boot_disk",), "kms_key_self_link"),
    "google_firestore_database": (("cmek_config",), "kms_key_name"),
    "google_logging_project_bucket_config": (("cmek_settings",), "kms_key_name"),
    "google_pubsub_topic": ((), "kms_key_name"),
    "google_redis_instance": ((), "customer_managed_key"),
    "google_secret_manager_secret": (
        ("replication", "user_managed", "replicas", "customer_managed_encryption"),
        "kms_key_name",
    ),
    "google_sql_database_instance": ((), "encryption_key_name"),
    "google_storage_bucket": (("encryption",), "default_kms_key_name"),
}
"""Whatever holds data, and where it names its key."""
PROTECTED: Mapping[str, tuple[tuple[tuple[str, ...], str, object], ...]] = {
    "google_firestore_database": (
        ((), "delete_protection_state", "DELETE_PROTECTION_ENABLED"),
        ((), "deletion_policy", "ABANDON"),
    ),
    "google_secret_manager_secret": (((), "deletion_protection", True),),
    "google_sql_database_instance": (
        ((), "deletion_protection", True),
        (("settings",), "deletion_protection_enabled", True),
    ),
    "google_storage_bucket": (((), "force_destroy", False),),
}


def all_data_is_encrypted_with_a_key_of_ours(found: Deployment) -> Iterator[str]:
    keys = {one.values["name"]: one for one in found.all("google_kms_crypto_key")}
    for kind, (path, field) in KEY_AT.items():
        for one in found.all(kind):
            key = key_in(one.block(*path).get(field))
            if key not in keys:
                yield f"{one.address} is encrypted with {one.block(*path).get(field)}"
    for made in found.all("google_kms_crypto_key"):
        if made.values["rotation_period"] != f"{90 * 86400}s":
            yield f"the key {made.values['name']} is changed every {made.values['rotation_period']}"


def data_in_production_cannot_be_deleted(found: Deployment) -> Iterator[str]:
    for kind, wanted in PROTECTED.items():
        for one in found.all(kind):
            for path, field, value in wanted:
                if one.block(*path).get(field) != value:
                    yield f"{one.address}: {field} is {one.block(*path).get(field)}"


def data_can_be_had_back(found: Deployment) -> Iterator[str]:
    for one in found.all("google_sql_database_instance"):
        backups = one.block("settings", "backup_configuration")
        if not (backups.get("enabled") and backups.get("point_in_time_recovery_enabled")):
            yield f"{one.address} has no backups"
    for one in found.all("google_firestore_database"):
        if one.values["point_in_time_recovery_enablement"] != "POINT_IN_TIME_RECOVERY_ENABLED":
            yield f"{one.address} cannot go back in time"
        if not found.all("google_firestore_backup_schedule"):
            yield f"{one.address} has no backups"
    for one in found.all("google_storage_bucket"):
        if not one.block("versioning").get("enabled"):
            yield f"{one.address} keeps no versions"


def data_stays_in_the_region(found: Deployment) -> Iterator[str]:
    for kind, field in (
        ("google_storage_bucket", "location"),
        ("google_sql_database_instance", "region"),
        ("google_firestore_database", "location_id"),
        ("google_redis_instance", "region"),
        ("google_kms_key_ring", "location"),
        ("google_cloudfunctions2_function", "location"),
        ("google_cloud_tasks_queue", "location"),
    ):
        for one in found.all(kind):
            if one.values[field] != REGION:
                yield f"{one.address} is in {one.values[field]}"
    for one in found.all("google_pubsub_topic"):
        if one.block("message_storage_policy").get("allowed_persistence_regions") != [REGION]:
            yield f"{one.address} is kept anywhere"
    for one in found.all("google_secret_manager_secret"):
        if one.block("replication", "user_managed", "replicas").get("location") != REGION:
            yield f"{one.address} is kept anywhere"


def data_is_out_of_public_reach(found: Deployment) -> Iterator[str]:
    for one in found.all("google_storage_bucket"):
        if (one.values["uniform_bucket_level_access"], one.values["public_access_prevention"]) != (True, "enforced"):
            yield f"{one.address} may be made public"
    for one in found.all("google_sql_database_instance"):
        address = one.block("settings", "ip_configuration")
        if address.get("ipv4_enabled") is not False or address.get("ssl_mode") != "ENCRYPTED_ONLY":
            yield f"{one.address} can be reached from outside, or in the clear"


def firestore_has_the_indexes_that_the_code_declares(found: Deployment) -> Iterator[str]:
    made: dict[str, list[Mapping[str, Any]]] = {"indexes": [], "fieldOverrides": []}
    for one in found.all("google_firestore_index"):
        fields = [{"fieldPath": field["field_path"], "order": field["order"]} for field in one.values["fields"]]
        scope = one.values["query_scope"]
        made["indexes"].append({"collectionGroup": one.values["collection"], "queryScope": scope, "fields": fields})
    for one in found.all("google_firestore_field"):
        indexes = one.block("index_config").get("indexes") or []
        made["fieldOverrides"].append(
            {
                "collectionGroup": one.values["collection"],
                "fieldPath": one.values["field"],
                "indexes": [{"order": each["order"], "queryScope": each["query_scope"]} for each in indexes],
            }
        )
    expected = declared() if found.choice.store == "firestore" else frozenset()
    differing = parsed(made) ^ expected
    if differing:
        yield f"indexes: {sorted(map(str, differing))}"
