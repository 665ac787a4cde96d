# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: venv-check
venv-check:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'modelward: $(PYTHON) is older than 3.11; run make PYTHON=python3.11 (or newer)'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'modelward: $(PYTHON) cannot make virtual environments; run: apt-get install python3-venv'; exit 1; }

# A stamp a lock file: installing again takes no time until a lock or a pyproject.toml changes.
$(VENV)/.%: requirements/%.txt agent/pyproject.toml collector/pyproject.toml | venv-check
	@test -x $(BIN)/python || { echo 'Making $(VENV) …'; $(PYTHON) -m venv $(VENV); }
	@echo 'Installing requirements/$*.txt …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e agent -e collector
	@touch $@

.PHONY: clean
clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
