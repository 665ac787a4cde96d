# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo 'modelward: $(PYTHON) is no Python 3.11 or newer; run make PYTHON=python3.11 (or newer)'; exit 1; }

.PHONY: venv-check
venv-check:
	@$(NEW_ENOUGH)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'modelward: $(PYTHON) cannot make virtual environments; run: apt-get install python3-venv'; exit 1; }

# A stamp a lock file: installing again takes no time until a lock or a pyproject.toml changes.
$(VENV)/.%: requirements/%.txt agent/pyproject.toml collector/pyproject.toml appliance/pyproject.toml | venv-check
	@test -x $(BIN)/python || { echo 'Making $(VENV) …'; $(PYTHON) -m venv $(VENV); }
	@echo 'Installing requirements/$*.txt …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e agent -e collector -e appliance
	@touch $@

# The tests' environment has python-ldap, which pip builds; people's machines need neither it nor a compiler.
$(VENV)/.test: | build-packages

.PHONY: build-packages
build-packages:
	@tools/install-servers build-packages

SPEED ?= 1
PORT ?= 8321
PYTEST ?= -q --durations=10
WORKERS ?= $(shell nproc)

.PHONY: demo
demo: $(VENV)/.demo ## a real model on a year of flights, watched: make demo SPEED=1 (days a second) PORT=8321
	@exec $(BIN)/python -m demo --speed $(SPEED) --port $(PORT)

.PHONY: install
install: $(VENV)/.run ## the agent and the collector into .venv, nothing else

.PHONY: check
check: lint types test ## everything that a change must pass

.PHONY: test
test: $(VENV)/.test servers ## every test but test-deploy's; those of a file one after the other, files side by side
	$(BIN)/python -m pytest $(PYTEST) -n $(WORKERS) --dist loadfile agent/tests collector/tests appliance/tests tests --ignore=tests/deploy

.PHONY: servers
servers: $(VENV)/.test ## install the real servers that the tests use, as far as this user may
	@tools/install-servers

.PHONY: lint
lint: $(VENV)/.test ## style of Python and shell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/document_configuration.py --check
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run requirements/lock tools/install-servers tools/install-docker \
	  compose/stand-ins/make-stand-ins \
	  compose/stand-ins/elasticsearch/docker-entrypoint.sh compose/images/openldap/entrypoint compose/images/openldap/healthy; \
	elif [ -n "$$CI" ]; then echo 'modelward: shellcheck is not installed'; exit 1; \
	else echo 'shellcheck is not installed; the shell scripts were not checked (apt-get install shellcheck)'; fi

.PHONY: types
types: $(VENV)/.test ## types, strictly
	$(BIN)/mypy agent/src agent/tests collector/src collector/tests appliance/src appliance/tests demo grafana kibana bench/*.py bench/fuzz tools tests

build/peers: requirements/peers.txt | venv-check
	@echo 'Installing the peers that the benches measure against into build/peers …'
	@$(PYTHON) -m venv build/peers
	@build/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch build/peers

.PHONY: bench
bench: $(VENV)/.test build/peers servers ## the numbers that must hold, each beside its peer; takes about two hours
	$(BIN)/python -m bench

build/fuzz: requirements/fuzz.txt agent/pyproject.toml collector/pyproject.toml | venv-check
	@echo 'Installing the fuzzer into build/fuzz …'
	@$(PYTHON) -m venv build/fuzz
	@build/fuzz/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@build/fuzz/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e agent -e collector
	@touch build/fuzz

SECONDS ?= 60
TARGETS ?=

.PHONY: fuzz
fuzz: build/fuzz ## everything that reads what comes from outside, fuzzed: make fuzz SECONDS=60 TARGETS='journal logs'
	@build/fuzz/bin/python -m bench.fuzz --seconds $(SECONDS) $(TARGETS)

.PHONY: docs
docs: $(VENV)/.test ## write docs/configuration.md from the settings' definitions
	$(BIN)/python tools/document_configuration.py

# The appliance. These need Docker and Python, and nothing of the virtual environment; ARGS are the command's own, for
# example make deploy ARGS='--accept vm.max_map_count', make verify ARGS=--json. `$(HOST) COMMAND --help` lists them.
HOST = $(NEW_ENOUGH); PYTHONPATH=appliance/src $(PYTHON) -m modelward_appliance.host
ARGS ?=
SERVICE ?=

.PHONY: deploy
deploy: ## the whole appliance on this server: preflight, up, proof; again, it changes nothing
	@$(HOST) deploy $(ARGS)

.PHONY: preflight
preflight: ## everything that a deploy needs of this server, with the fix for what is missing
	@$(HOST) preflight $(ARGS)

.PHONY: images
images: ## build the bundle's own images
	@$(HOST) images $(ARGS)

.PHONY: verify
verify: ## prove from outside that the appliance works; the exit code is for cron
	@$(HOST) verify $(ARGS)

.PHONY: status
status: ## every service: state, health, since when, ports
	@$(HOST) status $(ARGS)

.PHONY: logs
logs: ## what services print: make logs SERVICE=collector
	@$(HOST) logs $(ARGS) $(SERVICE)

.PHONY: stop
stop: ## stop everything, keep all data; make deploy starts it again
	@$(HOST) stop $(ARGS)

.PHONY: upgrade
upgrade: ## to the release in this folder: backup first, and back again when it does not verify
	@$(HOST) upgrade $(ARGS)

.PHONY: backup
backup: ## an encrypted backup now, beside the daily one
	@$(HOST) backup $(ARGS)

.PHONY: restore
restore: ## put a backup back: make restore BACKUP=file
	@$(HOST) restore $(ARGS) $(BACKUP)

.PHONY: rotate-certs
rotate-certs: ## new certificates for every service
	@$(HOST) rotate-certs $(ARGS)

.PHONY: rotate-secrets
rotate-secrets: ## new passwords and keys for every service
	@$(HOST) rotate-secrets $(ARGS)

.PHONY: add-agent
add-agent: ## enrol a model server, which makes its one-time bundle: make add-agent HOST_NAME=scoring-1
	@$(HOST) add-agent $(ARGS) $(HOST_NAME)

.PHONY: remove-agent
remove-agent: ## a model server may no longer deliver: make remove-agent HOST_NAME=scoring-1
	@$(HOST) remove-agent $(ARGS) $(HOST_NAME)

.PHONY: support-bundle
support-bundle: ## logs, states and settings without secrets, to send to who helps
	@$(HOST) support-bundle $(ARGS)

.PHONY: destroy
destroy: ## remove the appliance with all its data; asks, and keeps the backups
	@$(HOST) destroy $(ARGS)

.PHONY: test-deploy
test-deploy: $(VENV)/.test servers ## deploy the real bundle from stand-in images, break it, and see that nothing is lost
	@tools/install-docker
	$(BIN)/python -m pytest $(PYTEST) -s tests/deploy

.PHONY: lock
lock: ## make the lock files anew (needs uv)
	requirements/lock

.PHONY: clean
clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
