# The two commands of the README: `make demo` and `make test`. Each makes its own environment in .venv/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --only-binary :all: --disable-pip-version-check

.PHONY: demo test lint benchmark clean

demo: $(VENV)/.installed
	$(BIN)/darkhorse run demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed-develop
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark: $(VENV)/.installed-benchmark
	$(BIN)/python -m tests.benchmarks

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable .
	touch $@

$(VENV)/.installed-%: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable '.[$*]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) out data
