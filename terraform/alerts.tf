# What somebody must hear of, and what they do then: each alert brings its page of docs/runbooks along, which a test holds
# against this list. CRITICAL is to be looked at now, ERROR today, WARNING this week.

locals {
  five_minutes = { align_s = 300, aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM" }
  gauge        = { align_s = 300, aligner = "ALIGN_MAX", reducer = "REDUCE_MAX" }

  # Of the lines that metrics.tf counts.
  line = {
    for name, metric in google_logging_metric.line : name =>
    "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${metric.name}\""
  }

  of_subscriptions = "resource.type=\"pubsub_subscription\" AND metric.type=\"pubsub.googleapis.com/subscription"
  of_database      = "resource.type=\"cloudsql_database\" AND metric.type=\"cloudsql.googleapis.com/database"

  gateway_errors = {
    api_gateway = "resource.type=\"apigateway.googleapis.com/Gateway\" AND metric.type=\"apigateway.googleapis.com/proxy/request_count\" AND metric.labels.response_code=monitoring.regex.full_match(\"5..\")"
    espv2       = "${local.of_functions} AND metric.type=\"run.googleapis.com/request_count\" AND resource.labels.service_name=\"gateway\" AND metric.labels.response_code_class=\"5xx\""
  }

  # `per` tells apart what is watched by itself; `above` is what the figure has to exceed, for so long. `absent_s` in its
  # place is how long there may be no figure at all.
  all_alerts = {
    books-unchecked = {
      severity = "ERROR"
      title    = "The books were not checked for most of a day"
      conditions = [
        { what = "no check came to its end", filter = local.line.books_checks, absent_s = 84600, per = [] },
      ]
    }
    books-wrong = {
      severity = "CRITICAL"
      title    = "The ledger or the audit log is not what it should be"
      conditions = [
        { what = "a chain is broken", filter = local.line.audit_chains_broken, above = 0, per = [] },
        { what = "the ledger does not balance", filter = local.line.ledger_unbalanced, above = 0, per = [] },
      ]
    }
    database-full = {
      severity = "ERROR"
      title    = "The database is near its limits"
      conditions = [
        merge(local.gauge, { what = "connections", filter = "${local.of_database}/postgresql/num_backends\"", above = floor(0.8 * local.connections_needed), reducer = "REDUCE_SUM", per = [] }),
        merge(local.gauge, { what = "disk", filter = "${local.of_database}/disk/utilization\"", above = 0.85, per = [] }),
        merge(local.gauge, { what = "memory", filter = "${local.of_database}/memory/utilization\"", above = 0.95, for_s = 600, per = [] }),
        merge(local.gauge, { what = "processor", filter = "${local.of_database}/cpu/utilization\"", above = 0.9, for_s = 900, per = [] }),
      ]
    }
    dead-letters = {
      severity = "CRITICAL"
      title    = "An event was not taken in, in all its tries"
      conditions = [
        merge(local.gauge, {
          what   = "dead letters wait for a person"
          filter = "${local.of_subscriptions}/num_undelivered_messages\" AND resource.labels.subscription_id=ends_with(\"--dead-letters\")"
          above  = 0
          per    = ["resource.labels.subscription_id"]
        }),
      ]
    }
    events-waiting = {
      severity = "ERROR"
      title    = "Events or tasks wait for long"
      conditions = [
        merge(local.gauge, {
          what   = "an event is older than 10 minutes"
          filter = "${local.of_subscriptions}/oldest_unacked_message_age\" AND resource.labels.subscription_id=monitoring.regex.full_match(\".*--(${join("|", keys(local.called_by_events))})\")"
          above  = 600
          for_s  = 300
          per    = ["resource.labels.subscription_id"]
        }),
        # Every delivery of a day that had to wait for its hour is there at eight in the morning: that many are usual.
        merge(local.gauge, {
          what   = "a queue is long"
          filter = "resource.type=\"cloud_tasks_queue\" AND metric.type=\"cloudtasks.googleapis.com/queue/depth\""
          above  = 10000
          for_s  = 3600
          per    = ["resource.labels.queue_id"]
        }),
      ]
    }
    gateway-down = {
      severity = "CRITICAL"
      title    = "The API does not answer from outside, or its certificate is about to end"
      conditions = [
        {
          what    = "checks from outside fail"
          filter  = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.api.uptime_check_id}\""
          above   = 1
          align_s = 600
          aligner = "ALIGN_NEXT_OLDER"
          reducer = "REDUCE_COUNT_FALSE"
          per     = []
        },
        merge(local.gauge, {
          what    = "the certificate ends in less than 10 days"
          filter  = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/time_until_ssl_cert_expires\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.api.uptime_check_id}\""
          below   = 10
          reducer = "REDUCE_MIN"
          aligner = "ALIGN_MIN"
          per     = []
        }),
        { what = "the gateway answers 5xx", filter = local.gateway_errors[var.gateway], above = 20, for_s = 300, per = [] },
      ]
    }
    keys-failing = {
      severity = "CRITICAL"
      title    = "Cloud KMS, Secret Manager or Google's tokens fail"
      conditions = [
        {
          what   = "calls fail"
          filter = "${local.line.provider_failures} AND metric.labels.provider=one_of(\"google-credentials\", \"kms\", \"secret-manager\")"
          above  = 5
          per    = ["metric.labels.provider"]
        },
      ]
    }
    limits-reached = {
      severity = "WARNING"
      title    = "Somebody knocks unusually often"
      conditions = [
        { what = "refused for coming too often", filter = local.line.too_many, above = 300, per = ["metric.labels.route"] },
        { what = "log-ins refused", filter = local.line.logins_refused, above = 200, per = [] },
        { what = "a refresh token came twice", filter = local.line.sessions_stolen, above = 5, per = [] },
      ]
    }
    messages-given-up = {
      severity = "ERROR"
      title    = "Messages to borrowers are given up"
      conditions = [
        { what = "in an hour", filter = local.line.messages_given_up, above = 5, align_s = 3600, per = ["metric.labels.channel"] },
      ]
    }
    payouts-failing = {
      severity = "CRITICAL"
      title    = "Payouts fail"
      conditions = [
        { what = "a payout failed", filter = local.line.payouts_failed, above = 0, per = ["metric.labels.line"] },
      ]
    }
    payouts-held = {
      severity = "WARNING"
      title    = "A payout waits for a person"
      conditions = [
        { what = "held", filter = local.line.payouts_held, above = 0, per = ["metric.labels.hold"] },
      ]
    }
    provider-failing = {
      severity = "ERROR"
      title    = "A provider fails"
      conditions = [
        { what = "for ten minutes", filter = local.line.provider_failures, above = 10, for_s = 600, per = ["metric.labels.provider"] },
      ]
    }
    store-failing = {
      severity = "CRITICAL"
      title    = "The store is away, or contended"
      conditions = [
        { what = "work that was put off", filter = local.line.store_failures, above = 20, per = ["metric.labels.cause"] },
      ]
    }
    sweep-stopped = {
      severity = "CRITICAL"
      title    = "The sweep does not run, or leaves much undone"
      conditions = [
        { what = "no run came to its end in 15 minutes", filter = local.line.sweeps, absent_s = 900, per = [] },
        { what = "an hour of runs with faults", filter = local.line.sweeps_with_faults, above = 3, for_s = 3600, per = [] },
      ]
    }
    unforeseen-faults = {
      severity = "ERROR"
      title    = "Something went wrong that nobody foresaw"
      conditions = [
        { what = "a fault", filter = local.line.faults, above = 0, per = ["metric.labels.line"] },
        { what = "events could not be published", filter = local.line.outbox_left, above = 20, for_s = 300, per = [] },
      ]
    }
  }

  alerts = { for name, alert in local.all_alerts : name => alert if name != "database-full" || var.store == "postgres" }
}

resource "google_monitoring_notification_channel" "operations" {
  display_name = "Operations"
  type         = "email"
  labels       = { email_address = var.alert_email }
  depends_on   = [google_project_service.needed]
}

# The one route that anybody may call and that costs nothing: through the gateway, to a function and back.
resource "google_monitoring_uptime_check_config" "api" {
  display_name = "API"
  period       = "300s"
  timeout      = "10s"

  http_check {
    path         = "/.well-known/assetlinks.json"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      host       = trimprefix(local.public_url, "https://")
      project_id = var.project
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "watch" {
  for_each = local.alerts

  display_name          = each.value.title
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.operations.id]
  severity              = each.value.severity

  alert_strategy {
    # What was counted once and not again is over; it stays in the list for a day.
    auto_close = "86400s"
  }

  dynamic "conditions" {
    for_each = [for one in each.value.conditions : merge(local.five_minutes, { above = null, absent_s = null, below = null, for_s = 0 }, one)]

    content {
      display_name = conditions.value.what

      dynamic "condition_absent" {
        for_each = conditions.value.absent_s == null ? [] : [conditions.value]

        content {
          duration = "${condition_absent.value.absent_s}s"
          filter   = condition_absent.value.filter

          aggregations {
            alignment_period     = "${condition_absent.value.align_s}s"
            cross_series_reducer = condition_absent.value.reducer
            per_series_aligner   = condition_absent.value.aligner
          }
        }
      }

      dynamic "condition_threshold" {
        for_each = conditions.value.absent_s == null ? [conditions.value] : []

        content {
          comparison      = condition_threshold.value.below == null ? "COMPARISON_GT" : "COMPARISON_LT"
          duration        = "${condition_threshold.value.for_s}s"
          filter          = condition_threshold.value.filter
          threshold_value = condition_threshold.value.below == null ? condition_threshold.value.above : condition_threshold.value.below

          aggregations {
            alignment_period     = "${condition_threshold.value.align_s}s"
            cross_series_reducer = condition_threshold.value.reducer
            group_by_fields      = condition_threshold.value.per
            per_series_aligner   = condition_threshold.value.aligner
          }

          trigger {
            count = 1
          }
        }
      }
    }
  }

  documentation {
    content   = file("${path.module}/../docs/runbooks/${each.key}.md")
    mime_type = "text/markdown"
  }

  user_labels = local.labels
}
