terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "~> 8.7"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.9"
    }
  }

  # The state holds generated passwords: a bucket of its own, with versions and few readers. It is named when
  # Terraform is set up (docs/deploy.md): terraform init -backend-config=bucket=PROJECT-terraform
  backend "gcs" {
    prefix = "pinjam"
  }
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = local.labels
}

provider "google-beta" {
  project = var.project
  region  = var.region

  default_labels = local.labels
}
