# Set-up, demonstration and checks. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

MODEL ?=
PORT ?=
V ?=
M ?=
T ?=
ARGS ?=

run := .venv/bin/python -m

.PHONY: help setup demo ui check unit-slower unit-rest test test-airflow faults fuzz bench bench-gpu bench-scale contract lint format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with the pinned dependencies (PYTHON=python3.12, EXTRA=cpu|gpu)
	@.make/setup

demo: setup ## Rank the sample news through Airflow and vLLM, twice, and print it (MODEL=Qwen/Qwen3-Reranker-0.6B, MEDIA=1, ARGS=--learn)
	@exec $(run) rerank_core.demo run $(if $(MODEL),--model '$(MODEL)') $(if $(MEDIA),--media) $(ARGS)

ui: setup ## Rank the sample news once, then leave Airflow running until Ctrl-C (PORT=8080, MEDIA=1)
	@exec $(run) rerank_core.demo ui $(if $(MODEL),--model '$(MODEL)') $(if $(PORT),--port '$(PORT)') $(if $(MEDIA),--media)

check: setup ## Lint, types and unit tests, side by side on two cores: under three minutes, before each commit
	@$(MAKE) --no-print-directory -j2 --output-sync=target unit-slower unit-rest lint

# The two halves of the unit tests; they take about as long as one another.
slower := tests/unit/models tests/unit/prepare
unit-slower:
	@$(run) pytest -q $(slower)

unit-rest:
	@$(run) pytest -q tests/unit $(slower:%=--ignore=%)

test: setup ## Run the tests, in two processes (ARGS=--long adds long variants, ARGS="-m 'not engine'" leaves some out, ARGS=tests/unit runs these alone)
	@exec .venv/bin/python tests/side_by_side.py $(ARGS)

test-airflow: setup ## Try the wheel on each Airflow of the package index, in environments of their own (V="3.3.2")
	@PYTHONPATH=tests exec $(run) airflow_versions $(V)

faults: setup ## Kill, freeze and cut off many runs, and check that every promise holds (N=300 REAL=40 SEED=1)
	@PYTHONPATH=tests$(if $(PYTHONPATH),:$(PYTHONPATH)) exec $(run) faults --number $(or $(N),300) --real $(or $(REAL),0) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: setup ## Fuzz prepare, the readers, near-copies and the UI for M minutes of processor time each (M=12 SEED=1 T="prepare ui")
	@PYTHONPATH=tests:plugins$(if $(PYTHONPATH),:$(PYTHONPATH)) exec $(run) fuzz --minutes $(or $(M),12) $(if $(SEED),--seed $(SEED)) $(T) $(ARGS)

bench: setup ## Measure the scorer beside vLLM, CrossEncoder and transformers (ARGS="speed --mixed 20x50")
	@PYTHONPATH=tests exec $(run) benchmarks.bench_scoring $(ARGS)

bench-gpu: setup ## Check the scorer on a GPU, and measure it, in eight minutes (ARGS="--device cpu" tries the script)
	@PYTHONPATH=tests:. exec $(run) benchmarks.gpu $(ARGS)

bench-scale: setup ## Measure claims, publication, a long history, readers and reruns at scale (ARGS="claim --articles 100000")
	@PYTHONPATH=tests exec $(run) benchmarks.bench_scale $(ARGS)

contract: setup ## Write CONTRACT.md again from the contract's tables and the examples
	@$(run) rerank_core.frontends.contract_page

.PHONY: settings
settings: setup ## Write rerank_core/SETTINGS.md again from the settings
	@PYTHONPATH=tests$(if $(PYTHONPATH),:$(PYTHONPATH)) $(run) settings_page

lint: setup ## Check style, format and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy --strict rerank_core plugins dags

format: setup ## Correct style and format
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock: setup ## Resolve pyproject.toml into the lock files again
	@.make/lock

clean: ## Remove what setup, demo and the tests made here
	rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist tests/examples/javascript/node_modules
