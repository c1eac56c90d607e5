# The commands of the project. Every target does all the set-up it needs; `make help` lists them.
TARGET ?= host
MODEL ?= mobilenet_v1_1.0_224
TRIALS ?=
TASKS ?=
THREADS ?=
DEVICE ?=
WORKERS ?=
TRACKER ?=
LAYER ?=
PRECISION ?=
HOST ?= 32
PUBLISHED ?= all
LOGS ?= $(wildcard ../shared/tophub)

MNC = .venv/bin/mnc
ARTIFACT = build/$(TARGET)/$(MODEL)$(if $(filter int8,$(PRECISION)),_int8)
flag = $(if $(2),--$(1) '$(2)')
TUNE_FLAGS = $(call flag,precision,$(PRECISION)) $(call flag,trials,$(TRIALS)) \
	$(call flag,tasks,$(TASKS)) $(call flag,threads,$(THREADS)) \
	$(call flag,device,$(DEVICE)) $(call flag,workers,$(WORKERS)) $(call flag,tracker,$(TRACKER))
RUN_FLAGS = $(call flag,threads,$(THREADS)) $(call flag,device,$(DEVICE))

.DEFAULT_GOAL := help
.PHONY: help setup wheel tune build export device test test-fast check format bench bench-peers bench-tuning bench-families bench-int8 profile verify validate-model machine clean report test-faults explain race-arm

help: ## list every target with one line each
	@echo 'Variables: TARGET=$(TARGET) MODEL=$(MODEL) PRECISION=float32|int8 TRIALS= TASKS= THREADS= DEVICE=rpc://host:port/key'
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | sort | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

setup: .venv/.ready ## make the Python environment with the pinned packages

.venv/.ready: pyproject.toml constraints.txt support/make_venv.sh support/torch_build.py
	bash support/make_venv.sh .venv
	touch $@

tune: setup ## search the best kernels of MODEL for TARGET, simulated where it is not here; stop and start it at will
	$(MNC) tune --model $(MODEL) --target $(TARGET) $(TUNE_FLAGS)

build: setup ## compile MODEL for TARGET, compare with PyTorch on photographs, time it
	$(MNC) build --model $(MODEL) --target $(TARGET) $(call flag,precision,$(PRECISION))

# Two at a time, a file's tests together and heavy files first (tests/conftest.py), then one at a time those that a
# busy machine would disturb. Fast and slow ones in one go: a file's fixtures and imports are made once.
PARALLEL = -n 2 --dist loadfile --no-loadscope-reorder

test: setup ## every test
	.venv/bin/pytest -m "not alone" $(PARALLEL) --durations 20
	.venv/bin/pytest -m alone --durations 10

test-fast: setup ## the tests that take less than a few seconds each
	.venv/bin/pytest -m "not slow" $(PARALLEL)

check: setup ## ruff (lint, format) and the strict type checker
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup ## rewrite the sources in the project's format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: setup ## time the built artifact, and PyTorch in turns with it
	$(MNC) bench $(ARTIFACT) $(RUN_FLAGS)

bench-tuning: setup ## trials a second and noise of the measurer, against TVM's own
	.venv/bin/python -m bench.tuning_speed

bench-peers: setup ## race other runtimes; ARGS='--models .. --threads 1,2 --rounds 30 --peers .. --tune 64'
	.venv/bin/python -m bench $(ARGS)

bench-families: setup ## torchvision's and timm's mobile networks in every form against PyTorch; ARGS='--networks .. --forms ..'
	.venv/bin/python -m bench.families $(ARGS)

bench-int8: setup ## how near networks in 8-bit integers stay to float, on labelled images; ARGS='--models .. --exact'
	.venv/bin/python -m bench.int8_accuracy $(ARGS)

profile: setup ## time each layer of the built artifact
	$(MNC) profile $(ARTIFACT) $(call flag,threads,$(THREADS))

verify: setup ## compare the built artifact with its golden outputs and with PyTorch
	$(MNC) verify $(ARTIFACT) $(RUN_FLAGS)

export: setup ## make a freestanding C library of the built artifact
	$(MNC) export $(ARTIFACT)

device: setup ## run a virtual ARM board until Ctrl-C (TARGET=arm, a tracker at 127.0.0.1:9190)
	$(MNC) device start --target $(if $(filter host x86,$(TARGET)),arm,$(TARGET))

explain: setup ## where the cycles of MODEL's LAYER (number or name) go on TARGET's cores; all layers without LAYER
	$(MNC) explain --model $(MODEL) --target $(TARGET) $(call flag,layer,$(LAYER)) $(call flag,threads,$(THREADS))

race-arm: setup ## other runtimes' AArch64 code and ours on TARGET's cores, by the core model; ARGS='--models .. --threads 1,4'
	.venv/bin/python -m bench.arm --target $(TARGET) $(ARGS)

validate-model: setup ## the core model against boards' LOGS, this machine's core (HOST=32 configs a workload; 0: not), published latencies (PUBLISHED='--board "Pi 4"'; 0: not)
	$(if $(LOGS),.venv/bin/python -m bench.core_model $(LOGS) $(ARGS))
	$(if $(filter-out 0,$(HOST)),.venv/bin/python -m bench.core_model.host \
		build/validation/host-$(HOST) --count $(HOST))
	$(if $(filter-out 0,$(PUBLISHED)),.venv/bin/python -m bench.arm.published $(filter-out all,$(PUBLISHED)))

machine: setup ## measure what this machine's cores and memory can do
	$(MNC) machine

report: setup ## one HTML page of all built artifacts, next to stock TVM and PyTorch: report.html
	$(MNC) report --before

test-faults: setup ## kills, full disks, damage and fuzzing, in large numbers: MNC_FAULTS=500
	MNC_FAULTS=$${MNC_FAULTS:-100} .venv/bin/pytest tests/faults tests/support/test_files.py

wheel: setup ## one wheel of all that runs, the committed logs inside, in dist/
	rm -rf build/wheel dist/mnc-*.whl
	.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove built artifacts and the Python environment
	rm -rf build dist .venv
