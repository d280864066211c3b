# The job that brings the schema up to date, and gives the functions' users their rights. Before a deployment that needs it:
# gcloud run jobs execute migrate --wait (docs/deploy.md).

resource "google_service_account" "migrate" {
  account_id   = "migrate"
  display_name = "Migrates the database"
  depends_on   = [google_project_service.needed]
}

locals {
  migrate_login = trimsuffix(google_service_account.migrate.email, ".gserviceaccount.com")
}

resource "google_cloud_run_v2_job" "migrate" {
  count = local.postgres

  name                = "migrate"
  deletion_protection = false # It holds nothing.
  location            = var.region

  template {
    template {
      encryption_key  = google_kms_crypto_key.service["functions"].id
      max_retries     = 0 # All steps are one transaction: whoever runs it reads why it failed, and runs it again.
      service_account = google_service_account.migrate.email
      timeout         = "1800s"

      containers {
        image   = local.image
        command = ["launcher"]
        args    = ["python", "-m", "pinjam.migrations"]

        env {
          name  = "PINJAM_DATABASE_AUTH"
          value = "iam"
        }
        # Tables belong to the role, not to this account, so that another may migrate them later.
        env {
          name = "PINJAM_DATABASE_URL"
          value = join("", [
            "postgresql://${urlencode(local.migrate_login)}@${local.database_at}",
            "&options=${urlencode("-c role=cloudsqlsuperuser")}",
          ])
        }
        env {
          name  = "PINJAM_DATABASE_USERS"
          value = join(",", sort(local.password_login ? [local.database_user] : values(local.database_logins)))
        }
      }

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"

        network_interfaces {
          network    = google_compute_network.private.id
          subnetwork = google_compute_subnetwork.functions.id
          tags       = [google_service_account.migrate.account_id]
        }
      }
    }
  }

  depends_on = [
    google_kms_crypto_key_iam_member.service,
    google_project_iam_member.migrate_login,
    google_sql_user.function,
    google_sql_user.migrate,
    google_sql_user.password,
  ]
}

# Only this one may change the schema.
resource "google_sql_user" "migrate" {
  count = local.postgres

  name           = local.migrate_login
  database_roles = ["cloudsqlsuperuser"]
  instance       = google_sql_database_instance.main[0].name
  type           = "CLOUD_IAM_SERVICE_ACCOUNT"
}

# As with the functions' own logins.
resource "google_project_iam_member" "migrate_login" {
  count = local.postgres

  project = var.project
  member  = google_service_account.migrate.member
  role    = "roles/cloudsql.instanceUser"

  condition {
    title      = "database"
    expression = local.this_database
  }
}

resource "google_compute_firewall" "migrate_to_database" {
  count = local.postgres

  name               = "allow-to-database-migrate"
  description        = "From the migrations."
  destination_ranges = [local.services_range]
  direction          = "EGRESS"
  network            = google_compute_network.private.id
  priority           = 1000
  target_tags        = [google_service_account.migrate.account_id]

  allow {
    ports    = [local.private_ports.database.port]
    protocol = "tcp"
  }
}
