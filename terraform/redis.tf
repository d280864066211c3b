# Memorystore, where limits are to count for all instances together. It keeps nothing that may not be lost.

resource "google_redis_instance" "main" {
  count = var.redis ? 1 : 0

  name                    = "pinjam"
  auth_enabled            = true
  authorized_network      = google_compute_network.private.id
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  customer_managed_key    = google_kms_crypto_key.service["cache"].id
  deletion_protection     = local.production
  memory_size_gb          = 1
  redis_version           = "REDIS_7_2"
  region                  = var.region
  tier                    = local.production ? "STANDARD_HA" : "BASIC"
  transit_encryption_mode = "SERVER_AUTHENTICATION"

  # Keys that live long make room for new ones, instead of having writes refused.
  redis_configs = { "maxmemory-policy" = "volatile-lru" }

  # Sunday, 02:00 in Jakarta (UTC+7).
  maintenance_policy {
    weekly_maintenance_window {
      day = "SATURDAY"

      start_time {
        hours   = 19
        minutes = 0
        nanos   = 0
        seconds = 0
      }
    }
  }

  depends_on = [
    google_kms_crypto_key_iam_member.service,
    google_service_networking_connection.services,
  ]
}

locals {
  # The server's certificate is signed by an authority of this instance's own and bears no name or address that could be
  # checked; so the clients are given that authority, and trust nobody else. It has a successor years before it expires,
  # which is listed beside it.
  redis_authorities = try(join("\n", google_redis_instance.main[0].server_ca_certs[*].cert), "")

  redis_url = var.redis ? join("", [
    "rediss://:${urlencode(google_redis_instance.main[0].auth_string)}@",
    "${google_redis_instance.main[0].host}:${google_redis_instance.main[0].port}/0",
    "?ssl_check_hostname=false&ssl_ca_data=${urlencode(local.redis_authorities)}",
  ]) : null
}
