# The private network: the functions reach the database and the cache through it, and nothing else.
#
# Only private addresses go this way (PRIVATE_RANGES_ONLY); providers and Google's APIs are reached by the functions
# from Google's own network, so they need no Cloud NAT. Only the staff's machine has one: see staff.tf.

locals {
  # A function's instance takes one address, and for a while two when it is replaced.
  addresses_needed = 2 * sum([for function in values(local.functions) : function.instances])
  addresses        = 2048 # of a /21
}

resource "google_compute_network" "private" {
  name                    = "pinjam"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
  depends_on              = [google_project_service.needed]
}

resource "google_compute_subnetwork" "functions" {
  name                     = "functions"
  ip_cidr_range            = "10.10.0.0/21"
  network                  = google_compute_network.private.id
  private_ip_google_access = true
  region                   = var.region

  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }

  lifecycle {
    precondition {
      condition     = local.addresses_needed + 4 <= local.addresses
      error_message = "The functions may have so many instances that the subnetwork has too few addresses for them."
    }
  }
}

# Cloud SQL and Memorystore live in a network of Google's, which is joined to ours at this range.
resource "google_compute_global_address" "services" {
  name          = "google-services"
  address_type  = "INTERNAL"
  network       = google_compute_network.private.id
  prefix_length = 20
  purpose       = "VPC_PEERING"
}

resource "google_service_networking_connection" "services" {
  network                 = google_compute_network.private.id
  reserved_peering_ranges = [google_compute_global_address.services.name]
  service                 = "servicenetworking.googleapis.com"
  # The connection cannot be removed for days after the last database in it; it goes with the network.
  deletion_policy = "ABANDON"
}

# What leaves for that range is refused, but for the ports that somebody's code uses.
locals {
  services_range = "${google_compute_global_address.services.address}/${google_compute_global_address.services.prefix_length}"

  # Each runner's tag on its instances, as functions.tf and staff.tf set it.
  tags = { for name, runner in local.runners : name => runner.account }
  # Ports of PostgreSQL, and of Memorystore with TLS.
  private_ports = {
    cache    = { port = "6378", users = local.using["cache"] }
    database = { port = "5432", users = local.using["store"] }
  }
}

resource "google_compute_firewall" "to_services" {
  for_each = local.private_ports

  name               = "allow-to-${each.key}"
  description        = "From what uses the ${each.key}."
  destination_ranges = [local.services_range]
  direction          = "EGRESS"
  network            = google_compute_network.private.id
  priority           = 1000
  target_tags        = [for name in each.value.users : local.tags[name]]

  allow {
    ports    = [each.value.port]
    protocol = "tcp"
  }
}

resource "google_compute_firewall" "no_more_to_services" {
  name               = "deny-to-services"
  description        = "Nobody else reaches the databases."
  destination_ranges = [local.services_range]
  direction          = "EGRESS"
  network            = google_compute_network.private.id
  priority           = 2000

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
