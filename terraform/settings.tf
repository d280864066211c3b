# The value of every setting that is no secret. A function gets those that its code reads: system.json names them.

locals {
  database_name = "pinjam"
  database_user = "pinjam" # Where the login is by password: with IAM each function is a user of its own.

  # TLS is required. The server's certificate is signed by a CA of the instance's own, and its address is private.
  database_at = var.store == "postgres" ? join("", [
    google_sql_database_instance.main[0].private_ip_address, ":5432/", local.database_name, "?sslmode=require",
  ]) : null

  # Passkeys belong to the host that the API is reached under.
  host = trimprefix(local.public_url, "https://")

  common_settings = {
    PINJAM_ANDROID_FINGERPRINTS     = join(",", var.apps.android_fingerprints)
    PINJAM_ANDROID_PACKAGE          = var.apps.android_package
    PINJAM_APPLE_BUNDLE_ID          = var.apps.apple_bundle_id
    PINJAM_APPLE_TEAM_ID            = var.apps.apple_team_id
    PINJAM_BUCKET                   = google_storage_bucket.documents.name
    PINJAM_CACHE                    = var.redis ? "redis" : "memory"
    PINJAM_EKYC_APP_ID              = var.providers_at.ekyc_app_id
    PINJAM_EKYC_URL                 = var.providers_at.ekyc_url
    PINJAM_FCM_URL                  = var.providers_at.fcm_url
    PINJAM_FUNCTIONS_URL            = local.functions_url
    PINJAM_IAM_URL                  = "https://iamcredentials.googleapis.com"
    PINJAM_IDENTITY_API_KEY         = google_apikeys_key.functions.key_string
    PINJAM_IDENTITY_URL             = "https://identitytoolkit.googleapis.com"
    PINJAM_IRIS_URL                 = var.providers_at.iris_url
    PINJAM_JWKS_URL                 = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
    PINJAM_KEYS                     = "kms"
    PINJAM_KMS_KEY                  = google_kms_crypto_key.borrowers.id
    PINJAM_LIMITS                   = "strict"
    PINJAM_MIDTRANS_URL             = var.providers_at.midtrans_url
    PINJAM_OBJECTS                  = "gcs"
    PINJAM_OPERATIONS_EMAIL         = var.operations_email
    PINJAM_PROFILE                  = "gcp"
    PINJAM_PROJECT                  = var.project
    PINJAM_PUBLIC_URL               = local.public_url
    PINJAM_PUBSUB_URL               = "https://pubsub.googleapis.com"
    PINJAM_SIGNING_ACCOUNT          = google_service_account.signer.email
    PINJAM_SMS_PROVIDER             = var.providers_at.sms
    PINJAM_SMTP_HOST                = var.providers_at.smtp_host
    PINJAM_SMTP_PORT                = tostring(var.providers_at.smtp_port)
    PINJAM_SMTP_SENDER              = var.providers_at.smtp_sender
    PINJAM_SMTP_STARTTLS            = "true"
    PINJAM_SMTP_USER                = var.providers_at.smtp_user
    PINJAM_STORE                    = var.store
    PINJAM_TASKS_ACCOUNT            = google_service_account.tasks.email
    PINJAM_TASKS_LOCATION           = var.region
    PINJAM_TASKS_URL                = "https://cloudtasks.googleapis.com"
    PINJAM_TOKEN_URL                = "https://securetoken.googleapis.com"
    PINJAM_TRUSTED_HOPS             = tostring(var.trusted_hops)
    PINJAM_WEBAUTHN_ORIGINS         = join(",", concat(["https://${local.host}"], [for hash in var.apps.android_key_hashes : "android:apk-key-hash:${hash}"]))
    PINJAM_WEBAUTHN_RP_ID           = local.host
    PINJAM_WHATSAPP_PHONE_NUMBER_ID = var.providers_at.whatsapp_phone_number_id
    PINJAM_WHATSAPP_URL             = var.providers_at.whatsapp_url
  }

  # What only some choices have. Each is its own map, so that a choice that was not made needs no value.
  chosen_settings = merge(
    length(var.cors_origins) > 0 ? { PINJAM_CORS_ORIGINS = join(",", var.cors_origins) } : {},
    var.store == "firestore" ? { PINJAM_FIRESTORE_DATABASE = google_firestore_database.main[0].name } : {},
    var.store == "postgres" ? {
      PINJAM_DATABASE_AUTH = var.database.login
      PINJAM_DATABASE_POOL = tostring(var.database.connections)
    } : {},
    var.providers_at.sms == "twilio" ? {
      PINJAM_TWILIO_ACCOUNT_SID = var.providers_at.twilio_account_sid
      PINJAM_TWILIO_SENDER      = var.providers_at.twilio_sender
      PINJAM_TWILIO_URL         = var.providers_at.twilio_url
    } : {},
    var.providers_at.sms == "zenziva" ? {
      PINJAM_ZENZIVA_URL     = var.providers_at.zenziva_url
      PINJAM_ZENZIVA_USERKEY = var.providers_at.zenziva_userkey
    } : {},
  )

  # Of the functions, and of the staff's commands. With an IAM login each is a user of the database, named as Cloud SQL
  # names service accounts: without the end of the address.
  settings = {
    for name, account in local.accounts : name => merge(
      local.common_settings,
      local.chosen_settings,
      var.store == "postgres" && var.database.login == "iam" ? {
        PINJAM_DATABASE_URL = "postgresql://${urlencode(trimsuffix(account.email, ".gserviceaccount.com"))}@${local.database_at}"
      } : {},
    )
  }

  # What is set nowhere, and why. Whatever is neither here, nor a setting, nor a secret stops the plan (functions.tf).
  unset_variables = concat(
    # The gcp profile refuses these, or asks Google in their place.
    ["PINJAM_CLOCK_FILE", "PINJAM_FCM_TOKEN", "PINJAM_IDENTITY_ADMIN_TOKEN", "PINJAM_KEY_FILE", "PINJAM_OBJECTS_PATH"],
    # Documents are in Cloud Storage.
    ["PINJAM_S3_ACCESS_KEY", "PINJAM_S3_REGION", "PINJAM_S3_SECRET_KEY", "PINJAM_S3_URL"],
    # The choices that were not made.
    length(var.cors_origins) > 0 ? [] : ["PINJAM_CORS_ORIGINS"],
    var.providers_at.sms == "twilio" ? ["PINJAM_ZENZIVA_PASSKEY", "PINJAM_ZENZIVA_URL", "PINJAM_ZENZIVA_USERKEY"] : [],
    var.providers_at.sms == "zenziva" ? [
      "PINJAM_TWILIO_ACCOUNT_SID", "PINJAM_TWILIO_AUTH_TOKEN", "PINJAM_TWILIO_SENDER", "PINJAM_TWILIO_URL",
    ] : [],
    var.redis ? [] : ["PINJAM_REDIS_URL"],
    var.store == "firestore" ? ["PINJAM_DATABASE_AUTH", "PINJAM_DATABASE_POOL", "PINJAM_DATABASE_URL"] : [],
    var.store == "postgres" ? ["PINJAM_FIRESTORE_DATABASE"] : [],
  )

  forgotten_variables = {
    for name, runner in local.runners : name => setsubtract(
      runner.variables, concat(keys(local.settings[name]), keys(local.secrets), local.unset_variables)
    )
  }
}
