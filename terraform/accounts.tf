# One account for each function, and what each may do, by what it uses: system.json names the parts of each.

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = each.value.account
  display_name = "Function ${each.key}"
  depends_on   = [google_project_service.needed]
}

locals {
  members = { for name, account in google_service_account.function : name => "serviceAccount:${account.email}" }

  # The functions that use a part.
  using = {
    for part in distinct(flatten([for function in values(local.functions) : function.parts])) :
    part => toset([for name, function in local.functions : name if contains(function.parts, part)])
  }
}
