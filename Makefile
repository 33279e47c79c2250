# Everything a new user or CI needs. `make demo` and `make test` work from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The versions to install. CI also uses constraints-oldest.txt, and /dev/null for the newest.
CONSTRAINTS ?= constraints.txt
# Number of processes that run the quick tests in parallel.
JOBS ?= 2
# Build back ends run in an environment of their own; this pins them too.
export PIP_CONSTRAINT := $(abspath $(CONSTRAINTS))

.DEFAULT_GOAL := help
.PHONY: help install demo test lint type unit slow reports systems generated wheel calibrate bench clean

help:
	@echo "make demo     install and run the main job on reference architectures"
	@echo "make test     install, then lint, type check and the test suite"
	@echo "make slow     the tests that take longer than ten seconds each"
	@echo "make wheel    build the sdist and the wheel, and test the wheel outside the checkout"
	@echo "make generated  write reports/ and docs/systems.md again; fails if that changes a file"
	@echo "make reports  record profiles of the zoo and render reports/ from them"
	@echo "make systems  measure the systems that profiles/systems/ lacks, and write docs/systems.md"
	@echo "make calibrate  fit the latency projection again and state its error in docs/accuracy.md"
	@echo "make bench    compare with onnx.load and a bare loop; prints ratios"

install: $(STAMP)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "feasibility needs Python 3.11 or newer; run: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --editable . --group dev
	@touch $(STAMP)

demo: install
	$(BIN)/feasibility demo

test: lint type unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: install
	$(BIN)/mypy

# Tests of one file share fixtures, so one process runs all tests of a file.
unit: install
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

slow: install
	$(BIN)/python -m pytest -m slow --timeout 600

reports: install
	$(BIN)/python -m benchmarks.record_reports

# `.venv/bin/python -m benchmarks.systems --again` records everything again.
systems: install
	$(BIN)/python -m benchmarks.systems

generated: install
	$(BIN)/python -m benchmarks.record_reports --render
	$(BIN)/python -m benchmarks.systems --render
	git diff --exit-code -- reports docs/systems.md

wheel: install
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	.ci/test-wheel dist/*.whl

calibrate: install
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m calibration.__main__

bench: install
	$(BIN)/python -m benchmarks.inspect_ratio
	$(BIN)/python -m benchmarks.latency_ratio
	$(BIN)/python -m benchmarks.startup_ratio
	$(BIN)/python -m benchmarks.projection_time

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
