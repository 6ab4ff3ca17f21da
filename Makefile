# Two commands do everything on a fresh machine with Python >= 3.11 (with venv) and make: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/
# One more than there are processors: tests wait for servers about a quarter of their time.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.DEFAULT_GOAL := help
.PHONY: help demo test check test-all accept docs bench lock locks clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN)python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN)python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.ready ## find what is wrong with a legacy schema; then start PostgreSQL, build and check the example shop, and walk through it
	@$(RUN)pgcharter check examples/legacy; test $$? -le 1
	@$(RUN)pgcharter up --example shop --once

test: $(VENV)/.ready ## format, lint, types, imports and every test
	@$(MAKE) --no-print-directory check
	@$(RUN)python -m pytest -q -n $(WORKERS) --dist worksteal

check: $(VENV)/.ready ## format, lint, types, imports
	@$(RUN)ruff format --check --quiet . && $(RUN)ruff check --quiet . && $(RUN)mypy && $(RUN)lint-imports --no-cache > /dev/null

test-all: ## what test does, and nothing may be skipped
	@CI=true $(MAKE) --no-print-directory test

accept: $(VENV)/.ready ## rewrite the expected results of the cases; read the diff before committing
	@PGCHARTER_ACCEPT=1 $(RUN)python -m pytest -q -n $(WORKERS) tests/rules/test_cases.py

docs: $(VENV)/.ready ## write the generated reference pages
	@$(RUN)python tools/docs.py

bench: $(VENV)/.ready ## measure beside peers, print ratios
	@$(RUN)python -m bench

locks: $(VENV)/.ready ## ask PostgreSQL 15 to 18 anew what every statement locks
	@$(RUN)python tools/locks.py

lock: ## resolve the dependencies anew (needs uv)
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --all-extras --group dev pyproject.toml -o requirements.lock

clean: ## remove everything that was set up
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
