output "api_url" {
  description = "The API, for the apps."
  value       = local.public_url
}

output "database_connection" {
  description = "The Cloud SQL instance, as its own tools name it; null where Firestore is the store."
  value       = var.store == "postgres" ? google_sql_database_instance.main[0].connection_name : null
}

output "documents_bucket" {
  description = "Where documents are."
  value       = google_storage_bucket.documents.name
}

# The key is in every copy of the app: there is nothing to hide, and Google's own configuration files show it.
output "firebase" {
  description = "What a mobile developer needs of Firebase. Each app's own file: docs/deploy.md."
  value = {
    android_app_id = google_firebase_android_app.app.app_id
    api_key        = nonsensitive(google_apikeys_key.apps.key_string)
    apple_app_id   = google_firebase_apple_app.app.app_id
    auth_domain    = "${var.project}.firebaseapp.com"
    project        = var.project
    sender_id      = data.google_project.this.number
  }
}

output "function_urls" {
  description = "Where each function is. Only the gateway, Pub/Sub, Cloud Tasks and the scheduler may call them."
  value       = { for name in keys(google_cloudfunctions2_function.function) : name => "${local.functions_url}/${name}" }
}

output "image" {
  description = "What the migrations and the staff's commands run."
  value       = local.image
}

output "passkeys" {
  description = "The domain that passkeys belong to."
  value       = local.host
}

output "secrets" {
  description = "The secrets that need a value before functions can start, and what they are."
  value       = { for variable, what in local.secrets : variable => what if !contains(keys(local.generated_secrets), variable) }
}

output "service_accounts" {
  description = "Whom each function, and the staff's machine, runs as."
  value       = { for name, account in local.accounts : name => account.email }
}
