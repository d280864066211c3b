# Two pages: what the lender asks (applications to repayments), and what operations asks (requests, events, stores). What it
# costs has no metric in Cloud Monitoring: budget.tf tells of it, and the link on the page leads to the billing reports.

locals {
  # Of what is measured, as PromQL names it: how much of it (`_sum`), and how often (`_count`).
  measured = { for name, metric in google_logging_metric.line : name => "logging_googleapis_com:user_${metric.name}" }
  of_runs  = "{monitored_resource=\"cloud_run_revision\"}[$${__interval}]"

  run     = "${local.of_functions} AND metric.type=\"run.googleapis.com"
  by_name = ["resource.labels.service_name"]

  business_charts = [
    { title = "Applications", plots = [{ filter = local.line.applications }] },
    { title = "Decisions, by outcome", plots = [{ filter = local.line.decisions, per = ["metric.labels.outcome"] }] },
    { title = "Disbursed, rupiah", promql = "sum(increase(${local.measured.disbursed_rupiah}_sum${local.of_runs}))" },
    { title = "Collected, rupiah", promql = "sum(increase(${local.measured.collected_rupiah}_sum${local.of_runs}))" },
    { title = "Loans disbursed", promql = "sum(increase(${local.measured.disbursed_rupiah}_count${local.of_runs}))" },
    { title = "Repayments", promql = "sum(increase(${local.measured.collected_rupiah}_count${local.of_runs}))" },
    { title = "Payouts failed, and held", plots = [{ filter = local.line.payouts_failed, per = ["metric.labels.line"] }, { filter = local.line.payouts_held, per = ["metric.labels.hold"] }] },
    { title = "Messages given up, by channel", plots = [{ filter = local.line.messages_given_up, per = ["metric.labels.channel"] }] },
    { title = "Failures, by provider", plots = [{ filter = local.line.provider_failures, per = ["metric.labels.provider"] }] },
  ]

  store_charts = {
    firestore = [
      { title = "Firestore: reads", plots = [{ filter = "resource.type=\"firestore.googleapis.com/Database\" AND metric.type=\"firestore.googleapis.com/document/read_ops_count\"" }] },
      { title = "Firestore: writes", plots = [{ filter = "resource.type=\"firestore.googleapis.com/Database\" AND metric.type=\"firestore.googleapis.com/document/write_ops_count\"" }] },
    ]
    postgres = [
      { title = "Database: connections", plots = [{ filter = "${local.of_database}/postgresql/num_backends\"", aligner = "ALIGN_MAX" }] },
      { title = "Database: processor, memory, disk (1 is all)", plots = [for part in ["cpu", "memory", "disk"] : { filter = "${local.of_database}/${part}/utilization\"", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", legend = part }] },
      { title = "Database: bytes kept", plots = [{ filter = "${local.of_database}/disk/bytes_used\"", aligner = "ALIGN_MAX" }] },
    ]
  }

  operations_charts = concat([
    { title = "Requests, by class of answer", plots = [{ filter = "${local.run}/request_count\"", per = ["metric.labels.response_code_class"] }] },
    { title = "Latency p50, by function (ms)", plots = [{ filter = "${local.run}/request_latencies\"", aligner = "ALIGN_PERCENTILE_50", reducer = "REDUCE_MAX", per = local.by_name }] },
    { title = "Latency p95, by function (ms)", plots = [{ filter = "${local.run}/request_latencies\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", per = local.by_name }] },
    { title = "Latency p99, by function (ms)", plots = [{ filter = "${local.run}/request_latencies\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", per = local.by_name }] },
    { title = "p95 by route, as the code sees it (ms)", plots = [{ filter = local.line.requests, aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", per = ["metric.labels.route"] }] },
    { title = "Instances", plots = [{ filter = "${local.run}/container/instance_count\"", aligner = "ALIGN_MAX", per = local.by_name }] },
    { title = "Cold starts, by function", promql = "sum by (function) (increase(${local.measured.cold_starts}_count${local.of_runs}))" },
    { title = "Start of an instance p95 (ms)", plots = [{ filter = "${local.run}/container/startup_latencies\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", per = local.by_name }] },
    { title = "Events, by what came of them", plots = [{ filter = local.line.events_taken, per = ["metric.labels.outcome"] }] },
    { title = "Oldest event that waits (s)", plots = [{ filter = "${local.of_subscriptions}/oldest_unacked_message_age\"", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", per = ["resource.labels.subscription_id"] }] },
    { title = "Dead letters", plots = [{ filter = "${local.of_subscriptions}/num_undelivered_messages\" AND resource.labels.subscription_id=ends_with(\"--dead-letters\")", aligner = "ALIGN_MAX", per = ["resource.labels.subscription_id"] }] },
    { title = "Queues", plots = [{ filter = "resource.type=\"cloud_tasks_queue\" AND metric.type=\"cloudtasks.googleapis.com/queue/depth\"", aligner = "ALIGN_MAX", per = ["resource.labels.queue_id"] }] },
    { title = "Sweeps, and those with faults", plots = [{ filter = local.line.sweeps }, { filter = local.line.sweeps_with_faults }] },
    { title = "Put off by the store, by cause", plots = [{ filter = local.line.store_failures, per = ["metric.labels.cause"] }] },
    { title = "Refused for coming too often", plots = [{ filter = local.line.too_many, per = ["metric.labels.route"] }] },
  ], [for kind, charts in local.store_charts : charts if kind == var.store]...)

  # Three charts to a row of 48 columns.
  pages = {
    for page, charts in { business = local.business_charts, operations = local.operations_charts } : page => [
      for place, chart in charts : {
        height = 12
        width  = 16
        xPos   = 16 * (place % 3)
        yPos   = 12 * floor(place / 3)
        widget = {
          title = chart.title
          xyChart = {
            dataSets = concat(
              [for query in compact([try(chart.promql, null)]) : {
                plotType        = "STACKED_BAR"
                timeSeriesQuery = { prometheusQuery = query }
              }],
              [for plot in try(chart.plots, []) : {
                legendTemplate = try(plot.legend, null)
                plotType       = "LINE"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = plot.filter
                    aggregation = {
                      alignmentPeriod    = "300s"
                      crossSeriesReducer = try(plot.reducer, "REDUCE_SUM")
                      groupByFields      = try(plot.per, [])
                      perSeriesAligner   = try(plot.aligner, "ALIGN_DELTA")
                    }
                  }
                }
              }],
            )
          }
        }
      }
    ]
  }

  dashboards = {
    business   = { title = "Pinjam: loans", tiles = local.pages.business }
    operations = { title = "Pinjam: operations", tiles = local.pages.operations }
  }
}

resource "google_monitoring_dashboard" "page" {
  for_each = local.dashboards

  dashboard_json = jsonencode({
    displayName = each.value.title
    labels      = { (var.environment) = "" }
    mosaicLayout = {
      columns = 48
      tiles = concat(each.value.tiles, [{
        height = 6
        width  = 48
        xPos   = 0
        yPos   = 12 * ceil(length(each.value.tiles) / 3)
        widget = {
          title = "Elsewhere"
          text = {
            content = "[What it costs](https://console.cloud.google.com/billing/${var.billing_account}/reports?project=${var.project}) · [Objectives](https://console.cloud.google.com/monitoring/services?project=${var.project}) · [Traces](https://console.cloud.google.com/traces/list?project=${var.project})"
            format  = "MARKDOWN"
          }
        }
      }])
    }
  })
}
