# The only entry point: everything that CI runs is a target here. `make help` lists them.
# It uses nothing that is newer than GNU Make 3.81, the one of macOS; tests/infra/test_makefiles.py checks that.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# checkov has its own environment: it needs other releases of packages that the rest uses.
GUARD := .guard
# The SAM CLI too. `path` has only its command, so that the environment's python3.13 is not the one of `sam build`.
SAM := .sam
# What `make bench` compares the download path with.
PEERS := .peers
PORT ?= 8080
SAM_PORT ?= 3000
RUNS ?= 5
SEED ?= 1
AT_ONCE ?= 1
CASES ?= 10000
ARCHITECTURE ?= arm64
# What checks the API's description and collection, and what the console is made of, is on npm.
NODE := tools/node/node_modules
# All tests run in four processes: more than a third of their time is waiting. T names the tests of a run in one process.
PYTEST = $(BIN)/python -m pytest $(if $(T),-n 0 $(T),-n 4 --dist loadgroup)
# Where a stage is deployed or deleted.
WHERE_TO_DEPLOY = $(if $(URL),--url "$(URL)") $(if $(filter no,$(CONFIRM)),--yes)
# The stage whose API keys a command manages.
WHERE = $(if $(STACK),--stack "$(STACK)") $(if $(URL),--url "$(URL)")
export PYTHONPATH := $(CURDIR):$(CURDIR)/layers/common:$(CURDIR)/cli/src

.DEFAULT_GOAL := help
.PHONY: help setup demo serve node browser sam-cli sam-local validate build test-sam-local test-sam-cli test test-unit test-stack faults fuzz bench check guard audit fmt lock lock-check openapi postman key keys revoke-key smoke addresses clean pulse deploy delete vendor peers test-browser screenshots

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.installed  ## Create the virtual environment from the lock

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Retail Pulse needs Python 3.11 or newer; PYTHON=... selects another one"; exit 1; }
	@echo "Installing the locked dependencies into $(VENV) (once, about a minute)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

demo: setup  ## Run jobs of real image files through the whole embedded stack
	@$(BIN)/python -m local.demo

serve: setup  ## Run the embedded stack on http://127.0.0.1:8080 [PORT=...] [STATE_DIR=...]
	@$(BIN)/python -m local.stack.serve --port $(PORT) $(if $(STATE_DIR),--state-dir "$(STATE_DIR)")

pulse: setup  ## Run the command line from the checkout: ARGS="submit visits.csv --wait" [URL and key: docs/cli.md]
	@$(BIN)/python -m pulse $(ARGS)

sam-cli: $(SAM)/.installed  ## Install the locked SAM CLI; its command is then .sam/path/sam

$(SAM)/.installed: requirements-sam.lock
	@echo "Installing the SAM CLI into $(SAM) (once, about a minute)"
	@rm -rf $(SAM)
	@$(PYTHON) -m venv $(SAM)
	@$(SAM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-sam.lock
	@mkdir $(SAM)/path && ln -s ../bin/sam $(SAM)/path/sam
	@touch $@

node: $(NODE)/.installed  ## Install the locked npm packages; where that fails, say what is skipped

WITHOUT_NODE := the tests that need npm packages are skipped
$(NODE)/.installed: tools/node/package-lock.json
	@if ! command -v npm >/dev/null; then echo "npm is not installed: $(WITHOUT_NODE)"; \
	elif echo "Installing the locked npm packages into $(NODE) (once, about a minute)" && npm --prefix tools/node ci --silent; then touch $@; \
	else rm -rf $(NODE); echo "npm cannot install the locked packages here: $(WITHOUT_NODE)"; fi

browser: $(VENV)/.browser  ## Install what test-browser needs, but for the browser itself

$(VENV)/.browser: $(VENV)/.installed requirements-browser.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-browser.lock
	@touch $@

peers: $(PEERS)/.installed  ## Install the clients that `make bench` measures next to ours; if it fails, say that they are skipped

# By the interpreter of the other environment: CPU times of two interpreters do not compare.
$(PEERS)/.installed: requirements-peers.lock | setup
	@echo "Installing the clients to compare with into $(PEERS) (once, about a minute)"
	@rm -rf $(PEERS)
	@$(BIN)/python -m venv $(PEERS)
	@if $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-peers.lock; \
	then touch $@; \
	else rm -rf $(PEERS); echo "These clients cannot be installed here: \`make bench\` skips the section peers"; fi

sam-local: setup  ## Serve the built functions with `sam local start-api`, in Docker [SAM_PORT=3000]
	@$(BIN)/python -m local.sam --port $(SAM_PORT)

# Parameter values are checked by tests/infra.
validate: setup  ## Validate and lint the template with the SAM CLI, for each stage of samconfig.toml
	for stage in default dev prod; do sam validate --lint --config-env $$stage || exit 1; done

# `make deploy` takes the architecture from the build, so this is the only place that decides it.
build: setup  ## Run `sam build` and check the result [ARCHITECTURE=arm64]; needs python3.13
	sam build --parameter-overrides "Architecture=$(ARCHITECTURE)"
	$(BIN)/python -m tools.artefacts .aws-sam/build $(ARCHITECTURE)

deploy: setup  ## Deploy the build: STAGE=dev [SET="Name=Value ..."] [CONFIRM=no] [URL=...]; needs the SAM CLI
	@$(BIN)/python -m tools.deploy deploy "$(STAGE)" $(if $(SET),--set '$(SET)') $(WHERE_TO_DEPLOY)

delete: setup  ## Delete a stage with its table, but for prod: STAGE=dev [CONFIRM=no] [URL=...]; needs the SAM CLI
	@$(BIN)/python -m tools.deploy delete "$(STAGE)" $(WHERE_TO_DEPLOY)

test-sam-local: setup  ## Test the API, queue and schedule on `sam local`; needs Docker, the SAM CLI and python3.13
	$(BIN)/python -m pytest -m sam_local tests/sam

test-sam-cli: setup  ## Test `sam deploy`, and an update over live data, on the embedded stack; needs the SAM CLI
	$(BIN)/python -m pytest -m sam_cli tests/sam

test-browser: browser node  ## Test the console in a browser; needs Chromium [CHROMIUM=/usr/bin/chromium]
	$(BIN)/python -m pytest -m browser $(or $(T),tests/browser)

screenshots: browser  ## Take the pictures of README.md and docs/console.md in a browser; needs Chromium [CHROMIUM=/usr/bin/chromium]
	@$(BIN)/python -m tests.browser.screenshots
	@$(BIN)/python -m tests.browser.demo_picture

test: $(if $(T),setup,node check)  ## Run `make check` and every test that needs no Docker [T=tests/unit/test_jobs.py: only these tests]
	$(PYTEST)
	@$(if $(T),,echo "Skipped here: make test-browser (needs Chromium), make test-sam-local and make test-sam-cli (need the SAM CLI)")

test-unit: setup node  ## Run every test but those of test-stack
	$(PYTEST) --ignore tests/stack --ignore tests/faults

test-stack: setup node  ## Run the tests that start the whole service
	$(PYTEST) tests/stack tests/faults

faults: setup  ## Run jobs with injected faults and print a table [RUNS=5] [SEED=1] [AT_ONCE=1]
	@$(BIN)/python -m tests.faults --runs $(RUNS) --seed $(SEED) --at-once $(AT_ONCE)

fuzz: setup  ## Send random requests to the API and random bytes to the measuring code [CASES=10000] [SEED=1]
	@FUZZ_CASES=$(CASES) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -m fuzz --show-capture=no

bench: setup $(if $(filter-out peers,$(ONLY)),,peers)  ## Measure the performance figures and write them into docs [QUICK=1] [ONLY=cold_start]
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

.PHONY: strangers
strangers: setup  ## Attack the embedded stack as a client that shares it with another one [ONLY=F1] [WRITE=1]
	@$(BIN)/python -m benchmarks.stack.strangers $(if $(ONLY),--only $(ONLY)) $(if $(WRITE),--write)

check: setup  ## Run linters, type checks and template rules, and compare generated files with their sources
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive functions layers/common cli/src local tools
	$(BIN)/cfn-lint --append-rules cfn_lint_serverless.rules
	$(BIN)/python -m tools.openapi --check
	$(BIN)/python -m tools.postman --check
	@if [ -e $(NODE) ]; then $(BIN)/python -m tools.vendor --check; else echo "tools.vendor: skipped, since the npm packages are not installed"; fi

guard: setup $(GUARD)/.installed  ## Check the template with checkov; .checkov.yaml lists the exceptions
	@$(BIN)/python -m tools.guard $(GUARD)/bin/checkov

$(GUARD)/.installed: requirements-guard.lock
	@echo "Installing checkov into $(GUARD) (once, about a minute)"
	@rm -rf $(GUARD)
	@$(PYTHON) -m venv $(GUARD)
	@$(GUARD)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-guard.lock
	@touch $@

audit: setup  ## Check the locked packages for known vulnerabilities [REQUIRE_SERVICE=1: no answer fails]
	@$(BIN)/python -m tools.audit $(if $(REQUIRE_SERVICE),--require-service)

fmt: setup  ## Format the code and apply the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The groups of pyproject.toml that share requirements.lock; `browser`, `guard`, `peers` and `sam` have locks of their own.
LOCKED_GROUPS := functions local dev bench
LOCKS := $(VENV)/locks
# uv keeps the pins and hashes that its output file already has, so new releases and newly uploaded wheels change nothing.
# --system-certs: uv's own certificates do not include those of a company's proxy.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --no-header --no-annotate --generate-hashes \
	--python $(BIN)/python --no-python-downloads --system-certs --output-file $(LOCKS)/$(1)
# Without a version, uv resolves only for the Python that runs it and later ones.
UNIVERSAL := --universal --python-version 3.11
LAYER := --group functions --constraint $(LOCKS)/requirements.lock --only-binary :all: --python-version 3.13
# A file that does not change keeps its time; otherwise `make setup` would install everything again.
define WRITE_LOCK
	@{ echo '# Generated by `make lock`; do not edit.' && cat $(LOCKS)/$(1); } >$(LOCKS)/new
	@if cmp -s $(LOCKS)/new $(2); then echo "$(2): up to date"; else cp $(LOCKS)/new $(2) && echo "$(2): changed"; fi
endef

lock: setup  ## Lock the packages that pyproject.toml names [UPGRADE=1: at their newest releases]
	@rm -rf $(LOCKS) && mkdir $(LOCKS)
	$(if $(UPGRADE),,@cp requirements.lock requirements-browser.lock requirements-guard.lock requirements-peers.lock requirements-sam.lock $(LOCKS))
	@$(call COMPILE,requirements.lock) $(UNIVERSAL) $(LOCKED_GROUPS:%=--group %)
	@$(call COMPILE,requirements-browser.lock) $(UNIVERSAL) --group browser --constraint $(LOCKS)/requirements.lock
	@$(call COMPILE,requirements-guard.lock) $(UNIVERSAL) --group guard
	@$(call COMPILE,requirements-peers.lock) $(UNIVERSAL) --group peers --constraint $(LOCKS)/requirements.lock
	@$(call COMPILE,requirements-sam.lock) $(UNIVERSAL) --group sam
	@cp $(LOCKS)/requirements.lock $(LOCKS)/arm64 && cp $(LOCKS)/requirements.lock $(LOCKS)/x86_64
	@# Lambda runs Amazon Linux 2023, whose glibc accepts every wheel up to manylinux_2_34.
	@$(call COMPILE,arm64) $(LAYER) --python-platform aarch64-manylinux_2_28
	@$(call COMPILE,x86_64) $(LAYER) --python-platform x86_64-manylinux_2_28
	@cmp $(LOCKS)/arm64 $(LOCKS)/x86_64 || { echo "arm64 and x86_64 need different packages"; exit 1; }
	$(call WRITE_LOCK,requirements.lock,requirements.lock)
	$(call WRITE_LOCK,requirements-browser.lock,requirements-browser.lock)
	$(call WRITE_LOCK,requirements-guard.lock,requirements-guard.lock)
	$(call WRITE_LOCK,requirements-peers.lock,requirements-peers.lock)
	$(call WRITE_LOCK,requirements-sam.lock,requirements-sam.lock)
	$(call WRITE_LOCK,arm64,layers/dependencies/requirements.txt)

lock-check: lock  ## Fail if `make lock` changes a file; needs a package index
	@git diff --exit-code -- requirements.lock requirements-browser.lock requirements-guard.lock requirements-peers.lock requirements-sam.lock layers/dependencies/requirements.txt

vendor: setup node  ## Copy the console's libraries from the locked npm packages
	@$(BIN)/python -m tools.vendor

openapi: setup  ## Write docs/openapi.json from docs/openapi.paths.yaml and the models
	$(BIN)/python -m tools.openapi

postman: setup  ## Write the Postman collection from docs/openapi.json and docs/postman/source.yaml
	$(BIN)/python -m tools.postman

key: setup  ## Create an API key and print it once: CLIENT=name [SCOPES=submit,read] [EXPIRES_DAYS=90] [DAILY_IMAGES=1000] [STACK=name|URL=...]
	@$(BIN)/python -m tools.keys create $(if $(CLIENT),--client "$(CLIENT)") $(if $(SCOPES),--scopes "$(SCOPES)") $(if $(EXPIRES_DAYS),--expires-days "$(EXPIRES_DAYS)") $(if $(DAILY_IMAGES),--daily-images "$(DAILY_IMAGES)") $(WHERE)

keys: setup  ## List API keys, without the keys themselves [CLIENT=name] [STACK=name|URL=...]
	@$(BIN)/python -m tools.keys list $(if $(CLIENT),--client "$(CLIENT)") $(WHERE)

revoke-key: setup  ## Revoke an API key: ID=name.0123456789ab [STACK=name|URL=...]
	@$(BIN)/python -m tools.keys revoke $(if $(ID),--id "$(ID)") $(WHERE)

.PHONY: redrive
redrive: setup  ## Show the dead letters of a stage by job and send them back [STACK=name|URL=...] [YES=1: without a question]
	@$(BIN)/python -m tools.redrive $(if $(YES),--yes) $(WHERE)

.PHONY: stores
stores: setup  ## Check a store master before it is deployed [FILE=store_master.csv]
	@$(BIN)/python -m tools.stores $(if $(FILE),"$(FILE)")

smoke: setup  ## Check a deployed stage over HTTP: URL=... KEY=...
	@$(BIN)/python -m tools.smoke "$(URL)" "$(KEY)"

addresses: setup  ## Try every recorded address on the fetcher and write docs/addresses.md
	@$(BIN)/python -m tests.measuring.address_table

clean:  ## Remove the environments, caches and builds
	rm -rf $(VENV) $(GUARD) $(SAM) $(PEERS) $(NODE) .aws-sam .aws-sam-local .mypy_cache .ruff_cache .pytest_cache .hypothesis
