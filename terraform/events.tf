# Events: a topic for each kind, and for each function that hears of it a push subscription of our own, as system.json names
# them. What a function does not take in all its tries goes to the topic's dead letters, where a person finds it.

locals {
  event_subscriptions = merge([
    for topic, functions in local.system.subscriptions : {
      for function in functions : "${topic}.${function}" => { topic = topic, function = function }
    }
  ]...)

  # The code remembers for longer than this what it has taken in, so that nothing has its effect twice.
  kept_days    = local.system.kept_days
  pubsub_agent = "serviceAccount:${local.service_agents["pubsub"]}"
}

# In whose name Pub/Sub calls the functions.
resource "google_service_account" "push" {
  account_id   = "push"
  display_name = "Brings events to functions"
  depends_on   = [google_project_service.needed]
}

resource "google_pubsub_topic" "event" {
  for_each = local.system.subscriptions

  name         = each.key
  kms_key_name = google_kms_crypto_key.service["messages"].id
  # So long a subscription can be set back in time, to hear of everything again: consumers take each event once.
  message_retention_duration = "${local.kept_days.events * 86400}s"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

resource "google_pubsub_subscription" "event" {
  for_each = local.event_subscriptions

  # As pinjam.adapters.pubsub.subscription_name has it.
  name  = "${each.value.topic}--${each.value.function}"
  topic = google_pubsub_topic.event[each.value.topic].id
  # Longer than the function may take, so that nothing comes a second time while it is being taken in.
  ack_deadline_seconds       = local.functions[each.value.function].timeout_s + 10
  message_retention_duration = "${local.kept_days.events * 86400}s"

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead[each.value.topic].id
    max_delivery_attempts = local.system.deliveries
  }

  # Never: it would expire when nothing happens for a month.
  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = "${local.functions_url}/${each.value.function}"

    oidc_token {
      audience              = "${local.functions_url}/${each.value.function}"
      service_account_email = google_service_account.push.email
    }
  }

  # With this back-off all tries take more than two hours.
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # Otherwise the first events are tries that were used up in vain.
  depends_on = [google_cloud_run_v2_service_iam_binding.invoker]
}

resource "google_pubsub_topic" "dead" {
  for_each = local.system.subscriptions

  # As pinjam.adapters.pubsub.dead_letter_name has it.
  name         = "${each.key}--dead-letters"
  kms_key_name = google_kms_crypto_key.service["messages"].id

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

# Nobody takes from it but a person: docs/deploy.md has the commands that bring dead letters in again.
resource "google_pubsub_subscription" "dead" {
  for_each = local.system.subscriptions

  name                       = google_pubsub_topic.dead[each.key].name
  topic                      = google_pubsub_topic.dead[each.key].id
  ack_deadline_seconds       = 600
  message_retention_duration = "${local.kept_days.dead_letters * 86400}s"
  retain_acked_messages      = true

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves what was not taken: it publishes to the dead letters, and acknowledges to the subscription. Both roles
# are bindings, not members: whoever was let in by hand is out again at the next apply.
resource "google_pubsub_topic_iam_binding" "dead" {
  for_each = local.system.subscriptions

  members = [local.pubsub_agent]
  role    = "roles/pubsub.publisher"
  topic   = google_pubsub_topic.dead[each.key].id
}

resource "google_pubsub_subscription_iam_binding" "event" {
  for_each = local.event_subscriptions

  members      = [local.pubsub_agent]
  role         = "roles/pubsub.subscriber"
  subscription = google_pubsub_subscription.event[each.key].id
}

# Every publisher may publish every kind: after its own commit it relays its own, but `sweep` those of all.
resource "google_pubsub_topic_iam_binding" "publisher" {
  for_each = local.system.subscriptions

  members = [for name in local.using["publisher"] : local.members[name]]
  role    = "roles/pubsub.publisher"
  topic   = google_pubsub_topic.event[each.key].id
}
