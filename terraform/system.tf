# What the code says of itself: `make documents` writes system.json, `make package` the packages.

locals {
  system = jsondecode(file("${path.module}/system.json"))

  packages_folder = "${path.module}/../.build/packages"
  packages        = try(jsondecode(file("${local.packages_folder}/packages.json")), { runtime = "python311", sha256 = {} })

  production = var.environment == "prod"

  labels = {
    app         = "pinjam"
    environment = var.environment
  }

  # Memory in MiB, seconds, requests at a time in one instance, and the most instances. What is not named here is usual.
  usual = { memory = 512, timeout_s = 15, concurrency = 8, instances = 20 }
  sizes = {
    decide_loan     = { timeout_s = 60, concurrency = 4 }
    disburse        = { timeout_s = 60, concurrency = 4, instances = 5 }
    loans           = { instances = 40 }
    login           = { instances = 40 }
    notify          = { timeout_s = 120, concurrency = 4 }
    sweep           = { timeout_s = 540, concurrency = 1, instances = 2 }
    upload_doc      = { memory = 1024, concurrency = 4, instances = 40 }
    verify_identity = { memory = 1024, timeout_s = 120, concurrency = 2 }
  }

  functions = {
    for name, found in local.system.functions : name => merge(local.usual, lookup(local.sizes, name, {}), found, {
      account = "fn-${replace(name, "_", "-")}"
    })
  }

  public_functions = { for name, function in local.functions : name => function if function.caller == "gateway" }
  called_by_events = { for name, function in local.functions : name => function if function.caller == "events" }

  # Every function has this address beside that of its service.
  functions_url = "https://${var.region}-${var.project}.cloudfunctions.net"
}

check "packages" {
  assert {
    condition     = length(setsubtract(keys(local.functions), keys(local.packages.sha256))) == 0
    error_message = "Some functions have no package: run make package before terraform apply."
  }
}
