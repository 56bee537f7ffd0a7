# `make demo` and `make test` set up their own .venv from nothing and re-use it afterwards.
NEWEST := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PYTHON ?= $(NEWEST)
VENV := .venv
BIN := $(VENV)/bin
# TORCH_INDEX: the URL of an extra package index, for a build of torch other than the default one.
TORCH_INDEX ?=
PIP_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX),)
WORKERS ?= 2

.PHONY: help setup demo test test-real check docs format clean

help:
	@echo "make demo       prepare, pre-train, fine-tune, evaluate on synthetic patients -> demo/report.html"
	@echo "make test       run the tests"
	@echo "make test-real  run the tests on the recordings in the folder ANYLEAD_REAL_DATA names"
	@echo "make check      ruff, mypy, import order"
	@echo "make docs       build the documentation, every warning an error -> site/index.html"
	@echo "make format     let ruff format and mend"
	@echo "make clean      remove .venv, demo and site"
	@echo "Each sets up .venv first where it is not there. PYTHON=, TORCH_INDEX= and WORKERS= may be given."

# An environment whose interpreter no longer runs, or whose installation was interrupted, is made anew.
setup:
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then rm -rf $(VENV); fi
	@$(MAKE) --no-print-directory -q $(VENV)/.installed 2>/dev/null || \
		$(MAKE) --no-print-directory $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON); this takes a few minutes the first time"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@touch $(VENV)/.installing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_INDEX) -c constraints.txt \
		"torch==2.13.0" -e ".[dev,docs]"
	@mv $(VENV)/.installing $@

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

# One test follows the tutorials; here the pages are built and every link in them is looked at.
docs: setup
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/site.py site

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo site
