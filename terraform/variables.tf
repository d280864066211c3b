variable "alert_email" {
  description = "Where alerts are sent."
  type        = string
}

variable "apps" {
  description = "The mobile apps, as passkeys and the app stores know them."
  type = object({
    android_package      = string
    android_fingerprints = list(string)
    android_key_hashes   = list(string)
    apple_team_id        = string
    apple_bundle_id      = string
  })
}

variable "budget_monthly" {
  description = "What a month may cost before somebody hears of it, in whole units of the billing account's currency."
  type        = number
}

variable "billing_account" {
  description = "The billing account that the budget is on."
  type        = string
}

variable "cors_origins" {
  description = "Web origins that may call the API."
  type        = list(string)
  default     = []
}

variable "database" {
  description = "Cloud SQL, where it is the store: its size, and how the functions log in (iam or password)."
  type = object({
    tier              = optional(string, "db-custom-1-3840")
    disk_gb           = optional(number, 20)
    high_availability = optional(bool, false)
    login             = optional(string, "iam")
    connections       = optional(number, 4)
  })
  default = {}

  validation {
    condition     = contains(["iam", "password"], var.database.login)
    error_message = "database.login must be iam or password."
  }
}

variable "domain" {
  description = "The host under which the API is reached, and for which passkeys are made; null for the gateway's own."
  type        = string
  default     = null
}

variable "environment" {
  description = "Which of the environments this is."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "environment must be dev or prod."
  }
}

variable "gateway" {
  description = "What the apps talk to: Google's API Gateway, which has no region near Jakarta, or ESPv2 on Cloud Run."
  type        = string
  default     = "api_gateway"

  validation {
    condition     = contains(["api_gateway", "espv2"], var.gateway)
    error_message = "gateway must be api_gateway or espv2."
  }
}

variable "gateway_region" {
  description = "Where API Gateway runs: of its regions, Tokyo is the nearest to Jakarta."
  type        = string
  default     = "asia-northeast1"
}

variable "operations_email" {
  description = "Where those who run the lender hear of what needs a person."
  type        = string
}

variable "project" {
  description = "The Google Cloud project."
  type        = string
}

variable "providers_at" {
  description = "Where the outside providers are, and what of them is no secret."
  type = object({
    ekyc_url                 = string
    ekyc_app_id              = string
    fcm_url                  = optional(string, "https://fcm.googleapis.com")
    iris_url                 = string
    midtrans_url             = string
    sms                      = string
    smtp_host                = string
    smtp_port                = optional(number, 587)
    smtp_sender              = string
    smtp_user                = string
    twilio_account_sid       = optional(string)
    twilio_sender            = optional(string)
    twilio_url               = optional(string, "https://api.twilio.com")
    whatsapp_phone_number_id = string
    whatsapp_url             = string
    zenziva_url              = optional(string)
    zenziva_userkey          = optional(string)
  })

  validation {
    condition     = contains(["zenziva", "twilio"], var.providers_at.sms)
    error_message = "providers_at.sms must be zenziva or twilio."
  }

  validation {
    condition = alltrue([
      for name, value in var.providers_at : value != null
      if startswith(name, "${var.providers_at.sms}_")
    ])
    error_message = "providers_at must have all that begins with the name of the SMS provider."
  }
}

variable "redis" {
  description = "Whether instances share their rate limits in Memorystore; without it each instance counts for itself."
  type        = bool
  default     = false
}

variable "region" {
  description = "Where everything is that has a region: Jakarta, as the rules on electronic systems ask."
  type        = string
  default     = "asia-southeast2"
}

variable "staff" {
  description = "Who may open the staff's pages and run the staff's commands, such as group:credit@example.com."
  type        = list(string)
}

variable "store" {
  description = "Where records are kept."
  type        = string
  default     = "postgres"

  validation {
    condition     = contains(["postgres", "firestore"], var.store)
    error_message = "store must be postgres or firestore."
  }
}

variable "trusted_hops" {
  description = "How many addresses the gateway and Google's front end append to X-Forwarded-For. Measure it once."
  type        = number
}

variable "warm_instances" {
  description = "How many instances of each function on the borrower's way are always there."
  type        = number
  default     = 0
}
