# Where the staff run their commands (review, ledger, audit, undelivered, keys): one small machine without a public address,
# reached over SSH through Identity-Aware Proxy by those in var.staff only. Answers hold personal data, so they go to a
# terminal and not, as those of a job would, into a log. docs/deploy.md shows the call.

locals {
  staff = {
    account   = "staff-commands"
    parts     = distinct(flatten([for command in values(local.system.commands) : command.parts]))
    variables = distinct(flatten([for command in values(local.system.commands) : command.variables]))
  }

  # Secrets are only named: the commands read them when they need them.
  staff_environment = merge(
    { PINJAM_PROFILE = local.settings["staff"]["PINJAM_PROFILE"] },
    {
      for variable in local.staff.variables : variable => local.settings["staff"][variable]
      if contains(keys(local.settings["staff"]), variable)
    },
    {
      for variable in local.staff.variables :
      variable => "secret:projects/${var.project}/secrets/${variable}/versions/latest"
      if contains(keys(local.secrets), variable)
    },
  )

  # Run as root, because Docker is; `sudo` keeps the name of who asked, which the audit log wants.
  staff_command = <<-EOT
    #!/bin/bash
    # sudo bash /etc/pinjam/run review list
    set -euo pipefail
    export HOME=/var/lib/pinjam
    mkdir -p "$HOME"
    docker-credential-gcr configure-docker --registries=${var.region}-docker.pkg.dev >/dev/null
    command=$1
    shift
    exec docker run --rm --interactive --tty --pull always --network host \
      --env-file /etc/pinjam/environment --env USER="$${SUDO_USER:-}" \
      --entrypoint launcher ${local.image} python -m "pinjam.$command" "$@"
  EOT
}

resource "google_service_account" "staff" {
  account_id   = local.staff.account
  display_name = "The staff's commands"
  depends_on   = [google_project_service.needed]
}

resource "google_compute_subnetwork" "staff" {
  name                     = "staff"
  ip_cidr_range            = "10.10.8.0/28"
  network                  = google_compute_network.private.id
  private_ip_google_access = true
  region                   = var.region

  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = 1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# `review show` asks the payout gateway for the name on a bank account, which is out on the Internet.
resource "google_compute_router" "staff" {
  name    = "staff"
  network = google_compute_network.private.id
  region  = var.region
}

resource "google_compute_router_nat" "staff" {
  name                               = "staff"
  nat_ip_allocate_option             = "AUTO_ONLY"
  region                             = var.region
  router                             = google_compute_router.staff.name
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  log_config {
    enable = true
    filter = "ALL"
  }

  subnetwork {
    name                     = google_compute_subnetwork.staff.id
    secondary_ip_range_names = []
    source_ip_ranges_to_nat  = ["ALL_IP_RANGES"]
  }
}

resource "google_compute_firewall" "staff_in" {
  name          = "allow-staff-from-iap"
  description   = "SSH through Identity-Aware Proxy, whose addresses these are."
  direction     = "INGRESS"
  network       = google_compute_network.private.id
  source_ranges = ["35.235.240.0/20"]
  target_tags   = [local.staff.account]

  allow {
    ports    = ["22"]
    protocol = "tcp"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

# The rules of network.tf come first.
resource "google_compute_firewall" "staff_out" {
  name               = "allow-staff-https"
  description        = "Google's APIs and the payout gateway."
  destination_ranges = ["0.0.0.0/0"]
  direction          = "EGRESS"
  network            = google_compute_network.private.id
  priority           = 3000
  target_tags        = [local.staff.account]

  allow {
    ports    = ["443"]
    protocol = "tcp"
  }
}

resource "google_compute_firewall" "staff_out_no_more" {
  name               = "deny-staff-else"
  description        = "Nothing else leaves the staff's machine."
  destination_ranges = ["0.0.0.0/0"]
  direction          = "EGRESS"
  network            = google_compute_network.private.id
  priority           = 4000
  target_tags        = [local.staff.account]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_instance" "staff" {
  name                      = "staff"
  allow_stopping_for_update = true
  machine_type              = "e2-small"
  tags                      = [local.staff.account]
  zone                      = "${var.region}-a"

  metadata = {
    block-project-ssh-keys = "TRUE"
    enable-oslogin         = "TRUE"
    serial-port-enable     = "FALSE"
    user-data = join("\n", ["#cloud-config", yamlencode({
      write_files = [
        {
          path        = "/etc/pinjam/environment"
          permissions = "0644"
          content     = join("", [for variable, value in local.staff_environment : "${variable}=${value}\n"])
        },
        { path = "/etc/pinjam/run", permissions = "0644", content = local.staff_command },
      ]
    })])
  }

  boot_disk {
    kms_key_self_link = google_kms_crypto_key.service["staff"].id

    initialize_params {
      image = "cos-cloud/cos-stable"
      size  = 20
      type  = "pd-balanced"
    }
  }

  network_interface {
    subnetwork = google_compute_subnetwork.staff.id
  }

  # What it may do is decided by the account's roles.
  service_account {
    email  = google_service_account.staff.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_integrity_monitoring = true
    enable_secure_boot          = true
    enable_vtpm                 = true
  }

  lifecycle {
    precondition {
      condition     = length(local.forgotten_variables["staff"]) == 0
      error_message = "The staff's commands read variables that have no value: ${join(", ", local.forgotten_variables["staff"])}."
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.service]
}

resource "google_artifact_registry_repository_iam_member" "staff" {
  location   = google_artifact_registry_repository.functions.location
  member     = local.members["staff"]
  repository = google_artifact_registry_repository.functions.repository_id
  role       = "roles/artifactregistry.reader"
}

# What a member of the staff needs to get there: the tunnel, the login, and leave to act as the machine's account.
resource "google_iap_tunnel_instance_iam_member" "staff" {
  for_each = toset(var.staff)

  instance = google_compute_instance.staff.name
  member   = each.key
  role     = "roles/iap.tunnelResourceAccessor"
  zone     = google_compute_instance.staff.zone

  condition {
    title      = "ssh"
    expression = "destination.port == 22"
  }
}

# With sudo, for Docker: who is let in may use the machine's account in any case.
resource "google_compute_instance_iam_member" "staff" {
  for_each = toset(var.staff)

  instance_name = google_compute_instance.staff.name
  member        = each.key
  role          = "roles/compute.osAdminLogin"
  zone          = google_compute_instance.staff.zone
}

resource "google_service_account_iam_member" "staff" {
  for_each = toset(var.staff)

  service_account_id = google_service_account.staff.name
  member             = each.key
  role               = "roles/iam.serviceAccountUser"
}

# `gcloud compute ssh` looks at the project itself, for which there is no finer level.
resource "google_project_iam_custom_role" "connecting" {
  role_id     = "pinjamConnecting"
  title       = "Finds the way to the staff's machine"
  permissions = ["compute.projects.get"]
}

resource "google_project_iam_member" "connecting" {
  for_each = toset(var.staff)

  project = var.project
  member  = each.key
  role    = google_project_iam_custom_role.connecting.id
}
