# Who may call each function: nobody but those named here. Behind a function of the second generation is a Cloud Run service,
# which asks for this role. What else a function may do stands beside the thing that it may do it to:
#
# - publish events: events.tf; make tasks: tasks.tf; use the database: sql.tf, firestore.tf;
# - read secrets: secrets.tf; wrap borrowers' keys: keys.tf; keep documents: buckets.tf; log borrowers in and push messages: identity.tf.

locals {
  callers = {
    for name, function in local.functions : name => concat(
      function.caller == "gateway" ? [google_service_account.gateway.member] : [],
      function.caller == "events" ? [google_service_account.push.member] : [],
      function.caller == "scheduler" ? [google_service_account.scheduler.member] : [],
      contains(local.called_by_tasks, name) ? [google_service_account.tasks.member] : [],
    )
  }
}

# A binding, not members: whoever was let in by hand is out again at the next apply.
resource "google_cloud_run_v2_service_iam_binding" "invoker" {
  for_each = local.callers

  location = google_cloudfunctions2_function.function[each.key].location
  members  = each.value
  # The service is named after the function, but may have no underscores.
  name = replace(google_cloudfunctions2_function.function[each.key].name, "_", "-")
  role = "roles/run.invoker"
}
