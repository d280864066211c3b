# The servicing clock: `sweep` relays, expires, asks and reminds. Running it twice, or late, changes nothing.

resource "google_service_account" "scheduler" {
  account_id   = "scheduler"
  display_name = "Calls sweep"
  depends_on   = [google_project_service.needed]
}

resource "google_cloud_scheduler_job" "sweep" {
  name        = "sweep"
  description = "Whatever is due because time has passed."
  region      = var.region
  # The shortest pause that Cloud Scheduler has. While a call is under way it makes no other.
  schedule         = "* * * * *"
  time_zone        = "Asia/Jakarta"
  attempt_deadline = "${local.functions["sweep"].timeout_s}s"

  http_target {
    body        = base64encode("{}")
    headers     = { "Content-Type" = "application/json" }
    http_method = "POST"
    uri         = "${local.functions_url}/sweep"

    oidc_token {
      audience              = "${local.functions_url}/sweep"
      service_account_email = google_service_account.scheduler.email
    }
  }

  # The next turn comes in a minute anyway.
  retry_config {
    max_backoff_duration = "30s"
    min_backoff_duration = "5s"
    retry_count          = 2
  }

  depends_on = [google_cloud_run_v2_service_iam_binding.invoker]
}
