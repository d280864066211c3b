# What the apps talk to. Both kinds of gateway take the document that the code generates, check the borrower's token, and
# call the functions in one account's name, which alone may call them (grants.tf).

locals {
  # pinjam.runtime.openapi names these placeholders.
  gateway_document = replace(
    replace(file("${path.module}/../gateway/openapi.json"), "https://functions.invalid", local.functions_url),
    "pinjam-local", var.project,
  )

  api_gateway = var.gateway == "api_gateway" ? 1 : 0
  espv2       = var.gateway == "espv2" ? 1 : 0

  # Of the gateway itself. Cloud Run's is known before the service is there.
  gateway_host = (
    var.gateway == "api_gateway"
    ? google_api_gateway_gateway.main[0].default_hostname
    : "gateway-${data.google_project.this.number}.${var.region}.run.app"
  )

  public_url = "https://${coalesce(var.domain, local.gateway_host)}"
}

# In whose name the gateway calls the functions.
resource "google_service_account" "gateway" {
  account_id   = "gateway"
  display_name = "Calls functions for borrowers"
  depends_on   = [google_project_service.needed]
}

resource "google_api_gateway_api" "main" {
  count    = local.api_gateway
  provider = google-beta

  api_id     = "pinjam"
  depends_on = [google_project_service.needed]
}

# A config never changes: another document is another config, which the gateway takes before the last one goes.
resource "google_api_gateway_api_config" "main" {
  count    = local.api_gateway
  provider = google-beta

  api           = google_api_gateway_api.main[0].api_id
  api_config_id = "pinjam-${substr(sha256("${local.gateway_document} ${google_service_account.gateway.account_id}"), 0, 16)}"

  gateway_config {
    backend_config {
      google_service_account = google_service_account.gateway.email
    }
  }

  openapi_documents {
    document {
      path     = "openapi.json"
      contents = base64encode(local.gateway_document)
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_api_gateway_gateway" "main" {
  count    = local.api_gateway
  provider = google-beta

  api_config = google_api_gateway_api_config.main[0].id
  gateway_id = "pinjam"
  region     = var.gateway_region
}

# The other gateway: Google's open one, on Cloud Run in our own region. Its document has a managed service's name. This
# one belongs to the project without further proof, and does not depend on where Cloud Run serves it.
resource "google_endpoints_service" "main" {
  count = local.espv2

  service_name = "pinjam.endpoints.${var.project}.cloud.goog"
  openapi_config = jsonencode(merge(
    jsondecode(local.gateway_document), { host = "pinjam.endpoints.${var.project}.cloud.goog" }
  ))
  depends_on = [google_project_service.needed]
}

# Service Control answers only for a service that the project has enabled.
resource "google_project_service" "endpoints" {
  count = local.espv2

  disable_on_destroy = false
  service            = google_endpoints_service.main[0].service_name
}

# Reads the document, and reports calls.
resource "google_endpoints_service_iam_member" "gateway" {
  count = local.espv2

  member       = google_service_account.gateway.member
  role         = "roles/servicemanagement.serviceController"
  service_name = google_endpoints_service.main[0].service_name
}

resource "google_cloud_run_v2_service" "gateway" {
  count = local.espv2

  name                = "gateway"
  deletion_protection = local.production
  ingress             = var.domain == null ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  location            = var.region

  template {
    encryption_key                   = google_kms_crypto_key.service["functions"].id
    max_instance_request_concurrency = 200
    service_account                  = google_service_account.gateway.email
    timeout                          = "60s" # Each operation's own deadline, in the document, is shorter.

    containers {
      image = "gcr.io/endpoints-release/endpoints-runtime-serverless:2.55.7"

      env {
        name  = "ENDPOINTS_SERVICE_NAME"
        value = google_endpoints_service.main[0].service_name
      }
      # This one document: another makes another revision, and to go back to a revision is to go back to its document.
      env {
        name  = "ENDPOINTS_SERVICE_VERSION"
        value = google_endpoints_service.main[0].config_id
      }
      # Traces begin at Google's front end; the gateway's own would need a role on the project.
      env {
        name  = "ESPv2_ARGS"
        value = "--disable_tracing,--enable_strict_transport_security"
      }

      resources {
        cpu_idle          = true
        limits            = { cpu = "1", memory = "512Mi" }
        startup_cpu_boost = true
      }
    }

    scaling {
      max_instance_count = 20
      min_instance_count = var.warm_instances
    }
  }

  depends_on = [
    google_endpoints_service_iam_member.gateway,
    google_kms_crypto_key_iam_member.service,
    google_project_service.endpoints,
  ]
}

# The front door, and the only thing here that everybody may call.
resource "google_cloud_run_v2_service_iam_member" "everybody" {
  count = local.espv2

  location = google_cloud_run_v2_service.gateway[0].location
  member   = "allUsers"
  name     = google_cloud_run_v2_service.gateway[0].name
  role     = "roles/run.invoker"
}
