# Everything a developer or CI needs; each target sets up by itself. Needs Python 3.11 or newer.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
IMAGE ?= authz-service
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BASE ?=
# The first that works here: a docker without its daemon does not.
ENGINE ?= $(shell for engine in docker podman buildah; do \
	$$engine info >/dev/null 2>&1 && echo $$engine && break; \
	done)
EPOCH = $(shell git log -1 --format=%ct 2>/dev/null)
# Three test processes for two cores: many tests wait for another process.
WORKERS ?= $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))
IN_PARALLEL := --quiet --numprocesses $(WORKERS) --dist worksteal

# Nearly every target starts Pythons, up to hundreds, of which each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check-deploy faults soak lint format proto rules lock bench fuzz image clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

demo: $(VENV)/.installed ## run everything on this machine and show what is decided (ARGS=--once)
	@$(BIN)/authz-service demo $(ARGS)

# The examples of the core reach all of it. All else runs without coverage, in half the time.
WITHOUT_COVERAGE := $(patsubst %,tests/core/test_%.py,properties purity verified_machine)
WITH_COVERAGE := $(filter-out $(WITHOUT_COVERAGE),$(wildcard tests/core/test_*.py))
test: $(VENV)/.checkov-installed ## the whole test suite and the coverage of the core; with ARGS=… those tests alone
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python -m pytest $(IN_PARALLEL) --cov=authz_service/core --cov-report= $(WITH_COVERAGE)
	@$(BIN)/python -m coverage report --include='authz_service/core/*' --fail-under=100
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(addprefix --ignore ,$(WITH_COVERAGE))
else
	@$(BIN)/python -m pytest $(ARGS)
endif

check-deploy: $(VENV)/.checkov-installed ## deploy/, envoy/ and the Dockerfile: schemas, linters, the real Envoy
	@$(BIN)/python -m pytest $(IN_PARALLEL) tests/deploy $(ARGS)

faults: $(VENV)/.installed ## every fault under load, in four minutes, and the table in docs/reliability.md
	@PYTHONPATH=. $(BIN)/python -m tests.faults $(ARGS)

soak: $(VENV)/.installed ## ten minutes of load while faults come and go (ARGS='--minutes 2')
	@PYTHONPATH=. $(BIN)/python -m tests.faults.soak $(ARGS)

lint: $(VENV)/.installed ## style, types, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy authz_service tests bench fuzz proto/generate.py deploy/monitoring/generate.py
	@$(BIN)/python proto/generate.py --check
	@$(BIN)/python deploy/monitoring/generate.py --check

format: $(VENV)/.installed ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: $(VENV)/.installed ## generate authz_service/_proto from proto/
	@$(BIN)/python proto/generate.py

rules: $(VENV)/.installed ## generate the PrometheusRule from deploy/monitoring/alerts.yaml
	@$(BIN)/python deploy/monitoring/generate.py

bench: $(VENV)/.installed ## what everything costs, each beside a reference, in twenty minutes (ARGS=--quick, ARGS='--only warm,memory')
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(VENV)/.fuzz-installed ## feed every input with what nobody thought of, a minute each (ARGS='--seconds 10 --target token')
	@$(BIN)/python -m fuzz $(ARGS)

lock: $(VENV)/.installed ## renew requirements/*.txt from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade \
		pyproject.toml --output-file requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade --constraints requirements/run.txt \
		--extra demo --extra openapi --extra otel --group dev pyproject.toml \
		--output-file requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade \
		--group fuzz --output-file requirements/fuzz.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade \
		--group checkov --output-file requirements/checkov.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade --no-deps \
		--group api --output-file requirements/api.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade --constraints requirements/dev.txt \
		--extra otel pyproject.toml --output-file requirements/image.txt
	@$(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	| $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --upgrade --constraints requirements/dev.txt \
		--output-file requirements/image-build.txt -

# Podman and buildah would leave the health check out, which OCI's own format does not know.
image: ## build the image (BASE=…, TAG=…, ENGINE=docker|podman|buildah); docs/image.md
	@test -n "$(ENGINE)" || { echo 'docker (with its daemon), podman or buildah is needed' >&2; exit 2; }
	@$(ENGINE) build $(if $(filter docker,$(notdir $(firstword $(ENGINE)))),,--format docker \
		$(if $(EPOCH),--timestamp $(EPOCH))) --file Dockerfile --tag $(IMAGE):$(TAG) \
		$(if $(BASE),--build-arg BASE=$(BASE)) \
		$(if $(EPOCH),--build-arg SOURCE_DATE_EPOCH=$(EPOCH) \
		--build-arg REVISION=$(shell git describe --always --dirty --abbrev=40 --exclude '*')) $(ARGS) .

clean: ## remove what was installed and made
	@rm -rf $(VENV) .coverage .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

# The engine of the fuzzing alone: it is not for every platform.
$(VENV)/.fuzz-installed: $(VENV)/.installed requirements/fuzz.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/fuzz.txt
	@touch $@

# In an environment of its own, for the reason that pyproject.toml gives.
$(VENV)/.checkov-installed: $(VENV)/.installed requirements/checkov.txt
	@$(BIN)/python -m venv $(VENV)/checkov
	@$(VENV)/checkov/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements/checkov.txt
	@touch $@

# The packages with their hashes, then ours, which builds with the hatchling that is among them.
$(VENV)/.installed: requirements/dev.txt requirements/api.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo 'Python has no venv here: install it (Debian: python3-venv)' >&2; exit 2; }
	@echo 'setting up $(VENV), which takes about a minute …'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
		--target $(VENV)/xds-protos --requirement requirements/api.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@
