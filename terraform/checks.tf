# Twice a day, at hours when little happens, the ledger and the audit log are read as a whole. alerts.tf hears of what is
# wrong with them, and of checks that stay away.

resource "google_cloud_scheduler_job" "checks" {
  name             = "checks"
  description      = "Whether the ledger balances and the audit log is whole."
  region           = var.region
  schedule         = "30 3,15 * * *"
  time_zone        = "Asia/Jakarta"
  attempt_deadline = "${local.functions["sweep"].timeout_s}s"

  http_target {
    body        = base64encode("{}")
    headers     = { "Content-Type" = "application/json" }
    http_method = "POST"
    uri         = "${local.functions_url}/sweep/checks"

    oidc_token {
      audience              = "${local.functions_url}/sweep"
      service_account_email = google_service_account.scheduler.email
    }
  }

  retry_config {
    max_backoff_duration = "600s"
    min_backoff_duration = "60s"
    retry_count          = 3
  }

  depends_on = [google_cloud_run_v2_service_iam_binding.invoker]
}
