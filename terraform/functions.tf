resource "google_storage_bucket_object" "package" {
  for_each = local.functions

  bucket = google_storage_bucket.packages.name
  # A package that changed is another object, so that a function knows of it, and the last one is there to go back to.
  name   = "${each.key}-${lookup(local.packages.sha256, each.key, "not-packed")}.zip"
  source = "${local.packages_folder}/${each.key}.zip"
}

resource "google_cloudfunctions2_function" "function" {
  #checkov:skip=CKV_GCP_124:The gateway, Pub/Sub and Cloud Tasks come from outside the network; IAM alone says who may call.
  for_each = local.functions

  name         = each.key
  location     = var.region
  description  = "Pinjam: ${each.key}"
  kms_key_name = google_kms_crypto_key.service["functions"].id

  build_config {
    runtime           = local.packages.runtime
    entry_point       = each.key
    service_account   = google_service_account.builder.id
    docker_repository = google_artifact_registry_repository.functions.id

    environment_variables = {
      GOOGLE_FUNCTION_SIGNATURE_TYPE = "http"
    }

    source {
      storage_source {
        bucket = google_storage_bucket.packages.name
        object = google_storage_bucket_object.package[each.key].name
      }
    }
  }

  service_config {
    available_memory                 = "${each.value.memory}Mi"
    available_cpu                    = "1"
    timeout_seconds                  = each.value.timeout_s
    max_instance_request_concurrency = each.value.concurrency
    max_instance_count               = each.value.instances
    min_instance_count               = each.value.caller == "gateway" ? var.warm_instances : 0
    service_account_email            = google_service_account.function[each.key].email
    # Who may call is decided by IAM alone: the gateway and Pub/Sub come from outside the network.
    ingress_settings  = "ALLOW_ALL"
    direct_vpc_egress = "VPC_EGRESS_PRIVATE_RANGES_ONLY"

    direct_vpc_network_interface {
      network    = google_compute_network.private.id
      subnetwork = google_compute_subnetwork.functions.id
      tags       = [each.value.account]
    }

    environment_variables = merge(
      {
        LOG_EXECUTION_ID = "true"
        PINJAM_PROFILE   = local.settings[each.key]["PINJAM_PROFILE"]
        THREADS          = tostring(each.value.concurrency)
      },
      { for variable in each.value.variables : variable => local.settings[each.key][variable]
      if contains(keys(local.settings[each.key]), variable) },
    )

    dynamic "secret_environment_variables" {
      for_each = [for variable in each.value.variables : variable if contains(keys(local.secrets), variable)]

      content {
        key        = secret_environment_variables.value
        project_id = var.project
        secret     = google_secret_manager_secret.setting[secret_environment_variables.value].secret_id
        version    = local.secret_versions[secret_environment_variables.value]
      }
    }
  }

  depends_on = [
    google_project_service.needed,
    google_secret_manager_secret_iam_member.reader,
    google_secret_manager_secret_version.generated,
    google_kms_crypto_key_iam_member.service,
  ]

  lifecycle {
    precondition {
      condition     = length(local.forgotten_variables[each.key]) == 0
      error_message = "${each.key} reads variables that have no value: ${join(", ", local.forgotten_variables[each.key])}."
    }
  }
}
