# Secrets are shells: whoever deploys puts the values in (docs/deploy.md), so that Terraform's state has none of them. The
# exceptions are what Terraform itself makes or is told by Google, which the state holds in any case.

locals {
  password_login = var.store == "postgres" && var.database.login == "password"

  # Variables that hold secrets, and what they are. Each has a secret of its own name.
  secrets = merge(
    {
      PINJAM_EKYC_API_KEY          = "The e-KYC provider's API key"
      PINJAM_HASH_KEY              = "Hashes what sealed values are found by: base64 of 32 bytes, which must never change"
      PINJAM_IRIS_APPROVER_KEY     = "Approves payouts at Iris"
      PINJAM_IRIS_CREATOR_KEY      = "Creates payouts at Iris"
      PINJAM_IRIS_MERCHANT_KEY     = "Signs the notifications of Iris"
      PINJAM_LINKS_KEY             = "Signs the addresses of documents: base64 of 32 bytes"
      PINJAM_MIDTRANS_SERVER_KEY   = "Server key at Midtrans, which also signs its notifications"
      PINJAM_SMTP_PASSWORD         = "Password at the mail server"
      PINJAM_WHATSAPP_APP_SECRET   = "Signs WhatsApp's callbacks"
      PINJAM_WHATSAPP_TOKEN        = "Access token of the WhatsApp Cloud API"
      PINJAM_WHATSAPP_VERIFY_TOKEN = "What WhatsApp proves itself with when its callback is set up"
    },
    var.providers_at.sms == "twilio" ? { PINJAM_TWILIO_AUTH_TOKEN = "Auth token at Twilio" } : {},
    var.providers_at.sms == "zenziva" ? { PINJAM_ZENZIVA_PASSKEY = "Passkey at Zenziva" } : {},
    local.password_login ? { PINJAM_DATABASE_URL = "Where the database is, with the functions' password" } : {},
    var.redis ? { PINJAM_REDIS_URL = "Where Memorystore is, with its AUTH string" } : {},
  )

  generated_secrets = merge(
    local.password_login ? {
      PINJAM_DATABASE_URL = "postgresql://${local.database_user}:${random_password.database[0].result}@${local.database_at}"
    } : {},
    var.redis ? { PINJAM_REDIS_URL = local.redis_url } : {},
  )
}

# Letters and digits only: it becomes part of a URL.
resource "random_password" "database" {
  count = local.password_login ? 1 : 0

  length  = 40
  special = false
}

resource "google_secret_manager_secret" "setting" {
  for_each = local.secrets

  secret_id           = each.key
  annotations         = { holds = each.value }
  deletion_protection = local.production
  # A version that is destroyed by mistake can be had back for a day.
  version_destroy_ttl = "86400s"

  replication {
    user_managed {
      replicas {
        location = var.region

        customer_managed_encryption {
          kms_key_name = google_kms_crypto_key.service["secrets"].id
        }
      }
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

resource "google_secret_manager_secret_version" "generated" {
  for_each = toset(keys(local.generated_secrets))

  secret      = google_secret_manager_secret.setting[each.key].id
  secret_data = local.generated_secrets[each.key]
}

# The number of the version that is the latest now, and never its value. So a new value is taken by an apply, each revision
# of a function keeps the value that it was tried with, and the plan stops where a value is missing.
data "google_secret_manager_secret_version" "latest" {
  for_each = setsubtract(keys(local.secrets), keys(local.generated_secrets))

  fetch_secret_data = false
  secret            = google_secret_manager_secret.setting[each.key].secret_id
}

locals {
  secret_versions = merge(
    { for variable, found in data.google_secret_manager_secret_version.latest : variable => found.version },
    { for variable, made in google_secret_manager_secret_version.generated : variable => made.version },
  )
}

# Only those whose settings have the variable may read it.
resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = merge([
    for name, runner in local.runners : {
      for variable in runner.variables : "${variable}.${name}" => { variable = variable, name = name }
      if contains(keys(local.secrets), variable)
    }
  ]...)

  secret_id = google_secret_manager_secret.setting[each.value.variable].id
  member    = local.members[each.value.name]
  role      = "roles/secretmanager.secretAccessor"
}

check "secrets" {
  assert {
    condition = length(setsubtract(
      keys(local.secrets), flatten([for runner in values(local.runners) : runner.variables])
    )) == 0
    error_message = "Some secrets are read by nobody any more: take them out of secrets.tf."
  }
}
