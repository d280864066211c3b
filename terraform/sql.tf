# Cloud SQL for PostgreSQL, where it is the store: a private address only, TLS, our key, and backups in the region.

locals {
  postgres = var.store == "postgres" ? 1 : 0

  # An instance of a function holds as many connections as it has requests at a time, or as its pool allows. If all
  # instances were there at once, each would find one: that, the staff, the migrations, and a few for Google and for whoever
  # looks. A connection that nobody has opened costs nothing, but the memory of var.database.tier must bear those that are
  # there: about 5 MB each (docs/capacity.md).
  connections_kept_back = 30
  connections_needed = local.connections_kept_back + sum([
    for function in values(local.functions) : contains(function.parts, "store")
    ? function.instances * min(function.concurrency, var.database.connections) : 0
  ])

  # With an IAM login, each runner is a user named as Cloud SQL names service accounts: without the end of the address.
  login_of = { for name, account in local.accounts : name => trimsuffix(account.email, ".gserviceaccount.com") }

  database_logins = (
    var.store != "postgres" ? {} : var.database.login == "iam"
    ? { for name in local.using["store"] : name => local.login_of[name] } : {}
  )

  database_flags = {
    "cloudsql.iam_authentication" = "on"
    "max_connections"             = tostring(local.connections_needed)

    # Logs tell who came, what was changed in the schema, and what was slow: statements without their values, which are
    # personal data, and errors without the rows that they are about.
    "log_checkpoints"            = "on"
    "log_connections"            = "on"
    "log_disconnections"         = "on"
    "log_error_verbosity"        = "terse"
    "log_lock_waits"             = "on"
    "log_min_duration_statement" = "500"
    "log_parameter_max_length"   = "0"
    "log_statement"              = "ddl"
    "log_temp_files"             = "0"
  }
}

resource "google_sql_database_instance" "main" {
  #checkov:skip=CKV_GCP_6:TLS is required. Clients prove themselves by an access token, not by a certificate.
  #checkov:skip=CKV_GCP_51:The flag is set in local.database_flags, which checkov does not follow.
  #checkov:skip=CKV_GCP_52:The flag is set in local.database_flags, which checkov does not follow.
  #checkov:skip=CKV_GCP_53:The flag is set in local.database_flags, which checkov does not follow.
  #checkov:skip=CKV_GCP_54:The flag is set in local.database_flags, which checkov does not follow.
  #checkov:skip=CKV_GCP_108:There is no DNS in the private network that would know the names of instances.
  #checkov:skip=CKV_GCP_109:PostgreSQL logs errors by default; the flag could only ask for less.
  #checkov:skip=CKV_GCP_110:Who changed what is in the application's own audit log; pgAudit would write personal data into logs.
  #checkov:skip=CKV_GCP_111:Changes of the schema are logged; other statements would write personal data into logs.
  #checkov:skip=CKV2_GCP_13:Slow statements are logged with their duration; every statement would cost more than it tells.
  count = local.postgres

  name                = "pinjam"
  database_version    = "POSTGRES_18" # What the local system and the tests run on.
  deletion_protection = local.production
  encryption_key_name = google_kms_crypto_key.service["database"].id
  region              = var.region

  settings {
    tier                        = var.database.tier
    availability_type           = var.database.high_availability ? "REGIONAL" : "ZONAL"
    deletion_protection_enabled = local.production
    disk_autoresize             = true
    disk_size                   = var.database.disk_gb
    disk_type                   = "PD_SSD"
    edition                     = "ENTERPRISE"
    # Backups outlive the instance, if somebody deletes it after all.
    retain_backups_on_delete = true
    user_labels              = local.labels

    # 01:00 in Jakarta (UTC+7). Any second of the last seven days can be had back, and any of the last 30 days' backups.
    backup_configuration {
      enabled                        = true
      location                       = var.region
      point_in_time_recovery_enabled = true
      start_time                     = "18:00"
      transaction_log_retention_days = 7

      backup_retention_settings {
        retained_backups = 30
        retention_unit   = "COUNT"
      }
    }

    dynamic "database_flags" {
      for_each = local.database_flags

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }

    insights_config {
      query_insights_enabled  = true
      query_string_length     = 1024
      record_application_tags = false
      record_client_address   = false
    }

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.private.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    # Sunday, 02:00 in Jakarta, after those with less to lose.
    maintenance_window {
      day          = 6
      hour         = 19
      update_track = "stable"
    }
  }

  depends_on = [
    google_kms_crypto_key_iam_member.service,
    google_service_networking_connection.services,
  ]
}

resource "google_sql_database" "main" {
  count = local.postgres

  name            = local.database_name
  deletion_policy = "ABANDON"
  instance        = google_sql_database_instance.main[0].name
}

# What they may do in the database, the migrations say: rows, but not the schema.
resource "google_sql_user" "function" {
  for_each = local.database_logins

  name     = each.value
  instance = google_sql_database_instance.main[0].name
  type     = "CLOUD_IAM_SERVICE_ACCOUNT"
}

# To log in with an access token is a permission on the project; a condition names the one instance.
resource "google_project_iam_member" "database_login" {
  for_each = local.database_logins

  project = var.project
  member  = local.members[each.key]
  role    = "roles/cloudsql.instanceUser"

  condition {
    title      = "database"
    expression = local.this_database
  }
}

# Where the login is by password there is one user for all. Cloud SQL makes such users administrators of the database, so
# this is for where IAM cannot be had.
resource "google_sql_user" "password" {
  count = local.password_login ? 1 : 0

  name     = local.database_user
  instance = google_sql_database_instance.main[0].name
  password = random_password.database[0].result
}

locals {
  this_database = join(" && ", [
    "resource.name == 'projects/${var.project}/instances/pinjam'",
    "resource.service == 'sqladmin.googleapis.com'",
  ])
}
