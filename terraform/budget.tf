# What the project costs is told when half of the month's budget is spent, and when it will be too little. Nothing is
# stopped. Google counts hours to a day late.

resource "google_billing_budget" "month" {
  billing_account = var.billing_account
  display_name    = "pinjam ${var.environment}"

  all_updates_rule {
    # The billing account's administrators hear of it, too.
    monitoring_notification_channels = [google_monitoring_notification_channel.operations.id]
  }

  amount {
    specified_amount {
      units = tostring(var.budget_monthly)
    }
  }

  budget_filter {
    calendar_period = "MONTH"
    projects        = ["projects/${data.google_project.this.number}"]
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1]

    content {
      spend_basis       = "CURRENT_SPEND"
      threshold_percent = threshold_rules.value
    }
  }

  threshold_rules {
    spend_basis       = "FORECASTED_SPEND"
    threshold_percent = 1
  }

  depends_on = [google_project_service.needed]
}
