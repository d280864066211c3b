# Identity Platform (Firebase Auth) keeps an opaque id, an e-mail address and a password's hash of each borrower. It has no
# choice of region; all else about a borrower is in var.region.

resource "google_identity_platform_config" "this" {
  autodelete_anonymous_users = true
  # For redirects of other sites' logins, of which there are none.
  authorized_domains = var.domain == null ? [] : [var.domain]

  # Accounts are made and removed by the functions, after their own checks and limits. With this there is no sign-up to
  # flood, and so nothing to set a quota for.
  client {
    permissions {
      disabled_user_deletion = true
      disabled_user_signup   = true
    }
  }

  # The second factor is the passkey, which the functions check themselves.
  mfa {
    state = "DISABLED"
  }

  multi_tenant {
    allow_tenants = false
  }

  sign_in {
    allow_duplicate_emails = false

    anonymous {
      enabled = false
    }

    email {
      enabled           = true
      password_required = true
    }

    phone_number {
      enabled = false
    }
  }

  depends_on = [google_project_service.needed]

  # It can be made only once in a project, and holds everybody's login.
  lifecycle {
    prevent_destroy = true
  }
}

# The functions name the project with it where they hand a password or a token on. It opens nothing more, but with it
# passwords can be tried past the limits of `login`; so the apps have another one.
resource "google_apikeys_key" "functions" {
  name         = "functions"
  display_name = "Identity Platform, for the functions"

  restrictions {
    api_targets {
      service = "identitytoolkit.googleapis.com"
    }
    api_targets {
      service = "securetoken.googleapis.com"
    }
  }

  depends_on = [google_project_service.needed]
}

# The apps log in through the API, and need a key of their own only to be reached by push messages. One key serves both
# kinds of app, so it cannot be bound to either's package.
resource "google_apikeys_key" "apps" {
  name         = "apps"
  display_name = "Push messages, for the apps"

  restrictions {
    api_targets {
      service = "fcmregistrations.googleapis.com"
    }
    api_targets {
      service = "firebaseinstallations.googleapis.com"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_firebase_project" "this" {
  provider = google-beta

  project    = var.project
  depends_on = [google_project_service.needed]
}

resource "google_firebase_android_app" "app" {
  provider = google-beta

  display_name  = "Pinjam"
  api_key_id    = google_apikeys_key.apps.uid
  package_name  = var.apps.android_package
  project       = google_firebase_project.this.project
  sha256_hashes = [for print in var.apps.android_fingerprints : lower(replace(print, ":", ""))]
}

resource "google_firebase_apple_app" "app" {
  provider = google-beta

  display_name = "Pinjam"
  api_key_id   = google_apikeys_key.apps.uid
  bundle_id    = var.apps.apple_bundle_id
  project      = google_firebase_project.this.project
  team_id      = var.apps.apple_team_id
}

# Accounts have no finer level than the project. The role has the calls that the adapter makes: no lists, no lookups.
resource "google_project_iam_custom_role" "accounts" {
  role_id = "pinjamAccounts"
  title   = "Makes, changes and removes borrowers' accounts"
  permissions = [
    "firebaseauth.users.create",
    "firebaseauth.users.delete",
    "firebaseauth.users.update",
  ]
}

resource "google_project_iam_member" "accounts" {
  for_each = local.using["accounts"]

  project = var.project
  member  = local.members[each.key]
  role    = google_project_iam_custom_role.accounts.id
}

# Push messages have no finer level than the project, either. Google's role for them also reads statistics.
resource "google_project_iam_custom_role" "push" {
  role_id     = "pinjamPush"
  title       = "Sends push messages"
  permissions = ["cloudmessaging.messages.create"]
}

resource "google_project_iam_member" "push" {
  for_each = local.using["messengers"]

  project = var.project
  member  = local.members[each.key]
  role    = google_project_iam_custom_role.push.id
}

# Signs the custom tokens of those who log in by passkey. It may do nothing itself, so that a token that it signs for
# anything else is good for nothing.
resource "google_service_account" "signer" {
  account_id   = "token-signer"
  display_name = "Signs custom tokens"
  depends_on   = [google_project_service.needed]
}

# Google's role for it, token creator, also signs anything else and gives out access tokens.
resource "google_project_iam_custom_role" "signing" {
  role_id     = "pinjamSigning"
  title       = "Has a service account sign JSON Web Tokens"
  permissions = ["iam.serviceAccounts.signJwt"]
}

resource "google_service_account_iam_member" "signing" {
  for_each = local.using["passkey_login"]

  service_account_id = google_service_account.signer.name
  member             = local.members[each.key]
  role               = google_project_iam_custom_role.signing.id
}
