.DEFAULT_GOAL := help
.PHONY: help run test test-legacy test-modern test-experiments test-commands fuzz setup lint format wheel reference tutorial docs docs-serve picture benchmark benchmark-suite agreement lock clean

STACK := scripts/stack.sh
# More arguments for the command of a target: make run ARGS="list codecs", make test ARGS="-k clock".
ARGS ?=

# On two cores, two processes of one thread each are faster and steadier than threads that wait for each other.
ONE_THREAD := env OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# What shares something that takes long to make is tested in one process (groups, which start first).
PYTEST := $(ONE_THREAD) python -m pytest -n 2 --dist loadgroup -p no:benchmark $(ARGS)

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## run the default experiment (legacy stack if there is a Python 3.7, else modern); sets up first
	@$(STACK) with any python -m fl_simu $(ARGS)

test:  ## run the tests on both stacks; sets up first
	@$(STACK) each $(PYTEST)

test-legacy:  ## run the tests on Python 3.7, torch 1.4.0 and syft 0.2.4
	@$(STACK) with legacy $(PYTEST)

test-modern:  ## run the tests on Python 3.10 or newer and torch 2
	@$(STACK) with modern $(PYTEST)

test-experiments:  ## run the tests of what the experiments found, which take minutes, on both stacks
	@$(STACK) each $(PYTEST) -m experiments

test-commands:  ## type every command that the pages print, on both stacks; half an hour each
	@$(STACK) each $(ONE_THREAD) python -m pytest -p no:benchmark -m commands $(ARGS)

fuzz:  ## the property tests with random examples, then 3,000 random inputs to the program; ARGS="--seed 7" repeats
	@$(STACK) with modern $(ONE_THREAD) HYPOTHESIS_PROFILE=fuzz python -m pytest -n 2 -p no:benchmark -m hypothesis
	@$(STACK) with modern $(ONE_THREAD) python -m tests.fuzz $(ARGS)

tutorial:  ## run docs/tutorial.ipynb from start to end, in place
	@$(STACK) with modern python -m scripts.tutorial

setup:  ## make or renew .venv/legacy and .venv/modern from requirements/
	@$(STACK) setup

wheel:  ## build dist/*.whl and dist/*.tar.gz, and try the wheel in an environment of its own
	@$(STACK) with modern scripts/wheel.sh

lint:  ## check style and types with ruff and mypy
	@$(STACK) with modern ruff check .
	@$(STACK) with modern ruff format --check .
	@$(STACK) with modern mypy

format:  ## lay the code out as lint wants it, and mend what ruff can
	@$(STACK) with modern ruff check --fix --quiet .
	@$(STACK) with modern ruff format .

reference:  ## make docs/config.md anew from docs/config.md.in and the docstrings of the classes
	@$(STACK) with modern python -m fl_simu.cli.reference

# The line is a note of mkdocs-material on a later mkdocs.
docs:  ## build the documentation site into site/, warnings are errors; sets up .venv/docs first
	@$(STACK) docs env NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

docs-serve:  ## show the documentation site on http://127.0.0.1:8000 and follow changes
	@$(STACK) docs env NO_MKDOCS_2_WARNING=1 mkdocs serve --strict --dev-addr 127.0.0.1:8000

picture:  ## draw the picture of the README anew, in some minutes
	@$(STACK) with legacy $(ONE_THREAD) python -m scripts.front_picture

benchmark:  ## fl_simu beside other frameworks, into docs/benchmarks.md; sets up .venv/peers first
	@$(STACK) peers || true
	@$(STACK) with modern python -m benchmarks.peers $(ARGS)

benchmark-suite:  ## run the benchmarks of fl_simu's parts on both stacks
	@$(STACK) each $(ONE_THREAD) python -m pytest benchmarks -o addopts=-ra --timeout=0 $(ARGS)

agreement:  ## fl_simu's algorithms against those of other frameworks, round by round; sets up .venv/peers first
	@$(STACK) peers
	@$(STACK) with modern $(ONE_THREAD) python -m benchmarks.peers.agreement $(ARGS)

lock:  ## resolve requirements/*.txt anew from setup.py and requirements/*.in
	@$(STACK) lock

clean:  ## remove the environments, caches and build leftovers (runs/ stays)
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
