"""What leads where, in every deployment. A rule tells of each fault."""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.deployment.applied import REGION, SYSTEM, Deployment, account_in, granted

from pinjam.adapters.pubsub import dead_letter_name, subscription_name
from pinjam.domain.task import RATES
from pinjam.services.subscriptions import SUBSCRIPTIONS

KEPT_S = 14 * 86400
"""How long a person has, at least, to look at a dead letter."""
PUBSUB = "@gcp-sa-pubsub.iam.gserviceaccount.com"
"""Pub/Sub itself, which moves what was not taken."""
SLOW: Mapping[str, int] = {}
"""Functions that may go on after the gateway has given up, in seconds."""


def every_event_that_nobody_takes_is_kept(found: Deployment) -> Iterator[str]:
    dead = {str(one.key): one for one in found.all("google_pubsub_topic", "dead")}
    kept = {one.values["topic"]: one for one in found.all("google_pubsub_subscription", "dead")}
    publishers = {on for on, member in granted(found, "google_pubsub_topic", "topic") if PUBSUB in member}
    takers = {on for on, member in granted(found, "google_pubsub_subscription", "subscription") if PUBSUB in member}
    for one in found.all("google_pubsub_subscription", "event"):
        topic = str(one.values["name"]).partition("--")[0]
        if topic not in dead or dead[topic].values["name"] != dead_letter_name(topic):
            yield f"{topic} has no dead letters"
            continue
        policy = one.block("dead_letter_policy")
        if policy.get("dead_letter_topic") != dead[topic].values["id"]:
            yield f"{one.address} sends its dead letters to {policy.get('dead_letter_topic')}"
        if one.values["id"] not in takers:
            yield f"Pub/Sub may not take from {one.address}"
    for topic, letters in dead.items():
        pulled = kept.get(letters.values["id"])
        if pulled is None or pulled.block("push_config") or pulled.block("expiration_policy").get("ttl") != "":
            yield f"nobody keeps the dead letters of {topic}"
        elif int(pulled.values["message_retention_duration"].removesuffix("s")) < KEPT_S:
            yield f"the dead letters of {topic} are kept for {pulled.values['message_retention_duration']}"
        if letters.values["id"] not in publishers:
            yield f"Pub/Sub may not send dead letters of {topic}"


def every_function_hears_of_its_events(found: Deployment) -> Iterator[str]:
    expected = Counter(subscription_name(topic, name) for topic, names in SUBSCRIPTIONS.items() for name in names)
    subscriptions = found.all("google_pubsub_subscription", "event")
    if Counter(one.values["name"] for one in subscriptions) != expected:
        yield "subscriptions are others than the code's"
    topics = {one.values["id"]: one.values["name"] for one in found.all("google_pubsub_topic", "event")}
    if set(topics.values()) != set(SUBSCRIPTIONS):
        yield f"topics: {sorted(topics.values())}"
    for one in subscriptions:
        topic, _, function = one.values["name"].partition("--")
        url = f"{_functions_url(found)}/{function}"
        push = one.block("push_config")
        token = one.block("push_config", "oidc_token")
        if topics.get(one.values["topic"]) != topic or push.get("push_endpoint") != url:
            yield f"{one.address} goes to {push.get('push_endpoint')}"
        if token.get("audience") != url or account_in(token.get("service_account_email")) != "push":
            yield f"{one.address} shows {token}"
        timeout_s = found.functions[function].block("service_config")["timeout_seconds"]
        if one.values["ack_deadline_seconds"] < timeout_s or one.block("expiration_policy").get("ttl") != "":
            yield f"{one.address} waits {one.values['ack_deadline_seconds']} s of {timeout_s}"


def queues_have_the_rates_of_the_domain(found: Deployment) -> Iterator[str]:
    made = {}
    for one in found.all("google_cloud_tasks_queue"):
        limits = one.block("rate_limits")
        made[one.values["name"]] = (limits["max_dispatches_per_second"], limits["max_concurrent_dispatches"])
    expected = {str(queue): (rate.per_second, rate.at_once) for queue, rate in RATES.items()}
    if made != expected:
        yield f"queues: {made}"


def sweep_comes_every_minute(found: Deployment) -> Iterator[str]:
    jobs = found.all("google_cloud_scheduler_job", "sweep")
    if [one.values["name"] for one in jobs] != ["sweep"]:
        yield "nobody calls sweep"
    for one in jobs:
        if (one.values["schedule"], one.values["time_zone"]) != ("* * * * *", "Asia/Jakarta"):
            yield f"{one.address} comes at {one.values['schedule']} of {one.values['time_zone']}"
        target, token = one.block("http_target"), one.block("http_target", "oidc_token")
        url = f"{_functions_url(found)}/sweep"
        if (target.get("uri"), token.get("audience"), account_in(token.get("service_account_email"))) != (
            url,
            url,
            "scheduler",
        ):
            yield f"{one.address} calls {target.get('uri')} with {token}"


def routes_lead_to_functions(found: Deployment) -> Iterator[str]:
    document = _document(found)
    if found.choice.gateway == "api_gateway":
        text = json.dumps(document)
        yield from (f"{left} is left" for left in ("functions.invalid", "pinjam-local") if left in text)
    public = {name for name, one in SYSTEM["functions"].items() if one["caller"] == "gateway"}
    reached = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not isinstance(operation, dict) or "operationId" not in operation:
                continue
            backend = operation.get("x-google-backend", {})
            function = str(backend.get("address")).removeprefix(f"{_functions_url(found)}/")
            if function not in public or backend.get("jwt_audience") != f"{_functions_url(found)}/{function}":
                yield f"{method} {path} goes to {backend}"
                continue
            reached.add(function)
            timeout_s = found.functions[function].block("service_config")["timeout_seconds"]
            if backend.get("path_translation") != "APPEND_PATH_TO_ADDRESS" or not backend.get("deadline"):
                yield f"{method} {path} does not say how"
            elif timeout_s > backend["deadline"] + SLOW.get(function, 0):
                yield f"{method} {path} is given up after {backend['deadline']} s, and goes on for {timeout_s} s"
    if reached != public:
        yield f"no route leads to {sorted(public - reached)}"


def every_alert_reaches_somebody(found: Deployment) -> Iterator[str]:
    channels = {one.values["id"] for one in found.all("google_monitoring_notification_channel")}
    for one in found.all("google_monitoring_alert_policy"):
        told = set(one.values["notification_channels"] or ())
        if not told or told - channels:
            yield f"{one.address} tells {told}"


def _functions_url(found: Deployment) -> str:
    return f"https://{REGION}-{found.project}.cloudfunctions.net"


def _document(found: Deployment) -> Mapping[str, Any]:
    if found.choice.gateway == "api_gateway":
        config = found.all("google_api_gateway_api_config")[0]
        contents = base64.b64decode(config.block("openapi_documents", "document")["contents"])
    else:
        contents = found.all("google_endpoints_service")[0].values["openapi_config"]
    document: Mapping[str, Any] = json.loads(contents)
    return document
