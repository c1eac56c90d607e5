# The commands of the project. Every target does all the set-up it needs; `make help` lists them.
TARGET ?= x86
MODEL ?= mobilenet_v1_1.0_224
MNC = .venv/bin/mnc

.DEFAULT_GOAL := help
.PHONY: help setup clean check format test

help: ## list every target with one line each
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1|\2/' \
		| awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: .venv/.ready ## make the Python environment with the pinned packages

.venv/.ready: pyproject.toml constraints.txt support/make_venv.sh
	bash support/make_venv.sh .venv
	touch $@

clean: ## remove built artifacts and the Python environment
	rm -rf build .venv

check: setup ## ruff (lint, format) and the strict type checker
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup ## rewrite the sources in the project's format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

test: setup ## every test, the fast ones first
	.venv/bin/pytest
