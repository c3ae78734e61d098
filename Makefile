# Set-up happens by itself: every target brings .venv (and Temporal, where it is needed) to the pinned state first.
PYTHON ?= python3
RUN := .venv/bin/python
PACKAGES := iris workflows activities workers web tests scripts
UV_LOCK = $(or $(wildcard .venv/bin/uv),uv) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

.DEFAULT_GOAL := help
.PHONY: help up test check lint bench accept faults lock clean runtime dev temporal

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: runtime temporal ## run Iris on this machine; Ctrl-C stops it
	@exec $(RUN) -m workers.cli up

# Their figures are of a machine that does nothing else.
ALONE := $(addprefix tests/faults/test_,kills.py random_kills.py power_cuts.py burst.py)

test: dev ## check, then every test but the long ones, on two processes; what measures time comes last, by itself
	@$(PYTHON) scripts/system_packages.py --install
	@$(MAKE) --no-print-directory temporal lint
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(addprefix --ignore=,$(ALONE))
	@$(RUN) -m pytest $(ALONE)

check: dev lint ## style, types, import contracts, spelling, and what keeps the tree honest
	@$(RUN) -m pytest -q tests/test_*.py

lint: dev
	@$(RUN) -m ruff check $(PACKAGES)
	@$(RUN) -m ruff format --check --quiet $(PACKAGES)
	@$(RUN) -m mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/codespell

bench: dev temporal ## print figures and write them to bench-results/
	@$(RUN) -m pytest -m bench -s --timeout=0 tests/bench

accept: dev temporal ## every acceptance line that a command can run, in all its rounds; about an hour
	@$(RUN) -m pytest -s -m "not bench" --timeout=0 tests/e2e tests/faults tests/abuse tests/workflows \
		tests/iris/tracking/test_against_bytetrack.py tests/iris/store/test_release_databases.py
	@$(MAKE) --no-print-directory bench

faults: dev temporal ## kills, outages, power cuts and every other fault, the long form; two hours and more
	@IRIS_FAULT_FORM=long $(RUN) -m pytest -s -m "" --timeout=0 tests/faults
	@$(RUN) -m tests.faults.report

lock: dev ## compile requirements/*.in anew
	@$(UV_LOCK) requirements/bootstrap.in -o requirements/bootstrap.txt
	@$(UV_LOCK) --override requirements/override.txt requirements/runtime.in -o requirements/runtime.txt
	@$(UV_LOCK) --override requirements/override.txt requirements/dev.in -o requirements/dev.txt

clean: ## remove the environment and caches; never data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

runtime:
	@$(PYTHON) scripts/bootstrap.py runtime

dev:
	@$(PYTHON) scripts/bootstrap.py dev

temporal:
	@$(RUN) -m workers.temporal_server --ensure
