# Everything that is done with this repository has a name here: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := buildah busybox-static ca-certificates conntrack containernetworking-plugins docker-registry iproute2 ipset iptables mmdebstrap python3-venv redis-server runc
KINDS := scanplans scanschedules scanexceptions scannotifiers
CLUSTER ?= dev
PYTEST_ARGS ?=
LANES ?=
ONLY ?=
SOAK_SECONDS ?=
AUDIT_ARGS ?=
REGISTRY ?=
PLATFORMS ?=
PUSH_ARGS ?=
TEMPLATES_RELEASE ?=
TEMPLATES_FROM ?=

##@ See it work
.PHONY: demo demo-down
demo: install ## From nothing to a table of findings: cluster, images, operator, a vulnerable app, a scan
	$(BIN)/python -m tests.demo up
demo-down: install ## Remove all that the demo made
	$(BIN)/python -m tests.demo down

##@ Test
.PHONY: test test-faults test-faults-full soak test-unit test-integration test-e2e test-chart test-ecosystem lint audit
test: install ## Lint and all tests, in lanes side by side; LANES="local chart" runs some
	$(BIN)/python -m tests.suite $(LANES) -- $(PYTEST_ARGS)
test-faults: install ## The fault matrix, short form: a table, and build/faults.json
	$(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)
test-faults-full: install ## All of it: every write, longer quiet, the long soak
	FAULTS=full $(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)
soak: install ## Only the random soak (row 19): 200 plans, 10 minutes; SOAK_SEED=… replays
	FAULTS=full $(BIN)/python -m pytest tests/faults/test_matrix.py -k "test_row and 19" $(PYTEST_ARGS)
test-unit: install ## Every test without a server, cluster or scan: three minutes
	$(BIN)/python -m pytest tests/unit $(PYTEST_ARGS)
test-integration: install ## The operator against a real API server
	$(BIN)/python -m pytest tests/integration $(PYTEST_ARGS)
test-e2e: install ## Real pods on a real node
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)
test-chart: install ## The chart: values, suites, checkers, and installations on a real cluster
	$(BIN)/python -m pytest tests/chart $(PYTEST_ARGS)
test-ecosystem: install .venv/ecosystem .venv/axe/installed ## What others' programs make of ours: Chromium, Prometheus, Grafana, Argo CD, Flux, Kueue, DefectDojo (DEFECTDOJO_SRC), krew
	@command -v chromium >/dev/null || { echo "Installing chromium"; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }
	$(BIN)/python -m tests.ecosystem.programs
	$(BIN)/python -m pytest -m ecosystem $(PYTEST_ARGS)
lint: install ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
audit: install ## Known vulnerabilities in locked packages; skipped aloud without a network; AUDIT_ARGS="image.tar --database FOLDER"
	$(BIN)/python -m tests.audit $(AUDIT_ARGS)

##@ Measure
.PHONY: bench bench-soak
bench: install ## The operator's figures beside their targets: a table, and build/bench.json; ONLY=name takes one
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))
bench-soak: install ## An hour of churn, in which the operator's memory has to stay flat; SOAK_SECONDS=300 is a shorter one
	$(BIN)/python -m tests.bench.soak $(if $(SOAK_SECONDS),--seconds $(SOAK_SECONDS))

##@ Build
.PHONY: images push crds chart docs pictures format lock
images: install ## Build the images as OCI archives in build/images; TEMPLATES_RELEASE= and TEMPLATES_SHA256= of the community's templates
	$(BIN)/python -m tests.images build operator scanner worker $(if $(TEMPLATES_RELEASE)$(TEMPLATES_FROM),templates)
push: install ## Push the images to REGISTRY=host/path, for PLATFORMS; print their digests, and write them into build/values.yaml
	@test -n "$(REGISTRY)" || { echo "say where to: make push REGISTRY=registry.example.com/scanplan" >&2; exit 64; }
	$(BIN)/python -m tests.images push $(REGISTRY) $(if $(PLATFORMS),--platforms $(PLATFORMS)) $(PUSH_ARGS)
crds: install ## Generate crds/, docs/reference.md and the chart's generated files
	@for kind in $(KINDS); do $(BIN)/scanplan crd $$kind > crds/$$kind.scanplan.dev.yaml; done
	$(BIN)/scanplan reference > docs/reference.md
	$(BIN)/python -m tests.chart.documents
chart: crds ## The same: CRD, rights, README of the chart, docs/configuration.md
docs: .venv-docs/installed ## Build the documentation as a site in build/site, and look for dead links and requests to elsewhere
	.venv-docs/bin/mkdocs build --quiet --strict --clean
	$(PYTHON) -m tests.docs.built build/site
pictures: install ## Pictures of the findings view in docs/images, by Chromium, of made-up results
	@command -v chromium >/dev/null || { echo "Installing chromium"; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }
	$(BIN)/python -m tests.pictures
format: install ## Format the code
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
lock: install ## Resolve the dependencies anew into requirements/
	for set in "operator --extra operator" "worker --extra redis" "dev --extra operator --extra redis --group dev"; do \
	  read -r name options <<< "$$set"; \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	    --custom-compile-command "make lock" pyproject.toml $$options --output-file requirements/$$name.txt; \
	done
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" --group runner --output-file requirements/runner.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" --group docs --output-file requirements/docs.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" --constraint requirements/dev.txt --group ecosystem --output-file requirements/ecosystem.txt

##@ A cluster to play with
.PHONY: cluster-up cluster-down cluster-build
cluster-up: install ## Start a cluster (CLUSTER=dev), or take the one that runs
	$(BIN)/python -m tests.cluster up --name $(CLUSTER) --reuse
cluster-down: install ## End it
	$(BIN)/python -m tests.cluster down --name $(CLUSTER)
cluster-build: install ## Build the cluster's own programs (once; minutes, then cached)
	$(BIN)/python -m tests.cluster build

##@ Set up
.PHONY: install system clean help
install: system .venv/installed ## System packages, and the virtual environment from the lock file
system:
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  command -v apt-get >/dev/null || { echo "please install:$$missing" >&2; exit 69; }; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "Installing system packages:$$missing"; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
.venv/installed: requirements/dev.txt pyproject.toml
	@echo "Installing Python packages into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
.venv/ecosystem: requirements/ecosystem.txt .venv/installed
	@echo "Installing others' readers into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/ecosystem.txt
	@touch $@
.venv/axe/installed: tests/ecosystem/axe/package-lock.json .venv/installed
	@echo "Installing the checker of accessibility into .venv"
	@mkdir -p $(@D) && cp tests/ecosystem/axe/*.json $(@D)
	@if command -v npm >/dev/null; then npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent; \
	  else echo "there is no npm: accessibility won't be checked"; fi
	@touch $@
.venv-docs/installed: requirements/docs.txt
	@echo "Installing the generator of the documentation into .venv-docs"
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/docs.txt
	@touch $@
clean: ## Remove what was built here (caches outside the checkout stay)
	rm -rf .venv .venv-docs build dist .pytest_cache .ruff_cache .hypothesis
help: ## Show this
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
