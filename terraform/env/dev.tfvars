# A small environment to try things in. All names and addresses here are made up: put in your own.

alert_email = "alerts@example.com"
apps = {
  android_package      = "com.example.pinjam.dev"
  android_fingerprints = ["AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA"]
  android_key_hashes   = ["qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo"]
  apple_team_id        = "EXAMPLE123"
  apple_bundle_id      = "com.example.pinjam.dev"
}
billing_account = "000000-000000-000000"
budget_monthly  = 2000000
cors_origins    = ["http://localhost:5173"]
database = {
  tier              = "db-custom-1-3840"
  disk_gb           = 20
  high_availability = false
  login             = "iam"
  connections       = 4
}
domain           = null
environment      = "dev"
gateway          = "api_gateway"
gateway_region   = "asia-northeast1"
operations_email = "operations@example.com"
project          = "pinjam-dev-example"
providers_at = {
  ekyc_url                 = "https://ekyc.example.com"
  ekyc_app_id              = "example-app"
  fcm_url                  = "https://fcm.googleapis.com"
  iris_url                 = "https://app.sandbox.midtrans.com"
  midtrans_url             = "https://api.sandbox.midtrans.com"
  sms                      = "zenziva"
  smtp_host                = "smtp.example.com"
  smtp_port                = 587
  smtp_sender              = "Pinjam <halo@example.com>"
  smtp_user                = "example-user"
  twilio_account_sid       = null
  twilio_sender            = null
  twilio_url               = "https://api.twilio.com"
  whatsapp_phone_number_id = "000000000000000"
  whatsapp_url             = "https://graph.facebook.com"
  zenziva_url              = "https://console.zenziva.net/reguler/api/sendsms/"
  zenziva_userkey          = "example-user"
}
redis          = false
region         = "asia-southeast2"
staff          = ["group:credit@example.com"]
store          = "postgres"
trusted_hops   = 2
warm_instances = 0
