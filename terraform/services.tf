# Google's services that are used here. They stay enabled when one is no longer needed: disabling destroys data.

locals {
  services = [
    "apigateway",
    "apikeys",
    "artifactregistry",
    "billingbudgets",
    "cloudbuild",
    "cloudfunctions",
    "cloudkms",
    "cloudresourcemanager",
    "cloudscheduler",
    "cloudtasks",
    "compute",
    "endpoints",
    "fcm",
    "fcmregistrations",
    "firebase",
    "firebaseinstallations",
    "firestore",
    "iam",
    "iamcredentials",
    "iap",
    "identitytoolkit",
    "logging",
    "monitoring",
    "oslogin",
    "pubsub",
    "redis",
    "run",
    "secretmanager",
    "securetoken",
    "servicecontrol",
    "servicemanagement",
    "servicenetworking",
    "serviceusage",
    "sqladmin",
    "storage",
  ]
}

resource "google_project_service" "needed" {
  for_each = toset(local.services)

  disable_on_destroy = false
  service            = "${each.key}.googleapis.com"
}

# The project's number is in the names of Google's own accounts.
data "google_project" "this" {
  project_id = var.project
}
