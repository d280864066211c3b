# The host of our own, where one is named: neither gateway serves one in these regions without a load balancer before it.
# The certificate is made once the host's address in the DNS is that of the output `domain_address`.

locals {
  domain = var.domain == null ? 0 : 1
}

resource "google_compute_global_address" "domain" {
  count = local.domain

  name       = "gateway"
  depends_on = [google_project_service.needed]
}

resource "google_compute_managed_ssl_certificate" "domain" {
  count = local.domain

  name = "gateway-${replace(var.domain, ".", "-")}"

  managed {
    domains = [var.domain]
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Behind the load balancer is Cloud Run, as a service of this project ...
resource "google_compute_region_network_endpoint_group" "gateway" {
  count = local.domain * local.espv2

  name                  = "gateway-cloud-run"
  network_endpoint_type = "SERVERLESS"
  region                = var.region

  cloud_run {
    service = google_cloud_run_v2_service.gateway[0].name
  }
}

# ... or API Gateway, which the provider knows no such group for, as a host on the Internet.
resource "google_compute_global_network_endpoint_group" "gateway" {
  count = local.domain * local.api_gateway

  name                  = "gateway-api-gateway"
  default_port          = 443
  network_endpoint_type = "INTERNET_FQDN_PORT"
}

resource "google_compute_global_network_endpoint" "gateway" {
  count = local.domain * local.api_gateway

  fqdn                          = local.gateway_host
  global_network_endpoint_group = google_compute_global_network_endpoint_group.gateway[0].name
  port                          = 443
}

resource "google_compute_backend_service" "gateway" {
  count = local.domain

  name = "gateway-${replace(var.gateway, "_", "-")}"
  # API Gateway answers to its own name only.
  custom_request_headers = var.gateway == "api_gateway" ? ["Host: ${local.gateway_host}"] : []
  load_balancing_scheme  = "EXTERNAL_MANAGED"
  protocol               = "HTTPS"

  backend {
    group = one(concat(
      google_compute_region_network_endpoint_group.gateway[*].id,
      google_compute_global_network_endpoint_group.gateway[*].id,
    ))
  }

  log_config {
    enable = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_url_map" "gateway" {
  count = local.domain

  name            = "gateway"
  default_service = google_compute_backend_service.gateway[0].id
}

resource "google_compute_ssl_policy" "gateway" {
  count = local.domain

  name            = "gateway"
  min_tls_version = "TLS_1_2"
  profile         = "MODERN"
}

resource "google_compute_target_https_proxy" "gateway" {
  count = local.domain

  name             = "gateway"
  ssl_certificates = [google_compute_managed_ssl_certificate.domain[0].id]
  ssl_policy       = google_compute_ssl_policy.gateway[0].id
  url_map          = google_compute_url_map.gateway[0].id
}

# No port 80: the apps know the address, and a token sent in the clear is lost even where it is redirected.
resource "google_compute_global_forwarding_rule" "gateway" {
  count = local.domain

  name                  = "gateway"
  ip_address            = google_compute_global_address.domain[0].id
  load_balancing_scheme = "EXTERNAL_MANAGED"
  port_range            = "443"
  target                = google_compute_target_https_proxy.gateway[0].id
}

output "domain_address" {
  description = "What the host's A record must be; null without a domain."
  value       = one(google_compute_global_address.domain[*].address)
}
