"""Who may do what, in every deployment. A rule tells of each fault."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.deployment.applied import SYSTEM, Deployment, Resource, account_in, granted, strings_in

EVERYBODY = {"allUsers", "allAuthenticatedUsers"}
PROJECT_ROLES: Mapping[str, str] = {
    "pinjamAccounts": "Identity Platform's accounts have no finer level.",
    "pinjamPush": "Push messages are sent through the project's Firebase, which has no finer level.",
    "roles/cloudsql.instanceUser": "Logging in to Cloud SQL is a permission on the project; a condition names the one.",
    "roles/datastore.user": "Firestore has roles on the project only; a condition names the one database.",
}
"""What functions may do in the whole project, and why nothing narrower does."""
CONDITIONAL = {"roles/cloudsql.instanceUser", "roles/datastore.user"}
BASIC = {"roles/owner", "roles/editor", "roles/viewer"}
QUEUES: Mapping[str, str] = {
    "ekyc": "verify_identity",
    "email": "notify",
    "payout": "disburse",
    "push": "notify",
    "sms": "notify",
    "whatsapp": "notify",
}
"""Which function the tasks of a queue call."""


def every_function_has_an_account_of_its_own(found: Deployment) -> Iterator[str]:
    if set(found.functions) != set(SYSTEM["functions"]):
        yield f"functions: {sorted(found.functions)}"
    users = defaultdict(list)
    for name, function in found.functions.items():
        account = account_in(function.block("service_config").get("service_account_email"))
        if account != f"fn-{name.replace('_', '-')}":
            yield f"{name} runs as {account}"
        users[account].append(name)
    for kind, path, field in (
        ("google_cloud_run_v2_service", ("template",), "service_account"),
        ("google_cloud_run_v2_job", ("template", "template"), "service_account"),
        ("google_compute_instance", ("service_account",), "email"),
    ):
        for one in found.all(kind):
            users[account_in(one.block(*path).get(field))].append(one.address)
    for account, names in users.items():
        if account is None or len(names) > 1:
            yield f"{names} run as {account}"


def nothing_runs_or_builds_as_a_default_account(found: Deployment) -> Iterator[str]:
    for function in found.functions.values():
        if account_in(function.block("build_config").get("service_account")) is None:
            yield f"{function.address} is built by nobody of ours"
    for one in found.resources:
        for text in strings_in(one.values):
            if text.endswith(("-compute@developer.gserviceaccount.com", "@appspot.gserviceaccount.com")):
                yield f"{one.address}: {text}"


def only_the_front_of_the_gateway_is_open_to_all(found: Deployment) -> Iterator[str]:
    opened = [one for one in found.resources if EVERYBODY & set(strings_in(one.values))]
    for one in opened:
        front = one.type == "google_cloud_run_v2_service_iam_member" and one.values["name"] == "gateway"
        if not front or one.values["role"] != "roles/run.invoker":
            yield f"{one.address} is open to all"
    if len(opened) != (found.choice.gateway == "espv2"):
        yield f"{len(opened)} doors are open to all"


def each_function_is_called_by_those_whom_the_code_names(found: Deployment) -> Iterator[str]:
    callers = {"gateway": {"gateway"}, "events": {"push"}, "scheduler": {"scheduler"}}
    bound = {str(one.key): one for one in found.all("google_cloud_run_v2_service_iam_binding")}
    for name, function in SYSTEM["functions"].items():
        expected = callers[function["caller"]] | ({"tasks"} if name in QUEUES.values() else set())
        binding = bound.pop(name, None)
        members = {account_in(each) for each in binding.values["members"]} if binding else set()
        if members != expected:
            yield f"{name} is called by {members}, not by {expected}"
        if binding and (binding.values["role"], binding.values["name"]) != (
            "roles/run.invoker",
            name.replace("_", "-"),
        ):
            yield f"{binding.address} binds {binding.values['role']} on {binding.values['name']}"
    if bound:
        yield f"bound besides: {sorted(bound)}"


def functions_have_no_role_on_the_project_without_a_reason(found: Deployment) -> Iterator[str]:
    ours = {f"fn-{name.replace('_', '-')}" for name in SYSTEM["functions"]}
    for kind in ("google_project_iam_binding", "google_project_iam_policy"):
        yield from (f"{one.address} overrules all members" for one in found.all(kind))
    for one in found.all("google_project_iam_member"):
        role = one.values["role"]
        if role in BASIC:
            yield f"{one.address}: {role}"
        if account_in(one.values["member"]) not in ours:
            continue
        named = _custom_role(one, found) or role
        if named not in PROJECT_ROLES:
            yield f"{one.address}: {named}"
        if named in CONDITIONAL and not one.block("condition").get("expression"):
            yield f"{one.address}: {named} without a condition"


def secrets_are_declared_and_read_by_their_users_alone(found: Deployment) -> Iterator[str]:
    secrets = {one.values["secret_id"]: one for one in found.all("google_secret_manager_secret")}
    readers = defaultdict(set)
    for secret, member in granted(found, "google_secret_manager_secret", "secret_id"):
        readers[secret].add(account_in(member))
    users = defaultdict(set)
    for name, function in found.functions.items():
        for used in function.block("service_config").get("secret_environment_variables") or ():
            users[used["secret"]].add(f"fn-{name.replace('_', '-')}")
            if used["key"] != used["secret"]:
                yield f"{name}: {used['key']} is {used['secret']}"
    for command in SYSTEM["commands"].values():
        for variable in set(command["variables"]) & set(secrets):
            users[variable].add("staff-commands")
    for name in sorted(set(secrets) | set(users)):
        if name not in secrets:
            yield f"{name} is not declared"
        elif readers[secrets[name].values["id"]] != users[name]:
            yield f"{name} is read by {readers[secrets[name].values['id']]}, and used by {users[name]}"


def publishers_may_publish_and_nobody_else(found: Deployment) -> Iterator[str]:
    runners = {f"fn-{name.replace('_', '-')}": one["parts"] for name, one in SYSTEM["functions"].items()}
    runners["staff-commands"] = [part for one in SYSTEM["commands"].values() for part in one["parts"]]
    expected = {account for account, parts in runners.items() if "publisher" in parts}
    may = defaultdict(set)
    for topic, member in granted(found, "google_pubsub_topic", "topic"):
        may[topic].add(account_in(member))
    for one in found.all("google_pubsub_topic", "event"):
        if may[one.values["id"]] != expected:
            yield f"{one.address} is published by {may[one.values['id']]}"


def _custom_role(member: Resource, found: Deployment) -> str | None:
    """The id of the role of our own that a member has; None for one of Google's."""
    for one in found.all("google_project_iam_custom_role"):
        if member.values["role"] in (one.values["id"], one.values["name"]):
            return str(one.values["role_id"])
    return None
