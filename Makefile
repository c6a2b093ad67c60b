.DEFAULT_GOAL := help
.PHONY: help setup demo test lint unit slow bench lock generate format e2e clean
SHELL := /bin/bash
BIN := .venv/bin

help: ## Show this menu
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## Make .venv from the hashed lock (done by the others when needed)
	@.ci/setup

demo: setup ## The same training without protection, under attack, and without attackers; ends with a report
	@$(BIN)/shieldwall demo --output demo

test: lint unit slow ## Every check that needs no cluster of pods

lint: setup ## ruff, mypy --strict, import contracts, generated files current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m shieldwall.control.api.crd --check crds/shieldwall.dev_federatedtrainings.yaml

unit: setup ## Unit tests
	$(BIN)/pytest -m "not slow"

slow: setup ## Tests with the real Envoy and Flower as processes on loopback
	$(BIN)/pytest -m slow --timeout 600

bench: setup ## Benchmarks, as ratios against a peer in one run
	$(BIN)/python benchmarks/round_time.py

generate: setup ## Write the generated files (CRD)
	$(BIN)/python -m shieldwall.control.api.crd crds/shieldwall.dev_federatedtrainings.yaml

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile --quiet --extra dev --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --output-file requirements.lock pyproject.toml

clean: ## Remove what was made here, the environment too
	rm -rf .venv demo bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
