# The documents' bytes, and the functions' packages.

# Every paper is sealed under its borrower's own key before it comes here. Erasure deletes the object and destroys that
# key; so there is no retention policy, which would forbid the first: the law's five years are kept by the code, which
# deletes nothing before them. What is deleted by mistake can be had back for 30 days as a noncurrent version and for 30
# more as a soft-deleted one; of a borrower who was erased it cannot be read any more.
resource "google_storage_bucket" "documents" {
  #checkov:skip=CKV_GCP_62:Every read and write is in the data access log (audit.tf), which usage logs would repeat.
  name                        = "${var.project}-documents"
  force_destroy               = !local.production
  location                    = var.region
  public_access_prevention    = "enforced"
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true

  encryption {
    default_kms_key_name = google_kms_crypto_key.service["documents"].id
  }

  # Objects are written once, so that only a deletion makes a noncurrent version.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 2592000
  }

  versioning {
    enabled = true
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

resource "google_storage_bucket" "packages" {
  #checkov:skip=CKV_GCP_62:Every read and write is in the data access log (audit.tf), which usage logs would repeat.
  name                        = "${var.project}-packages"
  force_destroy               = !local.production
  location                    = var.region
  public_access_prevention    = "enforced"
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true

  encryption {
    default_kms_key_name = google_kms_crypto_key.service["functions"].id
  }

  # A package that was replaced can be gone back to for half a year.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 180
      with_state                 = "ARCHIVED"
    }
  }

  versioning {
    enabled = true
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

# Google's own roles for objects also overwrite or change access lists; these do what the adapter calls, each apart.
locals {
  document_roles = {
    # Who may not list is told 403 of an object that is not there.
    pinjamDocumentsReader = {
      title       = "Reads documents"
      permissions = ["storage.objects.get", "storage.objects.list"]
      members     = local.using["objects"]
    }
    pinjamDocumentsWriter = {
      title       = "Adds documents"
      permissions = ["storage.objects.create"]
      members     = local.using["documents"]
    }
    pinjamDocumentsEraser = {
      title       = "Deletes documents"
      permissions = ["storage.objects.delete"]
      # An upload that no row names in the end is taken back.
      members = setunion(local.using["documents"], local.using["erasing"])
    }
  }
}

resource "google_project_iam_custom_role" "documents" {
  for_each = local.document_roles

  role_id     = each.key
  permissions = each.value.permissions
  title       = each.value.title
}

resource "google_storage_bucket_iam_member" "documents" {
  for_each = merge([
    for role, granted in local.document_roles :
    { for name in granted.members : "${role}.${name}" => { role = role, name = name } }
  ]...)

  bucket = google_storage_bucket.documents.name
  member = local.members[each.value.name]
  role   = google_project_iam_custom_role.documents[each.value.role].id
}
