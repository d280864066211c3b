# The environment that lends. All names and addresses here are made up: put in your own.

alert_email = "alerts@example.com"
apps = {
  android_package      = "com.example.pinjam"
  android_fingerprints = ["AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA"]
  android_key_hashes   = ["qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo"]
  apple_team_id        = "EXAMPLE123"
  apple_bundle_id      = "com.example.pinjam"
}
billing_account = "000000-000000-000000"
budget_monthly  = 50000000
cors_origins    = []
database = {
  tier              = "db-custom-4-15360"
  disk_gb           = 100
  high_availability = true
  login             = "iam"
  connections       = 4
}
domain           = "api.pinjam.example.com"
environment      = "prod"
gateway          = "api_gateway"
gateway_region   = "asia-northeast1"
operations_email = "operations@example.com"
project          = "pinjam-prod-example"
providers_at = {
  ekyc_url                 = "https://ekyc.example.com"
  ekyc_app_id              = "example-app"
  fcm_url                  = "https://fcm.googleapis.com"
  iris_url                 = "https://app.midtrans.com"
  midtrans_url             = "https://api.midtrans.com"
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
redis          = true
region         = "asia-southeast2"
staff          = ["group:credit@example.com", "group:on-call@example.com"]
store          = "postgres"
trusted_hops   = 2
warm_instances = 1
