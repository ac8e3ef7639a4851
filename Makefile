.DEFAULT_GOAL := help
.PHONY: help run test test-legacy test-modern test-experiments test-commands fuzz setup lint format wheel reference tutorial docs docs-serve picture benchmark benchmark-suite agreement lock clean

STACK := scripts/stack.sh
# Additional arguments for the command of a target: make run ARGS="list codecs", make test ARGS="-k clock".
ARGS ?=

# On two cores, two processes of one thread each are faster and steadier than threads that wait for each other.
ONE_THREAD := env OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# Tests that share something slow to build run in one process (as groups, which start first).
PYTEST := $(ONE_THREAD) python -m pytest -n 2 --dist loadgroup -p no:benchmark $(ARGS)

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## run the default experiment (legacy stack if Python 3.7 is found, else modern); sets up first
	@$(STACK) with any python -m fl_simu $(ARGS)

test:  ## run the tests on both stacks; sets up first
	@$(STACK) each $(PYTEST)

test-legacy:  ## run the tests on Python 3.7, torch 1.4.0 and syft 0.2.4
	@$(STACK) with legacy $(PYTEST)

test-modern:  ## run the tests on Python 3.10 or newer and torch 2
	@$(STACK) with modern $(PYTEST)

test-experiments:  ## run the tests of the experiments' findings on both stacks; takes minutes
	@$(STACK) each $(PYTEST) -m experiments

test-commands:  ## type every command that the pages print, on both stacks; takes about three quarters of an hour each
	@$(STACK) each $(ONE_THREAD) python -m pytest -p no:benchmark -m commands $(ARGS)

fuzz:  ## run property tests with random examples, then 3,000 random inputs to the program; ARGS="--seed 7" repeats a run
	@$(STACK) with modern $(ONE_THREAD) HYPOTHESIS_PROFILE=fuzz python -m pytest -n 2 -p no:benchmark -m hypothesis
	@$(STACK) with modern $(ONE_THREAD) python -m tests.fuzz $(ARGS)

tutorial:  ## run docs/tutorial.ipynb from start to end, in place
	@$(STACK) with modern python -m scripts.tutorial

setup:  ## create or update .venv/legacy and .venv/modern from requirements/
	@$(STACK) setup

wheel:  ## build dist/*.whl and dist/*.tar.gz, and test the wheel in a separate environment
	@$(STACK) with modern scripts/wheel.sh

lint:  ## check style and types with ruff and mypy
	@$(STACK) with modern ruff check .
	@$(STACK) with modern ruff format --check .
	@$(STACK) with modern mypy

format:  ## format the code as lint requires, and fix what ruff can
	@$(STACK) with modern ruff check --fix --quiet .
	@$(STACK) with modern ruff format .

reference:  ## generate docs/config.md from docs/config.md.in and the docstrings of the classes
	@$(STACK) with modern python -m fl_simu.cli.reference

# NO_MKDOCS_2_WARNING hides a notice of mkdocs-material about a later mkdocs.
docs:  ## build the documentation site into site/; a warning is an error; sets up .venv/docs first
	@$(STACK) docs env NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

docs-serve:  ## serve the documentation site at http://127.0.0.1:8000 and follow changes
	@$(STACK) docs env NO_MKDOCS_2_WARNING=1 mkdocs serve --strict --dev-addr 127.0.0.1:8000

picture:  ## redraw the figure of the README; takes some minutes
	@$(STACK) with legacy $(ONE_THREAD) python -m scripts.front_picture

benchmark:  ## compare fl_simu with other frameworks, into docs/benchmarks.md; sets up .venv/peers first
	@$(STACK) peers || true
	@$(STACK) with modern python -m benchmarks.peers $(ARGS)

benchmark-suite:  ## run the benchmarks of fl_simu's parts on both stacks
	@$(STACK) each $(ONE_THREAD) python -m pytest benchmarks -o addopts=-ra --timeout=0 $(ARGS)

agreement:  ## compare fl_simu's algorithms with those of other frameworks, round by round; sets up .venv/peers first
	@$(STACK) peers
	@$(STACK) with modern $(ONE_THREAD) python -m benchmarks.peers.agreement $(ARGS)

lock:  ## resolve requirements/*.txt again from setup.py and requirements/*.in
	@$(STACK) lock

clean:  ## remove the environments, caches and build files (keeps runs/)
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
