# One account for each function, and what each may do, by what it uses: system.json names the parts of each.

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = each.value.account
  display_name = "Function ${each.key}"
  depends_on   = [google_project_service.needed]
}

locals {
  # Whoever runs our code: the functions, and the staff's machine, which runs the staff's commands (staff.tf).
  runners = merge(local.functions, { staff = local.staff })

  accounts = merge(google_service_account.function, { staff = google_service_account.staff })
  members  = { for name, account in local.accounts : name => "serviceAccount:${account.email}" }

  # The runners that use a part.
  using = {
    for part in distinct(flatten([for runner in values(local.runners) : runner.parts])) :
    part => toset([for name, runner in local.runners : name if contains(runner.parts, part)])
  }
}
