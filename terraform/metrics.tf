# What the functions say in their logs, counted. Each is known by its line's fixed name, which a test finds in the code
# (tests/terraform/test_watching.py): a line that is renamed there cannot die here in silence.

locals {
  # `lines` are the names that are counted, `only` narrows them, `labels` are what the counts are told apart by, and
  # `value` is the field that is measured where a figure is wanted and not a count.
  log_metrics = {
    applications = {
      about  = "Applications submitted"
      labels = {}
      lines  = ["event-published"]
      only   = "jsonPayload.topic=\"loan-submitted\""
      unit   = "1"
      value  = null
    }
    audit_chains_broken = {
      about  = "Chains of the audit log that are not as they were written"
      labels = {}
      lines  = ["audit-chain-broken"]
      only   = null
      unit   = "1"
      value  = null
    }
    books_checks = {
      about  = "Checks of the ledger and the audit log that came to their end"
      labels = {}
      lines  = ["books-checked"]
      only   = null
      unit   = "1"
      value  = null
    }
    cold_starts = {
      about  = "Milliseconds from the loading of the code to the first call of an instance"
      labels = { function = "function" }
      lines  = ["cold-start"]
      only   = null
      unit   = "ms"
      value  = "since_load_ms"
    }
    collected_rupiah = {
      about  = "Repayments that arrived, in rupiah"
      labels = {}
      lines  = ["event-published"]
      only   = "jsonPayload.topic=\"payment-settled\""
      unit   = "1"
      value  = "amount"
    }
    decisions = {
      about  = "Decisions, by the machine and by people"
      labels = { outcome = "outcome" }
      lines  = ["event-published"]
      only   = "jsonPayload.topic=\"loan-decided\""
      unit   = "1"
      value  = null
    }
    disbursed_rupiah = {
      about  = "Loans that were paid out, in rupiah that left the gateway"
      labels = {}
      lines  = ["event-published"]
      only   = "jsonPayload.topic=\"loan-disbursed\""
      unit   = "1"
      value  = "amount"
    }
    events_taken = {
      about  = "Events that functions were brought, by what came of them"
      labels = { function = "function", outcome = "outcome", topic = "topic" }
      lines  = ["event"]
      only   = null
      unit   = "1"
      value  = null
    }
    faults = {
      about  = "What nobody foresaw: a fault in the code or in the configuration"
      labels = { line = "message" }
      lines  = ["event-failed", "event-malformed", "not-configured", "request-failed"]
      only   = null
      unit   = "1"
      value  = null
    }
    ledger_unbalanced = {
      about  = "Checks that found debits and credits to differ"
      labels = {}
      lines  = ["ledger-unbalanced"]
      only   = null
      unit   = "1"
      value  = null
    }
    logins_refused = {
      about  = "Log-ins with a wrong password, code or passkey"
      labels = { route = "route" }
      lines  = ["request"]
      only   = "jsonPayload.function=\"login\" AND jsonPayload.status=401"
      unit   = "1"
      value  = null
    }
    messages_given_up = {
      about  = "Messages to borrowers that were given up"
      labels = { channel = "channel" }
      lines  = ["delivery-given-up"]
      only   = null
      unit   = "1"
      value  = null
    }
    outbox_left = {
      about  = "Times that events stayed in the outbox, for the sweep to publish"
      labels = {}
      lines  = ["event-left-in-outbox"]
      only   = null
      unit   = "1"
      value  = null
    }
    payouts_failed = {
      about  = "Payouts that failed, were sent back by the bank, or got no answer in all their tries"
      labels = { line = "message" }
      lines  = ["payout-failed", "payout-left-to-the-sweep", "payout-sent-back"]
      only   = null
      unit   = "1"
      value  = null
    }
    payouts_held = {
      about  = "Payouts that were held for a person"
      labels = { hold = "hold" }
      lines  = ["payout-held"]
      only   = null
      unit   = "1"
      value  = null
    }
    provider_failures = {
      about  = "Calls that a provider, or a service of Google's, did not answer as it should"
      labels = { provider = "provider" }
      lines  = ["provider-failed"]
      only   = null
      unit   = "1"
      value  = null
    }
    requests = {
      about  = "Requests, in milliseconds"
      labels = { function = "function", route = "route", status = "status" }
      lines  = ["request"]
      only   = null
      unit   = "ms"
      value  = "duration_ms"
    }
    sessions_stolen = {
      about  = "Refresh tokens that came a second time"
      labels = {}
      lines  = ["refresh-token-reused"]
      only   = null
      unit   = "1"
      value  = null
    }
    store_failures = {
      about  = "Work that the store could not do: it was away, or too many wanted the same record"
      labels = { cause = "cause" }
      lines  = ["service-unavailable"]
      only   = "jsonPayload.cause=(\"Contention\" OR \"StoreUnavailable\")"
      unit   = "1"
      value  = null
    }
    sweeps = {
      about  = "Runs of the sweep that came to their end"
      labels = {}
      lines  = ["swept"]
      only   = null
      unit   = "1"
      value  = null
    }
    sweeps_with_faults = {
      about  = "Runs of the sweep that left something undone"
      labels = {}
      lines  = ["swept"]
      only   = "jsonPayload.faults>0"
      unit   = "1"
      value  = null
    }
    too_many = {
      about  = "Requests that were refused for coming too often"
      labels = { function = "function", route = "route" }
      lines  = ["request"]
      only   = "jsonPayload.status=429"
      unit   = "1"
      value  = null
    }
  }
}

resource "google_logging_metric" "line" {
  for_each = local.log_metrics

  name        = each.key
  description = each.value.about
  # Functions of the second generation log as what they are: services of Cloud Run.
  filter = join(" AND ", compact([
    "resource.type=\"cloud_run_revision\"",
    "jsonPayload.message=(${join(" OR ", formatlist("\"%s\"", each.value.lines))})",
    each.value.only,
  ]))
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(jsonPayload.${field})" }
  value_extractor  = each.value.value == null ? null : "EXTRACT(jsonPayload.${each.value.value})"

  metric_descriptor {
    display_name = each.value.about
    metric_kind  = "DELTA"
    unit         = each.value.unit
    value_type   = each.value.value == null ? "INT64" : "DISTRIBUTION"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  # 1 ms to 10 minutes, and 10,000 to 100 million rupiah; a sum is exact whatever the buckets.
  dynamic "bucket_options" {
    for_each = each.value.value == null ? [] : [each.value.unit == "ms" ? { scale = 1, count = 46 } : { scale = 10000, count = 32 }]

    content {
      exponential_buckets {
        growth_factor      = 1.3333333333333333
        num_finite_buckets = bucket_options.value.count
        scale              = bucket_options.value.scale
      }
    }
  }

  depends_on = [google_project_service.needed]
}
