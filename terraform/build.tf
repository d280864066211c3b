# What builds the functions' images, and where these are kept.

locals {
  # Migrations and the staff's commands: image.yaml builds it from .build/packages/commands (docs/deploy.md).
  image = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.functions.repository_id}/pinjam:latest"
}

resource "google_service_account" "builder" {
  account_id   = "builder"
  display_name = "Builds functions"
  depends_on   = [google_project_service.needed]
}

resource "google_artifact_registry_repository" "functions" {
  repository_id = "functions"
  description   = "Images of the functions, the migrations and the staff's commands."
  format        = "DOCKER"
  kms_key_name  = google_kms_crypto_key.service["functions"].id
  location      = var.region

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "15552000s" # 180 days, as long as a package that was replaced.
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  location   = google_artifact_registry_repository.functions.location
  member     = google_service_account.builder.member
  repository = google_artifact_registry_repository.functions.repository_id
  role       = "roles/artifactregistry.writer"
}

# Cloud Functions copies a package into a bucket of its own, which it makes at the first deployment; so this role has no
# resource to be given on yet, and is bound to the bucket's name instead.
resource "google_project_iam_member" "builder_reads" {
  project = var.project
  member  = google_service_account.builder.member
  role    = "roles/storage.objectViewer"

  condition {
    title      = "sources-of-functions"
    expression = "resource.name.startsWith('projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-')"
  }
}

# The sources of the image of commands are put beside the packages.
resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.packages.name
  member = google_service_account.builder.member
  role   = "roles/storage.objectViewer"

  condition {
    title      = "sources-of-the-image"
    expression = "resource.name.startsWith('projects/_/buckets/${google_storage_bucket.packages.name}/objects/builds/')"
  }
}

# There is no finer level to write logs at.
resource "google_project_iam_member" "builder_logs" {
  project = var.project
  member  = google_service_account.builder.member
  role    = "roles/logging.logWriter"
}
