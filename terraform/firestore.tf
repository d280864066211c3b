# Firestore, where it is the store: the indexes that the code declares, and nothing else is indexed.

locals {
  firestore_indexes = jsondecode(file("${path.module}/../lib/pinjam/adapters/firestore.indexes.json"))

  composite_indexes = {
    for index in local.firestore_indexes.indexes :
    join(".", concat([index.collectionGroup], [
      for field in index.fields : "${field.fieldPath}-${lower(substr(try(field.order, field.arrayConfig), 0, 4))}"
    ])) => index
  }

  field_overrides = {
    for field in local.firestore_indexes.fieldOverrides : "${field.collectionGroup}.${field.fieldPath}" => field
  }
}

resource "google_firestore_database" "main" {
  count = var.store == "firestore" ? 1 : 0

  name                              = "pinjam"
  concurrency_mode                  = "PESSIMISTIC"
  delete_protection_state           = local.production ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = local.production ? "ABANDON" : "DELETE"
  location_id                       = var.region
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  type                              = "FIRESTORE_NATIVE"

  cmek_config {
    kms_key_name = google_kms_crypto_key.service["firestore"].id
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

resource "google_firestore_index" "declared" {
  for_each = var.store == "firestore" ? local.composite_indexes : {}

  collection  = each.value.collectionGroup
  database    = google_firestore_database.main[0].name
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields

    content {
      array_config = try(fields.value.arrayConfig, null)
      field_path   = fields.value.fieldPath
      order        = try(fields.value.order, null)
    }
  }
}

# Records pass by decision, not by age alone: `sweep` deletes those whose keeping time has ended, in a transaction that
# looks at what they belong to. So no field has a TTL.
resource "google_firestore_field" "declared" {
  for_each = var.store == "firestore" ? local.field_overrides : {}

  collection = each.value.collectionGroup
  database   = google_firestore_database.main[0].name
  field      = each.value.fieldPath

  index_config {
    dynamic "indexes" {
      for_each = each.value.indexes

      content {
        array_config = try(indexes.value.arrayConfig, null)
        order        = try(indexes.value.order, null)
        query_scope  = indexes.value.queryScope
      }
    }
  }
}

resource "google_firestore_backup_schedule" "daily" {
  count = var.store == "firestore" ? 1 : 0

  database  = google_firestore_database.main[0].name
  retention = "${7 * 86400}s"

  daily_recurrence {}
}

resource "google_firestore_backup_schedule" "weekly" {
  count = var.store == "firestore" ? 1 : 0

  database  = google_firestore_database.main[0].name
  retention = "${14 * 7 * 86400}s" # 14 weeks are the most.

  weekly_recurrence {
    day = "SUNDAY"
  }
}

# Firestore has roles on the project only; a condition names the one database.
resource "google_project_iam_member" "firestore" {
  for_each = var.store == "firestore" ? local.using["store"] : toset([])

  project = var.project
  member  = local.members[each.key]
  role    = "roles/datastore.user"

  condition {
    title      = "records"
    expression = "resource.name == '${google_firestore_database.main[0].id}'"
  }
}
