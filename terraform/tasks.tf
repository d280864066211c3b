# Work for later: a queue for each provider, as pinjam.domain.task has them, with the rates that the provider bears.

locals {
  # Which function a queue's tasks call, and the parts of the code that put them there.
  queue_uses = {
    ekyc     = { function = "verify_identity", parts = ["verification"] }
    email    = { function = "notify", parts = ["notifying", "queueing", "recovery"] }
    payout   = { function = "disburse", parts = ["payout_desk"] }
    push     = { function = "notify", parts = ["queueing"] }
    sms      = { function = "notify", parts = ["queueing"] }
    whatsapp = { function = "notify", parts = ["queueing"] }
  }
  called_by_tasks = toset(values(local.queue_uses)[*].function)

  queue_users = {
    for queue, use in local.queue_uses : queue => distinct(flatten([for part in use.parts : tolist(local.using[part])]))
  }
}

# In whose name Cloud Tasks calls the functions.
resource "google_service_account" "tasks" {
  account_id   = "tasks"
  display_name = "Brings tasks to functions"
  depends_on   = [google_project_service.needed]
}

resource "google_cloud_tasks_queue" "queue" {
  for_each = local.system.queues

  name     = each.key
  location = var.region

  rate_limits {
    max_concurrent_dispatches = each.value.at_once
    max_dispatches_per_second = each.value.per_second
  }

  # A function answers 2xx whenever it knows what becomes of the work, and plans the next try at the provider itself. So
  # the queue repeats only what no function took in, for longer than the local stand-in: a task that is given up leaves
  # no dead letter here. All tries together take most of a day, and what is lost then is found by `sweep`.
  retry_config {
    max_attempts  = 100
    max_backoff   = "600s"
    max_doublings = 10
    min_backoff   = "0.500s"
  }

  # Only what a call was answered; nothing of its body.
  stackdriver_logging_config {
    sampling_ratio = 1
  }

  depends_on = [google_project_service.needed]
}

resource "google_cloud_tasks_queue_iam_binding" "enqueuer" {
  for_each = local.queue_users

  location = google_cloud_tasks_queue.queue[each.key].location
  members  = [for name in each.value : local.members[name]]
  name     = google_cloud_tasks_queue.queue[each.key].name
  role     = "roles/cloudtasks.enqueuer"
}

# Whoever makes a task that calls in another's name must be allowed to use that name.
resource "google_service_account_iam_member" "tasks_user" {
  for_each = local.using["tasks"]

  member             = local.members[each.key]
  role               = "roles/iam.serviceAccountUser"
  service_account_id = google_service_account.tasks.name
}

check "queues" {
  assert {
    condition     = keys(local.queue_uses) == keys(local.system.queues)
    error_message = "The code has other queues than local.queue_uses (tasks.tf) tells of."
  }
}
