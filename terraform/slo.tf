# What borrowers may count on: of 1,000 requests in 28 days 999 are answered without a fault of ours, and of 100 requests 95
# within a second. Measured where the functions are, by Cloud Run itself, so that it counts also what no code has seen.
# What is refused rightly (4xx) is answered.

locals {
  # Functions of the second generation are services of Cloud Run, whose names have no underscores.
  services_of  = { for name, function in local.functions : name => replace(name, "_", "-") }
  public_names = join(", ", [for name in keys(local.public_functions) : "\"${local.services_of[name]}\""])

  of_functions  = "resource.type=\"cloud_run_revision\""
  public_calls  = "metric.type=\"run.googleapis.com/request_count\" AND ${local.of_functions} AND resource.labels.service_name=one_of(${local.public_names})"
  public_delays = "metric.type=\"run.googleapis.com/request_latencies\" AND ${local.of_functions} AND resource.labels.service_name=one_of(${local.public_names})"

  latency_ms = 1000

  slos = {
    availability = google_monitoring_slo.availability
    latency      = google_monitoring_slo.latency
  }

  # How fast the budget of 28 days is used up, as the SRE workbook's chapter on alerting has it: 2 % of it in an hour, or 5 %
  # in six hours. The second, shorter look lets the alert end soon after the trouble does.
  burn_rates = {
    fast = { rate = 14.4, long_s = 3600, short_s = 300, severity = "CRITICAL" }
    slow = { rate = 6, long_s = 21600, short_s = 1800, severity = "ERROR" }
  }
}

resource "google_monitoring_custom_service" "api" {
  display_name = "API"
  service_id   = "api"
  depends_on   = [google_project_service.needed]
}

resource "google_monitoring_slo" "availability" {
  display_name        = "99.9 % of requests are answered"
  goal                = 0.999
  rolling_period_days = 28
  service             = google_monitoring_custom_service.api.service_id
  slo_id              = "availability"

  request_based_sli {
    good_total_ratio {
      bad_service_filter   = "${local.public_calls} AND metric.labels.response_code_class=\"5xx\""
      total_service_filter = local.public_calls
    }
  }
}

resource "google_monitoring_slo" "latency" {
  display_name        = "95 % of requests are answered within a second"
  goal                = 0.95
  rolling_period_days = 28
  service             = google_monitoring_custom_service.api.service_id
  slo_id              = "latency"

  request_based_sli {
    distribution_cut {
      distribution_filter = local.public_delays

      range {
        max = local.latency_ms
        min = 0
      }
    }
  }
}

resource "google_monitoring_alert_policy" "burn" {
  for_each = merge([
    for slo in ["availability", "latency"] : {
      for speed, burn in local.burn_rates : "${slo}-${speed}" => merge(burn, { slo = slo })
    }
  ]...)

  display_name          = "API: budget of ${each.value.slo} burns ${each.value.rate} times too fast"
  combiner              = "AND"
  notification_channels = [google_monitoring_notification_channel.operations.id]
  severity              = each.value.severity

  dynamic "conditions" {
    for_each = { long = each.value.long_s, short = each.value.short_s }

    content {
      display_name = "in ${conditions.value / 60} minutes"

      condition_threshold {
        comparison      = "COMPARISON_GT"
        duration        = "0s"
        filter          = "select_slo_burn_rate(\"${local.slos[each.value.slo].name}\", \"${conditions.value}s\")"
        threshold_value = each.value.rate

        trigger {
          count = 1
        }
      }
    }
  }

  documentation {
    content   = file("${path.module}/../docs/runbooks/api-${each.value.slo}.md")
    mime_type = "text/markdown"
  }

  user_labels = local.labels
}
