# `make demo` and `make test` set up their own .venv from nothing and re-use it afterwards.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# TORCH_INDEX: the URL of an extra package index, for a build of torch other than the default one.
TORCH_INDEX ?=
PIP_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX),)
WORKERS ?= 2

.PHONY: help setup demo test test-real check format clean

help:
	@echo "make demo    prepare, pre-train, fine-tune, evaluate on synthetic patients -> demo/report.html"
	@echo "make test    run the tests"
	@echo "make check   ruff, mypy, import order"

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_INDEX) -c constraints.txt "torch==2.13.0" -e ".[dev]"
	@touch $@

demo: setup
	$(BIN)/anylead demo --out demo

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) -m "not real"

test-real: setup
	$(BIN)/python -m pytest -n $(WORKERS) -m real -rs

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -p no:xdist tests/architecture

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo
