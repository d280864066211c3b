# Our keys in Cloud KMS: one for each kind of data at rest, and one that wraps the borrowers' own keys.
#
# All of them are always there, whatever is chosen: a store that is no longer used has backups that need its key.
# Keys and key rings can never be deleted, only their versions; so in no environment does Terraform try.

locals {
  rotation_period = "7776000s" # 90 days. Older versions go on decrypting.
  keep_destroyed  = "2592000s" # 30 days in which a version that was destroyed by mistake can be restored.

  # Google's own accounts, which encrypt on our behalf.
  service_agents = {
    artifact_registry = "service-${data.google_project.this.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    compute           = "service-${data.google_project.this.number}@compute-system.iam.gserviceaccount.com"
    firestore         = "service-${data.google_project.this.number}@gcp-sa-firestore.iam.gserviceaccount.com"
    functions         = "service-${data.google_project.this.number}@gcf-admin-robot.iam.gserviceaccount.com"
    logging           = data.google_logging_project_cmek_settings.this.service_account_id
    pubsub            = "service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    redis             = "service-${data.google_project.this.number}@cloud-redis.iam.gserviceaccount.com"
    run               = "service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com"
    secret_manager    = "service-${data.google_project.this.number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    sql               = "service-${data.google_project.this.number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    storage           = data.google_storage_project_service_account.this.email_address
  }

  # Which of them need which key.
  service_keys = {
    cache     = ["redis"]
    database  = ["sql"]
    documents = ["storage"]
    firestore = ["firestore"]
    # A function's source, image and instances have one key between them.
    functions = ["artifact_registry", "functions", "run", "storage"]
    logs      = ["logging"]
    messages  = ["pubsub"]
    secrets   = ["secret_manager"]
    staff     = ["compute"]
  }
}

resource "google_kms_key_ring" "pinjam" {
  name       = "pinjam"
  location   = var.region
  depends_on = [google_project_service.needed]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "service" {
  for_each = local.service_keys

  name                       = each.key
  destroy_scheduled_duration = local.keep_destroyed
  key_ring                   = google_kms_key_ring.pinjam.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = local.rotation_period

  lifecycle {
    prevent_destroy = true
  }
}

# Wraps each borrower's own key: without it no personal field can be read.
resource "google_kms_crypto_key" "borrowers" {
  name                       = "borrowers"
  destroy_scheduled_duration = local.keep_destroyed
  key_ring                   = google_kms_key_ring.pinjam.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = local.rotation_period

  lifecycle {
    prevent_destroy = true
  }
}

# Makes the accounts, which otherwise come with the first use of a service: too late to give them a key.
resource "google_project_service_identity" "agent" {
  for_each = toset([
    "artifactregistry",
    "cloudfunctions",
    "firestore",
    "pubsub",
    "redis",
    "run",
    "secretmanager",
    "sqladmin",
  ])
  provider = google-beta

  service    = "${each.key}.googleapis.com"
  depends_on = [google_project_service.needed]
}

# To ask for these two makes them.
data "google_storage_project_service_account" "this" {
  depends_on = [google_project_service.needed]
}

data "google_logging_project_cmek_settings" "this" {
  project    = var.project
  depends_on = [google_project_service.needed]
}

resource "google_kms_crypto_key_iam_member" "service" {
  for_each = merge([
    for key, agents in local.service_keys : { for agent in agents : "${key}.${agent}" => { key = key, agent = agent } }
  ]...)

  crypto_key_id = google_kms_crypto_key.service[each.value.key].id
  member        = "serviceAccount:${local.service_agents[each.value.agent]}"
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  depends_on    = [google_project_service_identity.agent]
}

resource "google_kms_crypto_key_iam_member" "borrowers" {
  for_each = local.using["key_wrapper"]

  crypto_key_id = google_kms_crypto_key.borrowers.id
  member        = local.members[each.key]
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
}

# `python -m pinjam.keys rotate --new` asks for the primary version, adds one and makes it primary. It can neither
# disable nor destroy a version: that is for whoever deploys.
resource "google_project_iam_custom_role" "key_rotation" {
  role_id = "pinjamKeyRotation"
  title   = "Rotates the key that wraps borrowers' keys"
  permissions = [
    "cloudkms.cryptoKeyVersions.create",
    "cloudkms.cryptoKeys.get",
    "cloudkms.cryptoKeys.update",
  ]
}

resource "google_kms_crypto_key_iam_member" "rotation" {
  for_each = local.using["rewrapping"]

  crypto_key_id = google_kms_crypto_key.borrowers.id
  member        = local.members[each.key]
  role          = google_project_iam_custom_role.key_rotation.id
}
