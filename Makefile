# Two commands do everything: `make run` and `make test`. What they need is installed into .venv first,
# from requirements.lock. PYTHON=... chooses another Python (3.11 or newer).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
INSTALLED := .venv/installed
CODE := lib functions tests bench

# Compiled code is kept beside what is installed, and out of the tree. An environment that forbids Python to
# keep any would have every process of a test compile all it imports anew, which takes longer than the tests.
export PYTHONDONTWRITEBYTECODE =
export PYTHONPYCACHEPREFIX = $(CURDIR)/.venv/pycache

# PROFILE=emulators: the same on emulators of Google's services.
ifdef PROFILE
export PINJAM_PROFILE = $(PROFILE)
endif

.DEFAULT_GOAL := help
.PHONY: help run demo test soak bench fuzz check format ledger audit keys review undelivered documents plans checkov golden package deploy-check lock clean

help: ## Show what can be done here
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: $(INSTALLED) ## Run the whole system on this machine (PORT=8080, PINJAM_STATE=.local, PROFILE=emulators)
	@exec $(BIN)/python -m pinjam.local

demo: $(INSTALLED) ## Walk the road from sign-up to a repayment (starts a system if none runs)
	@exec $(BIN)/python -m pinjam.local.demo

test: $(INSTALLED) ## Run all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

soak: $(INSTALLED) ## Send 1,000 notifications while 30 % of all calls to providers fail
	@PINJAM_SOAK=1000 $(BIN)/python -m pytest -q tests/services/test_many_messages.py

FUZZ ?= 200
SEED ?= $(shell date +%s)

bench: $(INSTALLED) ## Measure cold starts, latency, throughput, scale (ARGS="cold pure"; all takes 9 to 10 minutes)
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(INSTALLED) ## Call every operation with anything in it (FUZZ=200 times, SEED=... as before, ARGS="-k pay")
	@echo "SEED=$(SEED)"
	@PINJAM_FUZZ=$(FUZZ) $(BIN)/python -m pytest -v -s --timeout=0 --hypothesis-seed=$(SEED) tests/journeys/test_contract.py $(ARGS)

check: $(INSTALLED) ## Lint, types, layers, lock
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@cp requirements.lock .venv/requirements.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_OPTIONS) -q -o .venv/requirements.lock
	@cmp -s .venv/requirements.lock requirements.lock \
		|| { echo "requirements.lock lacks what pyproject.toml asks for: run make lock"; exit 1; }

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

ledger: $(INSTALLED) ## Print the trial balance of the running local system
	@$(BIN)/python -m pinjam.ledger

audit: $(INSTALLED) ## Check the audit log of the running local system
	@$(BIN)/python -m pinjam.audit

undelivered: $(INSTALLED) ## List messages that were given up (ARGS="again ID --by NAME")
	@$(BIN)/python -m pinjam.undelivered $(ARGS)

review: $(INSTALLED) ## What waits for a person in the running local system (ARGS="show ID")
	@$(BIN)/python -m pinjam.review $(or $(ARGS),list)

keys: $(INSTALLED) ## Count the borrowers' keys of the running local system under each wrapping key
	@$(BIN)/python -m pinjam.keys

documents: $(INSTALLED) ## Write the OpenAPI documents, and what Terraform must know, from the code
	$(BIN)/python -m pinjam.local.documents

package: $(INSTALLED) ## Pack each function for the deployment (.build/packages)
	@$(BIN)/python -m pinjam.local.packages

# A tool that plans without a network or an account. Without it Terraform fetches the providers.
TERRAFORM_OFFLINE ?= ../shared/tools/terraform-offline/check

deploy-check: ## Check terraform/: its form, and a plan of each environment where TERRAFORM_OFFLINE is there
	@if test -x "$(TERRAFORM_OFFLINE)"; then \
		for environment in dev prod; do \
			"$(TERRAFORM_OFFLINE)" terraform -- -var-file=env/$$environment.tfvars || exit 1; \
		done; \
	else \
		terraform fmt -check -recursive -diff terraform \
			&& terraform -chdir=terraform init -backend=false -input=false \
			&& terraform -chdir=terraform validate; \
	fi

plans: $(INSTALLED) ## Hold all eight deployments that there can be to the rules (needs terraform)
	@PINJAM_PLANS=all $(BIN)/python -m pytest -q -n 2 --dist worksteal --timeout=900 tests/deployment $(ARGS)

CHECKOV := checkov==3.3.30

checkov: $(INSTALLED) ## Look for known weaknesses in terraform/ (checkov, in an environment of its own)
	@$(BIN)/uvx --quiet --from $(CHECKOV) checkov -d terraform --framework terraform --compact --quiet --skip-download

golden: $(INSTALLED) ## Write the tables of prices in tests/golden from the policies
	$(BIN)/python -m pinjam.local.golden

LOCK_OPTIONS := --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(INSTALLED) ## Resolve the dependencies again
	$(BIN)/uv pip compile pyproject.toml $(LOCK_OPTIONS) -q --upgrade -o requirements.lock

clean: ## Remove what was installed, and the local system's data
	rm -rf .venv .local .local-emulators tools/firebase/node_modules

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on the PATH."; exit 1; }
	@echo "Installing into .venv (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian install python3-venv."; rm -rf .venv; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		"$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
