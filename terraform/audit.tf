# Google's own logs of who did what, beside the audit log that the code keeps. What changes the project is always logged;
# what reads it, and what touches data, is logged here. Nothing is left out, and nobody.

locals {
  audited = [
    "cloudkms",
    "cloudsql",
    "datastore", # Stands for Firestore, too.
    "iam",
    "iamcredentials",
    "iap",
    "identitytoolkit",
    "secretmanager",
    "storage",
  ]
}

resource "google_project_iam_audit_config" "data" {
  for_each = toset(local.audited)

  project = var.project
  service = "${each.key}.googleapis.com"

  dynamic "audit_log_config" {
    for_each = toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])

    content {
      exempted_members = []
      log_type         = audit_log_config.value
    }
  }
}

# In prod as long as the law keeps the loans themselves, and locked: nobody can shorten it or delete the bucket before.
resource "google_logging_project_bucket_config" "audit" {
  bucket_id      = "audit"
  description    = "Who did what in Google Cloud."
  location       = var.region
  locked         = local.production
  project        = var.project
  retention_days = local.production ? 1827 : 30

  cmek_settings {
    kms_key_name = google_kms_crypto_key.service["logs"].id
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

# Within a project a sink needs no role to write to a bucket of logs.
resource "google_logging_project_sink" "audit" {
  name                   = "audit"
  description            = "All audit logs, to the bucket that keeps them."
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = "log_id(\"cloudaudit.googleapis.com/activity\") OR log_id(\"cloudaudit.googleapis.com/data_access\") OR log_id(\"cloudaudit.googleapis.com/policy\") OR log_id(\"cloudaudit.googleapis.com/system_event\")"
  unique_writer_identity = true
}
