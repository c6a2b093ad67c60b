.DEFAULT_GOAL := help
.PHONY: help setup tools demo test test-torch lint unit slow long bench privacy matrix lock generate format e2e cluster-up cluster-down clean
SHELL := /bin/bash
BIN := .venv/bin

help: ## Show this menu
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## Make .venv from the hashed lock (done by the others when needed)
	@.ci/setup

demo: setup ## The same training without protection, under attack, and without attackers; ends with a report
	@$(BIN)/shieldwall demo --output demo

test: lint unit slow ## Every check that needs no cluster of pods

lint: setup tools ## ruff, mypy --strict, import contracts, generated files current, the chart
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m shieldwall.control.api.crd --check crds/shieldwall.dev_federatedtrainings.yaml
	$(BIN)/python -m shieldwall.control.api.budget_crd --check crds/shieldwall.dev_privacybudgets.yaml
	.ci/lint-chart

unit: setup ## Unit tests
	$(BIN)/pytest -m "not slow and not cluster"

tools: ## Build the programs that tests run as real ones: etcd, Kubernetes, Helm, kwok (needs Go; minutes the first time)
	@.ci/tools

slow: setup tools ## Tests with a real API server, and with the real Envoy and Flower as processes on loopback
	@.ci/e2e-packages nftables iproute2 util-linux
	$(BIN)/pytest -m slow --timeout 600 --numprocesses 3 --dist loadfile # they wait more than they compute

test-torch: ## Tests of PyTorch apps under differential privacy, in .venv-torch (gigabytes; TORCH_INDEX: where CPU wheels are)
	@.ci/test-torch

e2e: setup ## The end-to-end suite in a real cluster, made here of processes (root, Debian 12), or in that of E2E_KUBECONFIG
	@.ci/e2e

cluster-up: setup ## A real one-node cluster with the images loaded; prints the path of its kubeconfig, and nothing else on stdout
	@.ci/e2e up

cluster-down: setup ## End that cluster
	@.ci/e2e down

long: setup tools ## Ten minutes of a training whose certificates live a minute; all of a thousand generated trainings; a node that comes and goes ten times
	SHIELDWALL_LONG=1 $(BIN)/pytest tests/e2e_local/test_short_leaves.py tests/integration/control/test_differential.py --timeout 1500
	.ci/e2e-packages
	.ci/tools kube-controller-manager kube-scheduler kubelet kube-proxy kubeadm coredns
	SHIELDWALL_LONG=1 PYTHONPATH=e2e:tests $(BIN)/pytest tests/e2e_cluster -m cluster -k nothing_but_logs

bench: setup tools ## Benchmarks, as ratios against peers in one run
	$(BIN)/python benchmarks/aggregation.py
	$(BIN)/python benchmarks/round_time.py
	$(BIN)/python benchmarks/operator_scale.py
	$(BIN)/python benchmarks/privacy_overhead.py

privacy: setup ## What privacy costs, and attacks with and without it (a quarter of an hour of one core); writes docs/privacy-measured.md
	$(BIN)/python benchmarks/privacy_utility.py

matrix: setup ## Every attack against every rule (several hours of one core); writes docs/attack-matrix.md
	$(BIN)/python benchmarks/attack_matrix.py

generate: setup ## Write the generated files (CRDs, and the chart's copies of them)
	$(BIN)/python -m shieldwall.control.api.crd crds/shieldwall.dev_federatedtrainings.yaml
	$(BIN)/python -m shieldwall.control.api.budget_crd crds/shieldwall.dev_privacybudgets.yaml
	cp crds/*.yaml charts/shieldwall/files/crds/

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11
LOCK_LIKE := $(LOCK) --constraint requirements.lock

lock: ## Write requirements.lock and those of the images anew (needs uv)
	$(LOCK) --extra dev --output-file requirements.lock pyproject.toml
	$(LOCK_LIKE) --extra control --output-file images/operator/requirements.lock pyproject.toml
	$(LOCK_LIKE) --extra runtime --no-emit-package uv --output-file images/runtime/requirements.lock pyproject.toml
	$(LOCK_LIKE) --no-emit-package numpy --no-emit-package scipy --no-emit-package threadpoolctl --output-file examples/digits/requirements.lock examples/digits/requirements.in
	$(LOCK_LIKE) --output-file images/build/requirements.lock images/build/requirements.in
	$(LOCK) --output-file tests/harness/analyzer/requirements.lock tests/harness/analyzer/requirements.in
	$(LOCK) --no-deps --output-file tests/harness/byzfl/requirements.lock tests/harness/byzfl/requirements.in

clean: ## Remove what was made here, the environment too
	rm -rf .venv .venv-torch demo bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
