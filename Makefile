# Every target is one line that calls `provender` (see `provender --help`); `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo setup corpus mix train audit study study-quick test check bench docs clean

RECIPE ?= pipelines/recipes/demo.yaml
FAST ?=
TORCH ?= $(shell sed -n 's/^ *"\(torch==[^"]*\)",$$/\1/p' pyproject.toml)

VENV := .venv
PYTHON := $(VENV)/bin/python
PROVENDER := $(VENV)/bin/provender

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: setup ## the whole line on real text and a real model (FAST=1: a small slice in under three minutes)
	@$(PROVENDER) demo $(if $(filter-out 0,$(FAST)),--fast)

setup: ## .venv with every package, compiled kernels, and KenLM's lmplz; done once
	@$(MAKE) --no-print-directory --jobs 2 $(VENV)/.kernels $(VENV)/.kenlm

corpus: setup ## raw files to clean shards, ledger and token shards (RECIPE=my.yaml)
	@$(PROVENDER) corpus $(RECIPE)

mix: setup ## token shards to a compiled mixture plan
	@$(PROVENDER) mix $(RECIPE)

train: setup ## continue the pre-training on the plan
	@$(PROVENDER) train $(RECIPE)

audit: setup ## the report over all of it
	@$(PROVENDER) audit $(RECIPE)

study: setup ## pre-train a small base and write docs/study.md: some 3 hours on two cores (an estimate), goes on where it stopped
	@$(PROVENDER) study --page docs/study.md

study-quick: setup ## the same with fewer cells, seeds and tokens, in about a quarter of an hour
	@$(PROVENDER) study --quick --page docs/study.md

test: setup ## run all tests (browser tests are skipped without chromium)
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n auto --dist loadfile --durations 20 --durations-min 10

check: setup ## formatting, lint, types, import rules, and that README, --help and SECURITY.md tell the truth
	@$(VENV)/bin/ruff format --no-cache --check .
	@$(VENV)/bin/ruff check --no-cache .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PYTHON) -m pytest -q tests/pipelines/test_readme.py tests/pipelines/test_help.py tests/pipelines/test_security.py
	@$(PYTHON) -m pipelines.setup.audit

bench: setup ## measure speed, as ratios within one run
	@$(PYTHON) -m benchmarks

docs: $(VENV)/.docs ## the site of these pages, made strictly, in work/site
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict
	@echo "site: work/site/index.html"

clean: ## remove work/ and caches; .venv stays (rm -r .venv undoes the set-up)
	@rm -rf work .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	@echo "removed work/ and caches; $(VENV) stays (rm -r $(VENV) undoes the set-up)"

$(VENV)/.python: pipelines/setup/environment.sh
	@pipelines/setup/environment.sh

$(VENV)/.packages: pyproject.toml pipelines/setup/packages.sh | $(VENV)/.python
	@TORCH='$(TORCH)' pipelines/setup/packages.sh

$(VENV)/.kernels: $(VENV)/.packages
	@echo "[setup] compiling the kernels (two minutes)"
	@$(PYTHON) -m corpus.kernels && $(PYTHON) -m mixing.compile_kernels
	@touch $@

$(VENV)/.docs: pyproject.toml | setup
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(VENV)/.kenlm: pyproject.toml pipelines/setup/kenlm.sh | $(VENV)/.python
	@pipelines/setup/kenlm.sh
